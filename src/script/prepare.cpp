#include "script/prepare.hpp"

#include "script/run_packet.hpp"
#include "script/sockopts.hpp"
#include "script/symbols.hpp"
#include "script/understand.hpp"

namespace tcpwhy::script {
namespace {

constexpr std::string_view kFastOpenKey = "net.ipv4.tcp_fastopen_key";
/// packetdrill begins a run a quarter of a millisecond into a tick, so that timers fall alike every time.
constexpr Duration kIntoTick = std::chrono::microseconds{250};

template <class T>
T take(std::variant<T, Complaint> understood) {
  if (const auto* complaint = std::get_if<Complaint>(&understood)) throw *complaint;
  return std::get<T>(std::move(understood));
}

class Preparing {
 public:
  Preparing(const Script& script, const RunOptions& options, const ReadFile& read_file)
      : script_{script}, options_{options}, read_file_{read_file} {}

  Preparation run() {
    if (auto complaint = first_not_understood(script_, read_file_)) throw *complaint;
    out_.settings = take(settings_of(script_, options_.family));
    host();
    if (script_.init) out_.init = effects(*script_.init, script_.init_line);
    if (script_.cleanup) out_.cleanup = effects(*script_.cleanup, script_.cleanup_line);
    out_.events.reserve(script_.events.size());
    for (const Event& event : script_.events) {
      if (const auto* packet = std::get_if<Packet>(&event.action)) {
        check(*packet, event.line);
        out_.events.emplace_back();
      } else if (const auto* syscall = std::get_if<Syscall>(&event.action)) {
        out_.events.emplace_back(call(*syscall, event.line));
      } else if (const auto* command = std::get_if<Command>(&event.action)) {
        out_.events.emplace_back(effects(*command, event.line));
      } else {
        out_.events.emplace_back(take(understand_code(std::get<Code>(event.action).text, event.line)));
      }
    }
    return std::move(out_);
  }

 private:
  void host() {
    std::string kernel = options_.kernel;
    int kernel_line = 0;
    for (const Note& note : script_.notes)
      if (note.name == "kernel" && kernel.empty()) {
        kernel = note.value;
        kernel_line = note.line;
      }
    if (kernel.empty()) kernel = "6.18";
    const auto profile = model::profile(kernel);
    if (!profile) throw Complaint{kernel_line, "no such kernel: " + kernel};
    out_.host.kernel = *profile;
    out_.host.sysctls = model::Sysctls::of(*profile);
    for (const Note& note : script_.notes) {
      if (note.name != "set") continue;
      const std::size_t equals = note.value.find('=');
      if (equals == std::string::npos) throw Complaint{note.line, "set: NAME=VALUE expected"};
      sysctl(note.value.substr(0, equals), note.value.substr(equals + 1), note.line);
    }
    for (const auto& [name, value] : options_.sysctls) sysctl(name, value, 0);
    out_.host.addresses = {out_.settings.local};
    out_.host.mtu = out_.settings.mtu;
    out_.host.tick_phase = kIntoTick;
  }

  void sysctl(const std::string& name, const std::string& value, int line) {
    if (!out_.host.sysctls.set(name, value))
      throw Complaint{line, "no such setting or no number: " + name + "=" + value};
  }

  // What is understood in general must also be something the model can be told.
  std::vector<Effect> effects(const Command& command, int line) const {
    auto out = take(understand_command(command.text, line, read_file_));
    model::Sysctls scratch = out_.host.sysctls;
    for (const Effect& effect : out)
      if (const auto* set = std::get_if<SetSysctl>(&effect)) {
        const bool known = set->name == kFastOpenKey ? !fastopen_key(set->value).empty()
                                                     : scratch.set(set->name, set->value);
        if (!known)
          throw Complaint{line, "the model has no such sysctl or value: " + set->name + "=" + set->value};
      }
    return out;
  }

  PreparedCall call(const Syscall& syscall, int line) const {
    PreparedCall out;
    out.call = take(understand_call(syscall, line));
    out.result = take(understand_number(syscall.result, line));
    if (!syscall.error.empty()) out.error = static_cast<int>(*symbol(syscall.error));
    const Call& c = out.call;
    if (c.name != CallName::kGetsockopt && c.name != CallName::kSetsockopt) return out;
    const auto row = socket_option(c.level, c.option);
    if (!row) throw Complaint{line, syscall.name + ": a socket option that is not modelled"};
    const bool octets = std::holds_alternative<std::string>(c.value);
    if (octets != (row->kind == OptionKind::kFastOpenKey || row->kind == OptionKind::kCongestion))
      throw Complaint{line, syscall.name + ": a value of this kind is not understood for this option"};
    if (row->kind == OptionKind::kCongestion && std::get<std::string>(c.value) != "cubic")
      throw Complaint{line, syscall.name + ": a congestion control that is not modelled: " + std::get<std::string>(c.value)};
    if (c.name == CallName::kGetsockopt && row->kind != OptionKind::kInteger && row->kind != OptionKind::kPathMtu)
      throw Complaint{line, "getsockopt: this option cannot be read here"};
    return out;
  }

  void check(const Packet& packet, int line) const {
    if (const auto* icmp = std::get_if<IcmpPacket>(&packet.content);
        icmp && !icmp_numbers(*icmp, options_.family))
      throw Complaint{line, "this family has no such ICMP type or code: " + icmp->type + " " + icmp->code};
  }

  const Script& script_;
  const RunOptions& options_;
  const ReadFile& read_file_;
  Preparation out_;
};

}  // namespace

std::variant<Preparation, Complaint> prepare(const Script& script, const RunOptions& options,
                                             const ReadFile& read_file) {
  try {
    return Preparing{script, options, read_file}.run();
  } catch (const Complaint& complaint) {
    return complaint;
  }
}

std::vector<std::uint8_t> fastopen_key(std::string_view value) {
  std::vector<std::uint8_t> out;
  std::uint32_t word = 0;
  int digits = 0;
  const auto end_word = [&] {
    for (int shift = 0; shift < 32; shift += 8) out.push_back(static_cast<std::uint8_t>(word >> shift));
    word = 0;
    digits = 0;
  };
  for (const char c : value) {
    if (c == '-' || c == ',') {
      if (digits == 0) return {};
      end_word();
      continue;
    }
    const bool decimal = c >= '0' && c <= '9';
    if (!decimal && !(c >= 'a' && c <= 'f')) return {};
    if (++digits > 8) return {};
    word = word << 4 | static_cast<std::uint32_t>(decimal ? c - '0' : c - 'a' + 10);
  }
  if (digits == 0) return {};
  end_word();
  if (out.size() != 16 && out.size() != 32) return {};
  return out;
}

}  // namespace tcpwhy::script
