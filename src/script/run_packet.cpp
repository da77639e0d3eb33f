#include "script/run_packet.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace tcpwhy::script {
namespace {

using wire::Flag;
using wire::Opt;

Option plain(Option::Kind kind, std::uint32_t value = 0, std::uint32_t echo = 0) {
  return Option{.kind = kind, .value = value, .echo = echo, .blocks = {}, .octets = {}};
}

// Linux net/ipv4/tcp_output.c tcp_options_write().
std::vector<Option> options_in_order(const model::Packet& p) {
  using Kind = Option::Kind;
  std::vector<Option> out;
  const auto pad = [&out](int nops) {
    for (int i = 0; i < nops; ++i) out.push_back(plain(Kind::kNop));
  };
  if (p.has(Opt::kMd5)) {
    pad(2);
    out.push_back(plain(Kind::kMd5));
    out.back().octets.resize(16);
  }
  if (p.has(Opt::kMss)) out.push_back(plain(Kind::kMss, p.mss));
  const bool sack_permitted = p.has(Opt::kSackPermitted);
  if (p.has(Opt::kTimestamps)) {
    if (sack_permitted)
      out.push_back(plain(Kind::kSackPermitted));
    else
      pad(2);
    out.push_back(plain(Kind::kTimestamps, p.tsval, p.tsecr));
  } else if (sack_permitted) {
    pad(2);
    out.push_back(plain(Kind::kSackPermitted));
  }
  if (p.has(Opt::kWindowScale)) {
    pad(1);
    out.push_back(plain(Kind::kWindowScale, p.window_scale));
  }
  if (p.has(Opt::kSack)) {
    pad(2);
    Option sack = plain(Kind::kSack);
    for (std::size_t i = 0; i < p.sack_blocks; ++i)
      sack.blocks.push_back({p.sack[2 * i].raw(), p.sack[2 * i + 1].raw()});
    out.push_back(std::move(sack));
  }
  if (p.has(Opt::kFastOpen)) {
    Option cookie = plain(p.cookie_experimental ? Kind::kFastOpenExperimental : Kind::kFastOpen);
    cookie.octets.assign(p.cookie.begin(), p.cookie.begin() + std::min<std::ptrdiff_t>(p.cookie_bytes, 16));
    const std::uint32_t bytes = length(cookie);
    out.push_back(std::move(cookie));
    pad(static_cast<int>((4 - bytes % 4) % 4));
  }
  return out;
}

void take_option(const Option& option, model::Packet& out) {
  const auto carries = [&out](std::uint16_t bit) {
    out.options = static_cast<std::uint16_t>(out.options | bit);
  };
  switch (option.kind) {
    case Option::Kind::kEol:
    case Option::Kind::kNop: break;
    case Option::Kind::kMss:
      carries(Opt::kMss);
      out.mss = static_cast<std::uint16_t>(option.value);
      break;
    case Option::Kind::kWindowScale:
      carries(Opt::kWindowScale);
      out.window_scale = static_cast<std::uint8_t>(option.value);
      break;
    case Option::Kind::kSackPermitted: carries(Opt::kSackPermitted); break;
    case Option::Kind::kSack:
      carries(Opt::kSack);
      for (const SackBlock& block : option.blocks) {
        if (out.sack_blocks == 4) break;
        out.sack[2u * out.sack_blocks] = SeqNum{block.left};
        out.sack[2u * out.sack_blocks + 1] = SeqNum{block.right};
        ++out.sack_blocks;
      }
      break;
    case Option::Kind::kTimestamps:
      carries(Opt::kTimestamps);
      out.tsval = option.value;
      out.tsecr = option.echo;
      break;
    case Option::Kind::kFastOpen:
    case Option::Kind::kFastOpenExperimental:
      // Linux tcp_parse_fastopen_option(): an odd length is no option at all; one out of range is passed on.
      if (option.octets.size() % 2 != 0) break;
      carries(Opt::kFastOpen);
      out.cookie_experimental = option.kind == Option::Kind::kFastOpenExperimental;
      out.cookie_bytes = static_cast<std::uint8_t>(option.octets.size());
      std::copy_n(option.octets.begin(), std::min<std::size_t>(option.octets.size(), 16), out.cookie.begin());
      break;
    case Option::Kind::kMd5: carries(Opt::kMd5); break;
    case Option::Kind::kAccEcn: carries(Opt::kOther); break;
  }
}

std::string number(std::string_view what, std::uint32_t expected, std::uint32_t seen) {
  return expected == seen ? std::string{} : fmt::format("{}: expected {}, got {}", what, expected, seen);
}

const char* option_name(Option::Kind kind) {
  switch (kind) {
    case Option::Kind::kEol: return "eol";
    case Option::Kind::kNop: return "nop";
    case Option::Kind::kMss: return "mss";
    case Option::Kind::kWindowScale: return "wscale";
    case Option::Kind::kSackPermitted: return "sackOK";
    case Option::Kind::kSack: return "sack";
    case Option::Kind::kTimestamps: return "TS";
    case Option::Kind::kFastOpen: return "FO";
    case Option::Kind::kFastOpenExperimental: return "FOEXP";
    case Option::Kind::kMd5: return "md5";
    case Option::Kind::kAccEcn: return "ECN";
  }
  return "";
}

std::string options_difference(const std::vector<Option>& expected, const std::vector<Option>& seen) {
  for (std::size_t i = 0; i < std::max(expected.size(), seen.size()); ++i) {
    if (i >= expected.size()) return fmt::format("an option not expected: {}", option_name(seen[i].kind));
    if (i >= seen.size()) return fmt::format("an option is missing: {}", option_name(expected[i].kind));
    if (expected[i].kind != seen[i].kind)
      return fmt::format("option {}: expected {}, got {}", i + 1, option_name(expected[i].kind),
                         option_name(seen[i].kind));
    if (expected[i].kind != Option::Kind::kTimestamps && !(expected[i] == seen[i]))
      return fmt::format("the value of option {}", option_name(seen[i].kind));
  }
  return {};
}

std::string tos_difference(const Packet& expected, std::uint8_t tos) {
  const std::uint8_t ecn = tos & 3;
  switch (expected.tos_check) {
    case TosCheck::kNone: return {};
    case TosCheck::kEct01:
      return ecn == 1 || ecn == 2 ? std::string{}
                                  : fmt::format("ECN: expected ECT(0) or ECT(1), got {}", ecn);
    case TosCheck::kEcn: return number("ECN", expected.tos, ecn);
    case TosCheck::kTos: return number("TOS", expected.tos, tos);
  }
  return {};
}

std::string flags_difference(const TcpPacket& expected, const TcpPacket& seen) {
  if (expected.ace) {
    const auto ace = [](const TcpPacket& t) {
      return static_cast<std::uint32_t>((t.ae ? 4 : 0) | (t.flags & Flag::kCwr ? 2 : 0) |
                                        (t.flags & Flag::kEce ? 1 : 0));
    };
    if (auto wrong = number("ACE", *expected.ace, ace(seen)); !wrong.empty()) return wrong;
  } else if (expected.ae != seen.ae) {
    return "flag AE";
  }
  for (const auto& [bit, name] : {std::pair{Flag::kFin, "FIN"},
                                  {Flag::kSyn, "SYN"},
                                  {Flag::kRst, "RST"},
                                  {Flag::kPsh, "PSH"},
                                  {Flag::kAck, "ACK"},
                                  {Flag::kUrg, "URG"},
                                  {Flag::kEce, "ECE"},
                                  {Flag::kCwr, "CWR"}}) {
    if (((expected.flags ^ seen.flags) & bit) == 0) continue;
    if (expected.ace && (bit == Flag::kEce || bit == Flag::kCwr)) continue;
    return fmt::format("flag {}: expected {}", name,
                       expected.flags & bit ? "set, got unset" : "unset, got set");
  }
  return {};
}

std::uint32_t option_bytes(const TcpPacket& packet) {
  std::uint32_t bytes = 0;
  for (const Option& option : packet.options) bytes += length(option);
  return bytes;
}

}  // namespace

