#include "facts/farewell.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "facts/questions.hpp"

namespace tcpwhy::facts {
bool is_farewell(const SegmentFact& s, std::uint32_t longest) {
  constexpr std::uint32_t kDigested = 16;
  if (s.payload_bytes == 0 || s.payload_bytes > longest) return s.app == App::kTlsAlert;
  // Where the snap length left nothing of it, or a few octets, its size is all there is to go by; what was read and is no
  // alert is data.
  const bool cut = s.app == App::kNone || (s.app == App::kOpaque && (s.anomalies & wire::Anomaly::kTruncatedPayload) != 0);
  const bool unread = cut && s.payload_bytes >= kDigested && s.payload_digest() == 0;
  return s.app == App::kTlsAlert || s.app == App::kTlsData || unread;
}

namespace {

/// The FIN at `fin` may be the repeat of one that was lost on its way here, sent with the words at `words`: it came when a
/// retransmission timeout was over (Linux TCP_RTO_MIN), in a dialog that had gone back and forth.
bool may_be_again(const Connection& c, std::int32_t words, std::int32_t fin) {
  constexpr Duration kTimeout = std::chrono::milliseconds{200}, kNoRepeatAnyMore = std::chrono::milliseconds{900};
  const Vantage at_sender = c.segment(fin).from() == Party::kClient ? Vantage::kClient : Vantage::kServer;
  const Duration after = c.segment(fin).time - c.segment(words).time;
  if (c.vantage == at_sender || c.vantage == Vantage::kUnknown || after < kTimeout || after > kNoRepeatAnyMore) return false;
  return std::count_if(c.exchanges.begin(), c.exchanges.end(),
                       [&](const Exchange& e) { return e.response >= 0 && e.response < words; }) >= 2;
}

}  // namespace

bool is_goodbye(const Connection& c, std::int32_t i) {
  constexpr std::uint32_t kFewOctets = 64;
  const SegmentFact& s = c.segment(i);
  if (s.payload_bytes == 0 || s.payload_bytes > kFewOctets || s.syn() || s.rst()) return false;
  if (s.app == App::kHttpRequest || s.app == App::kTlsHandshake) return false;
  const std::int32_t fin = c.stream(s.from()).fin;
  if (fin < 0 || c.segment(fin).seq + c.segment(fin).payload_bytes != s.seq + s.payload_bytes) return false;
  // A FIN that rides on the repeat of these very words was lost with the first of its kind: when it was sent is not known.
  const bool rides = c.segment(fin).payload_bytes > 0 && !before(s.seq, c.segment(fin).seq) && !new_payload(c, fin);
  // (One that overtook them on the path stands before them here, and its number behind.)
  if (!rides && c.segment(fin).time - s.time > kRightBehind && !may_be_again(c, i, fin)) return false;
  // Somebody who only ever asked this waits for the answer with his half closed (RFC 9293 3.6).
  std::int32_t spoke = -1;
  for (std::int32_t k = 0; k < i; ++k)
    if (c.segment(k).from() != s.from() && c.segment(k).payload_bytes > 0) spoke = k;
  return spoke >= 0;
}

namespace {

/// The snap length ended inside the head of the last response: how long it is cannot be read.
bool head_is_cut(const Connection& c) {
  if (c.exchanges.empty() || c.exchanges.back().response < 0) return false;
  const Exchange& last = c.exchanges.back();
  std::int32_t head = last.response;  // unless others of it overtook the head
  for (std::int32_t i = head; i < size_of(c); ++i)
    if (c.segment(i).from_server && c.segment(i).seq == last.response_seq && new_payload(c, i)) head = i;
  const SegmentFact& s = c.segment(head);
  constexpr std::uint8_t kRead = AppFlag::kHasLength | AppFlag::kChunked | AppFlag::kUntilClose;
  return s.app == App::kHttpResponse && !(s.app_flags & kRead) && (s.anomalies & wire::Anomaly::kTruncatedPayload);
}

/// The last window of the RST's sender was shut, or a small part of what it had been: its application was not reading.
bool had_unread(const Connection& c, std::int32_t rst) {
  constexpr std::uint32_t kMuch = 8192;
  std::uint32_t widest = 0;
  std::int32_t last = -1;
  for (std::int32_t i = 0; i < rst; ++i) {
    const SegmentFact& s = c.segment(i);
    if (s.from() != c.segment(rst).from() || s.rst() || s.syn() || !c.note(i).window_known) continue;
    widest = std::max(widest, c.note(i).scaled_window);
    last = i;
  }
  if (last < 0) return false;
  const std::uint32_t left = c.note(last).scaled_window;
  return left == 0 || (widest > 4 * std::uint64_t{left} && widest - left >= kMuch);
}

/// The segment of its side that ends where all that had passed up to `i` ends: another may have overtaken it.
std::int32_t ends_at(const Connection& c, std::int32_t i) {
  std::int32_t furthest = i;
  for (std::int32_t k = 0; k < i; ++k)
    if (c.segment(k).from() == c.segment(i).from() && new_payload(c, k) && after(c.segment(k).end(), c.segment(furthest).end())) furthest = k;
  return furthest;
}

/// The last answer came in one flight, within the initial window (RFC 6928), and its last segment is a short one with PSH:
/// it emptied its sender's buffer (RFC 9293 3.9.1.2), and nothing was left that a client might have waited for.
bool short_and_over(const Connection& c) {
  constexpr std::uint32_t kInitialWindow = 10;
  const Exchange& last = c.exchanges.back();
  const std::uint32_t mss = std::min(c.stream(Party::kClient).mss, c.stream(Party::kServer).mss);
  constexpr std::uint32_t kTimestamps = 12;
  if (mss <= kTimestamps || last.delivered_bytes > std::uint64_t{kInitialWindow} * mss) return false;
  const SegmentFact& end = c.segment(ends_at(c, last.response_end));
  return (end.flags & wire::Flag::kPsh) && end.payload_bytes < mss - kTimestamps;
}

/// Where the length of the answer cannot be read: who has all of it leaves at once, or lets an idle connection go. Who
/// stays a moment and leaves then waited for more, or had stopped reading.
bool left_as_one_does(const Connection& c, std::int32_t rst) {
  constexpr Duration kAtOnce = std::chrono::milliseconds{10}, kIdle = std::chrono::seconds{1};
  // Behind the client's last ACK, wherever that was seen.
  const Duration stayed = std::min(quiet_before(c, rst), between(c, last_before(c, c.segment(rst).from(), rst), rst));
  return stayed < kAtOnce || quiet_before(c, rst) >= kIdle || short_and_over(c);
}

}  // namespace

bool left_at_rest(const Connection& c, std::int32_t rst) {
  if (rst < 0) return false;
  const Party leaver = c.segment(rst).from();
  // A server that resets right after it has spoken throws away what it sent; one that had rested lets an idle client go.
  if (leaver == Party::kServer && quiet_before(c, rst) < std::chrono::seconds{1}) return false;
  // Without ACK flag it is an abort only where it answers nothing (RFC 9293 3.10.5: <SEQ=SND.NXT><CTL=RST>).
  if (!c.segment(rst).has_ack() && c.note(rst).provoked_by >= 0) return false;
  std::array<std::int32_t, 2> last{-1, -1};
  std::array<std::optional<SeqNum>, 2> sent{}, acked{};
  bool http = false;
  for (std::int32_t i = 0; i <= rst; ++i) {
    const SegmentFact& s = c.segment(i);
    const std::size_t me = index(s.from()), peer = 1 - me;
    http = http || s.app == App::kHttpRequest || s.app == App::kHttpResponse;
    if (s.has_ack() && c.note(i).ack_place != AckPlace::kImpossible && (!acked[peer] || after(s.ack, *acked[peer])))
      acked[peer] = s.ack;
    if (s.payload_bytes > 0 && !s.rst() && (!sent[me] || after(s.seq + s.payload_bytes, *sent[me])))
      sent[me] = s.seq + s.payload_bytes;
    if (new_payload(c, i) && !(is_farewell(s) && last[me] >= 0)) last[me] = i;
  }
  // Who asked in vain whether the other is alive gave up: nothing is at rest.
  for (std::int32_t i = rst - 1; i >= 0 && c.segment(i).from() == leaver; --i)
    if (c.note(i).repeat == Repeat::kKeepalive || c.note(i).repeat == Repeat::kZeroWindowProbe) return false;
  for (std::int32_t i = rst + 1; i < static_cast<std::int32_t>(c.segments.size()); ++i)
    if (c.segment(i).from() != leaver && c.segment(i).payload_bytes > 0) return false;
  if (had_unread(c, rst)) return false;
  // Both have spoken, the server last.
  if (last[0] < 0 || last[1] < last[0]) return false;
  for (std::size_t p : {0u, 1u})
    if (sent[p] && (!acked[p] || after(*sent[p], *acked[p]))) return false;
  const SegmentFact& answer = c.segment(ends_at(c, last[1]));
  // A client that refuses the server's certificate leaves like that, too.
  if (answer.app == App::kTlsHandshake || !(answer.flags & wire::Flag::kPsh)) return false;
  if (!http) return true;
  if (head_is_cut(c)) return left_as_one_does(c, rst);
  const Exchange* x = c.exchanges.empty() ? nullptr : &c.exchanges.back();
  return x != nullptr && x->announced && x->response_complete;
}

}  // namespace tcpwhy::facts
