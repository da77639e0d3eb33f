#include "world/boxes.hpp"

namespace tcpwhy::world {
namespace {

using Flag = wire::Flag;

std::size_t index(Way way) { return static_cast<std::size_t>(way); }
bool opens(const Packet& p) { return p.is_tcp() && p.has(Flag::kSyn) && !p.has(Flag::kAck); }

// RFC 792; RFC 1812 5.2.7.1 for code 13.
constexpr std::uint8_t kUnreachable = 3, kNet = 0, kHost = 1, kPort = 3, kTooBig = 4, kAdmin = 13;

}  // namespace

void Link::handle(Packet packet, Hand hand) {
  World& world = hand.world();
  if (packet.ip_bytes() > settings_.mtu && packet.dont_fragment) {
    // RFC 1191; a router that keeps silent makes the black hole.
    if (settings_.says_too_big && packet.is_tcp()) {
      const std::uint32_t router = settings_.router != 0 ? settings_.router : packet.destination;
      hand.back(icmp_about(packet, router, kUnreachable, kTooBig, static_cast<std::uint16_t>(settings_.mtu)),
                settings_.delay);
    }
    return;
  }
  if (settings_.loss_ppm != 0 && world.random().happens(settings_.loss_ppm)) return;
  Duration delay = settings_.delay;
  if (settings_.jitter > Duration::zero())
    delay += Duration{static_cast<Duration::rep>(world.random().below(static_cast<std::uint64_t>(settings_.jitter.count())))};
  if (settings_.reorder_ppm != 0 && world.random().happens(settings_.reorder_ppm)) {
    hand.onward(std::move(packet), delay + settings_.reorder_by);
    return;
  }
  ModelTime& last = busy_until_[index(hand.way())];
  last = std::max(last, world.now() + delay);
  hand.onward(std::move(packet), last - world.now());
}

Filter::Match incoming_syns(Filter::Verdict verdict) {
  return [verdict](const Packet& packet, Way way) {
    return way == Way::kIn && opens(packet) ? verdict : Filter::Verdict::kPass;
  };
}

void Filter::handle(Packet packet, Hand hand) {
  const std::uint32_t self = self_ != 0 ? self_ : packet.destination;
  const auto icmp = [&](std::uint8_t code) { hand.back(icmp_about(packet, self, kUnreachable, code)); };
  switch (match_(packet, hand.way())) {
    case Verdict::kPass: hand.onward(std::move(packet)); return;
    case Verdict::kDrop: return;
    case Verdict::kReset:
      if (packet.is_tcp() && !packet.has(Flag::kRst)) hand.back(reset_for(packet));
      return;
    case Verdict::kIcmpPort: icmp(kPort); return;
    case Verdict::kIcmpHost: icmp(kHost); return;
    case Verdict::kIcmpNet: icmp(kNet); return;
    case Verdict::kIcmpAdmin: icmp(kAdmin); return;
  }
}

void Meddler::handle(Packet packet, Hand hand) {
  const Order order = rule_(packet, hand.way());
  if (order.again) hand.onward(packet, *order.again);
  if (order.pass) hand.onward(std::move(packet), order.delay);
}

// --- NAT ---------------------------------------------------------------------------

bool Nat::expired(const Entry& entry, ModelTime now) const {
  switch (entry.phase) {
    case Phase::kOpening: return now - entry.last > settings_.opening_timeout;
    case Phase::kEstablished: return now - entry.last > settings_.established_timeout;
    case Phase::kClosing: return now - entry.last > settings_.closing_timeout;
  }
  return true;
}

void Nat::follow(Entry& entry, const Packet& packet, ModelTime now) {
  entry.last = now;
  if (packet.has(Flag::kRst) || packet.has(Flag::kFin)) entry.phase = Phase::kClosing;
  else if (packet.has(Flag::kSyn) && !packet.has(Flag::kAck)) entry.phase = Phase::kOpening;
  else if (entry.phase == Phase::kOpening && !packet.has(Flag::kSyn)) entry.phase = Phase::kEstablished;
}

std::uint16_t Nat::allocate(const Key& key, ModelTime now) {
  const auto free = [&](std::uint16_t port) {
    const auto found = by_outside_.find({port, key.peer});
    if (found == by_outside_.end()) return true;
    if (!expired(by_inside_[found->second], now)) return false;
    by_inside_.erase(found->second);
    by_outside_.erase(found);
    return true;
  };
  if (settings_.ports == Ports::kPreserve && free(key.inside.port)) return key.inside.port;
  for (std::uint32_t tries = 0; tries < 0x10000u - settings_.first_port; ++tries) {
    if (next_ < settings_.first_port) next_ = settings_.first_port;
    const std::uint16_t port = next_++;
    if (free(port)) return port;
  }
  return 0;
}

void Nat::handle(Packet packet, Hand hand) {
  if (hand.way() == Way::kOut) out(std::move(packet), hand);
  else in(std::move(packet), hand);
}

void Nat::out(Packet packet, Hand hand) {
  if (packet.icmp) return hand.onward(std::move(packet));
  const ModelTime now = hand.world().now();
  const Key key{{packet.source, packet.source_port}, {packet.destination, packet.destination_port}};
  auto found = by_inside_.find(key);
  if (found != by_inside_.end() && expired(found->second, now)) {
    by_outside_.erase({found->second.port, key.peer});
    by_inside_.erase(found);
    found = by_inside_.end();
  }
  if (found == by_inside_.end()) {
    if (!opens(packet)) {
      switch (settings_.stray) {
        case Stray::kDrop: return;
        case Stray::kReset:
          if (!packet.has(Flag::kRst)) hand.back(reset_for(packet));
          return;
        case Stray::kPassUntranslated: return hand.onward(std::move(packet));
      }
    }
    const std::uint16_t port = allocate(key, now);
    if (port == 0) return;  // exhausted
    found = by_inside_.emplace(key, Entry{.port = port}).first;
    by_outside_[{port, key.peer}] = key;
  }
  follow(found->second, packet, now);
  packet.source = settings_.outside;
  packet.source_port = found->second.port;
  hand.onward(std::move(packet));
}

void Nat::in(Packet packet, Hand hand) {
  const ModelTime now = hand.world().now();
  // An ICMP error quotes what we sent: translate the quotation (RFC 5508 4.2).
  const Address peer = packet.icmp ? Address{packet.icmp->quoted_destination, packet.destination_port}
                                   : Address{packet.source, packet.source_port};
  const std::uint16_t port = packet.icmp ? packet.source_port : packet.destination_port;
  const auto found = by_outside_.find({port, peer});
  if (packet.destination != settings_.outside || found == by_outside_.end()) return;
  Entry& entry = by_inside_[found->second];
  if (expired(entry, now)) return;
  packet.destination = found->second.inside.ip;
  if (packet.icmp) {
    packet.source_port = found->second.inside.port;
    packet.icmp->quoted_source = found->second.inside.ip;
  } else {
    follow(entry, packet, now);
    packet.destination_port = found->second.inside.port;
  }
  hand.onward(std::move(packet));
}

// --- Balancers ---------------------------------------------------------------------

void Balancer::handle(Packet packet, Hand hand) {
  const ModelTime now = hand.world().now();
  if (packet.icmp) return hand.onward(std::move(packet));
  if (hand.way() == Way::kIn) {
    if (Address{packet.destination, packet.destination_port} != settings_.service) return hand.onward(std::move(packet));
    const Address client{packet.source, packet.source_port};
    auto found = flows_.find(client);
    if (found != flows_.end() && now - found->second.last > settings_.idle_timeout && !opens(packet)) {
      flows_.erase(found);
      if (settings_.on_idle == OnIdle::kReset && !packet.has(Flag::kRst)) hand.back(reset_for(packet));
      return;
    }
    if (found == flows_.end() || opens(packet)) {
      if (!opens(packet)) {
        if (settings_.on_idle == OnIdle::kReset && !packet.has(Flag::kRst)) hand.back(reset_for(packet));
        return;
      }
      if (found == flows_.end())
        found = flows_.emplace(client, Flow{.server = turn_++ % settings_.servers.size()}).first;
    }
    found->second.last = now;
    const Address& server = settings_.servers[found->second.server];
    packet.destination = server.ip;
    packet.destination_port = server.port;
    return hand.onward(std::move(packet));
  }
  const auto found = flows_.find({packet.destination, packet.destination_port});
  if (found == flows_.end()) return hand.onward(std::move(packet));
  found->second.last = now;
  packet.source = settings_.service.ip;
  packet.source_port = settings_.service.port;
  hand.onward(std::move(packet));
}

// Two handshakes: ours with the client, by a number only we know; then, once the
// client's ACK proves it, the client's own SYN goes to the server. From then on
// the server's numbers are moved by the difference of the two.
void SynProxy::handle(Packet packet, Hand hand) {
  if (packet.icmp) return hand.onward(std::move(packet));
  const bool in = hand.way() == Way::kIn;
  const Address client = in ? Address{packet.source, packet.source_port} : Address{packet.destination, packet.destination_port};
  const Address server = in ? Address{packet.destination, packet.destination_port} : Address{packet.source, packet.source_port};
  if (in && opens(packet)) {
    Flow& flow = flows_[{client, server}];
    flow = Flow{};
    flow.cookie = static_cast<std::uint32_t>(hand.world().random().next());
    flow.syn = packet;
    Packet answer = reset_for(packet);
    answer.flags = Flag::kSyn | Flag::kAck;
    answer.seq = SeqNum{flow.cookie};
    answer.ack = packet.seq + 1;
    answer.window = settings_.window;
    answer.mss = settings_.mss;
    return hand.back(std::move(answer));
  }
  const auto found = flows_.find({client, server});
  if (found == flows_.end()) return hand.onward(std::move(packet));
  Flow& flow = found->second;
  if (!in) {
    if (packet.has(Flag::kSyn) && packet.has(Flag::kAck) && !flow.server_isn) {
      flow.server_isn = packet.seq.raw();
      Packet ack = flow.syn;
      ack.flags = Flag::kAck;
      ack.seq = flow.syn.seq + 1;
      ack.ack = packet.seq + 1;
      ack.mss.reset(), ack.window_scale.reset(), ack.timestamps.reset();
      ack.sack_permitted = false;
      hand.back(std::move(ack));
      for (Packet& waiting : flow.waiting) {
        if (settings_.acks == AckNumbers::kShifted)
          waiting.ack = waiting.ack + (*flow.server_isn - flow.cookie);
        hand.back(std::move(waiting));
      }
      flow.waiting.clear();
      return;
    }
    if (flow.server_isn) packet.seq = packet.seq + (flow.cookie - *flow.server_isn);
    return hand.onward(std::move(packet));
  }
  if (!flow.server_isn) {
    if (!packet.has(Flag::kAck) || packet.ack != SeqNum{flow.cookie + 1}) return;
    if (!packet.payload.empty()) flow.waiting.push_back(packet);
    Packet syn = flow.syn;
    // No option that we did not negotiate with the client.
    syn.window_scale.reset(), syn.timestamps.reset();
    syn.sack_permitted = false;
    return hand.onward(std::move(syn));
  }
  if (settings_.acks == AckNumbers::kShifted || packet.payload.empty())
    packet.ack = packet.ack + (*flow.server_isn - flow.cookie);
  hand.onward(std::move(packet));
}

void SequenceShift::handle(Packet packet, Hand hand) {
  if (packet.icmp) return hand.onward(std::move(packet));
  if (hand.way() == Way::kOut) {
    const std::pair key{Address{packet.source, packet.source_port}, Address{packet.destination, packet.destination_port}};
    const auto found = flows_.find(key);
    if (opens(packet) && (found == flows_.end() || !found->second.same(packet.seq)))
      flows_[key] = {packet.seq, shift_(packet)};
    packet.seq = packet.seq + flows_[key].by;
  } else {
    const auto found = flows_.find({{packet.destination, packet.destination_port}, {packet.source, packet.source_port}});
    if (found != flows_.end() && packet.has(Flag::kAck)) packet.ack = packet.ack - found->second.by;
  }
  hand.onward(std::move(packet));
}

void Injector::handle(Packet packet, Hand hand) {
  if (packet.icmp || packet.payload.empty() || packet.has(Flag::kRst)) return hand.onward(std::move(packet));
  const std::pair key{Address{packet.source, packet.source_port}, Address{packet.destination, packet.destination_port}};
  if (++seen_[key] != settings_.after_data_packets) return hand.onward(std::move(packet));
  Packet to_receiver = packet, to_sender = reset_for(packet);
  to_receiver.payload.clear();
  to_receiver.flags = Flag::kRst | Flag::kAck;
  to_receiver.seq = packet.seq + packet.length();
  to_receiver.timestamps.reset();
  to_receiver.ttl = to_sender.ttl = settings_.ttl;
  to_receiver.ip_id = to_sender.ip_id = 0;
  hand.onward(std::move(packet));
  hand.onward(std::move(to_receiver));
  if (settings_.both) hand.back(std::move(to_sender));
}

}  // namespace tcpwhy::world
