#pragma once
// Beginnings that ladders of endings share: a handshake, a request, its answer, TLS records.

#include <string>

namespace tcpwhy::diagnose {

inline const std::string kOpening = R"(
  0.000 > S 4294967290 <mss 1460,sackok,ts,ws 7>
  0.020 < SA 999000 4294967291 <mss 1460,sackok,ts,ws 7>
  0.020 > A 4294967291 999001
)";
inline const std::string kAsked = kOpening + R"(
  0.021 > PA 4294967291:105 999001 http-req idem
  0.041 < A 999001 105
)";
inline const std::string kAnswered = kAsked + R"(
  0.045 < PA 999001:999501 105 http-resp length 500
  0.046 > A 105 999501
)";
/// A conversation of TLS records, everything acknowledged.
inline const std::string kTalked = kOpening + R"(
  0.021 > PA 4294967291:505 999001 tls-hs
  0.041 < A 999001 505
  0.045 < PA 999001:999901 505 tls-hs
  0.046 > A 505 999901
  0.050 > PA 505:905 999901 tls
  0.070 < PA 999901:1000701 905 tls
  0.071 > A 905 1000701
)";
inline const std::string kAtClient = "@vantage client\n@ttl 64 55\n";
inline const std::string kAtServer = "@vantage server\n@ttl 55 64\n";

}  // namespace tcpwhy::diagnose
