// An ICMP error about a segment we sent. It is believed only if it quotes a number in flight. While a
// connection is being made every error ends the attempt, "soft" ones of RFC 1122 too; afterwards an error is
// remembered, and is what the program hears if the connection then dies of silence.

#include <algorithm>
#include <array>

#include "model/kernel.hpp"

namespace tcpwhy::model {

namespace {

struct Type4 {
  static constexpr std::uint8_t kUnreachable = 3, kTimeExceeded = 11, kParameter = 12;
  static constexpr std::uint8_t kNet = 0, kHost = 1, kTooBig = 4;
};
struct Type6 {
  static constexpr std::uint8_t kUnreachable = 1, kTooBig = 2, kTimeExceeded = 3, kParameter = 4;
  static constexpr std::uint8_t kNoRoute = 0, kProhibited = 1, kPort = 4, kPolicy = 5, kRejected = 6;
};

// Linux net/ipv4/icmp.c icmp_err_convert[], by code.
constexpr std::array<Errno, 16> kUnreachable4 = {
    Errno::kENETUNREACH, Errno::kEHOSTUNREACH, Errno::kENOPROTOOPT,  Errno::kECONNREFUSED,
    Errno::kEMSGSIZE,    Errno::kEOPNOTSUPP,   Errno::kENETUNREACH,  Errno::kEHOSTDOWN,
    Errno::kENONET,      Errno::kENETUNREACH,  Errno::kEHOSTUNREACH, Errno::kENETUNREACH,
    Errno::kEHOSTUNREACH, Errno::kEHOSTUNREACH, Errno::kEHOSTUNREACH, Errno::kEHOSTUNREACH};

// Linux net/ipv6/icmp.c tab_unreach[], by code.
constexpr std::array<Errno, 7> kUnreachable6 = {
    Errno::kENETUNREACH,  Errno::kEACCES, Errno::kEHOSTUNREACH, Errno::kEHOSTUNREACH,
    Errno::kECONNREFUSED, Errno::kEACCES, Errno::kEACCES};

bool is_v6(const Packet& p) { return p.source.version == 6; }

bool too_big(const Packet& p) {
  return is_v6(p) ? p.icmp_type == Type6::kTooBig
                  : p.icmp_type == Type4::kUnreachable && p.icmp_code == Type4::kTooBig;
}

/// What the program would hear; none: no error to TCP.
Errno error_of(const Packet& p) {
  const std::size_t code = p.icmp_code;
  if (is_v6(p)) {
    switch (p.icmp_type) {
      case Type6::kUnreachable: return code < kUnreachable6.size() ? kUnreachable6[code] : Errno::kEPROTO;
      case Type6::kTimeExceeded: return Errno::kEHOSTUNREACH;
      case Type6::kParameter: return Errno::kEPROTO;
      default: return Errno::kNone;  // a number of the wire, not an enum of ours
    }
  }
  switch (p.icmp_type) {
    case Type4::kUnreachable: return code < kUnreachable4.size() ? kUnreachable4[code] : Errno::kNone;
    case Type4::kTimeExceeded: return Errno::kEHOSTUNREACH;
    case Type4::kParameter: return Errno::kEPROTO;
    default: return Errno::kNone;
  }
}

/// Of IPv4: what cannot be a filter's opinion. Of IPv6: what icmpv6_err_convert() calls fatal.
bool ends_request(const Packet& p) {
  if (is_v6(p)) {
    if (p.icmp_type == Type6::kParameter) return true;
    return p.icmp_type == Type6::kUnreachable &&
           (p.icmp_code == Type6::kProhibited || p.icmp_code == Type6::kPort ||
            p.icmp_code == Type6::kPolicy || p.icmp_code == Type6::kRejected);
  }
  if (p.icmp_type == Type4::kTimeExceeded || p.icmp_type == Type4::kParameter) return true;
  return p.icmp_type == Type4::kUnreachable && (p.icmp_code == Type4::kNet || p.icmp_code == Type4::kHost);
}

/// RFC 6069: the way is broken, the network not crowded.
bool undoes_backoff(const Packet& p) {
  if (is_v6(p)) return p.icmp_type == Type6::kUnreachable && p.icmp_code == Type6::kNoRoute;
  return p.icmp_type == Type4::kUnreachable && (p.icmp_code == Type4::kNet || p.icmp_code == Type4::kHost);
}

}  // namespace

std::uint32_t Kernel::path_mtu(const Address& remote) const {
  if (remote.is_loopback() || is_ours(remote)) return 65536;
  std::uint32_t mtu = config.mtu;
  if (learned_mtu.empty()) return mtu;
  const auto found = learned_mtu.find(hash(remote, config.seed));
  return found == learned_mtu.end() ? mtu : std::min(mtu, found->second);
}

// Linux net/ipv4/tcp_ipv4.c tcp_v4_err(), net/ipv6/tcp_ipv6.c tcp_v6_err(). `p` is the quoted segment, as we
// sent it.
void Kernel::on_icmp(const Packet& p) {
  const Tuple4 t{p.source, p.destination, p.source_port, p.destination_port};
  const Handle h = find(t, hash(t, config.seed));
  switch (h.kind) {
    case Kind::kNone:
    case Kind::kListener: return because(Rule::kIcmpNoSocket);
    case Kind::kTimeWait: return because(Rule::kIcmpIgnored);
    case Kind::kRequest: return icmp_to_request(h.index, p);
    case Kind::kEndpoint: break;
  }
  Endpoint& e = endpoints[h.index];
  if (e.state == State::kClose) return because(Rule::kClosedSocket);
  const SeqNum first = e.fastopen_child ? e.iss : e.snd_una;
  if (before(p.seq, first) || after(p.seq, e.snd_nxt)) {
    because(Rule::kIcmpOutOfWindow);
    return count(Mib::kOutOfWindowIcmps);
  }
  if (too_big(p)) {
    lower_mtu(e, p);
    return settle(h.index);
  }
  const Errno error = error_of(p);
  if (error == Errno::kNone) return because(Rule::kIcmpIgnored);
  if (!e.fastopen_child && undoes_backoff(p)) undo_backoff(e, h.index, p);
  if (!endpoints.live(h.index)) return;

  const bool opening = e.state == State::kSynSent || e.state == State::kSynRecv;
  // A Fast Open child that accept() has handed out counts as connected.
  if (opening && !(e.fastopen_child && !e.listener)) {
    because(Rule::kIcmpHard);
    if (!is_v6(p) && config.kernel.opening_error == OpeningError::kToldAndQueued) e.error_queued = true;
    done_with_error(h.index, error);
    return settle(h.index);
  }
  because(Rule::kIcmpSoft);
  if (e.opt.recv_err) {
    e.error = error;
    wake(e);
  } else {
    e.soft_error = error;
  }
  settle(h.index);
}

// Linux net/ipv4/tcp_ipv4.c tcp_req_err(): there is nobody to tell.
void Kernel::icmp_to_request(std::uint32_t index, const Packet& p) {
  const Request& r = requests[index];
  if (p.seq != r.iss) {
    because(Rule::kIcmpOutOfWindow);
    return count(Mib::kOutOfWindowIcmps);
  }
  bool ends = false;
  switch (config.kernel.request_icmp) {
    case RequestIcmp::kAnyUnreachable: ends = !too_big(p) && error_of(p) != Errno::kNone; break;
    case RequestIcmp::kUnreachableNetOrHost: ends = ends_request(p); break;
  }
  if (!ends) return because(Rule::kIcmpIgnored);
  because(Rule::kRequestUnreachable);
  remove_request(index);
  if (config.kernel.syn_drops_counted == SynDropsCounted::kYes) count(Mib::kListenDrops);
}

// Linux tcp_v4_mtu_reduced(): RFC 1191 6.4, RFC 8201 4. A router that names no size, or an absurd one, is not
// believed below min_pmtu.
void Kernel::lower_mtu(Endpoint& e, const Packet& p) {
  const auto least = is_v6(p) ? 1280u : static_cast<std::uint32_t>(config.sysctls.min_pmtu);
  const std::uint32_t mtu = std::max<std::uint32_t>(p.icmp_mtu, least);
  if (mtu >= e.pmtu || config.sysctls.ip_no_pmtu_disc == 2) return because(Rule::kIcmpIgnored);
  because(Rule::kPmtuLowered);
  learned_mtu[hash(e.tuple.remote, config.seed)] = mtu;
  set_mss(e, mtu);
  simple_retransmit(e);
}

// Linux net/ipv4/tcp_ipv4.c tcp_ld_RTO_revert(); RFC 6069 3.
void Kernel::undo_backoff(Endpoint& e, std::uint32_t index, const Packet& p) {
  if (p.seq != e.snd_una || e.retransmits == 0 || e.backoff == 0 || e.packets_out() == 0) return;
  because(Rule::kIcmpUndoBackoff);
  --e.backoff;
  if (e.srtt8 != 0)
    set_rto(e);
  else
    e.rto = config.kernel.initial_rto;
  for (int i = 0; i < e.backoff; ++i) e.rto = std::min(e.rto * 2, rto_max());
  const Duration waited = tick() * (us_between(e.sent[e.sent_head].sent_at, now) / (tick().count() / 1000));
  if (e.rto > waited)
    arm_xmit(e, XmitTimer::kRetransmit, e.rto - waited);
  else
    fire_retransmit(e, index);
}

}  // namespace tcpwhy::model
