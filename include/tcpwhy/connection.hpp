#pragma once
// The facts about one connection: what was observed, by whom, when. Nothing here
// decides anything. `flow` fills it, `diagnose` asks it, `report` shows it.

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tcpwhy/decode.hpp"
#include "tcpwhy/seq.hpp"
#include "tcpwhy/state.hpp"
#include "tcpwhy/time.hpp"

namespace tcpwhy::facts {

/// Who called connect(), who was called. Also the index into arrays of two.
enum class Party : std::uint8_t { kClient = 0, kServer = 1 };
constexpr Party other(Party p) { return p == Party::kClient ? Party::kServer : Party::kClient; }
constexpr std::size_t index(Party p) { return static_cast<std::size_t>(p); }

/// The blame a cause may name.
enum class Side : std::uint8_t { kClient, kServer, kPath, kUnknown };

struct Address {
  std::array<std::uint8_t, 16> bytes{};  ///< network order; IPv4 uses the first four
  std::uint8_t version = 4;
  /// Two words each: the default compares octet by octet, through a call.
  friend bool operator==(const Address& a, const Address& b) {
    std::uint64_t x[2], y[2];
    std::memcpy(x, a.bytes.data(), sizeof x);
    std::memcpy(y, b.bytes.data(), sizeof y);
    return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0 && a.version == b.version;
  }
  friend auto operator<=>(const Address&, const Address&) = default;
};
/// "192.0.2.10", "2001:db8::7".
std::string to_string(const Address& address);
std::optional<Address> parse_address(std::string_view text);

struct Endpoint {
  Address address;
  std::uint16_t port = 0;
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};
/// "192.0.2.10:443", "[2001:db8::7]:443".
std::string to_string(const Endpoint& endpoint);

/// What the first octets of a payload look like.
enum class App : std::uint8_t {
  kNone,           ///< no payload, or none captured
  kOpaque,
  kHttpRequest,
  kHttpResponse,
  kTlsHandshake,
  kTlsAlert,
  kTlsData,
  kSsh,
  kSmb,
};
struct AppFlag {
  static constexpr std::uint8_t kHasLength = 1 << 0,       ///< `app_length` is the whole message, head and body
      kChunked = 1 << 1, kUntilClose = 1 << 2,             ///< response ends with the connection
      kConnectionClose = 1 << 3,                           ///< says `Connection: close` (or HTTP/1.0 without keep-alive)
      kIdempotent = 1 << 4,                                ///< GET, HEAD, OPTIONS, TRACE: may be replayed
      kChunkedEnd = 1 << 5;                                ///< the segment ends with the final chunk
};

/// One TCP segment as this vantage saw it. Compact: a connection's story is an
/// array of these.
struct SegmentFact {
  CaptureTime time{};
  std::uint32_t frame = 0;        ///< 1-based in its file
  std::uint32_t link = 0;         ///< for flow's chains; meaningless outside
  SeqNum seq, ack;
  std::uint32_t payload_bytes = 0;
  std::uint32_t tsval = 0, tsecr = 0;
  SeqNum sack_left, sack_right;   ///< first SACK block, when sack_blocks > 0
  std::uint32_t app_length = 0;
  std::uint16_t window = 0;       ///< as on the wire
  std::uint16_t ip_id = 0;
  std::uint16_t mss = 0;          ///< of a SYN; of other segments see payload_digest()
  std::uint16_t options = 0;      ///< wire::Opt bits
  std::uint16_t anomalies = 0;    ///< wire::Anomaly bits
  std::uint8_t flags = 0;         ///< wire::Flag bits
  std::uint8_t ttl = 0;
  std::uint8_t window_scale : 4 = 0;  ///< of a SYN's option; 14 at most (RFC 7323 2.3)
  App app : 4 = App::kNone;
  std::uint8_t sack_blocks : 3 = 0;
  std::uint8_t dont_fragment : 1 = 0;
  std::uint8_t outbound : 1 = 0;  ///< the capture says the host it ran on sent it
  std::uint8_t inbound : 1 = 0;
  std::uint8_t dsack : 1 = 0;     ///< first SACK block reports a duplicate (RFC 2883)
  std::uint8_t from_server : 1 = 0;
  std::uint8_t app_flags = 0;
  std::uint8_t file = 0;          ///< index into the inputs

