//===- recording_tests.cpp - level 3: recordings --------------------------===//
#include "harness.h"

using namespace isthmus::cts;

namespace {

/// The "recording" extension of a device.
class Recorder {
public:
  explicit Recorder(Device &d)
      : t(static_cast<const ist_recording_extension *>(
            d.driver->extension(d.handle, IST_EXTENSION_RECORDING))) {
    if (!t)
      throw Lacking{"no extension \"recording\""};
    CTS_CHECK(t->struct_size >= sizeof *t);
  }
  void begin(Queue &q) { CTS_OK(t->begin(q.handle, &error)); }
  ist_driver_recording *end(Queue &q) {
    ist_driver_recording *r = nullptr;
    CTS_OK(t->end(q.handle, &r, &error));
    CTS_CHECK(r);
    return r;
  }
  void replay(Queue &q, ist_driver_recording *r,
              const std::vector<ist_patch> &patches = {}) {
    CTS_OK(t->replay(q.handle, r, patches.data(), patches.size(), &error));
  }
  const ist_recording_extension *t;
};

ist_patch patch(uint32_t command, ist_patch_field field, uint32_t offset,
                const uint64_t &value) {
  return {command, field, offset, 8, &value};
}

constexpr uint64_t n = 600, bytes = 4 * n;

/// y = copy of ((x * k + 1) + x), with a fill of z's last bytes.
struct Chain {
  Chain(Device &d, Queue &q, uint32_t seed)
      : data(noise(n, seed)), x(d.upload(q, data)), t(d.alloc(bytes)),
        u(d.alloc(bytes)), y(d.alloc(bytes)) {}
  void give(Device &d, Queue &q, uint64_t k) {
    q.launch(d.kernels().scale, groups(n),
             {n, k, in(x.at(), bytes), out(t.at(), bytes)});
    q.launch(d.kernels().add, groups(n),
             {n, in(t.at(), bytes), in(x.at(), bytes), out(u.at(), bytes)});
    q.copy(y.at(), u.at(), bytes - 8);
    q.fill(y.at(bytes - 8), 0x22, 8);
  }
  std::vector<uint32_t> expected(uint32_t k) const {
    std::vector<uint32_t> e = data;
    for (uint32_t &v : e)
      v = v * k + 1 + v;
    e[n - 1] = e[n - 2] = 0x22222222;
    return e;
  }
  std::vector<uint32_t> data;
  Memory x, t, u, y;
};

void replayEqualsDirect(const Context &c) {
  Device d(c);
  Queue q(d), other(d);
  Recorder r(d);
  Chain chain(d, q, 1);
  chain.give(d, q, 7);
  std::vector<uint32_t> direct = d.download<uint32_t>(q, chain.y.at(), n);
  CTS_CHECK(direct == chain.expected(7));
  q.fill(chain.y.at(), 0, bytes);
  q.finish();
  r.begin(q);
  chain.give(d, q, 7);
  ist_driver_recording *recording = r.end(q);
  // Nothing ran meanwhile.
  CTS_CHECK(d.download<uint32_t>(q, chain.y.at(), n) ==
            std::vector<uint32_t>(n, 0));
  for (Queue *on : {&q, &q, &other}) {
    on->fill(chain.y.at(), 0, bytes);
    r.replay(*on, recording);
    CTS_CHECK(d.download<uint32_t>(*on, chain.y.at(), n) == direct);
  }
  r.t->destroy(recording);
}

void patches(const Context &c) {
  Device d(c);
  Queue q(d);
  Recorder r(d);
  Chain one(d, q, 2), two(d, q, 3);
  r.begin(q);
  one.give(d, q, 5);
  ist_driver_recording *recording = r.end(q);
  auto results = [&](const Memory &y, const std::vector<uint32_t> &expected) {
    CTS_CHECK(d.download<uint32_t>(q, y.at(), n) == expected);
  };
  // A scalar.
  uint64_t k = 11;
  r.replay(q, recording, {patch(0, IST_PATCH_ARGS, 8, k)});
  results(one.y, one.expected(11));
  // It stays; then addresses of arguments.
  uint64_t x = two.x.at();
  r.replay(q, recording,
           {patch(0, IST_PATCH_ARGS, 16, x), patch(1, IST_PATCH_ARGS, 16, x)});
  results(one.y, two.expected(11));
  // Where the copy and the fill write; an empty list after that.
  uint64_t to = two.y.at(), tail = two.y.at(bytes - 8);
  r.replay(q, recording,
           {patch(2, IST_PATCH_TO, 0, to), patch(3, IST_PATCH_TO, 0, tail)});
  q.fill(two.y.at(), 0, bytes);
  r.replay(q, recording);
  results(two.y, two.expected(11));
  // Where the copy reads.
  uint64_t from = one.x.at();
  r.replay(q, recording, {patch(2, IST_PATCH_FROM, 0, from)});
  std::vector<uint32_t> expected = one.data;
  expected[n - 1] = expected[n - 2] = 0x22222222;
  results(two.y, expected);
  r.t->destroy(recording);
}

/// Replays that are patched while those before them still run.
void patchesInFlight(const Context &c) {
  Device d(c);
  Queue q(d);
  Recorder r(d);
  constexpr uint64_t count = 40;
  Memory word = d.upload<uint32_t>(q, {1});
  Memory x = d.upload(q, noise(256, 4)), y = d.alloc(1024 * count);
  r.begin(q);
  q.launch(d.kernels().spin, 1, {100000, inout(word.at(), 4)});
  q.launch(d.kernels().scale, 1, {256, 0, in(x.at(), 1024), out(y.at(), 1024)});
  ist_driver_recording *recording = r.end(q);
  for (uint64_t i = 0; i < count; ++i) {
    uint64_t to = y.at(1024 * i);
    r.replay(
        q, recording,
        {patch(1, IST_PATCH_ARGS, 8, i), patch(1, IST_PATCH_ARGS, 24, to)});
  }
  std::vector<uint32_t> data = noise(256, 4),
                        got = d.download<uint32_t>(q, y.at(), 256 * count);
  for (size_t i = 0; i < got.size(); ++i)
    CTS_THAT(got[i] == data[i % 256] * static_cast<uint32_t>(i / 256) + 1,
             "replay %d", static_cast<int>(i / 256));
  r.t->destroy(recording);
}

void recordNothing(const Context &c) {
  Device d(c);
  Queue q(d);
  Recorder r(d);
  Memory m = d.upload<uint32_t>(q, {3});
  r.begin(q);
  q.launch(d.kernels().count, 0, {0, inout(m.at(), 4)});
  ist_driver_recording *recording = r.end(q);
  r.replay(q, recording);
  CTS_CHECK(d.download<uint32_t>(q, m.at(), 1)[0] == 3);
  r.t->destroy(recording);
}

/// What fails while recording fails the recording, and not the queue.
void failedRecording(const Context &c) {
  Device d(c);
  Queue q(d);
  Recorder r(d);
  Memory m = d.upload<uint32_t>(q, {3});
  r.begin(q);
  Launch l(d.kernels().count, 1, {1, inout(m.at(), 4)});
  struct {
    ist_launch launch;
    uint64_t tail;
  } grown = {l.launch, 1};
  grown.launch.struct_size = sizeof grown;
  CTS_FAILS(d.driver->launch(q.handle, &grown.launch, &error),
            IST_UNIMPLEMENTED);
  ist_driver_recording *recording = nullptr;
  CTS_FAILS(r.t->end(q.handle, &recording, &error), IST_UNIMPLEMENTED);
  CTS_CHECK(!recording);
  CTS_OK(d.driver->launch(q.handle, &l.launch, &error));
  CTS_CHECK(d.download<uint32_t>(q, m.at(), 1)[0] == 4);
}

} // namespace

const std::vector<Test> &isthmus::cts::recordingTests() {
  static const std::vector<Test> tests = {
      {3, "recording.equals-direct", replayEqualsDirect},
      {3, "recording.patches", patches},
      {3, "recording.patches-in-flight", patchesInFlight},
      {3, "recording.nothing", recordNothing},
      {3, "recording.failed", failedRecording},
  };
  return tests;
}
