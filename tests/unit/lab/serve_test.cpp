// What `lab serve` understands before it touches the machine.

#include "lab/serve.hpp"

#include <gtest/gtest.h>

namespace tcpwhy::lab {
namespace {

TEST(ParseService, AServiceIsAPortAndAnApplicationWithItsNumbers) {
  const auto s = parse_service("8080=http,keepalive_timeout=5,backlog=1");
  ASSERT_TRUE(s);
  EXPECT_EQ(s->port, 8080);
  EXPECT_EQ(s->app, Service::App::kHttp);
  EXPECT_EQ(s->setting("keepalive_timeout"), 5);
  EXPECT_EQ(s->setting("backlog"), 1);
}

TEST(ParseService, UntoldItIsNginxAsItComes) {
  // nginx's documentation: keepalive_timeout 75s, listen backlog 511 on Linux.
  const auto s = parse_service("80=http");
  ASSERT_TRUE(s);
  EXPECT_EQ(s->setting("keepalive_timeout"), 75);
  EXPECT_EQ(s->setting("backlog"), 511);
}

TEST(ParseService, WhatItDoesNotKnowItNames) {
  for (const char* bad : {"http", "0=http", "70000=http", "80=", "80=gopher", "80=echo,keepalive_timeout=1",
                          "80=http,backlog=-1", "80=http,backlog", "80=http,backlog=x"}) {
    const auto s = parse_service(bad);
    ASSERT_FALSE(s) << bad;
    EXPECT_EQ(s.error().id, "lab.listen");
  }
}

TEST(Serve, RefusesAnAddressWithoutRoomForTwoEnds) {
  for (const char* bad : {"198.18.0.2", "198.18.0.2/31", "198.18.0.2/x", "nowhere/24"}) {
    ServeOptions o;
    o.address = bad;
    const auto served = serve(o, {});
    ASSERT_FALSE(served) << bad;
  }
}

TEST(Serve, NamesTheKernelsThereAre) {
  ServeOptions o;
  o.kernel = "9.9";
  const auto served = serve(o, {});
  ASSERT_FALSE(served);
}

}  // namespace
}  // namespace tcpwhy::lab
