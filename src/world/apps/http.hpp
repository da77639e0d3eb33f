#pragma once
// HTTP as far as connection management goes: requests that end with an empty
// line, responses with a Content-Length, connections kept or closed. The server
// behaves like nginx, the pool like Go's Transport, the browser keeps six.

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "world/apps/talk.hpp"

namespace tcpwhy::world {

/// nginx: keepalive_timeout, client_header_timeout and keepalive_requests (ngx_http_core_module).
class HttpServer : public std::enable_shared_from_this<HttpServer> {
 public:
  struct Settings {
    Duration keepalive_timeout = std::chrono::seconds{75};
    Duration header_timeout = std::chrono::seconds{60};  ///< client_header_timeout: for the first request
    int keepalive_requests = 100;
    Duration service_time = std::chrono::milliseconds{1};
    std::size_t response_bytes = 200;
    bool says_close = true;  ///< "Connection: close" in the last response, as nginx does
  };
  static std::shared_ptr<HttpServer> start(World& world, Host& host, Address at, int backlog, Settings settings,
                                           std::vector<SetOption> options = {});
  [[nodiscard]] int served() const { return served_; }
  /// What a killed process leaves: the kernel closes every descriptor.
  void kill();
  [[nodiscard]] const Acceptor::Pointer& acceptor() const { return acceptor_; }

 private:
  struct Session {
    Talk::Pointer talk;
    std::string buffer;
    int requests = 0;
    std::uint64_t idle = 0;  ///< which idle period; an old timer finds another number
    bool busy = false;
  };
  HttpServer(World& world, Host& host, Settings settings) : world_{world}, host_{host}, settings_{settings} {}
  void accepted(Fd fd);
  void next_request(const std::shared_ptr<Session>& session);
  void respond(const std::shared_ptr<Session>& session);
  void wait_idle(const std::shared_ptr<Session>& session, Duration patience);

  World& world_;
  Host& host_;
  Settings settings_;
  Acceptor::Pointer acceptor_;
  std::vector<std::weak_ptr<Session>> sessions_;
  std::size_t most_sessions_ = 64;  ///< at so many the ended ones are forgotten
  int served_ = 0;
};

struct Request {
  std::string method = "GET";
  bool idempotency_key = false;  ///< an Idempotency-Key or X-Idempotency-Key header
  bool replayable_body = true;   ///< no body, or GetBody is set
};

/// Go's net/http Transport: one connection per request at a time, idle ones are reused, and a request that a
/// reused connection failed is sent again if it is replayable.
///
/// Source: Go net/http transport.go persistConn.shouldRetryRequest(), request.go isReplayable().
class Pool : public std::enable_shared_from_this<Pool> {
 public:
  struct Result {
    std::string outcome;  ///< "200", or the error as Go words it
    int attempts = 1;
  };
  using Done = std::function<void(const Result&)>;
  static std::shared_ptr<Pool> create(World& world, Host& host, Address server);
  void request(Request request, Done done);
  [[nodiscard]] std::size_t idle() const { return idle_.size(); }

 private:
  struct Exchange {
    Request request;
    Done done;
    int attempts = 0;
  };
  struct Connection {
    Talk::Pointer talk;
    std::string buffer;
    std::shared_ptr<Exchange> exchange;
    bool reused = false;
    bool dead = false;
  };
  Pool(World& world, Host& host, Address server) : world_{world}, host_{host}, server_{server} {}
  void send(const std::shared_ptr<Exchange>& exchange);
  void write(const std::shared_ptr<Connection>& connection, const std::shared_ptr<Exchange>& exchange);
  enum class Written : std::uint8_t { kNothing, kAll };
  void lost(const std::shared_ptr<Connection>& connection, std::string error, Written written);
  void received(const std::shared_ptr<Connection>& connection, std::string_view data);

  World& world_;
  Host& host_;
  Address server_;
  std::vector<std::shared_ptr<Connection>> idle_;
};

/// A browser: at most so many connections to one host, requests wait their turn.
class Browser : public std::enable_shared_from_this<Browser> {
 public:
  struct Report {
    int done = 0, failed = 0, connections = 0;
    Duration longest_wait{}, finished{};
  };
  static std::shared_ptr<Browser> create(World& world, Host& host, Address server, int most_connections);
  void fetch(int requests);
  [[nodiscard]] const Report& report() const { return report_; }

 private:
  struct Lane {
    Talk::Pointer talk;
    std::string buffer;
    bool busy = false;
  };
  Browser(World& world, Host& host, Address server, int most)
      : world_{world}, host_{host}, server_{server}, most_{most} {}
  void pump();
  void start_on(const std::shared_ptr<Lane>& lane);

  World& world_;
  Host& host_;
  Address server_;
  int most_;
  std::deque<ModelTime> waiting_;
  std::vector<std::shared_ptr<Lane>> lanes_;
  Report report_;
  ModelTime began_{};
};

/// Splits one whole HTTP message off the front of `buffer`; empty when none is whole.
std::string take_message(std::string& buffer);
std::string request_text(const Request& request);

}  // namespace tcpwhy::world
