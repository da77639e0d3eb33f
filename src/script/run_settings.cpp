#include "script/run_settings.hpp"

#include <charconv>
#include <cstdlib>

#include "model/host.hpp"

namespace tcpwhy::script {
namespace {

struct Family {
  std::string_view name, script_name, local, remote, cookie, cookie_zero, level, recverr;
  std::uint16_t mtu;
};

// google/packetdrill run_all.py and Linux tools/testing/selftests/net/packetdrill/ksft_runner.sh.
constexpr Family kFamilies[] = {
    {"ipv4", "ipv4", "192.168.0.1", "192.0.2.1", "3021b9d889017eeb", "b7c12350a90dc8f5", "SOL_IP",
     "IP_RECVERR", 1500},
    {"ipv6", "ipv6", "fd3d:0a0b:17d6::1", "fd3d:fa7b:d17d::1", "c1d1e9742a47a9bc", "82af1a8f9a205c34",
     "SOL_IPV6", "IPV6_RECVERR", 1520},
    {"mapped", "ipv4-mapped-ipv6", "192.168.0.1", "192.0.2.1", "3021b9d889017eeb", "b7c12350a90dc8f5",
     "SOL_IPV6", "IPV6_RECVERR", 1500},
};

const Family& row(IpFamily family) { return kFamilies[static_cast<std::size_t>(family)]; }

model::Address mapped(const model::Address& v4) {
  model::Address out{6, {}};
  out.bytes[10] = out.bytes[11] = 0xFF;
  for (std::size_t i = 0; i < 4; ++i) out.bytes[12 + i] = v4.bytes[i];
  return out;
}

class Reading {
 public:
  explicit Reading(IpFamily family) { out.family = family; }

  void take(const Setting& setting) {
    const std::string& name = setting.name;
    if (name == "bind_port")
      out.bind_to.port = static_cast<std::uint16_t>(number(setting, 65535));
    else if (name == "connect_port")
      out.connect_to.port = static_cast<std::uint16_t>(number(setting, 65535));
    else if (name == "mtu" && out.family != IpFamily::kIpv6)
      out.mtu = static_cast<std::uint16_t>(number(setting, 65535));
    else if (name == "tolerance_usecs")
      out.tolerance = std::chrono::microseconds{number(setting, 1'000'000'000)};
    else if (name == "tolerance_percent")
      out.tolerance_percent = std::strtod(setting.value.c_str(), nullptr);
    else if (name == "tcp_ts_tick_usecs")
      out.ts_tick = std::chrono::microseconds{number(setting, 1'000'000)};
    else if (name == "tcp_ts_ecr_scaled")
      out.ecr = RunSettings::Ecr::kScaled;
    else if (name == "strict_segments")
      out.segments = RunSettings::Segments::kStrict;
  }

  RunSettings out;

 private:
  static std::int64_t number(const Setting& setting, std::int64_t most) {
    std::int64_t value = -1;
    const char* end = setting.value.data() + setting.value.size();
    const auto [at, error] = std::from_chars(setting.value.data(), end, value);
    if (error != std::errc{} || at != end || value < 0 || value > most)
      throw Complaint{setting.line, "--" + setting.name + ": a number expected"};
    return value;
  }
};

}  // namespace

std::string_view name(IpFamily family) { return row(family).name; }

std::optional<IpFamily> family_of(std::string_view name) {
  for (const IpFamily family : {IpFamily::kIpv4, IpFamily::kIpv6, IpFamily::kMapped})
    if (row(family).name == name || row(family).script_name == name) return family;
  return std::nullopt;
}

std::optional<IpFamily> family_of(const Script& script) {
  for (const Setting& setting : script.settings)
    if (setting.name == "ip_version") return family_of(setting.value);
  return std::nullopt;
}

Definitions definitions(IpFamily family) {
  const Family& f = row(family);
  Definitions out{{"TFO_COOKIE", std::string{f.cookie}},
                  {"TFO_COOKIE_ZERO", std::string{f.cookie_zero}},
                  {"CMSG_LEVEL_IP", std::string{f.level}},
                  {"CMSG_TYPE_RECVERR", std::string{f.recverr}}};
  if (family != IpFamily::kIpv6) out["CODE"] = "host_unreachable";
  return out;
}

std::variant<RunSettings, Complaint> settings_of(const Script& script, IpFamily family) {
  const Family& f = row(family);
  Reading reading{family};
  RunSettings& out = reading.out;
  out.local = *model::parse_address(f.local);
  out.remote = *model::parse_address(f.remote);
  out.mtu = f.mtu;
  out.bind_to.port = out.connect_to.port = 8080;
  try {
    for (const Setting& setting : script.settings) reading.take(setting);
  } catch (const Complaint& complaint) {
    return complaint;
  }
  out.bind_to.address = family == IpFamily::kMapped ? mapped(out.local) : out.local;
  out.connect_to.address = family == IpFamily::kMapped ? mapped(out.remote) : out.remote;
  return out;
}

}  // namespace tcpwhy::script
