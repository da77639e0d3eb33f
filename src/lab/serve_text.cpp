// What a session of `lab serve` leaves behind.

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "lab/render.hpp"
#include "lab/serve.hpp"

namespace tcpwhy::lab {

std::string text(const Served& s) {
  std::string out = fmt::format("Linux {} of the model, {:.1f} s: {} packets in, {} out\n", s.host.kernel,
                                seconds(s.duration), s.packets_in, s.packets_out);
  out += "\nss -nta\n" + socket_table(s.sockets);
  out += "\nnetstat -s, what moved\n" + counter_table(s.host, {});
  out += "\nRules that fired\n" + rule_table(s.host);
  return out;
}

std::string json(const Served& s) {
  using Json = nlohmann::ordered_json;
  Json j{{"kernel", s.host.kernel},      {"duration_s", seconds(s.duration)}, {"packets_in", s.packets_in},
         {"packets_out", s.packets_out}, {"counters", Json::object()},        {"sockets", Json::array()},
         {"rules", Json::object()}};
  for (const auto& [name, value] : s.host.after)
    if (const std::int64_t by = s.host.moved(name); by != 0) j["counters"][name] = by;
  for (const world::SocketRow& row : s.sockets)
    j["sockets"].push_back({{"state", row.state}, {"local", world::text(row.local)}, {"peer", world::text(row.remote)},
                            {"recv_q", row.recv_q}, {"send_q", row.send_q}});
  for (const auto& [rule, count] : s.host.rules) j["rules"][rule] = count;
  return j.dump();
}

}  // namespace tcpwhy::lab
