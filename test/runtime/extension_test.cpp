//===- extension_test.cpp - extensions of the drivers over streams --------===//
//
// That they do what they say is in ist-cts. Here: which calls they make of the
// vendor, that none that fails goes unheard, and that nothing is left.
//
//===----------------------------------------------------------------------===//
#include "stream_test.h"

using namespace isthmus;
using namespace isthmus::test;

namespace {

class Extensions : public Streams {
protected:
  template <typename T> const T *get(const char *name) {
    return static_cast<const T *>(d.extension(drive.device, name));
  }
};
INSTANTIATE_TEST_SUITE_P(Vendors, Extensions, testing::ValuesIn(vendors()),
                         [](auto &info) { return info.param.name; });

/// Only what the library and the device have is offered.
TEST_P(Extensions, Offered) {
  auto has = [&](const char *name) {
    return d.extension(drive.device, name) != nullptr;
  };
  bool cuda = std::string(GetParam().name) == "cuda";
  open();
  for (const char *name :
       {IST_EXTENSION_PEER, IST_EXTENSION_TIMESTAMP, IST_EXTENSION_NATIVE})
    EXPECT_TRUE(has(name)) << name;
  for (const char *name :
       {IST_EXTENSION_POOL, IST_EXTENSION_CAPTURE, IST_EXTENSION_RECORDING})
    EXPECT_EQ(has(name), gpu()) << name;
  EXPECT_EQ(has(IST_EXTENSION_TILE), cuda);
  drive.close();
  ::setenv("ISTHMUS_FAKE_NO_POOLS", "1", 1);
  open();
  EXPECT_FALSE(has(IST_EXTENSION_POOL));
  ::unsetenv("ISTHMUS_FAKE_NO_POOLS");
}

/// Memory of a pool comes and goes by the vendor's calls for that, which wait
/// for nothing.
TEST_P(Extensions, Pools) {
  open();
  auto *pool = get<ist_pool_extension>(IST_EXTENSION_POOL);
  if (!pool)
    GTEST_SKIP() << "no pools";
  ist_driver_queue *q = drive.queue(), *other = drive.queue();
  ist_driver_semaphore *s = drive.semaphore();
  ist_driver_memory a = {}, b = {}, c = {};
  ASSERT_EQ(pool->alloc(q, 100, &a, &error), IST_OK) << error.message;
  ASSERT_EQ(pool->alloc(q, 200, &b, &error), IST_OK);
  ASSERT_EQ(d.fill(q, b.address, 1, 200, &error), IST_OK);
  ASSERT_EQ(d.copy(q, a.address, b.address, 100, &error), IST_OK);
  ASSERT_EQ(pool->free(q, &a, &error), IST_OK);
  EXPECT_EQ(control.calls("StreamSynchronize"), 0);
  EXPECT_EQ(control.calls("MemAlloc"), 0);
  EXPECT_EQ(pool->alloc(q, 1 << 30, &c, &error), IST_RESOURCE_EXHAUSTED);
  EXPECT_TRUE(says("bytes requested")) << error.message;
  // The fake sees one that is used before its stream got there.
  for (uint64_t i = 1; i <= 50; ++i) {
    ASSERT_EQ(pool->alloc(q, 64, &c, &error), IST_OK);
    ASSERT_EQ(d.fill(other, c.address, 1, 64, &error), IST_OK);
    ASSERT_EQ(drive.submit(other, {}, {{s, i}}), IST_OK);
    if (drive.wait(s, i) != IST_OK) // it may be freed already
      break;
    ASSERT_EQ(pool->free(q, &c, &error), IST_OK);
  }
  EXPECT_NE(std::string(control.misuse()).find("before its stream got there"),
            std::string::npos)
      << control.misuse();
  d.queue_destroy(other);
  d.queue_destroy(q);
  d.free(drive.device, &b);
  d.semaphore_destroy(s);
  control.reset(1); // that misuse was meant
}

TEST_P(Extensions, Timestamps) {
  open();
  auto *t = get<ist_timestamp_extension>(IST_EXTENSION_TIMESTAMP);
  ASSERT_TRUE(t);
  ist_driver_queue *q = drive.queue();
  ist_driver_semaphore *s = drive.semaphore();
  ist_driver_memory y = drive.alloc(64);
  ist_driver_timestamp *begin = nullptr, *end = nullptr;
  ASSERT_EQ(t->create(drive.device, &begin, &error), IST_OK);
  ASSERT_EQ(t->create(drive.device, &end, &error), IST_OK);
  // Enough for Level Zero's counter of 16 bits of 100 ns to wrap.
  for (uint64_t round = 1; round < 12; ++round) {
    ASSERT_EQ(t->record(q, begin, &error), IST_OK);
    for (int i = 0; i < 1000; ++i)
      ASSERT_EQ(d.fill(q, y.address, 1, 64, &error), IST_OK);
    ASSERT_EQ(t->record(q, end, &error), IST_OK);
    ASSERT_EQ(drive.submit(q, {}, {{s, round}}), IST_OK);
    ASSERT_EQ(drive.wait(s, round), IST_OK);
    uint64_t ns = 0;
    ASSERT_EQ(t->elapsed(begin, end, &ns, &error), IST_OK) << error.message;
    EXPECT_GE(ns, 1000u * 1000);
    EXPECT_LE(ns, 2100u * 1000); // with a barrier before each
  }
  t->destroy(begin);
  t->destroy(end);
  d.free(drive.device, &y);
  d.semaphore_destroy(s);
  d.queue_destroy(q);
}

/// Where two devices do not reach each other, that is the answer.
TEST_P(Extensions, NoPeers) {
  if (gpu())
    GTEST_SKIP() << "their libraries always copy";
  open();
  auto *peer = get<ist_peer_extension>(IST_EXTENSION_PEER);
  ist_driver_device *second = nullptr;
  ASSERT_EQ(d.open(&drive.host.table, 1, nullptr, &second, &error), IST_OK);
  ist_driver_memory x = {}, y = drive.alloc(64);
  ASSERT_EQ(d.alloc(second, IST_MEMORY_KIND_DEVICE, 64, &x, &error), IST_OK);
  ist_driver_queue *q = drive.queue();
  ::setenv("ISTHMUS_FAKE_NO_PEERS", "1", 1);
  EXPECT_EQ(peer->copy(q, y.address, second, x.address, 64, &error),
            IST_UNAVAILABLE);
  ::unsetenv("ISTHMUS_FAKE_NO_PEERS");
  d.queue_destroy(q);
  d.free(drive.device, &y);
  d.free(second, &x);
  d.close(second);
}

/// A tile's descriptor is made for each launch, and again only when a patch
/// changes it.
TEST(Cuda, TilesAreEncodedWhenTheyChange) {
  const Vendor &v = vendors()[0];
  ::setenv(v.variable, v.library, 1);
  const fake::Control &control = controlOf(v);
  control.reset(1);
  {
    Drive drive(v);
    const ist_driver &d = drive.d;
    ist_error &error = drive.error;
    ASSERT_EQ(drive.open(), IST_OK);
    ist_driver_module *m = drive.module(readFile(IST_TEST_TILE));
    ist_arg args[] = {{IST_ARG_TILE, 0, 8},
                      {IST_ARG_SCALAR, 8, 8},
                      {IST_ARG_SCALAR, 16, 8},
                      {IST_ARG_ADDRESS, 24, 8}};
    ist_kernel_desc desc = {sizeof desc, "tile", args, 4, 32, 64, 0, 0};
    const ist_driver_kernel *k = nullptr;
    ASSERT_EQ(d.kernel_get(m, &desc, &k, &error), IST_OK) << error.message;
    ist_driver_queue *q = drive.queue();
    ist_driver_memory x = drive.alloc(4096), y = drive.alloc(256);
    ist_tile tile = {};
    tile.address = x.address;
    tile.rank = 2;
    tile.dtype = IST_U32;
    tile.dims[0] = tile.dims[1] = 32;
    tile.strides[0] = 4;
    tile.strides[1] = 128;
    tile.box[0] = 16;
    tile.box[1] = 4;
    uint64_t blob[] = {0, 0, 0, y.address};
    ist_launch l = {sizeof l, k, 1, 64, 0, 0, 32, blob, nullptr, 0, &tile, 1};
    auto *r = static_cast<const ist_recording_extension *>(
        d.extension(drive.device, IST_EXTENSION_RECORDING));
    ist_driver_recording *recording = nullptr;
    ASSERT_EQ(r->begin(q, &error), IST_OK);
    ASSERT_EQ(d.launch(q, &l, &error), IST_OK) << error.message;
    ASSERT_EQ(r->end(q, &recording, &error), IST_OK) << error.message;
    int encoded = control.calls("TensorMapEncodeTiled");
    EXPECT_EQ(encoded, 1);
    auto replay = [&] {
      ist_patch p = {0, IST_PATCH_TILE, 0, sizeof tile, &tile};
      return r->replay(q, recording, &p, 1, &error);
    };
    ASSERT_EQ(replay(), IST_OK) << error.message; // the same again
    EXPECT_EQ(control.calls("TensorMapEncodeTiled"), encoded);
    tile.dims[1] = 31;
    ASSERT_EQ(replay(), IST_OK);
    EXPECT_EQ(control.calls("TensorMapEncodeTiled"), encoded + 1);
    tile.address += 128;
    ASSERT_EQ(replay(), IST_OK);
    EXPECT_EQ(control.calls("TensorMapEncodeTiled"), encoded + 2);
    tile.address += 4;
    EXPECT_EQ(replay(), IST_INVALID_ARGUMENT);
    EXPECT_NE(std::string(error.message).find("not aligned to 16"),
              std::string::npos)
        << error.message;
    ist_driver_semaphore *s = drive.semaphore();
    ASSERT_EQ(drive.submit(q, {}, {{s, 1}}), IST_OK);
    ASSERT_EQ(drive.wait(s, 1), IST_OK);
    d.queue_destroy(q);
    r->destroy(recording);
    d.semaphore_destroy(s);
    d.free(drive.device, &x);
    d.free(drive.device, &y);
    d.module_unload(m);
    drive.close();
  }
  EXPECT_STREQ(control.misuse(), "");
  EXPECT_STREQ(control.alive(), "");
}

/// All that the extensions do in a device's life, ending at the first failure.
int life(Drive &drive) {
  const ist_driver &d = drive.d;
  ist_error &e = drive.error;
  if (int s = drive.open())
    return s;
  auto get = [&](const char *name) { return d.extension(drive.device, name); };
  auto *pool = static_cast<const ist_pool_extension *>(get(IST_EXTENSION_POOL));
  auto *peer = static_cast<const ist_peer_extension *>(get(IST_EXTENSION_PEER));
  auto *time = static_cast<const ist_timestamp_extension *>(
      get(IST_EXTENSION_TIMESTAMP));
  auto *capture =
      static_cast<const ist_capture_extension *>(get(IST_EXTENSION_CAPTURE));
  auto *native =
      static_cast<const ist_native_extension *>(get(IST_EXTENSION_NATIVE));
  ist_driver_device *second = nullptr;
  drive.status(d.open(&drive.host.table, 1, nullptr, &second, &e));
  ist_driver_queue *q = drive.queue();
  ist_driver_semaphore *s = drive.semaphore();
  ist_driver_memory x = {}, y = drive.alloc(64, IST_MEMORY_KIND_DEVICE), z = {};
  ist_driver_timestamp *begin = nullptr, *end = nullptr;
  auto ok = [&](auto step) {
    if (!drive.failed)
      drive.status(step());
  };
  ok([&] { return d.alloc(second, IST_MEMORY_KIND_DEVICE, 64, &x, &e); });
  ok([&] { return time->create(drive.device, &begin, &e); });
  ok([&] { return time->create(drive.device, &end, &e); });
  uint32_t capturing = 0;
  ist_native handle = {sizeof handle, nullptr, nullptr};
  if (capture)
    ok([&] { return capture->capturing(q, &capturing, &e); });
  ok([&] { return native->queue(q, &handle, &e); });
  ok([&] { return time->record(q, begin, &e); });
  ok([&] { return peer->copy(q, y.address, second, x.address, 64, &e); });
  if (pool) {
    ok([&] { return pool->alloc(q, 64, &z, &e); });
    ok([&] { return d.copy(q, z.address, y.address, 64, &e); });
    if (z.bytes) {
      // The table's free does where the pool's cannot.
      int freed = pool->free(q, &z, &e);
      if (!freed)
        z = {};
      drive.status(freed);
    }
  }
  ok([&] { return time->record(q, end, &e); });
  ok([&] { return drive.submit(q, {}, {{s, 1}}); });
  ok([&] { return drive.wait(s, 1); });
  uint64_t ns = 0;
  ok([&] { return time->elapsed(begin, end, &ns, &e); });
  if (q)
    d.queue_destroy(q);
  for (ist_driver_timestamp *t : {begin, end})
    if (t)
      time->destroy(t);
  for (ist_driver_memory *b : {&y, &z})
    if (b->bytes)
      d.free(drive.device, b);
  if (x.bytes)
    d.free(second, &x);
  if (s)
    d.semaphore_destroy(s);
  if (second)
    d.close(second);
  return drive.failed;
}

TEST_P(Extensions, EveryCallMayFail) {
  ASSERT_EQ(life(drive), IST_OK) << error.message;
  drive.close();
  int calls = control.calls(nullptr), heard = 0;
  for (int failure : {GetParam().outOfMemory, GetParam().fault})
    for (int n = 1; n <= calls; ++n) {
      control.reset(static_cast<uint32_t>(n));
      control.failAt(n, failure);
      Drive failing(GetParam());
      heard += life(failing) != IST_OK;
      failing.close();
      ASSERT_STREQ(control.misuse(), "") << "call " << n << " of " << calls;
      ASSERT_STREQ(control.alive(), "") << "call " << n << " of " << calls;
    }
  EXPECT_GT(heard, calls) << "of " << 2 * calls;
}

} // namespace
