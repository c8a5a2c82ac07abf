//===- memory_test.cpp - a device's memory, and who holds it --------------===//
#include "account.h"
#include "builder.h"
#include "device.h"

#include <thread>

using namespace isthmus;
using namespace isthmus::test;

namespace {

Device openDevice(uint64_t limit) {
  ist_device_options options = IST_DEVICE_OPTIONS_INIT;
  options.memory_limit = limit;
  ist_device *d = nullptr;
  ist_error error;
  EXPECT_EQ(ist_device_open("cpu", &options, &d, &error), IST_OK)
      << error.message;
  return Device(d);
}

ist_device_memory_info info(const Device &d) {
  ist_device_memory_info i = {};
  EXPECT_EQ(ist_device_memory(d.get(), &i, nullptr), IST_OK);
  return i;
}

TEST(DeviceMemory, AllocCopyFreeAndWhatItCounts) {
  Device d = openDevice(0);
  EXPECT_EQ(info(d).used, 0u);
  EXPECT_EQ(info(d).limit, 0u);
  EXPECT_GT(info(d).total, 0u);
  void *a = nullptr, *b = nullptr, *h = nullptr;
  ist_error error = {};
  ASSERT_EQ(ist_device_alloc(d.get(), IST_MEMORY_DEVICE, 1000, &a, &error),
            IST_OK);
  ASSERT_EQ(ist_device_alloc(d.get(), IST_MEMORY_DEVICE, 1000, &b, &error),
            IST_OK);
  ASSERT_EQ(ist_device_alloc(d.get(), IST_MEMORY_HOST, 1000, &h, &error),
            IST_OK);
  for (void *p : {a, b, h})
    EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % 64, 0u);
  EXPECT_EQ(info(d).used, 3000u);
  std::vector<uint8_t> x(1000), y(1000);
  for (size_t i = 0; i < x.size(); ++i)
    x[i] = static_cast<uint8_t>(i * 7);
  auto copy = [&](void *to, ist_memory tm, const void *from, ist_memory fm) {
    EXPECT_EQ(ist_device_copy(d.get(), to, tm, from, fm, 1000, &error), IST_OK)
        << error.message;
  };
  copy(a, IST_MEMORY_DEVICE, x.data(), IST_MEMORY_HOST);
  copy(b, IST_MEMORY_DEVICE, a, IST_MEMORY_DEVICE);
  copy(h, IST_MEMORY_HOST, b, IST_MEMORY_DEVICE);
  copy(y.data(), IST_MEMORY_HOST, h, IST_MEMORY_HOST);
  EXPECT_EQ(x, y);
  EXPECT_EQ(ist_device_copy(d.get(), nullptr, IST_MEMORY_DEVICE, x.data(),
                            IST_MEMORY_HOST, 1, &error),
            IST_INVALID_ARGUMENT);
  EXPECT_EQ(ist_device_copy(d.get(), nullptr, IST_MEMORY_DEVICE, nullptr,
                            IST_MEMORY_HOST, 0, &error),
            IST_OK);

  uint64_t address = 0;
  EXPECT_TRUE(d->hostAddress(static_cast<char *>(h) + 10, 990, &address));
  EXPECT_EQ(address, reinterpret_cast<uint64_t>(h) + 10);
  EXPECT_FALSE(d->hostAddress(static_cast<char *>(h) + 10, 991, &address));
  EXPECT_FALSE(d->hostAddress(x.data(), 1, &address));

  ist_device_free(d.get(), a);
  ist_device_free(d.get(), h);
  ist_device_free(d.get(), nullptr);
  EXPECT_EQ(info(d).used, 1000u);
  EXPECT_EQ(info(d).high, 3000u);
  // b is forgotten: it goes with the device.
}

