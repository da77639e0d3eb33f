// The catalogue, from the one list of ids: each row of causes.def has its
// constant k<Name>Cause in a file of this directory, or nothing links.

#include "diagnose/cause.hpp"

namespace tcpwhy::diagnose {

#define TCPWHY_CAUSE(name, id) extern const Cause name##Cause;
#include "tcpwhy/causes.def"
#undef TCPWHY_CAUSE

std::span<const Cause* const> catalogue() {
  static constexpr const Cause* kAll[] = {
#define TCPWHY_CAUSE(name, id) &name##Cause,
#include "tcpwhy/causes.def"
#undef TCPWHY_CAUSE
  };
  return kAll;
}

}  // namespace tcpwhy::diagnose
