#pragma once
// Reads what passes between this host and one address: a packet socket with a
// filter in the kernel, so that a busy host costs nothing. Packets of both
// directions, with the IP header; needs CAP_NET_RAW.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "facts/probe.hpp"
#include "tcpwhy/result.hpp"

namespace tcpwhy::probe {

enum class Way : std::uint8_t { kOut, kIn };

/// One packet of the exchange.
struct Heard {
  Way way = Way::kIn;
  double at_s = 0;                      ///< CLOCK_MONOTONIC
  facts::Address source, destination;
  std::uint16_t source_port = 0, destination_port = 0;
  facts::AnswerHeader header;
  std::uint32_t payload_bytes = 0, tsval = 0, tsecr = 0;
  std::optional<facts::IcmpWord> icmp;  ///< then ports and header are of the segment it quotes
};

class Tap {
 public:
  static Result<std::unique_ptr<Tap>> open();
  ~Tap();
  Tap(const Tap&) = delete;
  Tap& operator=(const Tap&) = delete;

  /// From now on the packets of this address; forgets what was heard.
  void watch(const facts::Address& address);
  /// Reads what has come.
  void drain();
  [[nodiscard]] const std::vector<Heard>& heard() const { return heard_; }
  /// Packets that left for the address since watch().
  [[nodiscard]] std::uint32_t sent() const { return sent_; }
  [[nodiscard]] int descriptor() const { return fd_; }

 private:
  explicit Tap(int fd) : fd_{fd} {}
  int fd_;
  facts::Address address_;
  std::vector<Heard> heard_;
  std::uint32_t sent_ = 0;
};

}  // namespace tcpwhy::probe