TcpPacket as_written(const model::Packet& p) {
  TcpPacket out;
  out.source_port = p.source_port;
  out.destination_port = p.destination_port;
  out.flags = p.flags;
  out.seq = p.seq.raw();
  out.ack = p.ack.raw();
  out.payload_bytes = p.payload_bytes;
  out.window = p.window;
  out.urgent = p.urgent;
  out.options = options_in_order(p);
  return out;
}

void to_script(const Connection& c, TcpPacket& p) {
  const bool syn = (p.flags & Flag::kSyn) != 0;
  const std::uint32_t theirs = syn ? 0 : c.remote_isn;
  p.seq -= syn ? c.local_isn - c.script_local_isn : c.local_isn;
  if (p.flags & Flag::kAck) p.ack -= theirs;
  for (Option& option : p.options)
    for (SackBlock& block : option.blocks) {
      block.left -= theirs;
      block.right -= theirs;
    }
}

// A large segment may leave in pieces: each follows the other and says the same.
std::string does_not_continue(const TcpPacket& before, const TcpPacket& next, std::uint32_t missing_bytes) {
  constexpr std::uint8_t kMayDiffer = Flag::kFin | Flag::kPsh | Flag::kCwr;
  if (((before.flags ^ next.flags) & ~kMayDiffer) != 0)
    return "its flags differ from those of the segment before";
  if (next.seq != before.seq + before.payload_bytes) return "it does not follow the segment before";
  if (next.ack != before.ack || next.window != before.window || next.urgent != before.urgent ||
      option_bytes(next) != option_bytes(before))
    return "its header differs from that of the segment before";
  if (next.payload_bytes < missing_bytes && next.payload_bytes != before.payload_bytes)
    return fmt::format("it carries {} octets, the segment before {}", next.payload_bytes,
                       before.payload_bytes);
  return {};
}

