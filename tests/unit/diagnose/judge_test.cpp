#include "diagnose/judge.hpp"

#include <gtest/gtest.h>

namespace tcpwhy::diagnose {
namespace {

TEST(Judge, SaysNothingWithoutEvidence) { EXPECT_FALSE(judge(Tally{}, 0)); }

TEST(Judge, OneContradictionRulesOutWhateverSpeaksForIt) {
  EXPECT_EQ(judge(Tally{.demands = 3, .supports = 9, .contradicts = 1, .fits = 0}, 0), Verdict::kRuledOut);
}

TEST(Judge, WhatOnlyThisCauseProducesProvesItAmongRivals) {
  EXPECT_EQ(judge(Tally{.demands = 1, .supports = 0, .contradicts = 0, .fits = 0}, 4), Verdict::kProven);
}

TEST(Judge, SupportIsLikelyOnlyWithoutRivals) {
  EXPECT_EQ(judge(Tally{.demands = 0, .supports = 2, .contradicts = 0, .fits = 0}, 0), Verdict::kLikely);
  EXPECT_EQ(judge(Tally{.demands = 0, .supports = 2, .contradicts = 0, .fits = 0}, 1), Verdict::kPossible);
}

TEST(Judge, WhatFollowsFromManyThingsIsNeverMoreThanPossible) {
  EXPECT_EQ(judge(Tally{.demands = 0, .supports = 0, .contradicts = 0, .fits = 5}, 0), Verdict::kPossible);
}

TEST(Judge, AnyNumberOfSupportsExplainsLessThanOneDemand) {
  const Tally supported{.demands = 0, .supports = 60000, .contradicts = 0, .fits = 0};
  const Tally demanded{.demands = 1, .supports = 0, .contradicts = 0, .fits = 0};
  EXPECT_GT(demanded.explains(), supported.explains());
}

TEST(EvidenceList, CountsButKeepsNothingWhereOnlyVerdictsAreAsked) {
  EvidenceList list{Detail::kVerdicts};
  list.supports({0, 1}, []() -> std::string { ADD_FAILURE() << "a sentence nobody reads was formatted"; return {}; });
  list.contradicts({2}, []() -> std::string { ADD_FAILURE() << "a sentence nobody reads was formatted"; return {}; });
  EXPECT_TRUE(list.items().empty());
  EXPECT_EQ(list.tally().supports, 1);
  EXPECT_EQ(list.tally().contradicts, 1);
}

TEST(EvidenceList, LeavesOutSegmentsThatWereNotSeen) {
  EvidenceList list{Detail::kSentences};
  list.supports({-1, 4}, [] { return std::string{"it was seen"}; });
  ASSERT_EQ(list.items().size(), 1u);
  EXPECT_EQ(list.items()[0].segments, (std::vector<std::int32_t>{4}));
  EXPECT_EQ(list.items()[0].text, "it was seen");
}

}  // namespace
}  // namespace tcpwhy::diagnose
