#pragma once
// From kernel events to verdicts. Pure: time comes with the events. Events about one tuple within a moment are one
// case, whichever end of it they come from (both, on loopback and between namespaces of one host).

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "host/bpf/events.hpp"
#include "host/bpf/namespaces.hpp"
#include "host/bpf/verdict.hpp"

namespace tcpwhy::host {

class Judge {
 public:
  using IsLocal = std::function<bool(std::uint32_t netns, const facts::Address&)>;
  using OwnerOf = std::function<KernelProcess(std::uint64_t inode)>;
  Judge(const ReasonNames& names, IsLocal is_local, OwnerOf owner_of);

  void observe(const tw_event& event);
  void observe(const NamespaceSample& sample, std::uint64_t now_ns);
  /// A listener's owner, found otherwise than by its own listen().
  void know_listener(std::uint32_t netns, std::uint16_t port, const KernelProcess& owner);
  /// What may be said by now.
  std::vector<KernelVerdict> due(std::uint64_t now_ns);
  /// All that is left, at the end.
  std::vector<KernelVerdict> rest(std::uint64_t now_ns);

 private:
  struct Case {
    std::uint64_t first_ns = 0, last_ns = 0;
    std::vector<tw_event> events;
    std::uint32_t drops = 0, synacks = 0;
  };
  struct ListenerState {
    KernelProcess owner;
    std::uint32_t drops = 0, base = 0;
    bool known = false;
  };
  struct Reported {
    std::uint64_t until_ns = 0;
  };

  [[nodiscard]] std::string key(const tw_event& e) const;
  KernelVerdict frame(const Case& c, const tw_event& e) const;
  bool judge(Case& c, std::uint64_t now_ns, KernelVerdict& out);
  bool judge_reset_sent(const Case& c, const tw_event& e, KernelVerdict& out) const;
  bool judge_passive(const Case& c, const tw_event& e, KernelVerdict& out) const;
  bool judge_reset_received(const Case& c, const tw_event& e, KernelVerdict& out) const;
  bool judge_connect(const Case& c, const tw_event& e, KernelVerdict& out) const;
  bool judge_death(const tw_event& e, KernelVerdict& out) const;
  bool judge_silence(const tw_event& e, KernelVerdict& out) const;
  bool judge_drop(const Case& c, const tw_event& e, KernelVerdict& out) const;
  bool judge_synack(const Case& c, const tw_event& e, KernelVerdict& out) const;
  void find_process(const Case& c, const tw_event& e, KernelVerdict& out) const;
  std::vector<KernelVerdict> collect(std::uint64_t now_ns, std::uint64_t patience_ns);

  const ReasonNames& names_;
  IsLocal is_local_;
  OwnerOf owner_of_;
  std::unordered_map<std::string, Case> cases_;
  std::unordered_map<std::string, Reported> reported_;
  std::map<std::pair<std::uint32_t, std::uint16_t>, KernelProcess> listeners_;
  std::map<std::tuple<std::uint32_t, std::string>, std::pair<std::uint32_t, std::uint64_t>> drops_;  // last, total
  std::map<std::uint32_t, std::map<std::string, std::uint64_t>> counters_;
  std::map<std::pair<std::uint32_t, std::string>, std::uint64_t> quiet_until_;  // findings said lately
  std::vector<KernelVerdict> findings_;
  std::uint64_t half_open_since_ns_ = 0, half_open_ = 0;
};

facts::Endpoint local_end(const tw_event& e);
facts::Endpoint remote_end(const tw_event& e);

}  // namespace tcpwhy::host