TEST(DeviceMemory, TheLimitSaysWhoHasIt) {
  Device d = openDevice(10000);
  void *a = nullptr, *b = nullptr;
  ist_error error = {};
  ASSERT_EQ(ist_device_alloc(d.get(), IST_MEMORY_DEVICE, 6000, &a, &error),
            IST_OK);
  Account weights;
  weights.open(d.get(), "the weights", "mnist");
  ist_driver_memory w = {};
  ASSERT_EQ(weights.alloc(IST_MEMORY_KIND_DEVICE, 3000, &w, &error), IST_OK);
  EXPECT_EQ(ist_device_alloc(d.get(), IST_MEMORY_DEVICE, 2000, &b, &error),
            IST_RESOURCE_EXHAUSTED);
  EXPECT_EQ(b, nullptr);
  EXPECT_STREQ(error.message,
               "out of memory on cpu: 2000 bytes requested for the caller's "
               "allocations, 1000 left of this handle's limit of 10000; held "
               "by: the caller's allocations (6000), the weights of mnist "
               "(3000); free some, use smaller inputs, or open the device with "
               "a higher limit");
  EXPECT_EQ(info(d).used, 9000u) << "what failed is not counted";
  weights.free(&w);
  weights.free(&w); // nothing
  ASSERT_EQ(ist_device_alloc(d.get(), IST_MEMORY_DEVICE, 2000, &b, &error),
            IST_OK);
  EXPECT_EQ(weights.high(), 3000u);
  EXPECT_EQ(weights.bytes(), 0u);
}

TEST(DeviceMemory, WithoutALimitTheDriverSaysNo) {
  Device d = openDevice(0);
  void *a = nullptr, *b = nullptr;
  ist_error error = {};
  ASSERT_EQ(ist_device_alloc(d.get(), IST_MEMORY_DEVICE, 100, &a, &error),
            IST_OK);
  EXPECT_EQ(ist_device_alloc(d.get(), IST_MEMORY_DEVICE, uint64_t(1) << 62, &b,
                             &error),
            IST_RESOURCE_EXHAUSTED);
  std::string message = error.message;
  for (const char *part : {"4611686018427387904 bytes requested", "available",
                           "held by: the caller's allocations (100)"})
    EXPECT_NE(message.find(part), std::string::npos) << message;
  EXPECT_EQ(info(d).used, 100u);
}

TEST(DeviceMemory, TheLimitHoldsForManyThreads) {
  Device d = openDevice(100 * 64);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        void *p = nullptr;
        if (ist_device_alloc(d.get(), IST_MEMORY_DEVICE, 64 * 40, &p,
                             nullptr) == IST_OK)
          ist_device_free(d.get(), p);
      }
    });
  for (std::thread &t : threads)
    t.join();
  EXPECT_EQ(info(d).used, 0u);
  EXPECT_LE(info(d).high, 100u * 64);
}

TEST(DeviceMemory, OptionsOfOtherVersions) {
  // A caller of the future: one member more.
  struct {
    ist_device_options options;
    uint64_t more;
  } larger = {{sizeof larger, nullptr, nullptr, 500}, 0};
  ist_device *d = nullptr;
  ist_error error = {};
  ASSERT_EQ(ist_device_open("cpu", &larger.options, &d, &error), IST_OK);
  Device held(d);
  EXPECT_EQ(info(held).limit, 500u);
  larger.more = 1;
  EXPECT_EQ(ist_device_open("cpu", &larger.options, &d, &error),
            IST_UNIMPLEMENTED);
  EXPECT_NE(std::string(error.message).find("ist_device_options"),
            std::string::npos);
  // One of the past: without memory_limit.
  ist_device_options options = {offsetof(ist_device_options, memory_limit),
                                nullptr, nullptr, 1};
  ASSERT_EQ(ist_device_open("cpu", &options, &d, &error), IST_OK);
  held.reset(d);
  EXPECT_EQ(info(held).limit, 0u);
  options.struct_size = 0;
  EXPECT_EQ(ist_device_open("cpu", &options, &d, &error), IST_INVALID_ARGUMENT);
  ist_device_options context = IST_DEVICE_OPTIONS_INIT;
  context.native_kind = "cuda.context";
  EXPECT_EQ(ist_device_open("cpu", &context, &d, &error), IST_UNAVAILABLE);
  EXPECT_NE(std::string(error.message).find("cuda.context"), std::string::npos);
}

} // namespace
