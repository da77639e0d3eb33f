// The next generation: a file of blocks, each with its length in front and
// behind. Sections begin with a header that tells the byte order; interfaces
// are described before their packets; everything unknown is stepped over.
// (draft-ietf-opsawg-pcapng; the section numbers below are its.)
//
// A block whose two lengths agree is framed soundly, so that a packet with
// impossible fields inside costs that packet only. Where the lengths disagree,
// nothing behind can be trusted: a search for the next section header would
// find captures inside payloads as well.

#include <algorithm>
#include <optional>
#include <vector>

#include "capture/bytes.hpp"
#include "capture/parser.hpp"

namespace tcpwhy::capture {
namespace {

__extension__ typedef __int128 Wide;

// Block types, section 11.1; the last ones as Wireshark's wiretap/pcapng.c counts
// them: they take a frame number there, so they take one here.
constexpr std::uint32_t kSectionHeader = 0x0A0D0D0A, kInterfaceDescription = 1, kPacket = 2,
                        kSimplePacket = 3, kInterfaceStatistics = 5, kEnhancedPacket = 6, kJournalExport = 9,
                        kSysdigEvent = 0x204, kSysdigEventV2 = 0x216, kSysdigEventV2Large = 0x221;
constexpr std::uint32_t kByteOrderMagic = 0x1A2B3C4D;

// Shortest legal blocks, both lengths included.
constexpr std::uint32_t kShortestBlock = 12, kShortestSection = 28, kShortestInterface = 20,
                        kShortestStatistics = 24, kShortestEnhanced = 32, kShortestSimple = 16;

// Longest block we look into; packets are far smaller. Others may be any size.
constexpr std::uint32_t kLongestBlock = 16u << 20;

/// How an interface counts time (if_tsresol, section 4.2): ticks times, over, or
/// shifted by a factor, plus if_tsoffset.
struct Ticks {
  enum class Rule : std::uint8_t { kMultiply, kDivide, kShift };
  Rule rule = Rule::kMultiply;
  std::uint64_t factor = 1000;  // microseconds unless it says otherwise
  std::int64_t offset_s = 0;

  static Ticks of(std::uint8_t resolution) {
    Ticks ticks;
    const unsigned exponent = resolution & 0x7Fu;
    const auto ten_to = [](unsigned n) {
      std::uint64_t power = 1;
      for (unsigned i = 0; i < n; ++i) power *= 10;
      return power;
    };
    if ((resolution & 0x80u) != 0) {
      ticks.rule = Rule::kShift;
      ticks.factor = exponent;
    } else if (exponent <= 9) {
      ticks.factor = ten_to(9 - exponent);
    } else {
      ticks.rule = Rule::kDivide;
      ticks.factor = exponent - 9 <= 19 ? ten_to(exponent - 9) : 0;  // finer than a 64-bit count can tell
    }
    return ticks;
  }

  [[nodiscard]] CaptureTime at(std::uint64_t count) const {
    Wide ns = 0;
    switch (rule) {
      case Rule::kMultiply:
        ns = static_cast<Wide>(count) * factor;
        break;
      case Rule::kDivide:
        ns = factor == 0 ? 0 : count / factor;
        break;
      case Rule::kShift:
        ns = factor > 100 ? 0 : static_cast<Wide>(count) * 1'000'000'000 >> factor;
        break;
    }
    ns += static_cast<Wide>(offset_s) * 1'000'000'000;
    // See Frame::time. No capture is older than 1970 or newer than 2116.
    constexpr Wide kLatest = (Wide{1} << 62) - 1;
    return CaptureTime{Duration{static_cast<std::int64_t>(std::clamp(ns, Wide{0}, kLatest))}};
  }
};

struct Interface {
  Ticks ticks;
  std::uint32_t snap_length = 0;
  LinkType link = LinkType::kUnknown;
  // Statistics blocks repeat totals, the last one counts; packets count since the one before.
  std::optional<std::uint64_t> dropped_by_interface, dropped_by_kernel;
  std::uint64_t dropped_before_packets = 0;
  bool packets_tell_drops = false;
  std::uint64_t frames = 0;                ///< of it in this section
  std::optional<std::uint64_t> received;   ///< of it when the capture stopped
  std::optional<CaptureTime> stopped;
};

/// Calls `visit(code, value, length)` for each option in [p, end). False when
/// one does not fit.
template <Order order, class Visit>
bool options(const std::uint8_t* p, const std::uint8_t* end, Visit visit) {
  while (end - p >= 4) {
    const std::uint16_t code = load16<order>(p), length = load16<order>(p + 2);
    if (code == 0) return true;
    p += 4;
    if (length > end - p) return false;
    visit(code, p, length);
    const std::ptrdiff_t padded = (length + 3) & ~3;
    if (padded > end - p) return true;
    p += padded;
  }
  return true;
}

class PcapNg final : public Parser {
 public:
  explicit PcapNg(std::uint8_t file) : Parser{file} {}

