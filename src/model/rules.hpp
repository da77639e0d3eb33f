#pragma once
// Every rule of the model has a name, the sentence a reader gets, and the two places that say so.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tcpwhy::model {

enum class Rule : std::uint8_t {
#define RULE(name, sentence, rfc, linux_function) k##name,
#include "model/rules.def"
#undef RULE
  kCount
};

inline constexpr std::size_t kRules = static_cast<std::size_t>(Rule::kCount);

struct RuleRow {
  std::string_view id;        ///< "SynQueueFull"
  std::string_view sentence;  ///< what a report prints
  std::string_view rfc;       ///< "9293 3.10.7.2"; empty: Linux alone
  std::string_view function;  ///< "tcp_conn_request"
};

/// The row of a rule.
[[nodiscard]] const RuleRow& row(Rule rule);

}  // namespace tcpwhy::model
