#pragma once
// A TUN device: a line whose one end is the kernel's network stack and whose
// other end is a descriptor of ours, a packet a read. It goes when this goes.

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "tcpwhy/result.hpp"

namespace tcpwhy::lab {

/// A descriptor that closes itself.
class Owned {
 public:
  explicit Owned(int fd = -1) : fd_{fd} {}
  Owned(Owned&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
  Owned& operator=(Owned&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Owned();
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

class Tun {
 public:
  /// In the network namespace this thread is in; reading it never blocks.
  ///
  /// Errors: `lab.root`, `lab.tun`: what the kernel refused, and what to do.
  [[nodiscard]] static Result<Tun> open(const std::string& name);

  /// The address of the kernel's end, with the prefix it reaches through here; the line is then up.
  [[nodiscard]] std::optional<Error> configure(std::uint32_t ip, int prefix) const;
  /// The same of IPv6; everything else is reached through here as well.
  [[nodiscard]] std::optional<Error> configure6(const std::array<std::uint8_t, 16>& address) const;
  /// Everything else is reached through here as well.
  [[nodiscard]] std::optional<Error> route_everything() const;

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const std::string& name() const { return name_; }
  /// One packet from the kernel into `buffer`; empty when there is none.
  [[nodiscard]] std::span<const std::uint8_t> read(std::span<std::uint8_t> buffer) const;
  /// One packet to the kernel. False: its queue is full, or it does not want it.
  bool write(std::span<const std::uint8_t> packet) const;

 private:
  Tun(Owned fd, std::string name) : fd_{std::move(fd)}, name_{std::move(name)} {}
  Owned fd_;
  std::string name_;
};

}  // namespace tcpwhy::lab
