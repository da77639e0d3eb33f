#include "script/sockopts.hpp"

#include <iterator>

namespace tcpwhy::script {
namespace {

using O = model::SocketOption;
using K = OptionKind;
constexpr int kSocket = 1, kIp = 0, kIpv6 = 41, kTcp = 6;

// Linux include/uapi/asm-generic/socket.h, linux/tcp.h, linux/in.h, linux/in6.h.
constexpr SocketOptionRow kRows[] = {
    {kSocket, 2, K::kInteger, O::kReuseAddr},
    {kSocket, 4, K::kInteger, O::kError},
    {kSocket, 7, K::kInteger, O::kSndBuf},
    {kSocket, 8, K::kInteger, O::kRcvBuf},
    {kSocket, 9, K::kInteger, O::kKeepAlive},
    {kSocket, 10, K::kInteger, O::kOobInline},
    {kSocket, 12, K::kInteger, O::kPriority},
    {kSocket, 13, K::kLinger, {}},
    {kSocket, 15, K::kInteger, O::kReusePort},
    {kSocket, 18, K::kInteger, O::kRcvLowat},
    {kSocket, 30, K::kInteger, O::kAcceptConn},
    {kSocket, 32, K::kInteger, O::kSndBufForce},
    {kSocket, 33, K::kInteger, O::kRcvBufForce},
    {kSocket, 36, K::kIgnored, {}},  // SO_MARK
    {kSocket, 47, K::kIgnored, {}},  // SO_MAX_PACING_RATE
    {kSocket, 60, K::kInteger, O::kZeroCopy},
    {kTcp, 1, K::kInteger, O::kNoDelay},
    {kTcp, 2, K::kInteger, O::kMaxSeg},
    {kTcp, 3, K::kInteger, O::kCork},
    {kTcp, 4, K::kInteger, O::kKeepIdle},
    {kTcp, 5, K::kInteger, O::kKeepIntvl},
    {kTcp, 6, K::kInteger, O::kKeepCnt},
    {kTcp, 7, K::kInteger, O::kSynCnt},
    {kTcp, 8, K::kInteger, O::kLinger2},
    {kTcp, 9, K::kInteger, O::kDeferAccept},
    {kTcp, 10, K::kInteger, O::kWindowClamp},
    {kTcp, 12, K::kInteger, O::kQuickAck},
    {kTcp, 13, K::kCongestion, {}},
    {kTcp, 18, K::kInteger, O::kUserTimeout},
    {kTcp, 23, K::kInteger, O::kFastOpen},
    {kTcp, 24, K::kInteger, O::kTimestamp},
    {kTcp, 25, K::kInteger, O::kNotsentLowat},
    {kTcp, 27, K::kInteger, O::kSaveSyn},
    {kTcp, 30, K::kInteger, O::kFastOpenConnect},
    {kTcp, 33, K::kFastOpenKey, {}},
    {kTcp, 34, K::kInteger, O::kFastOpenNoCookie},
    {kTcp, 36, K::kInteger, O::kInq},
    {kTcp, 37, K::kInteger, O::kTxDelay},
    {kIp, 1, K::kInteger, O::kTos},
    {kIp, 2, K::kInteger, O::kTtl},
    {kIp, 10, K::kInteger, O::kMtuDiscover},
    {kIp, 11, K::kInteger, O::kRecvErr},
    {kIp, 14, K::kPathMtu, {}},
    {kIpv6, 23, K::kInteger, O::kMtuDiscover},
    {kIpv6, 24, K::kPathMtu, {}},
    {kIpv6, 25, K::kInteger, O::kRecvErr},
    {kIpv6, 26, K::kInteger, O::kV6Only},
    {kIpv6, 67, K::kInteger, O::kTos},
};

}  // namespace

std::optional<SocketOptionRow> socket_option(int level, int number) {
  for (const SocketOptionRow& row : kRows)
    if (row.level == level && row.number == number) return row;
  return std::nullopt;
}

}  // namespace tcpwhy::script
