//===- native_test.cpp - libisthmus over the vendors' fakes ---------------===//
//
// Calls on the caller's own queue, also while he captures it, and what the core
// makes of the drivers' extensions.
//
//===----------------------------------------------------------------------===//
#include "builder.h"
#include "stream_test.h"

#include <cmath>

using namespace isthmus;
using namespace isthmus::test;

namespace {

constexpr auto f32 = fb::DType::f32;
constexpr auto i64 = fb::DType::i64;
int64_t dim(uint32_t i) { return -1 - static_cast<int64_t>(i); }

/// main: y = (x + 2) * 3, of n in 1..1000; count: how many of x are not 0,
/// which is read on the host.
std::string artifactFor(const Vendor &v) {
  ArtifactBuilder a;
  fb::VariantT &variant = *a.manifest.variants[0];
  variant.target = variant.program->target =
      std::string(v.driver->vendor) + ":test";
  variant.format = v.format;
  for (auto &k : variant.program->kernels)
    k->workgroup = 64;
  a.code = readFile(v.code);
  uint32_t w = a.weight("w", std::vector<float>(1000, 2.f));
  {
    auto f = a.function("main");
    uint32_t n = f.symbol("n", 1, 1000);
    uint32_t x = f.input("x", f32, {dim(n)});
    uint32_t y = f.output("y", f32, {dim(n)});
    uint32_t wb = f.buffer(Op::weight, w);
    uint32_t bytes = f.bytes(n, 4), groups = f.groups(n);
    uint32_t t = f.alloc(bytes);
    f.launch("add_f32", groups, {x, wb, t}, {n}, "Add_0");
    uint32_t out = f.buffer(Op::alloc_output, y, bytes);
    f.launch("scale_f32", groups, {t, out}, {n, f.constant(3)}, "Mul_1");
  }
  {
    auto f = a.function("count");
    uint32_t n = f.symbol("n", 1, 1000);
    uint32_t x = f.input("x", f32, {dim(n)});
    uint32_t one = f.constant(1), eight = f.constant(8);
    uint32_t c = f.alloc(eight), y = f.alloc(f.bytes(n, 8));
    f.launch("nonzero_f32", one, {x, c, y}, {n}, "NonZero_0");
    uint32_t k = f.read(c, f.constant(0), i64);
    uint32_t z = f.output("z", i64, {dim(k)});
    uint32_t out = f.buffer(Op::alloc_output, z, f.binary(Op::mul, k, eight));
    f.emit(Op::copy, out, y, f.binary(Op::mul, k, eight));
  }
  return a.bytes();
}

/// Floats on a device.
struct OnDevice {
  OnDevice(ist_device *d, size_t n, float value) : d(d), n(n) {
    EXPECT_EQ(ist_device_alloc(d, IST_MEMORY_DEVICE, 4 * n, &p, nullptr),
              IST_OK);
    set(value);
  }
  ~OnDevice() { ist_device_free(d, p); }
  void set(float value) {
    std::vector<float> all(n, value);
    EXPECT_EQ(ist_device_copy(d, p, IST_MEMORY_DEVICE, all.data(),
                              IST_MEMORY_HOST, 4 * n, nullptr),
              IST_OK);
  }
  /// What all are, or NaN.
  float get() const {
    std::vector<float> all(n);
    EXPECT_EQ(ist_device_copy(d, all.data(), IST_MEMORY_HOST, p,
                              IST_MEMORY_DEVICE, 4 * n, nullptr),
              IST_OK);
    for (float v : all)
      if (v != all[0])
        return NAN;
    return all[0];
  }
  ist_tensor tensor(size_t elements) const {
    ist_tensor t = {};
    t.data = p;
    t.capacity = 4 * n;
    t.dtype = IST_F32;
    t.rank = 1;
    t.dims[0] = static_cast<int64_t>(elements);
    t.memory = IST_MEMORY_DEVICE;
    return t;
  }
  ist_device *d;
  size_t n;
  void *p = nullptr;
};

class Native : public testing::TestWithParam<Vendor> {
protected:
  Native() : control(controlOf(GetParam())) {
    ::setenv(GetParam().variable, GetParam().library, 1);
    if (GetParam().old)
      ::setenv("ISTHMUS_FAKE_ZE_1_3", "1", 1);
    control.reset(1);
    control.setExec(nullptr, nullptr);
    stream = control.makeStream();
    ist_device_options options = IST_DEVICE_OPTIONS_INIT;
    if (!gpu()) { // the list's own
      options.native_kind = "level_zero.context";
      options.native = control.contextOf(stream);
    }
    ist_device *opened = nullptr;
    EXPECT_EQ(ist_device_open(name(0).c_str(), &options, &opened, &error),
              IST_OK)
        << error.message;
    device.reset(opened);
    program = load(artifact, opened);
  }
  ~Native() override {
    program = {};
    device = {};
    control.dropStream(stream);
    EXPECT_STREQ(control.misuse(), "");
    EXPECT_STREQ(control.alive(), "");
    ::unsetenv(GetParam().variable);
    ::unsetenv("ISTHMUS_FAKE_ZE_1_3");
  }
  std::string name(int index) const {
    return std::string(GetParam().driver->name) + ":" + std::to_string(index);
  }
  bool gpu() const { return GetParam().stream != nullptr; }
  bool says(const char *what) const {
    return std::string(error.message).find(what) != std::string::npos;
  }
  const char *kind() const {
    return gpu() ? GetParam().stream : "level_zero.command_list";
  }
  Session onStream() {
    ist_session_options options = IST_SESSION_OPTIONS_INIT;
    options.native_kind = kind();
    options.native = stream;
    return session(program, &options);
  }
  ist_status begin(const Session &s, const char *function, ist_tensor x,
                   ist_tensor *y) {
    return ist_call_async(s.get(), function, &x, 1, y, 1, nullptr, &error);
  }
  ist_status begin(const Session &s, const OnDevice &x, const OnDevice &y,
                   size_t n) {
    ist_tensor out = y.tensor(n);
    return begin(s, "main", x.tensor(n), &out);
  }
  /// Calls of the vendor's that wait, or allocate.
  int forbidden() const {
    int n = 0;
    for (const char *each :
         {"StreamSynchronize",    "EventSynchronize", "EventQuery",
          "EventRecord",          "EventCreate",      "MemAlloc",
          "MemAllocAsync",        "HostAlloc",        "MemFree",
          "MemFreeAsync",         "HostFree",         "HostRegister",
          "GraphInstantiate",     "GraphLaunch",      "ModuleLoadData",
          "ModuleLoadDataEx",     "MemAllocDevice",   "MemAllocHost",
          "EventHostSynchronize", "EventQueryStatus"})
      n += control.calls(each);
    return n;
  }

