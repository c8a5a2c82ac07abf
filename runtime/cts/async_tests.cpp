//===- async_tests.cpp - level 4: calls that wait for points --------------===//
#include "api.h"

#include <chrono>
#include <thread>

using namespace isthmus::cts;

namespace {

struct Points {
  explicit Points(uint64_t value = 0) {
    CTS_OK(ist_semaphore_create(value, &handle, &error));
  }
  ~Points() { ist_semaphore_release(handle); }
  Points(const Points &) = delete;
  ist_point at(uint64_t v) const { return {handle, v}; }
  void wait(uint64_t v) {
    CTS_OK(ist_semaphore_wait(handle, v, UINT64_MAX, &error));
  }
  void signal(uint64_t v) { CTS_OK(ist_semaphore_signal(handle, v, &error)); }
  uint64_t value() const { return ist_semaphore_value(handle); }
  ist_semaphore *handle = nullptr;
};

ist_status give(const OwnSession &s, const char *function,
                const std::vector<ist_tensor> &inputs,
                std::vector<ist_tensor> &outputs,
                const std::vector<ist_point> &waits,
                const std::vector<ist_point> &signals, ist_error *error) {
  ist_call_points p = IST_CALL_POINTS_INIT;
  p.waits = waits.data();
  p.wait_count = waits.size();
  p.signals = signals.data();
  p.signal_count = signals.size();
  return ist_call_async(s.get(), function, inputs.data(), inputs.size(),
                        outputs.data(), outputs.size(), &p, error);
}

constexpr size_t n = 700;

struct Setup {
  explicit Setup(const Context &c)
      : straights({Straight(6, 1), Straight(12, 2)}),
        artifact(withKernels(c), straights, 3), device(openDevice(c)),
        program(load(artifact, device.get())) {}
  static const Context &withKernels(const Context &c) {
    if (c.code.empty())
      throw Lacking{"no kernels for this device; give them with --kernels"};
    return c;
  }
  std::vector<Straight> straights;
  Artifact artifact;
  OpenDevice device;
  LoadedProgram program;
};

void pause() { std::this_thread::sleep_for(std::chrono::milliseconds(20)); }

/// A signals 1; B waits for that and for the host, and signals 2; the host
/// waits for 1. With `bFirst`, B is given before A, and signals elsewhere:
/// values of one semaphore are given in order.
void hostBetween(const Context &c, bool bFirst) {
  Setup l(c);
  OwnSession a = session(l.program), b = session(l.program);
  for (ist_device *d : {static_cast<ist_device *>(nullptr), l.device.get()})
    for (int round = 0; round < 3; ++round) {
      Points s, h, other;
      ist_point end = bFirst ? other.at(7) : s.at(2);
      Buffer x(d, n), y(d, n), t(d, n), z(d, n);
      Values vx = noise(n, 1 + static_cast<uint32_t>(round)), vy = noise(n, 9);
      x.set(vx);
      y.set(vy);
      std::vector<ist_tensor> to = {t.tensor(n)}, tz = {z.tensor(n)};
      auto giveB = [&] {
        CTS_OK(give(b, "f1", {t.tensor(n), y.tensor(n)}, tz, {s.at(1), h.at(1)},
                    {end}, &error));
      };
      if (bFirst) {
        giveB();
        pause();
      }
      CTS_OK(
          give(a, "f0", {x.tensor(n), y.tensor(n)}, to, {}, {s.at(1)}, &error));
      if (!bFirst)
        giveB();
      s.wait(1);
      Values vt = l.straights[0].run(vx, vy, l.artifact.weight);
      CTS_CHECK(t.get(n) == vt);
      pause();
      CTS_CHECK(s.value() == 1 && other.value() == 0);
      h.signal(1);
      CTS_OK(ist_semaphore_wait(end.semaphore, end.value, UINT64_MAX, &error));
      CTS_CHECK(z.get(n) == l.straights[1].run(vt, vy, l.artifact.weight));
      CTS_CHECK(tz[0].bytes == 4 * n);
    }
}
void hostBetweenInOrder(const Context &c) { hostBetween(c, false); }
void hostBetweenParked(const Context &c) { hostBetween(c, true); }

/// Calls on one session run one after another, without points between them.
void oneSession(const Context &c) {
  Setup l(c);
  OwnSession s = session(l.program);
  Points done;
  Buffer sum(nullptr, n), x(nullptr, n);
  Values v = noise(n, 1), expected(n, 0);
  sum.set(expected);
  x.set(v);
  std::vector<std::vector<ist_tensor>> outputs(50, {none()});
  for (uint64_t i = 0; i < 50; ++i)
    CTS_OK(give(s, "state", {sum.tensor(n), x.tensor(n)}, outputs[i], {},
                {done.at(i + 1)}, &error));
  done.wait(50);
  CTS_CHECK(done.value() == 50);
  for (size_t i = 0; i < n; ++i)
    expected[i] = 50 * v[i];
  CTS_CHECK(sum.get(n) == expected);
}

/// Two calls with one place for their results: the later one's stay.
void lastResultStays(const Context &c) {
  Setup l(c);
  OwnSession s = session(l.program);
  Points first, second;
  Buffer x(nullptr, n), y(nullptr, n), z(nullptr, n);
  Values vx = noise(n, 1), vy = noise(n, 2);
  x.set(vx);
  y.set(vy);
  for (uint64_t i = 1; i <= 5; ++i) {
    std::vector<ist_tensor> a = {z.tensor(n)}, b = {z.tensor(n)};
    CTS_OK(give(s, "f0", {x.tensor(n), y.tensor(n)}, a, {}, {first.at(i)},
                &error));
    CTS_OK(give(s, "f1", {x.tensor(n), y.tensor(n)}, b, {}, {second.at(i)},
                &error));
    second.wait(i);
    first.wait(i);
    CTS_CHECK(z.get(n) == l.straights[1].run(vx, vy, l.artifact.weight));
  }
}

/// Functions that look at device values run on a thread of the runtime's.
void hostWaits(const Context &c) {
  Setup l(c);
  OwnSession a = session(l.program), b = session(l.program);
  Points first, second, h;
  Buffer x(nullptr, n), t(nullptr, n), z(nullptr, n);
  for (uint32_t i = 1; i <= 6; ++i) {
    Values v = noise(n, i);
    x.set(v);
    std::vector<ist_tensor> to = {t.tensor(n)}, tz = {z.tensor(n)};
    CTS_OK(give(b, "loop", {t.tensor(n)}, tz, {first.at(i)}, {second.at(i)},
                &error));
    CTS_OK(
        give(a, "loop", {x.tensor(n)}, to, {h.at(i)}, {first.at(i)}, &error));
    h.signal(i);
    second.wait(i);
    CTS_CHECK(z.get(n) == loopOf(loopOf(v)));
  }
}

/// Threads that each wait for the one before, round after round.
void ring(const Context &c) {
  constexpr uint64_t count = 3, rounds = 15;
  Setup l(c);
  Points s[count];
  Buffer sum(l.device.get(), n), x(nullptr, n);
  sum.set(Values(n, 0));
  x.set(Values(n, 1));
  std::vector<std::thread> threads;
  std::vector<ist_status> results(count, IST_OK);
  std::vector<std::vector<ist_tensor>> outputs(count * rounds, {none()});
  std::vector<OwnSession> sessions;
  for (uint64_t t = 0; t < count; ++t)
    sessions.push_back(session(l.program));
  for (uint64_t t = 0; t < count; ++t)
    threads.emplace_back([&, t] {
      for (uint64_t r = 0; r < rounds; ++r) {
        uint64_t v = r * count + t;
        std::vector<ist_point> waits;
        if (v)
          waits.push_back(s[(t + count - 1) % count].at(t ? r + 1 : r));
        ist_error error;
        if (ist_status st =
                give(sessions[t], "state", {sum.tensor(n), x.tensor(n)},
                     outputs[v], waits, {s[t].at(r + 1)}, &error))
          results[t] = st;
      }
    });
  for (std::thread &t : threads)
    t.join();
  for (ist_status r : results)
    CTS_CHECK(r == IST_OK);
  s[count - 1].wait(rounds);
  CTS_CHECK(sum.get(n) == Values(n, count * rounds));
}

/// What is wrong with the arguments is said at once, and signals nothing.
void badArguments(const Context &c) {
  Setup l(c);
  OwnSession s = session(l.program);
  Points p(5);
  Buffer x(nullptr, n), z(nullptr, n);
  x.set(noise(n, 1));
  std::vector<ist_tensor> to = {z.tensor(n)};
  CTS_FAILS(give(s, "f0", {x.tensor(n)}, to, {}, {p.at(6)}, &error),
            IST_INVALID_ARGUMENT);
  CTS_CHECK(p.value() == 5);
  CTS_FAILS(
      give(s, "f0", {x.tensor(n), x.tensor(n)}, to, {}, {p.at(5)}, &error),
      IST_INVALID_ARGUMENT); // does not rise
  CTS_OK(give(s, "f0", {x.tensor(n), x.tensor(n)}, to, {}, {p.at(6)}, &error));
  p.wait(6);
  CTS_FAILS(ist_semaphore_wait(p.handle, 7, 1000000, &error),
            IST_DEADLINE_EXCEEDED);
}

/// A session that ends waits for what is under way.
void destroyWaits(const Context &c) {
  Setup l(c);
  Points s;
  Buffer x(nullptr, n), y(nullptr, n), z(nullptr, n);
  Values vx = noise(n, 1), vy = noise(n, 2);
  x.set(vx);
  y.set(vy);
  std::vector<ist_tensor> to = {z.tensor(n)};
  for (uint64_t i = 1; i <= 5; ++i) {
    OwnSession own = session(l.program);
    CTS_OK(
        give(own, "f1", {x.tensor(n), y.tensor(n)}, to, {}, {s.at(i)}, &error));
    own.reset();
    CTS_CHECK(s.value() == i);
    CTS_CHECK(z.get(n) == l.straights[1].run(vx, vy, l.artifact.weight));
  }
}

} // namespace

const std::vector<Test> &isthmus::cts::asyncTests() {
  static const std::vector<Test> tests = {
      {4, "async.host-between", hostBetweenInOrder},
      {4, "async.parked", hostBetweenParked},
      {4, "async.one-session", oneSession},
      {4, "async.last-result-stays", lastResultStays},
      {4, "async.host-waits", hostWaits},
      {4, "async.ring", ring},
      {4, "async.bad-arguments", badArguments},
      {4, "async.destroy-waits", destroyWaits},
  };
  return tests;
}
