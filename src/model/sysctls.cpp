#include "model/sysctls.hpp"

#include <array>
#include <charconv>

namespace tcpwhy::model {

namespace {

struct Setting {
  std::string_view name;
  std::int64_t Sysctls::*field;
};

constexpr Setting kSettings[] = {
#define SYSCTL(name, value) {#name, &Sysctls::name},
#include "model/sysctls.def"
#undef SYSCTL
};

/// Settings that hold several numbers.
struct Tuple {
  std::string_view name;
  std::array<std::int64_t Sysctls::*, 3> fields;
};

constexpr Tuple kTuples[] = {
    {"tcp_rmem", {&Sysctls::tcp_rmem_min, &Sysctls::tcp_rmem_default, &Sysctls::tcp_rmem_max}},
    {"tcp_wmem", {&Sysctls::tcp_wmem_min, &Sysctls::tcp_wmem_default, &Sysctls::tcp_wmem_max}},
    {"ip_local_port_range", {&Sysctls::ip_local_port_first, &Sysctls::ip_local_port_last, nullptr}},
};

std::string_view bare(std::string_view name) {
  for (std::string_view prefix : {"net.ipv4.", "net.core.", "net/ipv4/", "net/core/"})
    if (name.starts_with(prefix)) return name.substr(prefix.size());
  return name;
}

std::optional<std::int64_t> next_number(std::string_view& text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t' || text.front() == ','))
    text.remove_prefix(1);
  std::int64_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return n;
}

std::optional<std::int64_t> whole_number(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x")) {
    text.remove_prefix(2);
    base = 16;
  }
  std::int64_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n, base);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return n;
}

}  // namespace

Sysctls Sysctls::of(const KernelProfile& kernel) {
  Sysctls s;
  s.tcp_syncookies = kernel.syncookies_default;
  s.tcp_syn_retries = kernel.syn_retries;
  s.tcp_syn_linear_timeouts = kernel.syn_linear_timeouts;
  s.tcp_tw_reuse = kernel.tw_reuse_default;
  s.tcp_challenge_ack_limit = kernel.challenge_ack_limit;
  s.somaxconn = kernel.somaxconn;
  s.ip_default_ttl = kernel.default_ttl;
  s.tcp_timestamps = kernel.timestamps_default;
  s.tcp_rmem_default = kernel.rmem_default;
  s.tcp_rmem_max = kernel.rmem_max;
  return s;
}

bool Sysctls::set(std::string_view name, std::string_view value) {
  name = bare(name);
  for (const Tuple& t : kTuples)
    if (t.name == name) {
      for (auto field : t.fields) {
        if (!field) break;
        const auto n = next_number(value);
        if (!n) return false;
        this->*field = *n;
      }
      return true;
    }
  for (const Setting& s : kSettings)
    if (s.name == name) {
      const auto n = whole_number(value);
      if (!n) return false;
      this->*s.field = *n;
      return true;
    }
  return false;
}

std::optional<std::int64_t> Sysctls::get(std::string_view name) const {
  name = bare(name);
  for (const Setting& s : kSettings)
    if (s.name == name) return this->*s.field;
  return std::nullopt;
}

// tcp_tw_recycle went with 4.12, tcp_syn_linear_timeouts came with 6.5.
bool lacks(const KernelProfile& kernel, std::string_view setting) {
  if (setting.ends_with("tcp_tw_recycle")) return kernel.recycle == RecycleRule::kGone;
  return setting.ends_with("tcp_syn_linear_timeouts") && kernel.syn_linear_timeouts == 0;
}

}  // namespace tcpwhy::model