  const fake::Control &control;
  ist_error error = {};
  void *stream = nullptr;
  std::string artifact = artifactFor(GetParam());
  Device device;
  Program program;
};
INSTANTIATE_TEST_SUITE_P(Vendors, Native, testing::ValuesIn(vendors()),
                         [](auto &info) { return info.param.name; });

// The queue's order is all: nothing is submitted, and nobody waits.
TEST_P(Native, CallsInTheQueuesOrder) {
  Session s = onStream();
  OnDevice x(device.get(), 100, 1.f), y(device.get(), 100, 0.f),
      z(device.get(), 100, 0.f);
  ist_tensor sizes = x.tensor(100);
  ASSERT_EQ(ist_session_prepare(s.get(), "main", &sizes, 1, 1, &error), IST_OK)
      << error.message;
  int before = forbidden() - control.calls("GraphLaunch");
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(begin(s, x, y, 100), IST_OK) << error.message;
    ASSERT_EQ(begin(s, y, z, 100), IST_OK) << error.message;
    ASSERT_EQ(begin(s, z, x, 100), IST_OK) << error.message;
  }
  EXPECT_EQ(forbidden() - control.calls("GraphLaunch"),
            before + control.calls("GraphInstantiate"))
      << "nothing but recordings is made";
  // One that is waited for comes behind them.
  ist_tensor in = x.tensor(100), out = y.tensor(100);
  ASSERT_EQ(ist_call(s.get(), "main", &in, 1, &out, 1, &error), IST_OK)
      << error.message;
  float expected = 1.f;
  for (int i = 0; i < 31; ++i)
    expected = (expected + 2) * 3;
  EXPECT_EQ(y.get(), expected);
  // And of a function that reads, on the caller's thread.
  ist_tensor count = {};
  count.memory = IST_MEMORY_DEVICE;
  ASSERT_EQ(begin(s, "count", x.tensor(100), &count), IST_OK) << error.message;
  EXPECT_EQ(count.dims[0], 100);

