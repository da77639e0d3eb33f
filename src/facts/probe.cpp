#include "facts/probe.hpp"

#include <algorithm>

namespace tcpwhy::facts {

std::string_view to_string(Came came) {
  switch (came) {
    case Came::kNothing: return "nothing";
    case Came::kSynAck: return "syn-ack";
    case Came::kRst: return "rst";
    case Came::kAck: return "ack";
    case Came::kIcmp: return "icmp";
    case Came::kLocal: return "local-error";
    case Came::kNotAsked: return "not-asked";
  }
  return "nothing";
}

std::string_view to_string(IdleQuestion::End end) {
  switch (end) {
    case IdleQuestion::End::kAlive: return "alive";
    case IdleQuestion::End::kClosedByServer: return "closed-by-server";
    case IdleQuestion::End::kReset: return "reset";
    case IdleQuestion::End::kSilent: return "silent";
    case IdleQuestion::End::kCut: return "cut-short";
    case IdleQuestion::End::kNotConnected: return "not-connected";
  }
  return "cut-short";
}

bool IcmpWord::prohibited() const {
  if (version == 4) return type == 3 && (code == 3 || code == 9 || code == 10 || code == 13);
  return type == 1 && (code == 1 || code == 4 || code == 5 || code == 6);
}

bool IcmpWord::unreachable() const {
  if (version == 4) return type == 3 && !prohibited() && !too_big();
  return type == 1 && !prohibited();
}

std::string_view to_string(const IcmpWord& i) {
  if (i.time_exceeded()) return "time exceeded";
  if (i.too_big()) return "packet too big";
  if (i.parameter_problem()) return "parameter problem";
  if (i.version == 4 && i.type == 3) {
    switch (i.code) {
      case 0: case 6: case 11: return "network unreachable";
      case 1: case 7: case 8: case 12: return "host unreachable";
      case 2: return "protocol unreachable";
      case 3: return "port unreachable";
      case 9: return "network administratively prohibited";
      case 10: return "host administratively prohibited";
      case 13: return "communication administratively prohibited";
    }
    return "destination unreachable";
  }
  if (i.version == 6 && i.type == 1) {
    switch (i.code) {
      case 0: return "no route to destination";
      case 1: return "administratively prohibited";
      case 2: return "beyond scope of source address";
      case 3: return "address unreachable";
      case 4: return "port unreachable";
      case 5: return "source address failed policy";
      case 6: return "reject route";
    }
    return "destination unreachable";
  }
  return "an ICMP error";
}

const Question& Hop::best() const {
  for (const Question& q : asked)
    if (q.came != Came::kNothing && q.came != Came::kNotAsked) return q;
  return asked.back();
}

const Hop* Trace::hop(int ttl) const {
  for (const Hop& h : hops)
    if (h.ttl == ttl) return &h;
  return nullptr;
}
const Hop* Trace::last_router() const {
  const Hop* last = nullptr;
  for (const Hop& h : hops)
    if (!h.silent() && !h.end()) last = &h;
  return last;
}
const Hop* Trace::end() const {
  for (const Hop& h : hops)
    if (h.end()) return &h;
  return nullptr;
}

bool ProbeAddress::connected() const {
  if (trace && trace->end() != nullptr && trace->end()->best().came == Came::kSynAck) return true;
  return std::any_of(connects.begin(), connects.end(), [](const Question& q) { return q.came == Came::kSynAck; });
}

}  // namespace tcpwhy::facts
