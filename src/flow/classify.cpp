#include "flow/classify.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>

#include "tcpwhy/decode.hpp"

namespace tcpwhy::flow {
namespace {

using facts::App;
using facts::AppFlag;

constexpr std::uint32_t kHeadLimit = 16384;  // no head of interest is longer, and hostile ones cost no more

constexpr std::uint32_t word(const char (&text)[5]) {
  return static_cast<std::uint32_t>(static_cast<unsigned char>(text[0])) << 24 |
         static_cast<std::uint32_t>(static_cast<unsigned char>(text[1])) << 16 |
         static_cast<std::uint32_t>(static_cast<unsigned char>(text[2])) << 8 |
         static_cast<std::uint32_t>(static_cast<unsigned char>(text[3]));
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

bool contains_ignoring_case(std::string_view text, std::string_view part) {
  return std::search(text.begin(), text.end(), part.begin(), part.end(),
                     [](char x, char y) { return lower(x) == lower(y); }) != text.end();
}

std::string_view trimmed(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

struct Head {
  std::uint32_t bytes = 0;                    ///< including the empty line; 0 when its end was not captured
  std::optional<std::uint64_t> content_length;
  bool chunked = false, close = false, keep_alive = false;
};

/// The lines after the first one. RFC 9112 5.
Head read_head(std::string_view text) {
  Head head;
  std::size_t at = text.find("\r\n");
  while (at != std::string_view::npos) {
    const std::size_t begin = at + 2;
    const std::size_t end = text.find("\r\n", begin);
    if (end == std::string_view::npos) break;
    if (end == begin) {
      head.bytes = static_cast<std::uint32_t>(end + 2);
      break;
    }
    const std::string_view line = text.substr(begin, end - begin);
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos) {
      const std::string_view name = line.substr(0, colon), value = trimmed(line.substr(colon + 1));
      if (equal_ignoring_case(name, "content-length")) {
        std::uint64_t n = 0;
        const bool digits = !value.empty() && value.size() <= 18 &&
                            std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; });
        for (char c : digits ? value : std::string_view{}) n = n * 10 + static_cast<std::uint64_t>(c - '0');
        if (digits) head.content_length = n;
      } else if (equal_ignoring_case(name, "transfer-encoding")) {
        head.chunked = contains_ignoring_case(value, "chunked");
      } else if (equal_ignoring_case(name, "connection")) {
        head.close |= contains_ignoring_case(value, "close");
        head.keep_alive |= contains_ignoring_case(value, "keep-alive");
      }
    }
    at = end;
  }
  return head;
}

bool ends_with_last_chunk(const Payload& p) {
  return p.captured == p.bytes && p.captured >= 5 && std::memcmp(p.data + p.captured - 5, "0\r\n\r\n", 5) == 0;
}

void announce(AppView& out, const Head& head, std::uint64_t body) {
  if (head.bytes == 0 || head.bytes + body > 0xffff'ffffull) return;
  out.flags |= AppFlag::kHasLength;
  out.length = static_cast<std::uint32_t>(head.bytes + body);
}

AppView http_request(const Payload& p, std::string_view text) {
  AppView out{App::kHttpRequest, 0, 0, Speaker::kClient};
  for (std::string_view method : {"GET ", "HEAD ", "OPTIONS ", "TRACE "})
    if (text.starts_with(method)) out.flags |= AppFlag::kIdempotent;
  // On a request the flag says that its answer has no body, whatever it announces (RFC 9112 6.3).
  if (text.starts_with("HEAD ")) out.flags |= AppFlag::kUntilClose;
  const Head head = read_head(text);
  const std::string_view first = text.substr(0, text.find("\r\n"));
  if (head.close || (first.ends_with("HTTP/1.0") && !head.keep_alive)) out.flags |= AppFlag::kConnectionClose;
  if (head.chunked) out.flags |= AppFlag::kChunked;
  else announce(out, head, head.content_length.value_or(0));
  if (head.chunked && ends_with_last_chunk(p)) out.flags |= AppFlag::kChunkedEnd;
  return out;
}

AppView http_response(const Payload& p, std::string_view text) {
  AppView out{App::kHttpResponse, 0, 0, Speaker::kServer};
  const Head head = read_head(text);
  const std::string_view status = text.size() >= 12 ? text.substr(9, 3) : std::string_view{};
  // RFC 9112 6.3: these never have a body, whatever they announce.
  const bool bodiless = status.starts_with("1") || status == "204" || status == "304";
  if (head.close || (text.starts_with("HTTP/1.0") && !head.keep_alive)) out.flags |= AppFlag::kConnectionClose;
  if (bodiless) announce(out, head, 0);
  else if (head.chunked) out.flags |= AppFlag::kChunked;
  else if (head.content_length) announce(out, head, *head.content_length);
  else if (head.bytes != 0) out.flags |= AppFlag::kUntilClose;
  if (head.chunked && ends_with_last_chunk(p)) out.flags |= AppFlag::kChunkedEnd;
  return out;
}

constexpr std::uint32_t kRecordHead = 5;

/// Where the last record ends that begins in this segment and shows its head. `first` is the end of the first one.
std::uint32_t last_record_ends(const Payload& p, std::uint32_t first) {
  std::uint32_t end = first;
  while (end + kRecordHead <= p.captured) {
    const std::uint8_t* head = p.data + end;
    if (head[0] < 0x14 || head[0] > 0x17 || head[1] != 3) break;
    end += kRecordHead + (static_cast<std::uint32_t>(head[3]) << 8 | head[4]);
  }
  return end;
}

/// RFC 8446 5.1: type, version 3.x, length of the record.
AppView tls_record(const Payload& p) {
  const std::uint32_t length = static_cast<std::uint32_t>(p.data[3]) << 8 | p.data[4];
  // RFC 5246 6.2.3: at most 2^14 + 2048 octets.
  if (p.data[1] != 3 || p.data[2] > 4 || length == 0 || length > 18432) return {App::kOpaque, 0, 0, Speaker::kUnknown};
  AppView out{App::kTlsData, AppFlag::kHasLength, last_record_ends(p, length + kRecordHead), Speaker::kUnknown};
  switch (p.data[0]) {
    case 0x14:
    case 0x16:
      out.app = App::kTlsHandshake;
      // RFC 8446 4: client_hello(1), server_hello(2).
      if (p.data[0] == 0x16 && p.captured > 5 && p.data[5] == 1) out.speaker = Speaker::kClient;
      if (p.data[0] == 0x16 && p.captured > 5 && p.data[5] == 2) out.speaker = Speaker::kServer;
      break;
    case 0x15: out.app = App::kTlsAlert; break;
    case 0x17: break;
    default: return {App::kOpaque, 0, 0, Speaker::kUnknown};
  }
  return out;
}

}  // namespace

AppView classify(const Payload& p) noexcept {
  if (p.captured == 0 || p.data == nullptr) return {};
  AppView opaque{App::kOpaque, 0, 0, Speaker::kUnknown};
  if (p.captured < 5) return opaque;
  if (p.data[0] >= 0x14 && p.data[0] <= 0x17) return tls_record(p);
  const std::uint32_t first = static_cast<std::uint32_t>(p.data[0]) << 24 | static_cast<std::uint32_t>(p.data[1]) << 16 |
                              static_cast<std::uint32_t>(p.data[2]) << 8 | p.data[3];
  const auto text = [&] {
    return std::string_view{reinterpret_cast<const char*>(p.data), std::min(p.captured, kHeadLimit)};
  };
  switch (first) {
    case word("GET "):
    case word("HEAD"):
    case word("POST"):
    case word("PUT "):
    case word("DELE"):
    case word("OPTI"):
    case word("PATC"):
    case word("TRAC"):
    case word("CONN"): return http_request(p, text());
    case word("HTTP"): return text().starts_with("HTTP/1.") ? http_response(p, text()) : opaque;
    case word("SSH-"): return {App::kSsh, 0, 0, Speaker::kUnknown};
    default: break;
  }
  // Session header (one zero octet, 24-bit length), then the dialect's signature.
  if (p.data[0] == 0 && p.captured >= 8 && (p.data[4] == 0xff || p.data[4] == 0xfe) && p.data[5] == 'S' &&
      p.data[6] == 'M' && p.data[7] == 'B') {
    const std::uint32_t length = static_cast<std::uint32_t>(p.data[1]) << 16 | static_cast<std::uint32_t>(p.data[2]) << 8 | p.data[3];
    return {App::kSmb, AppFlag::kHasLength, length + 4, Speaker::kUnknown};
  }
  // The last chunk of a chunked message usually comes at the end of a write.
  if ((p.tcp_flags & wire::Flag::kPsh) && ends_with_last_chunk(p)) opaque.flags |= AppFlag::kChunkedEnd;
  return opaque;
}

}  // namespace tcpwhy::flow
