#pragma once
// Reads a source to its end and keeps what it handed out.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "capture_files.hpp"
#include "tcpwhy/capture.hpp"

namespace tcpwhy::capture::testing {

struct Read {
  std::vector<Frame> frames;  ///< `data` is not valid any more
  std::vector<std::string> data;
  Losses losses;
  std::string error;  ///< id, when it could not be opened
  std::string message;
};

inline Read read_all(Source& source) {
  Read read;
  for (auto batch = source.next(); !batch.empty(); batch = source.next()) {
    for (const Frame& frame : batch) {
      read.frames.push_back(frame);
      read.data.emplace_back(reinterpret_cast<const char*>(frame.data), frame.captured);
    }
  }
  EXPECT_TRUE(source.next().empty()) << "a source that ended stays ended";
  read.losses = source.losses();
  return read;
}

inline Read read_path(const std::string& path, const OpenOptions& options = {}) {
  auto source = open_file(path, 0, options);
  if (!source) {
    Read read;
    read.error = source.error().id;
    read.message = source.error().message;
    return read;
  }
  return read_all(**source);
}

inline Read read_bytes(std::string_view content, const OpenOptions& options = {}) {
  const TemporaryFile file{content};
  return read_path(file.path(), options);
}

inline std::int64_t ns(const Frame& frame) { return frame.time.time_since_epoch().count(); }

}  // namespace tcpwhy::capture::testing
