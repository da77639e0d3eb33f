// Frames as they pass an interface, through libpcap. The kernel's ring is
// emptied into a buffer of ours, as libpcap lends a frame for the duration of a
// callback only.

#include <utility>

#include "tcpwhy/capture.hpp"

#ifdef TCPWHY_LIVE
#include <pcap/pcap.h>
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "capture/parser.hpp"
#endif

namespace tcpwhy::capture {

#ifdef TCPWHY_LIVE
namespace {

constexpr int kSnapLength = 262'144;
constexpr int kKernelBuffer = 32 << 20;
constexpr int kFramesAtOnce = 256;
constexpr std::size_t kOctetsAtOnce = 4u << 20;
// How soon a request to stop is noticed on a silent interface, and how often `meanwhile` is called there.
constexpr int kGlance_ms = 100;

class Live final : public Source {
 public:
  Live(pcap_t* handle, const volatile bool* stop, std::function<void(CaptureTime)> meanwhile)
      : handle_{handle}, stop_{stop}, meanwhile_{std::move(meanwhile)} {
    link_ = static_cast<LinkType>(pcap_datalink(handle));
    nanoseconds_ = pcap_get_tstamp_precision(handle) == PCAP_TSTAMP_PRECISION_NANO;
    octets_.reserve(kOctetsAtOnce + kSnapLength);
    frames_.reserve(kFramesAtOnce);
    losses_.drops_reported = true;
  }
  ~Live() override { pcap_close(handle_); }
  Live(const Live&) = delete;
  Live& operator=(const Live&) = delete;

  std::span<const Frame> next() override {
    frames_.clear();
    octets_.clear();
    while (!ended_ && frames_.empty()) {
      if (stop_ != nullptr && *stop_) {
        ended_ = true;
        break;
      }
      pollfd wait{pcap_get_selectable_fd(handle_), POLLIN, 0};
      if (poll(&wait, 1, kGlance_ms) < 0) continue;  // a signal; look at the request to stop
      if (pcap_dispatch(handle_, kFramesAtOnce, &Live::take, reinterpret_cast<u_char*>(this)) == PCAP_ERROR) {
        losses_.troubles.push_back({"capture.live", 0, losses_.bytes, number_,
                                    std::string{"the capture ended: "} + pcap_geterr(handle_)});
        ended_ = true;
      }
      // Frames bear the time of day. One that was on its way when we looked is younger than a glance.
      if (frames_.empty() && !ended_ && meanwhile_)
        meanwhile_(CaptureTime{std::chrono::system_clock::now().time_since_epoch() - std::chrono::milliseconds{kGlance_ms}});
    }
    losses_.frames += frames_.size();
    if (ended_) read_statistics();
    return frames_;
  }

  const Losses& losses() const override {
    if (!ended_) read_statistics();
    return losses_;
  }
  std::uint64_t consumed() const override { return losses_.bytes; }
  std::uint64_t size() const override { return 0; }
  bool reopenable() const override { return false; }

 private:
  static void take(u_char* self, const pcap_pkthdr* header, const u_char* data) {
    reinterpret_cast<Live*>(self)->add(*header, data);
  }

  // `octets_` has room for all of it, so that the frames before do not move.
  void add(const pcap_pkthdr& header, const u_char* data) {
    const std::uint32_t captured = std::min<std::uint32_t>(header.caplen, kSnapLength);
    const std::size_t place = octets_.size();
    octets_.insert(octets_.end(), data, data + captured);
    Frame frame;
    frame.data = octets_.data() + place;
    frame.captured = captured;
    frame.original = header.len;
    const std::int64_t fraction = header.ts.tv_usec;
    frame.time = CaptureTime{Duration{std::int64_t{header.ts.tv_sec} * 1'000'000'000 +
                                      (nanoseconds_ ? fraction : fraction * 1000)}};
    frame.number = ++number_;
    frame.link = link_;
    if (link_ == LinkType::kLinuxSll || link_ == LinkType::kLinuxSll2) cooked_direction(frame);
    frames_.push_back(frame);
    losses_.bytes += captured;
    losses_.truncated_frames += captured < header.len ? 1 : 0;
    if (octets_.size() >= kOctetsAtOnce || frames_.size() >= kFramesAtOnce) pcap_breakloop(handle_);
  }

  void read_statistics() const {
    pcap_stat statistics{};
    if (pcap_stats(handle_, &statistics) != 0) return;
    losses_.dropped_by_kernel = statistics.ps_drop;
    losses_.dropped_by_interface = statistics.ps_ifdrop;
  }

