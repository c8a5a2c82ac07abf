//===- stream_test.cpp - the drivers over streams, on their fakes ---------===//
#include "stream_test.h"

#include <random>
#include <thread>

using namespace isthmus;
using namespace isthmus::test;

namespace {

INSTANTIATE_TEST_SUITE_P(Vendors, Streams, testing::ValuesIn(vendors()),
                         [](auto &info) { return info.param.name; });

TEST_P(Streams, WhatDevicesThereAre) {
  uint32_t count = 0;
  ist_identity all[3] = {};
  ASSERT_EQ(d.enumerate(&drive.host.table, all, 3, &count, &error), IST_OK);
  EXPECT_EQ(count, 2u);
  EXPECT_NE(std::string(all[1].summary).find("Fake 1"), std::string::npos);
  EXPECT_NE(
      std::string(all[0].id).find(gpu() ? "0000:00:00.0" : "0000:03:00.0"),
      std::string::npos)
      << all[0].id;
  EXPECT_NE(std::string(all[0].id), all[1].id);
  EXPECT_EQ(all[1].memory_bytes, uint64_t(1) << 30);
  EXPECT_EQ(all[2].summary[0], 0);
  ist_driver_device *other = nullptr;
  EXPECT_EQ(d.open(&drive.host.table, 2, nullptr, &other, &error),
            IST_NOT_FOUND);
  ::setenv("ISTHMUS_FAKE_DEVICES", "0", 1);
  ::setenv("CUDA_VISIBLE_DEVICES", "7", 1);
  EXPECT_EQ(d.enumerate(&drive.host.table, nullptr, 0, &count, &error),
            IST_UNAVAILABLE);
  if (gpu()) {
    EXPECT_TRUE(says("_NO_DEVICE") || says("NoDevice")) << error.message;
    EXPECT_TRUE(says("CUDA_VISIBLE_DEVICES is '7'")) << error.message;
  }
  ::unsetenv("CUDA_VISIBLE_DEVICES");
  ::unsetenv("ISTHMUS_FAKE_DEVICES");
}

TEST_P(Streams, WithoutTheLibrary) {
  uint32_t count = 0;
  ::setenv(GetParam().variable, "/nowhere/libnothing.so", 1);
  EXPECT_EQ(d.enumerate(&drive.host.table, nullptr, 0, &count, &error),
            IST_UNAVAILABLE);
  EXPECT_TRUE(says("/nowhere/libnothing.so") && says("install"))
      << error.message;
  EXPECT_TRUE(says(GetParam().variable)) << error.message;
  // One that is there and is not the vendor's.
  ::setenv(GetParam().variable, ISTHMUS_TEST_KERNELS, 1);
  EXPECT_EQ(d.enumerate(&drive.host.table, nullptr, 0, &count, &error),
            IST_UNAVAILABLE);
  EXPECT_TRUE(says("lacks cuInit") || says("lacks hipInit") ||
              says("lacks zeInit"))
      << error.message;
}

TEST_P(Streams, Facts) {
  open();
  if (!gpu()) {
    EXPECT_EQ(fact("intel.features"), "spirv64,pvc,float16,float64");
    return;
  }
  if (fact("nvidia.arch").empty()) {
    EXPECT_EQ(fact("amd.arch"), "gfx942");
    EXPECT_EQ(fact("amd.features"), "gfx9-4-generic,gfx942,sramecc+,xnack-");
    EXPECT_EQ(fact("amd.subgroup"), "64");
    return;
  }
  EXPECT_EQ(fact("nvidia.arch"), "sm_90");
  std::string all = "," + fact("nvidia.features") + ",";
  auto has = [&](const char *f) {
    return all.find("," + std::string(f) + ",") != std::string::npos;
  };
  // PTX for older chips runs, for newer ones not; with an `a` on one chip.
  EXPECT_TRUE(has("sm_80") && has("sm_90") && has("sm_90a") && has("ptx84"));
  EXPECT_FALSE(has("sm_100") || has("sm_80a") || has("sm_100a") ||
               has("ptx85"));
  EXPECT_TRUE(has("cubin_sm_90") && has("cubin_sm_90a"));
  EXPECT_FALSE(has("cubin_sm_89"));
}

// Random commands on queues that wait for each other give what a host that does
// one after the other gives, whatever the order in which the device runs them.
TEST_P(Streams, RandomOrders) {
  open();
  ist_driver_module *m = drive.module(code);
  const ist_driver_kernel *inc = drive.kernel(m, "inc_i64", 3);
  constexpr int kBuffers = 4, kQueues = 3, n = 70;
  std::vector<ist_driver_memory> buffers;
  std::vector<std::vector<int64_t>> expected(kBuffers,
                                             std::vector<int64_t>(n, 0));
  ist_driver_queue *queues[kQueues];
  ist_driver_semaphore *sem = drive.semaphore();
  uint64_t value = 0;
  for (auto &q : queues)
    q = drive.queue();
  for (int i = 0; i < kBuffers; ++i) {
    buffers.push_back(drive.alloc(n * 8, i % 2 ? IST_MEMORY_KIND_HOST_VISIBLE
                                               : IST_MEMORY_KIND_DEVICE));
    ASSERT_EQ(d.fill(queues[0], buffers[i].address, 0, n * 8, &error), IST_OK);
  }
  ASSERT_EQ(drive.submit(queues[0], {}, {{sem, ++value}}), IST_OK);
  ASSERT_EQ(drive.failed, 0) << error.message;
  std::mt19937 random(42);
  for (int i = 0; i < 400; ++i) {
    ist_driver_queue *q = queues[random() % kQueues];
    if (random() % 4 == 0) // nobody is told of what is in order anyway
      ASSERT_EQ(drive.submit(q, {{sem, value}}, {}), IST_OK) << error.message;
    ASSERT_EQ(drive.submit(q, {{sem, value}}, {}), IST_OK) << error.message;
    int a = random() % kBuffers,
        b = (a + 1 + random() % (kBuffers - 1)) % kBuffers;
    uint64_t bytes = 8 * (random() % (n + 1));
    switch (random() % 3) {
    case 0:
      ASSERT_EQ(
          d.copy(q, buffers[a].address, buffers[b].address, bytes, &error),
          IST_OK)
          << error.message;
      std::copy_n(expected[b].begin(), bytes / 8, expected[a].begin());
      break;
    case 1: {
      uint8_t byte = random() % 100;
      ASSERT_EQ(d.fill(q, buffers[a].address, byte, bytes, &error), IST_OK);
      std::fill_n(expected[a].begin(), bytes / 8,
                  byte * int64_t(0x0101010101010101));
      break;
    }
    case 2:
      ASSERT_EQ(
          drive.launch(q, inc, (bytes / 8 + 63) / 64,
                       {buffers[b].address, buffers[a].address, bytes / 8}),
          IST_OK)
          << error.message;
      for (uint64_t j = 0; j < bytes / 8; ++j)
        expected[a][j] = expected[b][j] + 1;
      break;
    }
    ASSERT_EQ(drive.submit(q, {}, {{sem, ++value}}), IST_OK) << error.message;
    if (random() % 20 == 0)
      ASSERT_EQ(drive.wait(sem, value), IST_OK) << error.message;
  }
  ASSERT_EQ(drive.wait(sem, value), IST_OK) << error.message;
  uint64_t reached = 0;
  ASSERT_EQ(d.semaphore_query(sem, &reached, &error), IST_OK);
  EXPECT_EQ(reached, value);
  ist_driver_memory result = drive.alloc(n * 8);
  for (int i = 0; i < kBuffers; ++i) {
    ASSERT_EQ(
        d.copy(queues[0], result.address, buffers[i].address, n * 8, &error),
        IST_OK);
    ASSERT_EQ(drive.submit(queues[0], {}, {{sem, ++value}}), IST_OK);
    ASSERT_EQ(drive.wait(sem, value), IST_OK);
    EXPECT_EQ(std::memcmp(result.host, expected[i].data(), n * 8), 0) << i;
  }
  d.free(drive.device, &result);
  for (auto &b : buffers)
    d.free(drive.device, &b);
  d.semaphore_destroy(sem);
  for (auto *q : queues)
    d.queue_destroy(q);
  d.module_unload(m);
}

TEST_P(Streams, Semaphores) {
  open();
  ist_driver_queue *q = drive.queue(), *r = drive.queue();
  ist_driver_semaphore *s = drive.semaphore(), *t = drive.semaphore();
  uint64_t value = 7;
  ASSERT_EQ(d.semaphore_query(s, &value, &error), IST_OK);
  EXPECT_EQ(value, 0u);
  EXPECT_EQ(drive.wait(s, 0), IST_OK);
  EXPECT_EQ(drive.wait(s, 1, 1000000), IST_DEADLINE_EXCEEDED);
  EXPECT_EQ(drive.submit(q, {{s, 1}}, {{t, 1}}), IST_INVALID_ARGUMENT);
  EXPECT_TRUE(says("nobody has submitted")) << error.message;
  ASSERT_EQ(d.semaphore_signal(s, 5, &error), IST_OK);
  EXPECT_EQ(drive.wait(s, 3), IST_OK);
  EXPECT_EQ(drive.submit(q, {{s, 4}}, {{s, 6}, {t, 1}}), IST_OK);
  EXPECT_EQ(drive.submit(r, {{t, 1}}, {{t, 9}}), IST_OK) << error.message;
  EXPECT_EQ(drive.submit(q, {}, {{t, 9}}), IST_INVALID_ARGUMENT);
  EXPECT_TRUE(says("values rise")) << error.message;
  EXPECT_EQ(drive.wait(t, 4), IST_OK);
  EXPECT_EQ(drive.wait(s, 6), IST_OK);
  // Somebody waits for what is not submitted yet.
  std::thread late([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    ist_error e;
    ist_driver_point p = {s, 10};
    ist_driver_submit submit = {sizeof submit, nullptr, 0, &p, 1, 0};
    EXPECT_EQ(d.submit(r, &submit, &e), IST_OK);
  });
  EXPECT_EQ(drive.wait(s, 10), IST_OK) << error.message;
  late.join();
  for (auto *x : {s, t})
    d.semaphore_destroy(x);
  for (auto *x : {q, r})
    d.queue_destroy(x);
}

TEST_P(Streams, Memory) {
  open();
  uint64_t available = 0, total = 0;
  ASSERT_EQ(d.mem_info(drive.device, &available, &total, &error), IST_OK);
  EXPECT_EQ(total, uint64_t(1) << 30);
  ist_driver_memory m = {};
  EXPECT_EQ(
      d.alloc(drive.device, IST_MEMORY_KIND_DEVICE, total + 1, &m, &error),
      IST_RESOURCE_EXHAUSTED);
  EXPECT_TRUE(says("1073741825 bytes requested") && says("available"))
      << error.message;
  m = drive.alloc(1000);
  ASSERT_TRUE(m.host && m.address && m.bytes == 1000);
  ist_driver_memory device = drive.alloc(1000, IST_MEMORY_KIND_DEVICE);
  EXPECT_EQ(device.host, nullptr);

  // Memory of the host: shared by imports that lie within each other, or to be
  // copied.
  alignas(64) static char host[8192];
  auto import = [&](ist_import_kind kind, uint64_t at, uint64_t bytes,
                    ist_driver_memory *out) {
    ist_import i = {sizeof i, kind, 0, at, bytes};
    return d.import(drive.device, &i, out, &error);
  };
  uint64_t base = reinterpret_cast<uint64_t>(host);
  ist_driver_memory whole = {}, part = {}, beyond = {};
  EXPECT_EQ(import(IST_IMPORT_HOST, base, 4096, &whole),
            gpu() ? IST_OK : IST_UNAVAILABLE);
  if (gpu()) {
    ASSERT_EQ(import(IST_IMPORT_HOST, base + 100, 64, &part), IST_OK);
    EXPECT_EQ(part.address, base + 100);
    EXPECT_EQ(import(IST_IMPORT_HOST, base + 100, 8000, &beyond),
              IST_UNAVAILABLE);
    d.free(drive.device, &whole);
    EXPECT_STREQ(control.misuse(), "");
    d.free(drive.device, &part);
  }

  // Memory of the device, from elsewhere.
  ist_driver_memory borrowed = {};
  ASSERT_EQ(import(IST_IMPORT_ADDRESS, device.address + 8, 992, &borrowed),
            IST_OK)
      << error.message;
  EXPECT_EQ(import(IST_IMPORT_ADDRESS, device.address + 8, 993, &beyond),
            IST_INVALID_ARGUMENT);
  EXPECT_EQ(import(IST_IMPORT_ADDRESS, base, 64, &beyond),
            IST_INVALID_ARGUMENT);
  d.free(drive.device, &borrowed);
  d.free(drive.device, &m);
  d.free(drive.device, &device);
}

TEST_P(Streams, Modules) {
  open();
  ist_driver_module *m = drive.module(code, "the-key");
  ASSERT_TRUE(m) << error.message;
  EXPECT_FALSE(drive.kernel(m, "no_such_kernel", 1));
  EXPECT_EQ(error.code, IST_DATA_LOSS);
  EXPECT_TRUE(says("no_such_kernel"));
  ist_arg arg = {IST_ARG_ADDRESS, 8, 8};
  const ist_driver_kernel *k = nullptr;
  auto get = [&](ist_arg a, uint32_t block, uint32_t dynamicShared) {
    ist_kernel_desc desc = {sizeof desc, "slow", &a, 1,
                            8,           block,  16, dynamicShared};
    return d.kernel_get(m, &desc, &k, &error);
  };
  EXPECT_EQ(get(arg, 64, 0), IST_DATA_LOSS); // outside of the blob
  arg.offset = 0;
  arg.kind = IST_ARG_TILE;
  EXPECT_EQ(get(arg, 64, 0),
            fact("nvidia.arch") == "sm_90" ? IST_OK : IST_UNIMPLEMENTED);
  arg.kind = IST_ARG_ADDRESS;
  EXPECT_EQ(get(arg, 2048, 0), IST_UNAVAILABLE);
  EXPECT_EQ(get(arg, 64, 1 << 20), IST_UNAVAILABLE);
  if (gpu()) {
    EXPECT_TRUE(says("1048592 bytes of workgroup memory")) << error.message;
    EXPECT_EQ(get(arg, 64, 60000), IST_OK) << error.message;
  }
  EXPECT_EQ(control.calls("FuncSetAttribute"),
            GetParam().format == std::string("ptx"));
  d.module_unload(m);

  // Containers that are broken are told before the vendor sees them.
  ist_module_options o = {sizeof o, nullptr, nullptr};
  for (const char *format : {"cubin", "hsaco", "spirv"}) {
    if (!std::strstr(d.formats, format))
      continue;
    o.format = format;
    for (size_t n = 0; n < code.size(); n += 131)
      EXPECT_EQ(d.module_load(drive.device, code.data(), n, &o, &m, &error),
                IST_DATA_LOSS)
          << n;
    std::string spoilt = code;
    spoilt[0] = 'x';
    EXPECT_EQ(d.module_load(drive.device, spoilt.data(), spoilt.size(), &o, &m,
                            &error),
              IST_DATA_LOSS);
  }
  o.format = "elf";
  EXPECT_EQ(d.module_load(drive.device, "", 0, &o, &m, &error),
            IST_UNAVAILABLE);
}

TEST(Cuda, JitLogAndCache) {
  const Vendor &v = vendors()[0];
  ::setenv(v.variable, v.library, 1);
  const fake::Control &control = controlOf(v);
  control.reset(1);
  Drive drive(v);
  ASSERT_EQ(drive.open(), IST_OK);
  EXPECT_FALSE(drive.module(".version 8.0 syntax error"));
  EXPECT_EQ(drive.error.code, IST_DATA_LOSS);
  EXPECT_NE(std::string(drive.error.message).find("ptxas fatal: line 1 syntax"),
            std::string::npos)
      << drive.error.message;
  std::string code = readFile(ISTHMUS_TEST_KERNELS);
  drive.d.module_unload(drive.module(code));
  EXPECT_EQ(drive.host.hits, 0);
  ASSERT_EQ(drive.host.cache.size(), 1u);
  std::string key = drive.host.cache.begin()->first;
  EXPECT_NE(key.find("sm_90"), std::string::npos);
  EXPECT_NE(key.find("12040"), std::string::npos);
  int links = control.calls("LinkCreate");
  drive.d.module_unload(drive.module(code));
  EXPECT_EQ(drive.host.hits, 1);
  EXPECT_EQ(control.calls("LinkCreate"), links) << "compiled again";
  // Spoilt kept bytes are passed over, and replaced.
  drive.host.cache.begin()->second = "rubbish";
  drive.d.module_unload(drive.module(code));
  EXPECT_EQ(drive.host.cache.begin()->second.size(), code.size());
  EXPECT_EQ(drive.host.log.size(), 1u);
  drive.d.module_unload(drive.module(code, "a-key-of-the-core"));
  EXPECT_EQ(drive.host.cache.count("cubin-a-key-of-the-core-sm_90-12040"), 1u);
  drive.close();
  EXPECT_STREQ(control.misuse(), "");
  EXPECT_STREQ(control.alive(), "");
}

TEST_P(Streams, Launches) {
  open();
  ist_driver_module *m = drive.module(code);
  const ist_driver_kernel *k = drive.kernel(m, "mark_u32", 1);
  ist_driver_queue *q = drive.queue();
  ist_driver_semaphore *s = drive.semaphore();
  ist_driver_memory y = drive.alloc(20);
  ASSERT_EQ(d.fill(q, y.address, 0, 20, &error), IST_OK);
  EXPECT_EQ(drive.launch(q, k, 0, {y.address}), IST_OK);
  EXPECT_EQ(drive.launch(q, k, 5, {y.address, 1}), IST_INVALID_ARGUMENT);
  EXPECT_EQ(drive.launch(q, k, uint64_t(1) << 32, {y.address}),
            IST_INVALID_ARGUMENT);
  EXPECT_TRUE(says("mark_u32")) << error.message;
  EXPECT_EQ(drive.launch(q, k, 5, {y.address}), IST_OK);
  uint64_t args[2] = {y.address, 1}; // the second is of a later version
  struct {
    ist_launch launch;
    uint64_t more;
  } longer = {{sizeof longer, k, 1, 64, 0, 0, 8, args, nullptr, 0, nullptr, 0},
              1};
  EXPECT_EQ(d.launch(q, &longer.launch, &error), IST_UNIMPLEMENTED);
  EXPECT_EQ(d.copy(q, 0, 0, 0, &error), IST_OK);
  ASSERT_EQ(drive.submit(q, {}, {{s, 1}}), IST_OK);
  ASSERT_EQ(drive.wait(s, 1), IST_OK);
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(static_cast<uint32_t *>(y.host)[i], 1u);
  d.free(drive.device, &y);
  d.semaphore_destroy(s);
  d.queue_destroy(q);
  d.module_unload(m);
}

TEST_P(Streams, Recordings) {
  open();
  auto *r = static_cast<const ist_recording_extension *>(
      d.extension(drive.device, IST_EXTENSION_RECORDING));
  if (!gpu())
    GTEST_SKIP() << "level_zero offers no recordings";
  ASSERT_TRUE(r);
  EXPECT_EQ(d.extension(drive.device, "telepathy"), nullptr);
  ist_driver_module *m = drive.module(code);
  const ist_driver_kernel *inc = drive.kernel(m, "inc_i64", 3);
  ist_driver_queue *q = drive.queue(), *other = drive.queue();
  ist_driver_semaphore *s = drive.semaphore();
  ist_driver_memory x = drive.alloc(64), y = drive.alloc(64),
                    z = drive.alloc(64);
  ASSERT_EQ(r->begin(q, &error), IST_OK);
  EXPECT_EQ(r->begin(q, &error), IST_INVALID_ARGUMENT);
  ASSERT_EQ(d.fill(q, x.address, 0, 64, &error), IST_OK);
  ASSERT_EQ(drive.launch(q, inc, 0, {x.address, y.address, 8}), IST_OK);
  ASSERT_EQ(drive.launch(q, inc, 1, {x.address, y.address, 8}), IST_OK);
  ASSERT_EQ(d.copy(q, z.address, y.address, 64, &error), IST_OK);
  ist_driver_recording *recording = nullptr;
  ASSERT_EQ(r->end(q, &recording, &error), IST_OK) << error.message;
  EXPECT_EQ(control.calls("LaunchKernel"), 0);
  auto *out = static_cast<int64_t *>(z.host);
  uint64_t value = 0;
  auto run = [&](ist_driver_queue *queue, std::vector<ist_patch> patches) {
    ASSERT_EQ(
        r->replay(queue, recording, patches.data(), patches.size(), &error),
        IST_OK)
        << error.message;
    ASSERT_EQ(drive.submit(queue, {}, {{s, ++value}}), IST_OK);
    ASSERT_EQ(drive.wait(s, value), IST_OK) << error.message;
  };
  run(q, {});
  EXPECT_EQ(out[7], 1);
  // Three elements only, then a copy that goes elsewhere; both stay.
  uint64_t three = 3;
  std::memset(y.host, 0, 64);
  run(other, {{2, IST_PATCH_ARGS, 16, 8, &three}});
  EXPECT_EQ(out[2], 1);
  EXPECT_EQ(out[3], 0);
  std::memset(z.host, 9, 64);
  run(q, {{3, IST_PATCH_TO, 0, 8, &x.address}});
  EXPECT_EQ(out[2], 0x0909090909090909);
  EXPECT_EQ(static_cast<int64_t *>(x.host)[2], 1);
  run(q, {{3, IST_PATCH_FROM, 0, 8, &z.address}});
  EXPECT_EQ(static_cast<int64_t *>(x.host)[2], 0x0909090909090909);
  // The same bytes again cost no call.
  int changes = control.calls("GraphExecMemcpyNodeSetParams");
  EXPECT_EQ(changes, 2);
  run(q, {{3, IST_PATCH_FROM, 0, 8, &z.address}});
  EXPECT_EQ(control.calls("GraphExecMemcpyNodeSetParams"), changes);
  for (ist_patch bad : {ist_patch{4, IST_PATCH_TO, 0, 8, &three},
                        ist_patch{2, IST_PATCH_TO, 0, 8, &three},
                        ist_patch{2, IST_PATCH_ARGS, 20, 8, &three},
                        ist_patch{0, IST_PATCH_FROM, 0, 8, &three},
                        ist_patch{3, IST_PATCH_TO, 0, 4, &three}})
    EXPECT_EQ(r->replay(q, recording, &bad, 1, &error), IST_INVALID_ARGUMENT);
  r->destroy(recording);

  // A command that fails takes the recording with it.
  ASSERT_EQ(r->begin(q, &error), IST_OK);
  EXPECT_EQ(drive.launch(q, inc, 1, {1}), IST_INVALID_ARGUMENT);
  EXPECT_EQ(r->end(q, &recording, &error), IST_INVALID_ARGUMENT);
  EXPECT_TRUE(says("inc_i64")) << error.message;
  ASSERT_EQ(r->begin(q, &error), IST_OK);
  EXPECT_EQ(drive.submit(q, {}, {{s, ++value}}), IST_INVALID_ARGUMENT);
  EXPECT_NE(r->end(q, &recording, &error), IST_OK);
  ASSERT_EQ(r->begin(q, &error), IST_OK); // and left open
  for (ist_driver_memory *b : {&x, &y, &z})
    d.free(drive.device, b);
  d.semaphore_destroy(s);
  d.queue_destroy(q);
  d.queue_destroy(other);
  d.module_unload(m);
}

// The caller captures its stream: what a call there does is recorded, and
// nothing else happens.
TEST_P(Streams, CapturedByTheCaller) {
  if (!gpu())
    GTEST_SKIP() << "Level Zero has no capture";
  open();
  void *stream = control.makeStream();
  ist_native native = {sizeof native, GetParam().stream, stream};
  ist_native wrong = {sizeof wrong, "other.stream", stream};
  ist_driver_queue *q = nullptr;
  EXPECT_EQ(d.queue_create(drive.device, &wrong, &q, &error), IST_UNAVAILABLE);
  EXPECT_TRUE(says(GetParam().stream));
  q = drive.queue(&native);
  ist_driver_queue *other = drive.queue();
  ist_driver_semaphore *s = drive.semaphore();
  ist_driver_module *m = drive.module(code);
  const ist_driver_kernel *k = drive.kernel(m, "mark_u32", 1);
  ist_driver_memory y = drive.alloc(64), z = drive.alloc(64);
  ASSERT_EQ(drive.submit(other, {}, {{s, 1}}), IST_OK);
  control.beginCapture(stream);
  ASSERT_EQ(d.fill(q, y.address, 0, 64, &error), IST_OK);
  ASSERT_EQ(drive.launch(q, k, 3, {y.address}), IST_OK);
  ASSERT_EQ(d.copy(q, z.address, y.address, 64, &error), IST_OK);
  ASSERT_EQ(drive.submit(q, {}, {}), IST_OK);
  // Meanwhile this thread may look after another queue.
  EXPECT_EQ(drive.wait(s, 1), IST_OK) << error.message;
  EXPECT_EQ(control.endCapture(stream), 3);
  for (const char *never : {"StreamSynchronize", "EventSynchronize"})
    EXPECT_EQ(control.calls(never), 0) << never;
  // Not captured, it runs, and is neither waited for nor ended with the queue.
  ASSERT_EQ(drive.launch(q, k, 3, {y.address}), IST_OK);
  ASSERT_EQ(drive.submit(q, {}, {{s, 2}}), IST_OK);
  EXPECT_EQ(drive.wait(s, 2), IST_OK);
  d.queue_destroy(q);
  EXPECT_EQ(control.calls("StreamDestroy"), 0);
  control.dropStream(stream);
  d.queue_destroy(other);
  d.semaphore_destroy(s);
  d.free(drive.device, &y);
  d.free(drive.device, &z);
  d.module_unload(m);
}

TEST_P(Streams, TheCallersContext) {
  void *before = control.currentContext();
  open();
  EXPECT_EQ(control.currentContext(), before);
  ist_driver_memory y = drive.alloc(64);
  EXPECT_EQ(control.currentContext(), before);
  d.free(drive.device, &y);
  EXPECT_EQ(control.currentContext(), before);
  ist_driver_device *other = nullptr;
  ist_native native = {sizeof native, "other.context", nullptr};
  EXPECT_EQ(d.open(&drive.host.table, 0, &native, &other, &error),
            IST_UNAVAILABLE);
}

TEST_P(Streams, Loss) {
  open();
  ist_driver_module *m = drive.module(code);
  const ist_driver_kernel *k = drive.kernel(m, "mark_u32", 1);
  ist_driver_queue *q = drive.queue(), *r = drive.queue();
  ist_driver_semaphore *s = drive.semaphore();
  ist_driver_memory y = drive.alloc(64);
  ASSERT_EQ(d.fill(q, y.address, 0, 64, &error), IST_OK);
  ASSERT_EQ(drive.submit(q, {}, {{s, 1}}), IST_OK);
  ASSERT_EQ(drive.wait(s, 1), IST_OK);
  control.faultNext(GetParam().fault);
  ASSERT_EQ(drive.launch(q, k, 1, {y.address}), IST_OK);
  ASSERT_EQ(drive.submit(q, {}, {{s, 2}}), IST_OK);
  EXPECT_EQ(drive.wait(s, 2), IST_DEVICE_LOST);
  EXPECT_TRUE(says("ILLEGAL_ADDRESS (700)") || says("IllegalAddress (700)") ||
              says("ZE_RESULT_ERROR_DEVICE_LOST"))
      << error.message;
  // All that can fail does so at once, with the first words, and asks nobody.
  int calls = control.calls(nullptr);
  uint64_t a, b;
  ist_driver_memory none;
  ist_driver_semaphore *t;
  EXPECT_EQ(drive.wait(s, 1), IST_DEVICE_LOST);
  EXPECT_EQ(d.semaphore_query(s, &a, &error), IST_DEVICE_LOST);
  EXPECT_EQ(d.semaphore_signal(s, 9, &error), IST_DEVICE_LOST);
  EXPECT_EQ(d.semaphore_create(drive.device, &t, &error), IST_DEVICE_LOST);
  EXPECT_EQ(d.mem_info(drive.device, &a, &b, &error), IST_DEVICE_LOST);
  EXPECT_EQ(d.copy(q, y.address, y.address + 8, 8, &error), IST_DEVICE_LOST);
  EXPECT_EQ(drive.launch(q, k, 1, {y.address}), IST_DEVICE_LOST);
  EXPECT_EQ(drive.submit(r, {}, {{s, 4}}), IST_DEVICE_LOST);
  EXPECT_EQ(d.alloc(drive.device, IST_MEMORY_KIND_DEVICE, 8, &none, &error),
            IST_DEVICE_LOST);
  EXPECT_FALSE(drive.module(code));
  EXPECT_EQ(error.code, IST_DEVICE_LOST);
  EXPECT_TRUE(says("running") || says("asking whether")) << error.message;
  EXPECT_EQ(control.calls(nullptr), calls);
  d.free(drive.device, &y);
  d.semaphore_destroy(s);
  d.queue_destroy(q);
  d.queue_destroy(r);
  d.module_unload(m);
}

/// All of a driver's life, ending at the first failure.
int life(Drive &drive, const std::string &code) {
  const ist_driver &d = drive.d;
  if (int s = drive.open())
    return s;
  ist_driver_queue *q = drive.queue(), *r = q ? drive.queue() : nullptr;
  ist_driver_semaphore *s = drive.semaphore();
  ist_driver_memory x = drive.alloc(64),
                    y = drive.alloc(64, IST_MEMORY_KIND_DEVICE), z = {};
  alignas(64) static char host[64];
  ist_import import = {sizeof import, IST_IMPORT_HOST, 0,
                       reinterpret_cast<uint64_t>(host), sizeof host};
  int imported = d.import(drive.device, &import, &z, &drive.error);
  if (imported == IST_UNAVAILABLE)
    z = drive.alloc(sizeof host);
  else
    drive.status(imported);
  ist_driver_module *m = drive.module(code);
  const ist_driver_kernel *k = m ? drive.kernel(m, "inc_i64", 3) : nullptr;
  ist_driver_recording *recording = nullptr;
  auto *record = static_cast<const ist_recording_extension *>(
      d.extension(drive.device, IST_EXTENSION_RECORDING));
  auto commands = [&] {
    int status = d.fill(q, x.address, 0, 64, &drive.error);
    if (!status)
      status = drive.launch(q, k, 1, {x.address, y.address, 8});
    if (!status)
      status = d.copy(q, z.address, y.address, 64, &drive.error);
    return status;
  };
  if (!drive.failed && record) {
    drive.status(record->begin(q, &drive.error));
    drive.status(commands());
    drive.status(record->end(q, &recording, &drive.error));
  }
  if (!drive.failed)
    drive.status(commands());
  if (!drive.failed)
    drive.status(drive.submit(q, {}, {{s, 1}}));
  if (!drive.failed)
    drive.status(drive.submit(r, {{s, 1}}, {{s, 2}}));
  if (!drive.failed)
    drive.status(drive.wait(s, 2));
  if (!drive.failed && recording)
    drive.status(record->replay(q, recording, nullptr, 0, &drive.error));
  if (!drive.failed)
    drive.status(drive.submit(q, {}, {{s, 3}}));
  if (!drive.failed)
    drive.status(drive.wait(s, 3));
  if (!drive.failed)
    EXPECT_EQ(static_cast<int64_t *>(z.host)[7], 1);
  if (q)
    d.queue_destroy(q);
  if (r)
    d.queue_destroy(r);
  if (recording)
    record->destroy(recording);
  if (m)
    d.module_unload(m);
  for (ist_driver_memory *b : {&x, &y, &z})
    if (b->bytes)
      d.free(drive.device, b);
  if (s)
    d.semaphore_destroy(s);
  return drive.failed;
}

// Whichever call of the vendor's fails, somebody hears of it, and nothing is
// left behind.
TEST_P(Streams, EveryCallMayFail) {
  ASSERT_EQ(life(drive, code), IST_OK) << error.message;
  drive.close();
  int calls = control.calls(nullptr), heard = 0;
  for (int failure : {GetParam().outOfMemory, GetParam().fault})
    for (int n = 1; n <= calls; ++n) {
      control.reset(static_cast<uint32_t>(n));
      control.failAt(n, failure);
      Drive failing(GetParam());
      heard += life(failing, code) != IST_OK;
      failing.close();
      ASSERT_STREQ(control.misuse(), "") << "call " << n << " of " << calls;
      ASSERT_STREQ(control.alive(), "") << "call " << n << " of " << calls;
    }
  // What the driver can do without: ids, the older way to know a device.
  EXPECT_GT(heard, calls) << "of " << 2 * calls;
}

TEST_P(Streams, ManyThreads) {
  open();
  ist_driver_module *m = drive.module(code);
  const ist_driver_kernel *k = drive.kernel(m, "mark_u32", 1);
  auto work = [&](int seed) {
    ist_error e = {};
    ist_driver_queue *q = nullptr;
    ist_driver_semaphore *s = nullptr;
    ist_driver_memory y = {};
    ASSERT_EQ(d.queue_create(drive.device, nullptr, &q, &e), IST_OK);
    ASSERT_EQ(d.semaphore_create(drive.device, &s, &e), IST_OK);
    ASSERT_EQ(d.alloc(drive.device, IST_MEMORY_KIND_HOST_VISIBLE, 40, &y, &e),
              IST_OK);
    for (uint64_t i = 1; i <= 100; ++i) {
      ist_driver_point p = {s, i};
      ist_driver_submit submit = {sizeof submit, nullptr, 0, &p, 1, 0};
      ASSERT_EQ(d.fill(q, y.address, 0, 40, &e), IST_OK);
      ist_launch l = {sizeof l, k,          10,      64, 0,       0,
                      8,        &y.address, nullptr, 0,  nullptr, 0};
      ASSERT_EQ(d.launch(q, &l, &e), IST_OK) << e.message;
      ASSERT_EQ(d.submit(q, &submit, &e), IST_OK);
      uint64_t timeout = seed % 2 ? UINT64_MAX : 60000000000;
      ASSERT_EQ(d.semaphore_wait(s, i, timeout, &e), IST_OK) << e.message;
      ASSERT_EQ(static_cast<uint32_t *>(y.host)[9], 1u);
    }
    d.free(drive.device, &y);
    d.semaphore_destroy(s);
    d.queue_destroy(q);
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back(work, i);
  for (std::thread &t : threads)
    t.join();
  d.module_unload(m);
}

} // namespace
