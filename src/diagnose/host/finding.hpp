#pragma once
// What the findings of a host share: one namespace, turned over once so that every
// finding can ask who listens, who owns, who waits.

#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "diagnose/words.hpp"
#include "tcpwhy/host_findings.hpp"
#include "tcpwhy/survey.hpp"

namespace tcpwhy::diagnose::host {

using facts::Endpoint;
using facts::Namespace;
using facts::Socket;
using facts::SocketInfo;
using facts::SocketTimer;

/// A listener and what hangs on it.
struct Listening {
  const Socket* socket = nullptr;
  std::uint64_t requests = 0, unanswered = 0;  ///< half-open; of them, those whose SYN-ACK was repeated
  std::vector<const Socket*> waiting;          ///< in the accept queue
  std::uint64_t held = 0;                      ///< connections the application has accepted
  [[nodiscard]] bool full() const { return socket->receive_queue > socket->send_queue; }  // sk_acceptq_is_full()
};

class View {
 public:
  View(const facts::HostSnapshot& host, const Namespace& ns, const HostOptions& options);

  const facts::HostSnapshot& host;
  const Namespace& ns;
  const HostOptions& options;
  std::vector<Listening> listeners;
  std::uint64_t connections = 0;  ///< sockets that hold state of a peer: neither LISTEN, CLOSE nor TIME_WAIT

  /// The listener a connection to `local` came through, or null.
  [[nodiscard]] const Listening* listening(const Endpoint& local) const;
  [[nodiscard]] bool is_local(const facts::Address& a) const { return local_.contains(a); }
  [[nodiscard]] facts::Side role(const Socket& s) const {
    return listening(s.local) != nullptr ? facts::Side::kServer : facts::Side::kClient;
  }
  [[nodiscard]] double patience_ms() const { return options.patience_s * 1e3; }
  [[nodiscard]] std::int64_t rise(std::string_view name) const { return ns.rise(name).value_or(0); }

  [[nodiscard]] CounterEvidence counter(std::string_view name) const;
  [[nodiscard]] std::vector<SysctlEvidence> sysctls(std::initializer_list<std::string_view> names) const;
  [[nodiscard]] ListenerEvidence describe(const Listening& l) const;

 private:
  [[nodiscard]] Listening* find(const Endpoint& local);
  std::unordered_map<std::uint16_t, std::vector<std::uint32_t>> by_port_;
  std::unordered_map<facts::Address, bool, facts::AddressHash> local_;
};

/// Sockets of one finding, gathered one by one.
class Pile {
 public:
  explicit Pile(const View& view) : view_{view} {}
  void add(const Socket& s, std::optional<double> silent_s);
  [[nodiscard]] std::uint64_t count() const { return evidence_.count; }
  [[nodiscard]] std::optional<double> oldest_s() const { return evidence_.oldest_s; }
  [[nodiscard]] std::uint64_t unread() const { return evidence_.unread_bytes.value_or(0); }
  [[nodiscard]] facts::Side side() const { return served_ * 2 >= evidence_.count ? facts::Side::kServer : facts::Side::kClient; }
  /// Owners, most sockets first, at most eight.
  [[nodiscard]] std::vector<ProcessEvidence> owners() const;
  [[nodiscard]] SocketsEvidence evidence(std::string where) const;
  /// The remote endpoint most of them have, with its share; nothing when none stands out.
  [[nodiscard]] std::optional<std::pair<Endpoint, std::uint64_t>> main_remote() const;
  [[nodiscard]] std::optional<std::pair<Endpoint, std::uint64_t>> main_local() const;
  [[nodiscard]] std::size_t remote_hosts() const { return hosts_.size(); }
  /// "nginx (pid 812)", "a process not known (run as root)".
  [[nodiscard]] std::string owner_words() const;
  /// "to 192.0.2.1:80", "on 0.0.0.0:443", or nothing.
  [[nodiscard]] std::string where_words() const;

 private:
  const View& view_;
  SocketsEvidence evidence_;
  std::uint64_t served_ = 0, unowned_ = 0;
  std::unordered_map<const facts::Process*, std::uint64_t> owners_;
  std::unordered_map<Endpoint, std::uint64_t, facts::EndpointHash> remotes_, locals_;
  std::unordered_map<facts::Address, std::uint64_t, facts::AddressHash> hosts_;
};

std::string process_words(const facts::Process* p);
/// "5 s", "3 min", "2.5 h".
std::string age_words(double seconds);

using Findings = std::vector<HostFinding>;
void find_accept_queues(const View& view, Findings& out);
void find_not_reading(const View& view, Findings& out);
void find_requests(const View& view, Findings& out);
void find_connecting(const View& view, Findings& out);
void find_close_wait(const View& view, Findings& out);
void find_closing(const View& view, Findings& out);
void find_fin_wait2(const View& view, Findings& out);
void find_time_wait(const View& view, Findings& out);
void find_port_exhaustion(const View& view, Findings& out);
void find_ghosts(const View& view, Findings& out);
void find_zero_window(const View& view, Findings& out);
void find_waiting(const View& view, Findings& out);
void find_unresponsive(const View& view, Findings& out);
void find_pressure(const View& view, Findings& out);
void find_conntrack_full(const View& view, Findings& out);
void find_repeats(const View& view, Findings& out);
void find_damage(const View& view, Findings& out);
void find_settings(const View& view, Findings& out);

}  // namespace tcpwhy::diagnose::host
