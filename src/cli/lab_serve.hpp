#pragma once
// `tcpwhy lab serve`: the model of a kernel on a TUN device.

#include <string>
#include <utility>
#include <vector>

#include "cli/options.hpp"
#include "lab/serve.hpp"

namespace tcpwhy::cli {

struct LabServeOptions {
  lab::ServeOptions serve;
  std::vector<std::string> services;
  std::vector<std::pair<std::string, std::string>> sysctls;
  bool packets = false;  ///< print each one
  double duration_s = 0;
  Format format = Format::kText;
};

int lab_serve(LabServeOptions options);

}  // namespace tcpwhy::cli
