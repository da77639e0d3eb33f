// The connection in Zeek's words: history letters and conn_state, so that a
// conn.log and our line can be compared. Letters are upper case for the client
// and lower case for the server:
//
//   S SYN   H SYN-ACK   A bare ACK   D payload   F FIN   R RST   C bad checksum   G content gap
//   T repeated payload   W zero window   I FIN with RST   Q SYN with FIN or RST   ^ roles were turned round
//
// S H F R are written again when their number changed; C G T W at the first,
// tenth, hundredth occurrence; the others once. conn_state follows from two
// small state machines that Zeek keeps per endpoint; it takes flags at face
// value, which is why an ignored RST still says RSTO there and not in `outcome`.

#include <array>
#include <string>

#include "tcpwhy/connection.hpp"

namespace tcpwhy::facts {

using wire::Anomaly;

namespace {

enum class Zeek : std::uint8_t { kInactive, kSynSent, kSynAckSent, kPartial, kEstablished, kClosed, kReset };

struct End {
  Zeek state = Zeek::kInactive;
  Zeek before = Zeek::kInactive;
  bool acks = false, data = false, multi = false, odd = false, syn = false, fin = false, rst = false;
  SeqNum last_syn, last_fin, last_rst;
  std::uint64_t repeats = 0, gaps = 0, zero_windows = 0, checksums = 0;
  std::uint64_t payload = 0;
  bool has_end = false;
  SeqNum end;
  void become(Zeek next) {
    before = state;
    state = next;
  }
};

bool is_power_of_ten(std::uint64_t n) {
  while (n % 10 == 0 && n > 0) n /= 10;
  return n == 1;
}

class Letters {
 public:
  explicit Letters(std::string& out) : out_{out} {}
  void add(char upper, bool server) { out_ += static_cast<char>(server ? upper - 'A' + 'a' : upper); }
  void once(bool& done, char upper, bool server) {
    if (!done) add(upper, server);
    done = true;
  }
  void when_changed(bool& done, SeqNum& last, SeqNum now, char upper, bool server) {
    if (!done || last != now) add(upper, server);
    done = true;
    last = now;
  }
  void scaled(std::uint64_t& count, char upper, bool server) {
    if (is_power_of_ten(++count)) add(upper, server);
  }

