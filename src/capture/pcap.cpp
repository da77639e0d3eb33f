// The classic format: a file header of 24 octets, then records of a header and
// a frame each, until the end. Nothing marks where a record begins, so that
// behind a damaged record there is nothing to hold on to: we stop and say so.
//
// The magic number tells the byte order, microseconds from nanoseconds, and
// Alexey Kuznetzov's variant with longer record headers.
// (draft-ietf-opsawg-pcap; the variants as libpcap and Wireshark read them.)

#include <algorithm>
#include <array>

#include "capture/bytes.hpp"
#include "capture/parser.hpp"

namespace tcpwhy::capture {
namespace {

enum class Resolution : std::uint8_t { kMicro, kNano };
enum class Header : std::uint8_t { kPlain = 16, kModified = 24 };

constexpr std::uint32_t kMagicMicro = 0xa1b2c3d4;
constexpr std::uint32_t kMagicNano = 0xa1b23c4d;
constexpr std::uint32_t kMagicModified = 0xa1b2cd34;

/// What the file header says about every record.
struct Shape {
  std::uint32_t longest = 0;
  LinkType link = LinkType::kEthernet;
  bool lengths_swapped = false;
};

template <Order order, Resolution resolution, Header header>
class Pcap final : public Parser {
 public:
  Pcap(std::uint8_t file, Shape shape) : Parser{file}, shape_{shape} {}

