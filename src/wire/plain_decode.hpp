#pragma once
// The same meaning as decode.hpp, said a second time and as plainly as it can be
// said: octets in, one function per header, each reading like its RFC. It is the
// documentation of the decoder and the judge of the fast one, which must agree
// with it on every byte string. It is never optimised.

#include "tcpwhy/decode.hpp"

namespace tcpwhy::wire::plain {

struct Decoded {
  Segment segment;
  Fragment fragment;
  Neighbour neighbour;
};

[[nodiscard]] Decoded decode(const Frame& frame, Checksums checksums);

}  // namespace tcpwhy::wire::plain
