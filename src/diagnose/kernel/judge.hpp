#pragma once
// From kernel events to verdicts. Pure: time comes with the events. Events about one tuple within a moment are one
// case, whichever end of it they come from (both, on loopback and between namespaces of one host).

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "diagnose/kernel/verdict.hpp"

namespace tcpwhy::diagnose::kernel {

class Judge {
 public:
  using IsLocal = std::function<bool(std::uint32_t netns, const facts::Address&)>;
  using OwnerOf = std::function<Owner(std::uint64_t inode)>;
  /// What the kernel holds of an event's tuple now; nothing when that is not known.
  using LookAt = std::function<std::optional<facts::Glance>(const tw_event&)>;
  /// Whether the two hosts of an event have a connection between other ports.
  using HasSibling = std::function<bool(const tw_event&)>;
  Judge(const facts::ReasonNames& names, IsLocal is_local, OwnerOf owner_of, LookAt look_at = {}, HasSibling has_sibling = {});

  void observe(const tw_event& event);
  void observe(const facts::NamespaceSample& sample, std::uint64_t now_ns);
  /// A listener's owner, found otherwise than by its own listen().
  void know_listener(std::uint32_t netns, std::uint16_t port, const Owner& owner);
  /// What may be said by now.
  std::vector<Failure> due(std::uint64_t now_ns);
  /// All that is left, at the end.
  std::vector<Failure> rest(std::uint64_t now_ns);
  /// Events that met too many others still to be judged.
  [[nodiscard]] std::uint64_t overlooked() const { return overlooked_; }

 private:
  /// How far the events of one connection go: those of the tuple's next one are another story.
  struct Story {
    std::uint64_t last_ns = 0, known_ns = 0;  ///< the latest event; the latest that knows when its connection was opened
    bool over = false;
    void add(const tw_event& e);
    [[nodiscard]] bool is_followed_by(const tw_event& e) const;
  };
  struct Case {
    std::uint64_t first_ns = 0;
    Story story;
    std::vector<tw_event> events;
    std::uint32_t drops = 0, synacks = 0;
    enum class Request : std::uint8_t { kNone, kPending, kOfAnotherAddress } request = Request::kNone;  // when a wrong ACK was answered
    std::uint32_t stray_resets = 0;  // that came outside the window and were ignored
  };
  struct Reported {
    std::uint64_t until_ns = 0;
    Story story;
    CauseId cause{};
  };
  /// A host that asks one closed port after the other.
  struct Scan {
    std::set<std::uint16_t> ports;
    std::uint64_t last_ns = 0;
    bool told = false;
  };

  [[nodiscard]] static std::string key(const tw_event& e);
  Failure frame(const Case& c, const tw_event& e) const;
  bool judge(const Case& c, Failure& out) const;
  bool judge_reset_sent(const Case& c, const tw_event& e, Failure& out) const;
  bool judge_passive(const Case& c, const tw_event& e, Failure& out) const;
  bool judge_reset_received(const Case& c, const tw_event& e, Failure& out) const;
  bool judge_foreign_reset(const tw_event& e, const std::string& numbers, Failure& out) const;
  bool judge_icmp(const tw_event& icmp, const tw_event& e, Failure& out) const;
  bool judge_connect(const Case& c, const tw_event& e, Failure& out) const;
  bool judge_death(const Case& c, const tw_event& e, Failure& out) const;
  bool judge_untaken(const Case& c, const tw_event& e, Failure& out) const;
  bool judge_strange_answers(const Case& c, const tw_event& e, Failure& out) const;
  bool judge_silence(const Case& c, const tw_event& e, Failure& out) const;
  bool judge_drop(const Case& c, const tw_event& e, Failure& out) const;
  bool judge_repeated_synacks(const Case& c, const tw_event& e, Failure& out) const;
  bool judge_synack(const Case& c, const tw_event& e, Failure& out) const;
  [[nodiscard]] bool is_raced(const tw_event& e) const { return has_sibling_ && has_sibling_(e); }
  void find_process(const Case& c, const tw_event& e, Failure& out) const;
  std::vector<Failure> collect(std::uint64_t now_ns, std::uint64_t patience_ns);
  [[nodiscard]] bool means_something(const tw_event& e) const;
  Case::Request request_of(const tw_event& e);
  [[nodiscard]] bool is_stray_reset(const tw_event& e) const;
  void set_aside(const std::string& key, const tw_event& event);
  bool told_before(const std::string& key, const tw_event& e);
  void tell_half_open(std::vector<std::pair<std::string, Failure>> half_open, std::uint64_t now_ns, std::vector<Failure>& out);
  void gather_scans(std::vector<Failure>& out, std::uint64_t now_ns);

  const facts::ReasonNames& names_;
  IsLocal is_local_;
  OwnerOf owner_of_;
  LookAt look_at_;
  HasSibling has_sibling_;
  std::uint64_t now_ns_ = 0;  // of this round of judging
  std::uint64_t overlooked_ = 0;
  std::uint64_t set_aside_ = 0;  // makes the keys of earlier cases of a tuple
  std::uint32_t looks_ = 0;   // at what the kernel holds, in this round
  std::unordered_map<std::string, Case> cases_;
  std::unordered_map<std::string, Reported> reported_;
  std::map<std::pair<std::uint32_t, std::uint16_t>, Owner> listeners_;
  std::map<std::pair<std::uint32_t, std::string>, std::uint32_t> drops_;  // of each listener, as last read
  std::map<std::uint32_t, facts::Counters> counters_;
  std::map<std::pair<std::uint32_t, CauseId>, std::uint64_t> quiet_until_;  // findings said lately
  std::map<std::pair<std::uint32_t, std::string>, Scan> scans_;  // by the asking host
  std::vector<Failure> findings_;
};

}  // namespace tcpwhy::diagnose::kernel
