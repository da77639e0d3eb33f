#include "world/apps/card.hpp"

namespace tcpwhy::world {

void flood(World& world, Card& card, const Flood& flood) {
  for (int i = 0; i < flood.syns; ++i)
    world.after(flood.interval * i, [&world, &card, flood, i] {
      Packet syn;
      syn.source = card.ip();
      syn.destination = flood.target.ip;
      syn.destination_port = flood.target.port;
      syn.source_port = static_cast<std::uint16_t>(flood.first_port + i);
      syn.seq = SeqNum{static_cast<std::uint32_t>(world.random().next())};
      syn.flags = wire::Flag::kSyn;
      syn.window = 512;  // hping3's
      syn.ip_id = static_cast<std::uint16_t>(world.random().next());
      syn.dont_fragment = false;
      world.transmit(card, std::move(syn));
    });
}

}  // namespace tcpwhy::world
