#pragma once
// The reader's hands: a place in the tokens, and what the grammar's parts ask
// of it. Every part throws Stop at the first thing it does not understand;
// parse() is the only place that catches it.

#include <algorithm>

#include "script/lexer.hpp"

namespace tcpwhy::script {

/// Leaves the grammar; never leaves parse().
struct Stop {
  Complaint complaint;
};

class Cursor {
 public:
  explicit Cursor(std::vector<Token> tokens) : tokens_{std::move(tokens)} {}

  [[nodiscard]] const Token& peek(std::size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  Token next() {
    const Token token = peek();
    if (at_ + 1 < tokens_.size()) ++at_;
    taken_line_ = token.line;
    return token;
  }
  [[nodiscard]] bool at_end() const { return peek().kind == Token::Kind::kEnd; }
  [[nodiscard]] bool is(Token::Kind kind) const { return peek().kind == kind; }
  [[nodiscard]] bool is_punct(char c, std::size_t ahead = 0) const {
    return peek(ahead).kind == Token::Kind::kPunct && peek(ahead).text[0] == c;
  }
  [[nodiscard]] bool is_word(std::string_view word, std::size_t ahead = 0) const {
    return peek(ahead).kind == Token::Kind::kWord && peek(ahead).text == word;
  }
  bool take_punct(char c) { return is_punct(c) && (next(), true); }
  bool take_word(std::string_view word) { return is_word(word) && (next(), true); }

  void expect_punct(char c);
  std::int64_t expect_integer(const char* what, std::int64_t most);
  Token expect(Token::Kind kind, const char* what);
  [[noreturn]] void stop(std::string message) const;
  /// About what was just read, where stop() is about what comes next.
  [[noreturn]] void stop_behind(std::string message) const;

  /// Lists within lists: a hostile script must not use up our stack.
  class Nested {
   public:
    explicit Nested(Cursor& in) : in_{in} {
      if (++in_.depth_ > kDeepest) in_.stop("nested too deeply");
    }
    ~Nested() { --in_.depth_; }
    Nested(const Nested&) = delete;
    Nested& operator=(const Nested&) = delete;

   private:
    Cursor& in_;
  };

 private:
  static constexpr int kDeepest = 32;
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int taken_line_ = 1;
  int depth_ = 0;
};

/// One expression of a system call. (parse_expression.cpp)
Expr parse_expression(Cursor& in);
/// A packet, from its direction on. (parse_packet.cpp)
Packet parse_packet(Cursor& in);

}  // namespace tcpwhy::script