  ist_semaphore *semaphore = nullptr;
  ASSERT_EQ(ist_semaphore_create(0, &semaphore, &error), IST_OK);
  ist_point point = {semaphore, 1};
  ist_call_points points = IST_CALL_POINTS_INIT;
  points.signals = &point;
  points.signal_count = 1;
  EXPECT_EQ(ist_call_async(s.get(), "main", &in, 1, &out, 1, &points, &error),
            IST_INVALID_ARGUMENT);
  ist_semaphore_release(semaphore);
  std::vector<float> host(100);
  ist_tensor onHost = tensor(host);
  EXPECT_EQ(begin(s, "main", onHost, &out), IST_UNAVAILABLE);
  EXPECT_TRUE(says("on the device only")) << error.message;
  const char *itsKind = nullptr;
  void *handle = nullptr;
  ASSERT_EQ(ist_session_native(s.get(), &itsKind, &handle, &error), IST_OK);
  EXPECT_STREQ(itsKind, kind());
  EXPECT_EQ(handle, stream);
  Result<isthmus::Native> native = s.native();
  ASSERT_TRUE(native) << native.status().describe();
  EXPECT_EQ(native->kind, kind());
  EXPECT_EQ(native->handle, stream);
}

// What was given to the caller's queue has run before memory goes.
TEST_P(Native, EndsBehindItsCalls) {
  OnDevice x(device.get(), 500, 1.f), y(device.get(), 500, 0.f);
  for (size_t n : {100, 300, 500}) {
    Session s = onStream();
    ASSERT_EQ(begin(s, x, y, n), IST_OK) << error.message;
    ASSERT_EQ(begin(s, x, y, n / 2), IST_OK) << error.message;
    ASSERT_EQ(begin(s, x, y, n), IST_OK) << error.message; // a larger arena
  }
  EXPECT_EQ(y.get(), 9.f);
}

// A call while the caller captures: it waits for nothing and allocates nothing,
// and what was captured computes, whenever it is launched.
TEST_P(Native, Captured) {
  if (!gpu())
    GTEST_SKIP() << "Level Zero has no capture";
  Session s = onStream();
  OnDevice x(device.get(), 800, 1.f), y(device.get(), 800, 0.f);
  ist_tensor sizes = x.tensor(100);
  ASSERT_EQ(ist_session_prepare(s.get(), "main", &sizes, 1, 1, &error), IST_OK);
  // On the third sight there is a recording, which a capture does not use.
  for (int i = 0; i < 3; ++i)
    ASSERT_EQ(begin(s, x, y, 100), IST_OK) << error.message;
  int before = forbidden();
  control.beginCapture(stream);
  ASSERT_EQ(begin(s, x, y, 100), IST_OK) << error.message;
  ASSERT_EQ(begin(s, y, x, 100), IST_OK) << error.message;
  EXPECT_EQ(control.endCapture(stream), 4);
  EXPECT_EQ(forbidden(), before);
  // Nothing of it has run; then all does, again and again.
  ist_tensor in = x.tensor(1), out = y.tensor(1);
  auto wait = [&] {
    ASSERT_EQ(ist_call(s.get(), "main", &in, 1, &out, 1, &error), IST_OK)
        << error.message;
  };
  wait();
  x.set(0.f);
  float expected = 0.f;
  for (int i = 0; i < 3; ++i) {
    control.launchCaptured(stream, stream);
    expected = ((expected + 2) * 3 + 2) * 3;
  }
  wait();
  OnDevice first(device.get(), 100, 0.f);
  ASSERT_EQ(ist_device_copy(device.get(), first.p, IST_MEMORY_DEVICE, x.p,
                            IST_MEMORY_DEVICE, 400, &error),
            IST_OK);
  EXPECT_EQ(first.get(), expected);
  // The arena moves, and the captured call's own stays.
  ASSERT_EQ(begin(s, x, y, 800), IST_OK) << error.message;
  x.set(1.f);
  control.launchCaptured(stream, stream);
  wait();
  ASSERT_EQ(ist_device_copy(device.get(), first.p, IST_MEMORY_DEVICE, x.p,
                            IST_MEMORY_DEVICE, 400, &error),
            IST_OK);
  EXPECT_EQ(first.get(), 33.f);
}

