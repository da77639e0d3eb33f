// The order of a script: settings, the first command, events, the last command.

#include "script/parser.hpp"

#include <cstdlib>

namespace tcpwhy::script {

void Cursor::stop(std::string message) const { throw Stop{{peek().line, std::move(message)}}; }

void Cursor::stop_behind(std::string message) const { throw Stop{{taken_line_, std::move(message)}}; }

void Cursor::expect_punct(char c) {
  if (!take_punct(c)) stop(std::string{"`"} + c + "` expected, not `" + peek().text + "`");
}

Token Cursor::expect(Token::Kind kind, const char* what) {
  if (!is(kind)) stop(std::string{what} + " expected, not `" + peek().text + "`");
  return next();
}

std::int64_t Cursor::expect_integer(const char* what, std::int64_t most) {
  const Token token = expect(Token::Kind::kInteger, what);
  if (token.number < 0 || token.number > most)
    throw Stop{{token.line, std::string{what} + " out of range: " + token.text}};
  return token.number;
}

namespace {

bool is_time(const Cursor& in, std::size_t ahead) {
  const Token& token = in.peek(ahead);
  return token.kind == Token::Kind::kFloat || token.kind == Token::Kind::kInteger;
}

constexpr double kLongestSeconds = 1e6;  // eleven days: no script waits longer, and no clock overflows

// Seconds; the original keeps whole microseconds and drops the rest.
Duration parse_time(Cursor& in) {
  if (!is_time(in, 0)) in.stop("a time expected, not `" + in.peek().text + "`");
  const Token token = in.next();
  const double value = std::strtod(token.text.c_str(), nullptr);
  if (value < 0) throw Stop{{token.line, "a negative time"}};
  if (!(value <= kLongestSeconds)) throw Stop{{token.line, "a time too long"}};
  return std::chrono::microseconds{static_cast<std::int64_t>(value * 1e6)};
}

Event parse_event_time(Cursor& in) {
  Event event;
  event.line = in.peek().line;
  if (in.take_punct('*')) {
    event.time_kind = TimeKind::kAny;
    return event;
  }
  const bool relative = in.take_punct('+');
  event.time_kind = relative ? TimeKind::kRelative : TimeKind::kAbsolute;
  event.time = parse_time(in);
  if (in.take_punct('~')) {
    event.time_kind = relative ? TimeKind::kRelativeRange : TimeKind::kAbsoluteRange;
    if (relative) in.expect_punct('+');
    event.time_end = parse_time(in);
    if (event.time_end < event.time) in.stop_behind("a range of time that runs backwards");
  }
  return event;
}

// `(Connection refused)`: for people; nothing is compared with it.
bool skip_note(Cursor& in) {
  if (!in.take_punct('(')) return false;
  while (in.is(Token::Kind::kWord)) in.next();
  in.expect_punct(')');
  return true;
}

Syscall parse_syscall(Cursor& in) {
  Syscall call;
  if (in.is(Token::Kind::kEllipsis)) {
    in.next();
    call.end = parse_time(in);
  }
  call.name = in.expect(Token::Kind::kWord, "a packet, a system call, a command or code").text;
  in.expect_punct('(');
  if (!in.take_punct(')')) {
    do call.arguments.push_back(parse_expression(in));
    while (in.take_punct(','));
    in.expect_punct(')');
  }
  in.expect_punct('=');
  call.result = parse_expression(in);
  if (in.is(Token::Kind::kWord)) {
    call.error = in.next().text;
    if (!skip_note(in)) in.stop_behind("an errno is followed by its meaning in parentheses");
  }
  skip_note(in);
  return call;
}

void check_time(const Event& event) {
  if (event.time_kind == TimeKind::kAbsolute || event.time_kind == TimeKind::kRelative) return;
  const Packet* packet = std::get_if<Packet>(&event.action);
  if (packet && packet->direction == Direction::kOut) return;
  throw Stop{{event.line, "`*` and ranges of time are for outgoing packets only"}};
}

Event parse_event(Cursor& in) {
  Event event = parse_event_time(in);
  if (in.is(Token::Kind::kBacktick))
    event.action = Command{in.next().text};
  else if (in.is(Token::Kind::kCode))
    event.action = Code{in.next().text};
  else if (in.is_punct('<') || in.is_punct('>'))
    event.action = parse_packet(in);
  else
    event.action = parse_syscall(in);
  check_time(event);
  return event;
}

Setting parse_setting(Cursor& in) {
  const Token name = in.next();
  Setting setting{name.line, name.text, {}};
  if (!in.take_punct('=')) return setting;
  setting.value = in.next().text;
  // `ipv4-mapped-ipv6` and `NAME=value` are several words.
  while (in.is_punct('=') || in.is_punct('-') || in.is_punct(':')) {
    setting.value += in.next().text;
    const Token::Kind kind = in.peek().kind;
    if (kind == Token::Kind::kWord || kind == Token::Kind::kInteger) setting.value += in.next().text;
  }
  return setting;
}

Script parse_script(Cursor& in) {
  Script script;
  while (in.is(Token::Kind::kSetting)) script.settings.push_back(parse_setting(in));
  if (in.is(Token::Kind::kBacktick)) {
    script.init_line = in.peek().line;
    script.init = Command{in.next().text};
  }
  while (!in.at_end() && !in.is(Token::Kind::kBacktick)) script.events.push_back(parse_event(in));
  if (script.events.empty()) in.stop("a script without events");
  if (in.is(Token::Kind::kBacktick)) {
    script.cleanup_line = in.peek().line;
    script.cleanup = Command{in.next().text};
  }
  if (!in.at_end()) in.stop("nothing may follow the last command");
  return script;
}

// `--define=NAME=value` renames words of the rest of the script: read it again with them.
std::optional<Definitions> with_defines(const Script& script, const Definitions& definitions) {
  Definitions more = definitions;
  for (const Setting& setting : script.settings) {
    const std::size_t equals = setting.value.find('=');
    if (setting.name != "define" || equals == std::string::npos) continue;
    more.try_emplace(setting.value.substr(0, equals), setting.value.substr(equals + 1));
  }
  if (more.size() == definitions.size()) return std::nullopt;
  return more;
}

}  // namespace

std::variant<Script, Complaint> parse(std::string_view text, std::string name,
                                      const Definitions& definitions) {
  auto words = scan(text, definitions);
  if (auto* complaint = std::get_if<Complaint>(&words)) return *complaint;
  auto& [tokens, notes] = std::get<Words>(words);
  Cursor in{std::move(tokens)};
  try {
    Script script = parse_script(in);
    if (const auto more = with_defines(script, definitions)) return parse(text, std::move(name), *more);
    script.name = std::move(name);
    script.notes = std::move(notes);
    return script;
  } catch (const Stop& stop) {
    return stop.complaint;
  }
}

}  // namespace tcpwhy::script
