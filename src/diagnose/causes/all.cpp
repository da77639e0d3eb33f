// The catalogue: the only file that changes when a cause is added.

#include "diagnose/cause.hpp"

namespace tcpwhy::diagnose {

#define TCPWHY_CAUSE_FILE(constant) extern const Cause constant;
#include "diagnose/causes/all.def"
#undef TCPWHY_CAUSE_FILE

std::span<const Cause* const> catalogue() {
  static constexpr const Cause* kAll[] = {
#define TCPWHY_CAUSE_FILE(constant) &constant,
#include "diagnose/causes/all.def"
#undef TCPWHY_CAUSE_FILE
  };
  return kAll;
}

}  // namespace tcpwhy::diagnose
