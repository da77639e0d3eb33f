// Captures for the benchmarks: the same arguments give the same bytes. Not an
// oracle for tests; numbers, timestamps and checksums are right, the life in it
// is made up.
//
//   generate bulk|churn|flood|flood6|fixed OUT.pcap PACKETS [CONNECTIONS]
//
//   bulk   responses of 20 KB to 4 MB over 1,000 connections at a time, some loss with SACK
//   churn  a request and an answer each, 10,000 at a time; of 100, 4 are refused, 2 lose
//          their SYN, 2 get no answer at all, 3 are reset by the server, 3 by the client
//   flood  SYNs from everywhere to four servers, every one a new 4-tuple; flood6: over IPv6
//   fixed  exactly CONNECTIONS, all open at once, in turns

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <queue>
#include <string>
#include <vector>

namespace {

constexpr std::uint8_t kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16;
constexpr std::uint32_t kMss = 1448;
constexpr std::int64_t kStart = 1'700'000'000'000'000;  // microseconds

/// Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014).
struct Random {
  std::uint64_t state = 20'240'229;
  std::uint64_t next() {
    std::uint64_t z = state += 0x9e37'79b9'7f4a'7c15ull;
    z = (z ^ z >> 30) * 0xbf58'476d'1ce4'e5b9ull;
    z = (z ^ z >> 27) * 0x94d0'49bb'1331'11ebull;
    return z ^ z >> 31;
  }
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>((next() >> 32) * n >> 32); }
};

struct Tuple {
  std::uint32_t client = 0, server = 0;
  std::uint16_t client_port = 0, server_port = 443;
  bool v6 = false;
};

struct Segment {
  std::int64_t time = 0;
  std::uint32_t seq = 0, ack = 0, payload = 0, sack_left = 0, sack_right = 0;
  std::uint16_t window = 502;
  std::uint8_t flags = kAck;
  bool from_client = true;
};

