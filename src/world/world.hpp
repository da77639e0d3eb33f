#pragma once
// A virtual network in virtual time. Hosts hang on sites, a site reaches the
// core through a chain of boxes (links, NAT, filters, balancers), and the core
// hands a packet to the site that owns its destination:
//
//   host ── box ── box ── (core) ── box ── host
//    └ tap "client"  └ a tap is a box as well     └ tap "server"
//
// Nothing moves but by run_until(): the next thing to happen is the earliest of
// the packets under way, the hosts' timers and the applications' appointments.
// Left out: routes, fragments, ARP, queues that fill.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <string_view>
#include <vector>

#include "tcpwhy/frame.hpp"
#include "world/packet.hpp"
#include "world/random.hpp"
#include "world/system.hpp"

namespace tcpwhy::world {

class World;
class Box;

/// Which way a packet passes a site's chain.
enum class Way : std::uint8_t { kOut, kIn };
constexpr Way opposite(Way way) { return way == Way::kOut ? Way::kIn : Way::kOut; }

using Action = std::function<void()>;

/// A host in the world: a System for its applications, a network card for the world.
class Host {
 public:
  Host(std::string name, std::uint32_t ip) : name_{std::move(name)}, ip_{ip} {}
  virtual ~Host() = default;
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::uint32_t ip() const { return ip_; }

  virtual System& system() = 0;
  virtual void deliver(const Packet& packet) = 0;
  [[nodiscard]] virtual std::optional<ModelTime> next_timer() = 0;
  virtual void fire() = 0;
  /// Somebody wants to know when this descriptor has news.
  virtual void watched(Fd) {}
  /// The rules that fired since the start, by name.
  [[nodiscard]] virtual std::map<std::string, std::uint64_t> rules() const { return {}; }

 private:
  std::string name_;
  std::uint32_t ip_;
};

/// One packet at one tap.
struct Seen {
  ModelTime time;
  std::uint16_t tap = 0;
  FrameDirection direction = FrameDirection::kUnknown;  ///< in: towards the host of the tap
  Packet packet;
};

/// What an application did and what came of it.
struct Note {
  ModelTime time;
  std::string host, call, result;
};

/// A rule that fired at a host, beside the packets in time.
struct Fired {
  ModelTime time;
  std::uint16_t host = 0;
  std::string_view rule;
  std::size_t after = 0;  ///< how many packets had been seen by then
};

/// Where a box stands while it handles a packet.
class Hand {
 public:
  Hand(World& world, std::size_t site, std::size_t index, Way way)
      : world_{world}, site_{site}, index_{index}, way_{way} {}
  [[nodiscard]] World& world() const { return world_; }
  [[nodiscard]] Way way() const { return way_; }
  /// On, the way it was going.
  void onward(Packet packet, Duration delay = Duration::zero());
  /// Back, the way it came from.
  void back(Packet packet, Duration delay = Duration::zero());

 private:
  World& world_;
  std::size_t site_, index_;
  Way way_;
};

/// Something a packet passes. What it does not hand on is gone.
class Box {
 public:
  virtual ~Box() = default;
  virtual void handle(Packet packet, Hand hand) = 0;
};

class World {
 public:
  explicit World(std::uint64_t seed, ModelTime start = ModelTime{std::chrono::hours{1}});
  ~World();
  /// Runs when the world ends: applications that hold each other let go.
  std::uint64_t at_end(std::function<void()> let_go) {
    at_end_.emplace(++last_end_, std::move(let_go));
    return last_end_;
  }
  /// What at_end() gave has let go before.
  void forget_end(std::uint64_t which) { at_end_.erase(which); }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // Building. References stay valid as long as the world.

  /// A place where hosts live; its chain begins empty, next to the hosts.
  std::size_t add_site();
  /// Adds to the core end of the chain of `site`. The same box may stand in several.
  void add_box(std::size_t site, std::shared_ptr<Box> box);
  Host& add_host(std::size_t site, std::unique_ptr<Host> host);
  /// Addresses that belong to the site without a host of their own (NAT, a virtual server).
  void add_address(std::size_t site, std::uint32_t ip);
  /// A named tap; `host` empty: only boxes record into it.
  std::uint16_t add_tap(std::string name, const Host* host);
  /// A box that records what passes into the tap of that name.
  std::shared_ptr<Box> tap_box(std::string name);

  // Time.

  [[nodiscard]] ModelTime now() const { return now_; }
  [[nodiscard]] ModelTime start() const { return start_; }
  void at(ModelTime time, Action action);
  void after(Duration wait, Action action) { at(now_ + wait, std::move(action)); }
  /// When something happens next, if anything is to come.
  [[nodiscard]] std::optional<ModelTime> next_event();
  /// Lets everything happen that is due up to `end`, and stands there.
  void run_until(ModelTime end);
  /// Until nothing is to come, or `end`.
  void run_until_quiet(ModelTime end);

  // Hosts and applications.

  /// Called when poll() of the descriptor changed to something else than nothing.
  void watch(Host& host, Fd fd, std::function<void(Ready)> ready);
  void unwatch(Host& host, Fd fd);
  /// A system call, a timer or a packet may have changed what poll() says on `host`.
  void touched(Host& host);
  void note(const Host& host, std::string call, std::string result);
  void fired(const Host& host, std::string_view rule);

  // The network.

  /// A host sends: tap, then the chain of its site.
  void transmit(const Host& host, Packet packet);
  /// Something made this packet at the core; it finds its destination's site.
  void route(Packet packet, Duration delay = Duration::zero());

  Random& random() { return random_; }
  [[nodiscard]] const std::vector<Seen>& seen() const { return seen_; }
  [[nodiscard]] const std::vector<Note>& notes() const { return notes_; }
  [[nodiscard]] const std::vector<Fired>& rules() const { return fired_; }
  [[nodiscard]] const std::vector<std::string>& taps() const { return taps_; }
  [[nodiscard]] const std::vector<std::unique_ptr<Host>>& hosts() const { return hosts_; }
  [[nodiscard]] Host* find(std::string_view name) const;
  /// Without records a long flood costs no memory.
  void keep_records(std::size_t most) { most_records_ = most; }

 private:
  std::map<std::uint64_t, std::function<void()>> at_end_;
  std::uint64_t last_end_ = 0;
  friend class Hand;
  struct Site;
  struct Watched;
  struct Event;
  struct Later {
    bool operator()(const Event& a, const Event& b) const;
  };

  void pass(std::size_t site, std::size_t index, Way way, Packet packet, Duration delay);
  void step_through(std::size_t site, std::size_t index, Way way, Packet packet);
  void arrive(std::size_t site, Packet packet);
  void settle();
  std::size_t host_index(const Host& host) const;
  void see(std::uint16_t tap, FrameDirection direction, const Packet& packet);

  Random random_;
  ModelTime start_, now_;
  std::uint64_t order_ = 0;
  std::size_t most_records_ = 2'000'000;
  std::vector<std::unique_ptr<Site>> sites_;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::vector<std::size_t> site_of_host_;
  std::vector<std::optional<std::uint16_t>> tap_of_host_;
  std::vector<std::vector<Watched>> watched_;
  std::vector<std::uint8_t> dirty_;
  std::map<std::uint32_t, std::size_t> site_of_address_;
  std::vector<Event> events_;
  std::vector<std::string> taps_;
  std::vector<Seen> seen_;
  std::vector<Note> notes_;
  std::vector<Fired> fired_;
  bool settling_ = false;
};

}  // namespace tcpwhy::world
