// What holds for many connections. Each population gets a capture's worth of
// connections that have it, and one that only looks like it.

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "unit/diagnose/answers.hpp"

namespace tcpwhy::diagnose {
namespace {

using facts::Party;

facts::Endpoint endpoint(const std::string& address, std::uint16_t port) {
  return {*facts::parse_address(address), port};
}

/// A connection like the ladder, of another client, later by `later` seconds.
facts::Connection variant(std::string_view story, std::uint64_t id, facts::Endpoint client, facts::Endpoint server, double later) {
  facts::Connection c = ladder::connection(story);
  c.id = id;
  c.ends = {client, server};
  const Duration shift{static_cast<std::int64_t>(later * 1e9)};
  c.start += shift;
  c.end += shift;
  for (facts::SegmentFact& s : c.segments) s.time += shift;
  c.first_frame += static_cast<std::uint32_t>(id);
  return c;
}

const Finding* find(const std::vector<Finding>& all, std::string_view cause) {
  for (const Finding& f : all)
    if (f.cause == cause) return &f;
  return nullptr;
}

const std::string kLoneSyn = "@vantage server\n0.0 > S 77 win 512\n";
const std::string kRefused = "@vantage client\n0.0 > S 77 <mss 1460>\n0.01 < RA 0 78\n";

TEST(SynFlood, IsManyHandshakesBegunAtOneService) {
  // Seed 003-A: 542 SYNs, one each millisecond.
  Populations populations;
  facts::Survey survey;
  const facts::Endpoint server = endpoint("198.51.100.7", 8888);
  for (std::uint64_t i = 0; i < 541; ++i)
    populations.add(variant(kLoneSyn, i, endpoint("192.0.2." + std::to_string(i % 250 + 1), 2000), server, 0.001 * static_cast<double>(i)), {}, 1);
  const auto found = populations.findings(survey);
  const Finding* flood = find(found, "syn-flood");
  ASSERT_NE(flood, nullptr);
  EXPECT_EQ(flood->connections, 541u);
  EXPECT_EQ(flood->ids.size() + flood->ids_omitted, 541u);
}

TEST(SynFlood, IsNotASlowTrickleOfUnansweredClients) {
  Populations populations;
  const facts::Endpoint server = endpoint("198.51.100.7", 8888);
  for (std::uint64_t i = 0; i < 97; ++i)
    populations.add(variant(kLoneSyn, i, endpoint("192.0.2.9", static_cast<std::uint16_t>(40000 + i)), server, 2.0 * static_cast<double>(i)), {}, 1);
  EXPECT_EQ(find(populations.findings({}), "syn-flood"), nullptr);
}

TEST(SynFlood, CountsConnectionsThatAreToldTogether) {
  Populations populations;
  populations.add(variant(kLoneSyn, 3, endpoint("192.0.2.9", 4001), endpoint("198.51.100.7", 80), 0), {}, 5'300'003);
  const auto found = populations.findings({});
  const Finding* flood = find(found, "syn-flood");
  ASSERT_NE(flood, nullptr);
  EXPECT_EQ(flood->connections, 5'300'003u);
  EXPECT_EQ(flood->ids.size() + flood->ids_omitted, 5'300'003u);
}

TEST(PortScan, IsManyPortsOfOneHostWithoutAWord) {
  Populations populations;
  for (std::uint64_t i = 0; i < 119; ++i)
    populations.add(variant(kRefused, i, endpoint("192.0.2.9", static_cast<std::uint16_t>(40000 + i)),
                            endpoint("198.51.100.7", static_cast<std::uint16_t>(1 + i)), 0.01 * static_cast<double>(i)), {}, 1);
  const auto found = populations.findings({});
  const Finding* scan = find(found, "port-scan");
  ASSERT_NE(scan, nullptr);
  EXPECT_EQ(scan->connections, 119u);
}

TEST(PortScan, IsNotAClientThatKeepsTryingOneClosedPort) {
  Populations populations;
  for (std::uint64_t i = 0; i < 211; ++i)
    populations.add(variant(kRefused, i, endpoint("192.0.2.9", static_cast<std::uint16_t>(40000 + i)),
                            endpoint("198.51.100.7", 8080), static_cast<double>(i)), {}, 1);
  EXPECT_EQ(find(populations.findings({}), "port-scan"), nullptr);
}

TEST(Backscatter, IsAnswersWithoutQuestions) {
  Populations populations;
  for (std::uint64_t i = 0; i < 101; ++i)
    populations.add(variant("0.0 < SA 300 78 <mss 1460>\n0.001 > R 78\n", i, endpoint("192.0.2.9", static_cast<std::uint16_t>(1024 + i)),
                            endpoint("203.0.113." + std::to_string(i + 1), 80), 0.01 * static_cast<double>(i)), {}, 1);
  const auto found = populations.findings({});
  ASSERT_NE(find(found, "backscatter"), nullptr);
}

TEST(Backscatter, IsNotACaptureOfOneDirection) {
  Populations populations;
  for (std::uint64_t i = 0; i < 101; ++i)
    populations.add(variant("0.0 < SA 300 78 <mss 1460>\n0.02 < A 301(500) 178\n0.03 < FA 801 179\n", i,
                            endpoint("192.0.2.9", static_cast<std::uint16_t>(1024 + i)),
                            endpoint("203.0.113." + std::to_string(i + 1), 80), 0.01 * static_cast<double>(i)), {}, 1);
  EXPECT_EQ(find(populations.findings({}), "backscatter"), nullptr);
}

TEST(IdleTimer, IsEstimatedFromTheServersOwnIdleEndsWithItsInequality) {
  facts::Survey survey;
  const facts::Endpoint server = endpoint("198.51.100.7", 80);
  facts::ServiceFacts& service = survey.services[server];
  service.endpoint = server;
  service.fastest_syn_ack = std::chrono::milliseconds{20};
  // nginx keepalive_timeout 75 s; each end is seen a little later.
  for (int i = 0; i < 5; ++i)
    service.idle_ends.add({std::chrono::milliseconds{75'000 + 7 * i}, 3, Party::kServer, false, i == 4, static_cast<std::uint64_t>(i)});
  const auto found = Populations{}.findings(survey);
  const Finding* timer = find(found, "idle-timer");
  ASSERT_NE(timer, nullptr);
  EXPECT_EQ(timer->connections, 5u);
  EXPECT_EQ(timer->verdict, Verdict::kLikely);
  EXPECT_NE(timer->summary.find("75.00"), std::string::npos) << timer->summary;
  bool inequality = false;
  for (const Citation& e : timer->evidence) inequality |= e.text.find('<') != std::string::npos;
  EXPECT_TRUE(inequality);
}

TEST(IdleTimer, IsNotClaimedForEndsThatScatter) {
  facts::Survey survey;
  const facts::Endpoint server = endpoint("198.51.100.7", 80);
  for (int i = 0; i < 7; ++i)
    survey.services[server].idle_ends.add({std::chrono::seconds{3 + 11 * i}, 3, Party::kServer, false, false, static_cast<std::uint64_t>(i)});
  EXPECT_EQ(find(Populations{}.findings(survey), "idle-timer"), nullptr);
}

TEST(PortExhaustion, IsManyTuplesUsedAgainWithinTimeWait) {
  Populations populations;
  for (std::uint64_t i = 0; i < 23; ++i) {
    facts::Connection c = variant(kRefused, i, endpoint("192.0.2.9", static_cast<std::uint16_t>(40000 + i)),
                                  endpoint("198.51.100.7", 80), static_cast<double>(i));
    c.previous_end = c.start - std::chrono::seconds{7};
    c.previous_closed = true;
    populations.add(c, {}, 1);
  }
  ASSERT_NE(find(populations.findings({}), "port-exhaustion"), nullptr);
}

TEST(PortExhaustion, IsNotOnePortThatAProgramAlwaysBinds) {
  Populations populations;
  for (std::uint64_t i = 0; i < 23; ++i) {
    facts::Connection c = variant(kRefused, i, endpoint("192.0.2.9", 700), endpoint("198.51.100.7", 2049), static_cast<double>(i));
    c.previous_end = c.start - std::chrono::seconds{1};
    c.previous_closed = true;
    populations.add(c, {}, 1);
  }
  EXPECT_EQ(find(populations.findings({}), "port-exhaustion"), nullptr);
}

TEST(NatAddressSharing, NeedsTwoSigns) {
  facts::Survey survey;
  const facts::Address shared = *facts::parse_address("192.0.2.9");
  facts::HostFacts& host = survey.hosts[shared];
  host.connections_as_client = 6;
  for (const auto ttl : std::to_array<std::uint8_t>({63, 63, 127, 127})) host.syn_ttls.add(ttl);
  EXPECT_EQ(find(Populations{}.findings(survey), "nat-address-sharing"), nullptr);
  for (std::uint32_t shape : {11u, 11u, 29u, 29u}) host.syn_shapes.add(shape);
  const auto found = Populations{}.findings(survey);
  ASSERT_NE(find(found, "nat-address-sharing"), nullptr);
}

TEST(NatAddressSharing, TakesNoClockFromRandomTimestampOffsets) {
  // linux-tcp.md 6.2: an offset per connection since 4.10; no two SYNs lie on one line.
  facts::Survey survey;
  facts::HostFacts& host = survey.hosts[*facts::parse_address("192.0.2.9")];
  host.connections_as_client = 20;
  std::uint32_t tsval = 17;
  for (int i = 0; i < 20; ++i) host.syn_tsvals.add({ladder::at(i), tsval = tsval * 1664525u + 1013904223u});
  for (std::uint32_t shape : {11u, 29u}) host.syn_shapes.add(shape);
  EXPECT_EQ(find(Populations{}.findings(survey), "nat-address-sharing"), nullptr);
}

TEST(ListenerSaturated, IsSeveralOverflowsOfOneListener) {
  Populations populations;
  Answer overflow;
  overflow.healthy = false;
  Diagnosis d;
  d.cause = CauseId::kAcceptQueueOverflow;
  d.verdict = Verdict::kLikely;
  overflow.diagnoses.push_back(d);
  for (std::uint64_t i = 0; i < 7; ++i)
    populations.add(variant(kLoneSyn, i, endpoint("192.0.2.9", static_cast<std::uint16_t>(40000 + i)),
                            endpoint("198.51.100.7", 80), static_cast<double>(i)), overflow, 1);
  const auto found = populations.findings({});
  const Finding* saturated = find(found, "listener-saturated");
  ASSERT_NE(saturated, nullptr);
  EXPECT_EQ(saturated->connections, 7u);
}

TEST(ClientConnectionLimit, IsAPlateauWithRequestUponRequest) {
  // Seed 002: 6000 requests of 100 ms through six connections.
  facts::Survey survey;
  facts::PairFacts pair;
  pair.client = *facts::parse_address("192.0.2.9");
  pair.server = endpoint("198.51.100.7", 80);
  pair.connections = pair.open_peak = 6;
  pair.at_peak = std::chrono::seconds{100};
  pair.turns = 6000;
  survey.pairs[{pair.client, pair.server}] = pair;
  ASSERT_NE(find(Populations{}.findings(survey), "client-connection-limit"), nullptr);
  survey.pairs[{pair.client, pair.server}].turns = 61;
  EXPECT_EQ(find(Populations{}.findings(survey), "client-connection-limit"), nullptr) << "an idle pool of six is no limit";
}

TEST(Populations, FindNothingInACaptureOfHealthyConnections) {
  Populations populations;
  for (std::uint64_t i = 0; i < 300; ++i)
    populations.add(variant("0.0 > S 77 <mss 1460>\n0.01 < SA 300 78 <mss 1460>\n0.01 > A 78 301\n0.02 > PA 78(100) 301 http-req\n"
                            "0.03 < PA 301(200) 178 http-resp length 200\n0.04 > FA 178 501\n0.05 < FA 501 179\n0.05 > A 179 502\n",
                            i, endpoint("192.0.2.9", static_cast<std::uint16_t>(30000 + i)), endpoint("198.51.100.7", 80),
                            0.01 * static_cast<double>(i)), {}, 1);
  EXPECT_TRUE(populations.findings({}).empty());
}

}  // namespace
}  // namespace tcpwhy::diagnose