  Stopped parse(Window& window, std::span<Frame> batch) override {
    const std::uint8_t* const before = window.at;
    Reading reading{window, batch, window.at, 0, {}};
    do {
      reading.new_section = false;
      if (order_ == Order::kNative) {
        read<Order::kNative>(reading);
      } else {
        read<Order::kSwapped>(reading);
      }
    } while (reading.new_section);
    reading.stopped.frames = reading.frames;
    window.at = reading.p;
    losses_.bytes += static_cast<std::uint64_t>(window.at - before);
    losses_.frames += reading.frames;
    return reading.stopped;
  }

  void cut_short(const Window& window) override {
    if (window.bytes() == 0 && !skipped_) return;
    const std::uint64_t offset = skipped_ ? skipped_->offset : window.offset_of(window.at);
    trouble("capture.pcapng.truncated", offset,
            "the file ends inside the block that begins at byte " + std::to_string(offset) +
                " (the writer was stopped, is still writing, or the copy is incomplete)");
  }

  void finish() override { end_section(); }

 private:
  struct Reading {
    Window& window;
    std::span<Frame> batch;
    const std::uint8_t* p;
    std::size_t frames;
    Stopped stopped;
    bool new_section = false;
  };

  /// A block that was stepped over without being seen whole.
  struct Skipped {
    std::uint64_t offset = 0;
    std::uint32_t length = 0;
  };

  template <Order order>
  void read(Reading& r) {
    const std::uint8_t* const end = r.window.end;
    while (r.frames < r.batch.size()) {
      const auto left = static_cast<std::size_t>(end - r.p);
      if (skipped_) [[unlikely]] {
        if (left < 4) return stop(r, Stopped::Why::kMore, 4);
        if (load32<order>(r.p) != skipped_->length) return damaged(r, skipped_->offset, skipped_->length);
        r.p += 4;
        skipped_.reset();
        continue;
      }
      if (left < kShortestBlock) [[unlikely]]
        return left == 0 && r.window.last ? stop(r, Stopped::Why::kEnd, 0)
                                          : stop(r, Stopped::Why::kMore, kShortestBlock);
      const std::uint32_t type = load32<order>(r.p);
      if (type == kSectionHeader) [[unlikely]]
        return begin_section(r);
      const std::uint32_t length = load32<order>(r.p + 4);
      if (length < kShortestBlock || !started_) [[unlikely]]
        return damaged(r, r.window.offset_of(r.p), length);
      if (length > left) [[unlikely]] {
        if (looks_into(type) && length > kLongestBlock) return damaged(r, r.window.offset_of(r.p), length);
        if (r.window.last) return stop(r, Stopped::Why::kMore, length);
        if (!looks_into(type)) {
          count_unseen(type);
          skipped_ = {r.window.offset_of(r.p), length};
          return stop(r, Stopped::Why::kSkip, length - 4);
        }
        return stop(r, Stopped::Why::kMore, length);
      }
      if (load32<order>(r.p + length - 4) != length) [[unlikely]]
        return damaged(r, r.window.offset_of(r.p), length);
      if (type == kEnhancedPacket) [[likely]] {
        enhanced_packet<order>(r, length);
      } else {
        rare_block<order>(r, type, length);
      }
      r.p += length;
    }
    r.stopped = {.why = Stopped::Why::kFull};
  }

