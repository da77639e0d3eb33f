#include "script/code.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "script/symbols.hpp"

namespace tcpwhy::script {

/// An operator and its operands, a name, or a number. Numbers are doubles:
/// every counter of tcp_info that scripts compare is exact below 2^53.
struct CodeNode {
  std::string op;  ///< "name", "number", or the operator; unary ones are "neg", "not", "~"
  std::string name;
  double number = 0;
  std::vector<std::shared_ptr<CodeNode>> operands;
};

namespace {

using Node = std::shared_ptr<CodeNode>;

// From the loosest to the tightest, as Python binds them; comparisons apart.
const std::vector<std::vector<std::string_view>> kLevels = {
    {"or"}, {"and"}, {"not"}, {"cmp"}, {"|"}, {"^"}, {"&"}, {"<<", ">>"}, {"+", "-"}, {"*", "//", "/", "%"}};
constexpr int kDeepest = 32;
constexpr std::string_view kComparisons[] = {"==", "!=", "<=", ">=", "<", ">"};
constexpr std::string_view kFunctions[] = {"abs", "int", "max", "min"};

class Reader {
 public:
  Reader(std::string_view text, int line) : text_{text}, line_{line} {}

  CodeBlock block() {
    CodeBlock out;
    while (true) {
      skip_space_and_ends();
      if (at_ >= text_.size()) break;
      if (peek_token() == "print")
        skip_message();
      else
        out.statements.push_back(statement());
    }
    out.names = std::move(names_);
    return out;
  }

 private:
  [[noreturn]] void stop(const std::string& what) const {
    throw Complaint{line_, "code that is not understood: " + what};
  }

  void skip_space() {
    while (at_ < text_.size()) {
      if (text_[at_] == ' ' || text_[at_] == '\t' || (depth_ > 0 && text_[at_] == '\n'))
        ++at_;
      else if (text_.substr(at_).starts_with("\\\n"))
        at_ += 2;
      else if (text_[at_] == '#')
        while (at_ < text_.size() && text_[at_] != '\n') ++at_;
      else
        break;
    }
  }

  void skip_space_and_ends() {
    skip_space();
    while (at_ < text_.size() && (text_[at_] == ';' || text_[at_] == '\n')) {
      ++at_;
      skip_space();
    }
  }

  [[nodiscard]] std::string_view peek_token() {
    skip_space();
    if (at_ >= text_.size()) return {};
    std::size_t end = at_;
    const auto word = [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.';
    };
    if (word(text_[at_])) {
      while (end < text_.size() && word(text_[end])) ++end;
    } else {
      for (const std::string_view op : {"==", "!=", "<=", ">=", "<<", ">>", "//"})
        if (text_.substr(at_).starts_with(op)) return op;
      ++end;
    }
    return text_.substr(at_, end - at_);
  }
  void take() { at_ += peek_token().size(); }
  bool take_if(std::string_view token) { return peek_token() == token && (take(), true); }

  CodeStatement statement() {
    CodeStatement out;
    const std::size_t from = at_;
    if (take_if("assert")) {
      out.expression = level(0);
      if (take_if(",")) skip_message();
    } else {
      out.assigns = peek_token();
      take();
      if (!take_if("=")) stop("only `assert` and assignments are known, not `" + out.assigns + "`");
      out.expression = level(0);
      assigned_.push_back(out.assigns);
    }
    out.text = text_.substr(from, at_ - from);
    skip_space();
    if (at_ < text_.size() && text_[at_] != ';' && text_[at_] != '\n')
      stop("`" + std::string{text_.substr(at_)} + "`");
    return out;
  }

  // What an assertion or print() would print: any expression; only its end matters.
  void skip_message() {
    int depth = 0;
    char quote = '\0';
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (quote != '\0') {
        if (c == quote) quote = '\0';
      } else if (c == '"' || c == '\'') {
        quote = c;
      } else if (c == '(' || c == '[') {
        ++depth;
      } else if (c == ')' || c == ']') {
        --depth;
      } else if (depth == 0 && (c == ';' || c == '\n')) {
        return;
      }
    }
  }

