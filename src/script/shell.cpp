#include "script/shell.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "script/sysctls.hpp"

namespace tcpwhy::script {
namespace {

using Words = std::vector<std::string>;

/// One simple command and what joins it to the one before.
struct Simple {
  enum class Join : std::uint8_t { kAlways, kOr, kAnd, kPipe };
  Join join = Join::kAlways;
  Words words;
};

constexpr int kDeepest = 4;  // scripts that call scripts

class Shell {
 public:
  Shell(int line, const ReadFile& read_file) : line_{line}, read_file_{read_file} {}

  void run(const std::string& text, int depth) {
    if (depth > kDeepest) refuse("commands nested too deeply");
    const std::vector<Simple> commands = split(text);
    enum class Status : std::uint8_t { kGood, kBad } status = Status::kGood;
    for (std::size_t i = 0; i < commands.size(); ++i) {
      const Simple& command = commands[i];
      if (command.join == Simple::Join::kOr && status == Status::kGood) continue;
      if (command.join == Simple::Join::kAnd && status == Status::kBad) continue;
      const Simple* piped =
          i + 1 < commands.size() && commands[i + 1].join == Simple::Join::kPipe ? &commands[++i] : nullptr;
      const std::size_t before = effects_.size();
      simple(command.words, piped, depth);
      // A command that fails counts only when nothing follows it that may still succeed.
      status = Status::kGood;
      if (effects_.size() > before && std::holds_alternative<Fails>(effects_.back())) {
        status = Status::kBad;
        last_failure_ = std::get<Fails>(effects_.back());
        effects_.pop_back();
      }
    }
    if (status == Status::kBad && depth == 0) effects_.push_back(last_failure_);
  }

  std::vector<Effect> take() { return std::move(effects_); }

 private:
  [[noreturn]] void refuse(const std::string& what) const { throw Complaint{line_, what}; }

  // Words, quotes, comments, `;`, `||`, `&&`, `|`, redirections (dropped), `\` at a line's end.
  std::vector<Simple> split(const std::string& text) const {
    std::vector<Simple> out(1);
    std::string word;
    enum class In : std::uint8_t { kNothing, kWord } in = In::kNothing;
    const auto end_word = [&] {
      if (in == In::kWord) out.back().words.push_back(word);
      word.clear();
      in = In::kNothing;
    };
    const auto end_command = [&](Simple::Join join) {
      end_word();
      if (out.back().words.empty())
        out.back().join = join;
      else
        out.push_back({join, {}});
    };
    for (std::size_t i = 0; i < text.size(); ++i) {
      const char c = text[i];
      const char next = i + 1 < text.size() ? text[i + 1] : '\0';
      if (c == '\\' && next == '\n') {
        end_word();
        ++i;
      } else if (c == '\n' || c == ';') {
        end_command(Simple::Join::kAlways);
      } else if (c == ' ' || c == '\t') {
        end_word();
      } else if (c == '#' && in == In::kNothing) {
        while (i + 1 < text.size() && text[i + 1] != '\n') ++i;
      } else if (c == '|' && next == '|') {
        end_command(Simple::Join::kOr);
        ++i;
      } else if (c == '&' && next == '&') {
        end_command(Simple::Join::kAnd);
        ++i;
      } else if (c == '|') {
        end_command(Simple::Join::kPipe);
      } else if (c == '>' || (c == '&' && next == '>') || (c == '2' && next == '>' && in == In::kNothing)) {
        end_word();
        while (i < text.size() && (text[i] == '&' || text[i] == '>' || text[i] == '2')) ++i;
        while (i < text.size() && text[i] == ' ') ++i;
        while (i < text.size() && text[i] != ' ' && text[i] != '\n' && text[i] != ';' && text[i] != '|') ++i;
        --i;
      } else if (c == '"' || c == '\'') {
        in = In::kWord;
        for (++i; i < text.size() && text[i] != c; ++i) {
          if (c == '"' && text.compare(i, 3, "$((") == 0)
            word += arithmetic(text, i);
          else
            word += text[i];
        }
      } else if (text.compare(i, 3, "$((") == 0) {
        in = In::kWord;
        word += arithmetic(text, i);
      } else {
        in = In::kWord;
        word += c;
      }
    }
    end_word();
    if (out.back().words.empty()) out.pop_back();
    return out;
  }

  // `$((15*1024*1024))`: products are all that occurs.
  std::string arithmetic(const std::string& text, std::size_t& i) const {
    const std::size_t end = text.find("))", i);
    if (end == std::string::npos) refuse("arithmetic without an end");
    std::int64_t product = 1, number = 0;
    for (std::size_t at = i + 3; at <= end; ++at) {
      if (text[at] >= '0' && text[at] <= '9') {
        if (number > 1'000'000'000'000) refuse("arithmetic too large");
        number = number * 10 + (text[at] - '0');
      } else if (text[at] == '*' || at == end) {
        if (__builtin_mul_overflow(product, number, &product)) refuse("arithmetic too large");
        number = 0;
      } else if (text[at] != ' ') {
        refuse("arithmetic that is not a product");
      }
    }
    i = end + 1;
    return std::to_string(product);
  }

  void sysctl(std::string name, const std::string& value) {
    std::replace(name.begin(), name.end(), '/', '.');
    switch (sysctl_kind(name, value)) {
      case SysctlKind::kModelled: effects_.push_back(SetSysctl{std::move(name), value}); return;
      case SysctlKind::kHarmless: return;
      case SysctlKind::kAbsent:
        effects_.push_back(Fails{"no such sysctl, or no such value: " + name});
        return;
      case SysctlKind::kUnknown: refuse("a sysctl that is not modelled: " + name);
    }
  }

