#include "script/epoll.hpp"

#include <algorithm>

namespace tcpwhy::script {
namespace {

constexpr std::int64_t kAdd = 1, kDelete = 2, kModify = 3;  // EPOLL_CTL_
constexpr std::uint32_t kEdge = 1U << 31, kOneShot = 1U << 30;
constexpr std::uint32_t kPrivate = kEdge | kOneShot | 1U << 29 | 1U << 28;  // EP_PRIVATE_BITS
constexpr std::uint32_t kAlways = model::PollEvents::kErr | model::PollEvents::kHup;

model::CallResult fails(Errno error) { return {.value = -1, .error = error, .blocked = false}; }

}  // namespace

std::uint32_t Epoll::ready(model::Host& host, ModelTime now, const Watched& watched) {
  return static_cast<std::uint32_t>(host.poll(now, watched.fd).value) & watched.event.events & ~kPrivate;
}

void Epoll::remember(model::Host& host, ModelTime now, Watched& watched) {
  watched.ready = ready(host, now, watched);
  const model::CallResult unread = host.siocinq(now, watched.fd);
  watched.unread = unread.ok() ? unread.value : 0;
}

model::CallResult Epoll::control(model::Host& host, ModelTime now, std::int64_t operation, int fd,
                                 const EpollEvent& event) {
  const auto at = std::find_if(watched_.begin(), watched_.end(), [fd](const Watched& w) { return w.fd == fd; });
  const bool known = at != watched_.end();
  if (operation == kAdd && known) return fails(Errno::kEEXIST);
  if ((operation == kDelete || operation == kModify) && !known) return fails(Errno::kENOENT);
  if (operation != kAdd && operation != kDelete && operation != kModify) return fails(Errno::kEINVAL);
  if (operation == kDelete) {
    watched_.erase(at);
    return {};
  }
  Watched& watched = operation == kAdd ? watched_.emplace_back() : *at;
  watched.fd = fd;
  watched.event = event;
  watched.event.events |= kAlways;
  remember(host, now, watched);
  watched.news = watched.news || watched.ready != 0;
  return {};
}

void Epoll::look(model::Host& host, ModelTime now) {
  for (Watched& watched : watched_) {
    const std::uint32_t before = watched.ready;
    const std::int64_t unread = watched.unread;
    remember(host, now, watched);
    const bool more = watched.unread > unread && (watched.ready & model::PollEvents::kIn) != 0;
    if ((watched.ready & ~before) != 0 || more) watched.news = true;
  }
}

Epoll::Taken Epoll::take(model::Host& host, ModelTime now, std::int64_t at_most) {
  Taken taken;
  for (Watched& watched : watched_) {
    if (!watched.news || taken.count == at_most) continue;
    const std::uint32_t events = ready(host, now, watched);
    // Level triggered stays in the list while it is ready.
    watched.news = events != 0 && (watched.event.events & kEdge) == 0;
    if (events == 0) continue;
    if (taken.count++ == 0) taken.first = {events, watched.event.data};
    if (watched.event.events & kOneShot) {
      watched.event.events &= kPrivate;
      watched.news = false;
    }
  }
  return taken;
}

void Epoll::forget(int fd) {
  std::erase_if(watched_, [fd](const Watched& w) { return w.fd == fd; });
}

}  // namespace tcpwhy::script
