// The public face: frames in, connections told. With more than one thread the
// caller's thread reads and decodes while a second one tracks (or, of large frames,
// the second one reads); when connections are told, all of them gather, annotate
// and prepare ahead of the telling.

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "flow/ahead.hpp"
#include "flow/decoder.hpp"
#include "flow/pipe.hpp"
#include "flow/table.hpp"
#include "tcpwhy/track.hpp"

namespace tcpwhy::flow {
namespace {

/// Input read before the number of connections in all of it is guessed.
constexpr std::uint64_t kGuessAfter = 4u << 20;
/// Octets a frame, on average, from which on fetching them is the larger part of the reading thread's work.
constexpr std::uint64_t kLargeFrame = 512;
/// Input of which the tables will fill whole huge pages.
constexpr std::uint64_t kLong = 64u << 20;

}  // namespace

struct Tracker::Impl {
  explicit Impl(Options o)
      : options{o},
        decoder{o.verify_checksums ? Decoder::Checksums::kAll : Decoder::Checksums::kSample},
        table{o} {}

  Options options;
  Decoder decoder;
  Table table;
  Block block;
  int guesses_left = 2;  ///< of how many connections there will be
  bool reading_settled = false;
  bool finished = false;

  template <class Full>
  void decode(std::span<const Frame> frames, Block*& into, Full&& full) {
    constexpr std::size_t kAhead = 8;
    for (std::size_t i = 0; i < frames.size(); ++i) {
      // Its first octets came with the record's header; addresses and ports of a
      // large frame are a miss away.
      if (i + kAhead < frames.size()) memory::fetch(frames[i + kAhead].data + 64);
      decoder.decode(frames[i], *into);
      if (into->used == Block::kPackets) into = &full(*into);
    }
  }
  Block& track(Block& b) {
    table.observe(b);
    b.clear();
    return b;
  }
  void take(std::span<const Frame> frames) {
    Block* into = &block;
    decode(frames, into, [&](Block& b) -> Block& { return track(b); });
    track(block);
  }

  void run_alone(capture::Source& source, const std::function<void()>& progress) {
    for (auto frames = source.next(); !frames.empty(); frames = source.next()) {
      take(frames);
      if (guesses_left > 0) table.reserve(guess(source, table.born()));
      if (progress) progress();
    }
  }
  /// How many connections the whole input may have, when it is time to say so; 0 until then. A capture often begins with
  /// more new connections than it goes on with, and room that is never used costs more than growing three times. What is
  /// nothing but SYNs after a quarter of it is a flood, and goes on.
  std::uint64_t guess(const capture::Source& source, std::uint64_t so_far) {
    if (source.size() <= source.consumed()) return 0;
    const double whole = static_cast<double>(so_far) / static_cast<double>(source.consumed()) * static_cast<double>(source.size());
    if (guesses_left == 2 && source.consumed() > kGuessAfter) {
      guesses_left = 1;
      return static_cast<std::uint64_t>(whole / 8);
    }
    if (guesses_left == 1 && source.consumed() > source.size() / 4) {
      guesses_left = 0;
      return so_far * 10 > decoder.counts().tcp * 9 ? static_cast<std::uint64_t>(whole) : 0;
    }
    return 0;
  }

  /// Are the frames so large that fetching them is most of the work? Asked once, when enough of them are known.
  bool found_large(const capture::Source& source) {
    if (reading_settled || source.consumed() < kGuessAfter) return false;
    reading_settled = true;
    return source.consumed() / kLargeFrame > decoder.counts().frames;
  }

  /// Two threads, and memory made ready beside them: usually one that reads and decodes, one that tracks. Of large frames
  /// there are few in so many octets: then one fetches, and the other does the rest, because a packet that crosses from
  /// core to core costs more than decoding it.
  void run_in_two(capture::Source& source, const std::function<void()>& progress) {
    std::optional<Ahead> ahead;
    if (source.size() >= kLong) table.draw_from(&ahead.emplace());
    table.survey().apply_beside();
    if (!track_beside(source, progress)) {
      source.read_ahead();
      run_alone(source, progress);
    }
    table.draw_from(nullptr);
  }

