// Loading, attaching and reading the programs of watch.bpf.c through libbpf.

#include "host/bpf/events.hpp"

#include "host/bpf/last_ends.hpp"

#include <fmt/format.h>

#if TCPWHY_BPF
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstddef>
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

// Of these only a RST is told: an old segment is ordinary.
constexpr const char* kToldResets[] = {"TCP_OLD_SEQUENCE"};

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

/// The values of a map that the programs and the reader share.
class Mapped {
 public:
  Mapped() = default;
  Mapped(const Mapped&) = delete;
  Mapped& operator=(const Mapped&) = delete;
  ~Mapped() {
    if (at_ != nullptr) munmap(at_, octets_);
  }
  /// False, with errno, where the kernel does not let it be mapped.
  bool map(const bpf_map* map, int protection) {
    octets_ = std::size_t{bpf_map__value_size(map)} * bpf_map__max_entries(map);
    void* at = mmap(nullptr, octets_, protection, MAP_SHARED, bpf_map__fd(map), 0);
    if (at == MAP_FAILED) return false;
    at_ = at;
    return true;
  }
  template <class T>
  [[nodiscard]] T* as() const {
    return static_cast<T*>(at_);
  }

 private:
  void* at_ = nullptr;
  std::size_t octets_ = 0;
};

