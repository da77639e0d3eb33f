#pragma once
// One system call of a script on the model's host. A call that would sleep
// stays under way and is asked again when something may have woken it.

#include <optional>
#include <string>

#include "model/host.hpp"
#include "script/call.hpp"
#include "script/epoll.hpp"
#include "script/run_settings.hpp"

namespace tcpwhy::script {

struct CallUnderWay {
  Call call;                ///< as the script has it
  int fd = -1;              ///< the host's number of its descriptor
  std::vector<int> polled;  ///< likewise, of poll
  int target = -1;          ///< likewise, the socket epoll_ctl speaks of
  Epoll* epoll = nullptr;   ///< of epoll_ctl and epoll_wait
  ModelTime began;
  enum class Progress : std::uint8_t { kNotBegun, kAsleep } progress = Progress::kNotBegun;
  std::int64_t bytes_done = 0;
  model::SocketAddress peer;  ///< whom accept() found
};

/// The outcome, or nothing while it sleeps.
[[nodiscard]] std::optional<Outcome> attempt(model::Host& host, ModelTime now, const RunSettings& settings,
                                             CallUnderWay& call, model::Step& step);

/// When a sleeping call gives up by itself.
[[nodiscard]] std::optional<ModelTime> gives_up(const CallUnderWay& call);

}  // namespace tcpwhy::script
