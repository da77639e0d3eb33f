// The program from outside: exit status and first words, for good input, bad
// input and none.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>

namespace {

struct Ran {
  int status = -1;
  std::string out;  // stdout and stderr
};

Ran run(const std::string& arguments) {
  Ran r;
  const std::string line = std::string{TCPWHY_PROGRAM} + " " + arguments + " 2>&1";
  std::FILE* pipe = popen(line.c_str(), "r");
  std::array<char, 4096> buffer;
  while (const std::size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe)) r.out.append(buffer.data(), n);
  r.status = WEXITSTATUS(pclose(pipe));
  return r;
}

/// A capture file of `bytes` that is gone at the end of the test.
struct File {
  std::string path = testing::TempDir() + "tcpwhy-program-test-" + std::to_string(getpid()) + ".pcap";
  explicit File(const std::string& bytes) { std::ofstream{path, std::ios::binary} << bytes; }
  ~File() { std::remove(path.c_str()); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
};

std::string little(std::uint32_t v) {
  std::string s(4, '\0');
  for (int i = 0; i < 4; ++i) s[static_cast<std::size_t>(i)] = static_cast<char>(v >> (8 * i));
  return s;
}
std::string pcap_header() {
  return little(0xa1b2c3d4) + little(0x00040002) + little(0) + little(0) + little(65535) + little(1);
}

TEST(Program, WithoutArgumentsShowsItsHelpAndFails) {
  const Ran r = run("");
  EXPECT_EQ(r.status, 2);
  EXPECT_NE(r.out.find("tcpwhy FILE..."), std::string::npos);
}

TEST(Program, HelpFitsAScreen) {
  const Ran r = run("--help");
  EXPECT_EQ(r.status, 0);
  EXPECT_LE(std::count(r.out.begin(), r.out.end(), '\n'), 45);
}

TEST(Program, NamesTheFileThatIsNotThere) {
  const Ran r = run("no-such-file.pcap");
  EXPECT_EQ(r.status, 2);
  EXPECT_NE(r.out.find("no-such-file.pcap"), std::string::npos);
  EXPECT_EQ(std::count(r.out.begin(), r.out.end(), '\n'), 1);
}

TEST(Program, RefusesWhatIsNoCapture) {
  const File file{"this is no capture, only text that goes on for a while\n"};
  const Ran r = run(file.path);
  EXPECT_EQ(r.status, 2) << r.out;
  EXPECT_EQ(std::count(r.out.begin(), r.out.end(), '\n'), 1) << r.out;
}

TEST(Program, AnEmptyCaptureHasNothingThatFailed) {
  const File file{pcap_header()};
  const Ran r = run(file.path);
  EXPECT_EQ(r.status, 0) << r.out;
  EXPECT_NE(r.out.find("holds no packets"), std::string::npos) << r.out;
}

TEST(Program, ReportsDamageAndKeepsItsStatus) {
  const File file{pcap_header() + little(1) + little(0) + little(60) + little(60) + "cut"};
  const Ran r = run(file.path);
  EXPECT_EQ(r.status, 0) << r.out;
  EXPECT_NE(r.out.find("damaged input"), std::string::npos) << r.out;
}

TEST(Program, NamesStandardInputWhereItIsDamaged) {
  const File file{pcap_header() + little(1) + little(0) + little(60) + little(60) + "cut"};
  const Ran r = run("- < " + file.path);
  EXPECT_NE(r.out.find("damaged input: standard input: "), std::string::npos) << r.out;
}

#ifdef TCPWHY_HOST
TEST(Program, ASnapshotOfAnotherHostIsNoDamageOfTheCapture) {
  const File snapshot{""};
  ASSERT_NE(run("host --save " + snapshot.path).status, 2);
  const Ran r = run(TCPWHY_SOURCE_DIR "/tests/cases/accept-queue-overflow/client-gives-up/server.pcap --host " + snapshot.path);
  EXPECT_NE(r.out.find("none of this host's addresses"), std::string::npos) << r.out;
  EXPECT_EQ(r.out.find("damaged"), std::string::npos) << r.out;
}
#else
TEST(Program, SaysHowToGetTheCommandsThatWereNotBuilt) {
  for (const char* command : {"host", "probe 127.0.0.1:80", "watch --duration 1"}) {
    const Ran r = run(command);
    EXPECT_EQ(r.status, 2);
    EXPECT_NE(r.out.find("-DTCPWHY_HOST=ON"), std::string::npos) << r.out;
  }
}
#endif

TEST(Program, ReadsStandardInput) {
  const File file{pcap_header()};
  const Ran r = run("- < " + file.path);
  EXPECT_EQ(r.status, 0) << r.out;
}

TEST(Program, SaysThatTheFilterLeftNothing) {
  const File file{pcap_header() + little(1) + little(0) + little(14) + little(14) + std::string(14, 'x')};
  const Ran r = run("-f 'udp port 9' " + file.path);
  EXPECT_EQ(r.status, 0) << r.out;
  EXPECT_NE(r.out.find("No packet of the capture matches the filter"), std::string::npos) << r.out;
}

TEST(Program, NamesTheWordsAnOptionTakes) {
  const Ran r = run("--only broken x.pcap");
  EXPECT_EQ(r.status, 2);
  EXPECT_NE(r.out.find("'broken' is none of: all, failed"), std::string::npos) << r.out;
}

TEST(Program, RefusesATimeWindowForALiveCapture) {
  const Ran r = run("-i lo --to 5");
  EXPECT_EQ(r.status, 2);
  EXPECT_NE(r.out.find("--from and --to choose from files"), std::string::npos) << r.out;
}

TEST(Program, RejectsAFilterThatDoesNotParse) {
  const File file{pcap_header()};
  const Ran r = run("-f 'tcp prot 80' " + file.path);
  EXPECT_EQ(r.status, 2) << r.out;
}

TEST(Why, FindsACauseAStateAnErrnoACounterAndASysctl) {
  for (const char* word : {"port-closed", "CLOSE_WAIT", "close-wait", "ECONNRESET", "104", "ListenOverflows",
                           "TcpExtListenOverflows", "tcp_tw_recycle", "net.ipv4.tcp_tw_recycle", "RST"})
    EXPECT_EQ(run(std::string{"why "} + word).status, 0) << word;
}

TEST(Why, FindsPagesByChineseWords) {
  EXPECT_NE(run("why 全连接队列溢出").out.find("ListenOverflows"), std::string::npos);
  EXPECT_EQ(run("why 大量TIME_WAIT").out.substr(0, 11), "# TIME_WAIT");
  EXPECT_EQ(run("why 半打开").out.substr(0, 11), "# half-open");
}

TEST(Why, TakesACommandLineOfTheArticleAsItIsTyped) {
  for (const char* line : {"netstat -nat", "sar -n SOCK", "lsof -i", "ss -lnt"}) {
    const Ran r = run(std::string{"why "} + line);
    EXPECT_EQ(r.status, 0) << line;
    EXPECT_NE(r.out.find("Instead:"), std::string::npos) << r.out;
  }
}

TEST(Why, AnUnknownWordFailsWithOneLine) {
  const Ran r = run("why frobnication");
  EXPECT_EQ(r.status, 2);
  EXPECT_EQ(std::count(r.out.begin(), r.out.end(), '\n'), 1);
}

}  // namespace
