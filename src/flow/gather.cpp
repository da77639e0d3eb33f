// From what the table holds to a facts::Connection, not yet annotated.

#include <algorithm>

#include "flow/table.hpp"

namespace tcpwhy::flow {
namespace {

using facts::Party;
using wire::Opt;

/// Empties a connection but keeps the room its vectors have.
void clear(facts::Connection& c) {
  facts::Connection fresh;
  fresh.segments = std::move(c.segments);
  fresh.notes = std::move(c.notes);
  fresh.icmp = std::move(c.icmp);
  fresh.exchanges = std::move(c.exchanges);
  fresh.files = std::move(c.files);
  fresh.segments.clear();
  fresh.notes.clear();
  fresh.icmp.clear();
  fresh.exchanges.clear();
  fresh.files.clear();
  c = std::move(fresh);
}

void fill_stream(facts::StreamFacts& out, const Hot& h, End e, const Side* s) {
  const Half& u = h.half(e);
  const Half& v = h.half(other(e));
  out.seen = h.is(of(Hold::kSeen, e));
  out.syn_seen = h.is(of(Hold::kSyn, e));
  out.iss = u.iss;
  out.fin_seen = h.is(of(Hold::kFin, e));
  out.fin_seq = u.max_end - 1;
  out.fin_acked = h.is(of(Hold::kFinAcked, e));
  out.max_end = u.max_end;
  out.max_ack = u.max_ack;
  out.ack_seen = u.max_ack.raw() != 0;
  out.mss = u.mss;
  out.syn_options = u.syn_options();
  const bool both = h.is(of(Hold::kSyn, End::kLow)) && h.is(of(Hold::kSyn, End::kHigh));
  const std::uint16_t agreed = u.syn_options() & v.syn_options();
  out.scaling_known = both;
  out.window_shift = both && (agreed & Opt::kWindowScale) ? u.syn_scale() : std::uint8_t{0};
  out.timestamps = both && (agreed & Opt::kTimestamps);
  out.sack = both && (agreed & Opt::kSackPermitted);
  out.ttl = u.ttl;
  out.packets = u.packets;
  out.payload_bytes = u.payload();
  out.unique_bytes = u.payload();
  out.syn_count = out.syn_seen ? 1 : 0;
  if (s == nullptr) return;
  const SideHalf& half = s->half(e);
  out.rst_seen = half.rst;
  out.unique_bytes -= std::min(out.unique_bytes, half.repeated_bytes);
  out.syn_count += half.syns;
  out.repeats = half.repeats;
  out.zero_windows = half.zero_windows;
  out.keepalives = half.keepalives;
  out.bad_checksums = half.bad_checksums;
}

}  // namespace

template <class K>
void Table::gather_embryo(const Embryo<K>& e, facts::Connection& out) const {
  facts::SegmentFact syn = syn_of(e);
  syn.from_server = 0;
  out.segments.push_back(syn);
  if constexpr (requires { e.key.tunnel; }) out.tunnel = e.key.tunnel;
  out.start = out.end = syn.time;
  out.first_frame = out.last_frame = syn.frame;
  out.frames = 1;
  out.files.push_back(syn.file);
  out.signals = facts::Signal::kSynUnanswered;
  facts::StreamFacts& c = out.streams[index(Party::kClient)];
  c.seen = c.syn_seen = true;
  c.iss = syn.seq;
  c.max_end = syn.end();
  c.mss = syn.mss;
  c.syn_options = syn.options;
  c.ttl = syn.ttl;
  c.syn_window = syn.window;
  c.packets = 1;
  c.syn_count = 1;
}

void Table::gather_record(Ref ref, facts::Connection& out) const {
  const Hot& h = hot(ref);
  const Side* s = h.side != 0 ? &sides_[h.side - 1] : nullptr;
  const End client = h.client();
  out.roles_inferred = h.is(Hold::kInferred);
  if (is_wide(ref)) out.tunnel = wide_.records[number(ref)].key.tunnel;
  out.start = CaptureTime{Duration{h.start}};
  out.end = CaptureTime{Duration{h.last_ns()}};
  out.first_frame = h.first_frame;
  out.last_frame = h.last_frame;
  out.frames = static_cast<std::uint64_t>(h.halves[0].packets) + h.halves[1].packets;
  out.turns = h.turns;
  out.signals = s != nullptr ? s->signals : 0;
  fill_stream(out.streams[index(Party::kClient)], h, client, s);
  fill_stream(out.streams[index(Party::kServer)], h, other(client), s);

  if (s != nullptr && s->story.begun) {
    stories_.copy(s->story, out.segments);
    const Story& story = s->story;
    out.quality.story_incomplete = story.dropped > 0 || story.lacks_beginning;
    if (story.dropped > 0)
      out.gap_after = static_cast<std::int32_t>(story.refused ? story.stored : story.stored_beginning) - 1;
  } else {
    std::uint32_t at = h.head;
    if (at != 0 && history_.holds(at) && history_[at].frame != h.last_frame) at = history_.newest() + 1;
    while (at != 0 && history_.holds(at)) {
      out.segments.push_back(history_[at]);
      at = history_.before(at);
    }
    std::reverse(out.segments.begin(), out.segments.end());
    out.quality.story_incomplete = at != 0;
  }
  for (facts::SegmentFact& f : out.segments) {
    f.link = 0;
    f.from_server = (f.from_server ? End::kHigh : End::kLow) != client;
  }
  if (!out.segments.empty() && out.segments.back().frame == h.last_frame) out.end = out.segments.back().time;
  if (!out.quality.story_incomplete) {
    for (const facts::SegmentFact& f : out.segments)
      if (std::find(out.files.begin(), out.files.end(), f.file) == out.files.end()) out.files.push_back(f.file);
  } else {
    out.files.push_back(h.first_file);
    if (h.last_file != h.first_file) out.files.push_back(h.last_file);
  }
  std::sort(out.files.begin(), out.files.end());

  if (s == nullptr) return;
  for (std::uint32_t at = s->icmp_first; at != 0; at = icmp_[at - 1].second) {
    out.icmp.push_back(icmp_[at - 1].first);
    const End quoted = out.icmp.back().quoted_from == Party::kClient ? End::kLow : End::kHigh;
    out.icmp.back().quoted_from = quoted == client ? Party::kClient : Party::kServer;
  }
  std::reverse(out.icmp.begin(), out.icmp.end());
  if (s->has_previous) {
    out.previous_end = CaptureTime{Duration{s->previous_end}};
    out.previous_closed = s->previous_closed;
    out.previous_client_next = s->previous_next[index(client)];
    out.previous_server_next = s->previous_next[index(other(client))];
    out.previous_closer = s->previous_closer == client ? Party::kClient : Party::kServer;
    out.previous_client_ttl = s->previous_ttl;
    out.previous_client_tsval = s->previous_tsval;
    out.previous_syn_options = s->previous_syn_options;
    out.previous_syn_window = s->previous_syn_window;
  }
  if (s->challenged_at != 0) {
    out.challenged_at = CaptureTime{Duration{s->challenged_at}};
    out.challenged_frame = s->challenged_frame;
    out.challenged_by = s->challenged_by + options_.first_id;
  }
}

void Table::fetch(Ref ref, std::size_t step) const {
  if (is_embryo(ref)) {
    if (step != 0) return;
    if (is_wide(ref)) memory::fetch(&wide_.embryos[number(ref)]);
    else memory::fetch(&narrow_.embryos[number(ref)]);
    return;
  }
  const Hot& h = hot(ref);
  if (step == 0) return memory::fetch_all(h);
  if (h.side == 0) return;
  const Side& s = sides_[h.side - 1];
  if (step == 1) memory::fetch_all(s);
  else if (step == 2) stories_.fetch_ends(s.story);
  else stories_.fetch_second(s.story);
}

void Table::gather(Tellable which, facts::Connection& out) const {
  clear(out);
  out.id = which.rank;
  out.capture_begin = begin_;
  out.capture_end = end_;
  End client = End::kLow;
  if (is_embryo(which.ref)) {
    const std::uint32_t n = number(which.ref);
    client = shapes_.sender(is_wide(which.ref) ? wide_.embryos[n].shape : narrow_.embryos[n].shape);
    if (is_wide(which.ref)) gather_embryo(wide_.embryos[n], out);
    else gather_embryo(narrow_.embryos[n], out);
  } else {
    client = hot(which.ref).client();
    gather_record(which.ref, out);
  }
  out.ends[index(Party::kClient)] = endpoint(which.ref, client);
  out.ends[index(Party::kServer)] = endpoint(which.ref, other(client));
}

}  // namespace tcpwhy::flow