  Node make(std::string op, std::vector<Node> operands) {
    auto node = std::make_shared<CodeNode>();
    node->op = std::move(op);
    node->operands = std::move(operands);
    return node;
  }

  Node level(std::size_t n) {
    if (n == kLevels.size()) return unary();
    if (kLevels[n][0] == "not") {
      if (!take_if("not")) return level(n + 1);
      const Nested nested{*this};
      return make("not", {level(n)});
    }
    if (kLevels[n][0] == "cmp") return comparison(n);
    Node left = level(n + 1);
    while (true) {
      const std::string token{peek_token()};
      if (std::find(kLevels[n].begin(), kLevels[n].end(), token) == kLevels[n].end()) return left;
      take();
      left = make(token, {left, level(n + 1)});
    }
  }

  // `a < b < c` holds when both do.
  Node comparison(std::size_t n) {
    Node left = level(n + 1), all;
    while (true) {
      const std::string token{peek_token()};
      if (token == "in") {
        take();
        if (all) stop("`in` after another comparison");
        return make("in", among(left));
      }
      if (std::find(std::begin(kComparisons), std::end(kComparisons), token) == std::end(kComparisons)) break;
      take();
      Node right = level(n + 1);
      Node one = make(token, {left, right});
      all = all ? make("and", {all, one}) : one;
      left = right;
    }
    return all ? all : left;
  }

  /// `(a, b)` or `[a, b]`, behind what is looked for in it.
  std::vector<Node> among(Node left) {
    std::vector<Node> out{std::move(left)};
    const bool round = take_if("(");
    if (!round && !take_if("[")) stop("`in` and no list of values");
    arguments(out, round ? ")" : "]");
    return out;
  }

  void arguments(std::vector<Node>& out, std::string_view close) {
    const Nested nested{*this};
    ++depth_;
    do out.push_back(level(0));
    while (take_if(","));
    --depth_;
    if (!take_if(close)) stop("`" + std::string{close} + "` expected");
  }

  // A hostile script must not use up our stack: each step down passes every level of precedence. No honest one comes near.
  class Nested {
   public:
    explicit Nested(Reader& in) : in_{in} {
      if (in_.nested_ == kDeepest) in_.stop("nested too deeply");
      ++in_.nested_;
    }
    ~Nested() { --in_.nested_; }
    Nested(const Nested&) = delete;
    Nested& operator=(const Nested&) = delete;

   private:
    Reader& in_;
  };

  Node unary() {
    std::optional<Nested> nested;
    if (const std::string_view token = peek_token(); token == "-" || token == "~" || token == "(") nested.emplace(*this);
    if (take_if("-")) return make("neg", {unary()});
    if (take_if("~")) return make("~", {unary()});
    if (take_if("(")) {
      ++depth_;
      Node inside = level(0);
      --depth_;
      if (!take_if(")")) stop("`)` expected");
      return inside;
    }
    const std::string token{peek_token()};
    if (token.empty()) stop("an expression that ends early");
    take();
    auto node = std::make_shared<CodeNode>();
    const char c = token[0];
    if ((c >= '0' && c <= '9') || c == '.') {
      char* end = nullptr;
      node->op = "number";
      node->number = std::strtod(token.c_str(), &end);
      if (*end != '\0') stop("`" + token + "`");
      return node;
    }
    if (c != '_' && std::isalpha(static_cast<unsigned char>(c)) == 0) stop("`" + token + "`");
    if (std::find(std::begin(kFunctions), std::end(kFunctions), token) != std::end(kFunctions) && take_if("(")) {
      std::vector<Node> operands;
      arguments(operands, ")");
      if ((token == "abs" || token == "int") != (operands.size() == 1)) stop(token + "() with " + std::to_string(operands.size()) + " values");
      return make(token, std::move(operands));
    }
    node->op = "name";
    node->name = token;
    if (token == "True" || token == "False") {
      node->op = "number";
      node->number = token == "True" ? 1 : 0;
    } else if (const auto value = symbol(token)) {
      node->op = "number";
      node->number = static_cast<double>(*value);
    } else if (std::find(assigned_.begin(), assigned_.end(), token) == assigned_.end()) {
      names_.push_back(token);
    }
    return node;
  }