  /// Reads and decodes while another thread tracks. False: the frames turned out to be large, and there are more.
  bool track_beside(capture::Source& source, const std::function<void()>& progress) {
    Pipe<Block> pipe;
    std::thread tracking{[&] {
      while (Block* b = pipe.filled()) {
        track(*b);
        pipe.done();
      }
    }};
    Block* into = &pipe.empty();
    std::uint64_t syns = 0;
    bool large = false;
    for (auto frames = source.next(); !frames.empty(); frames = source.next()) {
      decode(frames, into, [&](Block& b) -> Block& {
        if (guesses_left > 0) {
          for (std::size_t i = 0; i < b.used; ++i) syns += b.packets[i].fact.flags == wire::Flag::kSyn;
          b.expected_connections = guess(source, syns);
        }
        pipe.send();
        return pipe.empty();
      });
      if (progress) progress();
      if ((large = found_large(source))) break;
    }
    pipe.send();
    pipe.close();
    tracking.join();
    return !large;
  }

  /// What did not come after a pause of the capture, or while it lost packets, proves nothing about a connection whose
  /// last segment lies before.
  void end_coverage(facts::Connection& c) const {
    if (c.segments.empty()) return;
    const CaptureTime last = c.segments.back().time;
    const CaptureTime end = std::min(decoder.pauses().next(last), table.blanks().next(last));
    c.quality.coverage_cut = end < c.capture_end;
    if (c.quality.coverage_cut) c.capture_end = end;
  }
  void make(Tellable which, facts::Connection& out) const {
    table.gather(which, out);
    out.id += options.first_id;
    end_coverage(out);
    annotate(out);
    if (out.outcome == facts::Outcome::kCompleted) out.quality.coverage_cut = false;  // nothing more was to come
  }
  using Visit = std::function<void(const Told&)>;
  /// A connection, and what was prepared of it.
  struct Made {
    facts::Connection connection;
    std::any prepared;
  };
  void make(Tellable which, Made& out, const Prepare& prepare) const {
    make(which, out.connection);
    if (prepare) prepare(out.connection, out.prepared);
  }
  /// Calls `each` with the numbers [begin, end) of what is told, whose memory is fetched ahead of it.
  template <class Each>
  void fetch_ahead(const std::vector<Tellable>& told, std::size_t begin, std::size_t end, Each&& each) const {
    constexpr std::size_t kApart = 3;
    constexpr std::size_t kLead = kApart * Table::kFetchSteps;
    for (std::size_t k = begin; k < end + kLead; ++k) {
      for (std::size_t step = 0; step < Table::kFetchSteps; ++step)
        if (const std::size_t n = k - kApart * step; n < end && n >= begin) table.fetch(told[n].ref, step);
      if (k >= begin + kLead) each(k - kLead);
    }
  }
  void tell_alone(const Telling& telling, const Visit& visit, const Prepare& prepare) const;
  void tell_ahead(const Telling& telling, const Visit& visit, const Prepare& prepare) const;
  void deliver(const Telling& telling, const Tellable& t, Made& made, const Visit& visit) const {
    Told told;
    told.connection = &made.connection;
    told.ids = {&made.connection.id, 1};
    if (made.prepared.has_value()) told.prepared = &made.prepared;
    if (t.group != 0) {
      told.alike = telling.floods[t.group - 1].alike;
      told.ids = telling.floods[t.group - 1].ranks;
    }
    visit(told);
  }
};

void Tracker::Impl::tell_alone(const Telling& telling, const Visit& visit, const Prepare& prepare) const {
  Made made;
  fetch_ahead(telling.connections, 0, telling.connections.size(), [&](std::size_t k) {
    make(telling.connections[k], made, prepare);
    deliver(telling, telling.connections[k], made, visit);
  });
}

/// Batches of connections are made in any order, by the helpers and, while it would wait for them, by the caller's
/// thread; they are told in order.
void Tracker::Impl::tell_ahead(const Telling& telling, const Visit& visit, const Prepare& prepare) const {
  constexpr std::size_t kBatch = 64;
  const std::size_t helpers = std::min<std::size_t>(options.threads - 1, 15);
  struct Batch {
    std::vector<Made> connections = std::vector<Made>(kBatch);
    std::size_t number = 0;
    bool ready = false;
  };
  const std::vector<Tellable>& all = telling.connections;
  const std::size_t batches = (all.size() + kBatch - 1) / kBatch;
  std::vector<Batch> ring(std::min<std::size_t>(helpers * 4, std::max<std::size_t>(batches, 1)));
  std::mutex mutex;
  std::condition_variable made, freed;
  std::size_t next = 0, told = 0;

  const auto open = [&] { return next != batches && next - told < ring.size(); };
  const auto make_batch = [&](std::size_t mine) {
    Batch& b = ring[mine % ring.size()];
    const std::size_t end = std::min(all.size(), (mine + 1) * kBatch);
    fetch_ahead(all, mine * kBatch, end, [&](std::size_t k) { make(all[k], b.connections[k - mine * kBatch], prepare); });
    const std::lock_guard lock{mutex};
    b.number = mine;
    b.ready = true;
  };

  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < helpers; ++i)
    threads.emplace_back([&] {
      while (true) {
        std::size_t mine = 0;
        {
          std::unique_lock lock{mutex};
          freed.wait(lock, [&] { return next == batches || open(); });
          if (next == batches) return;
          mine = next++;
        }
        make_batch(mine);
        made.notify_one();
      }
    });
  for (std::size_t n = 0; n < batches; ++n) {
    Batch& b = ring[n % ring.size()];
    std::unique_lock lock{mutex};
    while (!(b.ready && b.number == n)) {
      if (!open()) {
        made.wait(lock);
        continue;
      }
      const std::size_t mine = next++;
      lock.unlock();
      make_batch(mine);
      lock.lock();
    }
    lock.unlock();
    const std::size_t end = std::min(all.size(), (n + 1) * kBatch);
    for (std::size_t k = n * kBatch; k < end; ++k) deliver(telling, all[k], b.connections[k - n * kBatch], visit);
    lock.lock();
    b.ready = false;
    told = n + 1;
    lock.unlock();
    freed.notify_one();
  }
  {
    const std::lock_guard lock{mutex};
    next = batches;
  }
  freed.notify_all();
  for (std::thread& t : threads) t.join();
}

