#pragma once
// Stories as text. A ladder is one line per segment, written as one reads it in
// a capture; connection() turns it into the annotated facts::Connection that
// flow would have told.
//
//   # handshake, a request, an answer                 (comments and empty lines are skipped)
//   @vantage client                                   (client, server, between; default between)
//   0.000 > S 100 <mss 1460,sackok,ts,ws 7>           time, direction, flags, seq
//   0.010 < SA 300 101 <mss 1460,sackok,ts,ws 7>      ... and ack
//   0.010 > A 101 301
//   0.011 > PA 101:201 301 http-req idem              payload as seq:end or seq(octets)
//   +0.02 < A 301 201                                 + is after the previous line
//   0.090 < PA 301(500) 201 http-resp length 500
//
// `>` is client to server. Flags are tcpdump's letters: S F R P A U E W. After
// the numbers, in any order:
//   win N, ttl N, id N, frame N, file N               fields (window as on the wire)
//   <mss N,ws N,sackok,ts [VAL ECR],sack L:R,dsack L:R,tfo,md5,ao>   options
//   nots, nodf, in, out, bad, partial, cut            no timestamps though in use; no DF; frame direction;
//                                                     bad checksum; partial checksum; payload cut by snaplen
//   opaque, http-req, http-resp, tls, tls-hs, tls-alert, ssh, smb    what the payload looks like (default opaque)
//   length N, chunked, chunked-end, until-close, close, idem         what its head says
// Where both SYNs offered timestamps they are filled in, 1 ms per tick. IP IDs
// count per side; a SYN-ACK and a bare R have ID 0, a bare R window 0 and no options.
//
// Directives: @begin T, @end T (extent of the capture; default one second before, a minute after),
// @ttl CLIENT SERVER, @vantage, @client ADDR:PORT, @server ADDR:PORT, @inferred (roles were guessed),
// @previous closed|alive END_T CLIENT_NEXT SERVER_NEXT client|server (who closed first),
// @icmp T >|< TYPE CODE SEQ [SENDER] (it quotes a segment of that direction), @gap-after INDEX, @incomplete.

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tcpwhy/connection.hpp"
#include "tcpwhy/track.hpp"

namespace tcpwhy::ladder {

/// Where ladders begin: time 0 of a ladder is this many seconds after the epoch.
inline constexpr std::int64_t kEpoch = 1'700'000'000;

inline CaptureTime at(double t) {
  return CaptureTime{std::chrono::seconds{kEpoch} + Duration{static_cast<std::int64_t>(std::llround(t * 1e9))}};
}

namespace detail {

[[noreturn]] inline void wrong(std::string_view line, std::string_view why) {
  throw std::runtime_error("ladder: " + std::string{why} + ": " + std::string{line});
}

inline std::uint32_t number(std::string_view text, std::string_view line) {
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) wrong(line, "not a number: " + std::string{text});
  return static_cast<std::uint32_t>(value);
}

inline std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> out;
  std::istringstream in{text};
  for (std::string part; std::getline(in, part, separator);)
    if (!part.empty()) out.push_back(part);
  return out;
}

/// Splits on spaces, keeping <...> together.
inline std::vector<std::string> words(std::string_view line) {
  std::vector<std::string> out;
  std::string word;
  int depth = 0;
  for (char ch : line) {
    if (ch == '<' && word.empty() && depth == 0) {
      depth = 1;
      word += ch;
      continue;
    }
    if (ch == '>' && depth == 1) depth = 0;
    // A lone `<` or `>` is a direction.
    if (ch == ' ' && (depth == 0 || word == "<")) {
      if (!word.empty()) out.push_back(word);
      word.clear();
      depth = 0;
      continue;
    }
    word += ch;
  }
  if (!word.empty()) out.push_back(word);
  return out;
}

inline facts::Endpoint endpoint(const std::string& text, std::string_view line) {
  const auto colon = text.rfind(':');
  std::string host = text.substr(0, colon);
  if (!host.empty() && host.front() == '[') host = host.substr(1, host.size() - 2);
  auto address = facts::parse_address(host);
  if (!address) wrong(line, "not an address");
  return {*address, static_cast<std::uint16_t>(number(std::string_view{text}.substr(colon + 1), line))};
}

