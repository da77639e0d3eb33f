#pragma once

namespace tcpwhy::cli {

/// A long capture follows: the allocator takes memory from the kernel in large
/// pieces, in huge pages where it can, and gives none back before the end. The
/// first touch of a page is dear on a virtual machine, 512 times dearer than it
/// need be in pages of 4 KiB. Does nothing where the C library has no such knobs.
void expect_a_long_capture();

}  // namespace tcpwhy::cli
