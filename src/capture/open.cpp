// Opening a path: a plain file is mapped, everything else is streamed.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "capture/file_source.hpp"
#include "tcpwhy/capture.hpp"

namespace tcpwhy::capture {
namespace {

Error cannot_open(const std::string& name, int error) {
  std::string message = "cannot open " + name + ": " + std::strerror(error);
  if (error == EACCES) message += "; captures often belong to root: try sudo, or change its owner";
  return {"capture.open", std::move(message)};
}

}  // namespace

Result<std::unique_ptr<Source>> open_file(const std::string& path, std::uint8_t file_index,
                                          const OpenOptions& options) {
  (void)options;
  const bool standard_input = path == "-";
  const std::string name = standard_input ? "standard input" : path;
  Descriptor input{standard_input ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (input.get() < 0) return cannot_open(name, errno);
  struct stat status {};
  if (fstat(input.get(), &status) != 0) return cannot_open(name, errno);
  if (S_ISDIR(status.st_mode)) return Error{"capture.open", name + " is a directory; name the captures in it"};

  // `< FILE` is a plain file too, from wherever the shell left off.
  const auto size = static_cast<std::uint64_t>(status.st_size);
  const off_t here = S_ISREG(status.st_mode) ? lseek(input.get(), 0, SEEK_CUR) : 0;
  const std::uint64_t start = here > 0 ? static_cast<std::uint64_t>(here) : 0;
  if (S_ISREG(status.st_mode) && size <= start)
    return Error{"capture.empty", name + " is empty: not even a file header was written"};
  if (S_ISREG(status.st_mode))
    return make_file_source(read_file(std::move(input), start, size), name, file_index);
  return Error{"capture.open", name + " is not a plain file"};
}

}  // namespace tcpwhy::capture
