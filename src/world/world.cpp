// The clockwork: one heap of events, ordered by time and, at one instant, by who
// asked first, so that a run repeats to the packet.

#include "world/world.hpp"

#include <algorithm>
#include <cassert>
#include <variant>

namespace tcpwhy::world {

struct World::Event {
  struct Pass {
    std::size_t site, index;
    Way way;
    Packet packet;
  };
  struct Arrive {
    Packet packet;
  };
  ModelTime time;
  std::uint64_t order;
  std::variant<Action, Pass, Arrive> what;
};

// A heap's top is the greatest, so the earliest has to be that.
bool World::Later::operator()(const Event& a, const Event& b) const {
  return a.time != b.time ? a.time > b.time : a.order > b.order;
}

struct World::Site {
  std::vector<std::shared_ptr<Box>> chain;
  std::vector<std::size_t> hosts;
};

struct World::Watched {
  Fd fd;
  Ready last;
  std::shared_ptr<std::function<void(Ready)>> ready;
};

namespace {

class TapBox : public Box {
 public:
  using See = std::function<void(FrameDirection, const Packet&)>;
  explicit TapBox(See see) : see_{std::move(see)} {}
  void handle(Packet packet, Hand hand) override {
    see_(hand.way() == Way::kIn ? FrameDirection::kInbound : FrameDirection::kOutbound, packet);
    hand.onward(std::move(packet));
  }

