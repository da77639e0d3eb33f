#pragma once
// The opening of a connection, looked at once for all causes that ask about it:
// which SYN met what, how often it was repeated, what the server did about the
// client's ACK. Observations only; every index is -1 when it was not seen.

#include <chrono>
#include <cstdint>

#include "tcpwhy/connection.hpp"
#include "tcpwhy/survey.hpp"

namespace tcpwhy::diagnose {

class EvidenceList;

/// A request that is ignored repeats its SYN-ACK after 1 s, up to 1.6 s on kernels that walk a table (linux-tcp: 3.3, 3.4) ...
inline constexpr Duration kFirstSynAckRepeat = std::chrono::milliseconds{2500};
/// ... and on 2.6.32 after 3 s, up to 1.4 s late. Who waits longer has left a repeat out.
inline constexpr Duration kOldFirstSynAckRepeat = std::chrono::milliseconds{4700};

struct Opening {
  std::int32_t syn = -1, last_syn = -1;          ///< of the client
  std::int32_t syn_ack = -1, last_syn_ack = -1;  ///< of the server, with one initial number
  std::int32_t challenge = -1;       ///< a bare ACK of the server that does not acknowledge the SYN
  std::int32_t challenge_rst = -1;   ///< the client's RST with the challenge's ACK number
  std::int32_t third = -1;           ///< first segment of the client that acknowledges the SYN-ACK
  std::int32_t last_try = -1;        ///< last such segment before the server got on
  std::int32_t data = -1;            ///< first payload of the client after the SYN-ACK
  std::int32_t repeat = -1;          ///< first SYN-ACK repeated after `third` had passed
  std::int32_t data_repeat = -1;     ///< first SYN-ACK repeated after `data` had passed
  std::int32_t syn_after_answer = -1;///< first SYN repeated after a SYN-ACK had passed
  std::int32_t progress = -1;        ///< first ACK, data or FIN of the server after its SYN-ACK: it has a socket
  std::int32_t client_rst = -1, server_rst = -1;  ///< first after the SYN-ACK (or SYN), before `progress`
  std::uint32_t syns = 0, syn_acks = 0;
  std::uint32_t tries = 0;           ///< segments of the client that acknowledge the SYN-ACK, before `progress`
  std::uint32_t unasked = 0;         ///< SYN-ACKs that no SYN asked for: the server's timer sent them
  std::uint32_t repeats = 0;         ///< SYN-ACKs repeated after `third` had passed and no SYN asked for them
  std::uint32_t in_vain = 0;         ///< of the client's tries those that had no effect, as far as `progress` tells
  std::uint32_t data_tries = 0;      ///< transmissions of the client's first payload before `progress`
  Duration first_wait{};             ///< the listener's first timeout as `repeat` shows it: what passed since the SYN-ACK
                                     ///< before it, halved for each that the timer had sent already (RFC 6298 5.5)
};

Opening opening_of(const facts::Connection& c);

/// The client's last segment of the handshake was answered at once with R and its ACK number: no socket took it up.
bool third_ack_refused(const facts::Connection& c, const Opening& o);

/// The SYN-ACK was repeated once, an ACK of the client followed, and the next repeat did not come when it was due: the
/// listener has its connection.
bool settled(const facts::Connection& c, const Opening& o);

/// Was this captured where nothing lies between the vantage and the server, so
/// that what passed here did arrive? From the connection, else from how the
/// server's other connections look.
bool at_server(const facts::Connection& c, const facts::Survey& survey);
bool at_client(const facts::Connection& c, const facts::Survey& survey);

/// Repeats that were due and left out speak for a listener that defers; past the first timeout of any kernel, at the
/// server, they prove it.
void note_repeats_left_out(const facts::Connection& c, const Opening& o, const facts::Survey& survey, EvidenceList& out);

/// The client's SYN has waited so long that its answer, or its repeat, would be here (RFC 6298 2.1).
bool syn_waited(const facts::Connection& c);

/// Does the capture show both directions of this connection's host, so that
/// "nothing came back" may be said? Unseen is not no.
bool answers_would_show(const facts::Connection& c, const facts::Survey& survey);

}  // namespace tcpwhy::diagnose
