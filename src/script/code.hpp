#pragma once
// The few lines of Python that scripts carry: `assert EXPRESSION[, MESSAGE]`
// and `name = EXPRESSION`. An evaluator, not an interpreter.

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "script/script.hpp"

namespace tcpwhy::script {

/// What the names of an expression stand for: tcp_info by Linux names, and assigned ones.
using Variables = std::map<std::string, double, std::less<>>;

struct CodeNode;

struct CodeStatement {
  std::string assigns;  ///< the name, or empty: an assertion
  std::shared_ptr<CodeNode> expression;
  std::string text;  ///< as written
};

struct CodeBlock {
  std::vector<CodeStatement> statements;
  std::vector<std::string> names;  ///< every name read before it is assigned here
};

[[nodiscard]] std::variant<CodeBlock, Complaint> understand_code(std::string_view text, int line);

/// Runs the statements. The text of the first assertion that fails, or empty.
[[nodiscard]] std::string run_code(const CodeBlock& block, Variables& variables);

}  // namespace tcpwhy::script
