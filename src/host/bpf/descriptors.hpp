#pragma once
// Every open descriptor of this machine, as the kernel walks them for us.

#include <cstdint>
#include <functional>

#include "tcpwhy/result.hpp"

namespace tcpwhy::host {

/// `each(process, inode)`; the inode is 0 for what is no socket. Descriptors of one process come together.
/// Answers how many there were, or why they cannot be had this way.
Result<std::uint64_t> each_descriptor(const std::function<void(std::uint32_t, std::uint32_t)>& each);

}  // namespace tcpwhy::host
