#pragma once
// A SYN that met an old connection and was answered by that connection's ACK.
// linux-tcp: 6.5 (TIME_WAIT), 7.5 and 9.1 (half-open discovery); RFC 5961 4.2, RFC 6191.

#include <optional>
#include <string_view>

#include "diagnose/opening.hpp"

namespace tcpwhy::diagnose {

struct Challenge {
  std::int32_t syn = -1, ack = -1, rst = -1;  ///< the SYN, the ACK it met, the client's RST to that
  std::int32_t reopened = -1;                 ///< the SYN-ACK that a later SYN got
  bool time_wait_would_accept = false;        ///< by RFC 6191, from the SYN and the numbers in the ACK
  bool newer_sequence = false, newer_timestamp = false, older_timestamp = false;
  bool no_ip_id = false;                      ///< IPv4 and ID 0: made without a socket (linux-tcp 11.4)
  bool has_ip_id = false;                     ///< IPv4 and ID not 0
  bool previous_seen = false;
  bool previous_closed = false;               ///< by FINs or RST, as far as this vantage shows
  bool server_closed_first = false;
  Duration since_previous{};
};

/// Nothing when no SYN of the connection was answered so.
std::optional<Challenge> challenge_of(const facts::Connection& c);

/// Was the previous connection's client another host, by what stacks show? What differs, in words; empty: nothing.
std::string_view other_client(const facts::Connection& c);

}  // namespace tcpwhy::diagnose
