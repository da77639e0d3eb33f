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

FrameDirection direction_of_packet_type(std::uint32_t packet_type) {
  if (packet_type == 4) return FrameDirection::kOutbound;
  return packet_type <= 2 ? FrameDirection::kInbound : FrameDirection::kUnknown;
}

void cooked_direction(Frame& frame) {
  if (frame.captured < 16) return;
  // Version 1 begins with the packet type, version 2 has it at octet 10.
  const std::uint32_t type = frame.link == LinkType::kLinuxSll ? load16<kBig>(frame.data) : frame.data[10];
  frame.direction = direction_of_packet_type(type);
}

std::unique_ptr<Parser> make_parser(Window& window, std::uint8_t file) {
  if (window.bytes() >= 4 && load32<kLittle>(window.at) == kSectionHeader) return make_pcapng_parser(file);
  return make_pcap_parser(window, file);
}

}  // namespace tcpwhy::capture
