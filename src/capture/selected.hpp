#pragma once
// The frames of another source that pass a filter and lie in a time window.

#include <memory>

#include "tcpwhy/capture.hpp"

namespace tcpwhy::capture {

/// The source itself when the options select everything.
///
/// Errors: `capture.filter`, with libpcap's words for what is wrong.
Result<std::unique_ptr<Source>> select_frames(std::unique_ptr<Source> source, const OpenOptions& options,
                                              std::uint8_t file);

/// Adds what `part` says to `whole`.
void add_losses(Losses& whole, const Losses& part);

}  // namespace tcpwhy::capture
