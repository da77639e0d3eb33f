#include "script/run_call.hpp"

#include <algorithm>

#include "script/sockopts.hpp"

namespace tcpwhy::script {
namespace {

using model::Blocking;
using model::CallResult;
using model::MessageFlags;

constexpr int kNonblock = 04000;  // SOCK_NONBLOCK and O_NONBLOCK
constexpr int kReadWrite = 2;     // O_RDWR
constexpr int kGetFlags = 3;
constexpr int kSiocInq = 0x541B, kSiocOutq = 0x5411, kSiocOutqNsd = 0x894B;

constexpr int kSolIp = 0, kSolTcp = 6, kSolIpv6 = 41, kRecvErr = 11, kRecvErr6 = 25, kInq = 36;
constexpr std::int64_t kOriginZeroCopy = 5, kZeroCopyCopied = 1;  // SO_EE_ORIGIN_ZEROCOPY, SO_EE_CODE_ZEROCOPY_COPIED

CallResult fails(Errno error) { return CallResult{-1, error, false}; }

class Attempt {
 public:
  Attempt(model::Host& host, ModelTime now, const RunSettings& settings, CallUnderWay& under_way,
          model::Step& step)
      : host_{host},
        now_{now},
        settings_{settings},
        under_way_{under_way},
        call_{under_way.call},
        step_{step} {}

  std::optional<Outcome> run() {
    const CallResult result = call();
    if (result.blocked) {
      under_way_.progress = CallUnderWay::Progress::kAsleep;
      return std::nullopt;
    }
    if (result.error != Errno::kNone) {
      outcome_.result = -1;
      outcome_.error = static_cast<int>(result.error);
    } else {
      outcome_.result = result.value;
    }
    return std::move(outcome_);
  }

 private:
  [[nodiscard]] bool asleep() const { return under_way_.progress == CallUnderWay::Progress::kAsleep; }

  CallResult call() {
    const int fd = under_way_.fd;
    switch (call_.name) {
      case CallName::kSocket:
        return host_.socket(
            now_, settings_.family == IpFamily::kIpv4 ? model::Family::kInet : model::Family::kInet6,
            call_.number & kNonblock ? Blocking::kNo : Blocking::kYes, step_);
      case CallName::kBind: return host_.bind(now_, fd, settings_.bind_to, step_);
      case CallName::kListen: return host_.listen(now_, fd, static_cast<int>(call_.number), step_);
      case CallName::kAccept: return host_.accept(now_, fd, &under_way_.peer, step_);
      case CallName::kConnect:
        if (asleep()) return host_.connect_result(now_, fd, step_);
        if (call_.peer == Peer::kUnspecified) return host_.disconnect(now_, fd, step_);
        return host_.connect(now_, fd, settings_.connect_to, step_);
      case CallName::kRead: return read(fd);
      case CallName::kWrite: return write(fd);
      case CallName::kClose:
        return asleep() ? host_.close_result(now_, fd, step_) : host_.close(now_, fd, step_);
      case CallName::kShutdown:
        if (call_.number < 0 || call_.number > 2) return fails(Errno::kEINVAL);
        return host_.shutdown(now_, fd, static_cast<model::Shutdown>(call_.number), step_);
      case CallName::kFcntl: return fcntl(fd);
      case CallName::kIoctl: return ioctl(fd);
      case CallName::kGetsockopt: return getsockopt(fd);
      case CallName::kSetsockopt: return setsockopt(fd);
      case CallName::kPoll: return poll();
      case CallName::kEpollCreate: return call_.number > 0 ? CallResult{} : fails(Errno::kEINVAL);
      case CallName::kEpollCtl: return under_way_.epoll->control(host_, now_, call_.number, under_way_.target, call_.event);
      case CallName::kEpollWait: return epoll_wait();
    }
    return fails(Errno::kEINVAL);
  }

