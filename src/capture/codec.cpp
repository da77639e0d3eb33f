// zlib, zstd, lz4 and liblzma, each a few lines behind Codec. Their memory is
// bounded here: a frame that asks for a larger window than these limits is
// refused with a sentence, not served.

#include "capture/codec.hpp"

#include <lz4frame.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <string_view>

namespace tcpwhy::capture {
namespace {

// What `zstd -d` takes without being asked (--long=27).
constexpr int kZstdWindowLog = 27;
// `xz -9` needs 65 MiB.
constexpr std::uint64_t kXzMemory = 256u << 20;

template <class T>
void take(std::span<T>& span, std::size_t n) {
  span = span.subspan(n);
}

// RFC 1952. Members follow one another; `gzip -t` lets zeros pad the end.
class Gzip final : public Codec {
 public:
  Gzip() { ready_ = inflateInit2(&stream_, 15 + 16) == Z_OK; }
  ~Gzip() override { inflateEnd(&stream_); }
  Gzip(const Gzip&) = delete;
  Gzip& operator=(const Gzip&) = delete;

  State run(std::span<const std::uint8_t>& in, std::span<std::uint8_t>& out, Input) override {
    if (!ready_) return fail("no memory for it");
    while (!in.empty() || !between_) {
      if (between_) {
        if (in.front() != 0x1F) return State::kGarbage;
        inflateReset(&stream_);
        between_ = false;
      }
      constexpr std::size_t kMost = std::numeric_limits<uInt>::max();
      stream_.next_in = const_cast<Bytef*>(in.data());
      stream_.avail_in = static_cast<uInt>(std::min(in.size(), kMost));
      stream_.next_out = out.data();
      stream_.avail_out = static_cast<uInt>(std::min(out.size(), kMost));
      const int result = inflate(&stream_, Z_NO_FLUSH);
      take(in, static_cast<std::size_t>(stream_.next_in - in.data()));
      take(out, static_cast<std::size_t>(stream_.next_out - out.data()));
      if (result == Z_STREAM_END) {
        between_ = true;
        continue;
      }
      if (result != Z_OK && result != Z_BUF_ERROR)
        return fail(stream_.msg != nullptr ? stream_.msg : "bad data");
      return State::kInside;
    }
    return State::kBetween;
  }
  std::string broken() const override { return why_; }
  const char* name() const override { return "gzip"; }

 private:
  State fail(const char* why) {
    why_ = why;
    return State::kBroken;
  }
  z_stream stream_{};
  std::string why_;
  bool ready_ = false;
  bool between_ = false;
};

// RFC 8878. Frames and skippable frames follow one another.
class Zstd final : public Codec {
 public:
  Zstd() : stream_{ZSTD_createDStream()} {
    if (stream_ != nullptr) ZSTD_DCtx_setParameter(stream_, ZSTD_d_windowLogMax, kZstdWindowLog);
  }
  ~Zstd() override { ZSTD_freeDStream(stream_); }
  Zstd(const Zstd&) = delete;
  Zstd& operator=(const Zstd&) = delete;

  State run(std::span<const std::uint8_t>& in, std::span<std::uint8_t>& out, Input) override {
    if (stream_ == nullptr) return fail("no memory for it");
    ZSTD_inBuffer from{in.data(), in.size(), 0};
    ZSTD_outBuffer to{out.data(), out.size(), 0};
    State state = between_ ? State::kBetween : State::kInside;
    // One call may stop at the end of a frame; go on while there is something to do.
    while (from.pos < from.size || state == State::kInside) {
      const std::size_t taken = from.pos, given = to.pos;
      const std::size_t result = ZSTD_decompressStream(stream_, &to, &from);
      if (ZSTD_isError(result) != 0) {
        const bool unknown = ZSTD_getErrorCode(result) == ZSTD_error_prefix_unknown;
        if (ZSTD_getErrorCode(result) == ZSTD_error_frameParameter_windowTooLarge) {
          state = fail("its window is larger than 128 MiB; unpack it first with: zstd -d --long=31");
        } else {
          state = unknown && between_ ? State::kGarbage : fail(ZSTD_getErrorName(result));
        }
        break;
      }
      between_ = result == 0;
      state = between_ ? State::kBetween : State::kInside;
      if (to.pos == to.size || (taken == from.pos && given == to.pos)) break;
    }
    take(in, from.pos);
    take(out, to.pos);
    return state;
  }
  std::string broken() const override { return why_; }
  const char* name() const override { return "zstd"; }

 private:
  State fail(const char* why) {
    why_ = why;
    return State::kBroken;
  }
  ZSTD_DStream* stream_;
  std::string why_;
  bool between_ = false;
};

// The lz4 frame format, version 1.6. Frames follow one another.
class Lz4 final : public Codec {
 public:
  Lz4() { ready_ = LZ4F_isError(LZ4F_createDecompressionContext(&context_, LZ4F_VERSION)) == 0; }
  ~Lz4() override { LZ4F_freeDecompressionContext(context_); }
  Lz4(const Lz4&) = delete;
  Lz4& operator=(const Lz4&) = delete;

