#pragma once
// The kernel at hand as a host of the world. It lives in a network namespace of
// its own whose only line is a TUN device: what the kernel sends is read from it
// and walks through the same links, filters and translators as the packets of a
// model, and so does what it is to receive. Time is then real.
//
// The namespaces have no name; they end with the program, however it ends.

#include <memory>
#include <string>

#include "lab/run.hpp"
#include "tcpwhy/result.hpp"

namespace tcpwhy::lab {

/// `lab.root` when the caller may not make namespaces, with what to do; `lab.host` when this was built without.
[[nodiscard]] std::optional<Error> kernel_is_usable();
/// "6.18.44", from uname(2).
[[nodiscard]] std::string running_kernel();

/// The running kernel's tick: one second by CONFIG_HZ.
[[nodiscard]] Duration kernel_tick();

/// Every host of the experiment on the running kernel, in real time: it takes as long as it says.
///
/// Errors: `lab.root`, `lab.tun`, `lab.sysctl` (the running kernel has no such setting), `lab.kernel` (a host of the
///         experiment is another system), and those of run().
[[nodiscard]] Result<Run> run_on_kernel(const Experiment& experiment, const Options& options);

}  // namespace tcpwhy::lab
