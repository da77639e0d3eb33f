#include "cli/lab_serve.hpp"

#include <chrono>
#include <cstdio>
#include <random>

#include "cli/arguments.hpp"
#include "lab/render.hpp"

namespace tcpwhy::cli {
namespace {

int say(const Error& error) {
  std::fprintf(stderr, "tcpwhy: %s\n", error.message.c_str());
  return Exit::kCouldNotWork;
}

}  // namespace

CLI::App* add_lab_serve(CLI::App& app, LabServeOptions& o) {
  CLI::App* sub = app.add_subcommand("serve", "puts the model on a TUN device (root): real programs talk to it");
  o.serve.seed = 0;
  sub->add_option("--kernel", o.serve.kernel, "the kernel's profile (default 6.18)")->type_name("K");
  sub->add_option("--set", o.settings, "a sysctl of it")->type_name("NAME=VALUE");
  sub->add_option(
         "--listen", o.services,
         "an application: http, echo, discard or slow (accepts none, or one each\n"
         "accept_ms); http: keepalive_timeout, keepalive_requests, service_ms,\nresponse_bytes, defer_s; all: backlog")
      ->type_name("PORT=APP[,NAME=N...]")
      ->allow_extra_args(false);
  sub->add_option("--address", o.serve.address, "the model's (default 198.18.0.2/24)")->type_name("ADDRESS/PREFIX");
  sub->add_option("--gateway", o.serve.gateway, "this machine's end (default: the first free one)")
      ->type_name("ADDRESS");
  sub->add_option("--device", o.serve.device, "name of the TUN device (default tcpwhy0)")->type_name("NAME");
  sub->add_option("--pcap", o.serve.pcap, "the packets, as pcapng")->type_name("FILE");
  sub->add_flag("--packets", o.packets, "print each packet as it passes");
  sub->add_option("--max-descriptors", o.serve.max_descriptors, "of the applications (default 1024)")->type_name("N");
  sub->add_option("--duration", o.duration_s, "end after so long")
      ->type_name("SECONDS")
      ->check(CLI::PositiveNumber.description(""));
  sub->add_option("--seed", o.serve.seed, "of initial numbers and cookies (default: chance)")->type_name("N");
  sub->add_option("--format", o.format, "of what is told at the end: text (default) or json")
      ->type_name("FORMAT")
      ->transform(choice<Format>({{"text", Format::kText}, {"json", Format::kJson}}));
  return sub;
}

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
    std::fprintf(stderr, "tcpwhy: Linux %s at %s behind %s (%s):%s; Ctrl-C ends\n", o.serve.kernel.c_str(),
                 address.c_str(), device.c_str(), gateway.c_str(), ports.c_str());
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