  void sysctls(const Words& words) {
    for (std::size_t i = 1; i < words.size(); ++i) {
      std::string word = words[i];
      if (word.starts_with("-")) continue;
      if (word.starts_with("/proc/sys/")) word = word.substr(10);
      std::size_t equals = word.find('=');
      if (equals == std::string::npos) refuse("sysctl without a value: " + word);
      sysctl(word.substr(0, equals), word.substr(equals + 1));
    }
  }

  void traffic_control(const Words& words) {
    if (words.size() < 6 || words[1] != "qdisc" || words[3] != "dev")
      refuse("tc used in a way that is not known");
    if (words[2] == "delete" || words[2] == "del") return effects_.push_back(RestoreEgress{});
    if (words[2] != "add" && words[2] != "replace") refuse("tc used in a way that is not known");
    const std::string& discipline = words.size() > 6 ? words[6] : words[5];
    if (discipline != "pfifo" && discipline != "pfifo_fast" && discipline != "noqueue")
      refuse("a queueing discipline that is not modelled: " + discipline);
    if (words.size() == 9 && words[7] == "limit" && words[8] == "0") return effects_.push_back(DropEgress{});
    if (words.size() > 7) refuse("a queue with limits is not modelled");
    effects_.push_back(RestoreEgress{});
  }

  // The one question put to /proc: does somebody (0A: LISTEN) hold this port?
  void grep(const Words& words, const Simple* piped) {
    const bool listeners = words.size() >= 3 && words[1] == " 0A " && words[2].starts_with("/proc/net/tcp");
    if (!listeners || !piped || piped->words.size() != 2 || piped->words[0] != "grep" ||
        !piped->words[1].starts_with(":"))
      refuse("grep used in a way that is not known");
    std::uint16_t port = 0;
    const std::string& hex = piped->words[1];
    std::from_chars(hex.data() + 1, hex.data() + hex.size(), port, 16);
    effects_.push_back(ExpectListener{port});
  }

  void ip(const Words& given) {
    Words words;
    for (const std::string& word : given)
      if (word != "-4" && word != "-6") words.push_back(word);
    const auto is = [&](std::size_t i, std::string_view all) {
      return i < words.size() && !words[i].empty() && all.starts_with(words[i]);
    };
    if (is(1, "tcp_metrics") && (is(2, "flush") || is(2, "delete"))) return effects_.push_back(FlushMetrics{});
    const bool route = is(1, "route") && (is(2, "change") || is(2, "replace"));
    const bool link = is(1, "link") && is(2, "set");
    // Of what can be said of a link or a route, its MTU; where it leads is the script's one way in any case.
    std::uint16_t mtu = 0;
    for (std::size_t i = 3; (route || link) && i < words.size(); ++i) {
      if (words[i] == "mtu") {
        if (i + 1 < words.size() && words[i + 1] == "lock") ++i;
        if (i + 1 == words.size()) break;
        const std::string& number = words[++i];
        std::from_chars(number.data(), number.data() + number.size(), mtu);
      } else if (words[i] == "dev" || words[i] == "via" || words[i] == "src" || words[i] == "proto") {
        ++i;
      } else if (i != 3) {
        refuse("ip: a word that is not known: " + words[i]);
      }
    }
    if (mtu == 0) refuse("ip used in a way that is not known");
    effects_.push_back(SetMtu{mtu});
  }

  void simple(const Words& words, const Simple* piped, int depth) {
    if (words.empty()) return;
    const std::string& program = words[0];
    const std::size_t slash = program.rfind('/');
    const std::string base = slash == std::string::npos ? program : program.substr(slash + 1);
    if (base == "grep") return grep(words, piped);
    if (piped) refuse("a pipe that is not known: " + program);
    if (base == "sysctl" || base == "set_sysctls.py") return sysctls(words);
    if (base.starts_with("sysctl_restore_") || base == "true" || base == ":") return;
    if (base == "tc") return traffic_control(words);
    if (base == "ip") return ip(words);
    // Offload changes how many packets a burst is, and scripts join those that follow each other.
    if (base == "ethtool" && words.size() >= 3 && words[1] == "-K") return;
    if (base == "sleep" && words.size() == 2) {
      const double s = std::strtod(words[1].c_str(), nullptr);
      if (!(s >= 0 && s <= 1e6)) refuse("sleep: how long?");
      return effects_.push_back(Sleep{std::chrono::microseconds{static_cast<std::int64_t>(s * 1e6)}});
    }
    if (base.ends_with(".sh") && words.size() == 1) {
      const auto text = read_file_ ? read_file_(program) : std::nullopt;
      if (!text) refuse("cannot be read: " + program);
      return run(*text, depth + 1);
    }
    refuse("a command that is not known: " + program);
  }

  int line_;
  const ReadFile& read_file_;
  std::vector<Effect> effects_;
  Fails last_failure_;
};

}  // namespace

std::variant<std::vector<Effect>, Complaint> understand_command(const std::string& command, int line,
                                                                const ReadFile& read_file) {
  try {
    Shell shell{line, read_file};
    shell.run(command, 0);
    return shell.take();
  } catch (const Complaint& complaint) {
    return complaint;
  }
}

}  // namespace tcpwhy::script
