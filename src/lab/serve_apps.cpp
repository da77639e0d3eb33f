#include "lab/serve_apps.hpp"

#include <algorithm>
#include <charconv>

#include "world/apps/http.hpp"
#include "world/apps/talk.hpp"

namespace tcpwhy::lab {
namespace {

using App = Service::App;
using world::Acceptor;
using world::Talk;

struct Known {
  App app;
  std::string_view name, setting;
  std::int64_t value;
};

// What each application may be told, and what it does untold.
constexpr Known kSettings[] = {
    {App::kHttp, "http", "backlog", 511},        {App::kHttp, "http", "keepalive_timeout", 75},
    {App::kHttp, "http", "keepalive_requests", 100}, {App::kHttp, "http", "service_ms", 0},
    {App::kHttp, "http", "response_bytes", 200}, {App::kHttp, "http", "defer_s", 0},
    {App::kEcho, "echo", "backlog", 128},        {App::kDiscard, "discard", "backlog", 128},
    {App::kSlow, "slow", "backlog", 1},          {App::kSlow, "slow", "accept_ms", 0},
};

std::string known_settings(App app) {
  std::string all;
  for (const Known& k : kSettings)
    if (k.app == app) all += (all.empty() ? "" : ", ") + std::string{k.setting};
  return all;
}

template <class Number>
bool parse(std::string_view text, Number& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

std::string_view cut(std::string_view& rest, char at) {
  const std::size_t end = rest.find(at);
  const std::string_view part = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return part;
}

/// Ends with its peer, says nothing by itself.
Talk::Events polite() {
  Talk::Events events;
  events.ended = [](const Talk::Pointer& talk) { talk->close(); };
  events.failed = [](const Talk::Pointer& talk, std::string_view, int) { talk->close(); };
  return events;
}

void accept_now_and_then(world::World& world, const Acceptor::Pointer& acceptor, Duration every) {
  world.after(every, [&world, acceptor, every] {
    acceptor->accept_one();
    accept_now_and_then(world, acceptor, every);
  });
}

}  // namespace

std::int64_t Service::setting(std::string_view name) const {
  if (const auto given = settings.find(std::string{name}); given != settings.end()) return given->second;
  for (const Known& k : kSettings)
    if (k.app == app && k.setting == name) return k.value;
  return 0;
}

Result<Service> parse_service(std::string_view text) {
  const auto wrong = [text](const std::string& why) {
    return Error{"lab.listen", "--listen " + std::string{text} + ": " + why};
  };
  Service service;
  std::string_view rest = text;
  if (!parse(cut(rest, '='), service.port) || service.port == 0) return wrong("wants PORT=APP[,NAME=VALUE...]");
  const std::string_view app = cut(rest, ',');
  const Known* known = nullptr;
  for (const Known& k : kSettings)
    if (k.name == app) known = &k;
  if (known == nullptr) return wrong("there are http, echo, discard and slow");
  service.app = known->app;
  while (!rest.empty()) {
    std::string_view value = cut(rest, ',');
    const std::string name{cut(value, '=')};
    const auto is_it = [&](const Known& k) { return k.app == service.app && k.setting == name; };
    std::int64_t number = 0;
    if (std::none_of(std::begin(kSettings), std::end(kSettings), is_it) || !parse(value, number) || number < 0 ||
        number > 1'000'000'000)
      return wrong(std::string{app} + " has the numbers " + known_settings(service.app));
    service.settings[name] = number;
  }
  return service;
}

bool start(const Service& service, world::World& world, world::Host& host) {
  const auto backlog = static_cast<int>(service.setting("backlog"));
  const world::Address at{0, service.port};
  std::vector<world::SetOption> options;
  if (const auto defer = service.setting("defer_s"); defer > 0)
    options.push_back({world::Option::kDeferAccept, static_cast<int>(defer)});
  switch (service.app) {
    case App::kHttp: {
      const auto server = world::HttpServer::start(
          world, host, at, backlog,
          {.keepalive_timeout = std::chrono::seconds{service.setting("keepalive_timeout")},
           .keepalive_requests = static_cast<int>(service.setting("keepalive_requests")),
           .service_time = std::chrono::milliseconds{service.setting("service_ms")},
           .response_bytes = static_cast<std::size_t>(service.setting("response_bytes"))},
          std::move(options));
      world.at_end([server] { server->acceptor()->close(); });
      return server->acceptor()->listening();
    }
    case App::kEcho:
    case App::kDiscard: {
      const bool echo = service.app == App::kEcho;
      return Acceptor::open(world, host, at, backlog, {}, [&world, &host, echo](world::Fd fd) {
               Talk::Events events = polite();
               if (echo) events.received = [](const Talk::Pointer& talk, std::string_view data) { talk->send(data); };
               Talk::over(world, host, fd, std::move(events));
             })->listening();
    }
    case App::kSlow: {
      const auto acceptor = Acceptor::open(world, host, at, backlog, {}, nullptr);
      acceptor->keep([&world, &host](world::Fd fd) { Talk::over(world, host, fd, polite()); });
      if (const auto every = service.setting("accept_ms"); every > 0)
        accept_now_and_then(world, acceptor, std::chrono::milliseconds{every});
      else
        world.at_end([acceptor] {});
      return acceptor->listening();
    }
  }
  return false;
}

}  // namespace tcpwhy::lab
