// A segment comes in and finds the socket it belongs to. Linux net/ipv4/tcp_ipv4.c tcp_v4_rcv().

#include "model/kernel.hpp"

namespace tcpwhy::model {

Handle Kernel::find(const Tuple4& t, std::uint64_t h) const {
  return table.find(h, [&](Handle other) {
    switch (other.kind) {
      case Kind::kEndpoint: return endpoints[other.index].tuple == t;
      case Kind::kRequest: return requests[other.index].tuple == t;
      case Kind::kTimeWait: return time_waits[other.index].tuple == t;
      case Kind::kNone:
      case Kind::kListener: break;
    }
    return false;
  });
}

// compute_score(): a listener of the very address before one of any address, one's own family before IPv6's any.
Handle Kernel::find_listener(const Address& local, std::uint16_t port) const {
  const auto at = listening.find(port);
  if (at == listening.end()) return {};
  Handle best;
  int best_score = 0;
  for (const std::uint32_t index : at->second) {
    const Listener& l = listeners[index];
    int score = 1;
    if (l.local.address.is_any()) {
      if (l.local.address.version != local.version) {
        if (l.opt.family != Family::kInet6 || l.opt.v6_only || local.version != 4) continue;
        score = 0;
      }
    } else {
      if (!(l.local.address == local)) continue;
      score = 3;
    }
    score += l.opt.family == Family::kInet ? 2 : 1;
    if (score > best_score) {
      best_score = score;
      best = {Kind::kListener, index};
    }
  }
  return best;
}

void Kernel::deliver(const Packet& p) {
  if (p.kind == PacketKind::kIcmp) {
    on_icmp(p);
    return;
  }
  if (!is_ours(p.destination)) return;  // forwarded, broadcast or multicast: none of TCP's business
  count(Mib::kInSegs);
  const Tuple4 t{p.destination, p.source, p.destination_port, p.source_port};
  Handle h = find(t, hash(t, config.seed));
  if (!h) h = find_listener(p.destination, p.destination_port);
  if (p.has(wire::Opt::kMd5) && h && h.kind != Kind::kTimeWait) {
    count(Mib::kTCPMD5Unexpected);
    because(Rule::kSignatureUnexpected);
    return;
  }
  switch (h.kind) {
    case Kind::kEndpoint: on_endpoint(h.index, p); break;
    case Kind::kRequest: on_request(h.index, p); break;
    case Kind::kTimeWait: on_time_wait(h.index, p); break;
    case Kind::kListener: on_listener(h.index, p); break;
    case Kind::kNone: send_reset(p, Rule::kNoSocket); break;  // RFC 9293 3.10.7.1
  }
}

void Kernel::on_endpoint(std::uint32_t index, const Packet& p) {
  Endpoint& e = endpoints[index];
  ++e.segs_in;
  if (p.payload_bytes != 0) ++e.data_segs_in;
  switch (e.state) {
    case State::kClose:
    case State::kUnseen:
    case State::kTimeWait:
    case State::kListen:
    case State::kNewSynRecv: because(Rule::kClosedSocket); break;
    case State::kSynSent: on_syn_sent(index, p); break;
    case State::kEstablished:
    case State::kSynRecv:
    case State::kFinWait1:
    case State::kFinWait2:
    case State::kCloseWait:
    case State::kLastAck:
    case State::kClosing: on_synchronized(index, p); break;
  }
  if (!endpoints.live(index)) return;
  wake(e);
  settle(index);
}

}  // namespace tcpwhy::model