  Stopped parse(Window& window, std::span<Frame> batch) override {
    constexpr std::size_t kHeader = static_cast<std::size_t>(header);
    constexpr std::int64_t kTick = resolution == Resolution::kMicro ? 1000 : 1;
    const std::uint8_t* p = window.at;
    const std::uint8_t* const end = window.end;
    const std::uint32_t longest = shape_.longest;
    std::uint32_t number = number_;
    std::uint64_t truncated = 0;
    Stopped stopped;
    std::size_t n = 0;
    for (; n < batch.size(); ++n) {
      const auto left = static_cast<std::size_t>(end - p);
      if (left < kHeader) [[unlikely]] {
        stopped = left == 0 && window.last ? Stopped{.why = Stopped::Why::kEnd}
                                           : Stopped{.why = Stopped::Why::kMore, .bytes = kHeader};
        break;
      }
      const std::uint32_t seconds = load32<order>(p);
      const std::uint32_t fraction = load32<order>(p + 4);
      std::uint32_t captured = load32<order>(p + 8);
      std::uint32_t original = load32<order>(p + 12);
      if (shape_.lengths_swapped && captured > original) [[unlikely]]
        std::swap(captured, original);
      if (captured > longest || (captured | original | seconds | fraction) == 0) [[unlikely]] {
        damaged(window.offset_of(p), captured, number);
        stopped = {.why = Stopped::Why::kDamaged};
        break;
      }
      if (captured > left - kHeader) [[unlikely]] {
        stopped = {.why = Stopped::Why::kMore, .bytes = kHeader + captured};
        break;
      }
      Frame& frame = batch[n];
      frame.data = p + kHeader;
      frame.captured = captured;
      frame.original = original;
      frame.time =
          CaptureTime{Duration{std::int64_t{seconds} * 1'000'000'000 + std::int64_t{fraction} * kTick}};
      frame.number = ++number;
      frame.link = shape_.link;
      frame.file = file_;
      frame.direction = FrameDirection::kUnknown;
      frame.interface = 0;
      frame.has_time = true;
      if constexpr (header == Header::kModified) {
        frame.direction = direction_of_packet_type(p[22]);
        frame.interface = static_cast<std::uint16_t>(load32<order>(p + 16));
      }
      truncated += captured < original ? 1 : 0;
      p += kHeader + captured;
    }
    stopped.frames = n;
    if (shape_.link == LinkType::kLinuxSll || shape_.link == LinkType::kLinuxSll2)
      read_cooked(batch.first(n));
    losses_.bytes += static_cast<std::uint64_t>(p - window.at);
    losses_.frames += n;
    losses_.truncated_frames += truncated;
    number_ = number;
    window.at = p;
    return stopped;
  }

  void cut_short(const Window& window) override {
    constexpr std::size_t kHeader = static_cast<std::size_t>(header);
    if (window.bytes() == 0) return;
    const std::uint64_t offset = window.offset_of(window.at);
    std::string missing;
    if (window.bytes() >= kHeader) {
      const std::uint32_t captured = load32<order>(window.at + 8);
      if (captured + kHeader > window.bytes())
        missing = "; " + std::to_string(captured + kHeader - window.bytes()) + " of its bytes are missing";
    }
    trouble("capture.pcap.truncated", offset,
            "the file ends inside the record that begins at byte " + std::to_string(offset) + missing +
                " (the writer was stopped, is still writing, or the copy is incomplete)");
  }

 private:
  void damaged(std::uint64_t offset, std::uint32_t captured, std::uint32_t number) {
    number_ = number;
    const std::string place = "the record at byte " + std::to_string(offset);
    if (captured == 0)
      trouble("capture.pcap.zeros", offset,
              place + " is zeros where a record header should be; the rest is not read");
    else
      trouble("capture.pcap.record-length", offset,
              place + " claims " + std::to_string(captured) +
                  " bytes, more than a packet can have; the file is damaged there and the rest is not read");
  }

  void read_cooked(std::span<Frame> frames) {
    for (Frame& frame : frames) cooked_direction(frame);
  }

  Shape shape_;
};

template <Order order>
std::unique_ptr<Parser> make(Window& window, std::uint8_t file) {
  const std::uint8_t* h = window.at;
  const std::uint32_t magic = load32<order>(h);
  const std::uint16_t major = load16<order>(h + 4), minor = load16<order>(h + 6);
  const std::uint32_t snap_length = load32<order>(h + 16);
  // The upper bits of the last word tell about a frame check sequence.
  const std::uint32_t link = load32<order>(h + 20) & 0xFFFF;

  Shape shape;
  shape.link = static_cast<LinkType>(link);
  shape.longest = longest_record(link);
  // Before version 2.3, and in one odd dialect, the two lengths stand the other
  // way around (libpcap sf-pcap.c swapped_type_t). The captured one is the smaller.
  shape.lengths_swapped = (major == 2 && minor <= 3) || major == 543;
  if (major != 2 && major != 543) return nullptr;  // nobody writes or knows others

  std::unique_ptr<Parser> parser;
  if (magic == kMagicMicro) {
    parser = std::make_unique<Pcap<order, Resolution::kMicro, Header::kPlain>>(file, shape);
  } else if (magic == kMagicNano) {
    parser = std::make_unique<Pcap<order, Resolution::kNano, Header::kPlain>>(file, shape);
  } else if (magic == kMagicModified) {
    parser = std::make_unique<Pcap<order, Resolution::kMicro, Header::kModified>>(file, shape);
  } else {
    return nullptr;
  }
  parser->losses().snap_length = snap_length < 262'144 ? snap_length : 0;
  parser->losses().bytes = kProbeBytes;
  window.at += kProbeBytes;
  return parser;
}

}  // namespace

std::uint32_t longest_record(std::uint32_t link_type) {
  // LINKTYPE_USB_LINUX, LINKTYPE_USB_LINUX_MMAPPED, LINKTYPE_DBUS, LINKTYPE_USBPCAP, LINKTYPE_EBHSCR.
  constexpr std::array<std::uint32_t, 5> kTransfers = {189, 220, 231, 249, 279};
  return std::ranges::find(kTransfers, link_type) != kTransfers.end() ? 128u << 20 : 1u << 20;
}

std::unique_ptr<Parser> make_pcap_parser(Window& window, std::uint8_t file) {
  if (window.bytes() < kProbeBytes) return nullptr;
  if (auto parser = make<Order::kNative>(window, file)) return parser;
  return make<Order::kSwapped>(window, file);
}

}  // namespace tcpwhy::capture
