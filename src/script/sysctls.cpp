#include "script/sysctls.hpp"

#include <algorithm>
#include <charconv>

namespace tcpwhy::script {
namespace {

constexpr std::string_view kModelled[] = {
    "net.core.somaxconn",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_no_pmtu_disc",
    "net.ipv4.tcp_abort_on_overflow",
    "net.ipv4.tcp_adv_win_scale",
    "net.ipv4.tcp_autocorking",
    "net.ipv4.tcp_challenge_ack_limit",
    "net.ipv4.tcp_dsack",
    "net.ipv4.tcp_early_retrans",
    "net.ipv4.tcp_ecn",
    "net.ipv4.tcp_ecn_fallback",
    "net.ipv4.tcp_fastopen",
    "net.ipv4.tcp_fastopen_blackhole_timeout_sec",
    "net.ipv4.tcp_fastopen_key",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_frto",
    "net.ipv4.tcp_invalid_ratelimit",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_max_orphans",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_max_tw_buckets",
    "net.ipv4.tcp_min_tso_segs",
    "net.ipv4.tcp_moderate_rcvbuf",
    "net.ipv4.tcp_mtu_probing",
    "net.ipv4.tcp_no_metrics_save",
    "net.ipv4.tcp_orphan_retries",
    "net.ipv4.tcp_recovery",
    "net.ipv4.tcp_reordering",
    "net.ipv4.tcp_retries1",
    "net.ipv4.tcp_retries2",
    "net.ipv4.tcp_rfc1337",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_rto_min_us",
    "net.ipv4.tcp_sack",
    "net.ipv4.tcp_slow_start_after_idle",
    "net.ipv4.tcp_syn_linear_timeouts",
    "net.ipv4.tcp_syn_retries",
    "net.ipv4.tcp_synack_retries",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_thin_linear_timeouts",
    "net.ipv4.tcp_timestamps",
    "net.ipv4.tcp_tw_reuse",
    "net.ipv4.tcp_tw_reuse_delay",
    "net.ipv4.tcp_window_scaling",
    "net.ipv4.tcp_wmem",
};

// Congestion control, pacing and buffers of bulk transfer, which connection management does not reach.
constexpr std::string_view kHarmless[] = {
    "net.ipv4.tcp_congestion_control",
    "net.ipv4.tcp_ecn_option",  // with tcp_ecn at most 2, RFC 9768 is never negotiated
    "net.ipv4.tcp_ecn_option_beacon",
    "net.ipv4.tcp_fack",
    "net.ipv4.tcp_limit_output_bytes",
    "net.ipv4.tcp_notsent_lowat",
    "net.ipv4.tcp_pacing_ca_ratio",
    "net.ipv4.tcp_pacing_ss_ratio",
    "net.ipv4.tcp_tso_win_divisor",
    "net.ipv6.conf.all.disable_ipv6",
};

// Named by scripts and absent from Linux 6.18: kernels older or newer, or Google's own.
constexpr std::string_view kAbsent[] = {

    "net.ipv4.tcp_fastopen_cookies",
    "net.ipv4.tcp_tw_recycle",
};

template <std::size_t n>
bool among(const std::string_view (&names)[n], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

}  // namespace

SysctlKind sysctl_kind(std::string_view name, std::string_view value) {
  if (name == "net.ipv4.tcp_ecn") {
    // Measured on 6.18.44: 3 and above are refused. Later kernels take them (RFC 9768).
    int number = 0;
    std::from_chars(value.data(), value.data() + value.size(), number);
    return number >= 0 && number <= 2 ? SysctlKind::kModelled : SysctlKind::kAbsent;
  }
  if (among(kModelled, name)) return SysctlKind::kModelled;
  if (among(kHarmless, name)) return SysctlKind::kHarmless;
  if (among(kAbsent, name)) return SysctlKind::kAbsent;
  return SysctlKind::kUnknown;
}

}  // namespace tcpwhy::script
