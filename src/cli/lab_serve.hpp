#pragma once
// `tcpwhy lab serve`: the model of a kernel on a TUN device.

#include <CLI/CLI.hpp>
#include <string>
#include <utility>
#include <vector>

#include "cli/options.hpp"
#include "lab/serve.hpp"

namespace tcpwhy::cli {

struct LabServeOptions {
  lab::ServeOptions serve;
  std::vector<std::string> services, settings;  ///< as given
  std::vector<std::pair<std::string, std::string>> sysctls;
  bool packets = false;  ///< print each one
  double duration_s = 0;
  Format format = Format::kText;
};

CLI::App* add_lab_serve(CLI::App& app, LabServeOptions& options);
int lab_serve(LabServeOptions options);

}  // namespace tcpwhy::cli
