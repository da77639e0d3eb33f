// libpcap's compiler and interpreter. A program fits one link type, and a
// capture may hold several, so that programs are made as link types appear.

#include "capture/bpf.hpp"

#ifdef TCPWHY_LIVE
#include <pcap/pcap.h>

#include <vector>
#endif

namespace tcpwhy::capture {

#ifdef TCPWHY_LIVE
namespace {

// LINKTYPE_ values are what files hold, DLT_ values what libpcap's functions
// take. They differ for raw IP only, among those we decode.
int dlt_of(LinkType link) {
  const bool raw = link == LinkType::kRaw || link == LinkType::kRawBsd || link == LinkType::kRawOpenBsd;
  return raw ? DLT_RAW : static_cast<int>(link);
}

struct Program {
  LinkType link = LinkType::kUnknown;
  bpf_program code{};
  bool usable = false;
  std::string error;
};

Program compile(LinkType link, const std::string& text) {
  Program program;
  program.link = link;
  pcap_t* dead = pcap_open_dead(dlt_of(link), 262'144);
  if (dead == nullptr) {
    program.error = "out of memory";
    return program;
  }
  program.usable = pcap_compile(dead, &program.code, text.c_str(), 1, PCAP_NETMASK_UNKNOWN) == 0;
  if (!program.usable) program.error = pcap_geterr(dead);
  pcap_close(dead);
  return program;
}

class Filter final : public Bpf {
 public:
  Filter(std::string text, Program first) : text_{std::move(text)} { programs_.push_back(std::move(first)); }
  ~Filter() override {
    for (Program& program : programs_) pcap_freecode(&program.code);
  }
  Filter(const Filter&) = delete;
  Filter& operator=(const Filter&) = delete;

  bool matches(const Frame& frame) override {
    if (programs_[newest_].link != frame.link) choose(frame.link);
    const Program& program = programs_[newest_];
    if (!program.usable) return false;
    return bpf_filter(program.code.bf_insns, frame.data, frame.original, frame.captured) != 0;
  }
  const std::string& complaint() const override { return complaint_; }

 private:
  void choose(LinkType link) {
    for (newest_ = 0; newest_ < programs_.size(); ++newest_)
      if (programs_[newest_].link == link) return;
    programs_.push_back(compile(link, text_));
    if (!programs_.back().usable && complaint_.empty())
      complaint_ = "the filter does not fit frames of link type " + std::to_string(static_cast<int>(link)) +
                   ", which were left out: " + programs_.back().error;
  }

  std::string text_;
  std::vector<Program> programs_;
  std::size_t newest_ = 0;
  std::string complaint_;
};

}  // namespace

Result<std::unique_ptr<Bpf>> compile_filter(const std::string& text) {
  // A mistake is told before anything is read. What is wrong for Ethernet may
  // still be right elsewhere (`ifname`), so that all have to refuse it.
  std::string error;
  for (const LinkType link : {LinkType::kEthernet, LinkType::kLinuxSll2, LinkType::kRaw, LinkType::kLoop}) {
    Program program = compile(link, text);
    if (program.usable) return std::unique_ptr<Bpf>{std::make_unique<Filter>(text, std::move(program))};
    if (error.empty()) error = program.error;
  }
  return Error{"capture.filter", "the filter \"" + text + "\" is not understood: " + error +
                                     "; the language is that of pcap-filter(7)"};
}

#else

Result<std::unique_ptr<Bpf>> compile_filter(const std::string&) {
  return Error{"capture.filter", "this program was built without libpcap and cannot filter"};
}

#endif

}  // namespace tcpwhy::capture