// What would wait or allocate is refused with the reason, and the capture
// lives.
TEST_P(Native, RefusedWhileCaptured) {
  if (!gpu())
    GTEST_SKIP() << "Level Zero has no capture";
  Session s = onStream();
  OnDevice x(device.get(), 800, 1.f), y(device.get(), 800, 0.f);
  ist_tensor in = x.tensor(700), out = y.tensor(700), none = {};
  none.memory = IST_MEMORY_DEVICE;
  int before = forbidden();
  control.beginCapture(stream);
  EXPECT_EQ(begin(s, x, y, 700), IST_UNAVAILABLE);
  EXPECT_TRUE(says("ist_session_prepare") && says("transients"))
      << error.message;
  EXPECT_EQ(begin(s, "count", x.tensor(700), &none), IST_UNAVAILABLE);
  EXPECT_TRUE(says("reads values of the device on the host")) << error.message;
  EXPECT_EQ(ist_call(s.get(), "main", &in, 1, &out, 1, &error),
            IST_UNAVAILABLE);
  EXPECT_TRUE(says("ist_call waits")) << error.message;
  EXPECT_EQ(ist_session_prepare(s.get(), "main", &in, 1, 1, &error),
            IST_UNAVAILABLE);
  EXPECT_TRUE(says("being captured")) << error.message;
  EXPECT_EQ(forbidden(), before);
  EXPECT_EQ(control.endCapture(stream), 0);
  ASSERT_EQ(ist_session_prepare(s.get(), "main", &in, 1, 1, &error), IST_OK)
      << error.message;
  ASSERT_EQ(ist_session_set_profiling(s.get(), 1, &error), IST_OK);
  control.beginCapture(stream);
  EXPECT_EQ(begin(s, "main", in, &none), IST_UNAVAILABLE);
  EXPECT_TRUE(says("profiling waits")) << error.message;
  EXPECT_EQ(control.endCapture(stream), 0);
  ASSERT_EQ(ist_session_set_profiling(s.get(), 0, &error), IST_OK);
  ASSERT_EQ(ist_call(s.get(), "main", &in, 1, &out, 1, &error), IST_OK)
      << error.message;
}

// An asynchronous fault: which commands may have been it.
TEST_P(Native, CommandsInFlight) {
  Session s = session(program);
  OnDevice x(device.get(), 100, 1.f), y(device.get(), 100, 0.f);
  ist_tensor in = x.tensor(100), out = y.tensor(100);
  ASSERT_EQ(ist_call(s.get(), "main", &in, 1, &out, 1, &error), IST_OK);
  control.faultNext(GetParam().fault);
  EXPECT_EQ(ist_call(s.get(), "main", &in, 1, &out, 1, &error),
            IST_DEVICE_LOST);
  EXPECT_TRUE(says("whether commands 3 to 4 of a queue ran")) << error.message;
  EXPECT_TRUE(says("in flight: commands 3 to 4 of 'main', kernel "
                   "'add_f32' (Add_0) to kernel 'scale_f32' (Mul_1)"))
      << error.message;
}

TEST_P(Native, CommandsInFlightOfAFlight) {
  Session s = session(program);
  OnDevice x(device.get(), 100, 1.f), y(device.get(), 100, 0.f);
  ist_semaphore *semaphore = nullptr;
  ASSERT_EQ(ist_semaphore_create(0, &semaphore, &error), IST_OK);
  ist_point point = {semaphore, 1};
  ist_call_points points = IST_CALL_POINTS_INIT;
  points.signals = &point;
  points.signal_count = 1;
  ist_tensor in = x.tensor(100), out = y.tensor(100);
  control.faultNext(GetParam().fault);
  ASSERT_EQ(ist_call_async(s.get(), "main", &in, 1, &out, 1, &points, &error),
            IST_OK);
  EXPECT_EQ(ist_semaphore_wait(semaphore, 1, UINT64_MAX, &error),
            IST_DEVICE_LOST);
  EXPECT_TRUE(says("in flight: commands 1 to 2 of 'main', kernel "
                   "'add_f32' (Add_0) to kernel 'scale_f32' (Mul_1)"))
      << error.message;
  ist_semaphore_release(semaphore);
}