  static void stop(Reading& r, Stopped::Why why, std::uint64_t bytes) {
    r.stopped = {.why = why, .bytes = bytes};
  }

  void damaged(Reading& r, std::uint64_t offset, std::uint32_t length) {
    trouble("capture.pcapng.block-length", offset,
            "the block at byte " + std::to_string(offset) + " claims " + std::to_string(length) +
                " bytes, and its end does not agree; the file is damaged there and the rest is not read");
    stop(r, Stopped::Why::kDamaged, 0);
  }

  static bool looks_into(std::uint32_t type) {
    return type == kEnhancedPacket || type == kSimplePacket || type == kPacket ||
           type == kInterfaceDescription || type == kInterfaceStatistics;
  }

  void count_unseen(std::uint32_t type) {
    if (type == kJournalExport || type == kSysdigEvent || type == kSysdigEventV2 ||
        type == kSysdigEventV2Large)
      ++number_;
  }

  // Section 4.1. Its byte order is told by a magic number behind the length.
  void begin_section(Reading& r) {
    const bool native = load32<Order::kNative>(r.p + 8) == kByteOrderMagic;
    const bool swapped = load32<Order::kSwapped>(r.p + 8) == kByteOrderMagic;
    const std::uint32_t length = native ? load32<Order::kNative>(r.p + 4) : load32<Order::kSwapped>(r.p + 4);
    const auto left = static_cast<std::size_t>(r.window.end - r.p);
    if ((!native && !swapped) || length < kShortestSection || length > kLongestBlock) {
      damaged(r, r.window.offset_of(r.p), length);
      return;
    }
    if (length > left) {
      stop(r, Stopped::Why::kMore, length);
      return;
    }
    const std::uint8_t* trailer = r.p + length - 4;
    if ((native ? load32<Order::kNative>(trailer) : load32<Order::kSwapped>(trailer)) != length) {
      damaged(r, r.window.offset_of(r.p), length);
      return;
    }
    const std::uint16_t major = native ? load16<Order::kNative>(r.p + 12) : load16<Order::kSwapped>(r.p + 12);
    if (major != 1) {
      trouble("capture.pcapng.version", r.window.offset_of(r.p),
              "the section at byte " + std::to_string(r.window.offset_of(r.p)) + " is of version " +
                  std::to_string(major) + ", which is not known; it is not read");
      stop(r, Stopped::Why::kDamaged, 0);
      return;
    }
    end_section();
    order_ = native ? Order::kNative : Order::kSwapped;
    started_ = true;
    r.p += length;
    r.new_section = true;
  }

  void end_section() {
    for (Interface& i : interfaces_) {
      const std::uint64_t by_interface = i.dropped_by_interface.value_or(0);
      std::uint64_t by_kernel = i.dropped_by_kernel.value_or(0);
      // What packets tell (epb_dropcount) is the sum of both kinds.
      if (i.dropped_before_packets > by_interface + by_kernel)
        by_kernel = i.dropped_before_packets - by_interface;
      losses_.dropped_by_interface += by_interface;
      losses_.dropped_by_kernel += by_kernel;
      if (i.stopped && i.received && i.frames + by_interface + by_kernel >= *i.received)
        losses_.watched_until = std::max(losses_.watched_until.value_or(*i.stopped), *i.stopped);
      losses_.drops_reported |= i.packets_tell_drops || i.dropped_by_interface || i.dropped_by_kernel;
    }
    first_interface_ += static_cast<std::uint32_t>(interfaces_.size());
    interfaces_.clear();
  }