std::string difference(const Packet& expected_packet, const TcpPacket& seen, std::uint8_t tos,
                       std::uint8_t ttl) {
  const auto& expected = std::get<TcpPacket>(expected_packet.content);
  std::string wrong = number("payload", expected.payload_bytes, seen.payload_bytes);
  if (wrong.empty()) wrong = tos_difference(expected_packet, tos);
  if (wrong.empty() && expected_packet.ttl != 0) wrong = number("TTL", expected_packet.ttl, ttl);
  if (wrong.empty()) wrong = flags_difference(expected, seen);
  if (wrong.empty()) wrong = number("SEQ", expected.seq, seen.seq);
  if (wrong.empty()) wrong = number("ACK", expected.ack, seen.ack);
  if (wrong.empty() && expected.window) wrong = number("window", *expected.window, *seen.window);
  if (wrong.empty()) wrong = number("urgent pointer", expected.urgent, seen.urgent);
  if (wrong.empty() && !expected.any_options) wrong = options_difference(expected.options, seen.options);
  return wrong;
}

std::variant<model::Packet, Complaint> to_wire(const Connection& c, const RunSettings& settings,
                                               const Packet& packet) {
  model::Packet out;
  if (const auto* icmp = std::get_if<IcmpPacket>(&packet.content)) {
    const auto numbers = icmp_numbers(*icmp, settings.family);
    if (!numbers) return Complaint{0, "an ICMP type or code that this family does not have"};
    // The quoted segment is ours; only its ports and SEQ are there to be read.
    out.kind = model::PacketKind::kIcmp;
    out.source = settings.local;
    out.destination = settings.remote;
    out.source_port = c.local_port;
    out.destination_port = c.remote_port;
    out.seq = SeqNum{icmp->echoed_seq + c.local_isn};
    out.icmp_type = numbers->type;
    out.icmp_code = numbers->code;
    out.icmp_mtu = static_cast<std::uint16_t>(std::min<std::uint32_t>(icmp->mtu.value_or(0), 0xFFFF));
    out.icmp_from = settings.remote;
    return out;
  }
  const auto& tcp = std::get<TcpPacket>(packet.content);
  const bool syn = (tcp.flags & Flag::kSyn) != 0;
  const std::uint32_t ours = syn ? c.local_isn - c.script_local_isn : c.local_isn;
  out.source = settings.remote;
  out.destination = settings.local;
  out.source_port = tcp.source_port != 0 ? tcp.source_port : c.remote_port;
  out.destination_port = tcp.destination_port != 0 ? tcp.destination_port : c.local_port;
  out.tos = packet.tos;
  if (packet.ttl != 0) out.ttl = packet.ttl;
  out.flags = tcp.flags;
  out.seq = SeqNum{tcp.seq + (syn ? 0 : c.remote_isn)};
  if (tcp.flags & Flag::kAck) out.ack = SeqNum{tcp.ack + ours};
  out.window = tcp.window.value_or(0);
  out.urgent = tcp.urgent;
  out.payload_bytes = tcp.payload_bytes;
  for (const Option& option : tcp.options) take_option(option, out);
  for (std::size_t i = 0; i < 2u * out.sack_blocks; ++i) out.sack[i] = out.sack[i] + ours;
  if (out.has(Opt::kTimestamps) && out.has_ack()) {
    if (const auto known = c.sent_tsvals.find(out.tsecr); known != c.sent_tsvals.end())
      out.tsecr = known->second;
    else if (settings.ecr == RunSettings::Ecr::kScaled && c.first_tsval)
      out.tsecr = out.tsecr - c.first_tsval->script + c.first_tsval->real;
    else
      return Complaint{0, fmt::format("TS ecr {} echoes no TSval the host has sent", out.tsecr)};
  }
  return out;
}

