// The loop between feed and parser: parse what is at hand, ask for more when no
// frame came of it. A frame handed out is never moved before the next call.

#include "capture/file_source.hpp"

#include <array>
#include <cstdio>
#include <string_view>
#include <utility>

#include "capture/bytes.hpp"
#include "capture/parser.hpp"

namespace tcpwhy::capture {
namespace {

class FileSource final : public Source {
 public:
  FileSource(Feed feed, Window window, std::unique_ptr<Parser> parser, std::uint8_t file)
      : feed_{std::move(feed)}, window_{window}, parser_{std::move(parser)}, file_{file} {}

  std::span<const Frame> next() override {
    if (ended_) return {};
    for (;;) {
      // What stopped the parser last time, now that its frames are done with.
      switch (stopped_.why) {
        case Stopped::Why::kFull:
          break;
        case Stopped::Why::kSkip:
          parser_->losses().bytes += feed_.skip(window_, stopped_.bytes);
          break;
        case Stopped::Why::kMore:
          if (!window_.last) feed_.extend(window_, stopped_.bytes);
          if (window_.last && window_.bytes() < stopped_.bytes) return end(Ending::kMidRecord);
          break;
        case Stopped::Why::kEnd:
          return end(Ending::kClean);
        case Stopped::Why::kDamaged:
          return end(Ending::kClean);
      }
      stopped_ = parser_->parse(window_, batch_);
      if (stopped_.frames > 0) return std::span{batch_}.first(stopped_.frames);
    }
  }

  void read_ahead() override { feed_.read_ahead(); }
  const Losses& losses() const override { return parser_->losses(); }
  std::uint64_t consumed() const override { return feed_.chunks().consumed(); }
  std::uint64_t size() const override { return feed_.chunks().size(); }
  bool reopenable() const override { return feed_.chunks().reopenable(); }

 private:
  enum class Ending : std::uint8_t { kClean, kMidRecord };

  // A record cut by damage below it is not damage of its own.
  std::span<const Frame> end(Ending ending) {
    ended_ = true;
    if (auto damage = feed_.chunks().damage()) {
      damage->file = file_;
      damage->after_frame = static_cast<std::uint32_t>(parser_->losses().frames);
      parser_->losses().troubles.push_back(std::move(*damage));
    } else if (ending == Ending::kMidRecord) {
      parser_->cut_short(window_);
    }
    parser_->finish();
    return {};
  }

  Feed feed_;
  Window window_;
  std::unique_ptr<Parser> parser_;
  std::uint8_t file_;
  bool ended_ = false;
  Stopped stopped_;
  std::array<Frame, 256> batch_;
};

// Formats people try, and what to do about them.
std::string what_it_is(const Window& window) {
  const auto begins = [&](std::string_view magic) {
    return window.bytes() >= magic.size() && std::memcmp(window.at, magic.data(), magic.size()) == 0;
  };
  const std::string convert = "; convert it with: editcap -F pcapng IN OUT";
  if (begins("\xD4\xC3\xB2\xA1") || begins("\xA1\xB2\xC3\xD4"))
    return "it has pcap's mark and a version nobody knows";
  if (begins("snoop")) return "it is a Solaris snoop file" + convert;
  if (begins("GMBU") || begins("RTSS")) return "it is a Microsoft Network Monitor file" + convert;
  if (begins("BZh")) return "it is bzip2; unpack it first";
  if (begins("PK\x03\x04")) return "it is a zip archive; unpack it first";
  if (begins("7z\xBC\xAF")) return "it is a 7z archive; unpack it first";
  if (begins("\x02\x21\x4C\x18")) return "it is lz4 in the legacy framing; unpack it first with: lz4 -d";
  bool text = window.bytes() > 0;
  for (const std::uint8_t* p = window.at; p != window.end && p != window.at + kProbeBytes; ++p)
    text = text && ((*p >= 0x20 && *p < 0x7F) || *p == '\t' || *p == '\n' || *p == '\r');
  if (text) return "it is text; captures are written with: tcpdump -w FILE";
  std::string bytes;
  for (const std::uint8_t* p = window.at; p != window.end && p != window.at + 4; ++p) {
    std::array<char, 4> hex{};
    std::snprintf(hex.data(), hex.size(), " %02x", *p);
    bytes += hex.data();
  }
  return "it begins with" + bytes;
}

}  // namespace

Result<std::unique_ptr<Source>> make_file_source(std::unique_ptr<Chunks> chunks, const std::string& name,
                                                 std::uint8_t file) {
  Window window;
  Feed feed{std::move(chunks)};
  while (window.bytes() < kProbeBytes && !window.last) feed.extend(window, kProbeBytes);
  if (window.bytes() == 0) {
    if (auto damage = feed.chunks().damage()) return Error{damage->id, name + ": " + damage->message};
    return Error{"capture.empty", name + " is empty: not even a file header was written"};
  }
  std::unique_ptr<Parser> parser = make_parser(window, file);
  if (!parser) {
    if (auto damage = feed.chunks().damage()) return Error{damage->id, name + ": " + damage->message};
    return Error{"capture.format", name + " is not a pcap or pcapng capture: " + what_it_is(window)};
  }
  return std::unique_ptr<Source>{
      std::make_unique<FileSource>(std::move(feed), window, std::move(parser), file)};
}

}  // namespace tcpwhy::capture