  // A null buffer is noticed when the first octet is copied: after every check that comes before.
  CallResult read(int fd) {
    const auto flags = static_cast<std::uint32_t>(call_.flags);
    if (flags & MessageFlags::kErrQueue) return read_error(fd);
    if (call_.buffer == Buffer::kNull && call_.number > 0) {
      const CallResult peeked = host_.recv(now_, fd, 1, flags | MessageFlags::kPeek, nullptr, step_);
      return peeked.ok() && peeked.value > 0 ? fails(Errno::kEFAULT) : peeked;
    }
    const CallResult result =
        whole([&](std::uint64_t bytes) { return host_.recv(now_, fd, bytes, flags, nullptr, step_); });
    if (result.ok()) add_inq(fd);
    return result;
  }

  // ip_recv_error(), ipv6_recv_error()
  CallResult read_error(int fd) {
    model::ErrorReport report;
    const CallResult result = host_.recv_error(now_, fd, &report);
    if (!result.ok()) return result;
    const bool v4 = settings_.family == IpFamily::kIpv4;
    outcome_.message = {MessageFlags::kErrQueue,
                        {{v4 ? kSolIp : kSolIpv6, v4 ? kRecvErr : kRecvErr6,
                          {0, kOriginZeroCopy, 0, kZeroCopyCopied, report.first, report.last}}}};
    return result;
  }

  /// tcp_inq_hint(): what is left to read, or 1 when only the end of the stream is.
  void add_inq(int fd) {
    if (!call_.message || host_.getsockopt(now_, fd, model::SocketOption::kInq, step_).value != 1) return;
    std::int64_t left = host_.siocinq(now_, fd).value;
    if (left == 0 && (host_.poll(now_, fd).value & model::PollEvents::kRdHup) != 0) left = 1;
    outcome_.message.control = {{kSolTcp, kInq, {left}}};
  }

  CallResult write(int fd) {
    const auto flags = static_cast<std::uint32_t>(call_.flags);
    if (call_.buffer == Buffer::kNull && call_.number > 0) {
      const CallResult empty = host_.send(now_, fd, 0, flags, {}, step_);
      return empty.ok() ? fails(Errno::kEFAULT) : empty;
    }
    // connect() by sendto() happens once; what is left after it slept is sent as usual.
    if (call_.peer == Peer::kTest && !asleep())
      return whole([&](std::uint64_t bytes) {
        return host_.sendto(now_, fd, bytes, flags, settings_.connect_to, {}, step_);
      });
    return whole([&](std::uint64_t bytes) {
      return host_.send(now_, fd, bytes, asleep() ? flags & ~MessageFlags::kFastOpen : flags, {}, step_);
    });
  }

  /// A call that moves octets may be woken several times; once some are moved, an error is no longer its
  /// result.
  template <class Move>
  CallResult whole(Move move) {
    CallResult result =
        move(static_cast<std::uint64_t>(std::max<std::int64_t>(call_.number - under_way_.bytes_done, 0)));
    if (result.error != Errno::kNone && under_way_.bytes_done > 0)
      return CallResult{under_way_.bytes_done, Errno::kNone, false};
    if (result.error == Errno::kNone) {
      under_way_.bytes_done += std::max<std::int64_t>(result.value, 0);
      result.value = under_way_.bytes_done;
    }
    return result;
  }

  CallResult fcntl(int fd) {
    if (call_.number == kGetFlags)
      return CallResult{kReadWrite | (host_.blocking(fd) == Blocking::kNo ? kNonblock : 0), Errno::kNone,
                        false};
    return host_.set_blocking(fd, call_.flags & kNonblock ? Blocking::kNo : Blocking::kYes);
  }

  CallResult ioctl(int fd) {
    CallResult result;
    switch (call_.number) {
      case kSiocInq: result = host_.siocinq(now_, fd); break;
      case kSiocOutq: result = host_.siocoutq(now_, fd); break;
      case kSiocOutqNsd: result = host_.siocoutqnsd(now_, fd); break;
      default: return fails(Errno::kEINVAL);
    }
    outcome_.value = result.ok() ? result.value : std::int64_t{0};
    if (result.ok()) result.value = 0;
    return result;
  }

