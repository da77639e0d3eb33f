// Loading, attaching and reading the programs of watch.bpf.c through libbpf.

#include "host/bpf/events.hpp"

#include <fmt/format.h>

#if TCPWHY_BPF
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#endif

#include <array>
#include <cerrno>
#include <cstring>

namespace tcpwhy::host {

#if TCPWHY_BPF

// The object of watch.bpf.c, as bytes (tools/embed_bpf.py).
extern const unsigned char kWatchObject[];
extern const std::size_t kWatchObjectSize;

namespace {

// Drops that say something about a connection; all others are turned away in the kernel. NO_SOCKET is told by its
// RST, and the drops of ordinary operation (duplicates, old ACKs, queue pruning) are no fault.
constexpr const char* kToldDrops[] = {
    "TCP_CSUM", "NETFILTER_DROP", "IP_RPFILTER", "XFRM_POLICY", "SOCKET_FILTER", "SOCKET_RCVBUFF", "PROTO_MEM",
    "TCP_AUTH_HDR", "TCP_MD5NOTFOUND", "TCP_MD5UNEXPECTED", "TCP_MD5FAILURE", "TCP_AONOTFOUND", "TCP_AOUNEXPECTED",
    "TCP_AOKEYNOTFOUND", "TCP_AOFAILURE", "SOCKET_BACKLOG", "TCP_ZEROWINDOW", "TCP_RFC7323_PAWS",
    "TCP_RFC7323_TW_PAWS", "TCP_LISTEN_OVERFLOW", "TCP_INVALID_SYN", "TCP_RESET", "TCP_INVALID_SEQUENCE",
    "TCP_INVALID_ACK_SEQUENCE", "TCP_ACK_UNSENT_DATA", "TCP_TOO_OLD_ACK", "TCP_MINTTL", "NEIGH_FAILED",
    "NEIGH_CREATEFAIL", "TC_INGRESS", "TC_EGRESS", "BPF_CGROUP_EGRESS", "IP_INNOROUTES", "IP_INADDRERRORS",
    "PKT_TOO_BIG", "QDISC_DROP"};

std::string g_last_words;  // the last warning of libbpf: the verifier's, when loading fails

int remember_words(enum libbpf_print_level level, const char* format, va_list arguments) {
  if (level != LIBBPF_WARN) return 0;
  std::array<char, 512> text{};
  std::vsnprintf(text.data(), text.size(), format, arguments);
  if (std::strstr(text.data(), "LOG") == nullptr && text[0] == 'l') g_last_words = text.data();
  while (!g_last_words.empty() && g_last_words.back() == '\n') g_last_words.pop_back();
  return 0;
}

/// "SK_RST_REASON_NO_SOCKET" at 1 becomes [1] = "NO_SOCKET".
std::vector<std::string> enum_names(const btf* kernel, const char* name, std::string_view prefix) {
  std::vector<std::string> out;
  const int id = btf__find_by_name_kind(kernel, name, BTF_KIND_ENUM);
  if (id < 0) return out;
  const btf_type* type = btf__type_by_id(kernel, static_cast<__u32>(id));
  const struct btf_enum* values = btf_enum(type);
  for (__u16 i = 0; i < btf_vlen(type); ++i) {
    const std::string_view word = btf__name_by_offset(kernel, values[i].name_off);
    if (values[i].val < 0 || values[i].val > 255 || !word.starts_with(prefix)) continue;
    const auto at = static_cast<std::size_t>(values[i].val);
    if (out.size() <= at) out.resize(at + 1);
    out[at] = word.substr(prefix.size());
  }
  return out;
}

/// How many arguments a tracepoint of this kernel has (its context pointer not counted); -1: there is no such tracepoint.
int tracepoint_arguments(const btf* kernel, const char* name) {
  const std::string type_name = fmt::format("btf_trace_{}", name);
  const int id = btf__find_by_name_kind(kernel, type_name.c_str(), BTF_KIND_TYPEDEF);
  if (id < 0) return -1;
  const btf_type* type = btf__type_by_id(kernel, static_cast<__u32>(id));
  type = btf__type_by_id(kernel, type->type);       // a pointer
  if (type != nullptr) type = btf__type_by_id(kernel, type->type);  // to a function
  return type != nullptr && btf_is_func_proto(type) ? btf_vlen(type) - 1 : -1;
}

struct CloseObject {
  void operator()(bpf_object* o) const { bpf_object__close(o); }
};
struct CloseBtf {
  void operator()(btf* b) const { btf__free(b); }
};
struct CloseRing {
  void operator()(ring_buffer* r) const { ring_buffer__free(r); }
};

struct Program {
  const char* name;
  const char* tracepoint;
  const char* without;  // what cannot be told without it
};
constexpr Program kPrograms[] = {
    {"on_state", "inet_sock_set_state", "connects that fail and connections that time out"},
    {"on_reset_sent", "tcp_send_reset", "resets this host sends"},
    {"on_reset_received", "tcp_receive_reset", "resets this host receives"},
    {"on_segment", "tcp_probe", "a RST with another TTL than its sender's"},
    {"on_retransmit", "tcp_retransmit_skb", "silence before it becomes a time-out"},
    {"on_synack", "tcp_retransmit_synack", "handshakes that do not complete"},
    {"on_drop", "kfree_skb", "packets the kernel drops"},
    {"on_icmp_sent", "icmp_send", "a filter of this host that rejects from one that drops"},
};

class Loaded final : public KernelEvents {
 public:
  ~Loaded() override {
    ring_.reset();
    if (ends_ != nullptr) munmap(const_cast<tw_ended*>(ends_), kEndsOctets);
    object_.reset();
    if (statistics_ >= 0) ::close(statistics_);
  }

