//===- recording_test.cpp - replay equals direct execution ----------------===//
#include "builder.h"

#include <algorithm>
#include <random>

using namespace isthmus;
using namespace isthmus::test;

namespace {

class Recordings : public testing::TestWithParam<const char *> {
protected:
  ist_device *on() { return device(GetParam()); }
  bool sim() { return std::string(GetParam()) == "sim"; }
};
INSTANTIATE_TEST_SUITE_P(, Recordings, testing::ValuesIn(devices()),
                         [](const auto &info) { return info.param; });

TEST_P(Recordings, MadeOnTheSecondSight) {
  std::string bytes = addScale();
  Program p = load(bytes, on());
  Session s = session(p);
  ist_error error;
  std::vector<float> x(100, 1.f), y(100);
  for (uint64_t i = 1; i <= 5; ++i) {
    std::vector<ist_tensor> out = {tensor(y)};
    ASSERT_EQ(call(s, {tensor(x)}, out, &error), IST_OK) << error.message;
    ASSERT_EQ(y, std::vector<float>(100, 9.f));
    ist_session_counters c = counters(s);
    EXPECT_EQ(c.calls, i);
    EXPECT_EQ(c.recordings, i >= 2 ? 1u : 0u);
    EXPECT_EQ(c.replays, i >= 2 ? i - 1 : 0u);
    EXPECT_EQ(c.launches, 2 * i);
    EXPECT_EQ(c.host_waits, i);
  }
  // Another size is another key; the first one is still there.
  for (size_t n : {50, 50, 100}) {
    std::vector<ist_tensor> out(1);
    x.resize(n, 1.f);
    ASSERT_EQ(call(s, {tensor(x)}, out, &error), IST_OK) << error.message;
    EXPECT_EQ(values<float>(out[0]), std::vector<float>(n, 9.f));
  }
  EXPECT_EQ(counters(s).recordings, 2u);
  EXPECT_EQ(counters(s).re_records, 0u);
}

TEST_P(Recordings, EndWhenTheArenaMoves) {
  std::string bytes = addScale();
  Program p = load(bytes, on());
  Session s = session(p);
  ist_error error;
  std::vector<ist_tensor> out(1);
  for (size_t n : {10, 10, 1000, 10, 10}) {
    // Where a vector lies is chance, and alignment is part of the key.
    alignas(64) float memory[1000];
    std::fill_n(memory, n, 1.f);
    ist_tensor x = tensor(std::vector<float>(n));
    x.data = memory;
    ASSERT_EQ(call(s, {x}, out, &error), IST_OK) << error.message;
    EXPECT_EQ(values<float>(out[0]), std::vector<float>(n, 9.f));
  }
  EXPECT_EQ(counters(s).recordings, 2u);
  EXPECT_EQ(counters(s).re_records, 1u);
}

TEST_P(Recordings, NoneWhereTheCallerWantsNone) {
  std::string bytes = addScale();
  Program p = load(bytes, on());
  ist_session_options options = IST_SESSION_OPTIONS_INIT;
  options.no_recordings = 1;
  Session s = session(p, &options);
  ist_error error;
  std::vector<ist_tensor> out(1);
  std::vector<float> x(10);
  for (int i = 0; i < 4; ++i)
    ASSERT_EQ(call(s, {tensor(x)}, out, &error), IST_OK) << error.message;
  EXPECT_EQ(counters(s).recordings, 0u);
}

TEST_P(Recordings, AReplayIsThreeDriverCalls) {
  if (!sim())
    GTEST_SKIP() << "cpu counts no calls";
  std::string bytes = addScale();
  Program p = load(bytes, on());
  Session s = session(p);
  ist_error error;
  // Host tensors, in turn at two places: staged, patched, replayed.
  std::vector<float> x(100, 1.f), x2(100, 2.f), y(100), y2(100);
  std::vector<ist_tensor> out = {tensor(y)}, out2 = {tensor(y2)};
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(call(s, {tensor(x)}, out, &error), IST_OK) << error.message;
    ASSERT_EQ(call(s, {tensor(x2)}, out2, &error), IST_OK) << error.message;
  }
  ist_sim_counters before = simCounters();
  ASSERT_EQ(call(s, {tensor(x)}, out, &error), IST_OK) << error.message;
  ist_sim_counters after = simCounters();
  EXPECT_LE(after.calls - before.calls, 3u);
  EXPECT_EQ(after.breaches, 0u);
  EXPECT_EQ(y, std::vector<float>(100, 9.f));
  EXPECT_EQ(y2, std::vector<float>(100, 12.f));
}

