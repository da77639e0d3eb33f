// Arguments of system calls: numbers, names, lists, structs.

#include "script/parser.hpp"

namespace tcpwhy::script {
namespace {

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// The escapes of C that the original knows: \xHH, \n, \t, \\, \", \0.
std::string unescape(const Cursor& in, std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    if (++i >= text.size()) in.stop("a string that ends in a backslash");
    switch (text[i]) {
      case 'n': out += '\n'; break;
      case 't': out += '\t'; break;
      case 'r': out += '\r'; break;
      case '\\': out += '\\'; break;
      case '"': out += '"'; break;
      case 'x': {
        if (i + 2 >= text.size() || digit(text[i + 1]) < 0 || digit(text[i + 2]) < 0)
          in.stop("\\x takes two hexadecimal digits");
        out += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
        i += 2;
        break;
      }
      default: in.stop(std::string{"an escape that is not known: \\"} + text[i]);
    }
  }
  return out;
}

Expr parse_struct(Cursor& in) {
  Expr e{.kind = Expr::Kind::kStruct, .number = 0, .text = {}, .items = {}, .fields = {}};
  do {
    Field field;
    const bool named = in.is(Token::Kind::kWord) && (in.is_punct('=', 1) || in.is_punct('(', 1)) &&
                       !in.is_word("htons") && !in.is_word("inet_addr") && !in.is_word("inet6_addr");
    if (named) {
      field.name = in.next().text;
      if (in.take_punct('(')) {
        if (in.is(Token::Kind::kEllipsis))
          in.next();
        else
          field.length = in.expect_integer("the length of a field", INT32_MAX);
        in.expect_punct(')');
      }
      in.expect_punct('=');
    }
    field.value = std::make_shared<Expr>(parse_expression(in));
    e.fields.push_back(std::move(field));
  } while (in.take_punct(','));
  in.expect_punct('}');
  return e;
}

Expr parse_list(Cursor& in, char close) {
  Expr e{.kind = Expr::Kind::kList, .number = 0, .text = {}, .items = {}, .fields = {}};
  if (in.take_punct(close)) return e;
  do e.items.push_back(parse_expression(in));
  while (in.take_punct(','));
  in.expect_punct(close);
  return e;
}

Expr parse_term(Cursor& in) {
  const Token token = in.next();
  Expr e;
  switch (token.kind) {
    case Token::Kind::kEllipsis: return e;
    case Token::Kind::kInteger:
    case Token::Kind::kHex:
      e.kind = Expr::Kind::kInteger;
      e.number = token.number;
      return e;
    case Token::Kind::kString:
      e.kind = Expr::Kind::kString;
      e.text = unescape(in, token.text);
      while (in.is(Token::Kind::kString)) e.text += unescape(in, in.next().text);
      return e;
    case Token::Kind::kWord:
      if (in.take_punct('(')) {
        e = parse_list(in, ')');
        e.kind = Expr::Kind::kCall;
      } else {
        e.kind = Expr::Kind::kWord;
      }
      e.text = token.text;
      return e;
    case Token::Kind::kPunct:
      if (token.text == "[") return parse_list(in, ']');
      if (token.text == "{") return parse_struct(in);
      break;
    case Token::Kind::kFloat:
    case Token::Kind::kBacktick:
    case Token::Kind::kCode:
    case Token::Kind::kSetting:
    case Token::Kind::kIpv4:
    case Token::Kind::kEnd: break;
  }
  throw Stop{{token.line, "an expression cannot begin with `" + token.text + "`"}};
}

}  // namespace

Expr parse_expression(Cursor& in) {
  const Cursor::Nested nested{in};
  Expr left = parse_term(in);
  while (in.take_punct('|')) {
    Expr both{.kind = Expr::Kind::kCall, .number = 0, .text = "|", .items = {}, .fields = {}};
    both.items.push_back(std::move(left));
    both.items.push_back(parse_term(in));
    left = std::move(both);
  }
  return left;
}

}  // namespace tcpwhy::script