  [[nodiscard]] Party from() const { return from_server ? Party::kServer : Party::kClient; }
  [[nodiscard]] bool syn() const { return flags & wire::Flag::kSyn; }
  [[nodiscard]] bool fin() const { return flags & wire::Flag::kFin; }
  [[nodiscard]] bool rst() const { return flags & wire::Flag::kRst; }
  [[nodiscard]] bool has_ack() const { return flags & wire::Flag::kAck; }
  [[nodiscard]] bool has(std::uint16_t option) const { return options & option; }
  /// A digest of the first 16 octets of payload; 0 when fewer were captured. Two that differ come from different
  /// octets. It has the room of the MSS, which only a SYN has.
  [[nodiscard]] std::uint16_t payload_digest() const { return syn() ? std::uint16_t{0} : mss; }
  /// SEG.LEN: octets of sequence space used (RFC 9293 3.4).
  [[nodiscard]] std::uint32_t length() const { return payload_bytes + (syn() ? 1u : 0u) + (fin() ? 1u : 0u); }
  [[nodiscard]] SeqNum end() const { return seq + length(); }
};
static_assert(sizeof(SegmentFact) == 64);

/// Its payload begins with the head of a TLS record.
constexpr bool is_tls(const SegmentFact& s) {
  return s.app == App::kTlsData || s.app == App::kTlsHandshake || s.app == App::kTlsAlert;
}

/// Why a segment repeats sequence space that was sent before, or carries none
/// of its own on purpose.
enum class Repeat : std::uint8_t {
  kNone,
  kSyn,               ///< SYN again
  kSynAck,            ///< SYN-ACK again
  kRto,               ///< retransmission timeout
  kFast,              ///< fast retransmit (dup ACKs or SACK came first)
  kTlp,               ///< tail-loss probe (Linux: about 2 SRTT after the last segment)
  kSpurious,          ///< the original had arrived: shown by D-SACK, timestamp echo or a crossing ACK
  kKeepalive,         ///< seq = snd_una - 1, none or one octet, peer's window open
  kZeroWindowProbe,   ///< the same shape (Linux) or one octet (BSD) into a closed window
  kFin,               ///< FIN again
  kOutOfOrder,        ///< not a repeat: the network (or capture) changed the order
  kNetworkDuplicate,  ///< the same IP packet twice (same IP ID, later in time or other TTL)
  kCaptureDuplicate,  ///< the same packet captured twice
  kUnseenOriginal,    ///< fills a gap; whether it is a repeat cannot be told: the capture began late or lost it
  kAmbiguous,         ///< repeat or reordering; nothing decides
};

/// How an ACK number relates to what the other side was seen to send.
enum class AckPlace : std::uint8_t {
  kNoAck,        ///< ACK flag clear
  kUnknown,      ///< the other side's numbers were not seen
  kNew,          ///< acknowledges something new that was seen
  kDuplicate,    ///< same as before, no payload, nothing else new
  kCurrent,      ///< same as before, with payload or window change or so
  kOld,          ///< below the highest seen
  kUnseen,       ///< a little beyond what was captured: the capture missed data
  kImpossible,   ///< acknowledges what cannot have been sent (far beyond, or before the ISN)
};

/// How a segment's sequence number lies relative to what its receiver could take.
enum class SeqPlace : std::uint8_t {
  kUnknown,
  kNext,           ///< exactly the next expected
  kAhead,          ///< inside the window, beyond a gap
  kBehind,         ///< repeats (partly) what was sent before
  kBeforeWindow,   ///< entirely left of what was acknowledged
  kBeyondWindow,   ///< right of the offered window
};

/// Shape of a RST by what its bytes are. linux-tcp: 7.1, 7.2, 7.3.
enum class RstShape : std::uint8_t {
  kNotRst,
  kAnswerToSyn,    ///< RST+ACK, seq 0 (or the ISS), ack = SYN + 1 (+ data)
  kPassive,        ///< RST without ACK, seq = an ACK number the sender had just received; window 0, no options
  kPassiveStale,   ///< as before, but seq matches no ACK number seen going to it
  kActive,         ///< RST+ACK in sequence, live window, the connection's timestamps
  kActiveBare,     ///< RST+ACK in sequence, but window 0 or the connection's timestamps missing
  kOutOfWindow,    ///< seq no receiver of this connection could accept
  kOther,
};

/// Annotations of one SegmentFact, computed by flow from the whole story.
struct Note {
  Repeat repeat = Repeat::kNone;
  AckPlace ack_place = AckPlace::kUnknown;
  SeqPlace seq_place = SeqPlace::kUnknown;
  RstShape rst_shape = RstShape::kNotRst;
  std::int32_t original = -1;    ///< index of the segment this one repeats, -1 none or unseen
  std::int32_t provoked_by = -1; ///< index of the segment this one answers (RST, SYN-ACK, challenge ACK), -1 unknown
  std::uint32_t unacked_after = 0;  ///< octets the sender has outstanding after this segment
  std::uint32_t scaled_window = 0;  ///< the window in octets, or 0 with window_known false
  bool window_known = false;
  bool challenge = false;        ///< an empty ACK that answers an unacceptable segment (RFC 5961, RFC 9293 3.10.7.4)
};

/// An ICMP error that quoted a segment of this connection.
struct IcmpFact {
  CaptureTime time{};
  std::uint32_t frame = 0;
  std::uint8_t file = 0;
  std::uint8_t version = 4;      ///< 4: ICMP, 6: ICMPv6
  std::uint8_t type = 0, code = 0;
  std::uint16_t mtu = 0;
  std::uint8_t ttl = 0;          ///< of the ICMP packet itself
  Address sender;
  Party quoted_from = Party::kClient;  ///< whose segment it quotes
  SeqNum quoted_seq;
};

using tcpwhy::State;

enum class Outcome : std::uint8_t {
  kCompleted, kOpen, kHalfClosed, kRefused, kUnanswered, kHandshakeFailed, kReset, kTimedOut, kStalled, kPartial,
};
std::string_view to_string(Outcome outcome);  ///< product.md section 3

/// Where the capture was taken, relative to this connection.
enum class Vantage : std::uint8_t { kUnknown, kClient, kServer, kBetween };
std::string_view to_string(Vantage vantage);

/// A question that observation may not be able to answer.
enum class Seen : std::uint8_t { kNo, kYes, kUnknown };

/// What limits the claims about this connection.
struct Quality {
  bool one_direction = false;       ///< only one side's segments were captured
  Party only_from = Party::kClient; ///< meaningful with one_direction
  bool began_late = false;          ///< the handshake lies before the capture
  bool ended_early = false;         ///< still going on (within a few RTOs) when the capture ended
  bool capture_gap = false;         ///< data acknowledged that was never recorded
  bool coverage_cut = false;        ///< the capture paused or lost packets later on: watched until Connection::capture_end only
  bool capture_duplicates = false;
  bool capture_reordered = false;   ///< the capture, not the network, changed the order
  bool truncated = false;           ///< the snap length cut payload
  bool super_frames = false;        ///< segments larger than the MSS: offload merged or not yet split them
  bool checksum_offload = false;    ///< bad checksums are the sender's offload, not corruption
  bool clock_stepped = false;       ///< time went backwards
  bool story_incomplete = false;    ///< not all segments were kept (bounded memory): see Connection::gap_after
};

/// What one side was seen to do.
struct StreamFacts {
  bool seen = false;                 ///< at least one segment from this side
  bool syn_seen = false;
  SeqNum iss;                        ///< valid with syn_seen
  bool fin_seen = false;
  SeqNum fin_seq;                    ///< sequence number of the FIN itself
  bool fin_acked = false;
  bool fin_not_kept = false;         ///< a FIN was seen in the dropped part of the story (story_incomplete); fin_seen is false
  bool rst_seen = false;
  SeqNum max_end;                    ///< highest seq + length seen (RST excluded)
  SeqNum max_ack;                    ///< highest ACK number this side sent
  bool ack_seen = false;
  std::uint16_t mss = 0;             ///< offered in its SYN, 0 none
  std::uint16_t syn_options = 0;     ///< wire::Opt bits of its SYN
  std::uint8_t window_shift = 0;     ///< in force for windows this side sends; 0 if either side did not offer
  bool scaling_known = false;
  bool timestamps = false;           ///< both SYNs carried the option (or mid-stream: seen in use)
  bool sack = false;
  std::uint8_t ttl = 0;              ///< of its first segment
  std::uint16_t syn_window = 0;
  std::uint64_t packets = 0, payload_bytes = 0;  ///< payload counted as on the wire, repeats included
  std::uint64_t unique_bytes = 0;    ///< sequence space of payload, repeats not counted
  std::uint32_t syn_count = 0;       ///< SYNs (client) or SYN-ACKs (server) seen
  std::uint32_t repeats = 0;         ///< retransmitted segments of any kind but keepalive and probes
  std::uint32_t zero_windows = 0;    ///< segments that closed the window
  std::uint32_t keepalives = 0;
  std::uint32_t bad_checksums = 0;
  bool checksum_offload = false;     ///< and they are not corruption: this side leaves its sums to its network card
  std::int32_t first = -1, last = -1;               ///< indices into Connection::segments
  std::int32_t first_data = -1, last_data = -1;
  std::int32_t fin = -1, rst = -1;                  ///< first FIN, first RST
};

/// One request and its answer, as turns of the conversation (HTTP or opaque).
struct Exchange {
  std::int32_t request = -1;        ///< first segment of the request
  std::int32_t request_end = -1;    ///< last new segment of the request
  std::int32_t response = -1;       ///< first segment of the response that came, -1 none
  std::int32_t response_end = -1;
  SeqNum response_seq;              ///< where the response begins, valid with response >= 0: its first octets may have come late
  bool response_complete = false;   ///< an announced length (or chunked end, TLS close) was reached, or the next request followed
  bool record_cut = false;          ///< the FIN stands inside a TLS record
  std::uint32_t record_octets = 0, record_kept = 0;  ///< with record_cut: from where its segment began, announced and sent
  bool last_chunk_missing = false;  ///< a chunked response, and the FIN follows octets that are not its last chunk
  bool announced = false;           ///< the length of the response was announced
  std::uint64_t announced_bytes = 0, delivered_bytes = 0;
};

/// What is unusual about a connection, in bits. `flow` sets them; a cause is
/// examined only where one of the bits it names is set, and a connection with
/// none is healthy without further ado.
struct Signal {
  static constexpr std::uint64_t kSynUnanswered = 1ull << 0,  ///< SYN seen, nothing came back
      kSynRefused = 1ull << 1,          ///< RST or ICMP error in answer to the SYN
      kSynRepeated = 1ull << 2,
      kSynAckRepeated = 1ull << 3,
      kHandshakeIncomplete = 1ull << 4, ///< SYN-ACK seen, no acceptable ACK of the client
      kSynAnsweredByAck = 1ull << 5,    ///< a SYN met a bare ACK (challenge, TIME_WAIT)
      kSecondSynAck = 1ull << 6,        ///< SYN-ACKs with different numbers for one SYN
      kReset = 1ull << 7,               ///< any RST
      kRepeat = 1ull << 8,              ///< data or FIN sent again
      kOutOfOrder = 1ull << 9,
      kDuplicate = 1ull << 10,          ///< network or capture duplicates
      kZeroWindow = 1ull << 11,
      kKeepalive = 1ull << 12,
      kImpossibleAck = 1ull << 13,
      kOutOfWindow = 1ull << 14,
      kIcmp = 1ull << 15,
      kBadChecksum = 1ull << 16,        ///< not explained by offload
      kTimestampRegress = 1ull << 17,   ///< TSval of one side went backwards
      kUnackedAtEnd = 1ull << 18,       ///< data or FIN unacknowledged when the story ends
      kUnansweredAtEnd = 1ull << 19,    ///< a request acknowledged, no answer when the story ends
      kOpenAtEnd = 1ull << 20,          ///< established, neither FIN nor RST
      kHalfClosedAtEnd = 1ull << 21,    ///< one FIN only
      kLongGap = 1ull << 22,            ///< silence above 5 s inside the story
      kSlowResponse = 1ull << 23,       ///< more than 1 s between a request and the first octet of its answer
      kReuse = 1ull << 24,              ///< the 4-tuple was used before within the capture
      kTupleAlive = 1ull << 25,         ///< a SYN met a connection of the same tuple that was not closed
      kCaptureGap = 1ull << 26,
      kMidStream = 1ull << 27,
      kOneDirection = 1ull << 28,
      kOptionChange = 1ull << 29,       ///< options of SYN and SYN-ACK at odds with what followed
      kConflictingData = 1ull << 30,    ///< two payloads for the same numbers
      kTtlChange = 1ull << 31,          ///< TTL of one side moved by more than 1
      kFastOpen = 1ull << 32,
      kNoPayload = 1ull << 33,          ///< opened and closed, nothing sent
      kSimultaneousOpen = 1ull << 34,
      kSimultaneousClose = 1ull << 35,
      kAnnouncedShort = 1ull << 36,     ///< a FIN came before the announced length
      kEarlyClose = 1ull << 37,         ///< a FIN or RST while a request was unanswered
      kAuthentication = 1ull << 38,     ///< MD5 or TCP-AO option seen
      kCookieLike = 1ull << 39,         ///< SYN-ACK lacks options that were offered
      kLargeVanish = 1ull << 40,        ///< full-size segments unacknowledged while small ones pass
      kDsack = 1ull << 41,
      kSynWithData = 1ull << 42,
      kRoutingLoop = 1ull << 43,        ///< the same packet again with a lower TTL
      kEvicted = 1ull << 44,            ///< let go to keep memory bounded
      kTupleTaken = 1ull << 45;         ///< a later SYN on its 4-tuple was answered with its numbers: it was still held
};

/// Everything observed about one connection.
///
/// `segments` is the whole story when !quality.story_incomplete. Otherwise the
/// segments after index `gap_after` follow an unknown number of dropped ones,
/// and the counters of `streams` still cover all of them.
struct Connection {
  std::uint64_t id = 0;                        ///< order of first frames, from 0, as Wireshark's tcp.stream counts
  std::array<Endpoint, 2> ends;                ///< by Party
  bool roles_inferred = false;                 ///< no SYN seen; client is who most likely called
  std::uint32_t tunnel = 0;
  std::uint16_t interface = 0;
  std::vector<std::uint8_t> files;
  CaptureTime start{}, end{};
  std::uint32_t first_frame = 0, last_frame = 0;
  std::uint64_t frames = 0;
  std::array<StreamFacts, 2> streams;          ///< by Party
  std::vector<SegmentFact> segments;
  std::vector<Note> notes;                     ///< parallel to segments
  std::int32_t gap_after = -1;
  std::vector<IcmpFact> icmp;
  std::vector<Exchange> exchanges;             ///< the last few hundred at most; `turns` counts all
  std::uint32_t turns = 0;                     ///< requests seen in all (changes of direction client → server)

