#include "world/model_host.hpp"

#include <algorithm>
#include <cerrno>

namespace tcpwhy::world {
namespace {

model::Address to_model(std::uint32_t ip, std::uint8_t version) { return {version, octets_of(ip, version)}; }
std::uint32_t from_model(const model::Address& a) { return ip_of(a.bytes.data(), a.version).value_or(0); }
Address from_model(const model::SocketAddress& a) { return {from_model(a.address), a.port}; }

/// "syn-queue-full" for SynQueueFull, as reports and JSON name rules.
std::string kebab(std::string_view id) {
  std::string out;
  for (const char c : id) {
    const bool capital = c >= 'A' && c <= 'Z';
    if (capital && !out.empty()) out += '-';
    out += capital ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return out;
}

const std::string& rule_name(std::size_t rule) {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (std::size_t i = 0; i < model::kRules; ++i) all.push_back(kebab(model::row(static_cast<model::Rule>(i)).id));
    return all;
  }();
  return names[rule];
}

std::string timer_text(const model::SocketView& view) {
  const auto shown = [&](std::string_view name) {
    return "timer:(" + std::string{name} + "," + std::to_string(view.expires / std::chrono::milliseconds{1}) + "ms," +
           std::to_string(view.retransmits) + ")";
  };
  switch (view.timer) {
    case model::TimerShown::kNone: return {};
    case model::TimerShown::kOn: return shown("on");
    case model::TimerShown::kKeepalive: return shown("keepalive");
    case model::TimerShown::kTimeWait: return shown("timewait");
    case model::TimerShown::kPersist: return shown("persist");
  }
  return {};
}

}  // namespace

model::Packet to_model(const Packet& p) {
  model::Packet m;
  m.source = to_model(p.icmp ? p.icmp->quoted_source : p.source, p.ip_version);
  m.destination = to_model(p.icmp ? p.icmp->quoted_destination : p.destination, p.ip_version);
  m.source_port = p.source_port;
  m.destination_port = p.destination_port;
  m.ttl = p.ttl;
  m.tos = p.tos;
  m.ip_id = p.ip_id;
  m.dont_fragment = p.dont_fragment;
  m.seq = p.seq;
  m.ack = p.ack;
  m.flags = p.flags;
  m.window = p.window;
  const auto carries = [&m](std::uint16_t option) { m.options = static_cast<std::uint16_t>(m.options | option); };
  if (p.mss) carries(wire::Opt::kMss), m.mss = *p.mss;
  if (p.window_scale) carries(wire::Opt::kWindowScale), m.window_scale = *p.window_scale;
  if (p.sack_permitted) carries(wire::Opt::kSackPermitted);
  if (p.timestamps) carries(wire::Opt::kTimestamps), m.tsval = p.timestamps->value, m.tsecr = p.timestamps->echo;
  if (!p.sack.empty()) carries(wire::Opt::kSack);
  for (const auto& [left, right] : p.sack) {
    if (m.sack_blocks == 4) break;
    m.sack[2u * m.sack_blocks] = left;
    m.sack[2u * m.sack_blocks + 1] = right;
    ++m.sack_blocks;
  }
  m.payload_bytes = static_cast<std::uint32_t>(p.payload.size());
  m.payload.assign(p.payload.begin(), p.payload.end());
  if (p.icmp) {
    m.kind = model::PacketKind::kIcmp;
    m.icmp_type = p.icmp->type;
    m.icmp_code = p.icmp->code;
    m.icmp_mtu = p.icmp->mtu;
    m.icmp_from = to_model(p.source, p.ip_version);
  }
  return m;
}

Packet from_model(const model::Packet& m) {
  Packet p;
  p.ip_version = m.source.version;
  p.source = from_model(m.source);
  p.destination = from_model(m.destination);
  p.source_port = m.source_port;
  p.destination_port = m.destination_port;
  p.ttl = m.ttl;
  p.tos = m.tos;
  p.ip_id = m.ip_id;
  p.dont_fragment = m.dont_fragment;
  p.seq = m.seq;
  p.ack = m.ack;
  p.flags = m.flags;
  p.window = m.window;
  if (m.has(wire::Opt::kMss)) p.mss = m.mss;
  if (m.has(wire::Opt::kWindowScale)) p.window_scale = m.window_scale;
  p.sack_permitted = m.has(wire::Opt::kSackPermitted);
  if (m.has(wire::Opt::kTimestamps)) p.timestamps = Packet::Stamp{m.tsval, m.tsecr};
  for (unsigned i = 0; i < m.sack_blocks; ++i) p.sack.emplace_back(m.sack[2 * i], m.sack[2 * i + 1]);
  p.payload.assign(m.payload.begin(), m.payload.end());
  p.payload.resize(m.payload_bytes);  // the model may carry the length alone
  if (m.kind == model::PacketKind::kIcmp) {
    p.icmp = Packet::Icmp{m.icmp_type, m.icmp_code, m.icmp_mtu, p.source, p.destination};
    p.destination = p.source;
    p.source = from_model(m.icmp_from);
  }
  return p;
}

ModelHost::ModelHost(World& world, std::string name, std::uint32_t ip, model::HostConfig config)
    : Host{std::move(name), ip}, world_{world}, ip_version_{config.addresses.empty() ? std::uint8_t{4} : config.addresses.front().version},
      host_{std::move(config)} {}

// One door for everything a step brings: packets to the wire, rules into the book.
void ModelHost::carry_out() {
  for (const model::Rule rule : step_.because) {
    ++rules_[static_cast<std::size_t>(rule)];
    world_.fired(*this, rule_name(static_cast<std::size_t>(rule)));
  }
  for (const model::Packet& packet : step_.sent) world_.transmit(*this, from_model(packet));
  step_.clear();
}

void ModelHost::deliver(const Packet& packet) {
  host_.deliver(world_.now(), to_model(packet), step_);
  carry_out();
}
void ModelHost::fire() {
  host_.fire(world_.now(), step_);
  carry_out();
}

std::map<std::string, std::uint64_t> ModelHost::rules() const {
  std::map<std::string, std::uint64_t> counts;
  for (std::size_t i = 0; i < rules_.size(); ++i)
    if (rules_[i] != 0) counts[rule_name(i)] = rules_[i];
  return counts;
}

long ModelHost::done(const model::CallResult& result) {
  carry_out();
  if (result.blocked) return -EAGAIN;
  if (result.error != Errno::kNone) return -static_cast<long>(result.error);
  return static_cast<long>(result.value);
}

int ModelHost::socket() {
  if (descriptors_ >= most_descriptors_) return -EMFILE;
  ++descriptors_;
  const auto family = ip_version_ == 6 ? model::Family::kInet6 : model::Family::kInet;
  return static_cast<int>(done(host_.socket(world_.now(), family, model::Blocking::kNo, step_)));
}

int ModelHost::set(Fd fd, Option option, int value) {
  const ModelTime now = world_.now();
  const auto plain = [&](model::SocketOption o) {
    return static_cast<int>(done(host_.setsockopt(now, fd, o, value, step_)));
  };
  using O = model::SocketOption;
  switch (option) {
    case Option::kReuseAddress: return plain(O::kReuseAddr);
    case Option::kLinger: return static_cast<int>(done(host_.set_linger(now, fd, value >= 0, std::max(value, 0), step_)));
    case Option::kKeepAlive: return plain(O::kKeepAlive);
    case Option::kKeepIdle: return plain(O::kKeepIdle);
    case Option::kKeepInterval: return plain(O::kKeepIntvl);
    case Option::kKeepCount: return plain(O::kKeepCnt);
    case Option::kDeferAccept: return plain(O::kDeferAccept);
    case Option::kUserTimeout: return plain(O::kUserTimeout);
    case Option::kSynCount: return plain(O::kSynCnt);
    case Option::kLinger2: return plain(O::kLinger2);
    case Option::kReceiveBuffer: return plain(O::kRcvBuf);
    case Option::kSendBuffer: return plain(O::kSndBuf);
    case Option::kNoDelay: return plain(O::kNoDelay);
    case Option::kFastOpen: return plain(O::kFastOpen);
    case Option::kFastOpenConnect: return plain(O::kFastOpenConnect);
  }
  return -EINVAL;
}

int ModelHost::bind(Fd fd, Address local) {
  return static_cast<int>(done(host_.bind(world_.now(), fd, {to_model(local.ip, ip_version_), local.port}, step_)));
}
int ModelHost::listen(Fd fd, int backlog) {
  return static_cast<int>(done(host_.listen(world_.now(), fd, backlog, step_)));
}
int ModelHost::connect(Fd fd, Address remote) {
  return static_cast<int>(done(host_.connect(world_.now(), fd, {to_model(remote.ip, ip_version_), remote.port}, step_)));
}
int ModelHost::accept(Fd fd) {
  if (descriptors_ >= most_descriptors_) return -EMFILE;
  const long child = done(host_.accept(world_.now(), fd, nullptr, step_));
  if (child < 0) return static_cast<int>(child);
  ++descriptors_;
  host_.set_blocking(static_cast<int>(child), model::Blocking::kNo);
  return static_cast<int>(child);
}
long ModelHost::send(Fd fd, std::string_view data) {
  return done(host_.send(world_.now(), fd, data.size(), model::MessageFlags::kNoSignal,
                         {reinterpret_cast<const std::uint8_t*>(data.data()), data.size()}, step_));
}
long ModelHost::receive(Fd fd, std::size_t most, std::string& into) {
  std::vector<std::uint8_t> data;
  const long got = done(host_.recv(world_.now(), fd, most, 0, &data, step_));
  into.append(data.begin(), data.end());
  return got;
}
int ModelHost::shutdown(Fd fd, How how) {
  const model::Shutdown what = how == How::kRead    ? model::Shutdown::kRead
                               : how == How::kWrite ? model::Shutdown::kWrite
                                                    : model::Shutdown::kBoth;
  return static_cast<int>(done(host_.shutdown(world_.now(), fd, what, step_)));
}
int ModelHost::close(Fd fd) {
  if (descriptors_ > 0) --descriptors_;
  return static_cast<int>(done(host_.close(world_.now(), fd, step_)));
}
int ModelHost::error(Fd fd) {
  return static_cast<int>(done(host_.getsockopt(world_.now(), fd, model::SocketOption::kError, step_)));
}

Ready ModelHost::poll(Fd fd) {
  const auto bits = static_cast<std::uint16_t>(host_.poll(world_.now(), fd).value);
  using E = model::PollEvents;
  return {(bits & E::kIn) != 0, (bits & E::kOut) != 0, (bits & E::kErr) != 0, (bits & E::kHup) != 0};
}

Address ModelHost::local(Fd fd) {
  model::SocketAddress a;
  return host_.getsockname(fd, &a).ok() ? from_model(a) : Address{};
}
Address ModelHost::remote(Fd fd) {
  model::SocketAddress a;
  return host_.getpeername(fd, &a).ok() ? from_model(a) : Address{};
}

std::map<std::string, std::uint64_t> ModelHost::counters() {
  std::map<std::string, std::uint64_t> all;
  for (std::size_t i = 0; i < kMibs; ++i) all[std::string{row(static_cast<Mib>(i)).name}] = host_.counters()[i];
  return all;
}

std::vector<SocketRow> ModelHost::sockets() {
  std::vector<SocketRow> rows;
  for (const model::SocketView& v : host_.sockets(world_.now()))
    rows.push_back({std::string{ss_name(v.state)}, from_model(v.local), from_model(v.remote), v.recv_q, v.send_q, timer_text(v)});
  return rows;
}

}  // namespace tcpwhy::world
