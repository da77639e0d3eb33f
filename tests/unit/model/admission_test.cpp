// Floods of the articles, and what their counters said. linux-tcp golden cases 003-A to 003-C2 and the same
// inputs measured on 6.18.

#include "model/admission.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace tcpwhy::model {
namespace {

struct Flood {
  int answered = 0, drops = 0, do_cookies = 0, full_drops = 0, cookies = 0;
};

Flood flood(std::string_view name, int syncookies, int syns) {
  const KernelProfile kernel = *profile(name);
  Sysctls sysctls = Sysctls::of(kernel);
  sysctls.tcp_syncookies = syncookies;
  sysctls.tcp_max_syn_backlog = 81920;
  ListenerQueues q{.backlog = 1, .table_size = table_size(sysctls, 1)};
  Flood f;
  Step step;
  for (int i = 0; i < syns; ++i) {
    step.clear();
    const Admission a =
        admit_syn(kernel, sysctls, q, Displaces::kNothing, Recycle::kPasses, Proven::kNo, step);
    EXPECT_FALSE(step.because.empty());
    if (a != Admission::kDropped) ++f.answered;
    if (a == Admission::kQueued) ++q.syn_queue, ++q.young;
    auto times = [&](Mib m) {
      return static_cast<int>(std::count(step.counted.begin(), step.counted.end(), m));
    };
    f.drops += times(Mib::kListenDrops);
    f.do_cookies += times(Mib::kTCPReqQFullDoCookies);
    f.full_drops += times(Mib::kTCPReqQFullDrop);
    f.cookies += times(Mib::kSyncookiesSent);
  }
  return f;
}

TEST(Admission, AListenOfOneOnEl7HoldsSixteenRequestsAndDropsTheRest) {
  const Flood f = flood("el7", 0, 542);
  EXPECT_EQ(f.answered, 16);
  EXPECT_EQ(f.drops, 526);
  EXPECT_EQ(f.full_drops, 526);
  EXPECT_EQ(flood("el7", 0, 358).full_drops, 342);
}

TEST(Admission, CookiesAnswerEverySynOnEl7AndCountDropsAllTheSame) {
  const Flood f = flood("el7", 1, 282);
  EXPECT_EQ(f.answered, 282);
  EXPECT_EQ(f.drops, 266);
  EXPECT_EQ(f.do_cookies, 266);
  EXPECT_EQ(flood("el7", 1, 455).do_cookies, 439);
  EXPECT_EQ(flood("el7", 1, 455).full_drops, 0);
}

TEST(Admission, The618QueueHoldsBacklogPlusOne) {
  EXPECT_EQ(flood("6.18", 0, 542).drops, 540);
  EXPECT_EQ(flood("6.18", 1, 282).do_cookies, 280);
  EXPECT_EQ(flood("6.18", 1, 282).drops, 0);
  EXPECT_EQ(flood("4.4", 0, 542).drops, 541);
  EXPECT_EQ(flood("4.4", 1, 455).drops, 454);
}

TEST(Admission, OldKernelsCountNoDroppedSyn) {
  EXPECT_EQ(flood("2.6.32", 0, 542).answered, 16);
  EXPECT_EQ(flood("2.6.32", 0, 542).drops, 0);
  EXPECT_EQ(flood("el6", 1, 282).cookies, 266);
}

TEST(Admission, TheLastQuarterIsKeptWithoutCookies) {
  const KernelProfile kernel = *profile("6.18");
  Sysctls sysctls = Sysctls::of(kernel);
  sysctls.tcp_syncookies = 0;
  for (auto [most, held] : {std::pair{16u, 13u}, std::pair{100u, 76u}}) {
    sysctls.tcp_max_syn_backlog = most;
    ListenerQueues q{.backlog = 4096};
    Step step;
    while (admit_syn(kernel, sysctls, q, Displaces::kNothing, Recycle::kPasses, Proven::kNo, step) ==
           Admission::kQueued)
      ++q.syn_queue;
    EXPECT_EQ(q.syn_queue, held);
    EXPECT_EQ(step.counted, std::vector<Mib>{Mib::kListenDrops});
  }
}

TEST(Admission, TableSizesFollowTheBacklog) {
  Sysctls sysctls;
  sysctls.tcp_max_syn_backlog = 81920;
  for (auto [backlog, size] :
       {std::pair{0u, 16u}, {15u, 16u}, {16u, 32u}, {127u, 128u}, {128u, 256u}, {511u, 512u}, {512u, 1024u}})
    EXPECT_EQ(table_size(sysctls, backlog), size) << backlog;
}

TEST(Admission, ACrowdOfOldRequestsIsGivenUpAfterTwoRepeats) {
  const KernelProfile kernel = *profile("6.18");
  EXPECT_EQ(synack_timeouts_allowed(kernel, {.backlog = 8, .syn_queue = 9, .young = 0}, 5), 2);
  EXPECT_EQ(synack_timeouts_allowed(kernel, {.backlog = 8, .syn_queue = 4, .young = 0}, 5), 5);
  EXPECT_EQ(synack_timeouts_allowed(kernel, {.backlog = 8, .syn_queue = 9, .young = 9}, 5), 5);
}

TEST(Profile, EveryNamedKernelExists) {
  for (std::string_view name : profile_names()) EXPECT_TRUE(profile(name).has_value()) << name;
  EXPECT_FALSE(profile("1.0").has_value());
}

TEST(Sysctls, AreSetByTheirKernelNames) {
  Sysctls s = Sysctls::of(*profile("2.6.32"));
  EXPECT_EQ(s.tcp_syncookies, 0);
  EXPECT_TRUE(s.set("net.ipv4.tcp_rmem", "4096 87380 6291456"));
  EXPECT_EQ(s.get("tcp_rmem_max"), 6291456);
  EXPECT_TRUE(s.set("net.core.somaxconn", "12"));
  EXPECT_EQ(s.somaxconn, 12);
  EXPECT_FALSE(s.set("net.ipv4.no_such", "1"));
  EXPECT_FALSE(s.set("tcp_syncookies", "x"));
}

}  // namespace
}  // namespace tcpwhy::model
