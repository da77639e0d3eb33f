// The kernel's verdicts meet what a capture showed: by tuple and time, adding and taking nothing back.

#include "diagnose/kernel/join.hpp"

#include <gtest/gtest.h>

#include "answers.hpp"

namespace tcpwhy::diagnose::kernel {
namespace {

using namespace std::chrono_literals;

const facts::Endpoint kClient{*facts::parse_address("192.0.2.10"), 40112}, kServer{*facts::parse_address("198.51.100.7"), 443};
// The host's monotonic clock began this long after the epoch.
constexpr Duration kOffset = 1'700'000'000s;

CaptureTime wall(std::uint64_t monotonic_ns) { return CaptureTime{Duration{static_cast<std::int64_t>(monotonic_ns)} + kOffset}; }

Failure failure(std::uint64_t end_ns, CauseId cause = CauseId::kCloseWithUnreadData, Verdict verdict = Verdict::kProven) {
  Failure f;
  f.client = kClient;
  f.server = kServer;
  f.end_ns = end_ns;
  f.process = {812, "nginx", 0};
  f.reset_reason = "TCP_ABORT_ON_CLOSE";
  Diagnosis d;
  d.cause = cause;
  d.verdict = verdict;
  d.side = facts::Side::kServer;
  d.summary = "nginx closed with data unread.";
  d.evidence.push_back({{}, 0, "reset with 18 octets unread"});
  f.diagnoses.push_back(d);
  return f;
}

facts::Connection connection(std::uint64_t start_ns, std::uint64_t end_ns) {
  facts::Connection c;
  c.ends = {kClient, kServer};
  c.start = wall(start_ns);
  c.end = wall(end_ns);
  return c;
}

Answer captured(std::initializer_list<std::pair<CauseId, Verdict>> causes) {
  Answer a;
  a.healthy = false;
  for (const auto& [cause, verdict] : causes) {
    Diagnosis d;
    d.cause = cause;
    d.verdict = verdict;
    d.settles = "ask the host";
    d.evidence.push_back({{7}, 0, "RST+ACK in sequence"});
    a.diagnoses.push_back(d);
  }
  return a;
}

constexpr std::uint64_t kS = 1'000'000'000;

TEST(KernelWords, AreFoundByTheTupleWhicheverEndTheKernelCallsClient) {
  Words words{kOffset};
  Failure f = failure(12 * kS);
  std::swap(f.client, f.server);
  words.add(f);
  EXPECT_NE(words.about(connection(10 * kS, 12 * kS)), nullptr);
  facts::Connection other = connection(10 * kS, 12 * kS);
  other.ends[0].port = 40113;
  EXPECT_EQ(words.about(other), nullptr);
}

// A kernel gives up long after the last packet, and reads its clock a moment before or after the capture's.
TEST(KernelWords, AreOfAConnectionWhenSpokenFromASecondBeforeItToFiveAfter) {
  Words words{kOffset};
  words.add(failure(20 * kS));
  EXPECT_NE(words.about(connection(20 * kS + kS / 2, 21 * kS)), nullptr);
  EXPECT_NE(words.about(connection(10 * kS, 15 * kS + kS / 2)), nullptr);
  EXPECT_EQ(words.about(connection(22 * kS, 23 * kS)), nullptr);
  EXPECT_EQ(words.about(connection(10 * kS, 14 * kS)), nullptr);
}

TEST(KernelWords, OfAnEarlierUseOfTheTupleAreNotOfTheLaterOne) {
  Words words{kOffset};
  words.add(failure(12 * kS));
  words.add(failure(80 * kS, CauseId::kLingerZeroAbort));
  ASSERT_NE(words.about(connection(10 * kS, 12 * kS)), nullptr);
  EXPECT_EQ(words.about(connection(10 * kS, 12 * kS))->diagnoses.front().cause, CauseId::kCloseWithUnreadData);
  EXPECT_EQ(words.about(connection(79 * kS, 80 * kS))->diagnoses.front().cause, CauseId::kLingerZeroAbort);
  EXPECT_EQ(words.about(connection(40 * kS, 41 * kS)), nullptr);
}

TEST(KernelWords, ThatAreSurerAreHeardFirst) {
  Words words{kOffset};
  words.add(failure(12 * kS, CauseId::kServerAborted, Verdict::kLikely));
  words.add(failure(12 * kS));
  EXPECT_EQ(words.about(connection(10 * kS, 12 * kS))->diagnoses.front().cause, CauseId::kCloseWithUnreadData);
}

TEST(KernelWords, AreForgottenAndFindingsAreNoWordOnAConnection) {
  Words words{kOffset};
  Failure finding = failure(12 * kS);
  finding.kind = Failure::Kind::kFinding;
  words.add(finding);
  EXPECT_EQ(words.about(connection(10 * kS, 12 * kS)), nullptr);
  words.add(failure(12 * kS));
  words.forget(13 * kS);
  EXPECT_EQ(words.about(connection(10 * kS, 12 * kS)), nullptr);
}

TEST(Join, MakesWhatTheCaptureSuspectedCertainAndPutsItFirst) {
  Answer a = captured({{CauseId::kServerAborted, Verdict::kLikely}, {CauseId::kCloseWithUnreadData, Verdict::kPossible}});
  join(failure(0), a);
  EXPECT_EQ(first_of(a), "close-with-unread-data");
  const Diagnosis& d = a.diagnoses.front();
  EXPECT_EQ(d.verdict, Verdict::kProven);
  EXPECT_EQ(d.summary, "nginx closed with data unread.");
  EXPECT_TRUE(d.settles.empty());  // it is settled
  ASSERT_EQ(d.evidence.size(), 2u);
  EXPECT_EQ(d.evidence[0].frames, std::vector<std::uint32_t>{7});
  EXPECT_EQ(d.evidence[1].text, "the kernel: reset with 18 octets unread");
  EXPECT_EQ(a.diagnoses.size(), 2u);
  ASSERT_TRUE(a.kernel);
  EXPECT_EQ(a.kernel->pid, 812u);
  EXPECT_EQ(a.kernel->reset_reason, "TCP_ABORT_ON_CLOSE");
}

TEST(Join, LeavesTheCapturesProofBeforeTheKernels) {
  Answer a = captured({{CauseId::kAckNumberRewritten, Verdict::kProven}});
  join(failure(0), a);
  EXPECT_EQ(first_of(a), "ack-number-rewritten");
  EXPECT_EQ(verdict_of(a, CauseId::kCloseWithUnreadData), "proven");
}

TEST(Join, TakesNoCertaintyBack) {
  Answer a = captured({{CauseId::kCloseWithUnreadData, Verdict::kProven}});
  join(failure(0, CauseId::kCloseWithUnreadData, Verdict::kPossible), a);
  EXPECT_EQ(verdict_of(a, CauseId::kCloseWithUnreadData), "proven");
}

TEST(Join, LeavesAHealthyConnectionHealthyWhenTheKernelFoundNoFault) {
  Answer a;
  Failure f = failure(0, CauseId::kResetAfterClose, Verdict::kLikely);
  f.healthy = true;
  f.diagnoses.front().benign = true;
  join(f, a);
  EXPECT_TRUE(a.healthy);
  EXPECT_TRUE(no_fault(a));
}

TEST(Join, ExplainsWhatTheCaptureCouldNot) {
  Answer a;
  a.healthy = false;
  a.first_unexplained_frame = 9;
  join(failure(0), a);
  EXPECT_EQ(first_of(a), "close-with-unread-data");
  EXPECT_FALSE(a.healthy);
  EXPECT_EQ(a.first_unexplained_frame, 0u);
}

}  // namespace
}  // namespace tcpwhy::diagnose::kernel