 private:
  See see_;
};

}  // namespace

// The index of a chain counts the boxes between host and packet: out of the
// hosts it grows, into them it falls, and 0 on the way in is the host's door.
void Hand::onward(Packet packet, Duration delay) {
  world_.pass(site_, way_ == Way::kOut ? index_ + 1 : index_, way_, std::move(packet), delay);
}
void Hand::back(Packet packet, Duration delay) {
  world_.pass(site_, way_ == Way::kOut ? index_ : index_ + 1, opposite(way_), std::move(packet), delay);
}

World::World(std::uint64_t seed, ModelTime start) : random_{seed}, start_{start}, now_{start} {}
World::~World() {
  for (const auto& [which, let_go] : at_end_) let_go();
}

std::size_t World::add_site() {
  sites_.push_back(std::make_unique<Site>());
  return sites_.size() - 1;
}

void World::add_box(std::size_t site, std::shared_ptr<Box> box) { sites_[site]->chain.push_back(std::move(box)); }

Host& World::add_host(std::size_t site, std::unique_ptr<Host> host) {
  sites_[site]->hosts.push_back(hosts_.size());
  site_of_address_[host->ip()] = site;
  hosts_.push_back(std::move(host));
  site_of_host_.push_back(site);
  tap_of_host_.emplace_back();
  watched_.emplace_back();
  dirty_.push_back(0);
  return *hosts_.back();
}

void World::add_address(std::size_t site, std::uint32_t ip) { site_of_address_[ip] = site; }

std::uint16_t World::add_tap(std::string name, const Host* host) {
  taps_.push_back(std::move(name));
  const auto tap = static_cast<std::uint16_t>(taps_.size() - 1);
  if (host != nullptr) tap_of_host_[host_index(*host)] = tap;
  return tap;
}

std::shared_ptr<Box> World::tap_box(std::string name) {
  const std::uint16_t tap = add_tap(std::move(name), nullptr);
  return std::make_shared<TapBox>(
      [this, tap](FrameDirection direction, const Packet& packet) { see(tap, direction, packet); });
}

Host* World::find(std::string_view name) const {
  for (const auto& host : hosts_)
    if (host->name() == name) return host.get();
  return nullptr;
}

std::size_t World::host_index(const Host& host) const {
  for (std::size_t i = 0; i < hosts_.size(); ++i)
    if (hosts_[i].get() == &host) return i;
  assert(false && "a host of another world");
  return 0;
}

void World::at(ModelTime time, Action action) {
  events_.push_back({std::max(time, now_), order_++, std::move(action)});
  std::push_heap(events_.begin(), events_.end(), Later{});
}

std::optional<ModelTime> World::next_event() {
  std::optional<ModelTime> next;
  if (!events_.empty()) next = events_.front().time;
  for (const auto& host : hosts_)
    if (const auto timer = host->next_timer(); timer && (!next || *timer < *next)) next = timer;
  return next;
}

void World::run_until(ModelTime end) {
  settle();
  while (true) {
    Host* ringing = nullptr;
    std::optional<ModelTime> timer;
    for (const auto& host : hosts_)
      if (const auto t = host->next_timer(); t && (!timer || *t < *timer)) timer = t, ringing = host.get();
    const bool event_first = !events_.empty() && (!timer || events_.front().time <= *timer);
    if (!event_first && !timer) break;
    const ModelTime next = event_first ? events_.front().time : *timer;
    if (next > end) break;
    now_ = std::max(now_, next);
    if (!event_first) {
      ringing->fire();
      touched(*ringing);
    } else {
      std::pop_heap(events_.begin(), events_.end(), Later{});
      Event event = std::move(events_.back());
      events_.pop_back();
      if (auto* action = std::get_if<Action>(&event.what)) (*action)();
      else if (auto* pass = std::get_if<Event::Pass>(&event.what))
        step_through(pass->site, pass->index, pass->way, std::move(pass->packet));
      else route(std::move(std::get<Event::Arrive>(event.what).packet));
    }
    settle();
  }
  now_ = std::max(now_, end);
}

void World::run_until_quiet(ModelTime end) {
  while (true) {
    settle();
    const auto next = next_event();
    if (!next || *next > end) return;
    run_until(*next);
  }
}

void World::watch(Host& host, Fd fd, std::function<void(Ready)> ready) {
  unwatch(host, fd);
  host.watched(fd);
  watched_[host_index(host)].push_back({fd, {}, std::make_shared<std::function<void(Ready)>>(std::move(ready))});
  touched(host);
}

void World::unwatch(Host& host, Fd fd) {
  std::erase_if(watched_[host_index(host)], [fd](const Watched& w) { return w.fd == fd; });
}

void World::touched(Host& host) { dirty_[host_index(host)] = 1; }

// An application that acts touches its host again, so this goes round until
// nobody has anything to say; what poll() says is compared with what it said
// after the last call, as edge-triggered epoll does.
void World::settle() {
  if (settling_) return;
  settling_ = true;
  for (bool again = true; again;) {
    again = false;
    for (std::size_t h = 0; h < hosts_.size(); ++h) {
      if (dirty_[h] == 0) continue;
      dirty_[h] = 0;
      again = true;
      for (std::size_t i = 0; i < watched_[h].size(); ++i) {
        Watched& w = watched_[h][i];
        const Ready is = hosts_[h]->system().poll(w.fd);
        if (is == w.last) continue;
        w.last = is;
        if (!is.any()) continue;
        const Fd fd = w.fd;
        const auto ready = w.ready;  // the call may unwatch it
        (*ready)(is);
        for (Watched& after : watched_[h])
          if (after.fd == fd && after.ready == ready) after.last = hosts_[h]->system().poll(fd);
        i = static_cast<std::size_t>(-1);  // the list may have moved: begin again
      }
    }
  }
  settling_ = false;
}

void World::note(const Host& host, std::string call, std::string result) {
  if (notes_.size() < most_records_) notes_.push_back({now_, host.name(), std::move(call), std::move(result)});
}

void World::fired(const Host& host, std::string_view rule) {
  if (fired_.size() < most_records_)
    fired_.push_back({now_, static_cast<std::uint16_t>(host_index(host)), rule, seen_.size()});
}

void World::see(std::uint16_t tap, FrameDirection direction, const Packet& packet) {
  if (seen_.size() < most_records_) seen_.push_back({now_, tap, direction, packet});
}

void World::transmit(const Host& host, Packet packet) {
  const std::size_t index = host_index(host);
  if (tap_of_host_[index]) see(*tap_of_host_[index], FrameDirection::kOutbound, packet);
  pass(site_of_host_[index], 0, Way::kOut, std::move(packet), Duration::zero());
}

void World::pass(std::size_t site, std::size_t index, Way way, Packet packet, Duration delay) {
  events_.push_back({now_ + delay, order_++, Event::Pass{site, index, way, std::move(packet)}});
  std::push_heap(events_.begin(), events_.end(), Later{});
}

void World::step_through(std::size_t site, std::size_t index, Way way, Packet packet) {
  Site& s = *sites_[site];
  if (way == Way::kOut) {
    if (index == s.chain.size()) return route(std::move(packet));
    s.chain[index]->handle(std::move(packet), Hand{*this, site, index, way});
  } else {
    if (index == 0) return arrive(site, std::move(packet));
    s.chain[index - 1]->handle(std::move(packet), Hand{*this, site, index - 1, way});
  }
}

void World::route(Packet packet, Duration delay) {
  if (delay > Duration::zero()) {
    events_.push_back({now_ + delay, order_++, Event::Arrive{std::move(packet)}});
    std::push_heap(events_.begin(), events_.end(), Later{});
    return;
  }
  const auto found = site_of_address_.find(packet.destination);
  if (found == site_of_address_.end()) return;  // nobody's address
  step_through(found->second, sites_[found->second]->chain.size(), Way::kIn, std::move(packet));
}

void World::arrive(std::size_t site, Packet packet) {
  for (const std::size_t h : sites_[site]->hosts) {
    Host& host = *hosts_[h];
    if (host.ip() != packet.destination) continue;
    if (tap_of_host_[h]) see(*tap_of_host_[h], FrameDirection::kInbound, packet);
    host.deliver(packet);
    touched(host);
    return;
  }
}

}  // namespace tcpwhy::world
