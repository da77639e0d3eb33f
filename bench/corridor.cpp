// The corridor up to the tracker, for counting its instructions: what every
// packet passes, and nothing that only unusual connections meet.
//
//   corridor FILE [THREADS]

#include <cstdio>
#include <cstdlib>

#include "tcpwhy/capture.hpp"
#include "tcpwhy/track.hpp"

int main(int argc, char** argv) {
  if (argc < 2) return std::fputs("corridor FILE [THREADS]\n", stderr), 2;
  auto source = tcpwhy::capture::open_file(argv[1], 0, {});
  if (!source) return std::fprintf(stderr, "%s\n", source.error().message.c_str()), 2;
  tcpwhy::flow::Options options;
  if (argc > 2) options.threads = static_cast<unsigned>(std::atoi(argv[2]));
  tcpwhy::flow::Tracker tracker{options};
  tracker.run(**source, {}, {});
  tracker.finish((*source)->losses());
  const tcpwhy::facts::Survey& s = tracker.survey();
  std::printf("%llu frames, %llu connections\n", static_cast<unsigned long long>(s.frames),
              static_cast<unsigned long long>(s.connections));
}
