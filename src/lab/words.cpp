#include "lab/words.hpp"

namespace tcpwhy::lab {
namespace {

struct Words {
  std::string_view name, words;
};

// net-tools 2.10 statistics.c, by measurement (linux-tcp.md 2.6).
constexpr Words kNetstat[] = {
    {"SyncookiesSent", "SYN cookies sent"},
    {"SyncookiesRecv", "SYN cookies received"},
    {"SyncookiesFailed", "invalid SYN cookies received"},
    {"EmbryonicRsts", "resets received for embryonic SYN_RECV sockets"},
    {"ListenOverflows", "times the listen queue of a socket overflowed"},
    {"ListenDrops", "SYNs to LISTEN sockets dropped"},
    {"PAWSPassive", "passive connections rejected because of time stamp"},
    {"PAWSActive", "active connections rejected because of time stamp"},
    {"PAWSEstab", "packets rejected in established connections because of timestamp"},
    {"TW", "TCP sockets finished time wait in fast timer"},
    {"TWRecycled", "time wait sockets recycled by time stamp"},
    {"TCPAbortOnSyn", "connections reset due to unexpected SYN"},
    {"TCPAbortOnData", "connections reset due to unexpected data"},
    {"TCPAbortOnClose", "connections reset due to early user close"},
    {"TCPAbortOnMemory", "connections aborted due to memory pressure"},
    {"TCPAbortOnTimeout", "connections aborted due to timeout"},
    {"TCPAbortOnLinger", "connections aborted after user close in linger timeout"},
    {"TCPAbortFailed", "times unable to send RST due to no memory"},
    {"OutOfWindowIcmps", "ICMP packets dropped because they were out-of-window"},
    {"LockDroppedIcmps", "ICMP packets dropped because socket was locked"},
    {"ActiveOpens", "active connection openings"},
    {"PassiveOpens", "passive connection openings"},
    {"AttemptFails", "failed connection attempts"},
    {"EstabResets", "connection resets received"},
    {"InSegs", "segments received"},
    {"OutSegs", "segments sent out"},
    {"RetransSegs", "segments retransmitted"},
    {"InErrs", "bad segments received"},
    {"OutRsts", "resets sent"},
    {"DelayedACKs", "delayed acks sent"},
};

constexpr Words kErrors[] = {
    {"ECONNREFUSED", "Connection refused"},      {"ECONNRESET", "Connection reset by peer"},
    {"ETIMEDOUT", "Connection timed out"},       {"EPIPE", "Broken pipe"},
    {"EHOSTUNREACH", "No route to host"},        {"ENETUNREACH", "Network is unreachable"},
    {"EADDRINUSE", "Address already in use"},    {"EADDRNOTAVAIL", "Cannot assign requested address"},
    {"ENOTCONN", "Transport endpoint is not connected"}, {"ECONNABORTED", "Software caused connection abort"},
    {"EINVAL", "Invalid argument"},              {"EOPNOTSUPP", "Operation not supported"},
};

}  // namespace

std::string netstat_words(std::string_view counter) {
  for (const Words& w : kNetstat)
    if (w.name == counter) return std::string{w.words};
  return std::string{counter};
}

std::string result_words(std::string_view call, std::string_view result) {
  for (const Words& w : kErrors)
    if (w.name == result) return "-1 " + std::string{result} + " (" + std::string{w.words} + ")";
  if (call == "recv" && result == "0") return "0 (end of the stream)";
  return std::string{result};
}

std::string rule_source(std::string_view) { return {}; }

}  // namespace tcpwhy::lab
