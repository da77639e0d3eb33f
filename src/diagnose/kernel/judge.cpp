// Events about one 4-tuple within a moment are one case; who is asked first, and when a case is ripe.

#include "diagnose/kernel/words.hpp"

#include <algorithm>

namespace tcpwhy::diagnose::kernel {
namespace {

constexpr std::uint64_t kLongest = 1'200'000'000;  // a case is judged after this at the latest
constexpr std::size_t kMostCases = 65536, kMostEvents = 24, kMostReported = 262144;
constexpr std::uint32_t kMostLooks = 64;  // in one round

// Drops that mean something only when they go on: a healthy connection may meet one.
std::uint32_t drops_needed(std::string_view reason, const tw_event& e) {
  if (reason == "TCP_LISTEN_OVERFLOW" || reason == "NEIGH_FAILED" || reason == "NEIGH_CREATEFAIL" || reason.starts_with("TCP_MD5") ||
      reason.starts_with("TCP_AO") || reason == "TCP_AUTH_HDR" || reason == "TCP_INVALID_SYN" || reason == "TCP_MINTTL" || reason == "TCP_ACK_UNSENT_DATA" || reason == "NOT_SPECIFIED")
    return 1;
  if ((e.tcp_flags & kSyn) != 0 && (reason == "NETFILTER_DROP" || reason == "IP_RPFILTER" || reason == "XFRM_POLICY" ||
                                    reason == "TC_INGRESS" || reason == "TC_EGRESS" || reason == "BPF_CGROUP_EGRESS" ||
                                    reason == "IP_INNOROUTES" || reason == "IP_INADDRERRORS"))
    return 1;
  if (reason == "TCP_CSUM" || reason == "NETFILTER_DROP" || reason == "SOCKET_FILTER" || reason == "PKT_TOO_BIG") return 2;
  return 3;
}

/// After it, what opens on the same tuple is another connection.
bool is_end(const tw_event& e) {
  return e.kind == TW_RESET_SENT || e.kind == TW_RESET_RECEIVED || e.kind == TW_CONNECT_FAILED || e.kind == TW_DIED || e.kind == TW_KILLED;
}

}  // namespace

Judge::Judge(const facts::ReasonNames& names, IsLocal is_local, OwnerOf owner_of, LookAt look_at, HasSibling has_sibling)
    : names_{names},
      is_local_{std::move(is_local)},
      owner_of_{std::move(owner_of)},
      look_at_{std::move(look_at)},
      has_sibling_{std::move(has_sibling)} {}

std::string Judge::key(const tw_event& e) {
  // The same from both ends.
  std::string a(reinterpret_cast<const char*>(e.local), 16), b(reinterpret_cast<const char*>(e.remote), 16);
  a += static_cast<char>(e.local_port >> 8);
  a += static_cast<char>(e.local_port & 255);
  b += static_cast<char>(e.remote_port >> 8);
  b += static_cast<char>(e.remote_port & 255);
  return a < b ? a + b : b + a;
}

void Judge::know_listener(std::uint32_t netns, std::uint16_t port, const Owner& owner) {
  listeners_[{netns, port}] = owner;
}

void Judge::observe(const tw_event& event) {
  // close() and disconnect() set CLOSE before they send the RST; what it was is kept with the owner, or in the table of ends.
  tw_event e = event;
  if (e.kind == TW_RESET_SENT && !has(e, TW_HAS_PACKET) && is(e.state, State::kClose)) {
    if (e.old_state != 0)
      e.state = e.old_state;
    else if (has(e, TW_REMEMBERED) && e.time_ns - e.closed_ns < kMoment)
      e.state = e.closed_state;
  }
  if (e.kind == TW_LISTEN) {
    if (is(e.state, State::kListen)) listeners_[{e.netns, e.local_port}] = process_of(e);
    return;
  }
  if (is_stray_reset(e)) {
    // Beside data that goes unanswered it tells; alone it is harmless.
    if (const auto at = cases_.find(key(e)); at != cases_.end()) ++at->second.stray_resets;
    return;
  }
  if (!means_something(e)) return;
  if (cases_.size() >= kMostCases) {
    ++overlooked_;
    return;
  }
  const std::string k = key(e);
  if (told_before(k, e)) return;
  set_aside(k, e);
  Case& c = cases_[k];
  if (c.events.empty()) c.first_ns = e.time_ns;
  c.story.add(e);
  if (e.kind == TW_DROPPED) ++c.drops;
  if (c.request == Case::Request::kNone) c.request = request_of(e);
  if (e.kind == TW_SYNACK_REPEATED) ++c.synacks;
  if (c.events.size() < kMostEvents)
    c.events.push_back(e);
  else
    c.events.back() = e;
}

/// A wrong ACK for a request: soon the request may be a connection, or gone. A flood of such ACKs must not hold up the rest.
Judge::Case::Request Judge::request_of(const tw_event& e) {
  const bool wrong_ack = e.kind == TW_RESET_SENT && has(e, TW_HAS_PACKET) && is(e.state, State::kListen) && (e.tcp_flags & (kSyn | kAck)) == kAck;
  if (!wrong_ack || !look_at_ || looks_ >= kMostLooks) return Case::Request::kNone;
  ++looks_;
  const auto now = look_at_(e);
  if (!now) return Case::Request::kNone;
  if (now->state == State::kSynRecv) return Case::Request::kPending;
  // More than one may have any port.
  return now->alike == 1 ? Case::Request::kOfAnotherAddress : Case::Request::kNone;
}

/// RFC 9293 3.10.7.4: a RST outside the window is ignored.
bool Judge::is_stray_reset(const tw_event& e) const {
  if (e.kind != TW_DROPPED || (e.tcp_flags & kRst) == 0) return false;
  const std::string_view reason = names_.drop_reason(e.reason);
  return reason == "TCP_INVALID_SEQUENCE" || reason == "TCP_OLD_SEQUENCE";
}

/// Drops that a healthy connection may meet by the dozen.
bool Judge::means_something(const tw_event& e) const {
  if (e.kind != TW_DROPPED) return true;
  const std::string_view reason = names_.drop_reason(e.reason);
  const bool receiver_known = e.state != 0;
  // An old segment that was overtaken or doubled has an old timestamp (RFC 7323 5.3); only what the socket lacks is missed.
  if (reason == "TCP_RFC7323_PAWS") return !receiver_known || has(e, TW_NEW_DATA);
  if (reason == "TCP_RESET") return !is(e.state, State::kListen);
  return true;
}

void Judge::Story::add(const tw_event& e) {
  last_ns = std::max(last_ns, e.time_ns);
  if (e.opened_ns != 0) known_ns = std::max(known_ns, e.time_ns);
  over |= is_end(e);
}

/// A connect() after all that is known of the old connection, or, at the end that accepts, a handshake after the old one was over: a SYN
/// that was sent again, and the handshake it led to, are one. What does not tell whose it is (a RST to a segment without a
/// socket) may already belong to the new one.
bool Judge::Story::is_followed_by(const tw_event& e) const {
  return e.opened_ns > (known_ns != 0 ? known_ns : last_ns) && (over || has(e, TW_CONNECTED_OUT));
}

/// The tuple's last connection may still be waiting to be judged when the next one fails: each is a case of its own.
void Judge::set_aside(const std::string& k, const tw_event& e) {
  const auto waiting = cases_.find(k);
  if (waiting == cases_.end() || !waiting->second.story.is_followed_by(e)) return;
  auto earlier = cases_.extract(waiting);
  earlier.key() = fmt::format("{}#{}", k, ++set_aside_);
  cases_.insert(std::move(earlier));
}

/// Is it the rest of a story that was told? Moves the end of that story.
bool Judge::told_before(const std::string& k, const tw_event& e) {
  const auto said = reported_.find(k);
  if (said == reported_.end()) return false;
  const bool new_story = said->second.story.is_followed_by(e);
  // What was silence may be answered yet: too late, or by ICMP.
  const bool answered = said->second.cause == CauseId::kSynUnanswered &&
                        (e.kind == TW_ICMP || (e.kind == TW_RESET_SENT && (e.tcp_flags & kSyn) != 0));
  if (!new_story && !answered && e.time_ns < said->second.until_ns) {
    said->second.until_ns = std::max(said->second.until_ns, e.time_ns + 3 * kSecond);
    said->second.story.add(e);
    return true;
  }
  reported_.erase(said);
  return false;
}

Failure Judge::frame(const Case& c, const tw_event& e) const {
  Failure v;
  const facts::Endpoint local = facts::local_end(e), remote = facts::remote_end(e);
  bool local_is_client = false, known = true;
  const bool syn_in = has(e, TW_HAS_PACKET) && (e.tcp_flags & (kSyn | kAck)) == kSyn;
  if (has(e, TW_CONNECTED_OUT) || is(e.state, State::kSynSent) || is(e.old_state, State::kSynSent))
    local_is_client = true;
  else if (syn_in)
    local_is_client = !has(e, TW_INCOMING);
  else if (e.kind == TW_SYNACK_REPEATED || is(e.state, State::kListen) || listeners_.contains({e.netns, e.local_port}))
    local_is_client = false;
  else {
    known = false;
    local_is_client = local.port > remote.port;
    for (const tw_event& other : c.events)
      if (has(other, TW_CONNECTED_OUT)) {
        known = true;
        local_is_client = facts::local_end(other) == local;
      }
  }
  v.client = local_is_client ? local : remote;
  v.server = local_is_client ? remote : local;
  v.roles_inferred = !known;
  v.vantage = local_is_client ? Side::kClient : Side::kServer;
  v.netns = e.netns;
  v.start_ns = e.opened_ns != 0 ? e.opened_ns : c.first_ns;
  v.end_ns = c.story.last_ns;
  v.bytes_in = e.bytes_in;
  v.bytes_sent = e.bytes_sent;
  const std::string_view mine = e.kind == TW_CONNECT_FAILED ? "CLOSE" : state_name(e.state);
  v.client_state = local_is_client ? mine : "UNSEEN";
  v.server_state = local_is_client ? "UNSEEN" : mine;
  return v;
}

void Judge::find_process(const Case& c, const tw_event& e, Failure& out) const {
  if (out.process.pid != 0) return;
  out.process = process_of(e);
  if (out.process.pid == 0) out.process = closer_of(e);
  for (const tw_event& other : c.events)
    if (out.process.pid == 0 && other.netns == e.netns) out.process = process_of(other);
  for (const tw_event& other : c.events)
    if (out.process.pid == 0) out.process = process_of(other);
  if (out.process.pid == 0 && e.inode != 0) out.process = owner_of_(e.inode);
  if (out.process.pid == 0)
    if (const auto at = listeners_.find({e.netns, e.local_port}); at != listeners_.end()) out.process = at->second;
}

// --- One case ------------------------------------------------------------------------------------------------------

bool Judge::judge(const Case& c, Failure& out) const {
  auto first = [&](auto wanted) -> const tw_event* {
    for (const tw_event& e : c.events)
      if (wanted(e)) return &e;
    return nullptr;
  };
  auto last_of = [&](std::uint8_t kind) -> const tw_event* {
    const tw_event* found = nullptr;
    for (const tw_event& e : c.events)
      if (e.kind == kind) found = &e;
    return found;
  };
  auto finish = [&](bool said, const tw_event& e) {
    if (!said) return false;
    for (const tw_event& other : c.events) {
      if (other.kind == TW_RESET_SENT && out.reset_reason.empty()) out.reset_reason = names_.reset_reason(other.reason);
      if (other.kind == TW_DROPPED && out.drop_reason.empty()) out.drop_reason = names_.drop_reason(other.reason);
    }
    find_process(c, e, out);
    return true;
  };

  // Who aborted of his own accord explains everything that follows; then who was killed; then answers to segments.
  const tw_event* abort = first([](const tw_event& e) { return e.kind == TW_RESET_SENT && !has(e, TW_HAS_PACKET); });
  const tw_event* killed = first([](const tw_event& e) { return e.kind == TW_KILLED && is(e.old_state, State::kEstablished); });
  const tw_event* answer = first([](const tw_event& e) { return e.kind == TW_RESET_SENT && has(e, TW_HAS_PACKET); });
  const tw_event* drop = last_of(TW_DROPPED);
  const tw_event* failed = last_of(TW_CONNECT_FAILED);

  if (abort != nullptr && judge_reset_sent(c, *abort, out)) return finish(true, *abort);
  if (abort != nullptr && out.healthy) return false;
  if (killed != nullptr) {
    out = frame(c, *killed);
    out.outcome = "reset";
    out.ended_by = out.vantage;
    out.process = process_of(*killed);
    auto& d = add(out, CauseId::kProcessKilled, Verdict::kProven, out.vantage,
                  fmt::format("Signal {} ended {} while the connection was open.", killed->signal, who(out.process)));
    note(d, fmt::format("the socket was closed by the exit of its process, {} with {} bytes received and {} sent",
                                     state_name(killed->old_state), killed->bytes_in, killed->bytes_sent));
    d.settles = "the log of the process's supervisor, or dmesg when the kernel killed it for memory";
    d.fix = {"find who sent the signal; let the process finish its connections before it ends"};
    return finish(true, *killed);
  }
  if (drop != nullptr && c.drops >= drops_needed(names_.drop_reason(drop->reason), *drop) && judge_drop(c, *drop, out))
    return finish(true, *drop);
  if (answer != nullptr && judge_passive(c, *answer, out)) return finish(true, failed != nullptr ? *failed : *answer);
  if (answer != nullptr && out.healthy) return false;
  if (failed != nullptr) return finish(judge_connect(c, *failed, out), *failed);
  if (const tw_event* e = last_of(TW_DIED)) return finish(judge_death(c, *e, out), *e);
  if (const tw_event* e = last_of(TW_RESET_RECEIVED)) return finish(judge_reset_received(c, *e, out), *e);
  if (const tw_event* e = last_of(TW_SYNACK_REPEATED))
    if (judge_synack(c, *e, out)) return finish(true, *e);
  if (const tw_event* e = last_of(TW_RETRANSMIT)) return finish(judge_silence(c, *e, out), *e);
  return false;
}

std::vector<Failure> Judge::collect(std::uint64_t now_ns, std::uint64_t patience_ns) {
  std::vector<Failure> out;
  std::vector<std::pair<std::string, Failure>> half_open;
  now_ns_ = now_ns;
  looks_ = 0;
  for (auto at = cases_.begin(); at != cases_.end();) {
    Case& c = at->second;
    if (now_ns < c.story.last_ns + patience_ns && now_ns < c.first_ns + std::min(kLongest, patience_ns * 5)) {
      ++at;
      continue;
    }
    Failure v;
    if (judge(c, v) && !v.healthy && !v.diagnoses.empty()) {
      const std::uint8_t kind = c.events.back().kind;
      const bool goes_on = kind == TW_RETRANSMIT || kind == TW_SYNACK_REPEATED || kind == TW_DROPPED;
      if (v.diagnoses.front().cause == CauseId::kHandshakeAckLost) {
        if (now_ns < c.story.last_ns + kLongest || v.diagnoses.front().verdict != Verdict::kPossible) half_open.emplace_back(at->first, std::move(v));
        if (now_ns > c.story.last_ns + 10 * kSecond)
          at = cases_.erase(at);
        else
          ++at;
        continue;
      }
      if (reported_.size() < kMostReported) reported_[at->first] = {c.story.last_ns + (goes_on ? 130 : 2) * kSecond, c.story, v.diagnoses.front().cause};
      out.push_back(std::move(v));
      at = cases_.erase(at);
    } else if (c.events.back().kind == TW_DROPPED || c.events.back().kind == TW_RETRANSMIT || c.events.back().kind == TW_SYNACK_REPEATED) {
      // Not enough yet; what goes on is looked at again, what does not is forgotten.
      if (now_ns > c.story.last_ns + 10 * kSecond)
        at = cases_.erase(at);
      else
        ++at;
    } else {
      at = cases_.erase(at);
    }
  }
  tell_half_open(std::move(half_open), now_ns, out);
  gather_scans(out, now_ns);
  for (Failure& f : findings_) out.push_back(std::move(f));
  findings_.clear();
  std::erase_if(reported_, [&](const auto& r) { return r.second.until_ns + 5 * kSecond < now_ns; });
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.end_ns < b.end_ns; });
  return out;
}

std::vector<Failure> Judge::due(std::uint64_t now_ns) { return collect(now_ns, kMoment); }
std::vector<Failure> Judge::rest(std::uint64_t now_ns) { return collect(now_ns, 0); }

}  // namespace tcpwhy::diagnose::kernel