  CallResult getsockopt(int fd) {
    const auto row = socket_option(call_.level, call_.option);
    if (!row) return fails(Errno::kENOPROTOOPT);
    CallResult result;
    if (row->kind == OptionKind::kLinger) {
      int on = 0, seconds = 0;
      result = host_.get_linger(now_, fd, &on, &seconds);
      outcome_.value = (static_cast<std::int64_t>(on) << 32) | seconds;
      return result;
    }
    if (row->kind == OptionKind::kPathMtu) {
      // Only a socket with a route has one.
      const auto info = host_.tcp_info(now_, fd);
      model::SocketAddress peer;
      if (!info || !host_.getpeername(fd, &peer).ok()) return fails(Errno::kENOTCONN);
      outcome_.value = static_cast<std::int64_t>(info->pmtu);
      return result;
    }
    result = host_.getsockopt(now_, fd, row->option, step_);
    outcome_.value = result.ok() ? result.value : std::int64_t{0};
    if (result.ok()) result.value = 0;
    return result;
  }

  CallResult setsockopt(int fd) {
    const auto row = socket_option(call_.level, call_.option);
    if (!row) return fails(Errno::kENOPROTOOPT);
    switch (row->kind) {
      case OptionKind::kPathMtu: return fails(Errno::kENOPROTOOPT);
      case OptionKind::kCongestion:
      case OptionKind::kIgnored: return {};
      case OptionKind::kLinger: {
        if (call_.value_bytes < 8) return fails(Errno::kEINVAL);
        const std::int64_t value = std::get<std::int64_t>(call_.value);
        return host_.set_linger(now_, fd, static_cast<int>(value >> 32), static_cast<int>(value & 0xFFFFFFFF),
                                step_);
      }
      case OptionKind::kFastOpenKey: {
        // Linux tcp_setsockopt(): one key of 16 octets, or two.
        const std::string& key = std::get<std::string>(call_.value);
        if ((call_.value_bytes != 16 && call_.value_bytes != 32) ||
            key.size() < static_cast<std::size_t>(call_.value_bytes))
          return fails(Errno::kEINVAL);
        return host_.set_fastopen_key(fd, {reinterpret_cast<const std::uint8_t*>(key.data()),
                                           static_cast<std::size_t>(call_.value_bytes)});
      }
      case OptionKind::kInteger: break;
    }
    if (call_.value_bytes < 4) return fails(Errno::kEINVAL);
    return host_.setsockopt(now_, fd, row->option, std::get<std::int64_t>(call_.value), step_);
  }

  CallResult poll() {
    outcome_.polled = call_.polled;
    std::int64_t ready = 0;
    for (std::size_t i = 0; i < call_.polled.size(); ++i) {
      using E = model::PollEvents;
      const auto bits = static_cast<int>(host_.poll(now_, under_way_.polled[i]).value);
      outcome_.polled[i].revents = bits & (call_.polled[i].events | E::kErr | E::kHup | E::kNval);
      ready += outcome_.polled[i].revents != 0 ? 1 : 0;
    }
    const auto end = gives_up(under_way_);
    if (ready > 0 || (end && now_ >= *end)) return CallResult{ready, Errno::kNone, false};
    return CallResult{0, Errno::kNone, true};
  }

  CallResult epoll_wait() {
    if (call_.at_most <= 0) return fails(Errno::kEINVAL);
    const Epoll::Taken taken = under_way_.epoll->take(host_, now_, call_.at_most);
    outcome_.event = taken.first;
    const auto end = gives_up(under_way_);
    if (taken.count > 0 || (end && now_ >= *end)) return CallResult{taken.count, Errno::kNone, false};
    return CallResult{0, Errno::kNone, true};
  }

  model::Host& host_;
  ModelTime now_;
  const RunSettings& settings_;
  CallUnderWay& under_way_;
  const Call& call_;
  model::Step& step_;
  Outcome outcome_;
};

}  // namespace

std::optional<Outcome> attempt(model::Host& host, ModelTime now, const RunSettings& settings,
                               CallUnderWay& call, model::Step& step) {
  return Attempt{host, now, settings, call, step}.run();
}

std::optional<ModelTime> gives_up(const CallUnderWay& call) {
  const bool waits = call.call.name == CallName::kPoll || call.call.name == CallName::kEpollWait;
  if (!waits || call.call.number < 0) return std::nullopt;
  return call.began + std::chrono::milliseconds{call.call.number};
}

}  // namespace tcpwhy::script
