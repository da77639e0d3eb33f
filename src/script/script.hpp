#pragma once
// What a packetdrill script says, as values. Parsing understands; nothing is
// run here. Notation: github.com/google/packetdrill, its syntax reference.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tcpwhy/seq.hpp"
#include "tcpwhy/time.hpp"

namespace tcpwhy::script {

/// Something a script says that we cannot follow, and where it says it.
struct Complaint {
  int line = 0;
  std::string message;
};

/// `-D NAME=value` of the command line, and `--define` of the script.
using Definitions = std::map<std::string, std::string>;

// ---- Arguments of system calls ---------------------------------------------------------------------

struct Expr;
using ExprList = std::vector<Expr>;

/// `{name=value, name=value}`, or `{value, value}` with empty names. A name may
/// carry its length: `msg_iov(4)=[...]`.
struct Field {
  std::string name;
  std::optional<std::int64_t> length;
  std::shared_ptr<Expr> value;
};

struct Expr {
  enum class Kind : std::uint8_t {
    kEllipsis,
    kInteger,
    kWord,
    kString,
    kList,    ///< [a, b]
    kStruct,  ///< {a=b, ...}
    kCall,    ///< htons(8080)
  };
  Kind kind = Kind::kEllipsis;
  std::int64_t number = 0;
  std::string text;           ///< the word, the octets of a string, or the name of a call
  ExprList items;             ///< of a list or a call
  std::vector<Field> fields;  ///< of a struct
};

// ---- Packets ----------------------------------------------------------------------------------------

enum class Direction : std::uint8_t { kIn, kOut };

/// What the script says of the ECN field or the whole traffic-class octet.
enum class TosCheck : std::uint8_t { kNone, kEcn, kEct01, kTos };

struct SackBlock {
  std::uint32_t left = 0, right = 0;
  friend bool operator==(const SackBlock&, const SackBlock&) = default;
};

/// One TCP option as written; the order on the wire is the script's.
struct Option {
  enum class Kind : std::uint8_t {
    kEol,
    kNop,
    kMss,
    kWindowScale,
    kSackPermitted,
    kSack,
    kTimestamps,
    kFastOpen,
    kFastOpenExperimental,
    kMd5,
    kAccEcn,
  };
  Kind kind = Kind::kNop;
  std::uint32_t value = 0;           ///< MSS, shift count, TSval
  std::uint32_t echo = 0;            ///< TSecr
  std::vector<SackBlock> blocks;     ///< SACK
  std::vector<std::uint8_t> octets;  ///< cookie, digest, AccECN counters
  friend bool operator==(const Option&, const Option&) = default;
};

/// Octets the option takes in the header.
[[nodiscard]] std::uint32_t length(const Option& option);

struct TcpPacket {
  std::uint16_t source_port = 0, destination_port = 0;  ///< 0: those of the connection
  std::uint8_t flags = 0;                               ///< wire::Flag bits
  bool ae = false;                                      ///< RFC 9768's AE bit
  std::optional<std::uint8_t> ace;                      ///< a digit among the flags: the ACE counter
  std::uint32_t seq = 0, ack = 0;
  std::uint32_t payload_bytes = 0;
  std::optional<std::uint16_t> window;
  std::uint16_t urgent = 0;
  bool any_options = false;  ///< `<...>`
  std::vector<Option> options;
};

struct IcmpPacket {
  std::string type, code;
  std::optional<std::uint32_t> mtu;
  std::uint32_t echoed_seq = 0;
  std::uint32_t echoed_payload_bytes = 0;
};

struct Packet {
  Direction direction = Direction::kIn;
  TosCheck tos_check = TosCheck::kNone;
  std::uint8_t tos = 0;
  std::uint8_t ttl = 0;  ///< 0: not said
  std::variant<TcpPacket, IcmpPacket> content;
};

// ---- Events -----------------------------------------------------------------------------------------

struct Syscall {
  std::string name;
  ExprList arguments;
  Expr result;
  std::string error;            ///< errno's name, or empty: not checked
  std::optional<Duration> end;  ///< a blocking call: when it returns, in the event's own kind of time
};

struct Command {
  std::string text;
};

struct Code {
  std::string text;
};

enum class TimeKind : std::uint8_t { kAbsolute, kRelative, kAny, kAbsoluteRange, kRelativeRange };

struct Event {
  int line = 0;
  TimeKind time_kind = TimeKind::kAbsolute;
  Duration time{};
  Duration time_end{};  ///< of a range
  std::variant<Packet, Syscall, Command, Code> action;
};

/// `--name=value` at the head of a script.
struct Setting {
  int line = 0;
  std::string name, value;
};

/// `//! kernel:`, `//! expect:` and `//! set:`: our own notes, comments to the
/// original tool.
struct Note {
  int line = 0;
  std::string name, value;
};

struct Script {
  std::string name;
  std::vector<Setting> settings;
  std::vector<Note> notes;
  std::optional<Command> init;
  int init_line = 0;
  std::vector<Event> events;
  std::optional<Command> cleanup;
  int cleanup_line = 0;
};

/// Reads a script. The first thing not understood ends the reading.
[[nodiscard]] std::variant<Script, Complaint> parse(std::string_view text, std::string name,
                                                    const Definitions& definitions);

/// `+1.5` as `1.500000`: the form every message uses.
[[nodiscard]] std::string format_time(Duration t);
/// A packet in the script's own notation.
[[nodiscard]] std::string format_packet(const Packet& packet);

}  // namespace tcpwhy::script
