// What the kernel's events and notes say of themselves.

#include "facts/kernel.hpp"

#include <gtest/gtest.h>

namespace tcpwhy::facts {
namespace {

TEST(KernelEnd, OfTheTuplesNextConnectionSaysNothingOfTheOneBefore) {
  // A stray ACK at 500, and the client's port is used again at 501: the end at 900 is that of the second connection.
  tw_ended end{};
  end.time_ns = 900;
  end.opened_ns = 501;
  EXPECT_FALSE(was_there(end, 500));
  end.opened_ns = 400;
  EXPECT_TRUE(was_there(end, 500));
}

TEST(KernelEnd, BeforeAnEventIsNoneOfTheConnectionTheEventSpeaksOf) {
  tw_ended end{};
  end.opened_ns = 100;
  end.time_ns = 499;
  EXPECT_FALSE(was_there(end, 500));
}

TEST(KernelEnd, WithoutABirthSaysNothing) {
  tw_ended end{};
  end.time_ns = 900;
  EXPECT_FALSE(was_there(end, 500));
}

}  // namespace
}  // namespace tcpwhy::facts
