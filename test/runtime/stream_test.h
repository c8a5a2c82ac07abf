//===- stream_test.h - drivers over fakes, for tests ----------------------===//
#ifndef ISTHMUS_TEST_RUNTIME_STREAM_TEST_H
#define ISTHMUS_TEST_RUNTIME_STREAM_TEST_H

#include "../fakes/fake.h"
#include "drivers.h"
#include "isthmus/driver.h"

#include <dlfcn.h>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace isthmus::test {

/// A driver and the fake of its vendor's library.
struct Vendor {
  const char *name;
  const ist_driver *driver;
  const char *variable, *library, *format;
  int outOfMemory, fault; // the vendor's numbers
  const char *stream;     // kind of native queue, or null
  const char *code;       // path of the kernels
  bool old = false;       // Level Zero without lists in order
};
std::ostream &operator<<(std::ostream &out, const Vendor &v);

inline const fake::Control &controlOf(const Vendor &v) {
  void *library = ::dlopen(v.library, RTLD_NOW | RTLD_LOCAL);
  auto *get = reinterpret_cast<const fake::Control *(*)()>(
      library ? ::dlsym(library, fake::kControl) : nullptr);
  if (!get) {
    ADD_FAILURE() << "no fake " << v.library;
    std::abort();
  }
  return *get();
}

inline std::string readFile(const char *path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream s;
  s << in.rdbuf();
  return s.str();
}

/// A host that keeps what it is given to cache.
struct TestHost {
  std::map<std::string, std::string> cache;
  std::vector<std::string> log;
  int hits = 0;
  ist_host table = isthmus::driverHost;
  TestHost() {
    table.user = this;
    table.log = [](void *user, ist_log_level, const char *line) {
      static_cast<TestHost *>(user)->log.push_back(line);
    };
    table.cache_get = [](void *user, const char *key, size_t *bytes) -> void * {
      auto *host = static_cast<TestHost *>(user);
      auto it = host->cache.find(key);
      if (it == host->cache.end())
        return nullptr;
      ++host->hits;
      *bytes = it->second.size();
      void *p = host->table.allocate(nullptr, *bytes);
      return std::memcpy(p, it->second.data(), *bytes);
    };
    table.cache_put = [](void *user, const char *key, const void *data,
                         size_t bytes) {
      static_cast<TestHost *>(user)->cache[key].assign(
          static_cast<const char *>(data), bytes);
    };
  }
};

/// An open device of `vendor`, and short names for what is done with it.
class Drive {
public:
  explicit Drive(const Vendor &vendor) : vendor(vendor), d(*vendor.driver) {}

  int open(const ist_native *native = nullptr) {
    return d.open(&host.table, 0, native, &device, &error);
  }
  void close() {
    if (device)
      d.close(device);
    device = nullptr;
  }
  ist_driver_memory alloc(uint64_t bytes,
                          ist_memory_kind kind = IST_MEMORY_KIND_HOST_VISIBLE) {
    ist_driver_memory m = {};
    status(d.alloc(device, kind, bytes, &m, &error));
    return m;
  }
  ist_driver_queue *queue(const ist_native *native = nullptr) {
    ist_driver_queue *q = nullptr;
    status(d.queue_create(device, native, &q, &error));
    return q;
  }
  ist_driver_semaphore *semaphore() {
    ist_driver_semaphore *s = nullptr;
    status(d.semaphore_create(device, &s, &error));
    return s;
  }
  int submit(ist_driver_queue *q, std::vector<ist_driver_point> waits,
             std::vector<ist_driver_point> signals) {
    ist_driver_submit s = {sizeof s,       waits.data(),   waits.size(),
                           signals.data(), signals.size(), 0};
    return d.submit(q, &s, &error);
  }
  int wait(ist_driver_semaphore *s, uint64_t value,
           uint64_t timeout = UINT64_MAX) {
    return d.semaphore_wait(s, value, timeout, &error);
  }
  /// Module of `code`; null when that fails.
  ist_driver_module *module(const std::string &code,
                            const char *key = nullptr) {
    ist_module_options o = {sizeof o, vendor.format, key};
    ist_driver_module *m = nullptr;
    status(d.module_load(device, code.data(), code.size(), &o, &m, &error));
    return m;
  }
  /// A kernel of `count` 8-byte arguments.
  const ist_driver_kernel *kernel(ist_driver_module *m, const char *name,
                                  uint32_t count) {
    std::vector<ist_arg> args;
    for (uint32_t i = 0; i < count; ++i)
      args.push_back({IST_ARG_SCALAR, 8 * i, 8});
    ist_kernel_desc k = {sizeof k,  name, args.data(), args.size(),
                         8 * count, 64,   0,           0};
    const ist_driver_kernel *out = nullptr;
    status(d.kernel_get(m, &k, &out, &error));
    return out;
  }
  int launch(ist_driver_queue *q, const ist_driver_kernel *k, uint64_t grid,
             std::vector<uint64_t> args) {
    ist_launch l = {sizeof l,
                    k,
                    grid,
                    64,
                    0,
                    0,
                    static_cast<uint32_t>(8 * args.size()),
                    args.data(),
                    nullptr,
                    0,
                    nullptr,
                    0};
    return d.launch(q, &l, &error);
  }
  /// Keeps the first failure.
  void status(int s) {
    if (s && !failed)
      failed = s;
  }

  const Vendor &vendor;
  const ist_driver &d;
  TestHost host;
  ist_driver_device *device = nullptr;
  ist_error error = {};
  int failed = 0;
};

/// Of all drivers, and Level Zero's on an older library.
const std::vector<Vendor> &vendors();

class Streams : public testing::TestWithParam<Vendor> {
protected:
  Streams() : drive(GetParam()), control(controlOf(GetParam())) {
    ::setenv(GetParam().variable, GetParam().library, 1);
    if (GetParam().old)
      ::setenv("ISTHMUS_FAKE_ZE_1_3", "1", 1);
    control.reset(1);
    control.setExec(nullptr, nullptr);
  }
  ~Streams() override {
    drive.close();
    EXPECT_STREQ(control.misuse(), "");
    EXPECT_STREQ(control.alive(), "");
    ::unsetenv(GetParam().variable);
    ::unsetenv("ISTHMUS_FAKE_ZE_1_3");
  }
  /// CUDA's and HIP's API, not Level Zero's.
  bool gpu() const { return GetParam().stream != nullptr; }
  void open() { ASSERT_EQ(drive.open(), IST_OK) << drive.error.message; }
  bool says(const char *what) const {
    return std::string(drive.error.message).find(what) != std::string::npos;
  }
  std::string fact(const char *key) {
    ist_description d = {};
    d.struct_size = sizeof d;
    EXPECT_EQ(drive.d.describe(drive.device, &d, &drive.error), IST_OK);
    for (size_t i = 0; i < d.fact_count; ++i)
      if (std::string(d.facts[i].key) == key)
        return d.facts[i].value;
    return "";
  }

  Drive drive;
  const fake::Control &control;
  ist_error &error = drive.error;
  const ist_driver &d = drive.d;
  std::string code = readFile(GetParam().code);
};

} // namespace isthmus::test

#endif // ISTHMUS_TEST_RUNTIME_STREAM_TEST_H
