// The scripts of tests/scripts, each of which passes on Linux 6.18, on the model.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "script/run.hpp"

namespace tcpwhy::script {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> scripts() {
  std::vector<std::string> out;
  const fs::path root = fs::path{TCPWHY_SOURCE_DIR} / "tests/scripts";
  for (const auto& entry : fs::recursive_directory_iterator{root})
    if (entry.path().extension() == ".pkt") out.push_back(fs::relative(entry.path(), root).string());
  std::sort(out.begin(), out.end());
  return out;
}

class OwnScript : public testing::TestWithParam<std::string> {};

TEST_P(OwnScript, PassesOnTheModelAsOnTheKernel) {
  const fs::path path = fs::path{TCPWHY_SOURCE_DIR} / "tests/scripts" / GetParam();
  std::ifstream in{path};
  const std::string text{std::istreambuf_iterator<char>{in}, {}};
  for (const IpFamily family : {IpFamily::kIpv4, IpFamily::kIpv6, IpFamily::kMapped}) {
    const auto parsed = parse(text, GetParam(), definitions(family));
    ASSERT_TRUE(std::holds_alternative<Script>(parsed)) << std::get<Complaint>(parsed).message;
    const auto& script = std::get<Script>(parsed);
    if (family_of(script).value_or(family) != family) continue;
    const Report report = run(script, {family, {}, {}}, {});
    std::string story;
    for (const std::string& line : report.story) story += line + "\n";
    EXPECT_TRUE(as_expected(script, report)) << GetParam() << ":" << report.complaint.line << " over "
                                             << name(family) << ": " << report.complaint.message << "\n"
                                             << story;
  }
}

INSTANTIATE_TEST_SUITE_P(All, OwnScript, testing::ValuesIn(scripts()), [](const auto& which) {
  std::string name = fs::path{which.param}.replace_extension().string();
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
});

TEST(OwnScripts, AreFound) { EXPECT_GT(scripts().size(), 100u); }

}  // namespace
}  // namespace tcpwhy::script
