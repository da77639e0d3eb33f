// What of the probe needs no network: its bound, and reading what a name server says.

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "probe/connect.hpp"
#include "probe/resolve.hpp"

namespace tcpwhy::probe {
namespace {

TEST(Budget, RefusesWhatWouldGoBeyondTheBoundAndCountsTheRefusal) {
  Budget b{10};
  EXPECT_TRUE(b.take(8));
  EXPECT_FALSE(b.take(3));
  EXPECT_TRUE(b.take(2));
  EXPECT_EQ(b.taken(), 10u);
  EXPECT_EQ(b.refused(), 1u);
  b.give_back(4);
  EXPECT_TRUE(b.take(4));
  b.give_back(1000);
  EXPECT_EQ(b.taken(), 0u);
}

// Linux tcp_syn_linear_timeouts: SYNs a second apart, the first at once; then ACK, FIN and the last ACK.
TEST(Budget, TakesAConnectAtItsWorst) {
  EXPECT_EQ(cost_of_connect(0.85), 4u);
  EXPECT_EQ(cost_of_connect(4), 8u);
}

/// RFC 1035 4.1: one question, then answers whose names point back to it.
std::vector<unsigned char> dns_answer(const std::vector<std::vector<unsigned char>>& records) {
  std::vector<unsigned char> m = {0, 1, 0x81, 0x80, 0, 1, 0, static_cast<unsigned char>(records.size()), 0, 0, 0, 0,
                                  3, 'w', 'w', 'w', 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 0, 0, 1, 0, 1};
  for (const auto& r : records) m.insert(m.end(), r.begin(), r.end());
  return m;
}

TEST(Dns, ReadsAddressesAliasesAndTheLeastTtl) {
  const auto m = dns_answer({{0xc0, 12, 0, 5, 0, 1, 0, 0, 1, 0, 0, 4, 1, 'b', 0xc0, 16},             // CNAME b.example, TTL 256
                             {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 10}});              // A, TTL 60
  const facts::NameAnswer a = parse_dns_answer(m.data(), m.size(), "A");
  ASSERT_EQ(a.addresses.size(), 1u);
  EXPECT_EQ(facts::to_string(a.addresses[0]), "192.0.2.10");
  ASSERT_EQ(a.aliases.size(), 1u);
  EXPECT_EQ(a.aliases[0], "b.example");
  EXPECT_EQ(a.ttl_s, 60u);
  EXPECT_EQ(a.said, "1 address");
}

TEST(Dns, SurvivesAnAnswerCutAnywhere) {
  const auto m = dns_answer({{0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 10}});
  for (std::size_t n = 0; n < m.size(); ++n) EXPECT_TRUE(parse_dns_answer(m.data(), n, "A").addresses.empty()) << n;
}

}  // namespace
}  // namespace tcpwhy::probe