// Profiles are in the device's time: a fake's command takes a microsecond.
TEST_P(Native, Profiles) {
  Session s = session(program);
  OnDevice x(device.get(), 100, 1.f), y(device.get(), 100, 0.f);
  ist_tensor in = x.tensor(100), out = y.tensor(100);
  ASSERT_EQ(ist_session_set_profiling(s.get(), 1, &error), IST_OK);
  for (int i = 0; i < 5; ++i)
    ASSERT_EQ(ist_call(s.get(), "main", &in, 1, &out, 1, &error), IST_OK)
        << error.message;
  ist_launch_profile p = {};
  ASSERT_EQ(ist_session_profile(s.get(), 0, 1, &p, &error), IST_OK);
  EXPECT_EQ(p.count, 5u);
  EXPECT_GE(p.nanoseconds, 5000u);
  EXPECT_LE(p.nanoseconds, 5u * 5000);
}

// Sessions' memory is of the vendor's pool where there is one.
TEST_P(Native, SessionsUseThePool) {
  OnDevice x(device.get(), 800, 1.f), y(device.get(), 800, 0.f);
  int before = control.calls("MemAlloc");
  {
    Session s = session(program);
    for (size_t n : {100, 400, 800}) {
      ist_tensor in = x.tensor(n), out = y.tensor(n), none = {};
      none.memory = IST_MEMORY_DEVICE;
      ASSERT_EQ(ist_call(s.get(), "main", &in, 1, &out, 1, &error), IST_OK);
      ASSERT_EQ(ist_call(s.get(), "main", &in, 1, &none, 1, &error), IST_OK);
    }
    EXPECT_EQ(control.calls("MemAllocAsync") >= 4, gpu());
  }
  EXPECT_EQ(y.get(), 9.f);
  EXPECT_EQ(control.calls("MemAlloc"), before);
}

// From one device to another: by the vendor where he can, else by the host.
TEST_P(Native, CopiesBetweenDevices) {
  ist_device *opened = nullptr;
  ASSERT_EQ(ist_device_open(name(1).c_str(), nullptr, &opened, &error), IST_OK)
      << error.message;
  Device second(opened);
  OnDevice x(second.get(), 3000, 5.f), y(device.get(), 3000, 0.f);
  auto copy = [&](ist_device *from, const void *p) {
    return ist_device_copy_from(device.get(), y.p, from, p, 12000, &error);
  };
  ASSERT_EQ(copy(second.get(), x.p), IST_OK) << error.message;
  EXPECT_EQ(y.get(), 5.f);
  EXPECT_EQ(
      control.calls(gpu() ? "MemcpyPeerAsync" : "AppendMemoryCopyFromContext"),
      1);
  ::setenv("ISTHMUS_FAKE_NO_PEERS", "1", 1);
  x.set(6.f);
  ASSERT_EQ(copy(second.get(), x.p), IST_OK) << error.message;
  EXPECT_EQ(y.get(), 6.f);
  ::unsetenv("ISTHMUS_FAKE_NO_PEERS");
  std::vector<float> host(3000, 7.f);
  ASSERT_EQ(copy(test::device("cpu"), host.data()), IST_OK) << error.message;
  EXPECT_EQ(y.get(), 7.f);
  const char *its = nullptr;
  void *handle = nullptr;
  ist_status status = ist_device_native(second.get(), &its, &handle, &error);
  if (std::string(GetParam().name) == "hip")
    EXPECT_EQ(status, IST_UNAVAILABLE);
  else
    EXPECT_TRUE(status == IST_OK && its && handle) << error.message;
  Result<isthmus::Native> native = second.native();
  EXPECT_EQ(native.status().code(), status);
  if (native)
    EXPECT_TRUE(native->kind == its && native->handle == handle);
  EXPECT_EQ(ist_device_native(test::device("cpu"), &its, &handle, &error),
            IST_UNAVAILABLE);
}

