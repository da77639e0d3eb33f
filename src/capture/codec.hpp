#pragma once
// The compressions captures come in, behind one shape: octets in, octets out.
// Each reads several members or frames one after another as one input.

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace tcpwhy::capture {

enum class Compression : std::uint8_t { kNone, kGzip, kZstd, kLz4, kXz };

/// By the first octets of the input.
[[nodiscard]] Compression compression_of(std::span<const std::uint8_t> first);
/// Octets that compression_of() needs to be sure.
inline constexpr std::size_t kMagicBytes = 6;

class Codec {
 public:
  enum class State : std::uint8_t {
    kInside,   ///< in the middle of a member or frame
    kBetween,  ///< one ended, another may follow
    kGarbage,  ///< what follows a complete one is none
    kBroken,   ///< damaged, see broken()
  };
  enum class Input : std::uint8_t { kMoreFollows, kEnded };

  virtual ~Codec() = default;
  /// Takes octets off the front of `in` and puts octets at the front of `out`,
  /// as many as it can, and shortens both.
  virtual State run(std::span<const std::uint8_t>& in, std::span<std::uint8_t>& out, Input input) = 0;
  /// What is wrong, once run() answered kBroken: half a sentence.
  [[nodiscard]] virtual std::string broken() const = 0;
  [[nodiscard]] virtual const char* name() const = 0;
};

/// Null for Compression::kNone.
std::unique_ptr<Codec> make_codec(Compression compression);

}  // namespace tcpwhy::capture
