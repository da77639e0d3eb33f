// One thread reads and unpacks into a ring of four buffers, another parses them
// where they lie. The ring is the only thing they share, and its bound is the
// bound of the memory used: a slow analysis holds the unpacking up.
//
// A pipe may be fed by a live capture. Then a frame must not wait until a buffer
// is full: when nothing more is to be had at once and the reader has nothing to
// do, it gets what there is.

#include "capture/stream.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

namespace tcpwhy::capture {
namespace {

constexpr std::size_t kBuffer = 1u << 20;
constexpr std::size_t kBuffers = 4;
constexpr std::size_t kRawBuffer = 256u << 10;

class DescriptorInput final : public RawInput {
 public:
  DescriptorInput(Descriptor descriptor, std::vector<std::uint8_t> already, std::uint64_t size)
      : descriptor_{std::move(descriptor)}, already_{std::move(already)}, size_{size} {
    std::array<int, 2> ends{-1, -1};
    if (pipe(ends.data()) != 0) return;
    for (const int end : ends) fcntl(end, F_SETFD, FD_CLOEXEC);
    stopped_ = Descriptor{ends[0]};
    stop_ = Descriptor{ends[1]};
  }

  std::size_t read(std::span<std::uint8_t> out) override {
    if (given_ < already_.size()) {
      const std::size_t n = std::min(out.size(), already_.size() - given_);
      std::memcpy(out.data(), already_.data() + given_, n);
      given_ += n;
      return n;
    }
    for (;;) {
      if (size_ == 0 && !wait(-1)) return 0;
      const ssize_t got = ::read(descriptor_.get(), out.data(), out.size());
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno == EINTR || errno == EAGAIN) continue;
      error_ = std::strerror(errno);
      return 0;
    }
  }
  bool ready() override { return given_ < already_.size() || size_ != 0 || wait(0); }
  void interrupt() override { [[maybe_unused]] const ssize_t written = ::write(stop_.get(), "", 1); }
  std::uint64_t size() const override { return size_; }
  std::string error() const override { return error_; }

 private:
  // False when stopped, or when there is nothing after `milliseconds`.
  bool wait(int milliseconds) {
    std::array<pollfd, 2> fds = {{{descriptor_.get(), POLLIN, 0}, {stopped_.get(), POLLIN, 0}}};
    while (poll(fds.data(), fds.size(), milliseconds) < 0) {
      if (errno != EINTR) return true;  // let read() find out
    }
    return fds[1].revents == 0 && fds[0].revents != 0;
  }

  Descriptor descriptor_;
  std::vector<std::uint8_t> already_;
  std::size_t given_ = 0;
  std::uint64_t size_;
  Descriptor stopped_, stop_;  ///< the two ends of a pipe
  std::string error_;
};

class MemoryInput final : public RawInput {
 public:
  explicit MemoryInput(std::span<const std::uint8_t> bytes) : rest_{bytes}, size_{bytes.size()} {}
  std::size_t read(std::span<std::uint8_t> out) override {
    const std::size_t n = std::min(out.size(), rest_.size());
    if (n > 0) std::memcpy(out.data(), rest_.data(), n);
    rest_ = rest_.subspan(n);
    return n;
  }
  bool ready() override { return true; }
  void interrupt() override {}
  std::uint64_t size() const override { return size_; }
  std::string error() const override { return {}; }

 private:
  std::span<const std::uint8_t> rest_;
  std::uint64_t size_;
};

class Stream final : public Chunks {
 public:
  Stream(std::unique_ptr<RawInput> input, Compression compression)
      : input_{std::move(input)}, codec_{make_codec(compression)} {
    const std::size_t raw =
        input_->size() == 0 ? kRawBuffer : std::min<std::uint64_t>(kRawBuffer, input_->size());
    raw_ = allocate_pages(raw);
    raw_bytes_ = raw;
    thread_ = std::thread{[this] { produce(); }};
  }

  ~Stream() override {
    {
      const std::lock_guard lock{mutex_};
      stopped_ = true;
    }
    changed_.notify_all();
    input_->interrupt();
    thread_.join();
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // The reader keeps the two newest buffers: what it parses, and the one before
  // while the rest of it is carried over.
  Chunk next() override {
    std::unique_lock lock{mutex_};
    if (last_taken_) return {buffer(taken_ - 1).data(), 0, 0, true};
    if (taken_ >= 1) released_ = taken_ - 1;
    waiting_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return filled_ > taken_; });
    waiting_ = false;
    Buffer& next = buffer(taken_++);
    last_taken_ = next.last;
    return {next.data(), next.bytes, kHeadroom, next.last};
  }

  std::optional<Trouble> damage() const override {
    const std::lock_guard lock{mutex_};
    return damage_;
  }
  std::uint64_t consumed() const override { return consumed_.load(std::memory_order_relaxed); }
  std::uint64_t size() const override { return input_->size(); }
  bool reopenable() const override { return false; }

 private:
  struct Buffer {
    Pages octets;
    std::size_t bytes = 0;
    bool last = false;
    [[nodiscard]] std::uint8_t* data() const { return octets.get() + kHeadroom; }
  };
  Buffer& buffer(std::uint64_t turn) { return buffers_[turn % kBuffers]; }

  // --- the producing thread ------------------------------------------------------

  void produce() {
    while (Buffer* const buffer = wait_for_buffer()) {
      std::span<std::uint8_t> out{buffer->data(), kBuffer};
      const bool ended = codec_ ? unpack(out) : fetch(out);
      buffer->bytes = kBuffer - out.size();
      buffer->last = ended;
      unpacked_ += buffer->bytes;
      {
        const std::lock_guard lock{mutex_};
        if (ended) damage_ = std::move(found_);
        ++filled_;
      }
      changed_.notify_all();
      if (ended) return;
    }
  }

