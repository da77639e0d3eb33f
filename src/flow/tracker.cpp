// The public face: frames in, connections told.

#include <algorithm>
#include <unordered_map>

#include "flow/decoder.hpp"
#include "flow/table.hpp"
#include "tcpwhy/track.hpp"

namespace tcpwhy::flow {

struct Tracker::Impl {
  explicit Impl(Options o)
      : options{o},
        decoder{o.verify_checksums ? Decoder::Checksums::kAll : Decoder::Checksums::kSample},
        table{o} {}

  Options options;
  Decoder decoder;
  Table table;
  Block block;
  std::vector<Tellable> told;
  facts::Connection connection;

  void take(std::span<const Frame> frames) {
    for (const Frame& frame : frames) {
      decoder.decode(frame, block);
      if (block.used == Block::kPackets) flush();
    }
    flush();
  }
  void flush() {
    table.observe(block);
    block.clear();
  }
  const facts::Connection& ready(Tellable which) {
    table.gather(which, connection);
    connection.id += options.first_id;
    annotate(connection);
    return connection;
  }
};

Tracker::Tracker(Options options) : impl_{std::make_unique<Impl>(options)} {}
Tracker::~Tracker() = default;
Tracker::Tracker(Tracker&&) noexcept = default;
Tracker& Tracker::operator=(Tracker&&) noexcept = default;

void Tracker::observe(std::span<const Frame> frames) { impl_->take(frames); }

void Tracker::run(capture::Source& source, const Reopen&, const std::function<void()>& progress) {
  for (auto frames = source.next(); !frames.empty(); frames = source.next()) {
    impl_->take(frames);
    if (progress) progress();
  }
}

void Tracker::finish(const capture::Losses& losses) {
  Impl& i = *impl_;
  i.table.finish();
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

void Tracker::tell(Grouping grouping, const std::function<void(const Told&)>& visit) {
  Impl& i = *impl_;
  i.told = i.table.tellables();
  struct Group {
    Tellable first;
    std::uint64_t alike = 0;
    std::vector<std::uint64_t> ids;
  };
  constexpr std::size_t kMostIds = 1000;
  std::unordered_map<facts::Endpoint, Group, facts::EndpointHash> floods;
  if (grouping == Grouping::kLoneSynsTogether)
    for (const Tellable& t : i.told)
      if (is_embryo(t.ref)) {
        Group& g = floods[i.table.lone_server(t.ref)];
        if (g.alike++ == 0) g.first = t;
        if (g.ids.size() < kMostIds) g.ids.push_back(t.rank + i.options.first_id);
      }
  for (const Tellable& t : i.told) {
    Told told;
    std::uint64_t id = t.rank + i.options.first_id;
    told.ids = {&id, 1};
    if (is_embryo(t.ref) && grouping == Grouping::kLoneSynsTogether) {
      const Group& g = floods[i.table.lone_server(t.ref)];
      if (g.first.rank != t.rank) continue;
      told.alike = g.alike;
      told.ids = g.ids;
    }
    told.connection = &i.ready(t);
    visit(told);
  }
}

bool Tracker::tell_one(std::uint64_t id, const std::function<void(const facts::Connection&)>& visit) {
  Impl& i = *impl_;
  for (const Tellable& t : i.table.tellables())
    if (t.rank + i.options.first_id == id) {
      visit(i.ready(t));
      return true;
    }
  return false;
}

}  // namespace tcpwhy::flow