  pcap_t* handle_;
  const volatile bool* stop_;
  std::function<void(CaptureTime)> meanwhile_;
  LinkType link_ = LinkType::kEthernet;
  bool nanoseconds_ = false;
  bool ended_ = false;
  std::uint32_t number_ = 0;
  std::vector<Frame> frames_;
  std::vector<std::uint8_t> octets_;
  mutable Losses losses_;
};

std::string interfaces() {
  pcap_if_t* all = nullptr;
  std::string error(PCAP_ERRBUF_SIZE, '\0');
  if (pcap_findalldevs(&all, error.data()) != 0) return {};
  std::string names;
  for (const pcap_if_t* one = all; one != nullptr; one = one->next) {
    if ((one->flags & PCAP_IF_UP) == 0) continue;
    names += (names.empty() ? "" : ", ") + std::string{one->name};
  }
  pcap_freealldevs(all);
  return names;
}

Error cannot_capture(pcap_t* handle, int status, const std::string& interface) {
  const std::string words = pcap_geterr(handle);
  switch (status) {
    case PCAP_ERROR_PERM_DENIED:
    case PCAP_ERROR_PROMISC_PERM_DENIED:
      return {"capture.live.permission",
              "capturing on " + interface +
                  " needs privilege: run it with sudo, or give it once: setcap cap_net_raw,cap_net_admin=eip "
                  "$(command -v tcpwhy)"};
    case PCAP_ERROR_NO_SUCH_DEVICE: {
      const std::string known = interfaces();
      return {"capture.live.interface",
              "there is no interface " + interface +
                  (known.empty() ? std::string{} : "; those that are up: " + known)};
    }
    case PCAP_ERROR_IFACE_NOT_UP:
      return {"capture.live.interface",
              "the interface " + interface + " is down: ip link set " + interface + " up"};
    default:
      break;
  }
  return {"capture.live", "cannot capture on " + interface + ": " +
                              (words.empty() ? std::string{pcap_statustostr(status)} : words)};
}

}  // namespace

Result<std::unique_ptr<Source>> open_live(const std::string& interface, const OpenOptions& options,
                                          const volatile bool* stop, const std::function<void(CaptureTime)>& meanwhile) {
  std::string error(PCAP_ERRBUF_SIZE, '\0');
  pcap_t* handle = pcap_create(interface.c_str(), error.data());
  if (handle == nullptr)
    return Error{"capture.live", "cannot capture on " + interface + ": " + error.c_str()};
  std::unique_ptr<pcap_t, void (*)(pcap_t*)> owner{handle, [](pcap_t* h) { pcap_close(h); }};

  pcap_set_snaplen(handle, kSnapLength);
  pcap_set_promisc(handle, 1);
  pcap_set_immediate_mode(handle, 1);
  pcap_set_timeout(handle, kGlance_ms);
  pcap_set_buffer_size(handle, kKernelBuffer);
  pcap_set_tstamp_precision(handle, PCAP_TSTAMP_PRECISION_NANO);
  const int status = pcap_activate(handle);
  if (status < 0) return cannot_capture(handle, status, interface);
#ifdef DLT_LINUX_SLL2
  if (interface == "any") pcap_set_datalink(handle, DLT_LINUX_SLL2);
#endif
  if (!options.filter.empty()) {
    bpf_program program{};
    if (pcap_compile(handle, &program, options.filter.c_str(), 1, PCAP_NETMASK_UNKNOWN) != 0 ||
        pcap_setfilter(handle, &program) != 0) {
      return Error{"capture.filter", "the filter \"" + options.filter + "\" is not understood: " +
                                         pcap_geterr(handle) + "; the language is that of pcap-filter(7)"};
    }
    pcap_freecode(&program);
  }
  if (pcap_setnonblock(handle, 1, error.data()) != 0)
    return Error{"capture.live", "cannot capture on " + interface + ": " + error.c_str()};
  auto source = std::make_unique<Live>(owner.release(), stop, meanwhile);
  return std::unique_ptr<Source>{std::move(source)};
}

#else

Result<std::unique_ptr<Source>> open_live(const std::string& interface, const OpenOptions&,
                                          const volatile bool*, const std::function<void(CaptureTime)>&) {
  return Error{"capture.live", "cannot capture on " + interface + ": this program was built without libpcap"};
}

#endif

}  // namespace tcpwhy::capture