/// What the core asks of a driver in a session's life, ending at the first
/// failure.
ist_status life(const std::string &name, const std::string &artifact,
                ist_error *error) {
  *error = {};
  ist_device *opened = nullptr, *other = nullptr;
  if (ist_status s = ist_device_open(name.c_str(), nullptr, &opened, error))
    return s;
  Device device(opened);
  ist_program *loaded = nullptr;
  if (ist_status s =
          ist_program_load_memory(artifact.data(), artifact.size(), opened,
                                  IST_BEST_VARIANT, &loaded, error))
    return s;
  Program program(loaded);
  ist_session *made = nullptr;
  if (ist_status s = ist_session_create(loaded, nullptr, &made, error))
    return s;
  Session session(made);
  std::vector<float> x(300, 1.f), y(300);
  auto run = [&](size_t n) {
    ist_tensor in = tensor(x), out = tensor(y);
    in.dims[0] = static_cast<int64_t>(n);
    ist_status s = ist_call(made, "main", &in, 1, &out, 1, error);
    if (!s)
      EXPECT_EQ(y[n - 1], 9.f);
    return s;
  };
  for (size_t n : {100, 100, 100, 300})
    if (ist_status s = run(n))
      return s;
  if (ist_status s = ist_session_set_profiling(made, 1, error))
    return s;
  if (ist_status s = run(100))
    return s;
  const char *kind = nullptr;
  void *handle = nullptr;
  if (ist_status s = ist_session_native(made, &kind, &handle, error))
    return s;
  ist_session_options options = IST_SESSION_OPTIONS_INIT;
  options.native_kind = kind;
  options.native = handle;
  ist_session *second = nullptr;
  if (ist_status s = ist_session_create(loaded, &options, &second, error))
    return s;
  Session guest(second);
  void *p[2] = {};
  ist_status s = IST_OK;
  for (void *&each : p)
    if (!s)
      s = ist_device_alloc(opened, IST_MEMORY_DEVICE, 1200, &each, error);
  ist_tensor in = tensor(x), out = tensor(x);
  in.data = p[0];
  out.data = p[1];
  in.memory = out.memory = IST_MEMORY_DEVICE;
  if (!s)
    s = ist_call_async(second, "main", &in, 1, &out, 1, nullptr, error);
  if (!s)
    s = ist_device_open((name.substr(0, name.find(':')) + ":1").c_str(),
                        nullptr, &other, error);
  Device there(other);
  void *q = nullptr;
  if (!s)
    s = ist_device_alloc(other, IST_MEMORY_DEVICE, 1200, &q, error);
  if (!s)
    s = ist_device_copy_from(other, q, opened, p[0], 1200, error);
  if (q)
    ist_device_free(other, q);
  guest = {};
  for (void *each : p)
    ist_device_free(opened, each);
  return s;
}

// Whichever call of the vendor's fails, the caller hears of it with a status,
// and nothing is left behind.
TEST_P(Native, EveryCallMayFail) {
  program = {};
  device = {};
  control.reset(1);
  std::string name = this->name(0);
  ASSERT_EQ(life(name, artifact, &error), IST_OK) << error.message;
  int calls = control.calls(nullptr), heard = 0;
  std::string before = control.alive(); // the caller's own stream
  for (int failure : {GetParam().outOfMemory, GetParam().fault})
    for (int n = 1; n <= calls; ++n) {
      control.reset(static_cast<uint32_t>(n));
      control.failAt(n, failure);
      ist_status s = life(name, artifact, &error);
      heard += s != IST_OK;
      EXPECT_TRUE(s == IST_OK || *error.message);
      ASSERT_STREQ(control.misuse(), "") << "call " << n << " of " << calls;
      ASSERT_STREQ(control.alive(), before.c_str())
          << "call " << n << " of " << calls << ": " << error.message;
    }
  EXPECT_GT(heard, calls) << "of " << 2 * calls;
  control.reset(1);
}

} // namespace
