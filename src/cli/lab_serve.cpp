#include "cli/lab_serve.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <random>

#include "lab/render.hpp"

namespace tcpwhy::cli {
namespace {

int say(const Error& error) {
  std::fprintf(stderr, "tcpwhy: %s\n", error.message.c_str());
  return Exit::kCouldNotWork;
}

}  // namespace

int lab_serve(LabServeOptions o) {
  if (o.services.empty()) o.services = {"80=http", "7=echo", "9=discard", "8888=slow"};
  for (const std::string& text : o.services) {
    auto service = lab::parse_service(text);
    if (!service) return say(service.error());
    o.serve.services.push_back(std::move(*service));
  }
  for (auto& [name, value] : o.sysctls) o.serve.sysctls[name] = value;
  o.serve.duration = std::chrono::duration_cast<Duration>(std::chrono::duration<double>{o.duration_s});
  // Initial sequence numbers and cookies that were the same in every session would meet the TIME_WAIT of the last one.
  if (o.serve.seed == 0) o.serve.seed = std::random_device{}();

  lab::ServeEvents events;
  events.ready = [&o](const std::string& device, const std::string& address, const std::string& gateway) {
    std::string ports;
    for (const std::string& s : o.services) ports += ' ' + s;
    std::fprintf(stderr, "tcpwhy: Linux %s at %s behind %s (%s):%s; Ctrl-C ends\n", o.serve.kernel.c_str(), address.c_str(),
                 device.c_str(), gateway.c_str(), ports.c_str());
  };
  if (o.packets)
    events.packet = [](Duration since, bool, const world::Packet& p) {
      std::printf("%12.6f %s\n", seconds(since), lab::tcpdump_line(p).c_str());
      std::fflush(stdout);
    };
  const auto served = lab::serve(o.serve, events);
  if (!served) return say(served.error());
  std::fputs((o.format == Format::kText ? lab::text(*served) : lab::json(*served) + '\n').c_str(), stdout);
  return Exit::kNothingFailed;
}

}  // namespace tcpwhy::cli
