#pragma once
// Words of a packetdrill script. The longest match wins, as in the original's
// scanner: `123` is a number, `123ab` a word, `.01` a fraction, `...` an ellipsis.

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "script/script.hpp"

namespace tcpwhy::script {

struct Token {
  enum class Kind : std::uint8_t {
    kWord,
    kInteger,
    kHex,
    kFloat,
    kString,    ///< "text", escapes kept as written
    kBacktick,  ///< `command`
    kCode,      ///< %{ code }%
    kSetting,   ///< --name, without the dashes
    kEllipsis,
    kIpv4,   ///< 192.0.2.1
    kPunct,  ///< one character
    kEnd,
  };
  Kind kind = Kind::kEnd;
  int line = 0;
  std::string text;         ///< as written, quotes removed
  std::int64_t number = 0;  ///< kInteger, kHex
};

struct Words {
  std::vector<Token> tokens;  ///< ends with one kEnd
  std::vector<Note> notes;    ///< comments that begin with //!
};

[[nodiscard]] std::variant<Words, Complaint> scan(std::string_view text, const Definitions& definitions);

}  // namespace tcpwhy::script
