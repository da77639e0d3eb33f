// A window over an input that comes in chunks.

#include "capture/feed.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

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

/// One piece of a file after the other.
class FileReader {
 public:
  FileReader(Descriptor file, std::uint64_t start, std::uint64_t size) : file_{std::move(file)}, at_{start}, size_{size} {
    chunk_ = std::min<std::uint64_t>(kFileChunk, size - start + 1);
#ifdef POSIX_FADV_SEQUENTIAL
    posix_fadvise(file_.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
#endif
  }
  [[nodiscard]] Pages buffer() const { return allocate_pages(kHeadroom + chunk_); }

  // A file that grows is read to the end it had when it was opened; one that is
  // cut short meanwhile ends where it now ends.
  Chunk read(std::uint8_t* buffer) {
    std::uint8_t* const data = buffer + kHeadroom;
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
  [[nodiscard]] const std::string& damage() const { return damage_; }

 private:
  Descriptor file_;
  std::uint64_t at_, size_;
  std::size_t chunk_ = 0;
  std::string damage_;
};

/// A reader with a thread of its own, some pieces ahead. Both sides sleep and wake several pieces at a time, as a piece
/// is read in less time than it takes to wake a thread.
class ReaderAhead {
 public:
  explicit ReaderAhead(FileReader& reader) : reader_{reader}, thread_{[this] { read(); }} {}
  ~ReaderAhead() {
    {
      const std::lock_guard lock{mutex_};
      stopped_ = true;
    }
    room_.notify_one();
    thread_.join();
  }
  ReaderAhead(const ReaderAhead&) = delete;
  ReaderAhead& operator=(const ReaderAhead&) = delete;

  /// The caller keeps this piece and the one before. Not called again after the last.
  Chunk next() {
    std::unique_lock lock{mutex_};
    if (taken_ != 0) released_ = taken_ - 1;
    if (filled_ - released_ == kBuffers / 2) room_.notify_one();
    const auto enough = [this] { return ended_ || filled_ - taken_ >= kWake; };
    if (filled_ == taken_) piece_.wait(lock, enough);
    return buffers_[taken_++ % kBuffers].chunk;
  }

 private:
  static constexpr std::uint64_t kBuffers = 8, kWake = 2;
  struct Buffer {
    Pages octets;
    Chunk chunk;
  };

  void read() {
    for (bool last = false; !last;) {
      {
        std::unique_lock lock{mutex_};
        const auto room = [this] { return stopped_ || filled_ - released_ <= kBuffers / 2; };
        if (filled_ - released_ == kBuffers) room_.wait(lock, room);
        if (stopped_) return;
      }
      Buffer& buffer = buffers_[filled_ % kBuffers];
      if (!buffer.octets) buffer.octets = reader_.buffer();
      buffer.chunk = reader_.read(buffer.octets.get());
      last = buffer.chunk.last;
      std::uint64_t waiting = 0;
      {
        const std::lock_guard lock{mutex_};
        waiting = ++filled_ - taken_;
        ended_ = last;
      }
      if (waiting == kWake || last) piece_.notify_one();
    }
  }

  FileReader& reader_;
  std::array<Buffer, kBuffers> buffers_;
  std::mutex mutex_;  // guards everything below
  std::condition_variable piece_, room_;
  std::uint64_t filled_ = 0, taken_ = 0, released_ = 0;
  bool ended_ = false, stopped_ = false;
  std::thread thread_;
};

class FileChunks final : public Chunks {
 public:
  FileChunks(Descriptor file, std::uint64_t start, std::uint64_t size)
      : reader_{std::move(file), start, size}, bytes_{size - start} {
    for (Pages& buffer : buffers_) buffer = reader_.buffer();
  }

  Chunk next() override {
    turn_ ^= 1;
    const Chunk chunk = ahead_ ? ahead_->next() : reader_.read(buffers_[turn_].get());
    given_ += chunk.bytes;
    ended_ = chunk.last;
    return chunk;
  }
  // What was given before stays where it is.
  void read_ahead() override {
    if (!ahead_ && !ended_) ahead_.emplace(reader_);
  }

  std::optional<Trouble> damage() const override {
    if (reader_.damage().empty()) return std::nullopt;
    return Trouble{"capture.read", 0, given_, 0, reader_.damage()};
  }
  std::uint64_t consumed() const override { return given_; }
  std::uint64_t size() const override { return bytes_; }
  bool reopenable() const override { return true; }

 private:
  FileReader reader_;
  std::uint64_t bytes_, given_ = 0;
  std::array<Pages, 2> buffers_;
  unsigned turn_ = 0;
  bool ended_ = false;
  std::optional<ReaderAhead> ahead_;  ///< goes before the reader
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