  Buffer* wait_for_buffer() {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [this] { return stopped_ || filled_ - released_ < kBuffers; });
    if (stopped_) return nullptr;
    Buffer& next = buffer(filled_);
    // A small input never needs the others.
    if (!next.octets) next.octets = allocate_pages(kHeadroom + kBuffer);
    return &next;
  }

  // Is it better to hand over what there is than to wait for more? While the
  // reader is busy neither is urgent: whichever happens first decides.
  bool reader_is_idle(std::span<const std::uint8_t> out) {
    if (out.size() == kBuffer) return false;
    while (!input_->ready()) {
      std::unique_lock lock{mutex_};
      const auto idle = [this] { return stopped_ || (waiting_ && filled_ == taken_); };
      if (changed_.wait_for(lock, std::chrono::milliseconds{5}, idle)) return true;
    }
    return false;
  }

  std::size_t read(std::span<std::uint8_t> out) {
    const std::size_t got = input_->read(out);
    consumed_.fetch_add(got, std::memory_order_relaxed);
    return got;
  }

  // Both return whether the input has ended, and shorten `out` by what they put.
  bool fetch(std::span<std::uint8_t>& out) {
    while (!out.empty()) {
      if (reader_is_idle(out)) return false;
      const std::size_t got = read(out);
      out = out.subspan(got);
      if (got == 0) {
        if (!input_->error().empty()) found("capture.read", out, "cannot read on: " + input_->error());
        return true;
      }
    }
    return false;
  }

  bool unpack(std::span<std::uint8_t>& out) {
    while (!out.empty()) {
      if (in_.empty() && input_state_ == Codec::Input::kMoreFollows) {
        if (reader_is_idle(out)) return false;
        const std::size_t got = read({raw_.get(), raw_bytes_});
        in_ = {raw_.get(), got};
        if (got == 0) input_state_ = Codec::Input::kEnded;
      }
      const std::size_t in_before = in_.size(), out_before = out.size();
      const Codec::State state = codec_->run(in_, out, input_state_);
      switch (state) {
        case Codec::State::kBroken:
          return broken(out);
        case Codec::State::kGarbage:
          return garbage(out);
        case Codec::State::kBetween:
          if (in_.empty() && input_state_ == Codec::Input::kEnded) return true;
          break;
        case Codec::State::kInside:
          if (input_state_ == Codec::Input::kEnded && in_before == in_.size() && out_before == out.size())
            return cut_short(out);
          break;
      }
    }
    return false;
  }

  std::string place() const {
    return "at byte " + std::to_string(consumed_.load(std::memory_order_relaxed) - in_.size()) +
           " of the compressed file";
  }
  void found(const std::string& id, std::span<const std::uint8_t> out, std::string message) {
    found_ = Trouble{id, 0, unpacked_ + kBuffer - out.size(), 0, std::move(message)};
  }

  bool broken(std::span<const std::uint8_t> out) {
    found(std::string{"capture."} + codec_->name() + ".damaged", out,
          std::string{"the "} + codec_->name() + " data cannot be unpacked beyond a place " + place() + ": " +
              codec_->broken());
    return true;
  }
  bool cut_short(std::span<const std::uint8_t> out) {
    found(std::string{"capture."} + codec_->name() + ".truncated", out,
          std::string{"the "} + codec_->name() + " data end too early, " + place() +
              " (the copy is incomplete, or the writer was stopped)");
    return true;
  }
  // Zeros pad tapes and sparse copies; anything else deserves a word.
  bool garbage(std::span<const std::uint8_t> out) {
    const std::string where = place();
    for (;;) {
      if (std::ranges::any_of(in_, [](std::uint8_t octet) { return octet != 0; })) {
        found(std::string{"capture."} + codec_->name() + ".trailing", out,
              std::string{"what follows the "} + codec_->name() + " data " + where +
                  " is something else and is not read");
        return true;
      }
      const std::size_t got = read({raw_.get(), raw_bytes_});
      in_ = {raw_.get(), got};
      if (got == 0) return true;
    }
  }

  std::unique_ptr<RawInput> input_;
  std::unique_ptr<Codec> codec_;
  Pages raw_;
  std::size_t raw_bytes_ = 0;
  std::span<const std::uint8_t> in_;  ///< fetched, not yet unpacked
  Codec::Input input_state_ = Codec::Input::kMoreFollows;
  std::uint64_t unpacked_ = 0;
  std::optional<Trouble> found_;
  std::atomic<std::uint64_t> consumed_{0};

  mutable std::mutex mutex_;  // guards everything from here on
  std::condition_variable changed_;
  std::array<Buffer, kBuffers> buffers_;  ///< their contents belong to who holds them
  std::uint64_t filled_ = 0, taken_ = 0, released_ = 0;
  bool waiting_ = false, stopped_ = false, last_taken_ = false;
  std::optional<Trouble> damage_;

  std::thread thread_;
};

}  // namespace

std::unique_ptr<RawInput> raw_descriptor(Descriptor descriptor, std::vector<std::uint8_t> already,
                                         std::uint64_t size) {
  return std::make_unique<DescriptorInput>(std::move(descriptor), std::move(already), size);
}
std::unique_ptr<RawInput> raw_memory(std::span<const std::uint8_t> bytes) {
  return std::make_unique<MemoryInput>(bytes);
}

std::unique_ptr<Chunks> stream(std::unique_ptr<RawInput> input, Compression compression) {
  return std::make_unique<Stream>(std::move(input), compression);
}

}  // namespace tcpwhy::capture
