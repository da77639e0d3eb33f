// What a reader and a program get: the keys of docs/formats/jsonl.md, and the
// promise that a thousand failures of one cause are one paragraph.

#include "report/reporter.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "report/ladder.hpp"

namespace tcpwhy::report {
namespace {

facts::Connection refused(std::uint64_t id) {
  facts::Connection c;
  c.id = id;
  c.ends[0] = {*facts::parse_address("192.0.2.10"), static_cast<std::uint16_t>(40000 + id % 20000)};
  c.ends[1] = {*facts::parse_address("198.51.100.7"), 443};
  c.files = {0};
  c.frames = 2;
  c.first_frame = static_cast<std::uint32_t>(2 * id + 1);
  c.last_frame = c.first_frame + 1;
  c.segments.resize(2);
  c.segments[0].flags = wire::Flag::kSyn;
  c.segments[1].flags = wire::Flag::kRst | wire::Flag::kAck;
  c.segments[1].from_server = 1;
  c.notes.resize(2);
  c.outcome = facts::Outcome::kRefused;
  c.ended_by = facts::Party::kServer;
  c.states = {facts::State::kClose, facts::State::kClose};
  return c;
}

diagnose::Answer port_closed() {
  diagnose::Answer a;
  a.healthy = false;
  diagnose::Diagnosis d;
  d.cause = diagnose::CauseId::kPortClosed;
  d.verdict = diagnose::Verdict::kLikely;
  d.side = facts::Side::kServer;
  d.summary = "The host refused the connection: nothing listens on that port.";
  d.evidence.push_back({{1, 2}, 0, "the SYN was answered by a RST"});
  d.settles = "`ss -lnt` on the host";
  d.fix = {"start the service"};
  a.diagnoses.push_back(std::move(d));
  return a;
}

/// Runs a reporter into a string.
template <class Make, class Use>
std::string printed(Make&& make, Use&& use) {
  char* text = nullptr;
  std::size_t size = 0;
  std::FILE* out = open_memstream(&text, &size);
  {
    auto reporter = make(out);
    use(*reporter);
  }
  std::fclose(out);
  std::string result{text, size};
  std::free(text);
  return result;
}

std::vector<nlohmann::json> lines(const std::string& text) {
  std::vector<nlohmann::json> out;
  std::istringstream in{text};
  for (std::string line; std::getline(in, line);) out.push_back(nlohmann::json::parse(line));
  return out;
}

facts::Survey survey_of(std::uint64_t connections) {
  facts::Survey s;
  s.frames = 2 * connections;
  s.connections = connections;
  return s;
}

TEST(Jsonl, AConnectionHasEveryKeyOfTheFormat) {
  const auto out = lines(printed([](std::FILE* f) { return make_jsonl(f, {Only::kFailed, {"server.pcap"}}); },
                                 [](Reporter& r) {
                                   const auto c = refused(3);
                                   r.connection({c}, port_closed());
                                   r.finish(survey_of(4), {});
                                 }));
  ASSERT_EQ(out.size(), 3u);
  for (const char* key :
       {"type", "id", "files", "client", "server", "start", "end", "duration_s", "first_frame", "last_frame", "frames",
        "packets", "payload_bytes", "history", "conn_state", "vantage", "states", "outcome", "ended_by", "healthy",
        "quality", "diagnoses"})
    EXPECT_TRUE(out[0].contains(key)) << key;
  EXPECT_EQ(out[0]["files"], nlohmann::json{"server.pcap"});
  EXPECT_EQ(out[0]["outcome"], "refused");
  const auto& d = out[0]["diagnoses"][0];
  for (const char* key : {"cause", "verdict", "benign", "side", "summary", "evidence", "settles", "fix", "filter", "rivals"})
    EXPECT_TRUE(d.contains(key)) << key;
  EXPECT_EQ(out[1]["type"], "cause");
  EXPECT_EQ(out[1]["verdicts"]["likely"], 1);
  EXPECT_EQ(out[2]["type"], "summary");
  EXPECT_EQ(out[2]["failed"], 1);
  EXPECT_EQ(out[2]["connections"], 4);
}

TEST(Jsonl, LeavesOutHealthyConnectionsUnlessAskedForAll) {
  const auto use = [](Reporter& r) {
    const auto c = refused(0);
    r.connection({c}, diagnose::Answer{});
    r.finish(survey_of(1), {});
  };
  EXPECT_EQ(lines(printed([](std::FILE* f) { return make_jsonl(f, {Only::kFailed, {}}); }, use)).size(), 1u);
  EXPECT_EQ(lines(printed([](std::FILE* f) { return make_jsonl(f, {Only::kAll, {}}); }, use)).size(), 2u);
}

TEST(Jsonl, ACauseKeepsAThousandIdsAndCountsTheRest) {
  const auto out = lines(printed([](std::FILE* f) { return make_jsonl(f, {Only::kFailed, {}}); },
                                 [](Reporter& r) {
                                   for (std::uint64_t id = 0; id < 1007; ++id) {
                                     const auto c = refused(id);
                                     r.connection({c}, port_closed());
                                   }
                                   r.finish(survey_of(1007), {});
                                 }));
  const auto& cause = out[out.size() - 2];
  EXPECT_EQ(cause["connections"], 1007);
  EXPECT_EQ(cause["ids"].size(), 1000u);
  EXPECT_EQ(cause["ids_omitted"], 7);
}

TEST(Json, IsOneDocumentWithTheSameObjects) {
  const auto text = printed([](std::FILE* f) { return make_json(f, {Only::kFailed, {"a.pcap"}}); },
                            [](Reporter& r) {
                              for (std::uint64_t id = 0; id < 3; ++id) {
                                const auto c = refused(id);
                                r.connection({c}, port_closed());
                              }
                              r.finding({});
                              r.finish(survey_of(3), {});
                            });
  const auto document = nlohmann::json::parse(text);
  EXPECT_EQ(document["connections"].size(), 3u);
  EXPECT_EQ(document["findings"].size(), 1u);
  EXPECT_EQ(document["causes"][0]["cause"], "port-closed");
  EXPECT_EQ(document["summary"]["failed"], 3);
}

TEST(Json, OfNothingIsStillADocument) {
  const auto text = printed([](std::FILE* f) { return make_json(f, {Only::kFailed, {}}); },
                            [](Reporter& r) { r.finish({}, {}); });
  EXPECT_TRUE(nlohmann::json::parse(text)["connections"].empty());
}

TEST(Text, AThousandFailuresOfOneCauseFitOneScreen) {
  const auto text = printed([](std::FILE* f) { return make_text(f, {Only::kFailed, Colour::kOff, 100, {"server.pcap"}}); },
                            [](Reporter& r) {
                              for (std::uint64_t id = 0; id < 4999; ++id) {
                                const auto c = refused(id);
                                r.connection({c}, port_closed());
                              }
                              r.finish(survey_of(6000), {});
                            });
  EXPECT_NE(text.find("4,999 of 6,000 connections failed; 1 cause explains them."), std::string::npos) << text;
  EXPECT_NE(text.find("likely ×4,999"), std::string::npos) << text;
  EXPECT_LE(std::count(text.begin(), text.end(), '\n'), 24);
}

TEST(Text, SaysThatNothingFailed) {
  const auto text = printed([](std::FILE* f) { return make_text(f, {}); }, [](Reporter& r) { r.finish(survey_of(2211), {}); });
  EXPECT_EQ(text.substr(0, text.find('\n')), "Nothing failed: 2,211 connections, all healthy as far as this capture shows.");
}

TEST(Text, SaysNoSpanOfTimeWhereNoTcpPacketHasOne) {
  const auto text = printed([](std::FILE* f) { return make_text(f, {}); }, [](Reporter& r) {
    facts::Survey survey;
    survey.frames = 11902;  // UDP, say
    r.finish(survey, {});
  });
  EXPECT_EQ(text, "The capture holds no TCP connection.\n · 11,902 frames\n");
}

TEST(Text, SaysOfWhatIsMerelyPossibleThatItIsPerhapsSo) {
  diagnose::Answer answer = port_closed();
  for (auto [id, verdict] : {std::pair{diagnose::CauseId::kSyncookieOptionsLost, diagnose::Verdict::kPossible},
                             std::pair{diagnose::CauseId::kPacketLoss, diagnose::Verdict::kLikely}}) {
    diagnose::Diagnosis d;
    d.cause = id;
    d.verdict = verdict;
    d.benign = true;
    d.summary = "Something.";
    answer.diagnoses.push_back(std::move(d));
  }
  const std::string text = answer_paragraph(refused(0), answer, TextOptions{}, Style{Colour::kOff});
  EXPECT_NE(text.find("perhaps: Something. [syncookie-options-lost, harmless]"), std::string::npos) << text;
  EXPECT_NE(text.find("also: Something. [packet-loss, harmless]"), std::string::npos) << text;
}

TEST(Text, WithoutColourHasNoEscapes) {
  const auto text = printed([](std::FILE* f) { return make_text(f, {}); },
                            [](Reporter& r) {
                              const auto c = refused(0);
                              r.connection({c}, port_closed());
                              r.finish(survey_of(1), {"server.pcap: cut at byte 17"});
                            });
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_NE(text.find("cut at byte 17"), std::string::npos);
}

TEST(Text, CountsWhatNothingExplainsApart) {
  const auto text = printed([](std::FILE* f) { return make_text(f, {}); },
                            [](Reporter& r) {
                              const auto c = refused(0);
                              diagnose::Answer unexplained;
                              unexplained.healthy = false;
                              unexplained.first_unexplained_frame = 2;
                              r.connection({c}, unexplained);
                              r.finish(survey_of(1), {});
                            });
  EXPECT_NE(text.find("1 unexplained"), std::string::npos) << text;
  EXPECT_NE(text.find("frame 2 is the first that no cause explains"), std::string::npos) << text;
}

}  // namespace
}  // namespace tcpwhy::report
