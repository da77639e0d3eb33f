// A window over an input that comes in chunks.

#include "capture/feed.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace tcpwhy::capture {

void Feed::extend(Window& window, std::size_t wanted) {
  const std::size_t rest = window.bytes();
  Chunk chunk = chunks_->next();
  window.end_offset += chunk.bytes;
  if (rest <= chunk.headroom && (rest + chunk.bytes >= wanted || chunk.last)) {
    if (rest > 0) std::memcpy(chunk.data - rest, window.at, rest);
    window.at = chunk.data - rest;
    window.end = chunk.data + chunk.bytes;
    window.last = chunk.last;
    return;
  }
  // It grows by what really arrives, whatever length a record claims.
  std::vector<std::uint8_t> record(window.at, window.end);
  record.insert(record.end(), chunk.data, chunk.data + chunk.bytes);
  while (record.size() < wanted && !chunk.last) {
    chunk = chunks_->next();
    window.end_offset += chunk.bytes;
    record.insert(record.end(), chunk.data, chunk.data + chunk.bytes);
  }
  long_record_ = std::move(record);
  window.at = long_record_.data();
  window.end = window.at + long_record_.size();
  window.last = chunk.last;
}

std::uint64_t Feed::skip(Window& window, std::uint64_t bytes) {
  std::uint64_t left = bytes;
  while (left > window.bytes() && !window.last) {
    left -= window.bytes();
    const Chunk chunk = chunks_->next();
    window.at = chunk.data;
    window.end = chunk.data + chunk.bytes;
    window.end_offset += chunk.bytes;
    window.last = chunk.last;
  }
  const std::uint64_t here = std::min<std::uint64_t>(left, window.bytes());
  window.at += here;
  return bytes - left + here;
}

Descriptor::~Descriptor() {
  if (fd_ > STDERR_FILENO) ::close(fd_);
}

namespace {

// Small enough that the octets just read are still in the core's second-level
// cache when they are parsed; the decision is in docs/decisions/0002.
constexpr std::size_t kFileChunk = 256u << 10;

class FileChunks final : public Chunks {
 public:
  FileChunks(Descriptor file, std::uint64_t start, std::uint64_t size)
      : file_{std::move(file)}, start_{start}, at_{start}, size_{size} {
    const std::size_t chunk = std::min<std::uint64_t>(kFileChunk, size - start + 1);
    for (Pages& buffer : buffers_) buffer = allocate_pages(kHeadroom + chunk);
    chunk_ = chunk;
#ifdef POSIX_FADV_SEQUENTIAL
    posix_fadvise(file_.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
#endif
  }

  // A file that grows is read to the end it had when it was opened; one that is
  // cut short meanwhile ends where it now ends.
  Chunk next() override {
    turn_ ^= 1;
    std::uint8_t* const data = buffers_[turn_].get() + kHeadroom;
    // Standard input may begin within a page; after the first chunk the file's pages are met.
    const std::size_t wanted = std::min<std::uint64_t>(chunk_ > kPage ? chunk_ - at_ % kPage : chunk_, size_ - at_);
    std::size_t have = 0;
    while (have < wanted) {
      const ssize_t got = pread(file_.get(), data + have, wanted - have, static_cast<off_t>(at_ + have));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) damage_ = std::string{"cannot read on: "} + std::strerror(errno);
      if (got == 0)
        damage_ = "another program cut the file while it was being read; copy it first and read the copy";
      if (got <= 0) break;
      have += static_cast<std::size_t>(got);
    }
    at_ += have;
    return {data, have, kHeadroom, at_ == size_ || have < wanted};
  }

  std::optional<Trouble> damage() const override {
    if (damage_.empty()) return std::nullopt;
    return Trouble{"capture.read", 0, at_ - start_, 0, damage_};
  }
  std::uint64_t consumed() const override { return at_ - start_; }
  std::uint64_t size() const override { return size_ - start_; }
  bool reopenable() const override { return true; }

 private:
  Descriptor file_;
  std::uint64_t start_, at_, size_;
  std::array<Pages, 2> buffers_;
  std::size_t chunk_ = 0;
  unsigned turn_ = 0;
  std::string damage_;
};

// Short, so that records longer than it are met in tests.
constexpr std::size_t kLittleHeadroom = 100;

class MemoryChunks final : public Chunks {
 public:
  MemoryChunks(std::span<const std::uint8_t> bytes, std::size_t chunk_bytes)
      : bytes_{bytes}, chunk_{chunk_bytes} {}

  // Each piece in a buffer of its own size, so that a sanitizer sees its ends.
  Chunk next() override {
    turn_ ^= 1;
    const std::size_t n = std::min(chunk_, bytes_.size() - at_);
    buffers_[turn_] = std::make_unique_for_overwrite<std::uint8_t[]>(kLittleHeadroom + n);
    std::uint8_t* const data = buffers_[turn_].get() + kLittleHeadroom;
    if (n > 0) std::memcpy(data, bytes_.data() + at_, n);
    at_ += n;
    return {data, n, kLittleHeadroom, at_ == bytes_.size()};
  }
  std::optional<Trouble> damage() const override { return std::nullopt; }
  std::uint64_t consumed() const override { return at_; }
  std::uint64_t size() const override { return bytes_.size(); }
  bool reopenable() const override { return true; }

 private:
  std::span<const std::uint8_t> bytes_;
  std::size_t chunk_;
  std::size_t at_ = 0;
  std::array<std::unique_ptr<std::uint8_t[]>, 2> buffers_;
  unsigned turn_ = 0;
};

}  // namespace

std::unique_ptr<Chunks> read_file(Descriptor file, std::uint64_t start, std::uint64_t size) {
  return std::make_unique<FileChunks>(std::move(file), start, size);
}
std::unique_ptr<Chunks> read_memory(std::span<const std::uint8_t> bytes, std::size_t chunk_bytes) {
  return std::make_unique<MemoryChunks>(bytes, chunk_bytes);
}

}  // namespace tcpwhy::capture
