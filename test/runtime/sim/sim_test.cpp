//===- sim_test.cpp - what the simulated device notices, and how it fails -===//
//
// That it does what drivers do is ist-cts's to say. Here: that it sees breaches
// of the contract, and fails as it is told to.
//
//===----------------------------------------------------------------------===//
#include "sim_fixture.h"

#include <chrono>
#include <fcntl.h>
#include <thread>
#include <unistd.h>

using namespace isthmus::cts;
using namespace isthmus::test;

namespace {

using Clock = std::chrono::steady_clock;

class Sim : public SimTest {};

TEST_F(Sim, Options) {
  EXPECT_EQ(sim().configure("latency_us=20,memory=64M,fail_status=DEVICE_LOST",
                            &error),
            IST_OK);
  for (const char *bad :
       {"nonsense", "nonsense=1", "latency_us", "latency_us=", "latency_us=x",
        "latency_us=-1", "memory=0", "memory=99999999999G", "alignment=100",
        "eager=2", "fail_status=OK", "fail_status=LATE"}) {
    error = {};
    EXPECT_EQ(sim().configure(bad, &error), IST_INVALID_ARGUMENT) << bad;
    EXPECT_NE(std::string(error.message).find("sim:"), std::string::npos);
  }
}

TEST_F(Sim, AnotherTableIsRefused) {
  error = {};
  EXPECT_EQ(sim().entry(IST_DRIVER_ABI + 1, &error), nullptr);
  EXPECT_EQ(error.code, IST_UNAVAILABLE);
}

TEST_F(Sim, TheHostCannotReachDeviceAddresses) {
  Device d(context());
  Memory m = d.alloc(64), v = d.visible(64);
  int fd = ::open("/dev/null", O_WRONLY), pipes[2];
  ASSERT_EQ(::pipe(pipes), 0);
  for (const Memory *memory : {&m, &v}) {
    EXPECT_EQ(::write(pipes[1], reinterpret_cast<void *>(memory->at()), 1), -1);
    EXPECT_EQ(errno, EFAULT);
  }
  EXPECT_EQ(m.host(), nullptr);
  EXPECT_EQ(::write(pipes[1], v.host(), 1), 1);
  for (int f : {fd, pipes[0], pipes[1]})
    ::close(f);
}

TEST_F(Sim, MemoryIsLimited) {
  configure("memory=1M,max_alloc=512K");
  Device d(context());
  EXPECT_EQ(d.description.max_alloc, 512u << 10);
  auto refused = [&](uint64_t bytes) {
    ist_driver_memory m;
    error = {};
    return d.driver->alloc(d.handle, IST_MEMORY_KIND_DEVICE, bytes, &m,
                           &error) == IST_RESOURCE_EXHAUSTED &&
           std::strstr(error.message, std::to_string(bytes).c_str());
  };
  EXPECT_TRUE(refused((512 << 10) + 1));
  {
    Memory a = d.alloc(512 << 10), b = d.alloc(256 << 10);
    EXPECT_TRUE(refused(300 << 10));
    EXPECT_NE(std::strstr(error.message, "262144 of 1048576"), nullptr);
  }
  d.alloc(512 << 10);
}

TEST_F(Sim, LatencyAndCallsTakeTime) {
  configure("latency_us=3000,call_us=2000");
  Device d(context());
  Memory m = d.alloc(64);
  Queue q(d);
  auto begin = Clock::now();
  for (int i = 0; i < 5; ++i)
    q.fill(m.at(), 1, 64);
  auto given = Clock::now();
  q.finish();
  EXPECT_GE(given - begin, std::chrono::milliseconds(10));
  EXPECT_GE(Clock::now() - begin, std::chrono::milliseconds(15));
}

TEST_F(Sim, WorkIsAsynchronous) {
  configure("latency_us=30000");
  Device d(context());
  Memory m = d.alloc(64);
  Queue q(d);
  auto begin = Clock::now();
  q.fill(m.at(), 1, 64);
  EXPECT_LT(Clock::now() - begin, std::chrono::milliseconds(25));
  q.finish();
  EXPECT_GE(Clock::now() - begin, std::chrono::milliseconds(30));
}

TEST_F(Sim, NothingBeginsBeforeSubmitWhenSoTold) {
  configure("eager=0");
  Device d(context());
  Memory m = d.visible(4);
  Queue q(d);
  *m.host() = 0;
  q.fill(m.at(), 1, 4);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(*m.host(), 0);
  q.finish();
  EXPECT_EQ(*m.host(), 1);
}

// --- breaches ---------------------------------------------------------------

TEST_F(Sim, MemoryThatIsNotThere) {
  Device d(context());
  Queue q(d);
  const Kernels &k = d.kernels();
  Memory live = d.alloc(256);
  uint64_t gone = d.alloc(256).at();
  auto copy = [&](uint64_t to, uint64_t from, uint64_t bytes) {
    return d.driver->copy(q.handle, to, from, bytes, &error);
  };
  EXPECT_BREACH(copy(live.at(), gone, 16), "live allocation");
  EXPECT_BREACH(copy(gone, live.at(), 16), "live allocation");
  EXPECT_BREACH(copy(live.at(128), live.at(), 129), "live allocation");
  EXPECT_BREACH(d.driver->fill(q.handle, live.at(250), 1, 7, &error), "fill");
  EXPECT_BREACH(copy(live.at(), reinterpret_cast<uint64_t>(this), 4), "copy");
  EXPECT_BREACH(copy(live.at(), live.at(8), 9), "overlap");
  EXPECT_BREACH(copy(live.at(8), live.at(), 9), "overlap");
  for (uint64_t address : {gone, live.at(257), uint64_t(4096)}) {
    Launch l(k.count, 1, {1, inout(address, 4)});
    EXPECT_BREACH(d.driver->launch(q.handle, &l.launch, &error), "count");
    Launch bare(k.count, 1, {1, address}); // in no range
    EXPECT_BREACH(d.driver->launch(q.handle, &bare.launch, &error), "count");
  }
  Launch longer(k.count, 1, {1, inout(live.at(), 257)});
  EXPECT_BREACH(d.driver->launch(q.handle, &longer.launch, &error), "count");
  q.finish(); // the queue goes on
}

TEST_F(Sim, WritesBehindAnAllocation) {
  Device d(context());
  Queue q(d);
  {
    Memory m = d.alloc(40);
    q.launch(d.kernels().count, 12, {12, inout(m.at(), 40)});
    q.finish();
    EXPECT_EQ(count().breaches, 0u);
  }
  EXPECT_EQ(count().breaches, 1u);
  EXPECT_TRUE(logged("wrote 0 bytes behind the 40"));
  sim().configure("", nullptr);
}

TEST_F(Sim, ReadOnlyImportsAreNotWritten) {
  Device d(context());
  Queue q(d);
  uint32_t data[16] = {};
  Memory m =
      d.import(IST_IMPORT_HOST, reinterpret_cast<uint64_t>(data), 64, true);
  Launch l(d.kernels().count, 16, {16, inout(m.at(), 64)});
  EXPECT_BREACH(d.driver->launch(q.handle, &l.launch, &error), "read-only");
  EXPECT_BREACH(d.driver->fill(q.handle, m.at(), 1, 64, &error), "read-only");
}

TEST_F(Sim, EndedTooEarly) {
  configure("latency_us=20000");
  Device d(context());
  Queue q(d);
  Semaphore gate(d);
  const Kernels &k = d.kernels();
  {
    Memory m = d.alloc(64);
    q.launch(k.count, 1, {1, inout(m.at(), 4)});
  }
  EXPECT_EQ(count().breaches, 1u);
  EXPECT_TRUE(logged("is freed while 1 commands"));
  q.finish(); // it ran on memory kept for it
  EXPECT_EQ(count().blocks, 0u);

  ist_module_options options = {sizeof options, "elf", nullptr};
  ist_driver_module *module;
  ASSERT_EQ(d.driver->module_load(d.handle, context().code.data(),
                                  context().code.size(), &options, &module,
                                  &error),
            IST_OK);
  std::vector<ist_arg> args = argsOf({IST_ARG_SCALAR, IST_ARG_ADDRESS});
  ist_kernel_desc desc = {};
  desc.struct_size = sizeof desc;
  desc.name = "count";
  desc.args = args.data();
  desc.arg_count = 2;
  desc.args_bytes = 16;
  desc.block = 1;
  Kernel own = {nullptr, 16, 1};
  ASSERT_EQ(d.driver->kernel_get(module, &desc, &own.kernel, &error), IST_OK);
  Memory m = d.alloc(64);
  q.launch(own, 1, {1, inout(m.at(), 4)});
  d.driver->module_unload(module);
  EXPECT_EQ(count().breaches, 2u);
  EXPECT_TRUE(logged("a module is unloaded with 1 of its launches"));
  q.finish();

  {
    Semaphore early(d);
    q.fill(m.at(), 0, 4);
    q.submit({}, {early.point(1)});
  }
  EXPECT_EQ(count().breaches, 3u);
  EXPECT_TRUE(logged("a semaphore is destroyed while 0 threads and 1 submits"));
  q.finish();

  ist_driver_queue *busy;
  ASSERT_EQ(d.driver->queue_create(d.handle, nullptr, &busy, &error), IST_OK);
  ASSERT_EQ(d.driver->fill(busy, m.at(), 1, 4, &error), IST_OK);
  d.driver->queue_destroy(busy);
  EXPECT_EQ(count().breaches, 4u);
  EXPECT_TRUE(logged("a queue is destroyed with a fill to run"));
  sim().configure("", nullptr);
}

TEST_F(Sim, PointsThatCannotBe) {
  Device d(context());
  Queue q(d);
  Semaphore s(d);
  auto submit = [&](uint64_t wait, uint64_t signal) {
    ist_driver_point w = s.point(wait), g = s.point(signal);
    ist_driver_submit all = {sizeof all, &w, wait != 0, &g, signal != 0, 0};
    return d.driver->submit(q.handle, &all, &error);
  };
  EXPECT_BREACH(submit(1, 0), "waits for 1");
  EXPECT_EQ(submit(0, 5), IST_OK);
  EXPECT_BREACH(submit(6, 0), "waits for 6");
  EXPECT_BREACH(submit(0, 5), "signals 5");
  EXPECT_BREACH(d.driver->semaphore_signal(s.handle, 5, &error), "to 5");
  EXPECT_EQ(submit(5, 6), IST_OK);
  s.wait(6);
  Device other(context());
  Queue oq(other);
  ist_driver_point w = s.point(6);
  ist_driver_submit all = {sizeof all, &w, 1, nullptr, 0, 0};
  EXPECT_BREACH(other.driver->submit(oq.handle, &all, &error),
                "another device's");
}

TEST_F(Sim, Recordings) {
  Device d(context());
  Queue q(d);
  Memory m = d.alloc(64);
  auto *r = static_cast<const ist_recording_extension *>(
      d.driver->extension(d.handle, IST_EXTENSION_RECORDING));
  ASSERT_NE(r, nullptr);
  ist_driver_recording *recording = nullptr;
  EXPECT_BREACH(r->end(q.handle, &recording, &error), "did not begin");
  ASSERT_EQ(r->begin(q.handle, &error), IST_OK);
  EXPECT_BREACH(r->begin(q.handle, &error), "within another");
  q.fill(m.at(), 1, 8);
  ASSERT_EQ(r->end(q.handle, &recording, &error), IST_OK);
  uint64_t bad = 4096;
  ist_patch patch = {0, IST_PATCH_TO, 0, 8, &bad};
  EXPECT_BREACH(r->replay(q.handle, recording, &patch, 1, &error),
                "live allocation");
  patch.field = IST_PATCH_ARGS;
  EXPECT_BREACH(r->replay(q.handle, recording, &patch, 1, &error), "patch");
  patch.command = 1;
  EXPECT_BREACH(r->replay(q.handle, recording, &patch, 1, &error), "patch");
  r->destroy(recording);
}

TEST_F(Sim, Leaks) {
  {
    Device d(context());
    ist_driver_memory m;
    ist_driver_semaphore *s;
    ASSERT_EQ(
        d.driver->alloc(d.handle, IST_MEMORY_KIND_DEVICE, 100, &m, &error), 0);
    ASSERT_EQ(d.driver->semaphore_create(d.handle, &s, &error), 0);
    EXPECT_EQ(count().bytes, 100u);
  }
  EXPECT_EQ(count().leaks, 2u);
  EXPECT_EQ(count().blocks, 0u);
  EXPECT_EQ(count().objects, 0u);
  EXPECT_TRUE(logged("1 allocations and imports of 100 bytes were left"));
  sim().configure("", nullptr);
}

// --- failures ---------------------------------------------------------------

TEST_F(Sim, TheNthCallFails) {
  for (bool sticky : {false, true}) {
    configure(sticky ? "fail_at=4,fail_status=RESOURCE_EXHAUSTED,fail_sticky=1"
                     : "fail_at=4,fail_status=RESOURCE_EXHAUSTED");
    Device d(context()); // open, describe
    uint64_t a, t;
    EXPECT_EQ(d.driver->mem_info(d.handle, &a, &t, &error), IST_OK);
    EXPECT_EQ(d.driver->mem_info(d.handle, &a, &t, &error),
              IST_RESOURCE_EXHAUSTED);
    EXPECT_EQ(error.code, IST_RESOURCE_EXHAUSTED);
    EXPECT_STREQ(error.message, "sim: injected failure of call 4, mem_info");
    EXPECT_EQ(d.driver->mem_info(d.handle, &a, &t, &error),
              sticky ? IST_RESOURCE_EXHAUSTED : IST_OK);
    EXPECT_EQ(count().injected, sticky ? 2u : 1u);
  }
}

/// A failure on the device is that of the signals behind it; before and after
/// all is well.
TEST_F(Sim, OnlyTheFailedWorksPointsFail) {
  configure("fail_run_at=4");
  Device d(context());
  Queue q(d);
  Semaphore s(d);
  Memory m = d.visible(64);
  std::memset(m.host(), 0, 64);
  for (uint32_t v = 1; v <= 3; ++v) {
    q.fill(m.at(v), 1, 1);
    q.fill(m.at(16 + v), 1, 1);
    q.submit({}, {s.point(2 * v)});
  }
  s.wait(6);
  s.wait(2);
  for (uint64_t failed : {3, 4})
    EXPECT_EQ(d.driver->semaphore_wait(s.handle, failed, UINT64_MAX, &error),
              IST_INTERNAL);
  s.wait(5);
  EXPECT_EQ(std::string(reinterpret_cast<char *>(m.host()), 20),
            std::string("\0\1\1\1", 4) + std::string(13, 0) +
                std::string("\1\0\1", 3));
  EXPECT_EQ(count().commands, 6u);
}

TEST_F(Sim, FailuresFollowWaits) {
  Device d(context());
  Queue q(d), r(d);
  Semaphore s(d), t(d);
  Memory m = d.visible(64);
  std::memset(m.host(), 0, 64);
  uint64_t value;
  configure("fail_run_at=1,fail_status=RESOURCE_EXHAUSTED");
  q.fill(m.at(), 1, 1);
  q.submit({}, {s.point(1)});
  EXPECT_EQ(d.driver->semaphore_wait(s.handle, 1, UINT64_MAX, &error),
            IST_RESOURCE_EXHAUSTED);
  EXPECT_STREQ(error.message, "sim: injected failure of command 1, fill");
  EXPECT_EQ(d.driver->semaphore_query(s.handle, &value, &error),
            IST_RESOURCE_EXHAUSTED);
  r.submit({s.point(1)}, {});
  r.fill(m.at(1), 1, 1); // is left out
  r.submit({}, {t.point(1)});
  r.fill(m.at(2), 1, 1);
  r.submit({}, {t.point(2)});
  t.wait(2);
  EXPECT_EQ(d.driver->semaphore_wait(t.handle, 1, UINT64_MAX, &error),
            IST_RESOURCE_EXHAUSTED);
  EXPECT_EQ(m.host()[0] + m.host()[1], 0);
  EXPECT_EQ(m.host()[2], 1);
  q.submit({}, {s.point(2)});
  s.wait(2);
}

TEST_F(Sim, LossEndsAllOfThatDevice) {
  configure("devices=2");
  Device d(context()), other(context(1));
  Memory m = d.alloc(64);
  Queue oq(other);
  Semaphore s(d), never(d);
  auto lost = [&](int status) { return status == IST_DEVICE_LOST; };
  {
    ist_driver_queue *q;
    ASSERT_EQ(d.driver->queue_create(d.handle, nullptr, &q, &error), IST_OK);
    std::thread waiter([&] {
      ist_error e;
      EXPECT_TRUE(
          lost(d.driver->semaphore_wait(never.handle, 1, UINT64_MAX, &e)));
    });
    configure("devices=2,fail_run_at=1,fail_status=DEVICE_LOST");
    ASSERT_EQ(d.driver->fill(q, m.at(), 1, 4, &error), IST_OK);
    ist_driver_point p = s.point(1);
    ist_driver_submit submit = {sizeof submit, nullptr, 0, &p, 1, 0};
    int status = d.driver->submit(q, &submit, &error);
    EXPECT_TRUE(status == IST_OK || lost(status));
    EXPECT_TRUE(
        lost(d.driver->semaphore_wait(s.handle, 1, UINT64_MAX, &error)));
    waiter.join();
    EXPECT_TRUE(lost(d.driver->fill(q, m.at(), 1, 4, &error)));
    ist_driver_memory memory;
    EXPECT_TRUE(lost(
        d.driver->alloc(d.handle, IST_MEMORY_KIND_DEVICE, 4, &memory, &error)));
    d.driver->queue_destroy(q);
  }
  ist_driver_device *again;
  EXPECT_TRUE(lost(d.driver->open(context().host, 0, nullptr, &again, &error)));
  Memory om = other.upload<uint32_t>(oq, {1});
  EXPECT_EQ(other.download<uint32_t>(oq, om.at(), 1)[0], 1u);
  EXPECT_EQ(count().breaches, 0u);
}

} // namespace
