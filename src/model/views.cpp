// What a person sees of a host: `ss -ant`, `netstat -s`, `nstat`, and addresses as text.

#include <algorithm>
#include <charconv>

#include "model/kernel.hpp"

namespace tcpwhy::model {

namespace {

std::string endpoint_text(const SocketAddress& a) {
  std::string text = to_string(a.address);
  if (a.address.is_any()) text = a.address.version == 4 ? "0.0.0.0" : "[::]";
  else if (a.address.version == 6) text = "[" + text + "]";
  return text + ":" + (a.port == 0 ? std::string{"*"} : std::to_string(a.port));
}

std::string pad(std::string text, std::size_t width) {
  text.resize(std::max(width, text.size() + 1), ' ');
  return text;
}

/// ss -o: "1.2sec", "340ms", "1min2sec".
std::string span_text(Duration d) {
  const auto ms = std::max<std::int64_t>(0, d / std::chrono::milliseconds{1});
  if (ms < 1000) return std::to_string(ms) + "ms";
  const std::int64_t s = ms / 1000;
  if (s >= 3600) return std::to_string(s / 3600) + "h" + std::to_string(s / 60 % 60) + "min";
  if (s >= 60) return std::to_string(s / 60) + "min" + (s % 60 != 0 ? std::to_string(s % 60) + "sec" : std::string{});
  if (s >= 10) return std::to_string(s) + "sec";
  return std::to_string(s) + "." + std::to_string(ms % 1000 / 100) + "sec";
}

std::string_view timer_name(TimerShown t) {
  switch (t) {
    case TimerShown::kNone: return "";
    case TimerShown::kOn: return "on";
    case TimerShown::kKeepalive: return "keepalive";
    case TimerShown::kTimeWait: return "timewait";
    case TimerShown::kPersist: return "persist";
  }
  return "";
}

}  // namespace

// inet_diag: listeners first, then what is connected, then requests and TIME_WAIT.
std::vector<SocketView> Kernel::sockets() const {
  std::vector<SocketView> all;
  for (std::uint32_t i = 0; i < listeners.size(); ++i) {
    if (!listeners.live(i) || listeners[i].fd < 0) continue;
    const Listener& l = listeners[i];
    SocketView v;
    v.state = State::kListen;
    v.local = l.local;
    v.remote.address.version = l.local.address.version;
    v.recv_q = static_cast<std::uint32_t>(l.accept_queue.size());
    v.send_q = l.backlog;
    v.fd = l.fd;
    all.push_back(v);
  }
  for (std::uint32_t i = 0; i < endpoints.size(); ++i) {
    if (!endpoints.live(i) || endpoints[i].state == State::kClose) continue;
    const Endpoint& e = endpoints[i];
    SocketView v;
    v.state = e.state;
    v.local = {e.tuple.local, e.tuple.local_port};
    v.remote = {e.tuple.remote, e.tuple.remote_port};
    v.recv_q = e.unread() + (e.peer_fin && !e.fin_read ? 1 : 0);  // as sock_diag: the FIN counts until it is read
    v.send_q = distance(e.snd_una, e.write_seq);
    v.fd = e.fd;
    ModelTime due = kNever;
    switch (e.xmit) {
      case XmitTimer::kNone: break;
      case XmitTimer::kRetransmit:
      case XmitTimer::kLossProbe:
      case XmitTimer::kReorder:
        v.timer = TimerShown::kOn;
        v.retransmits = e.retransmits;
        due = e.xmit_at;
        break;
      case XmitTimer::kProbe0:
        v.timer = TimerShown::kPersist;
        v.retransmits = e.probes_out;
        due = e.xmit_at;
        break;
    }
    if (v.timer == TimerShown::kNone && e.sk_at != kNever) {
      v.timer = TimerShown::kKeepalive;
      v.retransmits = e.probes_out;
      due = e.sk_at;
    }
    if (due != kNever) v.expires = due - now;
    all.push_back(v);
  }
  for (std::uint32_t i = 0; i < requests.size(); ++i) {
    // That of a Fast Open child is not in the table: the child is seen.
    if (!requests.live(i) || !requests[i].in_table) continue;
    const Request& r = requests[i];
    SocketView v;
    v.state = State::kNewSynRecv;
    v.local = {r.tuple.local, r.tuple.local_port};
    v.remote = {r.tuple.remote, r.tuple.remote_port};
    v.timer = TimerShown::kOn;
    v.retransmits = r.timeouts;
    if (r.expires != kNever) v.expires = std::max(Duration{}, Duration{r.expires - now});
    all.push_back(v);
  }
  for (std::uint32_t i = 0; i < time_waits.size(); ++i) {
    if (!time_waits.live(i)) continue;
    const TimeWait& tw = time_waits[i];
    SocketView v;
    v.state = tw.substate;
    v.local = {tw.tuple.local, tw.tuple.local_port};
    v.remote = {tw.tuple.remote, tw.tuple.remote_port};
    v.timer = TimerShown::kTimeWait;
    if (tw.ends != kNever) v.expires = tw.ends - now;
    all.push_back(v);
  }
  return all;
}

std::string ss(const Host& host, ModelTime now) {
  std::string text = pad("State", 11) + pad("Recv-Q", 7) + pad("Send-Q", 7) + pad("Local Address:Port", 24) + "Peer Address:Port\n";
  for (const SocketView& v : host.sockets(now)) {
    text += pad(std::string{ss_name(v.state)}, 11) + pad(std::to_string(v.recv_q), 7) + pad(std::to_string(v.send_q), 7) +
            pad(endpoint_text(v.local), 24) + endpoint_text(v.remote);
    if (v.timer != TimerShown::kNone)
      text += " timer:(" + std::string{timer_name(v.timer)} + "," + span_text(v.expires) + "," +
              std::to_string(v.retransmits) + ")";
    text += '\n';
  }
  return text;
}

std::string netstat_s(const Counters& counters) {
  std::string text;
  for (const std::string_view line : {std::string_view{"Tcp"}, std::string_view{"TcpExt"}}) {
    text += std::string{line} + ":\n";
    for (std::size_t i = 0; i < kMibs; ++i) {
      const MibRow& r = kMibRows[i];
      if (r.line != line || counters[i] == 0) continue;
      text += "    ";
      if (r.sentence.empty()) text += std::string{r.name} + ": " + std::to_string(counters[i]);
      else text += std::to_string(counters[i]) + " " + std::string{r.sentence};
      text += '\n';
    }
  }
  return text;
}

std::string nstat(const Counters& before, const Counters& after) {
  std::string text = "#kernel\n";
  for (std::size_t i = 0; i < kMibs; ++i) {
    if (before[i] == after[i]) continue;
    text += pad(std::string{kMibRows[i].line} + std::string{kMibRows[i].name}, 32) + std::to_string(after[i] - before[i]) +
            "\n";
  }
  return text;
}

std::string to_string(const Address& a) {
  std::string text;
  if (a.version == 4) {
    for (std::size_t i = 0; i < 4; ++i) text += (i == 0 ? "" : ".") + std::to_string(a.bytes[i]);
    return text;
  }
  // RFC 5952: the longest run of zero groups, if longer than one, becomes "::".
  std::array<unsigned, 8> groups{};
  for (std::size_t i = 0; i < 8; ++i) groups[i] = a.bytes[2 * i] * 256u + a.bytes[2 * i + 1];
  std::size_t best = 8, best_length = 1;
  for (std::size_t i = 0; i < 8; ++i) {
    std::size_t n = 0;
    while (i + n < 8 && groups[i + n] == 0) ++n;
    if (n > best_length) {
      best = i;
      best_length = n;
    }
  }
  for (std::size_t i = 0; i < 8; ++i) {
    if (i == best) {
      text += "::";
      i += best_length - 1;
      continue;
    }
    if (!text.empty() && text.back() != ':') text += ':';
    std::array<char, 8> hex{};
    const auto [end, error] = std::to_chars(hex.data(), hex.data() + hex.size(), groups[i], 16);
    text.append(hex.data(), end);
  }
  return text;
}

namespace {

std::optional<Address> parse_v4(std::string_view text) {
  Address a;
  for (std::size_t i = 0; i < 4; ++i) {
    unsigned n = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (error != std::errc{} || n > 255) return std::nullopt;
    a.bytes[i] = static_cast<std::uint8_t>(n);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (i == 3) break;
    if (text.empty() || text.front() != '.') return std::nullopt;
    text.remove_prefix(1);
  }
  if (!text.empty()) return std::nullopt;
  return a;
}

}  // namespace

std::optional<Address> parse_address(std::string_view text) {
  if (text.find(':') == std::string_view::npos) return parse_v4(text);
  Address a;
  a.version = 6;
  std::vector<std::uint8_t> head, tail;
  bool gap = false;
  if (text.starts_with("::")) {
    gap = true;
    text.remove_prefix(2);
  }
  while (!text.empty()) {
    std::vector<std::uint8_t>& into = gap ? tail : head;
    const std::size_t end = text.find(':');
    const std::string_view word = text.substr(0, end);
    if (word.find('.') != std::string_view::npos) {
      const auto v4 = parse_v4(word);
      if (!v4 || end != std::string_view::npos) return std::nullopt;
      into.insert(into.end(), v4->bytes.begin(), v4->bytes.begin() + 4);
      break;
    }
    unsigned n = 0;
    const auto [stop, error] = std::from_chars(word.data(), word.data() + word.size(), n, 16);
    if (error != std::errc{} || stop != word.data() + word.size() || word.size() > 4) return std::nullopt;
    into.push_back(static_cast<std::uint8_t>(n >> 8));
    into.push_back(static_cast<std::uint8_t>(n & 255u));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
    if (text.starts_with(":")) {
      if (gap) return std::nullopt;
      gap = true;
      text.remove_prefix(1);
    } else if (text.empty()) {
      return std::nullopt;
    }
  }
  const std::size_t have = head.size() + tail.size();
  if (have > 16 || (gap ? have == 16 : have != 16)) return std::nullopt;
  std::copy(head.begin(), head.end(), a.bytes.begin());
  std::copy(tail.begin(), tail.end(), a.bytes.end() - static_cast<std::ptrdiff_t>(tail.size()));
  return a;
}

}  // namespace tcpwhy::model
