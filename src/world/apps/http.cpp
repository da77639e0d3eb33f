#include "world/apps/http.hpp"

#include <algorithm>
#include <charconv>

namespace tcpwhy::world {
namespace {

// Go has no such bound; a model that goes round for ever would be worse.
constexpr int kMostAttempts = 10;
constexpr std::string_view kEndOfHeaders = "\r\n\r\n";
constexpr std::string_view kContentLength = "Content-Length: ";

}  // namespace

std::string take_message(std::string& buffer) {
  const std::size_t headers = buffer.find(kEndOfHeaders);
  if (headers == std::string::npos) return {};
  std::size_t length = headers + kEndOfHeaders.size();
  if (const std::size_t at = buffer.find(kContentLength); at != std::string::npos && at < headers) {
    std::size_t body = 0;
    const char* first = buffer.data() + at + kContentLength.size();
    std::from_chars(first, buffer.data() + headers, body);
    length += body;
  }
  if (buffer.size() < length) return {};
  std::string message = buffer.substr(0, length);
  buffer.erase(0, length);
  return message;
}

std::string request_text(const Request& request) {
  std::string text = request.method + " /user/login HTTP/1.1\r\nHost: server.example\r\n";
  if (request.idempotency_key) text += "Idempotency-Key: 7\r\n";
  if (request.method == "POST") text += "Content-Length: 2\r\n\r\n{}";
  else text += "\r\n";
  return text;
}

std::shared_ptr<HttpServer> HttpServer::start(World& world, Host& host, Address at, int backlog, Settings settings,
                                              std::vector<SetOption> options) {
  std::shared_ptr<HttpServer> server{new HttpServer{world, host, settings}};
  server->acceptor_ = Acceptor::open(world, host, at, backlog, std::move(options),
                                     [raw = server.get()](Fd fd) { raw->accepted(fd); });
  return server;
}

void HttpServer::accepted(Fd fd) {
  auto session = std::make_shared<Session>();
  if (sessions_.size() >= most_sessions_) {
    std::erase_if(sessions_, [](const auto& weak) { return weak.expired(); });
    most_sessions_ = std::max(most_sessions_, 2 * sessions_.size());
  }
  sessions_.push_back(session);
  Talk::Events events;
  events.received = [this, session](const Talk::Pointer&, std::string_view data) {
    session->buffer.append(data);
    next_request(session);
  };
  events.ended = [session](const Talk::Pointer& talk) {
    ++session->idle;
    talk->close();
  };
  events.failed = [session](const Talk::Pointer& talk, std::string_view, int) {
    ++session->idle;
    talk->close();
  };
  session->talk = Talk::over(world_, host_, fd, std::move(events));
  session->talk->note_data = false;
  wait_idle(session, settings_.header_timeout);
}

void HttpServer::next_request(const std::shared_ptr<Session>& session) {
  if (session->busy || !session->talk || !session->talk->open()) return;
  if (take_message(session->buffer).empty()) return;
  session->busy = true;
  ++session->idle;
  world_.after(settings_.service_time, [self = shared_from_this(), session] { self->respond(session); });
}

void HttpServer::respond(const std::shared_ptr<Session>& session) {
  if (!session->talk->open()) return;
  ++served_;
  ++session->requests;
  const bool last = session->requests >= settings_.keepalive_requests || settings_.keepalive_timeout == Duration::zero();
  std::string text = "HTTP/1.1 200 OK\r\n";
  text += kContentLength;
  text += std::to_string(settings_.response_bytes);
  // nginx says so in the last response; a client that has already decided to write does not know yet.
  if (last && settings_.says_close) text += "\r\nConnection: close";
  text += kEndOfHeaders;
  text.append(settings_.response_bytes, 'x');
  session->talk->send(text);
  session->busy = false;
  if (last) return session->talk->close();
  wait_idle(session, settings_.keepalive_timeout);
  next_request(session);
}

void HttpServer::wait_idle(const std::shared_ptr<Session>& session, Duration patience) {
  const std::uint64_t period = ++session->idle;
  // The timer outlives what it was set for: it must not keep it.
  world_.after(patience, [held = std::weak_ptr{session}, period] {
    const auto still = held.lock();
    if (still && still->idle == period && !still->busy && still->talk->open()) still->talk->close();
  });
}

void HttpServer::kill() {
  acceptor_->close();
  for (const auto& weak : sessions_)
    if (const auto session = weak.lock(); session && session->talk) session->talk->close();
}

std::shared_ptr<Pool> Pool::create(World& world, Host& host, Address server) {
  return std::shared_ptr<Pool>{new Pool{world, host, server}};
}

void Pool::request(Request request, Done done) {
  auto exchange = std::make_shared<Exchange>();
  exchange->request = std::move(request);
  exchange->done = std::move(done);
  send(exchange);
}

void Pool::send(const std::shared_ptr<Exchange>& exchange) {
  ++exchange->attempts;
  if (!idle_.empty()) {
    const auto connection = idle_.back();
    idle_.pop_back();
    connection->reused = true;
    return write(connection, exchange);
  }
  auto connection = std::make_shared<Connection>();
  const auto self = shared_from_this();
  Talk::Events events;
  events.connected = [self, connection, exchange](const Talk::Pointer&) { self->write(connection, exchange); };
  events.received = [self, connection](const Talk::Pointer&, std::string_view data) {
    self->received(connection, data);
  };
  events.ended = [self, connection](const Talk::Pointer&) { self->lost(connection, "EOF", Written::kAll); };
  events.failed = [self, connection, exchange](const Talk::Pointer&, std::string_view call, int error) {
    if (call == "connect") connection->exchange = exchange;
    if (call == "send") self->lost(connection, "write: " + error_name(error), Written::kNothing);
    else self->lost(connection, (call == "connect" ? "dial: " : "read: ") + error_name(error), Written::kAll);
  };
  connection->talk = Talk::open(world_, host_, server_, std::move(events));
  connection->talk->note_data = false;
}

void Pool::write(const std::shared_ptr<Connection>& connection, const std::shared_ptr<Exchange>& exchange) {
  connection->exchange = exchange;
  connection->talk->send(request_text(exchange->request));
}

void Pool::received(const std::shared_ptr<Connection>& connection, std::string_view data) {
  connection->buffer.append(data);
  const std::string message = take_message(connection->buffer);
  if (message.empty() || !connection->exchange) return;
  const auto exchange = std::move(connection->exchange);
  connection->exchange = nullptr;
  if (message.find("Connection: close") != std::string::npos) {
    connection->dead = true;
    connection->talk->close();
  } else {
    idle_.push_back(connection);
  }
  exchange->done({"200", exchange->attempts});
}

// shouldRetryRequest(): never on a connection that was not reused; otherwise if
// no byte of the request could be written, or the request is replayable.
void Pool::lost(const std::shared_ptr<Connection>& connection, std::string error, Written written) {
  if (connection->dead) return;
  connection->dead = true;
  connection->talk->close();
  std::erase(idle_, connection);
  const auto exchange = std::move(connection->exchange);
  connection->exchange = nullptr;
  if (!exchange) return;  // idle: the pool only forgets it
  const Request& r = exchange->request;
  const bool safe = r.method == "GET" || r.method == "HEAD" || r.method == "OPTIONS" || r.method == "TRACE";
  const bool replayable = r.replayable_body && (safe || r.idempotency_key);
  if (connection->reused && (written == Written::kNothing || replayable) && exchange->attempts < kMostAttempts) {
    world_.note(host_, r.method, "retried after " + error);
    return send(exchange);
  }
  world_.note(host_, r.method, error);
  exchange->done({error, exchange->attempts});
}

std::shared_ptr<Browser> Browser::create(World& world, Host& host, Address server, int most_connections) {
  return std::shared_ptr<Browser>{new Browser{world, host, server, most_connections}};
}

void Browser::fetch(int requests) {
  began_ = world_.now();
  for (int i = 0; i < requests; ++i) waiting_.push_back(world_.now());
  pump();
}

void Browser::pump() {
  for (const auto& lane : std::vector{lanes_}) {  // a send that fails at once comes back here
    if (waiting_.empty()) return;
    if (!lane->busy && lane->talk && lane->talk->connected() && lane->talk->open()) start_on(lane);
  }
  const auto alive = static_cast<int>(std::count_if(
      lanes_.begin(), lanes_.end(), [](const auto& l) { return l->talk && l->talk->open(); }));
  for (int i = alive; i < most_ && waiting_.size() > static_cast<std::size_t>(i - alive); ++i) {
    auto lane = std::make_shared<Lane>();
    const auto self = shared_from_this();
    Talk::Events events;
    events.connected = [self, lane](const Talk::Pointer&) {
      if (!self->waiting_.empty()) self->start_on(lane);
    };
    events.received = [self, lane](const Talk::Pointer& talk, std::string_view data) {
      lane->buffer.append(data);
      const std::string message = take_message(lane->buffer);
      if (message.empty()) return;
      lane->busy = false;
      ++self->report_.done;
      self->report_.finished = self->world_.now() - self->began_;
      if (message.find("Connection: close") != std::string::npos) talk->close();
      self->pump();
    };
    const auto over = [self, lane](const Talk::Pointer& talk) {
      if (lane->busy) ++self->report_.failed;
      lane->busy = false;
      talk->close();
      self->pump();
    };
    events.ended = over;
    events.failed = [over](const Talk::Pointer& talk, std::string_view, int) { over(talk); };
    lanes_.push_back(lane);
    ++report_.connections;
    lane->talk = Talk::open(world_, host_, server_, std::move(events));
    lane->talk->note_data = false;
  }
}

void Browser::start_on(const std::shared_ptr<Lane>& lane) {
  lane->busy = true;
  report_.longest_wait = std::max(report_.longest_wait, world_.now() - waiting_.front());
  waiting_.pop_front();
  lane->talk->send(request_text({}));
}

}  // namespace tcpwhy::world