  static Result<std::unique_ptr<KernelEvents>> make(const EventOptions& options) {
    libbpf_set_print(remember_words);
    std::unique_ptr<btf, CloseBtf> kernel{btf__load_vmlinux_btf()};
    if (!kernel)
      return Error{"watch.btf", "this kernel does not describe its types (/sys/kernel/btf/vmlinux is missing or unreadable)"};
    auto out = std::make_unique<Loaded>();
    out->names_.reset = enum_names(kernel.get(), "sk_rst_reason", "SK_RST_REASON_");
    out->names_.drop = enum_names(kernel.get(), "skb_drop_reason", "SKB_DROP_REASON_");

    LIBBPF_OPTS(bpf_object_open_opts, how, .object_name = "tcpwhy_watch");
    out->object_.reset(bpf_object__open_mem(kWatchObject, kWatchObjectSize, &how));
    if (!out->object_) return Error{"watch.object", "the built-in BPF object cannot be read by this libbpf"};
    out->choose(kernel.get());
    if (auto error = out->configure(options)) return *error;
    if (options.cost == EventOptions::Cost::kMeasure) out->statistics_ = bpf_enable_stats(BPF_STATS_RUN_TIME);
    if (const int status = bpf_object__load(out->object_.get()); status != 0) {
      if (status == -EPERM || (status == -EACCES && geteuid() != 0))  // to root, EACCES is the verifier's
        return Error{"watch.rights", "BPF needs root, or CAP_BPF and CAP_PERFMON"};
      return Error{"watch.load", fmt::format("the kernel refused the BPF programs ({}): {}", std::strerror(-status), g_last_words)};
    }
    if (auto error = out->attach()) return *error;
    return std::unique_ptr<KernelEvents>{std::move(out)};
  }

  bool poll(int milliseconds, const std::function<void(const tw_event&)>& each) override {
    each_ = &each;
    constexpr int kLook = 10;  // milliseconds: the programs wake nobody
    int status = 0;
    for (int waited = 0;; waited += kLook) {
      status = ring_buffer__consume(ring_.get());
      if (status < 0 || waited >= milliseconds) break;
      const timespec pause{0, kLook * 1'000'000L};
      if (nanosleep(&pause, nullptr) != 0) break;
    }
    each_ = nullptr;
    return status >= 0;
  }