  // Marks of the story: indices into segments, -1 when unseen.
  std::int32_t syn = -1, syn_ack = -1, handshake_ack = -1;  ///< first of each; handshake_ack: first acceptable ACK of the client after a SYN-ACK, data or not
  std::optional<Duration> handshake_rtt;       ///< SYN-ACK to client's ACK at the server, SYN to SYN-ACK at the client, their sum between
  std::optional<Duration> rtt_to_server, rtt_to_client;  ///< from the vantage

  std::uint64_t signals = 0;                   ///< Signal bits
  [[nodiscard]] bool has(std::uint64_t signal) const { return (signals & signal) != 0; }

  std::array<State, 2> states{};               ///< at the end, as far as the vantage shows
  Outcome outcome = Outcome::kPartial;
  std::optional<Party> ended_by;
  bool ended_by_network = false;               ///< the ending RST came from neither endpoint
  Vantage vantage = Vantage::kUnknown;
  Quality quality;

  // Neighbours in time on the same 4-tuple.
  std::optional<CaptureTime> previous_end;     ///< last frame of the previous incarnation
  bool previous_closed = false;                ///< and it had been closed by FIN both ways or RST
  SeqNum previous_client_next, previous_server_next;  ///< its last numbers, valid with previous_end
  Party previous_closer = Party::kClient;      ///< who sent the first FIN of it
  std::uint8_t previous_client_ttl = 0;        ///< of the client's last segments in it, 0 unknown
  std::uint16_t previous_syn_window = 0, previous_syn_options = 0;  ///< of its SYN, when that was seen
  std::uint32_t previous_client_tsval = 0;     ///< the client's last TSval in it, 0 none

  std::optional<CaptureTime> challenged_at;    ///< a later SYN on this 4-tuple got an ACK with this connection's numbers
  std::uint32_t challenged_frame = 0;          ///< that ACK, valid with challenged_at
  std::uint64_t challenged_by = 0;             ///< id of the attempt that sent the SYN

  CaptureTime capture_begin{}, capture_end{};  ///< of the input it was seen in: coverage

  [[nodiscard]] const StreamFacts& stream(Party p) const { return streams[index(p)]; }
  [[nodiscard]] const SegmentFact& segment(std::int32_t i) const { return segments[static_cast<std::size_t>(i)]; }
  [[nodiscard]] const Note& note(std::int32_t i) const { return notes[static_cast<std::size_t>(i)]; }
};

/// An annotated connection in the words of Zeek's conn.log.
struct ZeekWords {
  std::string history;
  std::string conn_state;
};
ZeekWords zeek_words(const Connection& connection);

}  // namespace tcpwhy::facts
