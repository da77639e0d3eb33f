#pragma once
// A Source made of a feed and the parser for what it carries.

#include <memory>
#include <string>

#include "capture/feed.hpp"
#include "tcpwhy/capture.hpp"

namespace tcpwhy::capture {

/// Looks at the first bytes and chooses the parser. `name` is for sentences.
Result<std::unique_ptr<Source>> make_file_source(std::unique_ptr<Chunks> chunks, const std::string& name,
                                                 std::uint8_t file);

/// A file that lies in memory, compressed or not, read in pieces of
/// `chunk_bytes`; for tests and fuzzing. `bytes` must outlive the source.
Result<std::unique_ptr<Source>> open_memory(std::span<const std::uint8_t> bytes, std::uint8_t file,
                                            std::size_t chunk_bytes);

}  // namespace tcpwhy::capture
