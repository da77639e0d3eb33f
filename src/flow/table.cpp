// Whose packet is it. What a packet changes in its connection is update.cpp.

#include "flow/table.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

namespace tcpwhy::flow {
namespace {

/// A closed connection keeps its late segments for this long: Linux's TIME_WAIT
/// twice, and longer than a FIN or RST wanders.
constexpr std::int64_t kLateFor = 120'000'000'000;
/// Embryos hold 48 bits of time.
constexpr std::int64_t kEmbryoSpan = 1ll << 48;
constexpr std::size_t kServerCounts = 1u << 14;

std::size_t server_place(std::uint32_t address_hash, std::uint16_t port) {
  return (address_hash * 0x9e37'79b1u ^ port * 0x85eb'ca6bu) % kServerCounts;
}
std::uint32_t fold(std::uint32_t address) { return address; }
std::uint32_t fold(const std::array<std::uint8_t, 16>& address) {
  std::uint32_t h = 0;
  for (std::uint8_t b : address) h = h * 31 + b;
  return h;
}

/// Another core may have written it.
void fetch_packet(std::span<const Packet> packets, std::size_t i) {
  if (i >= packets.size()) return;
  const char* const at = reinterpret_cast<const char*>(&packets[i]);
  memory::fetch(at);
  memory::fetch(at + 64);
}

bool is_bare_syn(const facts::SegmentFact& f) {
  using wire::Flag;
  return (f.flags & (Flag::kSyn | Flag::kAck | Flag::kRst | Flag::kFin)) == Flag::kSyn && f.payload_bytes == 0;
}

/// What an embryo has no room for goes to a full record at once.
bool fits_embryo(const facts::SegmentFact& f) {
  constexpr std::uint16_t kRare = wire::Opt::kFastOpen | wire::Opt::kSack | wire::Opt::kMd5 | wire::Opt::kAo;
  return is_bare_syn(f) && f.tsecr == 0 && f.ack.raw() == 0 && !(f.options & kRare) &&
         !(f.anomalies & wire::Anomaly::kFirstFragment);
}

}  // namespace

Table::Table(const Options& options)
    : options_{options},
      history_{options.history_segments},
      stories_{{options.story_bytes, options.story_segments}},
      servers_seen_(kServerCounts) {}

void Table::expect_many() {
  narrow_.records.expect_many();
  narrow_.embryos.expect_many();
  wide_.records.expect_many();
  sides_.expect_many();
  history_.expect_many();
  stories_.expect_many();
}

void Table::draw_from(Ahead* ahead) {
  narrow_.records.draw_from(ahead);
  narrow_.embryos.draw_from(ahead);
  wide_.records.draw_from(ahead);
  wide_.embryos.draw_from(ahead);
  sides_.draw_from(ahead);
  history_.draw_from(ahead);
  stories_.draw_from(ahead);
  slots_.draw_from(ahead);
}

bool Table::matches(Ref ref, const Packet& p) const {
  if (is_wide(ref) != p.is_wide) return false;
  const std::uint32_t n = number(ref);
  if (p.is_wide) {
    if (is_embryo(ref)) return wide_.embryos[n].shape != Embryo<WideKey>::kGone && wide_.embryos[n].key == p.wide;
    const Record<WideKey>& r = wide_.records[n];
    return r.hot.is(Hold::kIndexed) && r.key == p.wide;
  }
  if (is_embryo(ref)) return narrow_.embryos[n].shape != Embryo<NarrowKey>::kGone && narrow_.embryos[n].key == p.narrow;
  const Record<NarrowKey>& r = narrow_.records[n];
  return r.hot.is(Hold::kIndexed) && r.key == p.narrow;
}

Ref Table::find(const Packet& p) const {
  return slots_.find(p.hash, [&](Ref ref) { return matches(ref, p); });
}

/// The record that a packet most likely belongs to; it is fetched.
Table::Guess Table::guess(std::uint32_t hash) {
  Guess out{slots_.guess(hash), &nobody_};
  if (out.ref == 0) return out;
  const std::uint32_t n = number(out.ref);
  const char* at = nullptr;
  if (is_embryo(out.ref)) {
    at = is_wide(out.ref) ? reinterpret_cast<const char*>(&wide_.embryos[n]) : reinterpret_cast<const char*>(&narrow_.embryos[n]);
  } else {
    out.hot = is_wide(out.ref) ? &wide_.records[n].hot : &narrow_.records[n].hot;
    at = reinterpret_cast<const char*>(out.hot);
  }
  memory::fetch(at);
  memory::fetch(at + 64);
  return out;
}

/// The record has been fetched; what an unusual connection has beside it follows.
void Table::prefetch_side(const Guess& guess) const {
  if (guess.hot->side == 0) return;
  const char* at = reinterpret_cast<const char*>(&sides_[guess.hot->side - 1]);
  memory::fetch(at);
  memory::fetch(at + 64);
  memory::fetch(at + 128);
}

void Table::prefetch_story(const Guess& guess) const {
  if (guess.hot->side == 0) return;
  stories_.prefetch(sides_[guess.hot->side - 1].story);
}

/// Is it the record of the packet's connection? What was guessed may have changed hands since.
bool Table::belongs(const Guess& guess, const Packet& p) {
  if (!guess.hot->is(Hold::kIndexed) || is_wide(guess.ref) != p.is_wide) return false;
  return p.is_wide ? record_of<WideKey>(*guess.hot).key == p.wide : record_of<NarrowKey>(*guess.hot).key == p.narrow;
}

inline Ref Table::segment(Packet& p, const Guess& guess) {
  if (!started_) [[unlikely]] {
    started_ = true;
    begin_ = end_ = p.fact.time;
    base_ns_ = p.fact.time.time_since_epoch().count();
  }
  end_ += std::max(p.fact.time - end_, Duration{});  // without a branch: times are often equal
  if (belongs(guess, p)) [[likely]] return advance_as_predicted(guess.ref, *guess.hot, p) ? guess.ref : unpredicted(guess.ref, p);
  return is_embryo(guess.ref) && matches(guess.ref, p) ? answer(guess.ref, p) : unforeseen(p);
}

/// The second segment of a connection of which there was a lone SYN.
Ref Table::answer(Ref embryo, Packet& p) {
  const Ref ref = hatch(embryo, p.hash);
  return answer_as_predicted(ref, hot(ref), p) ? ref : unpredicted(ref, p);
}

/// The guess was wrong: its connection is new, or has become another kind of record since.
Ref Table::unforeseen(Packet& p) {
  const Ref ref = find(p);
  if (ref != 0 && is_embryo(ref)) return answer(ref, p);
  return ref != 0 && advance_as_predicted(ref, hot(ref), p) ? ref : unpredicted(ref, p);
}

void Table::observe(Block& block) {
  if (block.expected_connections != 0) slots_.reserve(block.expected_connections);
  constexpr std::size_t kTogether = 64, kSideAhead = 4, kPacketAhead = 4;
  std::array<Guess, kTogether + 2 * kSideAhead> guesses;
  guesses.fill({0, &nobody_});  // the last few stay so
  for (std::size_t base = 0; base < block.used; base += kTogether) {
    const std::span<Packet> packets{block.packets.data() + base, std::min(kTogether, block.used - base)};
    const std::span<const std::uint32_t> hashes{block.hashes.data() + base, packets.size()};
    for (const std::uint32_t hash : hashes) slots_.prefetch(hash);
    for (std::size_t i = 0; i < packets.size(); ++i) guesses[i] = guess(hashes[i]);
    for (std::size_t i = 0; i < packets.size(); ++i) {
      fetch_packet(packets, i + kPacketAhead);
      prefetch_side(guesses[i + 2 * kSideAhead]);
      prefetch_story(guesses[i + kSideAhead]);
      if (packets[i].kind == PacketKind::kSegment) {
        const Ref ref = segment(packets[i], guesses[i]);
        if (packets[i].extra >= 0 && ref != 0)
          join_fragments(ref, packets[i], block.extras[static_cast<std::size_t>(packets[i].extra)].fragment);
      } else {
        other_kind(packets[i], block);
      }
    }
  }
  // Frames of other protocols prove that the capture went on watching.
  pass(block.latest);
}

void Table::pass(CaptureTime now) {
  if (started_) end_ = std::max(end_, now);
  retire_quiet(end_);
}

/// What is no segment of TCP but concerns one.
void Table::other_kind(Packet& p, const Block& block) {
  if (p.extra < 0) return;
  const Extra& extra = block.extras[static_cast<std::size_t>(p.extra)];
  switch (p.kind) {
    case PacketKind::kIcmp: icmp(p, extra); break;
    case PacketKind::kNeighbour: survey_.neighbour(extra.neighbour.target, extra.neighbour.answer, p.fact); break;
    case PacketKind::kFragment: fragment(p, extra.fragment); break;
    case PacketKind::kSegment:
    case PacketKind::kNothing: break;
  }
}

/// The long way; `ref` is 0 when the connection is new.
Ref Table::unpredicted(Ref ref, Packet& p) {
  ref = ref == 0 ? born(p, As::kWhatFits) : incarnation(ref, p);
  if (ref == 0) return 0;
  if (hot(ref).side != 0 && sides_[hot(ref).side - 1].previous != 0) ref = revive(ref, p);
  advance(ref, hot(ref), p);
  return ref;
}

/// An error says whose segment it quotes; the connection must be known already.
void Table::icmp(Packet& p, const Extra& extra) {
  Ref ref = find(p);
  if (ref == 0) return;
  if (is_embryo(ref)) ref = hatch(ref, p.hash);
  Hot& h = hot(ref);
  raise(h, facts::Signal::kIcmp);
  Side& s = side(h);
  constexpr std::uint32_t kMost = 16;
  if (s.icmp_count == kMost) return;
  facts::IcmpFact fact = extra.icmp;
  // "Client" stands for the low end until it is told.
  fact.quoted_from = p.sender == End::kLow ? facts::Party::kClient : facts::Party::kServer;
  icmp_.emplace_back(fact, s.icmp_first);
  s.icmp_first = static_cast<std::uint32_t>(icmp_.size());
  ++s.icmp_count;
}

template <class K>
Ref Table::new_record(Lane<K>& lane, const K& key, const facts::SegmentFact& first, End sender, Speaker speaker) {
  const std::uint32_t n = lane.records.take();
  Record<K>& r = lane.records[n];
  r = Record<K>{};
  r.key = key;
  Hot& h = r.hot;
  h.start = first.time.time_since_epoch().count();
  h.first_frame = first.frame;
  h.first_file = first.file;
  h.set(Hold::kUsed | Hold::kIndexed);
  if (first.syn()) {
    h.set_client(first.has_ack() ? other(sender) : sender);
  } else {
    // Mid-stream: whoever speaks like a server, else the well-known port, else
    // the end that was a server before, else the lower port.
    h.set(Hold::kInferred | Hold::kEstablished);
    const std::size_t low_place = server_place(fold(key.low), key.low_port);
    const std::size_t high_place = server_place(fold(key.high), key.high_port);
    const bool low_known = key.low_port < 1024, high_known = key.high_port < 1024;
    bool high_serves = key.high_port < key.low_port;
    if (low_known != high_known) high_serves = high_known;
    else if (servers_seen_[low_place] != servers_seen_[high_place])
      high_serves = servers_seen_[high_place] > servers_seen_[low_place];
    if (speaker == Speaker::kServer) high_serves = sender == End::kHigh;
    if (speaker == Speaker::kClient) high_serves = sender == End::kLow;
    h.set_client(high_serves ? End::kLow : End::kHigh);
  }
  const End server = other(h.client());
  std::uint8_t& count = servers_seen_[server == End::kLow ? server_place(fold(key.low), key.low_port)
                                                          : server_place(fold(key.high), key.high_port)];
  if (count < 255) ++count;
  return (n + 1) | (sizeof(K) == sizeof(WideKey) ? RefBits::kWide : 0);
}

Ref Table::born(Packet& p, As as) {
  if (slots_.used() >= options_.max_connections) evict();
  const std::int64_t age = p.fact.time.time_since_epoch().count() - base_ns_;
  if (as == As::kWhatFits && !options_.tell_all && fits_embryo(p.fact) && age >= 0 && age < kEmbryoSpan) {
    if (const auto shape = shapes_.number_of(p.fact, p.sender)) {
      const auto keep = [&](auto& embryos, const auto& key, Ref kind) {
        const std::uint32_t n = embryos.take();
        auto& e = embryos[n];
        e.key = key;
        e.rank = next_rank_++;
        e.frame = p.fact.frame;
        e.seq = p.fact.seq;
        e.tsval = p.fact.tsval;
        e.time_low = static_cast<std::uint32_t>(age);
        e.time_high = static_cast<std::uint16_t>(age >> 32);
        e.window = p.fact.window;
        e.ip_id = p.fact.ip_id;
        e.shape = *shape;
        slots_.insert(p.hash, (n + 1) | RefBits::kEmbryo | kind);
      };
      if (p.is_wide) keep(wide_.embryos, p.wide, RefBits::kWide);
      else keep(narrow_.embryos, p.narrow, 0);
      return 0;
    }
  }
  Ref ref = 0;
  if (p.is_wide) {
    ref = new_record(wide_, p.wide, p.fact, p.sender, p.speaker);
    wide_.records[number(ref)].rank = next_rank_++;
  } else {
    ref = new_record(narrow_, p.narrow, p.fact, p.sender, p.speaker);
    narrow_.records[number(ref)].rank = next_rank_++;
  }
  slots_.insert(p.hash, ref);
  Hot& h = hot(ref);
  if (is_bare_syn(p.fact)) survey_.syn(parties(ref, h), ref, p.fact);
  if (!p.fact.syn()) survey_.opened(parties(ref, h), p.fact.time);
  if (options_.tell_all) raise(h, facts::Signal::kOpenAtEnd);
  return ref;
}

template <class K>
facts::SegmentFact Table::syn_of(const Embryo<K>& e) const {
  facts::SegmentFact f;
  f.time = CaptureTime{Duration{base_ns_ + static_cast<std::int64_t>(e.time())}};
  f.frame = e.frame;
  f.seq = e.seq;
  f.tsval = e.tsval;
  f.window = e.window;
  f.ip_id = e.ip_id;
  shapes_.restore(e.shape, f);
  f.from_server = shapes_.sender(e.shape) == End::kHigh;
  return f;
}
template facts::SegmentFact Table::syn_of(const Embryo<NarrowKey>& e) const;
template facts::SegmentFact Table::syn_of(const Embryo<WideKey>& e) const;

/// The lone SYN is lone no more: it becomes a record as it would have at the time.
Ref Table::hatch(Ref embryo, std::uint32_t hash) {
  const auto grow = [&](auto& lane) {
    auto& e = lane.embryos[number(embryo)];
    const facts::SegmentFact syn = syn_of(e);
    const End sender = shapes_.sender(e.shape);
    const Ref ref = new_record(lane, e.key, syn, sender, Speaker::kUnknown);
    auto& record = lane.records[number(ref)];
    record.rank = e.rank;
    e.shape = e.kGone;
    lane.embryos.give_back(number(embryo));
    slots_.replace(hash, embryo, ref);
    survey_.syn({record.key, sender}, ref, syn);
    if (begin_as_predicted(record.hot, syn, sender)) return ref;
    Packet p;
    p.kind = PacketKind::kSegment;
    p.fact = syn;
    p.sender = sender;
    advance(ref, record.hot, p);
    return ref;
  };
  return is_wide(embryo) ? grow(wide_) : grow(narrow_);
}

/// Wireshark and Zeek begin a new connection at a SYN with new numbers, and so
/// do we; everything after it on this 4-tuple belongs to the new attempt, also
/// the answers that quote the old numbers.
Ref Table::incarnation(Ref ref, Packet& p) {
  Hot& h = hot(ref);
  const facts::SegmentFact& f = p.fact;
  const std::int64_t now = f.time.time_since_epoch().count();
  const std::int64_t last = h.last_ns();
  if (h.is(Hold::kClosed) && now - last > kLateFor) return reborn(ref, p);
  if (!f.syn() || f.rst()) return ref;
  const End s = p.sender;
  const Half& u = h.half(s);
  if (h.is(of(Hold::kSyn, s))) {
    if (u.iss == f.seq) return ref;
    if (!f.has_ack()) return reborn(ref, p);
    // A second SYN-ACK with other numbers belongs to the attempt, unless that is over.
    return h.is(Hold::kClosed) && h.is(Hold::kEstablished) ? reborn(ref, p) : ref;
  }
  if (f.has_ack()) return ref;
  // Two SYNs cross (simultaneous open), or the first packets were captured in the wrong order.
  if (!h.is(of(Hold::kSeen, s)) && !h.is(Hold::kClosed | Hold::kEstablished)) return ref;
  // The number that its own SYN-ACK acknowledged: the SYN of this connection, stored late.
  if (h.is(of(Hold::kSyn, other(s))) && h.is(of(Hold::kSeen, s)) && f.seq == u.iss) return ref;
  const bool just_began = h.is(of(Hold::kSeen, s)) && u.packets <= 4 && distance(f.seq, u.max_end) < 65536 &&
                          !h.is(Hold::kClosed);
  return just_began ? ref : reborn(ref, p);
}

/// The window of its client's SYN, 0 when that segment is not kept.
std::uint16_t Table::syn_window(const Hot& h) const {
  constexpr std::uint32_t kMostSteps = 256;
  const facts::SegmentFact* first = nullptr;
  if (h.side != 0 && sides_[h.side - 1].story.begun) {
    const Story& story = sides_[h.side - 1].story;
    if (story.stored != 0 && !story.lacks_beginning) first = &stories_.oldest(story);
  } else {
    std::uint32_t at = h.head;
    for (std::uint32_t i = 0; i < kMostSteps && at != 0 && history_.holds(at); ++i, at = history_.before(at))
      if (history_.before(at) == 0) first = &history_[at];
  }
  return first != nullptr && first->syn() && !first->has_ack() ? first->window : std::uint16_t{0};
}

Ref Table::reborn(Ref before, Packet& p) {
  Hot& old = hot(before);
  settle(before, old);
  count_end(before, old);
  const bool syn = is_bare_syn(p.fact);
  const std::int64_t last = old.last_ns();
  const Hot old_copy = old;
  const std::uint16_t old_syn_window = syn_window(old);
  if (old.side != 0) part_with_previous(old);
  detach(before);
  // A SYN that a live connection merely ignores may be followed by more of that connection.
  const bool may_live = syn && old.is(Hold::kEstablished) && !old.is(Hold::kClosed);
  if (!may_live) retire(before);
  const Ref ref = born(p, syn ? As::kRecord : As::kWhatFits);
  if (ref == 0 || !syn) return ref;
  Hot& h = hot(ref);
  Side& s = side(h);
  s.has_previous = true;
  if (may_live) s.previous = before;
  s.previous_end = last;
  s.previous_closed = old_copy.is(Hold::kClosed);
  s.previous_closer = old_copy.first_closer();
  s.previous_next[0] = old_copy.halves[0].max_end;
  s.previous_next[1] = old_copy.halves[1].max_end;
  const Half& caller = old_copy.half(h.client());
  s.previous_ttl = old_copy.is(of(Hold::kSeen, h.client())) ? caller.ttl : std::uint8_t{0};
  s.previous_tsval = caller.tsval;
  s.previous_syn_options = caller.syn_options();
  s.previous_syn_window = old_syn_window;
  raise(h, facts::Signal::kReuse | (s.previous_closed ? 0 : facts::Signal::kTupleAlive));
  const std::int64_t since = p.fact.time.time_since_epoch().count() - last;
  survey_.reused(parties(ref, h), Duration{since});
  return ref;
}

/// An ACK where a SYN-ACK was due, with the numbers of the connection before: it was still held (RFC 5961 4.2).
void Table::note_challenge(Ref before, Ref by, const Packet& p) {
  const facts::SegmentFact& f = p.fact;
  Hot& old = hot(before);
  if (!f.has_ack() || f.syn() || f.rst() || f.payload_bytes != 0 || f.seq != old.half(p.sender).max_end) return;
  // What the server still lacks of the client's may be anything it had sent: its number lies below.
  if (after(f.ack, old.half(other(p.sender)).max_end) || distance(f.ack, old.half(other(p.sender)).max_end) > 1u << 30) return;
  raise(old, facts::Signal::kTupleTaken);
  Side& s = side(old);
  if (s.challenged_at != 0) return;
  s.challenged_at = f.time.time_since_epoch().count();
  s.challenged_frame = f.frame;
  s.challenged_by = rank(by);
}

/// Data that continues the connection before, exactly and with an ACK that fits,
/// shows that it never noticed the SYN: the 4-tuple is its again.
Ref Table::revive(Ref ref, const Packet& p) {
  Hot& h = hot(ref);
  Side& s = sides_[h.side - 1];
  const Ref before = s.previous;
  Hot& old = hot(before);
  const facts::SegmentFact& f = p.fact;
  const End server = other(h.client());
  if (p.sender == server && !h.is(of(Hold::kSyn, server))) note_challenge(before, ref, p);
  if (h.is(of(Hold::kSyn, server)) || h.is(Hold::kEstablished)) {
    part_with_previous(h);
    return ref;
  }
  const bool data = f.payload_bytes > 0 && f.has_ack() && !f.syn() && !f.rst();
  if (!data || f.seq != old.half(p.sender).max_end || distance(f.ack, old.half(other(p.sender)).max_end) > 1u << 20) return ref;
  s.previous = 0;
  settle(ref, h);
  count_end(ref, h);
  slots_.replace(p.hash, ref, before);
  h.clear(Hold::kIndexed);
  old.set(Hold::kIndexed);
  return before;
}

void Table::part_with_previous(Hot& h) {
  Side& s = sides_[h.side - 1];
  const Ref before = s.previous;
  s.previous = 0;
  if (before != 0) retire(before);
}

/// The oldest idle of a few candidates goes, wherever the hands stand.
void Table::evict() {
  constexpr std::uint32_t kLook = 64;
  struct Candidate {
    Ref ref = 0;
    std::int64_t last = 0;
  } oldest;
  const auto consider = [&](Ref ref, std::int64_t last) {
    if (oldest.ref == 0 || last < oldest.last) oldest = {ref, last};
  };
  const auto look = [&](auto& lane, Ref kind, std::uint32_t* hands) {
    const std::uint32_t embryos = lane.embryos.high_water(), records = lane.records.high_water();
    for (std::uint32_t i = 0; i < std::min(kLook, embryos); ++i) {
      hands[0] = (hands[0] + 1) % embryos;
      const auto& e = lane.embryos[hands[0]];
      if (e.shape == 0xffff) continue;
      consider((hands[0] + 1) | kind | RefBits::kEmbryo, base_ns_ + static_cast<std::int64_t>(e.time()));
      break;
    }
    for (std::uint32_t i = 0; i < std::min(kLook, records); ++i) {
      hands[1] = (hands[1] + 1) % records;
      const Hot& h = lane.records[hands[1]].hot;
      if (h.is(Hold::kIndexed)) consider((hands[1] + 1) | kind, h.last_ns());
    }
  };
  look(narrow_, 0, evict_hand_);
  look(wide_, RefBits::kWide, evict_hand_ + 2);
  if (oldest.ref == 0) return;
  ++survey_.survey.evicted;
  if (!is_embryo(oldest.ref)) {
    Hot& h = hot(oldest.ref);
    settle(oldest.ref, h);
    count_end(oldest.ref, h);
    if (h.side != 0) {
      sides_[h.side - 1].signals |= facts::Signal::kEvicted;
      part_with_previous(h);
    }
    retire(oldest.ref);
    return;
  }
  const auto drop = [&](auto& lane) {
    auto& e = lane.embryos[number(oldest.ref)];
    survey_.lone_syn({e.key, shapes_.sender(e.shape)}, lone_end(e));
    slots_.erase(hash_key(e.key), oldest.ref);
    e.shape = 0xffff;
    lane.embryos.give_back(number(oldest.ref));
  };
  if (is_wide(oldest.ref)) drop(wide_);
  else drop(narrow_);
}

template <class K>
Ended Table::lone_end(const Embryo<K>& e) const {
  Ended ended;
  ended.rank = e.rank + options_.first_id;
  ended.start = ended.end = CaptureTime{Duration{base_ns_ + static_cast<std::int64_t>(e.time())}};
  ended.fate = facts::Attempt::Fate::kUnanswered;
  ended.lone_syn = ended.failed = true;
  ended.tsval = e.tsval;
  ended.has_timestamps = e.tsval != 0;
  return ended;
}

/// Only the first fragment has a TCP header; the others add their octets to it.
void Table::fragment(const Packet&, const FragmentPart& part) {
  Pieces& pieces = pieces_[part.datagram % kPieces];
  if (pieces.datagram != part.datagram) pieces = {part.datagram, 0, 0, 0, 0, End::kLow};
  if (pieces.ref == 0) {
    pieces.bytes += part.bytes;
    return;
  }
  Hot& h = hot(pieces.ref);
  if (h.is(Hold::kUsed) && rank(pieces.ref) == pieces.rank) lengthen(h, pieces.sender, pieces.frame, part.bytes);
}

void Table::join_fragments(Ref ref, const Packet& p, const FragmentPart& part) {
  Pieces& pieces = pieces_[part.datagram % kPieces];
  const std::uint32_t waiting = pieces.datagram == part.datagram && pieces.ref == 0 ? pieces.bytes : 0;
  pieces = {part.datagram, ref, rank(ref), p.fact.frame, 0, p.sender};
  if (waiting != 0) lengthen(hot(ref), p.sender, p.fact.frame, waiting);
}

void Table::lengthen(Hot& h, End sender, std::uint32_t frame, std::uint32_t bytes) {
  Half& u = h.half(sender);
  u.add_payload(bytes);
  if (h.last_frame != frame) return;
  u.max_end = u.max_end + bytes;
  if (h.side != 0 && sides_[h.side - 1].story.begun) {
    Story& story = sides_[h.side - 1].story;
    if (!story.refused && story.stored != 0) stories_.newest(story).payload_bytes += bytes;
  } else if (history_.holds(h.head)) {
    history_[h.head].payload_bytes += bytes;
  }
}

void Table::detach(Ref ref) {
  Hot& h = hot(ref);
  if (!h.is(Hold::kIndexed)) return;
  slots_.erase(hash_of(ref), ref);
  h.clear(Hold::kIndexed);
}

/// Lets go of a record that nobody will ask for again.
void Table::retire(Ref ref) {
  Hot& h = hot(ref);
  if (!h.is(Hold::kUsed)) return;
  detach(ref);
  if (is_told(h)) return;
  const bool told = h.side != 0 && sides_[h.side - 1].told;
  if (h.side != 0) {
    Side& s = sides_[h.side - 1];
    stories_.forget(s.story);
    sides_.give_back(h.side - 1);
    h.side = 0;
  }
  if (!told) ++survey_.survey.healthy_untold;
  h.flags = 0;
  if (is_wide(ref)) wide_.records.give_back(number(ref));
  else narrow_.records.give_back(number(ref));
}

void Table::retire_quiet(CaptureTime now) {
  const std::int64_t ns = now.time_since_epoch().count();
  while (!closed_.empty() && closed_.front().due < ns) {
    const Quiet q = closed_.front();
    closed_.pop_front();
    Hot& h = hot(q.ref);
    if (!h.is(Hold::kIndexed) || !h.is(Hold::kClosed) || rank(q.ref) != q.rank) continue;
    const std::int64_t due = h.last_ns() + kLateFor;
    if (due >= ns) closed_.push_back({q.ref, q.rank, due});
    else {
      settle(q.ref, h);
      count_end(q.ref, h);
      retire(q.ref);
    }
  }
}

facts::Endpoint Table::endpoint(Ref ref, End e) const {
  const std::uint32_t n = number(ref);
  if (is_embryo(ref)) return is_wide(ref) ? endpoint_of(wide_.embryos[n].key, e) : endpoint_of(narrow_.embryos[n].key, e);
  return is_wide(ref) ? endpoint_of(wide_.records[n].key, e) : endpoint_of(narrow_.records[n].key, e);
}

std::uint32_t Table::hash_of(Ref ref) const {
  return is_wide(ref) ? hash_key(wide_.records[number(ref)].key) : hash_key(narrow_.records[number(ref)].key);
}

void Table::finish() {
  const auto each = [&](auto& lane, Ref kind) {
    for (std::uint32_t i = 0; i < lane.records.high_water(); ++i) {
      Hot& h = lane.records[i].hot;
      const Ref ref = (i + 1) | kind;
      if (!h.is(Hold::kIndexed)) continue;
      settle(ref, h);
      count_end(ref, h);
      if (h.side != 0) part_with_previous(h);
      if (h.side != 0) {
        const Story& story = sides_[h.side - 1].story;
        if (story.begun && (story.lacks_beginning || story.dropped != 0)) ++survey_.survey.stories_cut;
      }
      if (!is_told(h) && !(h.side != 0 && sides_[h.side - 1].told)) ++survey_.survey.healthy_untold;
    }
    for (std::uint32_t i = 0; i < lane.embryos.high_water(); ++i) {
      const auto& e = lane.embryos[i];
      if (e.shape == e.kGone) continue;
      const End client = shapes_.sender(e.shape);
      const CaptureTime when{Duration{base_ns_ + static_cast<std::int64_t>(e.time())}};
      if (!survey_.lone_syn_of_flood(endpoint_of(e.key, other(client)), endpoint_of(e.key, client).address, when))
        survey_.lone_syn({e.key, shapes_.sender(e.shape)}, lone_end(e));
    }
  };
  each(narrow_, 0);
  each(wide_, RefBits::kWide);
  survey_.finish();
  survey_.survey.connections = next_rank_;
  survey_.survey.begin = begin_;
  survey_.survey.end = end_;
}

template Ended Table::lone_end(const Embryo<NarrowKey>&) const;
template Ended Table::lone_end(const Embryo<WideKey>&) const;

}  // namespace tcpwhy::flow