  // Section 4.3.
  template <Order order>
  void enhanced_packet(Reading& r, std::uint32_t length) {
    const std::uint8_t* const p = r.p;
    if (length < kShortestEnhanced) return bad_packet(r, "is too short for a packet");
    const std::uint32_t id = load32<order>(p + 8);
    const std::uint32_t captured = load32<order>(p + 20);
    const std::uint32_t padded = (captured + 3) & ~3u;
    if (captured > length - kShortestEnhanced)
      return bad_packet(r, "holds less than the packet it announces");
    if (id >= interfaces_.size()) return bad_packet(r, "names an interface that was not described");
    Interface& interface = interfaces_[id];
    Frame& frame = add(r, interface, id, p + 28, captured, load32<order>(p + 24));
    frame.time = interface.ticks.at(std::uint64_t{load32<order>(p + 12)} << 32 | load32<order>(p + 16));
    if (length > kShortestEnhanced + padded)
      packet_options<order>(r, frame, interface, p + 28 + padded, length);
  }

  // Options of sections 4.3 and A: epb_flags or pack_flags 2, epb_dropcount 4.
  template <Order order>
  void packet_options(const Reading& r, Frame& frame, Interface& interface, const std::uint8_t* begin,
                      std::uint32_t length) {
    const bool whole = options<order>(begin, r.p + length - 4,
                                      [&](std::uint16_t code, const std::uint8_t* v, std::uint16_t n) {
                                        if (code == 2 && n == 4) {
                                          const std::uint32_t flags = load32<order>(v) & 3u;
                                          if (flags == 1) frame.direction = FrameDirection::kInbound;
                                          if (flags == 2) frame.direction = FrameDirection::kOutbound;
                                        } else if (code == 4 && n == 8) {
                                          interface.dropped_before_packets += load64<order>(v);
                                          interface.packets_tell_drops = true;
                                        }
                                      });
    if (!whole) bad_options(r);
  }

  // One frame; what else is known of it is the caller's to add.
  Frame& add(Reading& r, Interface& interface, std::uint32_t id, const std::uint8_t* data,
             std::uint32_t captured, std::uint32_t original) {
    Frame& frame = r.batch[r.frames++];
    frame.data = data;
    frame.captured = captured;
    frame.original = original;
    frame.number = ++number_;
    ++interface.frames;
    frame.link = interface.link;
    frame.file = file_;
    frame.direction = FrameDirection::kUnknown;
    frame.interface = static_cast<std::uint16_t>(std::min(first_interface_ + id, 0xFFFFu));
    frame.has_time = true;
    losses_.truncated_frames += captured < original ? 1 : 0;
    if (interface.link == LinkType::kLinuxSll || interface.link == LinkType::kLinuxSll2)
      cooked_direction(frame);
    return frame;
  }

  template <Order order>
  void rare_block(Reading& r, std::uint32_t type, std::uint32_t length) {
    switch (type) {
      case kInterfaceDescription:
        return interface_description<order>(r, length);
      case kInterfaceStatistics:
        return interface_statistics<order>(r, length);
      case kSimplePacket:
        return simple_packet<order>(r, length);
      case kPacket:
        return old_packet<order>(r, length);
      default:
        return count_unseen(type);  // the format asks readers to step over what they do not know
    }
  }

