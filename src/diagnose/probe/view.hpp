#pragma once
// One address, turned over once: which port serves as control, how far the host is,
// and the words that the parts of the judge share.

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "diagnose/probe/judge.hpp"

namespace tcpwhy::diagnose::probe {

using facts::Ask;
using facts::Came;
using facts::ProbeAddress;
using facts::Question;
using facts::Side;

struct View {
  explicit View(const ProbeAddress& a);
  const ProbeAddress& a;
  const Question* control = nullptr;  ///< the answer of another port that the traces are compared with
  int distance = 0;                   ///< hops to the host as the control's trace showed, 0 unknown

  /// Hops that the answer of the host's own travelled, where a tap saw one of another port; the farthest.
  [[nodiscard]] std::optional<int> farthest_answer() const;
  /// What a full timestamp option told of a port: who objected. Null when nobody did, or it was not asked.
  [[nodiscard]] const Question* objection(std::uint16_t port) const;
  /// Did the host itself object: did the SYN for this port reach it?
  [[nodiscard]] bool host_objected(std::uint16_t port) const;
  /// Was a stray ACK to this port answered by RST?
  enum class AckTest : std::uint8_t { kNotDone, kReset, kSilent };
  [[nodiscard]] AckTest ack_test(std::uint16_t port) const;
};

Diagnosis diagnosis_of(CauseId cause, Verdict verdict, Side side, std::string summary);
void note(Diagnosis& d, std::string text);
void rival(Diagnosis& d, CauseId cause, Verdict verdict, std::string because);
/// Adds each as `possible`, as a diagnosis behind the first and as its rival.
void possible(ProbeAnswer& out, std::initializer_list<CauseId> causes, Side side, std::string_view because);
/// "hop 2 (198.51.100.1)", "hop 3 (silent)".
std::string hop_words(const facts::Hop& hop);
std::string hop_words(const facts::Trace& trace, int ttl);
std::string port_words(std::uint16_t port);  ///< "port 81"

void judge_local(const View& v, const Question& q, ProbeAnswer& out);
void judge_icmp(const View& v, const Question& q, ProbeAnswer& out);
void judge_reset(const View& v, const Question& q, ProbeAnswer& out);
void judge_silence(const View& v, ProbeAnswer& out);
/// tcp_tw_recycle; true when it is the answer.
bool judge_stamps(const View& v, ProbeAnswer& out);
void judge_size(const View& v, ProbeAnswer& out);
void judge_idle(const View& v, ProbeAnswer& out);

}  // namespace tcpwhy::diagnose::probe
