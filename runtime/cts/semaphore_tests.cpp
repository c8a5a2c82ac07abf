//===- semaphore_tests.cpp - level 2: order, semaphores, threads ----------===//
#include "harness.h"

#include <atomic>
#include <chrono>
#include <exception>
#include <thread>

using namespace isthmus::cts;

namespace {

using Clock = std::chrono::steady_clock;

/// Rounds that take a device some milliseconds.
constexpr uint64_t kLong = 3000000;

/// Runs `work` on threads; the first failure of any is this thread's.
template <typename Work> void onThreads(int count, Work work) {
  std::vector<std::thread> threads;
  std::vector<std::exception_ptr> failures(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i)
    threads.emplace_back([&, i] {
      try {
        work(i);
      } catch (...) {
        failures[static_cast<size_t>(i)] = std::current_exception();
      }
    });
  for (std::thread &t : threads)
    t.join();
  for (std::exception_ptr &f : failures)
    if (f)
      std::rethrow_exception(f);
}

/// Lets the others go on when a thread that they wait for fails.
template <typename Work>
void orSignal(Semaphore &s, uint64_t value, Work work) {
  try {
    work();
  } catch (...) {
    ist_error error;
    s.raise(value, &error);
    throw;
  }
}

void beginsAtZero(const Context &c) {
  Device d(c);
  Semaphore s(d);
  CTS_CHECK(s.query() == 0);
  CTS_CHECK(s.reached(0) && !s.reached(1));
}

void hostSignal(const Context &c) {
  Device d(c);
  Semaphore s(d);
  for (uint64_t v :
       {uint64_t(1), uint64_t(2), uint64_t(7), uint64_t(1) << 40}) {
    s.signal(v);
    CTS_CHECK(s.query() == v);
    CTS_CHECK(s.reached(v) && s.reached(v - 1) && !s.reached(v + 1));
    s.wait(v);
  }
}

void timeouts(const Context &c) {
  Device d(c);
  Semaphore s(d);
  for (uint64_t ns : {0, 1, 1000, 30000000}) {
    Clock::time_point begin = Clock::now();
    CTS_FAILS(d.driver->semaphore_wait(s.handle, 1, ns, &error),
              IST_DEADLINE_EXCEEDED);
    CTS_CHECK(Clock::now() - begin >= std::chrono::nanoseconds(ns));
  }
  s.signal(1);
  s.wait(1);
}

void submitNothing(const Context &c) {
  Device d(c);
  Queue q(d);
  q.submit({}, {});
  q.finish();
}

void manyValues(const Context &c) {
  Device d(c);
  Queue q(d);
  Semaphore s(d);
  Memory m = d.upload<uint32_t>(q, {0});
  uint64_t last = 0;
  for (uint64_t v = 1; v <= 1000; ++v) {
    q.launch(d.kernels().count, 1, {1, inout(m.at(), 4)});
    q.submit({}, {s.point(3 * v)});
    uint64_t now = s.query();
    CTS_THAT(now >= last && now <= 3 * v, "a semaphore went from %d to %d",
             static_cast<int>(last), static_cast<int>(now));
    last = now;
  }
  s.wait(1499); // between two
  s.wait(3000);
  CTS_CHECK(s.query() == 3000);
  CTS_CHECK(d.download<uint32_t>(q, m.at(), 1)[0] == 1000);
}

/// After a wait, the host sees what kernels, copies and fills wrote.
void visibility(const Context &c) {
  Device d(c);
  Queue q(d);
  Semaphore s(d);
  constexpr uint64_t n = 4096;
  Memory a = d.visible(4 * n), b = d.visible(4 * n), f = d.visible(64);
  for (uint32_t round = 1; round <= 50; ++round) {
    for (uint32_t i = 0; i < n; ++i)
      a.host<uint32_t>()[i] = i * round;
    q.launch(d.kernels().scale, groups(n),
             {n, round, in(a.at(), 4 * n), out(b.at(), 4 * n)});
    q.fill(f.at(), static_cast<uint8_t>(round), 64);
    q.submit({}, {s.point(round)});
    s.wait(round);
    for (uint32_t i = 0; i < n; ++i)
      CTS_CHECK(b.host<uint32_t>()[i] == i * round * round + 1);
    CTS_CHECK(f.host()[63] == static_cast<uint8_t>(round));
  }
}

/// A value that is seen is one whose work is done.
void queryIsHonest(const Context &c) {
  Device d(c);
  Queue q(d);
  Semaphore s(d);
  Memory m = d.visible(4);
  *m.host<uint32_t>() = 1;
  for (uint64_t v = 1; v <= 3; ++v) {
    q.launch(d.kernels().spin, 1, {kLong, inout(m.at(), 4)});
    q.submit({}, {s.point(v)});
    while (s.query() < v)
      std::this_thread::yield();
    CTS_CHECK(*m.host<uint32_t>() == spun(1, v * kLong));
  }
}

/// B waits for A, whose work is long.
void acrossQueues(const Context &c) {
  Device d(c);
  Queue a(d), b(d);
  Semaphore s(d);
  Memory m = d.upload<uint32_t>(a, {1}), to = d.alloc(4);
  for (uint64_t round = 1; round <= 5; ++round) {
    a.launch(d.kernels().spin, 1, {kLong, inout(m.at(), 4)});
    a.submit({}, {s.point(round)});
    b.submit({s.point(round)}, {});
    b.copy(to.at(), m.at(), 4);
    b.finish();
    CTS_CHECK(d.download<uint32_t>(b, to.at(), 1)[0] == spun(1, round * kLong));
  }
}

/// The same word, in turn.
void pingPong(const Context &c) {
  Device d(c);
  Queue a(d), b(d);
  Semaphore s(d);
  Memory x = d.upload<uint32_t>(a, {1});
  Memory y = d.alloc(4);
  uint32_t expected = 1;
  for (uint64_t i = 0; i < 100; ++i) {
    Queue &q = i & 1 ? b : a;
    const Memory &from = i & 1 ? y : x, &to = i & 1 ? x : y;
    if (i)
      q.submit({s.point(i)}, {});
    q.launch(d.kernels().scale, 1,
             {1, i + 2, in(from.at(), 4), out(to.at(), 4)});
    q.submit({}, {s.point(i + 1)});
    expected = expected * static_cast<uint32_t>(i + 2) + 1;
  }
  s.wait(100);
  CTS_CHECK(d.download<uint32_t>(a, x.at(), 1)[0] == expected);
  b.finish();
}

/// Many in one submit, which waits and signals at once.
void manyPoints(const Context &c) {
  Device d(c);
  Queue q(d), r(d);
  std::vector<std::unique_ptr<Semaphore>> all;
  std::vector<ist_driver_point> firsts, seconds;
  for (int i = 0; i < 20; ++i) {
    all.push_back(std::make_unique<Semaphore>(d));
    firsts.push_back(all.back()->point(1));
    seconds.push_back(all.back()->point(2));
  }
  Memory m = d.upload<uint32_t>(q, {1});
  q.launch(d.kernels().spin, 1, {kLong, inout(m.at(), 4)});
  q.submit({}, firsts);
  r.submit(firsts, seconds);
  for (auto &s : all)
    s->wait(2);
  // A submit signals after its own waits, so all of q's work is done.
  CTS_CHECK(d.download<uint32_t>(r, m.at(), 1)[0] == spun(1, kLong));
  q.finish();
}

/// The host between two queues: A signals 1, the host waits for it and signals,
/// B, which waits for the host, signals 2, another thread waits for that.
void hostBetween(const Context &c) {
  Device d(c);
  Queue a(d), b(d);
  Semaphore s(d), h(d);
  Memory m = d.upload<uint32_t>(a, {3});
  std::atomic<bool> seen{false};
  onThreads(2, [&](int thread) {
    if (thread == 1) { // for a value that nobody gave yet
      s.wait(2);
      seen = true;
      return;
    }
    orSignal(s, 2, [&] {
      a.launch(d.kernels().spin, 1, {kLong, inout(m.at(), 4)});
      a.submit({}, {s.point(1)});
      s.wait(1);
      CTS_CHECK(!seen);
      h.signal(1);
      b.submit({h.point(1), s.point(1)}, {});
      b.launch(d.kernels().spin, 1, {100, inout(m.at(), 4)});
      b.submit({}, {s.point(2)});
    });
  });
  CTS_CHECK(seen);
  CTS_CHECK(d.download<uint32_t>(b, m.at(), 1)[0] == spun(3, kLong + 100));
}

void waitersOnThreads(const Context &c) {
  Device d(c);
  Queue q(d);
  Semaphore s(d);
  Memory m = d.upload<uint32_t>(q, {1});
  onThreads(5, [&](int thread) {
    if (thread == 0)
      orSignal(s, 20, [&] {
        for (uint64_t v = 1; v <= 20; ++v) {
          q.launch(d.kernels().spin, 1, {10000, inout(m.at(), 4)});
          q.submit({}, {s.point(v)});
        }
      });
    else
      for (uint64_t v = 1; v <= 20; ++v) {
        s.wait(v);
        CTS_CHECK(s.query() >= v);
      }
  });
  q.finish();
}

/// A queue per thread: allocations, launches, copies.
void queuesOnThreads(const Context &c) {
  Device d(c);
  d.kernels();
  onThreads(4, [&](int thread) {
    Queue q(d);
    for (uint32_t round = 0; round < 20; ++round) {
      size_t n = 1 + (round * 97 + static_cast<uint32_t>(thread) * 31) % 2000;
      std::vector<uint32_t> data = noise(n, round + 1);
      Memory a = d.upload(q, data), b = d.alloc(4 * n);
      q.launch(d.kernels().scale, groups(n),
               {n, round, in(a.at(), 4 * n), out(b.at(), 4 * n)});
      q.launch(d.kernels().add, groups(n),
               {n, in(a.at(), 4 * n), in(b.at(), 4 * n), inout(b.at(), 4 * n)});
      std::vector<uint32_t> got = d.download<uint32_t>(q, b.at(), n);
      for (size_t i = 0; i < n; ++i)
        CTS_CHECK(got[i] == data[i] * round + 1 + data[i]);
    }
  });
}

/// Modules and semaphores come and go while a queue works.
void objectsOnThreads(const Context &c) {
  Device d(c);
  d.kernels();
  onThreads(3, [&](int thread) {
    if (thread == 0) {
      Queue q(d);
      Memory m = d.upload<uint32_t>(q, {1});
      for (int i = 0; i < 50; ++i)
        q.launch(d.kernels().spin, 1, {20000, inout(m.at(), 4)});
      CTS_CHECK(d.download<uint32_t>(q, m.at(), 1)[0] == spun(1, 1000000));
      return;
    }
    ist_module_options options = {sizeof options, c.format.c_str(), nullptr};
    for (int i = 0; i < 20; ++i) {
      ist_driver_module *module = nullptr;
      CTS_OK(d.driver->module_load(d.handle, c.code.data(), c.code.size(),
                                   &options, &module, &error));
      Semaphore s(d);
      s.signal(1);
      d.alloc(1000);
      d.driver->module_unload(module);
    }
  });
}

} // namespace

const std::vector<Test> &isthmus::cts::semaphoreTests() {
  static const std::vector<Test> tests = {
      {2, "semaphore.begins-at-0", beginsAtZero},
      {2, "semaphore.host-signal", hostSignal},
      {2, "semaphore.timeouts", timeouts},
      {2, "submit.nothing", submitNothing},
      {2, "submit.many-values", manyValues},
      {2, "submit.many-points", manyPoints},
      {2, "semaphore.query", queryIsHonest},
      {2, "visibility", visibility},
      {2, "queues.across", acrossQueues},
      {2, "queues.ping-pong", pingPong},
      {2, "queues.host-between", hostBetween},
      {2, "threads.waiters", waitersOnThreads},
      {2, "threads.queues", queuesOnThreads},
      {2, "threads.objects", objectsOnThreads},
  };
  return tests;
}
