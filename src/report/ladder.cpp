// One connection whole: the answer with everything behind it, then a ladder of
// its segments: time, direction, flags, relative numbers, what each frame was.

#include "report/ladder.hpp"

#include <fmt/format.h>

#include "report/words.hpp"

namespace tcpwhy::report {
namespace {

using facts::AckPlace;
using facts::Party;
using facts::Repeat;
using facts::RstShape;
using facts::SeqPlace;

/// tcpdump's letters.
std::string flag_letters(const facts::SegmentFact& s) {
  std::string out;
  if (s.syn()) out += 'S';
  if (s.fin()) out += 'F';
  if (s.rst()) out += 'R';
  if (s.flags & wire::Flag::kPsh) out += 'P';
  if (s.flags & wire::Flag::kUrg) out += 'U';
  if (s.has_ack()) out += '.';
  if (out.empty()) out = "none";
  return out;
}

std::string_view repeat_words(Repeat r) {
  switch (r) {
    case Repeat::kNone: return "";
    case Repeat::kSyn: return "SYN again";
    case Repeat::kSynAck: return "SYN-ACK again";
    case Repeat::kRto: return "sent again after a timeout";
    case Repeat::kFast: return "fast retransmit";
    case Repeat::kTlp: return "tail-loss probe";
    case Repeat::kSpurious: return "sent again although it had arrived";
    case Repeat::kKeepalive: return "keepalive probe";
    case Repeat::kZeroWindowProbe: return "zero-window probe";
    case Repeat::kFin: return "FIN again";
    case Repeat::kOutOfOrder: return "out of order";
    case Repeat::kNetworkDuplicate: return "duplicated by the network";
    case Repeat::kCaptureDuplicate: return "captured twice";
    case Repeat::kUnseenOriginal: return "fills a gap; the original was not captured";
    case Repeat::kAmbiguous: return "sent again or out of order";
  }
  return "";
}

std::string_view rst_words(RstShape r) {
  switch (r) {
    case RstShape::kNotRst: return "";
    case RstShape::kAnswerToSyn: return "RST answering a SYN";
    case RstShape::kPassive: return "RST answering a segment (no socket, or closed)";
    case RstShape::kPassiveStale: return "RST answering a segment this capture did not see";
    case RstShape::kActive: return "RST by the socket's owner (abort)";
    case RstShape::kActiveBare: return "RST in sequence, not in the shape of this connection's stack";
    case RstShape::kOutOfWindow: return "RST outside the window: its receiver ignores it";
    case RstShape::kOther: return "RST";
  }
  return "";
}

std::string note_words(const facts::Connection& c, std::size_t i) {
  const facts::SegmentFact& s = c.segments[i];
  const facts::Note& n = c.notes[i];
  std::string out;
  auto add = [&](std::string_view words) {
    if (words.empty()) return;
    if (!out.empty()) out += "; ";
    out += words;
  };
  if (s.rst())
    add(rst_words(n.rst_shape));
  else
    add(repeat_words(n.repeat));
  if (n.original >= 0) add(fmt::format("first in frame {}", c.segment(n.original).frame));
  if (n.provoked_by >= 0 && (s.rst() || n.challenge)) add(fmt::format("answers frame {}", c.segment(n.provoked_by).frame));
  if (n.challenge) add("challenge ACK");
  if (n.ack_place == AckPlace::kImpossible) add("acknowledges what was never sent");
  if (n.ack_place == AckPlace::kUnseen) add("acknowledges data the capture missed");
  if (n.seq_place == SeqPlace::kAhead) add("beyond a gap");
  if (n.seq_place == SeqPlace::kBeyondWindow) add("beyond the window");
  if (!s.rst() && !s.syn() && s.has_ack() && s.window == 0) add("window closed");
  if (s.dsack) add("reports a duplicate (D-SACK)");
  if (s.anomalies & wire::Anomaly::kBadTcpChecksum) add("bad checksum");
  switch (s.app) {
    case facts::App::kNone:
    case facts::App::kOpaque: break;
    case facts::App::kHttpRequest: add("HTTP request"); break;
    case facts::App::kHttpResponse: add("HTTP response"); break;
    case facts::App::kTlsHandshake: add("TLS handshake"); break;
    case facts::App::kTlsAlert: add("TLS alert"); break;
    case facts::App::kTlsData: add("TLS data"); break;
    case facts::App::kSsh: add("SSH"); break;
    case facts::App::kSmb: add("SMB"); break;
  }
  return out;
}

/// Numbers relative to each side's first, as tcpdump prints them.
struct Origin {
  SeqNum client, server;
  explicit Origin(const facts::Connection& c) {
    client = origin(c, Party::kClient);
    server = origin(c, Party::kServer);
  }
  static SeqNum origin(const facts::Connection& c, Party p) {
    const facts::StreamFacts& s = c.stream(p);
    if (s.syn_seen) return s.iss;
    if (s.first >= 0) return c.segment(s.first).seq;
    for (const facts::SegmentFact& f : c.segments)
      if (f.from() != p && f.has_ack()) return f.ack;
    return SeqNum{};
  }
};

std::string ladder_row(const facts::Connection& c, std::size_t i, const Origin& origin, CaptureTime previous) {
  const facts::SegmentFact& s = c.segments[i];
  const bool client = s.from() == Party::kClient;
  const std::int32_t seq = offset(client ? origin.client : origin.server, s.seq);
  const std::int32_t ack = s.has_ack() ? offset(client ? origin.server : origin.client, s.ack) : 0;
  std::string numbers = s.payload_bytes > 0 ? fmt::format("{}:{}", seq, static_cast<std::int64_t>(seq) + s.payload_bytes)
                                            : fmt::format("{}", seq);
  if (s.has_ack()) numbers += fmt::format(" ack {}", ack);
  return fmt::format("  {:>6} {:>11.6f} {:>+10.6f}  {} {:<4} {:<26} win {:<6} {}\n", s.frame, seconds(s.time - c.start),
                     seconds(s.time - previous), client ? "→" : "←", flag_letters(s), numbers,
                     c.notes[i].window_known ? c.notes[i].scaled_window : s.window, note_words(c, i));
}

}  // namespace

std::string answer_line(std::string_view sentence, std::string_view verdict, const TextOptions& options,
                        const Style& style) {
  const std::size_t used = display_width(sentence) + 2 + display_width(verdict);
  const std::string gap(used < options.columns ? options.columns - used + 2 : 2, ' ');
  if (used <= options.columns) return style.strong(sentence) + gap + style.warn(verdict) + "\n";
  std::string wrapped = wrap(sentence, "", "", options.columns - display_width(verdict) - 2);
  wrapped.pop_back();
  return style.strong(wrapped) + "  " + style.warn(verdict) + "\n";
}

std::string cited(const diagnose::Citation& citation) {
  std::string frames = frames_words(citation.frames);
  if (frames.empty()) return citation.text;
  return citation.text + " (" + frames + ")";
}

std::string answer_paragraph(const facts::Connection& c, const diagnose::Answer& answer, const TextOptions& options,
                             const Style& style) {
  std::string out;
  if (answer.diagnoses.empty() || answer.diagnoses.front().benign) {
    if (answer.first_unexplained_frame != 0)
      out += fmt::format("  ! frame {} is the first that no cause explains\n", answer.first_unexplained_frame);
    return out + "  filter: " + display_filter(c) + "\n";
  }
  const diagnose::Diagnosis& first = answer.diagnoses.front();
  for (const diagnose::Citation& e : first.evidence) out += wrap(cited(e), "  ! ", "    ", options.columns);
  std::string possible;
  for (std::size_t i = 1; i < answer.diagnoses.size(); ++i) {
    const diagnose::Diagnosis& d = answer.diagnoses[i];
    if (d.verdict == diagnose::Verdict::kPossible && !d.benign) {
      possible += (possible.empty() ? "" : ", ") + std::string{diagnose::to_string(d.cause)};
      continue;
    }
    out += wrap(fmt::format("{} [{}{}]", d.summary, diagnose::to_string(d.cause), d.benign ? ", harmless" : ""),
                d.verdict == diagnose::Verdict::kPossible ? "  perhaps: " : "  also: ", "    ", options.columns);
  }
  if (!possible.empty()) out += wrap(possible, "  it may be: ", "    ", options.columns);
  for (const diagnose::Rival& r : first.rivals) {
    if (r.verdict != diagnose::Verdict::kRuledOut || r.because.empty()) continue;
    std::string text = fmt::format("{}: {}", diagnose::to_string(r.cause), r.because);
    if (!r.frames.empty()) text += " (" + frames_words(r.frames) + ")";
    out += wrap(text, "  not it: ", "    ", options.columns);
  }
  if (!first.settles.empty()) out += wrap(first.settles, "  to be sure: ", "    ", options.columns);
  for (const std::string& fix : first.fix) out += wrap(fix, "  fix: ", "    ", options.columns);
  out += style.dim("  filter: " + display_filter(c)) + "\n";
  return out;
}

void write_ladder(std::FILE* out, const facts::Connection& c, const diagnose::Answer& answer,
                  const TextOptions& options) {
  const Style style{options.colour};
  std::string text;
  const std::string verdict =
      answer.diagnoses.empty() ? (answer.healthy ? "healthy" : "unexplained")
                               : std::string{diagnose::to_string(answer.diagnoses.front().verdict)};
  text += answer_line(answer.diagnoses.empty() ? (answer.healthy ? "Nothing is wrong with this connection."
                                                                 : "Nothing in the catalogue explains what was seen.")
                                               : answer.diagnoses.front().summary,
                      verdict, options, style);
  const facts::ZeekWords zeek = facts::zeek_words(c);
  text += fmt::format("  {} → {}  connection {}, {}, history {}, conn_state {}\n", facts::to_string(c.ends[0]),
                      facts::to_string(c.ends[1]), c.id, facts::to_string(c.outcome), zeek.history, zeek.conn_state);
  text += fmt::format("  at the end: client {}, server {}; seen at: {}\n", to_string(c.states[0]),
                      to_string(c.states[1]), facts::to_string(c.vantage));
  if (!answer.diagnoses.empty()) {
    text += style.dim("  " + std::string{diagnose::to_string(answer.diagnoses.front().cause)}) + "\n";
    if (answer.diagnoses.front().benign)
      for (const diagnose::Citation& e : answer.diagnoses.front().evidence)
        text += wrap(cited(e), "  ! ", "    ", options.columns);
    else
      text += answer_paragraph(c, answer, options, style);
  }
  const std::vector<std::string> limits = quality_words(c.quality);
  if (!limits.empty()) text += "  limits: " + fmt::format("{}", fmt::join(limits, ", ")) + "\n";
  text += fmt::format("\n  {:>6} {:>11} {:>10}  {:<2}{:<4} {:<26} {}\n", "frame", "time (s)", "step", "", "flag",
                      "seq, ack (relative)", "window, what it was");
  const Origin origin{c};
  CaptureTime previous = c.start;
  std::size_t icmp = 0;
  for (std::size_t i = 0; i < c.segments.size(); ++i) {
    for (; icmp < c.icmp.size() && c.icmp[icmp].time <= c.segments[i].time; ++icmp)
      text += fmt::format("  {:>6} {:>11.6f}             * ICMP type {} code {} from {} about seq {}\n", c.icmp[icmp].frame,
                          seconds(c.icmp[icmp].time - c.start), c.icmp[icmp].type, c.icmp[icmp].code,
                          facts::to_string(c.icmp[icmp].sender), c.icmp[icmp].quoted_seq.raw());
    text += ladder_row(c, i, origin, previous);
    previous = c.segments[i].time;
    if (static_cast<std::int32_t>(i) == c.gap_after)
      text += fmt::format("         … {} frames not kept …\n", c.frames - c.segments.size());
  }
  for (; icmp < c.icmp.size(); ++icmp)
    text += fmt::format("  {:>6} {:>11.6f}             * ICMP type {} code {} from {} about seq {}\n", c.icmp[icmp].frame,
                        seconds(c.icmp[icmp].time - c.start), c.icmp[icmp].type, c.icmp[icmp].code,
                        facts::to_string(c.icmp[icmp].sender), c.icmp[icmp].quoted_seq.raw());
  std::fwrite(text.data(), 1, text.size(), out);
}

}  // namespace tcpwhy::report
