#include "script/understand.hpp"

#include <algorithm>
#include <string_view>

#include "script/call.hpp"
#include "script/code.hpp"
#include "script/symbols.hpp"

namespace tcpwhy::script {
namespace {

// Settings that change the run in a way we know, or not at all in virtual time.
constexpr std::string_view kSettings[] = {
    "bind_port",
    "connect_port",
    "define",
    "gateway_ip",
    "ip_version",
    "local_ip",
    "mss",
    "mtu",
    "netmask_ip",
    "remote_ip",
    "send_omit_free",
    "speed",
    "strict_segments",
    "tcp_ts_ecr_scaled",
    "tcp_ts_tick_usecs",
    "tolerance_percent",
    "tolerance_usecs",
};

// tcp_info by Linux names (include/uapi/linux/tcp.h), as far as scripts of
// connection management read it.
constexpr std::string_view kInfo[] = {
    "tcpi_advmss",
    "tcpi_ato",
    "tcpi_backoff",
    "tcpi_bytes_acked",
    "tcpi_bytes_received",
    "tcpi_bytes_retrans",
    "tcpi_bytes_sent",
    "tcpi_ca_state",
    "tcpi_data_segs_in",
    "tcpi_data_segs_out",
    "tcpi_delivered",
    "tcpi_delivered_ce",
    "tcpi_dsack_dups",
    "tcpi_last_ack_recv",
    "tcpi_last_data_recv",
    "tcpi_last_data_sent",
    "tcpi_lost",
    "tcpi_min_rtt",
    "tcpi_notsent_bytes",
    "tcpi_options",
    "tcpi_pmtu",
    "tcpi_probes",
    "tcpi_rcv_mss",
    "tcpi_rcv_ooopack",
    "tcpi_rcv_rtt",
    "tcpi_rcv_space",
    "tcpi_rcv_ssthresh",
    "tcpi_rcv_wnd",
    "tcpi_rcv_wscale",
    "tcpi_rehash",
    "tcpi_reord_seen",
    "tcpi_reordering",
    "tcpi_retrans",
    "tcpi_retransmits",
    "tcpi_rto",
    "tcpi_rtt",
    "tcpi_rttvar",
    "tcpi_sacked",
    "tcpi_segs_in",
    "tcpi_segs_out",
    "tcpi_snd_cwnd",
    "tcpi_snd_mss",
    "tcpi_snd_ssthresh",
    "tcpi_snd_wnd",
    "tcpi_snd_wscale",
    "tcpi_state",
    "tcpi_total_retrans",
    "tcpi_total_rto",
    "tcpi_total_rto_recoveries",
    "tcpi_total_rto_time",
    "tcpi_unacked",
};

template <std::size_t n>
bool among(const std::string_view (&names)[n], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

class Reading {
 public:
  explicit Reading(const ReadFile& read_file) : read_file_{read_file} {}

  void command(const Command& command, int line) const {
    auto effects = understand_command(command.text, line, read_file_);
    if (auto* complaint = std::get_if<Complaint>(&effects)) throw *complaint;
  }

  void event(const Event& event) {
    if (const auto* call = std::get_if<Syscall>(&event.action)) syscall(*call, event.line);
    if (const auto* text = std::get_if<Command>(&event.action)) command(*text, event.line);
    if (const auto* text = std::get_if<Code>(&event.action)) code(*text, event.line);
  }

 private:
  void syscall(const Syscall& call, int line) const {
    const auto understood = understand_call(call, line);
    if (const auto* complaint = std::get_if<Complaint>(&understood)) throw *complaint;
    const auto result = understand_number(call.result, line);
    if (const auto* complaint = std::get_if<Complaint>(&result)) throw *complaint;
    if (!call.error.empty() && !symbol(call.error)) throw Complaint{line, "not an errno: " + call.error};
  }

  // A name must be of tcp_info or have been given a value by code before.
  void code(const Code& code, int line) {
    auto block = understand_code(code.text, line);
    if (auto* complaint = std::get_if<Complaint>(&block)) throw *complaint;
    const auto& understood = std::get<CodeBlock>(block);
    for (const std::string& name : understood.names)
      if (!among(kInfo, name) && std::find(assigned_.begin(), assigned_.end(), name) == assigned_.end())
        throw Complaint{line, "code reads a name that is not known: " + name};
    for (const CodeStatement& statement : understood.statements)
      if (!statement.assigns.empty()) assigned_.push_back(statement.assigns);
  }

  const ReadFile& read_file_;
  std::vector<std::string> assigned_;
};

}  // namespace

std::optional<Complaint> first_not_understood(const Script& script, const ReadFile& read_file) {
  for (const Setting& setting : script.settings)
    if (!among(kSettings, setting.name))
      return Complaint{setting.line, "a setting that is not known: --" + setting.name};
  for (const Note& note : script.notes)
    if (note.name != "kernel" && note.name != "expect" && note.name != "set")
      return Complaint{note.line, "a note that is not known: " + note.name};
  Reading reading{read_file};
  try {
    if (script.init) reading.command(*script.init, script.init_line);
    for (const Event& event : script.events) reading.event(event);
    if (script.cleanup) reading.command(*script.cleanup, script.cleanup_line);
  } catch (const Complaint& complaint) {
    return complaint;
  }
  return std::nullopt;
}

}  // namespace tcpwhy::script