class Writer {
 public:
  explicit Writer(const char* path) : file_{std::fopen(path, "wb")} {
    if (file_ == nullptr) {
      std::perror(path);
      std::exit(2);
    }
    Random r;
    noise_.resize(1 << 16);
    for (std::uint8_t& b : noise_) b = static_cast<std::uint8_t>(r.next());
    const std::uint32_t head[6] = {0xa1b2c3d4, 0x0004'0002, 0, 0, 262144, 1};
    std::fwrite(head, sizeof head, 1, file_);
  }
  ~Writer() {
    std::fwrite(out_.data(), 1, out_.size(), file_);
    std::fclose(file_);
  }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  void put(const Tuple& t, const Segment& s) {
    std::uint8_t h[16 + 14 + 40 + 60] = {};
    std::uint8_t* const ip = h + 30;
    const std::uint32_t ip_size = t.v6 ? 40 : 20;
    std::uint8_t* const tcp = ip + ip_size;
    const std::uint32_t options = write_options(tcp + 20, s);
    const std::uint32_t tcp_size = 20 + options + s.payload;
    h[16 + 12] = t.v6 ? 0x86 : 0x08;
    h[16 + 13] = t.v6 ? 0xdd : 0x00;
    write_ip(ip, t, s, tcp_size);
    put16(tcp, s.from_client ? t.client_port : t.server_port);
    put16(tcp + 2, s.from_client ? t.server_port : t.client_port);
    put32(tcp + 4, s.seq);
    put32(tcp + 8, s.ack);
    tcp[12] = static_cast<std::uint8_t>((20 + options) / 4 << 4);
    tcp[13] = s.flags;
    put16(tcp + 14, s.window);
    const std::uint8_t* payload = noise_.data() + (packets_ * 97 & 0x7ffe);
    std::uint64_t sum = 6 + tcp_size;
    sum += t.v6 ? words(ip + 8, 32) : words(ip + 12, 8);
    sum += words(tcp, 20 + options) + words(payload, s.payload);
    put16(tcp + 16, folded(sum));
    const std::uint32_t head_size = 14 + ip_size + 20 + options, size = head_size + s.payload;
    const std::uint32_t record[4] = {static_cast<std::uint32_t>(s.time / 1'000'000), static_cast<std::uint32_t>(s.time % 1'000'000), size, size};
    std::memcpy(h, record, 16);
    out_.insert(out_.end(), h, h + 16 + head_size);
    out_.insert(out_.end(), payload, payload + s.payload);
    if (out_.size() > 4u << 20) {
      std::fwrite(out_.data(), 1, out_.size(), file_);
      out_.clear();
    }
    ++packets_;
  }
  [[nodiscard]] std::uint64_t packets() const { return packets_; }

 private:
  static void put16(std::uint8_t* p, std::uint32_t v) {
    p[0] = static_cast<std::uint8_t>(v >> 8);
    p[1] = static_cast<std::uint8_t>(v);
  }
  static void put32(std::uint8_t* p, std::uint32_t v) {
    put16(p, v >> 16);
    put16(p + 2, v & 0xffff);
  }
  static std::uint64_t words(const std::uint8_t* p, std::uint32_t n) {
    std::uint64_t sum = 0;
    for (std::uint32_t i = 0; i + 1 < n; i += 2) sum += static_cast<std::uint32_t>(p[i] << 8 | p[i + 1]);
    return n % 2 != 0 ? sum + (static_cast<std::uint32_t>(p[n - 1]) << 8) : sum;
  }
  static std::uint16_t folded(std::uint64_t sum) {
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<std::uint16_t>(~sum);
  }
  static std::uint32_t write_options(std::uint8_t* o, const Segment& s) {
    const auto stamp = static_cast<std::uint32_t>(s.time / 1000);
    if (s.flags & kRst) return 0;
    if (s.flags & kSyn) {
      const std::uint8_t syn[8] = {2, 4, 0x05, 0xb4, 4, 2, 8, 10};
      std::memcpy(o, syn, 8);
      put32(o + 8, stamp);
      put32(o + 12, s.flags & kAck ? stamp : 0);
      const std::uint8_t scale[4] = {1, 3, 3, 7};
      std::memcpy(o + 16, scale, 4);
      return 20;
    }
    const std::uint8_t stamps[4] = {1, 1, 8, 10};
    std::memcpy(o, stamps, 4);
    put32(o + 4, stamp);
    put32(o + 8, stamp);
    if (s.sack_left == s.sack_right) return 12;
    const std::uint8_t sack[4] = {1, 1, 5, 10};
    std::memcpy(o + 12, sack, 4);
    put32(o + 16, s.sack_left);
    put32(o + 20, s.sack_right);
    return 24;
  }
  void write_ip(std::uint8_t* ip, const Tuple& t, const Segment& s, std::uint32_t tcp_size) const {
    const std::uint32_t from = s.from_client ? t.client : t.server, to = s.from_client ? t.server : t.client;
    if (t.v6) {
      ip[0] = 0x60;
      put16(ip + 4, tcp_size);
      ip[6] = 6;
      ip[7] = 64;
      put32(ip + 8, 0x2001'0db8);
      put32(ip + 20, from);
      put32(ip + 24, 0x2001'0db8);
      put32(ip + 36, to);
      return;
    }
    ip[0] = 0x45;
    put16(ip + 2, 20 + tcp_size);
    put16(ip + 4, static_cast<std::uint32_t>(packets_ & 0xffff));
    ip[6] = 0x40;
    ip[8] = 64;
    ip[9] = 6;
    put32(ip + 12, from);
    put32(ip + 16, to);
    put16(ip + 10, folded(words(ip, 20)));
  }

  std::FILE* file_;
  std::vector<std::uint8_t> out_, noise_;
  std::uint64_t packets_ = 0;
};

/// One connection, written out ahead of time.
struct Script {
  Tuple tuple;
  std::vector<Segment> segments;
  std::size_t next = 0;
};

class Author {
 public:
  explicit Author(bool bulk) : bulk_{bulk} {}

  Script write(std::int64_t at) {
    script_ = {};
    const std::uint64_t n = count_++, h = random_.next();
    script_.tuple = {0x0a00'0000 | static_cast<std::uint32_t>(n % 50'021), 0xc0a8'0000 | static_cast<std::uint32_t>(h % 40),
                     static_cast<std::uint16_t>(1024 + n / 50'021 * 61 % 60'000), 443, (h >> 40) % 8 == 0};
    now_ = at;
    c_ = random_.below(~0u);
    s_ = random_.below(~0u);
    rtt_ = 200 + random_.below(20'000);
    const std::uint32_t fate = bulk_ ? 50 : random_.below(100);
    client(kSyn, 0);
    if (fate < 4) {  // refused
      now_ += rtt_;
      add({now_, 0, c_ + 1, 0, 0, 0, 0, kRst | kAck, false});
      return script_;
    }
    if (fate < 8) {  // the SYN is lost, half of the time for good
      for (int k = 0; k < (fate < 6 ? 1 : 3); ++k) {
        now_ += 1'000'000ll << k;
        client(kSyn, 0);
      }
      if (fate >= 6) return script_;
    }
    ++c_;
    now_ += rtt_;
    server(kSyn | kAck, 0);
    ++s_;
    client(kAck, 0);
    ask();
    if (fate < 11) {  // reset by the server in the middle of the request
      server(kRst | kAck, 0);
      return script_;
    }
    answer(bulk_ ? 20'000 + random_.below(random_.below(10) == 0 ? 4'000'000 : 400'000) : 40 + random_.below(400));
    if (fate < 14) {  // the client closes by RST
      client(kRst | kAck, 0);
      return script_;
    }
    client(kFin | kAck, 0);
    ++c_;
    now_ += rtt_;
    server(kFin | kAck, 0);
    ++s_;
    client(kAck, 0);
    return script_;
  }

 private:
  void add(const Segment& s) {
    script_.segments.push_back(s);
    now_ += 20;
  }
  void client(std::uint8_t flags, std::uint32_t payload) {
    add({now_, c_, flags & kAck ? s_ : 0, payload, 0, 0, 502, flags, true});
    c_ += payload;
  }
  void server(std::uint8_t flags, std::uint32_t payload) {
    add({now_, s_, c_, payload, 0, 0, 509, flags, false});
    s_ += payload;
  }
  void ask() {
    client(kPsh | kAck, 80 + random_.below(200));
    now_ += rtt_;
    server(kAck, 0);
  }
  void answer(std::uint32_t octets) {
    std::uint32_t sent = 0, unacked = 0;
    while (sent < octets) {
      const std::uint32_t n = octets - sent < kMss ? octets - sent : kMss;
      const bool lost = bulk_ && random_.below(400) == 0 && octets - sent > 8 * kMss;
      if (lost) lose(n);
      else server(sent + n == octets ? kPsh | kAck : kAck, n);
      sent += n;
      if (lost) sent += 3 * kMss;
      if (++unacked >= 2 || sent >= octets) {
        client(kAck, 0);
        unacked = 0;
      }
    }
  }
  /// One segment is missing; three more, three duplicate ACKs, and it comes again.
  void lose(std::uint32_t n) {
    const std::uint32_t hole = s_;
    s_ += n;
    for (int k = 0; k < 3; ++k) {
      server(kAck, kMss);
      add({now_, c_, hole, 0, hole + n, s_, 502, kAck, true});
    }
    add({now_ += rtt_, hole, c_, n, 0, 0, 509, kAck, false});
  }

  bool bulk_;
  Random random_;
  std::uint64_t count_ = 0;
  Script script_;
  std::int64_t now_ = 0;
  std::uint32_t c_ = 0, s_ = 0, rtt_ = 0;
};

void many_scripts(Writer& out, bool bulk, std::uint64_t packets) {
  const std::size_t together = bulk ? 1000 : 10'000;
  Author author{bulk};
  std::vector<Script> open(together);
  using Due = std::pair<std::int64_t, std::size_t>;
  std::priority_queue<Due, std::vector<Due>, std::greater<>> due;
  for (std::size_t i = 0; i < together; ++i) {
    open[i] = author.write(kStart + static_cast<std::int64_t>(i) * 97);
    due.emplace(open[i].segments[0].time, i);
  }
  while (out.packets() < packets) {
    const auto [time, i] = due.top();
    due.pop();
    Script& s = open[i];
    out.put(s.tuple, s.segments[s.next]);
    if (++s.next == s.segments.size()) s = author.write(time + 1000 + static_cast<std::int64_t>(i % 100'000));
    due.emplace(s.segments[s.next].time, i);
  }
}

void flood(Writer& out, std::uint64_t packets, bool v6) {
  Random r;
  for (std::uint64_t i = 0; i < packets; ++i) {
    const std::uint64_t h = r.next();
    const Tuple t{static_cast<std::uint32_t>(i * 2'654'435'761u), 0xc0a8'0001 + static_cast<std::uint32_t>(h & 3),
                  static_cast<std::uint16_t>(1024 + (h >> 8) % 64'000), 80, v6};
    out.put(t, {kStart + static_cast<std::int64_t>(i), static_cast<std::uint32_t>(h >> 32), 0, 0, 0, 0, 64240, kSyn, true});
  }
}

void fixed(Writer& out, std::uint64_t packets, std::uint64_t connections) {
  for (std::uint64_t turn = 0; turn < packets / connections; ++turn)
    for (std::uint64_t i = 0; i < connections; ++i) {
      const Tuple t{0x0a00'0000 | static_cast<std::uint32_t>(i / 40'000), 0xc0a8'0000 | static_cast<std::uint32_t>(i % 61),
                    static_cast<std::uint16_t>(1024 + i % 40'000), 443, i % 8 == 0};
      const auto c = static_cast<std::uint32_t>(i * 7919), s = static_cast<std::uint32_t>(i * 104'729);
      const auto rounds = static_cast<std::uint32_t>(turn > 3 ? (turn - 3) / 2 : 0);
      Segment g;
      g.time = kStart + static_cast<std::int64_t>(turn * connections + i);
      if (turn == 0) g = {g.time, c, 0, 0, 0, 0, 64240, kSyn, true};
      else if (turn == 1) g = {g.time, s, c + 1, 0, 0, 0, 65160, kSyn | kAck, false};
      else if (turn == 2) g = {g.time, c + 1, s + 1, 0, 0, 0, 502, kAck, true};
      else if (turn % 2 == 1) g = {g.time, c + 1 + rounds * 100, s + 1 + rounds * 200, 100, 0, 0, 502, kPsh | kAck, true};
      else g = {g.time, s + 1 + rounds * 200, c + 101 + rounds * 100, 200, 0, 0, 509, kPsh | kAck, false};
      out.put(t, g);
    }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fputs("usage: generate bulk|churn|flood|flood6|fixed OUT.pcap PACKETS [CONNECTIONS]\n", stderr);
    return 2;
  }
  const std::string mode = argv[1];
  const std::uint64_t packets = std::strtoull(argv[3], nullptr, 10);
  Writer out{argv[2]};
  if (mode == "bulk" || mode == "churn") many_scripts(out, mode == "bulk", packets);
  else if (mode == "flood" || mode == "flood6") flood(out, packets, mode == "flood6");
  else if (mode == "fixed" && argc > 4) fixed(out, packets, std::strtoull(argv[4], nullptr, 10));
  else return 2;
  return 0;
}
