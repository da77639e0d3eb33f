#include "host/bpf/descriptors.hpp"

#if TCPWHY_BPF
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>
#endif

#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

namespace tcpwhy::host {

#if TCPWHY_BPF

// The object of owners.bpf.c, as bytes (tools/embed_bpf.py).
extern const unsigned char kOwnersObject[];
extern const std::size_t kOwnersObjectSize;

Result<std::uint64_t> each_descriptor(const std::function<void(std::uint32_t, std::uint32_t)>& each) {
  const auto refused = [](const char* what) { return Error{"host.iterator", std::string{what} + ": " + std::strerror(errno)}; };
  const auto silent = libbpf_set_print(nullptr);
  struct Loud {
    libbpf_print_fn_t print;
    ~Loud() { libbpf_set_print(print); }
  } const loud{silent};
  struct Close {
    void operator()(bpf_object* o) const { bpf_object__close(o); }
    void operator()(bpf_link* l) const { bpf_link__destroy(l); }
  };
  const std::unique_ptr<bpf_object, Close> object{bpf_object__open_mem(kOwnersObject, kOwnersObjectSize, nullptr)};
  if (!object || bpf_object__load(object.get()) != 0) return refused("the kernel refused the iterator");
  const std::unique_ptr<bpf_link, Close> link{bpf_program__attach_iter(bpf_object__find_program_by_name(object.get(), "each_file"), nullptr)};
  if (!link) return refused("the iterator could not be attached");
  const int fd = bpf_iter_create(bpf_link__fd(link.get()));
  if (fd < 0) return refused("the iterator could not be opened");
  struct Held {
    std::uint32_t inode, process;
  };
  std::vector<Held> held(std::size_t{1} << 15);
  std::uint64_t count = 0;
  std::size_t kept = 0;  // octets of a record that a read cut in two
  ssize_t n = 0;
  auto* bytes = reinterpret_cast<char*>(held.data());
  const std::size_t room = held.size() * sizeof(Held);
  while ((n = read(fd, bytes + kept, room - kept)) > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN))) {
    if (n < 0) continue;
    const std::size_t whole = (kept + static_cast<std::size_t>(n)) / sizeof(Held);
    for (std::size_t i = 0; i < whole; ++i) each(held[i].process, held[i].inode);
    count += whole;
    kept = kept + static_cast<std::size_t>(n) - whole * sizeof(Held);
    std::memmove(bytes, bytes + whole * sizeof(Held), kept);
  }
  ::close(fd);
  if (n < 0) return refused("the iterator could not be read");
  return count;
}

#else

Result<std::uint64_t> each_descriptor(const std::function<void(std::uint32_t, std::uint32_t)>&) {
  return Error{"host.build", "built without BPF"};
}

#endif

}  // namespace tcpwhy::host
