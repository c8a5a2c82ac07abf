//===- replay_test.cpp - what a replayed call costs in driver calls -------===//
#include "api.h"
#include "sim_fixture.h"

using namespace isthmus::cts;
using namespace isthmus::test;

namespace {

constexpr size_t n = 800;

class Replay : public SimTest {
protected:
  void SetUp() override {
    SimTest::SetUp();
    ASSERT_EQ(ist_plugin_load(ISTHMUS_TEST_SIM, &error), IST_OK);
    straight = std::make_unique<Straight>(20, 9);
    artifact = std::make_unique<Artifact>(context(),
                                          std::vector<Straight>{*straight}, 5);
    ist_device *d;
    ASSERT_EQ(ist_device_open("sim", nullptr, &d, &error), IST_OK);
    device.reset(d);
    program = load(*artifact, d);
    session = isthmus::cts::session(program);
  }
  void TearDown() override {
    buffers.clear();
    session.reset();
    program.reset();
    device.reset();
    SimTest::TearDown();
  }
  Buffer &buffer(bool onDevice) {
    buffers.push_back(
        std::make_unique<Buffer>(onDevice ? device.get() : nullptr, n));
    return *buffers.back();
  }
  /// The driver calls of one call, whose result is checked.
  uint64_t calls(Buffer &x, Buffer &y, Buffer &z, uint32_t seed) {
    Values a = noise(n, seed), b = noise(n, seed + 1);
    x.set(a);
    y.set(b);
    std::vector<ist_tensor> out = {z.tensor(n)};
    uint64_t before = count().calls;
    EXPECT_EQ(call(session, "f0", {x.tensor(n), y.tensor(n)}, out, &error),
              IST_OK)
        << error.message;
    uint64_t made = count().calls - before;
    EXPECT_EQ(z.get(n), straight->run(a, b, artifact->weight));
    return made;
  }
  ist_session_counters counters() {
    ist_session_counters c = {};
    c.struct_size = sizeof c;
    ist_session_get_counters(session.get(), &c);
    return c;
  }

  std::unique_ptr<Straight> straight;
  std::unique_ptr<Artifact> artifact;
  OpenDevice device;
  LoadedProgram program;
  OwnSession session;
  std::vector<std::unique_ptr<Buffer>> buffers;
};

/// Replay, submit, wait; whether the caller's memory changes or not.
TEST_F(Replay, AtMostThreeDriverCalls) {
  for (bool onDevice : {true, false}) {
    SCOPED_TRACE(onDevice ? "device memory" : "host memory");
    Buffer &x = buffer(onDevice), &y = buffer(onDevice), &z = buffer(onDevice);
    uint64_t first = calls(x, y, z, 1);
    EXPECT_GE(first, 20u); // a command each
    for (uint32_t i = 0; i < 3; ++i)
      calls(x, y, z, i);
    uint64_t replays = counters().replays;
    for (uint32_t i = 0; i < 5; ++i)
      EXPECT_LE(calls(x, y, z, i), 3u);
    for (uint32_t i = 0; i < 5; ++i) {
      Buffer &x2 = buffer(onDevice), &z2 = buffer(onDevice);
      EXPECT_LE(calls(x2, y, z2, i), 3u);
    }
    EXPECT_EQ(counters().replays, replays + 10);
  }
}

/// Prepared, even the first call is one.
TEST_F(Replay, PreparedFromTheStart) {
  Buffer &x = buffer(true), &y = buffer(true), &z = buffer(true);
  ist_tensor sizes[] = {x.tensor(n), y.tensor(n)};
  sizes[0].data = sizes[1].data = nullptr;
  ASSERT_EQ(ist_session_prepare(session.get(), "f0", sizes, 2, 1, &error),
            IST_OK)
      << error.message;
  calls(x, y, z, 1); // the driver's recording is made with real addresses
  EXPECT_EQ(counters().replays, 1u);
  for (uint32_t i = 0; i < 3; ++i)
    EXPECT_LE(calls(x, y, z, i), 3u);
  EXPECT_EQ(counters().recordings, 1u);
}

} // namespace
