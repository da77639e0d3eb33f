#pragma once
// What active questions brought back: what was asked, when, and what came. Room
// `probe` fills these, `diagnose` judges them, `report` shows them. Nothing here
// decides. Times are seconds since the probe began.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tcpwhy/connection.hpp"

namespace tcpwhy::facts {

/// How a question was put.
enum class Ask : std::uint8_t {
  kConnect,          ///< connect() of a socket
  kConnectShort,     ///< the same with a limited TTL
  kConnectOption,    ///< the same with a full IPv4 timestamp option whose overflow counter ends at one hop
  kSynPlain,         ///< a raw SYN without timestamps
  kSynStamped,       ///< a raw SYN with a chosen timestamp
  kAck,              ///< a raw ACK that belongs to no connection
  kSynInConnection,  ///< a raw SYN on the ports of an established connection
};

/// What came back first.
enum class Came : std::uint8_t {
  kNothing,  ///< within the patience
  kSynAck,
  kRst,
  kAck,
  kIcmp,
  kLocal,    ///< this host's kernel refused to send: see `error`
  kNotAsked, ///< the bound on packets was reached
};
std::string_view to_string(Came came);  ///< "nothing", "syn-ack", "rst", "ack", "icmp", "local-error", "not-asked"

/// An ICMP error and who sent it.
struct IcmpWord {
  Address sender;
  std::uint8_t version = 4, type = 0, code = 0;
  std::uint16_t mtu = 0;
  [[nodiscard]] bool time_exceeded() const { return version == 4 ? type == 11 : type == 3; }
  [[nodiscard]] bool too_big() const { return version == 4 ? type == 3 && code == 4 : type == 2; }
  [[nodiscard]] bool parameter_problem() const { return version == 4 ? type == 12 : type == 4; }
  /// Only a filter says so; a port unreachable too, since a host answers a closed port with RST (RFC 9293 3.10.7.1).
  [[nodiscard]] bool prohibited() const;
  [[nodiscard]] bool unreachable() const;  ///< network, host or protocol
};
/// "host unreachable", "administratively prohibited"; RFC 792, 1812 5.2.7.1, 4443 3.1.
std::string_view to_string(const IcmpWord& icmp);

/// The headers of an answer, as the tap saw them.
struct AnswerHeader {
  std::uint8_t ttl = 0;
  std::uint16_t ip_id = 0, window = 0, mss = 0;
  std::uint16_t options = 0;  ///< wire::Opt bits
  SeqNum seq{}, ack{};
  std::uint8_t flags = 0;
};
/// Hops that a packet has travelled if it began at the next usual TTL (64, 128, 255).
constexpr int hops_travelled(std::uint8_t ttl) {
  return ttl <= 64 ? 64 - ttl : ttl <= 128 ? 128 - ttl : 255 - ttl;
}

struct Question {
  Ask ask = Ask::kConnect;
  std::uint16_t port = 0, local_port = 0;
  std::uint8_t ttl = 0;                 ///< of a kConnectShort; of a kConnectOption the hop that should object
  std::optional<std::uint32_t> tsval;   ///< of a kSynStamped
  double at_s = 0, took_s = 0;          ///< asked; until the answer, or given up
  Came came = Came::kNothing;
  int error = 0;                        ///< errno of connect(), 0 when connected
  std::optional<IcmpWord> icmp;
  std::optional<AnswerHeader> header;   ///< without a tap nothing is known of it
  std::uint32_t syns = 0;               ///< SYNs that left, where the tap saw them
  std::uint32_t syn_acks = 0;           ///< SYN-ACKs that came; more than one: the ACK was ignored or lost
  [[nodiscard]] bool answered() const { return came == Came::kSynAck || came == Came::kRst || came == Came::kAck; }
};

struct Hop {
  std::uint8_t ttl = 0;
  std::vector<Question> asked;  ///< in order; more than one where the first got no answer
  /// The question that was answered, or the last.
  [[nodiscard]] const Question& best() const;
  [[nodiscard]] bool silent() const { return best().came == Came::kNothing || best().came == Came::kNotAsked; }
  /// Did the SYN get to an end: something that answers in the host's name, or refuses?
  [[nodiscard]] bool end() const { return !silent() && !(best().icmp && best().icmp->time_exceeded()); }
};
struct Trace {
  std::uint16_t port = 0;
  std::vector<Hop> hops;
  [[nodiscard]] const Hop* hop(int ttl) const;
  /// The last hop that said time exceeded; null when none did.
  [[nodiscard]] const Hop* last_router() const;
  /// The first that is an end; null when none is.
  [[nodiscard]] const Hop* end() const;
};

/// The kernel's own route to an address.
struct ProbeRoute {
  int error = 0;  ///< errno; 0: there is a route
  std::optional<Address> source, gateway;
  std::string interface;
  std::uint32_t mtu = 0;         ///< of the interface or the route, whichever is less
  std::string neighbour;         ///< state of the next hop: "REACHABLE", "FAILED"; empty unknown
};

/// A segment of one size sent into an established connection.
struct SizeQuestion {
  std::uint32_t octets = 0;      ///< of the IP packet
  double at_s = 0, took_s = 0;
  Came came = Came::kNothing;    ///< kAck: it arrived
  std::optional<IcmpWord> icmp;
};
struct SizeTest {
  std::string not_done;          ///< why not; empty when done
  std::vector<SizeQuestion> asked;
  std::uint32_t mss = 0;         ///< in force on that connection
};

/// A connection left alone for a while, and then asked by the kernel's keepalive.
struct IdleQuestion {
  double idle_s = 0;
  enum class End : std::uint8_t { kAlive, kClosedByServer, kReset, kSilent, kCut, kNotConnected } end = End::kCut;
  double ended_s = 0;            ///< after how long it was closed or reset, seconds of idleness
};
std::string_view to_string(IdleQuestion::End end);
struct IdleTest {
  double bound_s = 0;            ///< 0: not asked for
  std::vector<IdleQuestion> asked;
};

/// A SYN on the ports of a connection that the server still holds (RFC 9293 3.10.7.4, RFC 5961 4).
struct HalfOpenTest {
  enum class Wanted : std::uint8_t { kNo, kYes } wanted = Wanted::kNo;
  std::string not_done;
  std::optional<Question> asked;
};

/// All that was asked of one address.
struct ProbeAddress {
  Endpoint target;
  ProbeRoute route;
  std::vector<Question> connects;  ///< the first, then the repeats
  std::vector<Question> again;     ///< the same local ports once more, where a repeat failed
  std::vector<Question> others;    ///< other ports of the same address
  std::vector<Question> stamps;    ///< raw SYNs with and without timestamps
  std::vector<Question> acks;      ///< stray ACKs, to this port and to a control
  std::vector<Question> options;   ///< full timestamp options, to this port and to a control
  std::optional<Trace> trace, control;
  SizeTest size;
  IdleTest idle;
  HalfOpenTest half_open;
  std::uint32_t packets = 0;       ///< that left for it, as the tap counted; else the bound that was reserved
  /// Was any SYN to this port answered by SYN-ACK, be it one of the trace?
  [[nodiscard]] bool connected() const;
};

/// What one question to the resolver brought.
struct NameAnswer {
  std::string type;                ///< "A", "AAAA"
  std::string said;                ///< "2 addresses", "NXDOMAIN", "no such record", …
  std::vector<Address> addresses;
  std::vector<std::string> aliases;///< CNAMEs on the way
  std::uint32_t ttl_s = 0;         ///< least TTL of the answer
  double took_s = 0;
};

enum class Counted : std::uint8_t { kReserved, kByTap };

struct Probe {
  std::string host;                ///< as given
  std::uint16_t port = 0;
  std::string source;              ///< "address given", "DNS", "not DNS (hosts file or another source)"
  std::vector<NameAnswer> names;
  std::vector<ProbeAddress> addresses;
  Counted counted = Counted::kReserved;
  std::uint32_t packets = 0, max_packets = 0;
  double took_s = 0;
  std::vector<std::string> without_root;  ///< what root would add
  std::vector<std::string> quality;       ///< what was left out, and why
};

}  // namespace tcpwhy::facts
