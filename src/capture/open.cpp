// Opening a path: what is it, how is it packed, and who reads it.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "capture/file_source.hpp"
#include "capture/selected.hpp"
#include "capture/stream.hpp"
#include "tcpwhy/capture.hpp"

namespace tcpwhy::capture {
namespace {

Error cannot_open(const std::string& name, int error) {
  std::string message = "cannot open " + name + ": " + std::strerror(error);
  if (error == EACCES) message += "; captures often belong to root: try sudo, or change its owner";
  if (error == ENOENT && name.find(' ') != std::string::npos) message += "; a filter is given with --filter";
  return {"capture.open", std::move(message)};
}

// Enough octets to know the compression by, or all there are.
std::vector<std::uint8_t> read_magic(int fd) {
  std::vector<std::uint8_t> first(kMagicBytes);
  std::size_t have = 0;
  while (have < first.size()) {
    const ssize_t got = ::read(fd, first.data() + have, first.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    have += static_cast<std::size_t>(got);
  }
  first.resize(have);
  return first;
}

// `< FILE` is a plain file too, from wherever the shell left off.
Result<std::unique_ptr<Source>> open_plain(Descriptor input, const std::string& name, std::uint8_t file_index,
                                           const struct stat& status) {
  const auto size = static_cast<std::uint64_t>(status.st_size);
  const off_t here = lseek(input.get(), 0, SEEK_CUR);
  const std::uint64_t start = here > 0 ? static_cast<std::uint64_t>(here) : 0;
  if (size <= start) return Error{"capture.empty", name + " is empty: not even a file header was written"};

  std::array<std::uint8_t, kMagicBytes> first{};
  const ssize_t got = pread(input.get(), first.data(), first.size(), static_cast<off_t>(start));
  if (got < 0) return cannot_open(name, errno);
  const Compression compression = compression_of(std::span{first}.first(static_cast<std::size_t>(got)));
  if (compression == Compression::kNone)
    return make_file_source(read_file(std::move(input), start, size), name, file_index);
  return make_file_source(stream(raw_descriptor(std::move(input), {}, size - start), compression), name,
                          file_index);
}

// A plain file is read by whoever parses it, everything else by a thread beside.
Result<std::unique_ptr<Source>> open_everything(const std::string& path, std::uint8_t file_index) {
  const bool standard_input = path == "-";
  const std::string name = standard_input ? "standard input" : path;
  Descriptor input{standard_input ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (input.get() < 0) return cannot_open(name, errno);
  struct stat status {};
  if (fstat(input.get(), &status) != 0) return cannot_open(name, errno);
  if (S_ISDIR(status.st_mode))
    return Error{"capture.open", name + " is a directory; name the captures in it"};

  if (S_ISREG(status.st_mode)) return open_plain(std::move(input), name, file_index, status);
  std::vector<std::uint8_t> first = read_magic(input.get());
  const Compression compression = compression_of(first);
  return make_file_source(stream(raw_descriptor(std::move(input), std::move(first), 0), compression), name,
                          file_index);
}

}  // namespace

Result<std::unique_ptr<Source>> open_file(const std::string& path, std::uint8_t file_index,
                                          const OpenOptions& options) {
  auto source = open_everything(path, file_index);
  if (!source) return source;
  return select_frames(std::move(*source), options, file_index);
}

Result<std::unique_ptr<Source>> open_memory(std::span<const std::uint8_t> bytes, std::uint8_t file,
                                            std::size_t chunk_bytes) {
  const Compression compression = compression_of(bytes);
  if (compression == Compression::kNone)
    return make_file_source(read_memory(bytes, chunk_bytes), "memory", file);
  return make_file_source(stream(raw_memory(bytes), compression), "memory", file);
}

}  // namespace tcpwhy::capture
