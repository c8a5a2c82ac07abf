//===- native_tests.cpp - level 4: extensions through libisthmus ----------===//
#include "api.h"

using namespace isthmus::cts;

namespace {

struct Loaded {
  explicit Loaded(const Context &c)
      : straight(8, 3), artifact(checked(c), {straight}, 5),
        device(openDevice(c)), program(load(artifact, device.get())) {}
  static const Context &checked(const Context &c) {
    if (c.code.empty())
      throw Lacking{"no kernels for this device; give them with --kernels"};
    return c;
  }
  Straight straight;
  Artifact artifact;
  OpenDevice device;
  LoadedProgram program;
};

/// A session on another's native queue: asynchronous calls there are ordered by
/// the queue alone, and the other's next call comes behind them.
void sessionOnNativeQueue(const Context &c) {
  Loaded l(c);
  OwnSession own = session(l.program);
  const char *kind = nullptr;
  void *handle = nullptr;
  ist_error error = {};
  ist_status status = ist_session_native(own.get(), &kind, &handle, &error);
  if (status == IST_UNAVAILABLE)
    throw Lacking{error.message};
  CTS_CHECK(status == IST_OK && kind);
  constexpr size_t n = 2000;
  ist_device *d = l.device.get();
  Buffer x(d, n), y(d, n), z(d, n);
  Values a = noise(n, 1), b = noise(n, 2);
  x.set(a);
  y.set(b);
  for (int round = 0; round < 3; ++round) {
    ist_session_options options = IST_SESSION_OPTIONS_INIT;
    options.native_kind = kind;
    options.native = handle;
    ist_session *made = nullptr;
    CTS_OK(ist_session_create(l.program.get(), &options, &made, &error));
    OwnSession guest(made);
    // y = f(x, y), then x = f(y, x), and so on; nobody waits.
    for (int i = 0; i < 8; ++i) {
      Buffer &first = i % 2 ? y : x, &second = i % 2 ? x : y;
      ist_tensor in[] = {first.tensor(n), second.tensor(n)}, out = z.tensor(n);
      CTS_OK(
          ist_call_async(guest.get(), "f0", in, 2, &out, 1, nullptr, &error));
      ist_tensor next[] = {z.tensor(n), first.tensor(n)},
                 back = second.tensor(n);
      CTS_OK(ist_call_async(guest.get(), "f0", next, 2, &back, 1, nullptr,
                            &error));
      Values &v = i % 2 ? b : a, &w = i % 2 ? a : b;
      w = l.straight.run(l.straight.run(v, w, l.artifact.weight), v,
                         l.artifact.weight);
    }
    // With round 1 the guest ends before anybody waited.
    if (round != 1) {
      std::vector<ist_tensor> outputs = {z.tensor(n)};
      CTS_OK(call(own, "f0", {x.tensor(n), y.tensor(n)}, outputs, &error));
      CTS_CHECK(z.get(n) == l.straight.run(a, b, l.artifact.weight));
    }
  }
  CTS_CHECK(x.get(n) == a && y.get(n) == b);
}

/// Between devices, and between one and itself: by the vendor or the host.
void copiesBetweenDevices(const Context &c) {
  OpenDevice here = openDevice(c);
  uint32_t count = 0;
  CTS_OK(c.driver->enumerate(c.host, nullptr, 0, &count, &error));
  Context other = c;
  std::string driver = c.name.substr(0, c.name.find(':'));
  if (count > 1 && c.name != driver + ":1")
    other.name = driver + ":1";
  ist_device *opened = nullptr;
  if (ist_device_open(other.name.c_str(), nullptr, &opened, nullptr))
    CTS_OK(ist_device_open(c.name.c_str(), nullptr, &opened, &error));
  OpenDevice there(opened);
  constexpr size_t n = 3 << 20; // more than a piece
  Buffer from(there.get(), n), to(here.get(), n);
  Values v = noise(n, 4);
  from.set(v);
  for (size_t words : {n, size_t(1), size_t(0)}) {
    to.set(Values(n, 7));
    CTS_OK(ist_device_copy_from(here.get(), to.tensor(n).data, there.get(),
                                from.tensor(n).data, 4 * words, &error));
    Values got = to.get(n);
    for (size_t i = 0; i < n; ++i)
      CTS_THAT(got[i] == (i < words ? v[i] : 7), "element %zu", i);
  }
  CTS_FAILS(ist_device_copy_from(here.get(), to.tensor(n).data, nullptr,
                                 from.tensor(n).data, 4, &error),
            IST_INVALID_ARGUMENT);
}

void profiles(const Context &c) {
  Loaded l(c);
  OwnSession s = session(l.program);
  constexpr size_t n = 4000;
  Buffer x(nullptr, n), y(nullptr, n), z(nullptr, n);
  Values a = noise(n, 1), b = noise(n, 2);
  x.set(a);
  y.set(b);
  CTS_OK(ist_session_set_profiling(s.get(), 1, &error));
  for (int i = 0; i < 3; ++i) {
    std::vector<ist_tensor> outputs = {z.tensor(n)};
    CTS_OK(call(s, "f0", {x.tensor(n), y.tensor(n)}, outputs, &error));
    CTS_CHECK(z.get(n) == l.straight.run(a, b, l.artifact.weight));
  }
  ist_launch_profile p = {};
  CTS_OK(ist_session_profile(s.get(), 0, 0, &p, &error));
  CTS_THAT(p.count == 3 && p.nanoseconds > 0, "%d launches in %d ns",
           static_cast<int>(p.count), static_cast<int>(p.nanoseconds));
}

} // namespace

const std::vector<Test> &isthmus::cts::nativeTests() {
  static const std::vector<Test> tests = {
      {4, "session.native-queue", sessionOnNativeQueue},
      {4, "session.profile", profiles},
      {4, "device.copy-from", copiesBetweenDevices},
  };
  return tests;
}