TEST_P(Recordings, PreparedCallsAreReplaysFromTheFirst) {
  std::string bytes = addScale();
  Program p = load(bytes, on());
  Session s = session(p);
  ist_error error;
  std::vector<ist_tensor> sets;
  for (int64_t n : {10, 1000, 300}) {
    ist_tensor t = {};
    t.rank = 1;
    t.dims[0] = n;
    sets.push_back(t);
  }
  ASSERT_EQ(
      ist_session_prepare(s.get(), "main", sets.data(), 1, sets.size(), &error),
      IST_OK)
      << error.message;
  EXPECT_EQ(counters(s).recordings, 3u);
  uint64_t held = counters(s).bytes;
  for (size_t n : {300, 10, 1000}) {
    alignas(64) float x[1000], y[1000];
    for (size_t i = 0; i < n; ++i)
      x[i] = static_cast<float>(i);
    ist_tensor in = tensor(std::vector<float>(n)), result = in;
    in.data = x;
    result.data = y;
    std::vector<ist_tensor> out = {result};
    ASSERT_EQ(call(s, {in}, out, &error), IST_OK) << error.message;
    for (size_t i = 0; i < n; ++i)
      ASSERT_EQ(y[i], (static_cast<float>(i) + 2) * 3);
  }
  EXPECT_EQ(counters(s).replays, 3u);
  EXPECT_EQ(counters(s).recordings, 3u);
  EXPECT_EQ(counters(s).bytes, held);
  EXPECT_EQ(ist_session_prepare(s.get(), "nope", nullptr, 0, 1, &error),
            IST_NOT_FOUND);
  sets[1].dims[0] = 2000;
  EXPECT_EQ(
      ist_session_prepare(s.get(), "main", sets.data(), 1, sets.size(), &error),
      IST_INVALID_ARGUMENT);
}

TEST_P(Recordings, ChecksHoldOnReplays) {
  ArtifactBuilder a;
  auto f = a.function("main");
  uint32_t n = f.symbol("n");
  uint32_t x = f.input("x", f32, {dim(n)});
  a.program().strings = {"n must be 3"};
  f.emit(Op::check, 0, f.binary(Op::cmp_eq, n, f.constant(3)), 0);
  f.emit(Op::set_output, f.output("y", f32, {dim(n)}), x);
  std::string bytes = a.bytes();
  Program p = load(bytes, on());
  Session s = session(p);
  ist_error error;
  std::vector<ist_tensor> out(1);
  std::vector<float> three = {1, 2, 3}, four(4);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(call(s, {tensor(four)}, out, &error), IST_INVALID_ARGUMENT);
    EXPECT_STREQ(error.message, "n must be 3");
    ASSERT_EQ(call(s, {tensor(three)}, out, &error), IST_OK);
    EXPECT_EQ(values<float>(out[0]), three);
  }
  EXPECT_GE(counters(s).replays, 2u);
}

TEST_P(Recordings, KernelErrorsAreSeenOnReplays) {
  std::string bytes = gather();
  Program p = load(bytes, on());
  Session s = session(p);
  ist_error error;
  std::vector<float> data = {10, 20, 30};
  std::vector<int64_t> good = {2, 0}, bad = {1, 3};
  std::vector<ist_tensor> outs(1);
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(call(s, {tensor(data), tensor(good)}, outs, &error), IST_OK)
        << error.message;
    EXPECT_EQ(values<float>(outs[0]), (std::vector<float>{30, 10}));
    EXPECT_EQ(call(s, {tensor(data), tensor(bad)}, outs, &error),
              IST_INVALID_ARGUMENT);
    EXPECT_STREQ(error.message, "index out of range (in Gather_7)");
  }
}

TEST_P(Recordings, CallersMemoryIsCheckedOnReplays) {
  std::string bytes = addScale();
  Program p = load(bytes, on());
  Session s = session(p);
  ist_error error;
  std::vector<float> x(10), y(10);
  for (int i = 0; i < 4; ++i) {
    std::vector<ist_tensor> out = {tensor(y)};
    ASSERT_EQ(call(s, {tensor(x)}, out, &error), IST_OK);
    out[0].capacity = 39;
    EXPECT_EQ(call(s, {tensor(x)}, out, &error), IST_INVALID_ARGUMENT);
    EXPECT_EQ(out[0].bytes, 40u);
  }
}