  State run(std::span<const std::uint8_t>& in, std::span<std::uint8_t>& out, Input) override {
    if (!ready_) return fail("no memory for it");
    State state = between_ ? State::kBetween : State::kInside;
    while (!out.empty() && (!in.empty() || state == State::kInside)) {
      std::size_t taken = in.size(), given = out.size();
      const std::size_t result = LZ4F_decompress(context_, out.data(), &given, in.data(), &taken, nullptr);
      if (LZ4F_isError(result) != 0) {
        const std::string_view name = LZ4F_getErrorName(result);
        return between_ && name == "ERROR_frameType_unknown" ? State::kGarbage : fail(name.data());
      }
      take(in, taken);
      take(out, given);
      between_ = result == 0;
      state = between_ ? State::kBetween : State::kInside;
      if (taken == 0 && given == 0) break;
    }
    return state;
  }
  std::string broken() const override { return why_; }
  const char* name() const override { return "lz4"; }

 private:
  State fail(const char* why) {
    why_ = why;
    return State::kBroken;
  }
  LZ4F_dctx* context_ = nullptr;
  std::string why_;
  bool ready_ = false;
  bool between_ = false;
};

// The .xz format 1.1.0. Streams follow one another, padded with zeros.
class Xz final : public Codec {
 public:
  Xz() { ready_ = lzma_stream_decoder(&stream_, kXzMemory, 0) == LZMA_OK; }
  ~Xz() override { lzma_end(&stream_); }
  Xz(const Xz&) = delete;
  Xz& operator=(const Xz&) = delete;

  State run(std::span<const std::uint8_t>& in, std::span<std::uint8_t>& out, Input input) override {
    if (!ready_) return fail("no memory for it");
    if (between_) {
      while (!in.empty() && in.front() == 0) take(in, 1);
      if (in.empty()) return State::kBetween;
      if (in.front() != 0xFD) return State::kGarbage;
      if (lzma_stream_decoder(&stream_, kXzMemory, 0) != LZMA_OK) return fail("no memory for it");
      between_ = false;
    }
    stream_.next_in = in.data();
    stream_.avail_in = in.size();
    stream_.next_out = out.data();
    stream_.avail_out = out.size();
    const lzma_ret result = lzma_code(&stream_, input == Input::kEnded ? LZMA_FINISH : LZMA_RUN);
    take(in, in.size() - stream_.avail_in);
    take(out, out.size() - stream_.avail_out);
    if (result == LZMA_OK || result == LZMA_BUF_ERROR) return State::kInside;
    if (result == LZMA_STREAM_END) {
      between_ = true;
      return State::kBetween;
    }
    if (result == LZMA_MEMLIMIT_ERROR)
      return fail("it needs more than 256 MiB to unpack; unpack it first with: xz -d");
    return fail(result == LZMA_OPTIONS_ERROR ? "it uses options that are not known" : "bad data");
  }
  std::string broken() const override { return why_; }
  const char* name() const override { return "xz"; }

 private:
  State fail(const char* why) {
    why_ = why;
    return State::kBroken;
  }
  lzma_stream stream_ = LZMA_STREAM_INIT;
  std::string why_;
  bool ready_ = false;
  bool between_ = false;
};

}  // namespace

Compression compression_of(std::span<const std::uint8_t> first) {
  const auto begins = [&](std::string_view magic) {
    return first.size() >= magic.size() && std::memcmp(first.data(), magic.data(), magic.size()) == 0;
  };
  using namespace std::string_view_literals;
  if (begins("\x1F\x8B"sv)) return Compression::kGzip;
  if (begins("\x28\xB5\x2F\xFD"sv)) return Compression::kZstd;
  if (begins("\x04\x22\x4D\x18"sv)) return Compression::kLz4;
  if (begins("\xFD\x37\x7A\x58\x5A\x00"sv)) return Compression::kXz;
  // Skippable frames may stand first; pzstd writes one, and lz4 uses the same magic.
  if (first.size() >= 4 && first[0] >= 0x50 && first[0] <= 0x5F &&
      begins(std::string{static_cast<char>(first[0])} + "\x2A\x4D\x18"))
    return Compression::kZstd;
  return Compression::kNone;
}

std::unique_ptr<Codec> make_codec(Compression compression) {
  switch (compression) {
    case Compression::kNone:
      return nullptr;
    case Compression::kGzip:
      return std::make_unique<Gzip>();
    case Compression::kZstd:
      return std::make_unique<Zstd>();
    case Compression::kLz4:
      return std::make_unique<Lz4>();
    case Compression::kXz:
      return std::make_unique<Xz>();
  }
  return nullptr;
}

}  // namespace tcpwhy::capture