  [[nodiscard]] std::optional<tw_ended> ended(const tw_event& e) const override {
    if (ends_ == nullptr) return std::nullopt;
    const std::uint64_t key = tw_tuple_key(&e);
    const tw_ended end = ends_[tw_ended_slot(key)];
    return end.key == key ? std::optional{end} : std::nullopt;
  }
  [[nodiscard]] EventTotals totals() const override {
    EventTotals out;
    const int cpus = libbpf_num_possible_cpus();
    const int map = bpf_object__find_map_fd_by_name(object_.get(), "stats");
    if (cpus <= 0 || map < 0) return out;
    std::vector<tw_stats> each(static_cast<std::size_t>(cpus));
    const __u32 zero = 0;
    if (bpf_map_lookup_elem(map, &zero, each.data()) != 0) return out;
    for (const tw_stats& s : each) {
      out.lost += s.lost;
      out.told += s.told;
      out.opened += s.opened;
      out.closed += s.closed;
    }
    return out;
  }
  [[nodiscard]] const facts::ReasonNames& names() const override { return names_; }
  [[nodiscard]] const std::vector<std::string>& shortcomings() const override { return shortcomings_; }
  [[nodiscard]] std::vector<ProgramCost> costs() const override {
    std::vector<ProgramCost> out;
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object_.get()) {
      if (!bpf_program__autoload(program)) continue;
      bpf_prog_info info{};
      __u32 size = sizeof info;
      if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size) != 0) continue;
      out.push_back({bpf_program__name(program), info.run_cnt, info.run_time_ns});
    }
    return out;
  }

 private:
  /// Only programs whose tracepoint this kernel has, with the arguments it has.
  void choose(const btf* kernel) {
    auto load = [&](const char* name, bool on) {  // NOLINT: libbpf's own parameter
      if (bpf_program* p = bpf_object__find_program_by_name(object_.get(), name)) bpf_program__set_autoload(p, on);
    };
    for (const Program& p : kPrograms) {
      const int arguments = tracepoint_arguments(kernel, p.tracepoint);
      const std::string_view name = p.name;
      const bool plain_reset = name == "on_reset_sent" && arguments == 2, plain_drop = name == "on_drop" && arguments == 3;
      const bool usable = arguments >= 1 && !plain_reset && !plain_drop && (name != "on_drop" || arguments >= 4);
      load(p.name, usable);
      if (name == "on_reset_sent") load("on_reset_sent_plain", plain_reset);
      if (name == "on_drop") load("on_drop_plain", plain_drop);
      if (plain_reset) shortcomings_.push_back("this kernel names no reason for the resets it sends (6.10 and later do)");
      if (!usable && !plain_reset && !plain_drop)
        shortcomings_.push_back(fmt::format("this kernel cannot tell {} (no usable tracepoint {})", p.without, p.tracepoint));
    }
  }

  std::optional<Error> configure(const EventOptions& options) {
    bpf_map* constants = nullptr;
    bpf_object__for_each_map(constants, object_.get()) if (std::strstr(bpf_map__name(constants), ".rodata") != nullptr) break;
    const btf* own = bpf_object__btf(object_.get());
    const int section = own != nullptr ? btf__find_by_name_kind(own, ".rodata", BTF_KIND_DATASEC) : -1;
    std::size_t size = 0;
    auto* bytes = constants != nullptr
                      ? static_cast<unsigned char*>(const_cast<void*>(bpf_map__initial_value(constants, &size)))
                      : nullptr;
    if (bytes == nullptr || section < 0) return Error{"watch.object", "the built-in BPF object has no settings"};
    const btf_type* type = btf__type_by_id(own, static_cast<__u32>(section));
    const btf_var_secinfo* variables = btf_var_secinfos(type);
    for (__u16 i = 0; i < btf_vlen(type); ++i) {
      const btf_type* variable = btf__type_by_id(own, variables[i].type);
      const std::string_view name = btf__name_by_offset(own, variable->name_off);
      unsigned char* at = bytes + variables[i].offset;
      if (name == "only_netns") std::memcpy(at, &options.netns, sizeof options.netns);
      if (name != "told_reasons") continue;
      for (std::size_t n = 0; n < names_.drop.size() && n < variables[i].size; ++n)
        for (const char* told : kToldDrops)
          if (names_.drop[n] == told) at[n] = 1;
    }
    return std::nullopt;
  }

  std::optional<Error> attach() {
    bpf_program* program = nullptr;
    std::size_t attached = 0;
    bpf_object__for_each_program(program, object_.get()) {
      if (!bpf_program__autoload(program)) continue;
      bpf_link* link = bpf_program__attach(program);
      if (link == nullptr) {
        const int why = errno;
        for (const Program& p : kPrograms)
          if (std::string_view{bpf_program__name(program)}.starts_with(p.name))
            shortcomings_.push_back(fmt::format("this kernel cannot tell {} ({}: {})", p.without, p.tracepoint, std::strerror(why)));
        continue;
      }
      links_.emplace_back(link);
      ++attached;
    }
    if (attached == 0) return Error{"watch.attach", "no BPF program could be attached on this kernel"};
    ring_.reset(ring_buffer__new(
        bpf_object__find_map_fd_by_name(object_.get(), "events"),
        [](void* self, void* data, std::size_t size) {
          auto* me = static_cast<Loaded*>(self);
          if (size < TW_WRITTEN || me->each_ == nullptr) return 0;
          tw_event e{};
          std::memcpy(&e, data, TW_WRITTEN);
          e.sent_ms = me->milliseconds(e.sent_ms);
          e.got_ms = me->milliseconds(e.got_ms);
          if (e.kind == TW_RESET_SENT || e.kind == TW_DROPPED) me->remember(e);
          (*me->each_)(e);
          return 0;
        },
        this, nullptr));
    if (!ring_) return Error{"watch.ring", "the ring buffer of the BPF programs cannot be read"};
    void* ends = mmap(nullptr, kEndsOctets, PROT_READ, MAP_SHARED, bpf_object__find_map_fd_by_name(object_.get(), "ends"), 0);
    if (ends != MAP_FAILED)
      ends_ = static_cast<const tw_ended*>(ends);
    else
      shortcomings_.push_back(fmt::format("connections that have just ended are not remembered ({})", std::strerror(errno)));
    return std::nullopt;
  }

  /// The programs count in the kernel's ticks; they have no time to divide.
  [[nodiscard]] std::uint32_t milliseconds(std::uint32_t ticks) const {
    return static_cast<std::uint32_t>(std::uint64_t{ticks} * tick_us_ / 1000);
  }
  /// The coarse clock ticks with them.
  static std::uint32_t tick_us() {
    timespec tick{};
    clock_getres(CLOCK_MONOTONIC_COARSE, &tick);
    return static_cast<std::uint32_t>(tick.tv_nsec / 1000);
  }

  /// What became of the connection a packet was for, when it has just ended.
  void remember(tw_event& e) const {
    const std::optional<tw_ended> found = ended(e);
    // The table is a little younger than the event: an end after it is not what it met.
    if (!found || found->time_ns > e.time_ns) return;
    const tw_ended& end = *found;
    e.flags |= TW_REMEMBERED;
    if (e.closed_ns == 0) e.closed_ns = end.time_ns;
    e.unanswered_ms = milliseconds(end.unanswered_ticks);
    e.closed_pid = end.pid;
    e.closed_state = end.state;
    e.closed_error = end.error;
    std::memcpy(e.closed_comm, end.comm, sizeof end.comm);
  }

  struct CloseLink {
    void operator()(bpf_link* l) const { bpf_link__destroy(l); }
  };
  std::unique_ptr<bpf_object, CloseObject> object_;
  std::vector<std::unique_ptr<bpf_link, CloseLink>> links_;
  std::unique_ptr<ring_buffer, CloseRing> ring_;
  static constexpr std::size_t kEndsOctets = TW_ENDED_SLOTS * sizeof(tw_ended);
  const tw_ended* ends_ = nullptr;
  facts::ReasonNames names_;
  std::vector<std::string> shortcomings_;
  const std::function<void(const tw_event&)>* each_ = nullptr;
  std::uint32_t tick_us_ = tick_us();
  int statistics_ = -1;
};

}  // namespace

Result<std::unique_ptr<KernelEvents>> open_kernel_events(const EventOptions& options) { return Loaded::make(options); }

#else

Result<std::unique_ptr<KernelEvents>> open_kernel_events(const EventOptions&) {
  return Error{"watch.build", "this tcpwhy was built without BPF (clang and libbpf were not found)"};
}

#endif

}  // namespace tcpwhy::host