/// Something of everything that can be recorded: a choice by size, a loop with
/// a carried buffer, views, fills, results handed through, an inout, a weight.
std::string everything() {
  ArtifactBuilder a;
  uint32_t w = a.weight("w", {5, 6, 7});
  auto f = a.function("main");
  uint32_t n = f.symbol("n", 0, 500), k = f.symbol("k", 0, 9);
  uint32_t x = f.input("x", f32, {dim(n)}), c = f.input("c", i64, {dim(k)});
  uint32_t state = f.input("state", f32, {dim(n)});
  uint32_t next = f.output("next", f32, {dim(n)}, 2);
  uint32_t y = f.output("y", f32, {dim(n)}), z = f.output("z", i64, {dim(k)});
  uint32_t same = f.output("same", f32, {dim(n)}), v = f.output("v", f32, {3});
  uint32_t bytes = f.bytes(n, 4), groups = f.groups(n), zero = f.constant(0);
  uint32_t four = f.constant(4);
  uint32_t t = f.alloc(bytes);
  f.if_(f.binary(Op::cmp_lt, n, f.constant(8)));
  f.launch("scale_f32", groups, {x, t}, {n, f.constant(2)});
  f.else_();
  f.launch("scale_f32", groups, {x, t}, {n, f.constant(5)});
  f.endIf();
  uint32_t to = f.buffer(Op::alloc_output, next, bytes);
  f.launch("add_f32", groups, {t, state, to}, {n});
  uint32_t out = f.buffer(Op::alloc_output, y, bytes);
  f.emit(Op::fill, out, zero, bytes);
  f.if_(n);
  uint32_t from = f.bufReg(), last = f.bufReg();
  f.emit(Op::view, from, t, zero, four);
  f.emit(Op::view, last, out, f.binary(Op::sub, bytes, four), four);
  f.emit(Op::copy, last, from, four);
  f.endIf();
  uint32_t kb = f.bytes(k, 8), one = f.alloc(kb), two = f.alloc(kb);
  f.emit(Op::copy, one, c, kb);
  f.loop(k);
  f.launch("inc_i64", f.groups(k), {one, two}, {k});
  f.emit(Op::copy, one, two, kb);
  f.endLoop();
  f.emit(Op::set_output, z, one);
  f.emit(Op::set_output, same, x);
  f.emit(Op::set_output, v, f.buffer(Op::weight, w));
  return a.bytes();
}

/// Random shapes, pointers, owners of outputs and sessions: what is replayed
/// is what is interpreted.
TEST_P(Recordings, ReplayEqualsDirectExecution) {
  std::string bytes = everything();
  Program p = load(bytes, on());
  ist_session_options direct = IST_SESSION_OPTIONS_INIT;
  direct.no_recordings = 1;
  Session reference = session(p, &direct);
  std::mt19937 random(11);
  uint64_t replays = 0;
  for (int round = 0; round < 8; ++round) {
    Session s[2] = {session(p), session(p)};
    for (int i = 0; i < 60; ++i) {
      size_t n = std::vector<size_t>{0, 3, 7, 9, 200}[random() % 5];
      size_t k = random() % 3;
      std::vector<float> x(n), state(n);
      std::vector<int64_t> c(k);
      for (float &v : x)
        v = static_cast<float>(random() % 100);
      for (float &v : state)
        v = static_cast<float>(random() % 100);
      for (int64_t &v : c)
        v = static_cast<int64_t>(random() % 100);

      struct Result {
        std::vector<float> next, y, same, v;
        std::vector<int64_t> z;
      } results[2];
      // Different places for each, aligned and not.
      for (int which : {0, 1}) {
        Session &on = which ? s[random() % 2] : reference;
        size_t shift = random() % 3 ? 0 : 4;
        std::vector<char> mx(n * 4 + 128), ms(n * 4 + 128), mc(k * 8 + 128),
            my(n * 4 + 128);
        auto at = [&](std::vector<char> &m, size_t by) {
          uint64_t p = reinterpret_cast<uint64_t>(m.data());
          return m.data() + ((p + 63) / 64 * 64 - p) + by;
        };
        ist_tensor in[3] = {tensor(x), tensor(c), tensor(state)};
        char *places[] = {at(mx, shift), at(mc, 0), at(ms, shift)};
        for (int j = 0; j < 3; ++j) {
          if (in[j].capacity)
            std::memcpy(places[j], in[j].data, in[j].capacity);
          in[j].data = places[j];
        }
        std::vector<ist_tensor> out(5);
        if (random() % 2) {
          out[1].data = at(my, random() % 2 * 4);
          out[1].capacity = n * 4;
        }
        ist_error error;
        ASSERT_EQ(call(on, {in[0], in[1], in[2]}, out, &error), IST_OK)
            << error.message;
        results[which] = {values<float>(out[0]), values<float>(out[1]),
                          values<float>(out[3]), values<float>(out[4]),
                          values<int64_t>(out[2])};
      }
      ASSERT_EQ(results[0].next, results[1].next) << "n " << n << " k " << k;
      ASSERT_EQ(results[0].y, results[1].y) << "n " << n << " k " << k;
      ASSERT_EQ(results[0].z, results[1].z) << "n " << n << " k " << k;
      ASSERT_EQ(results[0].same, x);
      ASSERT_EQ(results[0].same, results[1].same);
      ASSERT_EQ(results[0].v, results[1].v);
    }
    for (Session &one : s)
      replays += counters(one).replays;
  }
  EXPECT_GT(replays, 100u);
  if (sim()) {
    EXPECT_EQ(simCounters().breaches, 0u);
  }
}

} // namespace
