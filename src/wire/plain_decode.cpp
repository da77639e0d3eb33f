// The entrance of the plain decoder, and its two ways to say that there is no
// segment.

#include "wire/plain_decode.hpp"

#include "wire/plain.hpp"

namespace tcpwhy::wire::plain {

Decoded decode(const Frame& frame, Checksums checksums) {
  Outside outside;
  outside.checksums = checksums;
  // A frame has not fewer octets than were captured of it, whatever the file says.
  const std::size_t on_wire = frame.original > frame.captured ? frame.original : frame.captured;
  return link(frame.link, Octets{frame.data, frame.captured, on_wire}, outside);
}

Decoded ended(Kind kind, const Outside& outside) {
  Decoded decoded{.segment = outside.said, .fragment = outside.fragment, .neighbour = {}};
  decoded.segment.kind = kind;
  return decoded;
}

Decoded cut_or_malformed(Octets rest, std::size_t needed, const Outside& outside) {
  const bool was_there = rest.on_wire() >= needed;
  return ended(Kind::kMalformed, was_there ? outside.with(Anomaly::kTruncatedHeader) : outside);
}

}  // namespace tcpwhy::wire::plain
