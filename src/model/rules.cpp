#include "model/rules.hpp"

#include <iterator>

namespace tcpwhy::model {

namespace {
constexpr RuleRow kRows[] = {
#define RULE(name, sentence, rfc, linux_function) {#name, sentence, rfc, linux_function},
#include "model/rules.def"
#undef RULE
};
static_assert(std::size(kRows) == kRules);
}  // namespace

const RuleRow& row(Rule rule) { return kRows[static_cast<std::size_t>(rule)]; }

}  // namespace tcpwhy::model