  std::string_view text_;
  int line_;
  std::size_t at_ = 0;
  int depth_ = 0;   ///< of parentheses that are open
  int nested_ = 0;  ///< of everything that nests, here and now
  std::vector<std::string> names_, assigned_;
};

double evaluate(const CodeNode& node, const Variables& variables) {
  if (node.op == "number") return node.number;
  if (node.op == "name") {
    const auto found = variables.find(node.name);
    return found == variables.end() ? std::nan("") : found->second;
  }
  const double a = evaluate(*node.operands[0], variables);
  if (node.op == "neg") return -a;
  if (node.op == "not") return (a == 0) ? 1 : 0;
  if (node.op == "~") return -a - 1;
  if (node.op == "and" && a == 0) return a;
  if (node.op == "or" && a != 0) return a;
  if (node.op == "abs") return std::abs(a);
  if (node.op == "int") return std::trunc(a);
  if (node.op == "min" || node.op == "max" || node.op == "in") {
    double least = a, most = a;
    bool found = false;
    for (std::size_t i = 1; i < node.operands.size(); ++i) {
      const double other = evaluate(*node.operands[i], variables);
      least = std::min(least, other);
      most = std::max(most, other);
      found = found || other == a;
    }
    return node.op == "min" ? least : node.op == "max" ? most : found ? 1 : 0;
  }
  const double b = evaluate(*node.operands[1], variables);
  if (node.op == "and" || node.op == "or") return b;
  if (node.op == "==") return (a == b) ? 1 : 0;
  if (node.op == "!=") return (a != b) ? 1 : 0;
  if (node.op == "<=") return (a <= b) ? 1 : 0;
  if (node.op == ">=") return (a >= b) ? 1 : 0;
  if (node.op == "<") return (a < b) ? 1 : 0;
  if (node.op == ">") return (a > b) ? 1 : 0;
  if (node.op == "+") return a + b;
  if (node.op == "-") return a - b;
  if (node.op == "*") return a * b;
  if (node.op == "/") return a / b;
  if (node.op == "//") return std::floor(a / b);
  if (node.op == "%") return a - std::floor(a / b) * b;
  constexpr double kExact = 9007199254740992;  // 2^53: beyond it a double holds no bits to speak of
  if (!(std::abs(a) <= kExact && std::abs(b) <= kExact)) return std::nan("");
  const auto i = static_cast<std::int64_t>(a), j = static_cast<std::int64_t>(b);
  if (node.op == "|") return static_cast<double>(i | j);
  if (node.op == "^") return static_cast<double>(i ^ j);
  if (node.op == "&") return static_cast<double>(i & j);
  if (j < 0 || j > 62) return 0;
  if (node.op == "<<")
    return static_cast<double>(static_cast<std::int64_t>(static_cast<std::uint64_t>(i) << j));
  return static_cast<double>(i >> j);
}

// The names an assertion reads and what they were, for the message.
void describe(const CodeNode& node, const Variables& variables, std::string& out) {
  if (node.op == "name" && out.find(node.name) == std::string::npos) {
    const auto found = variables.find(node.name);
    if (found != variables.end()) out += fmt::format(" {}={}", node.name, found->second);
  }
  for (const Node& operand : node.operands) describe(*operand, variables, out);
}

}  // namespace

std::variant<CodeBlock, Complaint> understand_code(std::string_view text, int line) {
  try {
    return Reader{text, line}.block();
  } catch (const Complaint& complaint) {
    return complaint;
  }
}

std::string run_code(const CodeBlock& block, Variables& variables) {
  for (const CodeStatement& statement : block.statements) {
    const double value = evaluate(*statement.expression, variables);
    if (!statement.assigns.empty()) {
      variables[statement.assigns] = value;
    } else if (value == 0 || std::isnan(value)) {
      std::string seen;
      describe(*statement.expression, variables, seen);
      return statement.text + " does not hold:" + seen;
    }
  }
  return {};
}

}  // namespace tcpwhy::script