 private:
  std::string& out_;
};

void advance(const SegmentFact& s, End& self, End& peer) {
  const bool orig = !s.from_server;
  switch (self.state) {
    case Zeek::kInactive:
      if (s.syn()) {
        if (orig) {
          self.become(s.has_ack() ? Zeek::kSynAckSent : Zeek::kSynSent);
        } else {
          if (peer.state == Zeek::kSynSent) peer.become(Zeek::kEstablished);
          self.become(Zeek::kEstablished);
        }
      }
      if (s.fin()) self.become(Zeek::kClosed);
      if (s.rst()) self.become(Zeek::kReset);
      if (self.state == Zeek::kInactive) {
        // Some answer a SYN with an ACK first; that alone makes no partial connection.
        const bool early_ack = !orig && s.payload_bytes == 0 && peer.state == Zeek::kSynSent;
        if (early_ack) break;
        self.become(s.has_ack() && peer.state == Zeek::kEstablished ? Zeek::kEstablished : Zeek::kPartial);
      }
      break;
    case Zeek::kSynSent:
    case Zeek::kSynAckSent:
      if (s.fin()) self.become(Zeek::kClosed);
      if (s.rst()) self.become(Zeek::kReset);
      break;
    case Zeek::kPartial:
    case Zeek::kEstablished:
      if (s.syn() && self.state == Zeek::kPartial && peer.state == Zeek::kInactive && !s.has_ack()) self.become(Zeek::kSynSent);
      if (s.fin() && !s.rst()) {
        self.become(Zeek::kClosed);
        // FIN, then RST, then our FIN: that was an ordinary end.
        if (peer.state == Zeek::kReset && peer.before == Zeek::kClosed) peer.become(Zeek::kClosed);
      }
      if (s.rst()) self.become(Zeek::kReset);
      break;
    case Zeek::kClosed:
      if (s.rst() && peer.state != Zeek::kClosed) self.become(Zeek::kReset);
      break;
    case Zeek::kReset:
      break;
  }
}

const char* state_word(const End& o, const End& r) {
  const bool o_inactive = o.state == Zeek::kInactive || o.state == Zeek::kPartial;
  const bool r_inactive = r.state == Zeek::kInactive || r.state == Zeek::kPartial;
  if (r.state == Zeek::kReset) {
    const bool nothing = o.state == Zeek::kReset && o.payload == 0 && r.payload == 0;
    if (o.state == Zeek::kSynSent || o.state == Zeek::kSynAckSent || nothing) return "REJ";
    return o_inactive ? "RSTRH" : "RSTR";
  }
  if (o.state == Zeek::kReset) return r_inactive ? "RSTOS0" : "RSTO";
  if (o.state == Zeek::kClosed && r.state == Zeek::kClosed) return "SF";
  if (o.state == Zeek::kClosed) return r_inactive ? "SH" : "S2";
  if (r.state == Zeek::kClosed) return o_inactive ? "SHR" : "S3";
  if (o.state == Zeek::kSynSent && r.state == Zeek::kInactive) return "S0";
  if (o.state == Zeek::kEstablished && r.state == Zeek::kEstablished) return "S1";
  return "OTH";
}

}  // namespace

ZeekWords zeek_words(const Connection& c) {
  ZeekWords out;
  std::array<End, 2> ends{};
  Letters letters{out.history};
  if (c.roles_inferred && !c.segments.empty() && c.segments.front().from_server) out.history += '^';

  for (std::size_t i = 0; i < c.segments.size(); ++i) {
    const SegmentFact& s = c.segments[i];
    const Note& n = c.notes[i];
    const bool server = s.from_server != 0;
    End& self = ends[s.from_server];
    End& peer = ends[1 - s.from_server];
    if ((s.anomalies & Anomaly::kBadTcpChecksum) && !(s.anomalies & Anomaly::kPartialChecksum)) {
      letters.scaled(self.checksums, 'C', server);
      continue;  // Zeek looks no further into such a segment.
    }
    const int control = (s.syn() ? 1 : 0) + (s.fin() ? 1 : 0) + (s.rst() ? 1 : 0);
    if (control > 1) {
      if (s.fin() && s.rst()) letters.once(self.odd, 'I', server);
      else letters.once(self.multi, 'Q', server);
    } else if (s.syn()) {
      letters.when_changed(self.syn, self.last_syn, s.seq, s.has_ack() ? 'H' : 'S', server);
    } else if (s.fin()) {
      letters.when_changed(self.fin, self.last_fin, s.seq + s.payload_bytes, 'F', server);
    } else if (s.rst()) {
      letters.when_changed(self.rst, self.last_rst, s.seq, 'R', server);
    } else if (s.payload_bytes > 0) {
      letters.once(self.data, 'D', server);
    } else if (s.has_ack()) {
      letters.once(self.acks, 'A', server);
    }
    // A closed window matters unless the peer has nothing more to send.
    if (s.window == 0 && !s.rst() && peer.state != Zeek::kClosed && self.state != Zeek::kReset)
      letters.scaled(self.zero_windows, 'W', server);
    if (s.payload_bytes > 0 && !s.rst()) {
      if (self.has_end && !after(s.end(), self.end) && self.state != Zeek::kReset) letters.scaled(self.repeats, 'T', server);
      self.payload += s.payload_bytes;
    }
    if (!s.rst() && (!self.has_end || after(s.end(), self.end))) {
      self.end = s.end();
      self.has_end = true;
    }
    advance(s, self, peer);
    // An ACK of what was never seen, unless the end of the connection explains it.
    if (n.ack_place == AckPlace::kUnseen && !s.fin() && !s.rst()) letters.scaled(peer.gaps, 'G', !server);
  }
  out.conn_state = state_word(ends[0], ends[1]);
  return out;
}

}  // namespace tcpwhy::facts
