#pragma once
// Questions about silence: what one side sent and never got an answer to, when
// the other side was last heard, and whether the capture lasted long enough to
// call that an absence. Shared by the causes of "goes silent or stalls"; nothing
// is decided here.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tcpwhy/connection.hpp"
#include "tcpwhy/survey.hpp"

namespace tcpwhy::diagnose {

/// Sequence space of `sender` that the other side never acknowledged, at the end of the story.
struct Unanswered {
  facts::Party sender = facts::Party::kClient;
  std::vector<std::int32_t> sends;  ///< every transmission that covers the oldest octet; sends[0] is the first
  std::int32_t last = -1;           ///< last segment of `sender` that carries unacknowledged space
  std::int32_t heard = -1;          ///< last segment of the other side before sends[0], -1 none
  std::int32_t heard_after = -1;    ///< its last segment that it sent after sends[0] could have reached it, -1 none
  std::uint32_t largest = 0, smallest = 0;  ///< payload of the unacknowledged segments, FIN excluded; 0 when FIN only
  Duration waited{};                ///< sends[0] to the end of the coverage
  Duration silent{};                ///< `last` to the end of the coverage
  Duration idle_before{};           ///< last segment before sends[0], either side, to sends[0]
  [[nodiscard]] std::size_t repeats() const { return sends.size() - 1; }
  [[nodiscard]] bool fin_only() const { return largest == 0; }
};
std::optional<Unanswered> unanswered(const facts::Connection& c, facts::Party sender);

/// Empty segments of the other side that answered the transmissions of `u` at once and acknowledged none of it: it got
/// them and refused them. Nothing when fewer than half were answered that way.
std::vector<std::int32_t> refusals(const facts::Connection& c, const Unanswered& u);

/// Repeats of `sender` that go on although this vantage saw them acknowledged:
/// the acknowledgments do not reach it. Repeats that end the story only.
struct Deaf {
  std::vector<std::int32_t> repeats;   ///< the repeats in vain
  std::int32_t acked_by = -1;          ///< the ACK that passed here before the first of them
};
std::optional<Deaf> deaf(const facts::Connection& c, facts::Party sender);

/// A request that was acknowledged and got no octet back: the last turn of the conversation.
struct Waiting {
  std::int32_t request = -1;       ///< the client's last new data
  std::int32_t acked_by = -1;      ///< the server's ACK of it
  std::int32_t ended_by = -1;      ///< the client's FIN or RST that ended the wait, -1: it waited to the end
  Duration waited{};               ///< request to `ended_by`, or to the end of the coverage
  std::uint64_t answered_before = 0;  ///< octets the server had sent earlier in the connection
};
std::optional<Waiting> waiting(const facts::Connection& c);

/// A response whose length was announced and that stopped before it, everything sent acknowledged, nobody closing.
struct Broken {
  const facts::Exchange* exchange = nullptr;
  std::int32_t last = -1;   ///< its last octets
  Duration silent{};        ///< from there to the end of the coverage
};
std::optional<Broken> broken_off(const facts::Connection& c);

/// So long that the wait is a finding: an open capture alone does not tell a long poll from a hang.
bool waited_too_long(const facts::Connection& c, const facts::Survey& survey, const Waiting& w);

/// Two or more connections to this service were accepted, and its application spoke on none of them.
bool service_never_spoke(const facts::Connection& c, const facts::Survey& survey);

/// The receiver's window at the end of the story is closed, and the other side has more to send.
struct ClosedWindow {
  facts::Party receiver = facts::Party::kServer;
  std::int32_t closed = -1;             ///< first of the last unbroken run of zero windows
  std::int32_t last = -1;               ///< last segment that said zero
  std::vector<std::int32_t> probes;     ///< of the other side, after `closed`
  std::size_t answered = 0;             ///< of them, followed by another zero window
  Duration lasted{};                    ///< `closed` to the end of the connection or of the coverage
};
std::optional<ClosedWindow> closed_window(const facts::Connection& c, facts::Party receiver);

/// The server answered another connection of anyone after `since`: its host and at least one path to it lived.
bool service_answered_after(const facts::Connection& c, const facts::Survey& survey, CaptureTime since);

/// A try so persistent that an answer on its way would have been seen: enough
/// repeats and enough time for a retransmission timer to have fired twice.
bool given_time(const facts::Connection& c, const Unanswered& u);

/// Both ends were in the connection: handshake complete as far as seen, or picked up mid-stream.
bool established(const facts::Connection& c);

/// The server sent nothing but SYN-ACKs, and repeated them after the client's ACK had passed:
/// for the server there is no connection yet, whatever the client believes.
bool server_still_in_handshake(const facts::Connection& c);

/// Round trip of the whole path as far as known; a cautious guess otherwise.
Duration round_trip(const facts::Connection& c);

/// Segments arrived at the host the capture was taken on: its own network layer had them.
bool captured_at(const facts::Connection& c, facts::Party host);

/// Payload, not counting keepalive and window-probe octets.
bool carries_data(const facts::Connection& c, std::int32_t i);

/// The last segment of `p` before index `before` (the end when negative), -1 none. RSTs count.
std::int32_t last_of(const facts::Connection& c, facts::Party p, std::int32_t before = -1);

/// "the client", "the server".
std::string_view name(facts::Party p);
/// "The client", "The server".
std::string_view capital(facts::Party p);
facts::Side side_of(facts::Party p);
/// "0.3 ms", "4.2 s", "15 min 28 s": as people say it.
std::string say(Duration d);
/// "1 time", "3 times".
std::string times(std::size_t n);

}  // namespace tcpwhy::diagnose
