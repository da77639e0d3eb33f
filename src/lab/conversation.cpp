// Two runs of one experiment choose other ports, initial sequence numbers and
// clocks. Here these are taken out: a connection is known by its place among
// those like it, a number by its distance from the initial number it belongs to.

#include "lab/conversation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <tuple>

#include "lab/render.hpp"
#include "lab/words.hpp"

namespace tcpwhy::lab {
namespace {

using wire::Flag;
using End = world::Address;

/// Ports from here on were chosen by a host, by chance (ip_local_port_range).
constexpr std::uint16_t kFirstEphemeral = 32768;

/// The initial sequence numbers one end of a 4-tuple has used, connection after connection.
class Numbers {
 public:
  struct Place {
    SeqNum offset;
    bool current = true;  ///< of the newest connection of the 4-tuple
  };

  void begin(std::size_t generation, SeqNum isn) { bases_.push_back({generation, isn}); }
  [[nodiscard]] const SeqNum* of(std::size_t generation) const {
    return !bases_.empty() && bases_.back().generation == generation ? &bases_.back().isn : nullptr;
  }
  /// Old numbers may still come when a new connection has begun: the nearest base is meant, or if none is near, the last.
  /// How far two bases are from each other is a matter of the host's clock.
  [[nodiscard]] Place place(SeqNum n, std::size_t generation) {
    if (bases_.empty()) begin(generation, n);
    constexpr std::int64_t kNear = 1 << 22;
    const auto distance = [n](const Base& b) {
      return std::abs(std::int64_t{static_cast<std::int32_t>(n.raw() - b.isn.raw())});
    };
    auto nearest = std::min_element(bases_.rbegin(), bases_.rend(),
                                    [&](const Base& a, const Base& b) { return distance(a) < distance(b); });
    if (distance(*nearest) > kNear) nearest = bases_.rbegin();
    return {SeqNum{n.raw() - nearest->isn.raw()}, nearest->generation == generation};
  }

 private:
  struct Base {
    std::size_t generation;
    SeqNum isn;
  };
  std::vector<Base> bases_;
};

class Reader {
 public:
  explicit Reader(const Run& run) : run_{run} {}

  void take(const world::Seen& seen) {
    const world::Packet& p = seen.packet;
    const auto [source, destination] =
        p.icmp
            ? std::pair{End{p.icmp->quoted_source, p.source_port}, End{p.icmp->quoted_destination, p.destination_port}}
            : std::pair{End{p.source, p.source_port}, End{p.destination, p.destination_port}};
    Tuple& tuple = tuples_.try_emplace(std::minmax(source, destination), Tuple{.first = source, .second = destination})
                       .first->second;
    const bool first = source == tuple.first;
    if (!p.icmp) follow(tuple, first, p);
    if (tuple.generation == 0) open(tuple);
    const bool near = tuple.turned() ? !first : first;
    Line line{.time = seen.time - run_.begin,
              .connection = tuple.connection,
              .before = {},
              .side = static_cast<std::uint8_t>(near ? 0 : 1),
              .key = {},
              .shown = {}};
    world::Packet plain = p;
    std::string old;
    if (!p.icmp) old = rebase(tuple, first, plain);
    if (!old.empty()) line.before = tuple.before;
    line.shown = tcpdump_line(plain) + old;
    mask(plain.source_port);
    mask(plain.destination_port);
    line.key = tcpdump_line(plain) + old;
    out_.lines.push_back(std::move(line));
  }

  Conversation result() && { return std::move(out_); }

 private:
  struct Tuple {
    End first, second;
    std::size_t generation = 0, connection = 0;
    std::optional<std::size_t> before = std::nullopt;  ///< the connection of the same ports before that one
    Numbers numbers[2] = {};
    /// Who of two ends with chosen ports was heard first is chance where both open at once.
    [[nodiscard]] bool turned() const {
      return first.port < kFirstEphemeral && second.port < kFirstEphemeral && second < first;
    }
  };

  static void mask(std::uint16_t& port) {
    if (port >= kFirstEphemeral) port = 0;
  }

  /// A SYN with another number begins a connection anew on the same 4-tuple.
  void follow(Tuple& tuple, bool first, const world::Packet& p) {
    if (!p.has(Flag::kSyn)) return;
    Numbers& own = tuple.numbers[first ? 0 : 1];
    const SeqNum* isn = own.of(tuple.generation);
    if (isn != nullptr && *isn == p.seq) return;
    const bool opens = !p.has(Flag::kAck) && isn != nullptr;
    if (tuple.generation == 0 || opens) open(tuple);
    own.begin(tuple.generation, p.seq);
  }

  void open(Tuple& tuple) {
    if (++tuple.generation > 1) tuple.before = tuple.connection;
    tuple.connection = out_.names.size();
    const auto place = [](End end, bool masked) {
      return masked && end.port >= kFirstEphemeral ? world::ip_text(end.ip) : world::text(end);
    };
    const auto [a, b] = tuple.turned() ? std::pair{tuple.second, tuple.first} : std::pair{tuple.first, tuple.second};
    const std::string kind = place(a, true) + " > " + place(b, true);
    out_.identities.push_back(fmt::format("{} {}", kind, ++like_[kind]));
    std::string name = place(tuple.first, false) + " > " + place(tuple.second, false);
    if (tuple.generation > 1) name += fmt::format(", connection {} of these ports", tuple.generation);
    out_.names.push_back(std::move(name));
  }

  static std::string rebase(Tuple& tuple, bool first, world::Packet& p) {
    Numbers &own = tuple.numbers[first ? 0 : 1], &peer = tuple.numbers[first ? 1 : 0];
    std::string old;
    // A RST in answer to a segment without ACK has no number of its own (RFC 9293 3.10.7.1).
    const bool none = p.has(Flag::kRst) && p.seq == SeqNum{0};
    const auto seq = none ? Numbers::Place{} : own.place(p.seq, tuple.generation);
    p.seq = seq.offset;
    if (!seq.current) old += " (SEQ of the connection before)";
    if (p.has(Flag::kAck)) {
      const auto ack = peer.place(p.ack, tuple.generation);
      p.ack = ack.offset;
      if (!ack.current) old += " (ACK of the connection before)";
    }
    for (auto& [left, right] : p.sack) {
      left = peer.place(left, tuple.generation).offset;
      right = peer.place(right, tuple.generation).offset;
    }
    if (p.timestamps) p.timestamps = {0, 0};
    return old;
  }

  const Run& run_;
  Conversation out_;
  std::map<std::pair<End, End>, Tuple> tuples_;
  std::map<std::string, std::size_t> like_;
};

}  // namespace

Conversation packets_of(const Run& run) {
  Reader reader{run};
  for (const world::Seen& seen : run.packets)
    if (run.taps[seen.tap] == run.tap) reader.take(seen);
  return std::move(reader).result();
}

std::vector<Line> calls_of(const Run& run) {
  std::vector<Line> lines;
  for (const world::Note& note : run.notes) {
    // Which descriptor accept() gave is the host's own affair.
    const bool descriptor = note.call.starts_with("accept") && !note.result.empty() &&
                            std::isdigit(static_cast<unsigned char>(note.result.front())) != 0;
    const std::string line = fmt::format("{} {}: {}", note.host, note.call,
                                         descriptor ? "a descriptor" : result_words(note.call, note.result));
    lines.push_back({.time = note.time - run.begin, .key = line, .shown = line});
  }
  return lines;
}

}  // namespace tcpwhy::lab
