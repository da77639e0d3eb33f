// Which parser reads a file, and what all of them share.

#include "capture/parser.hpp"

#include <utility>

#include "capture/bytes.hpp"

namespace tcpwhy::capture {
namespace {

constexpr std::uint32_t kSectionHeader = 0x0A0D0D0A;  // the same in both byte orders

// A hostile file can hold a million damaged blocks; the first ones tell the story.
constexpr std::size_t kTroublesKept = 100;

}  // namespace

void Parser::trouble(std::string id, std::uint64_t offset, std::string message) {
  if (losses_.troubles.size() >= kTroublesKept) return;
  losses_.troubles.push_back({std::move(id), file_, offset, number_, std::move(message)});
}

std::unique_ptr<Parser> make_parser(Window& window, std::uint8_t file) {
  if (window.bytes() >= 4 && load32<kLittle>(window.at) == kSectionHeader) return make_pcapng_parser(file);
  return make_pcap_parser(window, file);
}

}  // namespace tcpwhy::capture
