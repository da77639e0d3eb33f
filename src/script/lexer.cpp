#include "script/lexer.hpp"

#include <cctype>
#include <charconv>
#include <cstdlib>

namespace tcpwhy::script {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

std::string_view trim(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t' || s.back() == '\r')) s.remove_suffix(1);
  return s;
}

class Scanner {
 public:
  Scanner(std::string_view text, const Definitions& definitions) : text_{text}, definitions_{definitions} {}

  std::variant<Words, Complaint> run() {
    while (at_ < text_.size() && !complaint_) step();
    if (complaint_) return *complaint_;
    words_.tokens.push_back({Token::Kind::kEnd, line_, "", 0});
    return std::move(words_);
  }

 private:
  [[nodiscard]] char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  [[nodiscard]] bool starts(std::string_view s) const { return text_.substr(at_).starts_with(s); }

  void push(Token::Kind kind, std::string_view text, std::int64_t number = 0) {
    words_.tokens.push_back({kind, line_, std::string{text}, number});
  }
  void complain(std::string message) { complaint_ = Complaint{line_, std::move(message)}; }

  void step() {
    const char c = peek();
    if (c == '\n') {
      ++line_;
      ++at_;
    } else if (c == ' ' || c == '\t') {
      ++at_;
    } else if (starts("//")) {
      comment();
    } else if (starts("/*")) {
      skip_until("*/", "a comment that does not end");
    } else if (starts("%{")) {
      code();
    } else if (starts("...")) {
      push(Token::Kind::kEllipsis, "...");
      at_ += 3;
    } else if (c == '"' || c == '`') {
      quoted(c);
    } else if (starts("--") && is_word(peek(2))) {
      at_ += 2;
      push(Token::Kind::kSetting, take_word());
    } else if (is_word(c) || (c == '-' && is_digit(peek(1))) || (c == '.' && is_digit(peek(1))) ||
               (c == '-' && peek(1) == '.' && is_digit(peek(2)))) {
      number_or_word();
    } else {
      push(Token::Kind::kPunct, text_.substr(at_, 1));
      ++at_;
    }
  }

  std::string_view take_word() {
    const std::size_t from = at_;
    while (is_word(peek())) ++at_;
    return text_.substr(from, at_ - from);
  }

  // `//! name: value` is a note to us and nothing to the original tool.
  void comment() {
    std::size_t end = text_.find('\n', at_);
    if (end == std::string_view::npos) end = text_.size();
    std::string_view body = text_.substr(at_ + 2, end - at_ - 2);
    at_ = end;
    if (!body.starts_with('!')) return;
    body.remove_prefix(1);
    const std::size_t colon = body.find(':');
    if (colon == std::string_view::npos) return complain("a //! note is `//! name: value`");
    words_.notes.push_back(
        {line_, std::string{trim(body.substr(0, colon))}, std::string{trim(body.substr(colon + 1))}});
  }

  // Moves past `end`, counting lines; what lies between is returned.
  std::string_view skip_until(std::string_view end, const char* otherwise) {
    const std::size_t from = at_ + 2;
    const std::size_t found = text_.find(end, from);
    if (found == std::string_view::npos) {
      complain(otherwise);
      return {};
    }
    for (std::size_t i = at_; i < found; ++i)
      if (text_[i] == '\n') ++line_;
    at_ = found + end.size();
    return text_.substr(from, found - from);
  }

  void code() {
    const int line = line_;
    const std::string_view body = skip_until("}%", "code that does not end with }%");
    if (complaint_) return;
    push(Token::Kind::kCode, trim(body));
    words_.tokens.back().line = line;
  }

  void quoted(char quote) {
    const int line = line_;
    const std::size_t from = ++at_;
    while (at_ < text_.size() && text_[at_] != quote) {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) {
        if (text_[at_ + 1] == '\n') ++line_;
        ++at_;
      } else if (text_[at_] == '\n') {
        ++line_;
      }
      ++at_;
    }
    if (at_ >= text_.size()) return complain("a quotation that does not end");
    push(quote == '"' ? Token::Kind::kString : Token::Kind::kBacktick, text_.substr(from, at_ - from));
    words_.tokens.back().line = line;
    ++at_;
  }

  void number_or_word() {
    const std::size_t from = at_;
    std::size_t digits = at_;
    if (text_[digits] == '-') ++digits;
    const std::size_t first_digit = digits;
    while (digits < text_.size() && is_digit(text_[digits])) ++digits;
    std::size_t word = at_;
    while (word < text_.size() && is_word(text_[word])) ++word;
    // A fraction needs a digit after its point.
    std::size_t fraction = digits;
    if (fraction + 1 < text_.size() && text_[fraction] == '.' && is_digit(text_[fraction + 1])) {
      ++fraction;
      while (fraction < text_.size() && is_digit(text_[fraction])) ++fraction;
    } else {
      fraction = from;
    }
    if (fraction > word) {
      if (const std::size_t end = dotted_quad(from); end > fraction) {
        push(Token::Kind::kIpv4, text_.substr(from, end - from));
        at_ = end;
        return;
      }
      push(Token::Kind::kFloat, text_.substr(from, fraction - from));
      at_ = fraction;
    } else if (word > digits || digits == first_digit) {
      at_ = word;
      symbol(text_.substr(from, word - from));
    } else {
      integer(text_.substr(from, digits - from));
      at_ = digits;
    }
  }

  [[nodiscard]] std::size_t dotted_quad(std::size_t at) const {
    for (int part = 0; part < 4; ++part) {
      const std::size_t from = at;
      while (at < text_.size() && is_digit(text_[at])) ++at;
      if (at == from) return 0;
      if (part < 3) {
        if (at >= text_.size() || text_[at] != '.') return 0;
        ++at;
      }
    }
    return at;
  }

  void integer(std::string_view digits) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc{}) return complain("a number too large: " + std::string{digits});
    push(Token::Kind::kInteger, digits, value);
  }

  // A word may be a hexadecimal number or a name given with -D.
  void symbol(std::string_view word) {
    if (word.size() > 2 && word.starts_with("0x")) {
      std::uint64_t value = 0;
      const auto [end, error] = std::from_chars(word.data() + 2, word.data() + word.size(), value, 16);
      if (error == std::errc{} && end == word.data() + word.size())
        return push(Token::Kind::kHex, word, static_cast<std::int64_t>(value));
    }
    const auto defined = definitions_.find(std::string{word});
    if (defined == definitions_.end()) return push(Token::Kind::kWord, word);
    const std::string& value = defined->second;
    if (value.size() >= 2 && (value.front() == '"' || value.front() == '`'))
      return push(value.front() == '"' ? Token::Kind::kString : Token::Kind::kBacktick,
                  std::string_view{value}.substr(1, value.size() - 2));
    char* end = nullptr;
    const long long number = std::strtoll(value.c_str(), &end, 0);
    if (!value.empty() && *end == '\0') return push(Token::Kind::kInteger, value, number);
    push(Token::Kind::kWord, value);
  }

  std::string_view text_;
  const Definitions& definitions_;
  std::size_t at_ = 0;
  int line_ = 1;
  Words words_;
  std::optional<Complaint> complaint_;
};

}  // namespace

std::variant<Words, Complaint> scan(std::string_view text, const Definitions& definitions) {
  return Scanner{text, definitions}.run();
}

}  // namespace tcpwhy::script
