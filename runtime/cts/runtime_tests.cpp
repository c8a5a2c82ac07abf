//===- runtime_tests.cpp - level 4: libisthmus over a driver --------------===//
#include "api.h"

#include <algorithm>
#include <exception>
#include <random>
#include <thread>

using namespace isthmus::cts;

namespace {

/// One artifact for most tests.
struct Loaded {
  explicit Loaded(const Context &c, uint32_t functions = 3)
      : straights(make(functions)), artifact(checked(c), straights, 77),
        device(openDevice(c)), program(load(artifact, device.get())) {}
  static std::vector<Straight> make(uint32_t n) {
    std::vector<Straight> all;
    for (uint32_t i = 0; i < n; ++i)
      all.emplace_back(4 + 8 * i, i + 1);
    return all;
  }
  static const Context &checked(const Context &c) {
    if (c.code.empty())
      throw Lacking{"no kernels for this device; give them with --kernels"};
    return c;
  }
  Values expected(uint32_t f, const Values &x, const Values &y) const {
    return straights[f].run(x, y, artifact.weight);
  }
  std::vector<Straight> straights;
  Artifact artifact;
  OpenDevice device;
  LoadedProgram program;
};

std::string name(uint32_t f) { return "f" + std::to_string(f); }

/// f(x, y) into the caller's memory, checked.
void checkCall(const Loaded &l, const OwnSession &s, uint32_t f, Buffer &x,
               Buffer &y, Buffer &z, size_t n, uint32_t seed) {
  Values a = noise(n, seed), b = noise(n, seed + 1);
  x.set(a);
  y.set(b);
  std::vector<ist_tensor> outputs = {z.tensor(n)};
  CTS_OK(call(s, name(f).c_str(), {x.tensor(n), y.tensor(n)}, outputs, &error));
  CTS_CHECK(outputs[0].bytes == 4 * n &&
            outputs[0].dims[0] == static_cast<int64_t>(n));
  CTS_THAT(z.get(n) == l.expected(f, a, b), "f%u of %zu elements is wrong", f,
           n);
}

void callsOnHostMemory(const Context &c) {
  Loaded l(c);
  OwnSession s = session(l.program);
  Buffer x(nullptr, kMostElements), y(nullptr, kMostElements),
      z(nullptr, kMostElements);
  for (size_t n : {1, 255, 256, 257, 4096, 1000, 1000, 1000, 1})
    for (uint32_t f = 0; f < 3; ++f)
      checkCall(l, s, f, x, y, z, n, static_cast<uint32_t>(n) + f);
}

void callsOnDeviceMemory(const Context &c) {
  Loaded l(c);
  OwnSession s = session(l.program);
  ist_device *d = l.device.get();
  Buffer x(d, kMostElements), y(d, kMostElements), z(d, kMostElements);
  for (size_t n : {1, 4096, 1000, 1000, 1000, 300})
    for (uint32_t f = 0; f < 3; ++f)
      checkCall(l, s, f, x, y, z, n, static_cast<uint32_t>(n) + f);
  // Mixed.
  Buffer hx(nullptr, kMostElements), hz(nullptr, kMostElements);
  for (int i = 0; i < 3; ++i) {
    checkCall(l, s, 1, hx, y, z, 777, 1);
    checkCall(l, s, 1, x, y, hz, 777, 2);
  }
}

/// Memory that is not aligned as kernels need it.
void misaligned(const Context &c) {
  Loaded l(c);
  OwnSession s = session(l.program);
  for (ist_device *d : {static_cast<ist_device *>(nullptr), l.device.get()})
    for (size_t skip = 0; skip < 5; ++skip) {
      Buffer x(d, 600, skip), y(d, 600, 4 - skip), z(d, 600, skip ^ 1);
      for (uint32_t f = 0; f < 3; ++f)
        checkCall(l, s, f, x, y, z, 600, static_cast<uint32_t>(skip));
    }
}

void outputsByTheRuntime(const Context &c) {
  Loaded l(c);
  OwnSession s = session(l.program);
  Buffer x(nullptr, kMostElements), y(nullptr, kMostElements);
  std::vector<ist_tensor> outputs = {none()};
  for (size_t n : {100, 4000, 4000, 4000, 1}) {
    Values a = noise(n, 1), b = noise(n, 2);
    x.set(a);
    y.set(b);
    // The same tensor again: what it had before is the session's.
    CTS_OK(call(s, "f1", {x.tensor(n), y.tensor(n)}, outputs, &error));
    CTS_CHECK(outputs[0].data && outputs[0].bytes == 4 * n);
    auto *p = static_cast<const uint32_t *>(outputs[0].data);
    CTS_CHECK(Values(p, p + n) == l.expected(1, a, b));
  }
}

void states(const Context &c) {
  Loaded l(c);
  OwnSession s = session(l.program);
  for (ist_device *d : {static_cast<ist_device *>(nullptr), l.device.get()})
    for (size_t n : {5, 2000}) {
      Buffer state(d, n), x(d, n);
      Values sum = noise(n, 3);
      state.set(sum);
      for (uint32_t i = 0; i < 6; ++i) {
        Values v = noise(n, i);
        x.set(v);
        std::vector<ist_tensor> outputs = {none()};
        CTS_OK(
            call(s, "state", {state.tensor(n), x.tensor(n)}, outputs, &error));
        for (size_t j = 0; j < n; ++j)
          sum[j] += v[j];
        CTS_CHECK(state.get(n) == sum);
      }
    }
}

void hostWaits(const Context &c) {
  Loaded l(c);
  OwnSession s = session(l.program);
  Buffer x(nullptr, 500), z(nullptr, 500);
  for (uint32_t seed = 0; seed < 12; ++seed) {
    Values v = noise(500, seed);
    x.set(v);
    std::vector<ist_tensor> outputs = {z.tensor(500)};
    CTS_OK(call(s, "loop", {x.tensor(500)}, outputs, &error));
    CTS_CHECK(z.get(500) == loopOf(v));
  }
}

/// Programs that come and go beside one that stays, and share its weight.
void programs(const Context &c) {
  Loaded l(c);
  OwnSession s = session(l.program);
  Buffer x(nullptr, 300), y(nullptr, 300), z(nullptr, 300);
  for (uint32_t i = 0; i < 10; ++i) {
    LoadedProgram other = load(l.artifact, l.device.get());
    OwnSession t = session(other);
    checkCall(l, t, i % 3, x, y, z, 300, i);
    checkCall(l, s, i % 3, x, y, z, 300, i);
  }
}

template <typename Work> void onThreads(uint32_t count, Work work) {
  std::vector<std::thread> threads;
  std::vector<std::exception_ptr> failures(count);
  for (uint32_t i = 0; i < count; ++i)
    threads.emplace_back([&, i] {
      try {
        work(i);
      } catch (...) {
        failures[i] = std::current_exception();
      }
    });
  for (std::thread &t : threads)
    t.join();
  for (std::exception_ptr &f : failures)
    if (f)
      std::rethrow_exception(f);
}

/// Threads with sessions of their own, of all sizes, some short-lived.
void stress(const Context &c) {
  Loaded l(c);
  onThreads(4, [&](uint32_t thread) {
    std::mt19937 random(thread);
    OwnSession s = session(l.program, thread & 1);
    Buffer x(nullptr, kMostElements, random() % 3),
        y(thread & 2 ? l.device.get() : nullptr, kMostElements),
        z(nullptr, kMostElements);
    for (uint32_t i = 0; i < 60; ++i) {
      size_t n =
          random() % 3 ? 1 + random() % kMostElements : 64u << random() % 3;
      checkCall(l, s, random() % 3, x, y, z, n, random());
      if (random() % 10 == 0)
        s = session(l.program);
    }
  });
}

/// Whatever came before, a call gives what the program says: over random
/// sequences of functions, shapes, pointers, sessions and frees.
void replayEqualsDirect(const Context &c) {
  bool records;
  {
    Device d(c);
    records = d.driver->extension(d.handle, IST_EXTENSION_RECORDING);
  }
  Loaded l(c);
  uint64_t replays = 0;
  auto end = [&](OwnSession &s) {
    ist_session_counters counters = {};
    counters.struct_size = sizeof counters;
    ist_session_get_counters(s.get(), &counters);
    replays += counters.replays;
    s.reset();
  };
  const size_t sizes[] = {1, 96, 256, 1000, kMostElements};
  for (uint32_t seed = 0; seed < 6; ++seed) {
    std::mt19937 random(seed);
    std::vector<OwnSession> sessions;
    for (int i = 0; i < 3; ++i)
      sessions.push_back(session(l.program, i != 2));
    // Few, so that shapes and pointers come again, and are gone and elsewhere.
    std::vector<std::unique_ptr<Buffer>> buffers(6);
    auto buffer = [&](size_t i) -> Buffer & {
      if (!buffers[i])
        buffers[i] = std::make_unique<Buffer>(
            random() % 2 ? l.device.get() : nullptr, kMostElements,
            random() % 4 ? 0 : 16 * (random() % 3));
      return *buffers[i];
    };
    for (uint32_t i = 0; i < 150; ++i) {
      size_t x = random() % 2, y = 2 + random() % 2, z = 4 + random() % 2;
      size_t n = sizes[random() % (i < 75 ? 2 : 5)];
      checkCall(l, sessions[random() % 3], random() % 3, buffer(x), buffer(y),
                buffer(z), n, random());
      if (random() % 12 == 0)
        buffers[random() % 6].reset();
      if (random() % 40 == 0) {
        size_t which = random() % 3;
        end(sessions[which]);
        sessions[which] = session(l.program, which != 2);
      }
    }
    for (OwnSession &s : sessions)
      end(s);
  }
  CTS_THAT(!records || replays > 100, "of 900 calls %d were replays",
           static_cast<int>(replays));
}

/// A call's failure is its own: the session and those beside it go on.
void badCalls(const Context &c) {
  Loaded l(c);
  OwnSession s = session(l.program);
  Buffer x(nullptr, 300), y(nullptr, 300), z(nullptr, 300);
  for (uint32_t i = 0; i < 3; ++i) {
    std::vector<ist_tensor> outputs = {z.tensor(100)};
    CTS_FAILS(call(s, "f0", {x.tensor(100), y.tensor(101)}, outputs, &error),
              IST_INVALID_ARGUMENT);
    outputs[0].capacity = 399;
    CTS_FAILS(call(s, "f0", {x.tensor(100), y.tensor(100)}, outputs, &error),
              IST_INVALID_ARGUMENT);
    CTS_CHECK(outputs[0].bytes == 400);
    CTS_FAILS(call(s, "no_such", {x.tensor(100)}, outputs, &error),
              IST_NOT_FOUND);
    checkCall(l, s, 0, x, y, z, 300, i);
  }
}

/// A session that may take too little says so, and works for less.
void memoryLimits(const Context &c) {
  Loaded l(c);
  Buffer x(nullptr, kMostElements), y(nullptr, kMostElements),
      z(nullptr, kMostElements);
  ist_tensor sizes[] = {x.tensor(kMostElements), y.tensor(kMostElements)};
  ist_memory_need need;
  uint32_t f2;
  CTS_OK(ist_program_find_function(l.program.get(), "f2", &f2, &error));
  CTS_OK(ist_program_memory_need(l.program.get(), f2, sizes, 2, &need, &error));
  CTS_CHECK(need.arena_bytes >= 8 * kMostElements);
  ist_session_options options = IST_SESSION_OPTIONS_INIT;
  options.memory_limit = need.arena_bytes - 1;
  ist_session *made = nullptr;
  CTS_OK(ist_session_create(l.program.get(), &options, &made, &error));
  OwnSession s(made);
  for (int i = 0; i < 3; ++i) {
    std::vector<ist_tensor> outputs = {z.tensor(kMostElements)};
    CTS_FAILS(call(s, "f2", {sizes[0], sizes[1]}, outputs, &error),
              IST_RESOURCE_EXHAUSTED);
    checkCall(l, s, 2, x, y, z, 64, 5);
  }
}

/// What takes too long, or is not wanted any more, ends; the session goes on.
void timeouts(const Context &c) {
  Loaded l(c);
  OwnSession s = session(l.program);
  Buffer x(nullptr, 500), y(nullptr, 500), z(nullptr, 500);
  for (uint32_t i = 0; i < 4; ++i) {
    std::vector<ist_tensor> outputs = {z.tensor(500)};
    ist_session_set_timeout(s.get(), 1);
    CTS_FAILS(call(s, "f1", {x.tensor(500), y.tensor(500)}, outputs, &error),
              IST_DEADLINE_EXCEEDED);
    ist_session_set_timeout(s.get(), 0);
    checkCall(l, s, 1, x, y, z, 500, i);
  }
  // Cancelling what does not run is nothing; what runs ends in one way or the
  // other.
  ist_session_cancel(s.get());
  checkCall(l, s, 1, x, y, z, 500, 9);
  std::thread canceller([&] {
    for (int i = 0; i < 200; ++i)
      ist_session_cancel(s.get());
  });
  Values a = noise(500, 1);
  x.set(a);
  y.set(a);
  for (int i = 0; i < 100; ++i) {
    std::vector<ist_tensor> outputs = {z.tensor(500)};
    ist_error error = {};
    ist_status status =
        call(s, "f1", {x.tensor(500), y.tensor(500)}, outputs, &error);
    if (status != IST_OK && status != IST_ABORTED) {
      canceller.join();
      CTS_THAT(false, "a cancelled call gives %s: %s", ist_status_name(status),
               error.message);
    }
  }
  canceller.join();
  checkCall(l, s, 1, x, y, z, 500, 3);
}

/// Prepared sessions, with a state that the runtime keeps on the device.
void preparedAndBound(const Context &c) {
  Loaded l(c);
  OwnSession s = session(l.program);
  constexpr size_t n = 900;
  Buffer x(l.device.get(), n), y(l.device.get(), n), z(l.device.get(), n);
  ist_tensor sizes[] = {x.tensor(n), y.tensor(n), x.tensor(7), y.tensor(7)};
  for (ist_tensor &t : sizes)
    t.data = nullptr;
  CTS_OK(ist_session_prepare(s.get(), "f2", sizes, 2, 2, &error));
  for (uint32_t i = 0; i < 3; ++i) {
    checkCall(l, s, 2, x, y, z, n, i);
    checkCall(l, s, 2, x, y, z, 7, i);
  }
  ist_tensor state = x.tensor(n), bound = x.tensor(n);
  state.data = bound.data = nullptr;
  state.memory = IST_MEMORY_DEVICE;
  CTS_FAILS(ist_session_bind(s.get(), "no_such", &state, &error),
            IST_NOT_FOUND);
  CTS_OK(ist_session_bind(s.get(), "s", &state, &error));
  CTS_CHECK(state.data);
  Values v = noise(n, 8), got(n);
  x.set(v);
  for (uint32_t i = 1; i <= 5; ++i) {
    std::vector<ist_tensor> outputs = {none()};
    CTS_OK(call(s, "state", {bound, x.tensor(n)}, outputs, &error));
    CTS_OK(ist_device_copy(l.device.get(), got.data(), IST_MEMORY_HOST,
                           state.data, IST_MEMORY_DEVICE, 4 * n, &error));
    for (size_t j = 0; j < n; ++j)
      CTS_CHECK(got[j] == v[j] * i);
  }
  CTS_OK(ist_session_bind(s.get(), "s", nullptr, &error));
}

} // namespace

const std::vector<Test> &isthmus::cts::runtimeTests() {
  static const std::vector<Test> tests = {
      {4, "call.host-memory", callsOnHostMemory},
      {4, "call.device-memory", callsOnDeviceMemory},
      {4, "call.misaligned", misaligned},
      {4, "call.outputs-by-the-runtime", outputsByTheRuntime},
      {4, "call.inout", states},
      {4, "call.host-waits", hostWaits},
      {4, "call.bad", badCalls},
      {4, "session.memory-limits", memoryLimits},
      {4, "session.timeouts", timeouts},
      {4, "session.prepared-and-bound", preparedAndBound},
      {4, "programs", programs},
      {4, "stress", stress},
      {4, "replay-equals-direct", replayEqualsDirect},
  };
  return tests;
}