/// A second of 30 thousand events for each CPU of a few; a machine of very many has 48 MB for all, and 12 for its ends.
std::uint32_t ring_slots(std::uint32_t cpus) { return std::clamp(std::bit_floor((1u << 18) / cpus), 1u << 11, 1u << 15); }

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

    out->may_cast_ = btf__find_by_name_kind(kernel.get(), "bpf_rdonly_cast", BTF_KIND_FUNC) >= 0;
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
    constexpr int kLook = 25, kQuiet = 50, kSettled = 2;  // milliseconds: the programs wake nobody
    if (milliseconds < kLook && !pause(kSettled)) return false;
    for (int waited = 0;;) {
      const int next = take(each) ? kLook : kQuiet;
      if (waited + next > milliseconds) return true;
      if (!pause(next)) return false;
      waited += next;
    }
  }

  [[nodiscard]] std::optional<tw_ended> ended(const tw_event& e) const override {
    return ends_log_.as<const tw_ended>() == nullptr ? std::nullopt : ends_.find(tw_tuple_key(&e));
  }
  [[nodiscard]] EventTotals totals() const override {
    EventTotals out;
    for (std::uint32_t cpu = 0; cpu < cpus_; ++cpu) {
      const tw_cpu& c = of_cpu_.as<const tw_cpu>()[cpu];
      out.lost += c.lost;
      out.told += c.head - c.discarded;
      out.opened += c.opened;
      out.closed += c.closed;
    }
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object_.get()) out.missed += information(program).recursion_misses;
    return out;
  }
  [[nodiscard]] const facts::ReasonNames& names() const override { return names_; }
  [[nodiscard]] const std::vector<std::string>& shortcomings() const override { return shortcomings_; }
  [[nodiscard]] std::vector<ProgramCost> costs() const override {
    std::vector<ProgramCost> out;
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object_.get()) {
      const bpf_prog_info info = information(program);
      if (bpf_program__autoload(program)) out.push_back({bpf_program__name(program), info.run_cnt, info.run_time_ns});
    }
    return out;
  }

 private:
  /// What the kernel knows of a program; all zero where it is not loaded.
  static bpf_prog_info information(const bpf_program* program) {
    bpf_prog_info info{};
    __u32 size = sizeof info;
    if (bpf_program__fd(program) < 0 || bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size) != 0) return {};
    return info;
  }

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
      if (name == "only_netns" && !options.netns.empty() && options.netns.size() <= TW_MOST_NETNS)
        std::memcpy(at, options.netns.data(), options.netns.size() * sizeof options.netns[0]);
      if (name == "may_cast") *at = may_cast_ ? 1 : 0;
      if (name == "tick_ns") {
        const std::uint32_t tick_ns = tick_us_ * 1000;
        std::memcpy(at, &tick_ns, sizeof tick_ns);
      }
      if (name == "ring_slots" || name == "ended_slots") std::memcpy(at, &slots_, sizeof slots_);
      if (name != "told_reasons") continue;
      for (std::size_t n = 0; n < names_.drop.size() && n < variables[i].size; ++n)
        for (const char* told : kToldDrops)
          if (names_.drop[n] == told) at[n] = TW_TELL;
      for (std::size_t n = 0; n < names_.drop.size() && n < variables[i].size; ++n)
        for (const char* told : kToldResets)
          if (names_.drop[n] == told) at[n] = TW_TELL_RESET;
    }
    bpf_map__set_max_entries(map("cpus"), cpus_);
    bpf_map__set_max_entries(map("events"), cpus_ * slots_);
    bpf_map__set_max_entries(map("ends"), cpus_ * slots_);
    return std::nullopt;
  }
  [[nodiscard]] bpf_map* map(const char* name) const { return bpf_object__find_map_by_name(object_.get(), name); }

  std::optional<Error> attach() {
    if (!of_cpu_.map(map("cpus"), PROT_READ | PROT_WRITE) || !events_.map(map("events"), PROT_READ))
      return Error{"watch.ring", fmt::format("the events of the BPF programs cannot be read ({})", std::strerror(errno))};
    if (ends_log_.map(map("ends"), PROT_READ))
      ends_ = LastEnds{{of_cpu_.as<const tw_cpu>(), cpus_}, {ends_log_.as<const tw_ended>(), std::size_t{cpus_} * slots_}};
    else
      shortcomings_.push_back(fmt::format("connections that have just ended are not remembered ({})", std::strerror(errno)));
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
    return std::nullopt;
  }

  static bool pause(int milliseconds) {
    const timespec pause{0, milliseconds * 1'000'000L};
    return nanosleep(&pause, nullptr) == 0;
  }

  /// Hands over what all CPUs told, in the order in which it happened. The last millisecond is left for the next time: an event of
  /// it may still be being written, and a later one of another CPU must not go before it. True: there were any.
  bool take(const std::function<void(const tw_event&)>& each) {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    const std::uint64_t before = static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(t.tv_nsec) - 1'000'000;
    for (std::uint32_t cpu = 0; cpu < cpus_; ++cpu) take_from(cpu, before);
    std::stable_sort(taken_.begin(), taken_.end(), [](const tw_event& a, const tw_event& b) { return a.time_ns < b.time_ns; });
    for (tw_event& e : taken_) {
      e.sent_ms = milliseconds(e.sent_ms);
      e.got_ms = milliseconds(e.got_ms);
      if (e.kind == TW_RESET_SENT || e.kind == TW_DROPPED) remember(e);
      each(e);
    }
    const bool any = !taken_.empty();
    taken_.clear();
    return any;
  }
  void take_from(std::uint32_t cpu, std::uint64_t before) {
    tw_cpu& c = of_cpu_.as<tw_cpu>()[cpu];
    const std::uint64_t end = std::atomic_ref{c.head}.load(std::memory_order_acquire);
    std::uint64_t at = c.tail;
    for (; at != end; ++at) {
      auto& slot = events_.as<std::array<unsigned char, TW_WRITTEN>>()[cpu * slots_ + (at & (slots_ - 1))];
      auto& serial = *reinterpret_cast<std::uint32_t*>(slot.data() + offsetof(tw_event, serial));
      // Whole first, and only then what it says.
      if (std::atomic_ref{serial}.load(std::memory_order_acquire) != ((at + 1) & TW_SERIAL_BITS)) break;
      tw_event e{};
      std::memcpy(&e, slot.data(), TW_WRITTEN);
      if (e.time_ns > before) break;
      if (e.kind != 0) taken_.push_back(e);
    }
    std::atomic_ref{c.tail}.store(at, std::memory_order_release);
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
  std::uint32_t cpus_ = static_cast<std::uint32_t>(std::max(libbpf_num_possible_cpus(), 1)), slots_ = ring_slots(cpus_);
  bool may_cast_ = false;
  Mapped of_cpu_, events_, ends_log_;
  mutable LastEnds ends_;
  std::vector<tw_event> taken_;
  facts::ReasonNames names_;
  std::vector<std::string> shortcomings_;
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
