#pragma once
// The applications behind the ports of `lab serve`.

#include "lab/serve.hpp"

namespace tcpwhy::lab {

/// Opens the listener; false: the model's bind() or listen() refused.
bool start(const Service& service, world::World& world, world::Host& host);

}  // namespace tcpwhy::lab
