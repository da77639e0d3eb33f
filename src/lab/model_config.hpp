#pragma once
// A host of the model as a user asks for one.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "model/host.hpp"
#include "tcpwhy/result.hpp"

namespace tcpwhy::lab {

/// Errors: `lab.kernel`, `lab.sysctl`: what is unknown, and what there is.
[[nodiscard]] Result<model::HostConfig> model_config(std::string_view kernel,
                                                     const std::map<std::string, std::string>& sysctls,
                                                     std::uint32_t ip, std::uint64_t seed, std::uint8_t ip_version = 4);

}  // namespace tcpwhy::lab
