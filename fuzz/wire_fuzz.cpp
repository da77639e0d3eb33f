// Any bytes under any link type: the fast decoder and the plain one agree, and
// neither reads beyond the end. The first octet chooses the link type, the
// second how much longer than captured the frame was; the rest is the frame.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <memory>

#include "support/two_readers.hpp"
#include "wire/numbers.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using tcpwhy::LinkType;
  using tcpwhy::wire::AirLink;
  constexpr LinkType kLinks[] = {LinkType::kEthernet, LinkType::kNull,     LinkType::kPpp,
                                 LinkType::kPppHdlc,  LinkType::kPppEther, LinkType::kRaw,
                                 LinkType::kLinuxSll, LinkType::kNflog,    LinkType::kLinuxSll2,
                                 AirLink::kIeee80211, AirLink::kRadiotap, AirLink::kPpi};
  if (size < 2) return 0;
  // A copy of its own, so that the sanitizer sees every octet beyond the end.
  const std::size_t captured = size - 2;
  const std::unique_ptr<std::uint8_t[]> bytes{new std::uint8_t[captured]};
  std::memcpy(bytes.get(), data + 2, captured);
  tcpwhy::Frame frame;
  frame.data = bytes.get();
  frame.captured = static_cast<std::uint32_t>(captured);
  frame.original = frame.captured + data[1];
  frame.link = kLinks[data[0] % std::size(kLinks)];
  for (const auto checksums : {tcpwhy::wire::Checksums::kVerify, tcpwhy::wire::Checksums::kSkip}) {
    const std::string why = tcpwhy::test::disagreement(frame, checksums);
    if (!why.empty()) {
      std::fprintf(stderr, "the readers disagree: %s\n", why.c_str());
      std::abort();
    }
  }
  return 0;
}
