//===- async_test.cpp - semaphores and asynchronous calls -----------------===//
#include "builder.h"

#include <thread>

using namespace isthmus;
using namespace isthmus::test;

namespace {

constexpr uint64_t kForEver = UINT64_MAX;

struct Release {
  void operator()(ist_semaphore *s) const { ist_semaphore_release(s); }
};
using Semaphore = std::unique_ptr<ist_semaphore, Release>;

Semaphore semaphore(uint64_t value = 0) {
  ist_semaphore *s = nullptr;
  ist_error error;
  EXPECT_EQ(ist_semaphore_create(value, &s, &error), IST_OK);
  return Semaphore(s);
}

ist_point at(const Semaphore &s, uint64_t value) { return {s.get(), value}; }

class Async : public testing::TestWithParam<const char *> {
protected:
  ist_device *on() { return device(GetParam()); }
  bool sim() { return std::string(GetParam()) == "sim"; }
  ist_error error = {};
  ist_status start(const Session &s, const std::vector<ist_tensor> &inputs,
                   std::vector<ist_tensor> &outputs,
                   const std::vector<ist_point> &waits,
                   const std::vector<ist_point> &signals) {
    ist_call_points p = IST_CALL_POINTS_INIT;
    p.waits = waits.data();
    p.wait_count = waits.size();
    p.signals = signals.data();
    p.signal_count = signals.size();
    error = {};
    return ist_call_async(s.get(), "main", inputs.data(), inputs.size(),
                          outputs.data(), outputs.size(), &p, &error);
  }
  ist_status wait(const Semaphore &s, uint64_t value,
                  uint64_t timeout = kForEver) {
    error = {};
    return ist_semaphore_wait(s.get(), value, timeout, &error);
  }
};
INSTANTIATE_TEST_SUITE_P(, Async, testing::ValuesIn(devices()),
                         [](const auto &info) { return info.param; });

TEST_P(Async, SemaphoresOfTheHost) {
  Semaphore s = semaphore(3);
  EXPECT_EQ(ist_semaphore_value(s.get()), 3u);
  EXPECT_EQ(wait(s, 3), IST_OK);
  EXPECT_EQ(wait(s, 4, 1000), IST_DEADLINE_EXCEEDED);
  EXPECT_EQ(ist_semaphore_signal(s.get(), 3, &error), IST_INVALID_ARGUMENT);
  EXPECT_EQ(ist_semaphore_signal(s.get(), 7, &error), IST_OK);
  EXPECT_EQ(wait(s, 5), IST_OK);
  EXPECT_EQ(ist_semaphore_value(s.get()), 7u);
  std::thread t([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    ist_semaphore_signal(s.get(), 8, nullptr);
  });
  EXPECT_EQ(wait(s, 8), IST_OK);
  t.join();
  ist_semaphore_release(nullptr);
}

TEST_P(Async, ACallAndItsSignal) {
  std::string bytes = addScale();
  Program p = load(bytes, on());
  Session s = session(p);
  Semaphore done = semaphore();
  std::vector<float> x(100, 1.f), y(100);
  for (uint64_t i = 1; i <= 5; ++i) {
    std::vector<ist_tensor> out = {tensor(y)};
    out[0].dims[0] = 0;
    ASSERT_EQ(start(s, {tensor(x)}, out, {}, {at(done, i)}), IST_OK)
        << error.message;
    EXPECT_EQ(out[0].dims[0], 100); // before it has run
    EXPECT_EQ(out[0].bytes, 400u);
    ASSERT_EQ(wait(done, i), IST_OK) << error.message;
    EXPECT_EQ(y, std::vector<float>(100, 9.f));
    y.assign(100, 0);
  }
  EXPECT_EQ(ist_semaphore_value(done.get()), 5u);
  EXPECT_EQ(counters(s).calls, 5u);
  EXPECT_GE(counters(s).replays, 4u);
  // The runtime's memory, then a call that waits itself.
  std::vector<ist_tensor> out(1);
  ASSERT_EQ(start(s, {tensor(x)}, out, {}, {at(done, 6)}), IST_OK);
  ASSERT_EQ(wait(done, 6), IST_OK) << error.message;
  EXPECT_EQ(values<float>(out[0]), std::vector<float>(100, 9.f));
  ASSERT_EQ(call(s, {tensor(x)}, out, &error), IST_OK) << error.message;
  EXPECT_EQ(values<float>(out[0]), std::vector<float>(100, 9.f));
}

TEST_P(Async, WhatIsWrongWithTheArgumentsIsReturned) {
  std::string bytes = addScale();
  Program p = load(bytes, on());
  Session s = session(p);
  Semaphore done = semaphore(1);
  std::vector<float> x(2000);
  std::vector<ist_tensor> out(1);
  EXPECT_EQ(start(s, {tensor(x)}, out, {}, {at(done, 2)}),
            IST_INVALID_ARGUMENT);
  EXPECT_EQ(start(s, {}, out, {}, {at(done, 2)}), IST_INVALID_ARGUMENT);
  x.resize(4);
  EXPECT_EQ(start(s, {tensor(x)}, out, {}, {at(done, 1)}),
            IST_INVALID_ARGUMENT);
  EXPECT_EQ(start(s, {tensor(x)}, out, {}, {at(done, 3), at(done, 2)}),
            IST_INVALID_ARGUMENT);
  EXPECT_EQ(start(s, {tensor(x)}, out, {{nullptr, 1}}, {}),
            IST_INVALID_ARGUMENT);
  // None of them has promised anything.
  EXPECT_EQ(ist_semaphore_signal(done.get(), 2, &error), IST_OK);
}

/// B waits for 1 and signals 2; it is given before A, which signals 1.
TEST_P(Async, TheSecondIsGivenFirst) {
  std::string bytes = addScale();
  Program p = load(bytes, on());
  Session a = session(p), b = session(p);
  Semaphore s = semaphore();
  for (ist_memory memory : {IST_MEMORY_HOST, IST_MEMORY_DEVICE}) {
    void *m = nullptr;
    ASSERT_EQ(ist_device_alloc(on(), memory, 400, &m, &error), IST_OK);
    uint64_t v = ist_semaphore_value(s.get());
    std::vector<float> x(100, 1.f), z(100);
    ist_tensor middle = tensor(x);
    middle.data = m;
    middle.memory = memory;
    std::vector<ist_tensor> first = {middle}, second = {tensor(z)};
    ASSERT_EQ(start(b, {middle}, second, {at(s, v + 2)}, {at(s, v + 3)}),
              IST_OK)
        << error.message;
    EXPECT_EQ(wait(s, v + 3, 1000000), IST_DEADLINE_EXCEEDED);
    // 1 is below what B will signal, so it comes from another semaphore.
    Semaphore begin = semaphore();
    ASSERT_EQ(start(a, {tensor(x)}, first, {at(begin, 1)}, {}), IST_OK);
    EXPECT_EQ(ist_semaphore_signal(begin.get(), 1, &error), IST_OK);
    ist_session_destroy(a.release()); // waits for the call
    a = session(p);
    // The host stands in for A's signal.
    EXPECT_EQ(ist_semaphore_signal(s.get(), v + 2, &error),
              IST_INVALID_ARGUMENT)
        << "promised values lie above";
    ist_session_cancel(b.get());
    EXPECT_EQ(wait(s, v + 3), IST_ABORTED);
    ist_device_free(on(), m);
  }
  // The same with two semaphores, as it is meant.
  Semaphore one = semaphore(), two = semaphore();
  for (uint64_t round = 1; round < 20; ++round) {
    void *m = nullptr;
    ASSERT_EQ(ist_device_alloc(on(), IST_MEMORY_DEVICE, 400, &m, &error),
              IST_OK);
    std::vector<float> x(100, static_cast<float>(round)), z(100);
    ist_tensor middle = tensor(x);
    middle.data = m;
    middle.memory = IST_MEMORY_DEVICE;
    std::vector<ist_tensor> first = {middle}, second = {tensor(z)};
    auto giveB = [&] {
      return start(b, {middle}, second, {at(one, round)}, {at(two, round)});
    };
    auto giveA = [&] {
      return start(a, {tensor(x)}, first, {}, {at(one, round)});
    };
    if (round % 2) {
      ASSERT_EQ(giveB(), IST_OK) << error.message;
      ASSERT_EQ(giveA(), IST_OK) << error.message;
    } else {
      ASSERT_EQ(giveA(), IST_OK) << error.message;
      ASSERT_EQ(giveB(), IST_OK) << error.message;
    }
    ASSERT_EQ(wait(two, round), IST_OK) << error.message;
    float want = ((static_cast<float>(round) + 2) * 3 + 2) * 3;
    ASSERT_EQ(z, std::vector<float>(100, want));
    ist_device_free(on(), m);
  }
}

/// A signals 1; B signals 2 and waits for the host, which waits for 1.
TEST_P(Async, TheHostBetweenTwoCalls) {
  std::string bytes = addScale();
  Program p = load(bytes, on());
  Session a = session(p), b = session(p);
  Semaphore s = semaphore(), host = semaphore();
  std::vector<float> x(10, 1.f), y(10), z(10);
  std::vector<ist_tensor> first = {tensor(y)}, second = {tensor(z)};
  ASSERT_EQ(start(b, {tensor(y)}, second, {at(host, 1)}, {at(host, 2)}),
            IST_OK);
  ASSERT_EQ(start(a, {tensor(x)}, first, {}, {at(s, 1)}), IST_OK);
  ASSERT_EQ(wait(s, 1), IST_OK) << error.message;
  EXPECT_EQ(y, std::vector<float>(10, 9.f));
  y.assign(10, 0.f);
  EXPECT_EQ(ist_semaphore_signal(host.get(), 1, &error), IST_INVALID_ARGUMENT);
  ist_session_cancel(b.get());
  EXPECT_EQ(wait(host, 2), IST_ABORTED);
  Semaphore go = semaphore(), end = semaphore();
  ASSERT_EQ(start(b, {tensor(y)}, second, {at(go, 1)}, {at(end, 1)}), IST_OK);
  EXPECT_EQ(wait(end, 1, 1000000), IST_DEADLINE_EXCEEDED);
  EXPECT_EQ(ist_semaphore_signal(go.get(), 1, &error), IST_OK);
  ASSERT_EQ(wait(end, 1), IST_OK) << error.message;
  EXPECT_EQ(z, std::vector<float>(10, 6.f)); // y as it was when B began
}

TEST_P(Async, OnlyTheFailedCallsPointsFail) {
  std::string bytes = gather();
  Program p = load(bytes, on());
  Session s = session(p), other = session(p);
  Semaphore done = semaphore();
  std::vector<float> data = {10, 20, 30};
  std::vector<int64_t> good = {2, 0}, bad = {1, 3};
  std::vector<std::vector<ist_tensor>> outs(5, std::vector<ist_tensor>(1));
  std::vector<std::vector<float>> y(5, std::vector<float>(2));
  for (int i = 0; i < 5; ++i)
    outs[i][0] = tensor(y[i]);
  ASSERT_EQ(start(s, {tensor(data), tensor(good)}, outs[0], {}, {at(done, 1)}),
            IST_OK);
  ASSERT_EQ(start(s, {tensor(data), tensor(bad)}, outs[1], {}, {at(done, 2)}),
            IST_OK);
  ASSERT_EQ(start(s, {tensor(data), tensor(good)}, outs[2], {}, {at(done, 3)}),
            IST_OK);
  // One that waits for the failure fails with it; its own points only.
  ASSERT_EQ(start(other, {tensor(data), tensor(good)}, outs[3], {at(done, 2)},
                  {at(done, 4)}),
            IST_OK);
  ASSERT_EQ(start(other, {tensor(data), tensor(good)}, outs[4], {at(done, 3)},
                  {at(done, 5)}),
            IST_OK);
  EXPECT_EQ(wait(done, 5), IST_OK) << error.message;
  EXPECT_EQ(wait(done, 1), IST_OK);
  EXPECT_EQ(wait(done, 2), IST_INVALID_ARGUMENT);
  EXPECT_STREQ(error.message, "index out of range (in Gather_7)");
  EXPECT_EQ(wait(done, 3), IST_OK);
  EXPECT_EQ(wait(done, 4), IST_INVALID_ARGUMENT);
  EXPECT_NE(std::string(error.message).find("index out of range"),
            std::string::npos);
  for (int i : {0, 2, 4})
    EXPECT_EQ(y[i], (std::vector<float>{30, 10})) << i;
}

TEST_P(Async, OldFailuresAreForgottenAndSaidToBe) {
  std::string bytes = gather();
  Program p = load(bytes, on());
  Session s = session(p);
  Semaphore done = semaphore();
  std::vector<float> data = {10, 20, 30}, y(2);
  std::vector<int64_t> good = {2, 0}, bad = {1, 3};
  std::vector<ist_tensor> outs = {tensor(y)};
  auto end = [&](uint64_t value, bool fails) {
    EXPECT_EQ(start(s, {tensor(data), tensor(fails ? bad : good)}, outs, {},
                    {at(done, value)}),
              IST_OK);
    return wait(done, value);
  };
  EXPECT_EQ(end(1, false), IST_OK);
  for (uint64_t value = 2; value < 5000; ++value)
    ASSERT_EQ(end(value, true), IST_INVALID_ARGUMENT) << value;
  EXPECT_EQ(end(5000, false), IST_OK);
  // 2 to 4999 failed: 4096 of them are known.
  EXPECT_EQ(wait(done, 1), IST_OK);
  EXPECT_EQ(wait(done, 2), IST_UNAVAILABLE);
  EXPECT_EQ(wait(done, 4999 - 4096), IST_UNAVAILABLE);
  EXPECT_NE(std::string(error.message).find("last 4096 failures"),
            std::string::npos);
  EXPECT_EQ(wait(done, 5000 - 4096), IST_INVALID_ARGUMENT);
  EXPECT_EQ(wait(done, 4999), IST_INVALID_ARGUMENT);
  EXPECT_EQ(wait(done, 5000), IST_OK);
  // Nor does a call begin after one that nobody knows about.
  EXPECT_EQ(start(s, {tensor(data), tensor(good)}, outs, {at(done, 2)},
                  {at(done, 5001)}),
            IST_OK);
  EXPECT_EQ(wait(done, 5001), IST_UNAVAILABLE);
}

TEST_P(Async, FunctionsThatReadDeviceValues) {
  ArtifactBuilder a;
  auto f = a.function("main");
  uint32_t n = f.symbol("n");
  uint32_t x = f.input("x", f32, {-1});
  uint32_t all = f.alloc(f.bytes(n, 8)), count = f.alloc(f.constant(8));
  f.launch("nonzero_f32", f.constant(1), {x, count, all}, {n});
  uint32_t m = f.read(count, f.constant(0), i64);
  uint32_t y = f.output("y", i64, {dim(m)});
  uint32_t size = f.bytes(m, 8);
  f.emit(Op::copy, f.buffer(Op::alloc_output, y, size), all, size);
  std::string bytes = a.bytes();
  Program p = load(bytes, on());
  Session s = session(p);
  Semaphore done = semaphore();
  std::vector<float> in = {0, 1, 0, 2, 3};
  std::vector<ist_tensor> out(1);
  for (uint64_t i = 1; i < 4; ++i) {
    ASSERT_EQ(start(s, {tensor(in)}, out, {}, {at(done, i)}), IST_OK)
        << error.message;
    ASSERT_EQ(wait(done, i), IST_OK) << error.message;
    EXPECT_EQ(values<int64_t>(out[0]), (std::vector<int64_t>{1, 3, 4}));
  }
  // Too little memory is found when it runs.
  std::vector<int64_t> one(1);
  out = {tensor(one)};
  ASSERT_EQ(start(s, {tensor(in)}, out, {}, {at(done, 4)}), IST_OK);
  EXPECT_EQ(wait(done, 4), IST_INVALID_ARGUMENT);
}

TEST_P(Async, CancelAndTimeoutOfParkedCalls) {
  std::string bytes = addScale();
  Program p = load(bytes, on());
  Session s = session(p);
  Semaphore never = semaphore(), done = semaphore();
  std::vector<float> x(10, 1.f), y(10);
  std::vector<ist_tensor> out = {tensor(y)};
  ASSERT_EQ(start(s, {tensor(x)}, out, {at(never, 1)}, {at(done, 1)}), IST_OK);
  ASSERT_EQ(start(s, {tensor(x)}, out, {at(never, 2)}, {at(done, 2)}), IST_OK);
  ist_session_cancel(s.get());
  EXPECT_EQ(wait(done, 1), IST_ABORTED);
  EXPECT_EQ(wait(done, 2), IST_ABORTED);
  ist_session_set_timeout(s.get(), 2 * 1000 * 1000);
  ASSERT_EQ(start(s, {tensor(x)}, out, {at(never, 1)}, {at(done, 3)}), IST_OK);
  // A call that waits for its turn behind one that has none.
  EXPECT_EQ(wait(done, 3), IST_DEADLINE_EXCEEDED);
  EXPECT_NE(std::string(error.message).find("'main' did not begin"),
            std::string::npos)
      << error.message;
  ist_session_set_timeout(s.get(), 0);
  ASSERT_EQ(start(s, {tensor(x)}, out, {}, {at(done, 4)}), IST_OK);
  EXPECT_EQ(wait(done, 4), IST_OK) << error.message;
  EXPECT_EQ(y, std::vector<float>(10, 9.f));
}

TEST_P(Async, ASessionEndsWithCallsUnderWay) {
  std::string bytes = addScale();
  Program p = load(bytes, on());
  Semaphore go = semaphore(), done = semaphore(), other = semaphore();
  std::vector<float> x(10, 1.f), y(10), z(10);
  std::vector<ist_tensor> out = {tensor(y)}, out2 = {tensor(z)};
  Session longer = session(p);
  {
    Session s = session(p);
    ASSERT_EQ(start(longer, {tensor(x)}, out2, {at(go, 1)}, {at(other, 1)}),
              IST_OK);
    for (uint64_t i = 1; i <= 3; ++i)
      ASSERT_EQ(start(s, {tensor(x)}, out, {at(other, 1)}, {at(done, i)}),
                IST_OK);
    ASSERT_EQ(ist_semaphore_signal(go.get(), 1, &error), IST_OK);
  }
  EXPECT_EQ(wait(done, 3, 0), IST_OK); // no need to wait any more
  EXPECT_EQ(y, std::vector<float>(10, 9.f));
  EXPECT_EQ(z, y);
}

TEST_P(Async, ASessionEndsWithCallsThatNobodyWillStart) {
  std::string bytes = addScale();
  Program p = load(bytes, on());
  Semaphore never = semaphore(), done = semaphore(), other = semaphore();
  std::vector<float> x(10, 1.f), y(10), z(10);
  // Each call keeps its own until it has ended.
  std::vector<ist_tensor> out[3] = {{tensor(y)}, {tensor(y)}, {tensor(y)}},
                          out2 = {tensor(z)};
  Session longer = session(p);
  ASSERT_EQ(start(longer, {tensor(x)}, out2, {at(never, 1)}, {at(other, 1)}),
            IST_OK);
  {
    Session s = session(p);
    ASSERT_EQ(start(s, {tensor(x)}, out[0], {}, {at(done, 1)}), IST_OK);
    // Of another session's call, which waits itself.
    ASSERT_EQ(start(s, {tensor(x)}, out[1], {at(other, 1)}, {at(done, 2)}),
              IST_OK);
    // Behind it.
    ASSERT_EQ(start(s, {tensor(x)}, out[2], {}, {at(done, 3)}), IST_OK);
  }
  EXPECT_EQ(wait(done, 1, 0), IST_OK) << error.message;
  EXPECT_EQ(wait(done, 2, 0), IST_ABORTED);
  EXPECT_EQ(wait(done, 3, 0), IST_ABORTED);
  EXPECT_EQ(y, std::vector<float>(10, 9.f));
  // The other session's call is as it was.
  ASSERT_EQ(ist_semaphore_signal(never.get(), 1, &error), IST_OK);
  EXPECT_EQ(wait(other, 1), IST_OK) << error.message;
  EXPECT_EQ(z, y);
}

TEST_P(Async, NoMoreThanSoMany) {
  std::string bytes = addScale();
  Program p = load(bytes, on());
  Session s = session(p);
  Semaphore go = semaphore(), done = semaphore();
  std::vector<float> x(4, 1.f), y(4);
  std::vector<ist_tensor> out = {tensor(y)};
  uint64_t given = 0;
  while (start(s, {tensor(x)}, out, {at(go, 1)}, {at(done, given + 1)}) ==
         IST_OK)
    ASSERT_LT(++given, 5000u);
  EXPECT_EQ(error.code, IST_RESOURCE_EXHAUSTED);
  EXPECT_NE(std::string(error.message).find("4096 calls"), std::string::npos)
      << error.message;
  EXPECT_EQ(given, 4096u);
  ist_session_cancel(s.get());
  EXPECT_EQ(wait(done, given), IST_ABORTED);
  ASSERT_EQ(start(s, {tensor(x)}, out, {}, {at(done, given + 1)}), IST_OK);
  EXPECT_EQ(wait(done, given + 1), IST_OK) << error.message;
}

/// A chain of calls over one state, given by two threads to four sessions at
/// once; each call of a chain waits for the one before it.
TEST_P(Async, ManyAtOnce) {
  std::string bytes = addScale();
  Program p = load(bytes, on());
  auto chain = [&](int steps) {
    Session s[2] = {session(p), session(p)};
    Semaphore done = semaphore();
    void *m[2] = {};
    ist_error e;
    for (void *&one : m)
      ASSERT_EQ(ist_device_alloc(on(), IST_MEMORY_DEVICE, 64, &one, &e),
                IST_OK);
    std::vector<float> x(4, 1.f), y(4);
    for (int i = 0; i < steps; ++i) {
      ist_tensor in = tensor(x), result = tensor(y);
      if (i > 0) {
        in.data = m[i % 2];
        in.memory = IST_MEMORY_DEVICE;
      }
      if (i + 1 < steps) {
        result.data = m[(i + 1) % 2];
        result.memory = IST_MEMORY_DEVICE;
      }
      ist_point w = at(done, i), g = at(done, i + 1);
      ist_call_points points = IST_CALL_POINTS_INIT;
      points.waits = &w;
      points.wait_count = i > 0;
      points.signals = &g;
      points.signal_count = 1;
      ASSERT_EQ(ist_call_async(s[i % 2].get(), "main", &in, 1, &result, 1,
                               &points, &e),
                IST_OK)
          << e.message;
      // `result` ends here, so what is set in it must have been set.
      ASSERT_EQ(ist_semaphore_wait(done.get(), i + 1, kForEver, &e), IST_OK)
          << e.message;
    }
    float want = 1;
    for (int i = 0; i < steps; ++i)
      want = (want + 2) * 3;
    EXPECT_EQ(y, std::vector<float>(4, want));
    for (void *one : m)
      ist_device_free(on(), one);
  };
  std::thread other([&] { chain(12); });
  chain(12);
  other.join();
  for (int i = 0; i < 5; ++i)
    chain(2); // sessions, and the thread, come and go
}

/// Calls that are all given before the first may begin.
TEST_P(Async, ALongChainGivenAtOnce) {
  std::string bytes = addScale();
  Program p = load(bytes, on());
  Session s[3] = {session(p), session(p), session(p)};
  Semaphore go = semaphore(), done = semaphore();
  constexpr int kSteps = 11;
  void *m[2] = {};
  for (void *&one : m)
    ASSERT_EQ(ist_device_alloc(on(), IST_MEMORY_DEVICE, 64, &one, &error),
              IST_OK);
  std::vector<float> x(4, 1.f), y(4);
  std::vector<std::vector<ist_tensor>> outs(kSteps);
  for (int i = 0; i < kSteps; ++i) {
    ist_tensor in = tensor(x), result = tensor(y);
    if (i > 0) {
      in.data = m[i % 2];
      in.memory = IST_MEMORY_DEVICE;
    }
    if (i + 1 < kSteps) {
      result.data = m[(i + 1) % 2];
      result.memory = IST_MEMORY_DEVICE;
    }
    outs[i] = {result};
    ASSERT_EQ(start(s[i % 3], {in}, outs[i], {i ? at(done, i) : at(go, 1)},
                    {at(done, i + 1)}),
              IST_OK)
        << error.message;
  }
  EXPECT_EQ(ist_semaphore_value(done.get()), 0u);
  EXPECT_EQ(ist_semaphore_signal(go.get(), 1, &error), IST_OK);
  EXPECT_EQ(wait(done, kSteps), IST_OK) << error.message;
  float want = 1;
  for (int i = 0; i < kSteps; ++i)
    want = (want + 2) * 3;
  EXPECT_EQ(y, std::vector<float>(4, want));
  for (void *one : m)
    ist_device_free(on(), one);
}

TEST_P(Async, AfterDeviceLossEverythingEnds) {
  if (!sim())
    GTEST_SKIP() << "cpu cannot be lost";
  std::string bytes = addScale();
  on(); // makes the driver known
  ist_device *d = nullptr;
  ASSERT_EQ(ist_device_open("sim", nullptr, &d, &error), IST_OK);
  Device own(d);
  {
    Program p = load(bytes, d), host = load(bytes);
    Session a = session(p), b = session(p), c = session(host);
    Semaphore go = semaphore(), done = semaphore(), end = semaphore();
    std::vector<float> x(10, 1.f), y(10), z(10);
    std::vector<ist_tensor> out[2] = {{tensor(y)}, {tensor(z)}}, last(1);
    ASSERT_EQ(start(a, {tensor(x)}, out[0], {at(go, 1)}, {at(done, 1)}),
              IST_OK);
    ASSERT_EQ(start(b, {tensor(x)}, out[1], {at(done, 1)}, {at(done, 2)}),
              IST_OK);
    ASSERT_EQ(start(c, {tensor(x)}, last, {at(go, 1)}, {at(end, 1)}), IST_OK);
    simConfigure("fail_at=1,fail_status=DEVICE_LOST");
    EXPECT_EQ(ist_semaphore_signal(go.get(), 1, &error), IST_OK);
    EXPECT_EQ(wait(done, 1), IST_DEVICE_LOST) << error.message;
    EXPECT_EQ(wait(done, 2), IST_DEVICE_LOST) << error.message;
    EXPECT_EQ(wait(end, 1), IST_OK) << error.message; // another device
    EXPECT_EQ(values<float>(last[0]), std::vector<float>(10, 9.f));
    EXPECT_EQ(call(a, {tensor(x)}, out[0], &error), IST_DEVICE_LOST);
  }
  simConfigure("");
}

} // namespace