// RFC 792, RFC 4443. Names as the original has them.
std::optional<IcmpNumbers> icmp_numbers(const IcmpPacket& icmp, IpFamily family) {
  struct Row {
    IpFamily family;
    std::string_view type, code;
    IcmpNumbers numbers;
  };
  constexpr IpFamily k4 = IpFamily::kIpv4, k6 = IpFamily::kIpv6;
  constexpr Row kRows[] = {
      {k4, "unreachable", "net_unreachable", {3, 0}},
      {k4, "unreachable", "host_unreachable", {3, 1}},
      {k4, "unreachable", "protocol_unreachable", {3, 2}},
      {k4, "unreachable", "port_unreachable", {3, 3}},
      {k4, "unreachable", "frag_needed", {3, 4}},
      {k4, "unreachable", "source_route_failed", {3, 5}},
      {k4, "unreachable", "net_unknown", {3, 6}},
      {k4, "unreachable", "host_unknown", {3, 7}},
      {k4, "unreachable", "source_host_isolated", {3, 8}},
      {k4, "unreachable", "net_prohibited", {3, 9}},
      {k4, "unreachable", "host_prohibited", {3, 10}},
      {k4, "unreachable", "net_unreachable_for_tos", {3, 11}},
      {k4, "unreachable", "host_unreachable_for_tos", {3, 12}},
      {k4, "unreachable", "packet_filtered", {3, 13}},
      {k4, "unreachable", "precedence_violation", {3, 14}},
      {k4, "unreachable", "precedence_cutoff", {3, 15}},
      {k4, "echo_reply", "", {0, 0}},
      {k4, "echo_request", "", {8, 0}},
      {k4, "timestamp_request", "", {13, 0}},
      {k4, "timestamp_reply", "", {14, 0}},
      {k4, "information_request", "", {15, 0}},
      {k4, "information_reply", "", {16, 0}},
      {k4, "address_mask_request", "", {17, 0}},
      {k4, "address_mask_reply", "", {18, 0}},
      {k6, "echo_request", "", {128, 0}},
      {k6, "echo_reply", "", {129, 0}},
      {k4, "source_quench", "", {4, 0}},
      {k4, "redirect", "", {5, 0}},
      {k4, "time_exceeded", "", {11, 0}},
      {k4, "parameter_problem", "", {12, 0}},
      {k6, "unreachable", "net_unreachable", {1, 0}},
      {k6, "unreachable", "no_route", {1, 0}},
      {k6, "unreachable", "admin_prohibited", {1, 1}},
      {k6, "unreachable", "not_neighbour", {1, 2}},
      {k6, "unreachable", "address_unreachable", {1, 3}},
      {k6, "unreachable", "port_unreachable", {1, 4}},
      {k6, "packet_too_big", "", {2, 0}},
      {k6, "time_exceeded", "exceeded_hop_limit", {3, 0}},
      {k6, "time_exceeded", "exceeded_frag_time", {3, 1}},
      {k6, "parameter_problem", "header_field", {4, 0}},
      {k6, "parameter_problem", "unknown_next_header", {4, 1}},
      {k6, "parameter_problem", "unknown_option", {4, 2}},
  };
  const IpFamily on_wire = family == k6 ? k6 : k4;
  const auto written = [](std::string_view text, std::string_view prefix) -> std::optional<std::uint8_t> {
    if (!text.starts_with(prefix)) return std::nullopt;
    int number = 0;
    for (const char c : text.substr(prefix.size())) {
      if (c < '0' || c > '9' || number > 255) return std::nullopt;
      number = number * 10 + (c - '0');
    }
    if (number > 255 || text.size() == prefix.size()) return std::nullopt;
    return static_cast<std::uint8_t>(number);
  };
  const auto code_written = written(icmp.code, "code_");
  if (const auto type = written(icmp.type, "type_")) {
    if (!code_written && !icmp.code.empty()) return std::nullopt;
    return IcmpNumbers{*type, code_written.value_or(0)};
  }
  for (const Row& row : kRows) {
    if (row.family != on_wire || row.type != icmp.type) continue;
    if (code_written) return IcmpNumbers{row.numbers.type, *code_written};
    if (icmp.code.empty()) return IcmpNumbers{row.numbers.type, 0};
    if (row.code == icmp.code) return row.numbers;
  }
  return std::nullopt;
}

}  // namespace tcpwhy::script