  // Section 4.2.
  template <Order order>
  void interface_description(Reading& r, std::uint32_t length) {
    if (length < kShortestInterface) return bad_block(r, "is too short to describe an interface");
    Interface interface;
    const std::uint16_t link = load16<order>(r.p + 8);
    interface.link = static_cast<LinkType>(link);
    interface.snap_length = load32<order>(r.p + 12);
    const bool whole = options<order>(
        r.p + 16, r.p + length - 4, [&](std::uint16_t code, const std::uint8_t* v, std::uint16_t n) {
          if (code == 9 && n >= 1) {
            const std::int64_t offset = interface.ticks.offset_s;
            interface.ticks = Ticks::of(*v);
            interface.ticks.offset_s = offset;
          } else if (code == 14 && n == 8) {
            interface.ticks.offset_s = static_cast<std::int64_t>(load64<order>(v));
          }
        });
    if (!whole) bad_options(r);
    const std::uint32_t snap = interface.snap_length;
    if (snap != 0 && snap < 262'144 && (losses_.snap_length == 0 || snap < losses_.snap_length))
      losses_.snap_length = snap;
    interfaces_.push_back(interface);
  }

  // Section 4.6: isb_endtime 3, isb_ifrecv 4, isb_ifdrop 5, isb_osdrop 7.
  template <Order order>
  void interface_statistics(Reading& r, std::uint32_t length) {
    if (length < kShortestStatistics) return bad_block(r, "is too short for statistics");
    const std::uint32_t id = load32<order>(r.p + 8);
    if (id >= interfaces_.size()) return bad_block(r, "names an interface that was not described");
    Interface& interface = interfaces_[id];
    const bool whole = options<order>(r.p + 20, r.p + length - 4,
                                      [&](std::uint16_t code, const std::uint8_t* v, std::uint16_t n) {
                                        if (code == 3 && n == 8)
                                          interface.stopped = interface.ticks.at(std::uint64_t{load32<order>(v)} << 32 | load32<order>(v + 4));
                                        if (code == 4 && n == 8)
                                          interface.received = load64<order>(v);
                                        if (code == 5 && n == 8)
                                          interface.dropped_by_interface = load64<order>(v);
                                        if (code == 7 && n == 8)
                                          interface.dropped_by_kernel = load64<order>(v);
                                      });
    if (!whole) bad_options(r);
  }

  // Section 4.4: no time, no interface (it is the first), no captured length.
  template <Order order>
  void simple_packet(Reading& r, std::uint32_t length) {
    if (length < kShortestSimple) return bad_packet(r, "is too short for a packet");
    if (interfaces_.empty()) return bad_packet(r, "has no interface described before it");
    Interface& interface = interfaces_.front();
    const std::uint32_t original = load32<order>(r.p + 8);
    std::uint32_t captured = std::min(original, length - kShortestSimple);
    if (interface.snap_length != 0) captured = std::min(captured, interface.snap_length);
    Frame& frame = add(r, interface, 0, r.p + 12, captured, original);
    frame.time = CaptureTime{};
    frame.has_time = false;
  }

  // Appendix A: the obsolete Packet Block.
  template <Order order>
  void old_packet(Reading& r, std::uint32_t length) {
    if (length < kShortestEnhanced) return bad_packet(r, "is too short for a packet");
    const std::uint32_t id = load16<order>(r.p + 8);
    const std::uint16_t drops = load16<order>(r.p + 10);
    const std::uint32_t captured = load32<order>(r.p + 20);
    const std::uint32_t padded = (captured + 3) & ~3u;
    if (captured > length - kShortestEnhanced)
      return bad_packet(r, "holds less than the packet it announces");
    if (id >= interfaces_.size()) return bad_packet(r, "names an interface that was not described");
    Interface& interface = interfaces_[id];
    Frame& frame = add(r, interface, id, r.p + 28, captured, load32<order>(r.p + 24));
    frame.time = interface.ticks.at(std::uint64_t{load32<order>(r.p + 12)} << 32 | load32<order>(r.p + 16));
    if (drops != 0xFFFF) {  // not known
      interface.dropped_before_packets += drops;
      interface.packets_tell_drops = true;
    }
    if (length > kShortestEnhanced + padded)
      packet_options<order>(r, frame, interface, r.p + 28 + padded, length);
  }

  // A packet that cannot be used keeps its number, so that the later ones keep theirs.
  void bad_packet(const Reading& r, const char* why) {
    ++number_;
    bad_block(r, why);
  }
  void bad_block(const Reading& r, const char* why) {
    const std::uint64_t offset = r.window.offset_of(r.p);
    trouble("capture.pcapng.block", offset,
            "the block at byte " + std::to_string(offset) + " " + why + "; it was left out");
  }
  void bad_options(const Reading& r) {
    const std::uint64_t offset = r.window.offset_of(r.p);
    trouble("capture.pcapng.option-length", offset,
            "an option of the block at byte " + std::to_string(offset) +
                " is longer than its block; it was left out");
  }

  std::vector<Interface> interfaces_;  ///< of this section
  std::uint32_t first_interface_ = 0;  ///< described in the sections before
  std::optional<Skipped> skipped_;
  Order order_ = Order::kNative;
  bool started_ = false;
};

}  // namespace

std::unique_ptr<Parser> make_pcapng_parser(std::uint8_t file) { return std::make_unique<PcapNg>(file); }

}  // namespace tcpwhy::capture
