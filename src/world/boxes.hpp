#pragma once
// What stands between two hosts: lines, plugs, filters, translators, balancers,
// and things that should not be there. Each is one class that handles a packet
// and hands it on, back, or not at all.

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <tuple>

#include "world/world.hpp"

namespace tcpwhy::world {

/// A line: takes time, loses, lets one packet overtake another, and is only so wide.
class Link : public Box {
 public:
  struct Settings {
    Duration delay = std::chrono::microseconds{100};
    Duration jitter{};                 ///< up to this much more, order kept
    std::uint32_t loss_ppm = 0;        ///< packets lost in a million
    std::uint32_t reorder_ppm = 0;     ///< packets in a million held back for `reorder_by`
    Duration reorder_by = std::chrono::milliseconds{5};
    std::uint32_t mtu = 1500;
    bool says_too_big = true;          ///< false: a black hole for large packets
    std::uint32_t router = 0;          ///< who signs the ICMP; 0: the address the packet was going to
  };
  explicit Link(Settings settings) : settings_{settings} {}
  void handle(Packet packet, Hand hand) override;
  Settings& settings() { return settings_; }

 private:
  Settings settings_;
  ModelTime busy_until_[2]{};
};

/// A plug: pulled, nothing passes. One way can be pulled alone.
class Plug : public Box {
 public:
  void handle(Packet packet, Hand hand) override {
    if (passes_[static_cast<std::size_t>(hand.way())]) hand.onward(std::move(packet));
  }
  void pull() { passes_[0] = passes_[1] = false; }
  void pull(Way way) { passes_[static_cast<std::size_t>(way)] = false; }
  void plug() { passes_[0] = passes_[1] = true; }

 private:
  bool passes_[2] = {true, true};
};

/// A packet filter.
class Filter : public Box {
 public:
  enum class Verdict : std::uint8_t { kPass, kDrop, kReset, kIcmpPort, kIcmpHost, kIcmpNet, kIcmpAdmin };
  using Match = std::function<Verdict(const Packet&, Way)>;
  /// `self`: who signs the ICMP errors; 0: the packet's destination, as a host's own filter does.
  explicit Filter(Match match, std::uint32_t self = 0) : match_{std::move(match)}, self_{self} {}
  void handle(Packet packet, Hand hand) override;

 private:
  Match match_;
  std::uint32_t self_;
};
/// Every SYN that comes in gets this verdict.
Filter::Match incoming_syns(Filter::Verdict verdict);

/// Holds back, repeats or swallows the packets a rule names.
class Meddler : public Box {
 public:
  struct Order {
    bool pass = true;
    std::optional<Duration> again = {};  ///< a second copy, this much later
    Duration delay = {};
  };
  using Rule = std::function<Order(Packet&, Way)>;  ///< may change the packet
  explicit Meddler(Rule rule) : rule_{std::move(rule)} {}
  void handle(Packet packet, Hand hand) override;

 private:
  Rule rule_;
};

/// A NAT of ports (NAPT, RFC 3022): inside addresses share one outside address.
class Nat : public Box {
 public:
  enum class Ports : std::uint8_t { kPreserve, kSequential };
  enum class Stray : std::uint8_t { kDrop, kReset, kPassUntranslated };
  struct Settings {
    std::uint32_t outside = 0;
    Ports ports = Ports::kPreserve;  ///< keep the inside port while it is free, as Linux does
    std::uint16_t first_port = 1024;
    Duration established_timeout = std::chrono::hours{120};  ///< nf_conntrack_tcp_timeout_established
    Duration opening_timeout = std::chrono::seconds{120};
    Duration closing_timeout = std::chrono::seconds{120};
    Stray stray = Stray::kDrop;  ///< what a segment without an entry meets on its way out
  };
  explicit Nat(Settings settings) : settings_{settings} {}
  void handle(Packet packet, Hand hand) override;
  /// The table is lost: a reboot, a failover.
  void forget() { by_inside_.clear(), by_outside_.clear(); }
  [[nodiscard]] std::size_t size() const { return by_inside_.size(); }

 private:
  struct Key {
    Address inside, peer;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  enum class Phase : std::uint8_t { kOpening, kEstablished, kClosing };
  struct Entry {
    std::uint16_t port = 0;
    ModelTime last{};
    Phase phase = Phase::kOpening;
  };
  void out(Packet packet, Hand hand);
  void in(Packet packet, Hand hand);
  bool expired(const Entry& entry, ModelTime now) const;
  std::uint16_t allocate(const Key& key, ModelTime now);
  static void follow(Entry& entry, const Packet& packet, ModelTime now);

  Settings settings_;
  std::map<Key, Entry> by_inside_;
  std::map<std::pair<std::uint16_t, Address>, Key> by_outside_;
  std::uint16_t next_ = 0;
};

/// A balancer of layer 4: one address in front of several servers, by destination translation.
class Balancer : public Box {
 public:
  enum class OnIdle : std::uint8_t { kForget, kReset };
  struct Settings {
    Address service;
    std::vector<Address> servers;
    Duration idle_timeout = std::chrono::minutes{5};
    OnIdle on_idle = OnIdle::kForget;
  };
  explicit Balancer(Settings settings) : settings_{std::move(settings)} {}
  void handle(Packet packet, Hand hand) override;

 private:
  struct Flow {
    std::size_t server = 0;
    ModelTime last{};
  };
  Settings settings_;
  std::map<Address, Flow> flows_;
  std::size_t turn_ = 0;
};

/// A balancer or firewall that answers SYNs itself and only then opens to the server (a SYN proxy). It shifts the
/// server's numbers for the client, and with `shift_acks` off it forgets to shift them back: the broken one.
class SynProxy : public Box {
 public:
  enum class AckNumbers : std::uint8_t { kShifted, kForgotten };
  struct Settings {
    std::uint16_t mss = 1460, window = 65535;
    AckNumbers acks = AckNumbers::kShifted;
  };
  explicit SynProxy(Settings settings) : settings_{settings} {}
  void handle(Packet packet, Hand hand) override;

 private:
  struct Flow {
    std::uint32_t cookie = 0;          ///< the number we gave the client
    std::optional<std::uint32_t> server_isn;
    std::vector<Packet> waiting;       ///< what the client said before the server was open
    Packet syn;
  };
  using Key = std::pair<Address, Address>;
  Settings settings_;
  std::map<Key, Flow> flows_;
};

/// Moves a client's sequence numbers by a constant per connection, as firewalls that "randomise" them do.
class SequenceShift : public Box {
 public:
  /// `shift` for each new connection (a SYN on its way out).
  explicit SequenceShift(std::function<std::uint32_t(const Packet&)> shift) : shift_{std::move(shift)} {}
  void handle(Packet packet, Hand hand) override;

 private:
  std::function<std::uint32_t(const Packet&)> shift_;
  struct Flow {
    SeqNum isn;
    std::uint32_t by = 0;
    [[nodiscard]] bool same(SeqNum other) const { return isn == other; }
  };
  std::map<std::pair<Address, Address>, Flow> flows_;
};

/// Watches a connection and, at the data packet it waits for, sends each end a RST in the other's name.
class Injector : public Box {
 public:
  struct Settings {
    int after_data_packets = 1;
    std::uint8_t ttl = 47;
    bool both = true;
  };
  explicit Injector(Settings settings) : settings_{settings} {}
  void handle(Packet packet, Hand hand) override;

 private:
  Settings settings_;
  std::map<std::pair<Address, Address>, int> seen_;
};

}  // namespace tcpwhy::world