Tracker::Tracker(Options options) : impl_{std::make_unique<Impl>(options)} {}
Tracker::~Tracker() = default;
Tracker::Tracker(Tracker&&) noexcept = default;
Tracker& Tracker::operator=(Tracker&&) noexcept = default;

void Tracker::observe(std::span<const Frame> frames) { impl_->take(frames); }

void Tracker::pass(CaptureTime now) { impl_->table.pass(now); }

void Tracker::run(capture::Source& source, const Reopen&, const std::function<void()>& progress) {
  if (source.size() >= kLong) impl_->table.expect_many();
  if (impl_->options.threads > 1) impl_->run_in_two(source, progress);
  else impl_->run_alone(source, progress);
}

void Tracker::finish(const capture::Losses& losses) {
  Impl& i = *impl_;
  if (losses.watched_until) i.table.watched_until(*losses.watched_until);
  i.table.finish();
  i.finished = true;
  facts::Survey& s = i.table.survey().survey;
  s.frames = i.decoder.counts().frames;
  s.tcp_frames = i.decoder.counts().tcp;
  s.other_frames = i.decoder.counts().other;
  s.malformed_frames = i.decoder.counts().malformed;
  s.truncated_frames = i.decoder.counts().truncated;
  s.dropped_by_capture = losses.dropped_by_kernel + losses.dropped_by_interface;
  s.drops_reported = losses.drops_reported;
}

const facts::Survey& Tracker::survey() const { return impl_->table.survey().survey; }

void Tracker::tell(Grouping grouping, const std::function<void(const Told&)>& visit, const Prepare& prepare) {
  Impl& i = *impl_;
  if (i.options.tell_as_they_end && !i.finished) {
    const Telling ended = i.table.ended_so_far();
    i.tell_alone(ended, visit, prepare);
    i.table.forget_told(ended);
    return;
  }
  Telling telling = i.table.telling(grouping);
  for (Flood& f : telling.floods)
    for (std::uint64_t& rank : f.ranks) rank += i.options.first_id;
  constexpr std::size_t kWorthHelp = 256;
  if (i.options.threads > 1 && telling.connections.size() >= kWorthHelp) i.tell_ahead(telling, visit, prepare);
  else i.tell_alone(telling, visit, prepare);
}

bool Tracker::tell_one(std::uint64_t id, const std::function<void(const facts::Connection&)>& visit) {
  const Impl& i = *impl_;
  for (const Tellable& t : i.table.telling(Grouping::kEach).connections)
    if (t.rank + i.options.first_id == id) {
      facts::Connection c;
      i.make(t, c);
      visit(c);
      return true;
    }
  return false;
}

}  // namespace tcpwhy::flow