inline std::uint8_t flag_bits(std::string_view letters, std::string_view line) {
  std::uint8_t flags = 0;
  for (char ch : letters) switch (ch) {
      case 'S': flags |= wire::Flag::kSyn; break;
      case 'F': flags |= wire::Flag::kFin; break;
      case 'R': flags |= wire::Flag::kRst; break;
      case 'P': flags |= wire::Flag::kPsh; break;
      case 'A': case '.': flags |= wire::Flag::kAck; break;
      case 'U': flags |= wire::Flag::kUrg; break;
      case 'E': flags |= wire::Flag::kEce; break;
      case 'W': flags |= wire::Flag::kCwr; break;
      case '0': break;
      default: wrong(line, "unknown flag");
    }
  return flags;
}

struct Side {
  std::uint8_t ttl = 62;
  std::uint16_t next_id = 0;
  std::uint32_t ts_base = 0;
  std::uint32_t last_tsval = 0;
  std::uint16_t syn_options = 0;
  bool syn = false;
};

struct Builder {
  facts::Connection c;
  Side sides[2] = {{62, 0x1001, 90'001, 0, 0, false}, {62, 0x8001, 7'000'003, 0, 0, false}};
  double now = 0, begin = 0, end = 0;
  bool begin_set = false, end_set = false;

  [[nodiscard]] bool both_offered(std::uint16_t option) const {
    return (sides[0].syn_options & sides[1].syn_options & option) != 0;
  }
  double time(const std::string& text) const {
    return text.front() == '+' ? now + std::strtod(text.c_str() + 1, nullptr) : std::strtod(text.c_str(), nullptr);
  }

  void directive(const std::vector<std::string>& w, std::string_view line) {
    const std::string& name = w[0];
    if (name == "@begin") { begin = time(w.at(1)); begin_set = true; }
    else if (name == "@end") { end = time(w.at(1)); end_set = true; }
    else if (name == "@ttl") {
      for (std::size_t p : {0u, 1u}) sides[p].ttl = static_cast<std::uint8_t>(number(w.at(p + 1), line));
    } else if (name == "@vantage") {
      sides[0].ttl = w.at(1) == "client" ? 64 : w.at(1) == "server" ? 61 : 62;
      sides[1].ttl = w.at(1) == "server" ? 64 : w.at(1) == "client" ? 61 : 62;
    } else if (name == "@client") c.ends[0] = endpoint(w.at(1), line);
    else if (name == "@server") c.ends[1] = endpoint(w.at(1), line);
    else if (name == "@inferred") c.roles_inferred = true;
    else if (name == "@incomplete") c.quality.story_incomplete = true;
    else if (name == "@gap-after") {
      c.gap_after = static_cast<std::int32_t>(number(w.at(1), line));
      c.quality.story_incomplete = true;
    } else if (name == "@previous") {
      c.previous_closed = w.at(1) == "closed";
      c.previous_end = at(time(w.at(2)));
      c.previous_client_next = SeqNum{number(w.at(3), line)};
      c.previous_server_next = SeqNum{number(w.at(4), line)};
      c.previous_closer = w.size() > 5 && w[5] == "server" ? facts::Party::kServer : facts::Party::kClient;
    } else if (name == "@icmp") {
      facts::IcmpFact icmp;
      icmp.time = at(time(w.at(1)));
      icmp.quoted_from = w.at(2) == ">" ? facts::Party::kClient : facts::Party::kServer;
      icmp.type = static_cast<std::uint8_t>(number(w.at(3), line));
      icmp.code = static_cast<std::uint8_t>(number(w.at(4), line));
      icmp.quoted_seq = SeqNum{number(w.at(5), line)};
      icmp.sender = *facts::parse_address(w.size() > 6 ? w[6] : "198.51.100.1");
      icmp.ttl = 63;
      icmp.frame = static_cast<std::uint32_t>(c.segments.size() + c.icmp.size() + 1);
      c.icmp.push_back(icmp);
    } else wrong(line, "unknown directive");
  }

  void options(const std::string& text, facts::SegmentFact& s, bool& explicit_ts, std::string_view line) {
    for (const std::string& option : split(text.substr(1, text.size() - 2), ',')) {
      const auto w = split(option, ' ');
      if (w[0] == "mss") { s.options |= wire::Opt::kMss; s.mss = static_cast<std::uint16_t>(number(w.at(1), line)); }
      else if (w[0] == "ws") {
        s.options |= wire::Opt::kWindowScale;
        s.window_scale = static_cast<std::uint8_t>(number(w.at(1), line) & 15);
      } else if (w[0] == "sackok") s.options |= wire::Opt::kSackPermitted;
      else if (w[0] == "ts") {
        s.options |= wire::Opt::kTimestamps;
        if (w.size() > 2) { s.tsval = number(w[1], line); s.tsecr = number(w[2], line); explicit_ts = true; }
      } else if (w[0] == "sack" || w[0] == "dsack") {
        const auto edges = split(w.at(1), ':');
        s.options |= wire::Opt::kSack;
        if (s.sack_blocks == 0) { s.sack_left = SeqNum{number(edges.at(0), line)}; s.sack_right = SeqNum{number(edges.at(1), line)}; }
        s.sack_blocks = static_cast<std::uint8_t>((s.sack_blocks + 1) & 7);
        if (w[0] == "dsack") s.dsack = 1;
      } else if (w[0] == "tfo") s.options |= wire::Opt::kFastOpen;
      else if (w[0] == "md5") s.options |= wire::Opt::kMd5;
      else if (w[0] == "ao") s.options |= wire::Opt::kAo;
      else wrong(line, "unknown option " + w[0]);
    }
  }

  void segment(const std::vector<std::string>& w, std::string_view line) {
    facts::SegmentFact s;
    now = time(w.at(0));
    s.time = at(now);
    if (w.at(1) != ">" && w[1] != "<") wrong(line, "direction");
    s.from_server = w[1] == "<" ? 1 : 0;
    Side& me = sides[s.from_server];
    Side& peer = sides[1 - s.from_server];
    s.flags = flag_bits(w.at(2), line);
    const std::string& numbers = w.at(3);
    const auto colon = numbers.find_first_of(":(");
    s.seq = SeqNum{number(std::string_view{numbers}.substr(0, colon), line)};
    if (colon != std::string::npos) {
      if (numbers[colon] == ':')
        s.payload_bytes = distance(s.seq, SeqNum{number(std::string_view{numbers}.substr(colon + 1), line)});
      else
        s.payload_bytes = number(std::string_view{numbers}.substr(colon + 1, numbers.size() - colon - 2), line);
    }
    std::size_t next = 4;
    if (s.has_ack()) {
      if (next >= w.size()) wrong(line, "ACK without number");
      s.ack = SeqNum{number(w[next++], line)};
    }
    const bool bare_rst = s.rst() && !s.has_ack();
    const bool answer_rst = bare_rst || (s.rst() && s.seq == SeqNum{0});
    const bool scaled = both_offered(wire::Opt::kWindowScale);
    s.window = static_cast<std::uint16_t>(answer_rst ? 0 : s.syn() ? 64240 : scaled ? 502 : 64240);
    s.ttl = me.ttl;
    s.dont_fragment = 1;
    s.frame = static_cast<std::uint32_t>(c.segments.size() + c.icmp.size() + 1);
    s.app = s.payload_bytes ? facts::App::kOpaque : facts::App::kNone;
    bool id_set = false, ts_set = false, timestamps = !answer_rst && !s.syn() && both_offered(wire::Opt::kTimestamps);
    for (; next < w.size(); ++next) {
      const std::string& key = w[next];
      auto value = [&] { return number(w.at(++next), line); };
      if (key == "win") s.window = static_cast<std::uint16_t>(value());
      else if (key == "ttl") s.ttl = static_cast<std::uint8_t>(value());
      else if (key == "id") { s.ip_id = static_cast<std::uint16_t>(value()); id_set = true; }
      else if (key == "frame") s.frame = value();
      else if (key == "file") s.file = static_cast<std::uint8_t>(value());
      else if (key == "nots") timestamps = false;
      else if (key == "nodf") s.dont_fragment = 0;
      else if (key == "in") s.inbound = 1;
      else if (key == "out") s.outbound = 1;
      else if (key == "bad") s.anomalies |= wire::Anomaly::kBadTcpChecksum | wire::Anomaly::kChecksumSeen;
      else if (key == "partial") s.anomalies |= wire::Anomaly::kPartialChecksum | wire::Anomaly::kChecksumSeen;
      else if (key == "cut") s.anomalies |= wire::Anomaly::kTruncatedPayload;
      else if (key == "opaque") s.app = facts::App::kOpaque;
      else if (key == "http-req") s.app = facts::App::kHttpRequest;
      else if (key == "http-resp") s.app = facts::App::kHttpResponse;
      else if (key == "tls") s.app = facts::App::kTlsData;
      else if (key == "tls-hs") s.app = facts::App::kTlsHandshake;
      else if (key == "tls-alert") s.app = facts::App::kTlsAlert;
      else if (key == "ssh") s.app = facts::App::kSsh;
      else if (key == "smb") s.app = facts::App::kSmb;
      else if (key == "length") { s.app_length = value(); s.app_flags |= facts::AppFlag::kHasLength; }
      else if (key == "chunked") s.app_flags |= facts::AppFlag::kChunked;
      else if (key == "chunked-end") s.app_flags |= facts::AppFlag::kChunkedEnd;
      else if (key == "until-close") s.app_flags |= facts::AppFlag::kUntilClose;
      else if (key == "close") s.app_flags |= facts::AppFlag::kConnectionClose;
      else if (key == "idem") s.app_flags |= facts::AppFlag::kIdempotent;
      else if (key.front() == '<') options(key, s, ts_set, line);
      else wrong(line, "unknown word " + key);
    }
    if (timestamps) s.options |= wire::Opt::kTimestamps;
    if (s.has(wire::Opt::kTimestamps) && !ts_set) {
      s.tsval = me.ts_base + static_cast<std::uint32_t>(std::llround(now * 1e3));
      s.tsecr = s.has_ack() ? peer.last_tsval : 0;
    }
    if (!id_set) s.ip_id = answer_rst || (s.syn() && s.has_ack()) ? std::uint16_t{0} : me.next_id++;
    if (s.has(wire::Opt::kTimestamps)) me.last_tsval = s.tsval;
    if (s.syn()) { me.syn = true; me.syn_options = s.options; }
    c.segments.push_back(s);
  }

  facts::Connection build(std::string_view text) {
    c.ends[0] = endpoint("192.0.2.10:40112", "");
    c.ends[1] = endpoint("198.51.100.7:443", "");
    std::istringstream in{std::string{text}};
    for (std::string line; std::getline(in, line);) {
      if (const auto hash = line.find('#'); hash != std::string::npos) line.resize(hash);
      const auto w = words(line);
      if (w.empty()) continue;
      if (w[0].front() == '@') directive(w, line);
      else segment(w, line);
    }
    if (c.segments.empty()) throw std::runtime_error("ladder: no segments");
    c.start = c.segments.front().time;
    c.end = c.segments.back().time;
    c.first_frame = c.segments.front().frame;
    c.last_frame = c.segments.back().frame;
    c.frames = c.segments.size();
    c.files = {0};
    c.capture_begin = begin_set ? at(begin) : c.start - std::chrono::seconds{1};
    c.capture_end = end_set ? at(end) : c.end + std::chrono::seconds{60};
    return std::move(c);
  }
};

}  // namespace detail

/// The segments and coverage a tracker would hand over, nothing annotated yet.
/// Throws std::runtime_error on a line it does not understand.
inline facts::Connection gathered(std::string_view text) { return detail::Builder{}.build(text); }

/// The annotated connection.
inline facts::Connection connection(std::string_view text) {
  facts::Connection c = gathered(text);
  flow::annotate(c);
  return c;
}

}  // namespace tcpwhy::ladder
