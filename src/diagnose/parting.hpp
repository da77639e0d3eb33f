#pragma once
// What an ending cost: whether somebody still waited for something, or whether
// it only took the place of a last FIN or ACK.

#include <cstdint>

#include "diagnose/conversation.hpp"
#include "diagnose/reset_story.hpp"

namespace tcpwhy::diagnose::ending {

/// The segment with which `p` stopped: its first FIN, or the RST that ended the connection; -1 none.
std::int32_t stop_of(const facts::Connection& c, facts::Party p);

/// The server's FIN or RST came within a second of the handshake and before anybody had said anything.
bool closed_unasked(const facts::Connection& c);

/// Everything was delivered both ways and the RST only took the place of a last FIN or ACK.
bool formality(const facts::Connection& c, const Reset& r);

/// A client's RST long after its own FIN says nothing of why it had closed: with an answer outstanding, or the rest of one.
bool left_waiting(const facts::Connection& c, const Reset& r);

/// The side that sent RST+ACK had still not read what had come when it wrote its last segment: its window says so.
bool unread_when_answering(const facts::Connection& c, const Reset& r);

}  // namespace tcpwhy::diagnose::ending
