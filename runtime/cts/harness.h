//===- harness.h - what the suite's tests are written with ----------------===//
//
// Thin C++ over the driver table. A check that does not hold throws: the test
// has failed. Objects end what they made, in the order that the table asks for.
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_RUNTIME_CTS_HARNESS_H
#define ISTHMUS_RUNTIME_CTS_HARNESS_H

#include "ist_sim.h"
#include "isthmus/driver.h"

#include <cstring>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

namespace isthmus::cts {

struct Failed {
  std::string what;
};
/// The driver lacks what the contract allows it to lack.
struct Lacking {
  std::string what;
};

[[noreturn]] __attribute__((format(printf, 3, 4))) void
failed(const char *file, int line, const char *format, ...);

#define CTS_CHECK(condition)                                                   \
  do {                                                                         \
    if (!(condition))                                                          \
      ::isthmus::cts::failed(__FILE__, __LINE__, "%s does not hold",           \
                             #condition);                                      \
  } while (0)
/// With a reason, printf-like.
#define CTS_THAT(condition, ...)                                               \
  do {                                                                         \
    if (!(condition))                                                          \
      ::isthmus::cts::failed(__FILE__, __LINE__, __VA_ARGS__);                 \
  } while (0)
/// `expression` uses `error`, an ist_error.
#define CTS_OK(expression)                                                     \
  do {                                                                         \
    ist_error error = {};                                                      \
    int cts_status = (expression);                                             \
    if (cts_status)                                                            \
      ::isthmus::cts::failed(                                                  \
          __FILE__, __LINE__, "%s gives %s: %s", #expression,                  \
          ist_status_name(static_cast<ist_status>(cts_status)),                \
          error.message);                                                      \
  } while (0)
/// Fails with `status` and says so in the error record.
#define CTS_FAILS(expression, status)                                          \
  do {                                                                         \
    ist_error error;                                                           \
    std::memset(&error, 0x7f, sizeof error);                                   \
    int cts_status = (expression);                                             \
    ::isthmus::cts::checkFailure(__FILE__, __LINE__, #expression, cts_status,  \
                                 status, error);                               \
  } while (0)
void checkFailure(const char *file, int line, const char *expression, int got,
                  int expected, const ist_error &error);

/// What a run is about.
struct Context {
  const ist_driver *driver = nullptr;
  const ist_host *host = nullptr;
  uint32_t index = 0;
  std::string name;         // "sim:0"
  std::string format, code; // the suite's kernels for this device
  std::string tileCode;     // and that which takes a tile, if there is one
  uint32_t block = 1;       // their lanes
  std::vector<std::string> plugins;
  ist_sim_count_fn simCount = nullptr; // null: not the simulated device
};

class Device;

/// Memory of a device.
class Memory {
public:
  Memory(Device &device, ist_driver_memory m) : device(&device), m(m) {}
  Memory(Memory &&other) : device(other.device), m(other.m) {
    other.device = nullptr;
  }
  ~Memory();
  uint64_t at(uint64_t offset = 0) const { return m.address + offset; }
  template <typename T = uint8_t> T *host() const {
    return static_cast<T *>(m.host);
  }
  uint64_t bytes() const { return m.bytes; }

private:
  Device *device;
  ist_driver_memory m;
};

/// One argument of a launch, and what it touches.
struct Arg {
  Arg(uint64_t scalar) : value(scalar) {}
  Arg(uint64_t address, uint64_t bytes, ist_access access)
      : value(address), bytes(bytes), access(access) {}
  uint64_t value, bytes = 0;
  ist_access access = IST_ACCESS_NONE;
};
inline Arg in(uint64_t address, uint64_t bytes) {
  return {address, bytes, IST_ACCESS_READ};
}
inline Arg out(uint64_t address, uint64_t bytes) {
  return {address, bytes, IST_ACCESS_WRITE};
}
inline Arg inout(uint64_t address, uint64_t bytes) {
  return {address, bytes, IST_ACCESS_READWRITE};
}

struct Kernel {
  const ist_driver_kernel *kernel;
  uint32_t argsBytes, block;
};

/// A launch's structs, which point into each other.
struct Launch {
  Launch(const Kernel &kernel, uint64_t grid, std::initializer_list<Arg> args);
  std::vector<uint64_t> blob;
  std::vector<ist_range> ranges;
  ist_launch launch = {};
};

class Semaphore {
public:
  explicit Semaphore(Device &device);
  ~Semaphore();
  Semaphore(const Semaphore &) = delete;
  void wait(uint64_t value);
  bool reached(uint64_t value);
  uint64_t query();
  void signal(uint64_t value);
  /// Signals if that can be done.
  int raise(uint64_t value, ist_error *error);
  ist_driver_point point(uint64_t value) const { return {handle, value}; }
  ist_driver_semaphore *handle = nullptr;

private:
  Device &device;
};

class Queue {
public:
  explicit Queue(Device &device);
  ~Queue();
  Queue(const Queue &) = delete;
  void copy(uint64_t to, uint64_t from, uint64_t bytes);
  void fill(uint64_t to, uint8_t value, uint64_t bytes);
  void launch(const Kernel &kernel, uint64_t grid,
              std::initializer_list<Arg> args);
  void submit(const std::vector<ist_driver_point> &waits,
              const std::vector<ist_driver_point> &signals);
  /// Waits for all it was given.
  void finish();
  ist_driver_queue *handle = nullptr;
  Device &device;

private:
  std::unique_ptr<Semaphore> done;
  uint64_t submitted = 0;
};

/// The suite's kernels; tests use what they need.
struct Kernels {
  Kernel add, scale, count, spin;
};

class Device {
public:
  explicit Device(const Context &context);
  ~Device();
  Device(const Device &) = delete;
  Memory alloc(uint64_t bytes, ist_memory_kind kind = IST_MEMORY_KIND_DEVICE);
  Memory visible(uint64_t bytes) {
    return alloc(bytes, IST_MEMORY_KIND_HOST_VISIBLE);
  }
  /// Throws Lacking when the driver does not import that.
  Memory import(ist_import_kind kind, uint64_t memory, uint64_t bytes,
                bool readOnly = false);
  /// Loaded on first use.
  const Kernels &kernels();
  Kernel kernel(const char *name, const std::vector<ist_arg> &args);
  /// `tile`, from a file of its own: not all chips of a vendor have such.
  /// Throws Lacking without it.
  Kernel tileKernel();

  template <typename T> Memory upload(Queue &q, const std::vector<T> &data) {
    Memory m = alloc(data.size() * sizeof(T));
    write(q, m.at(), data.data(), data.size() * sizeof(T));
    return m;
  }
  template <typename T>
  std::vector<T> download(Queue &q, uint64_t address, size_t count) {
    std::vector<T> data(count);
    read(q, address, data.data(), count * sizeof(T));
    return data;
  }
  void write(Queue &q, uint64_t to, const void *data, uint64_t bytes);
  void read(Queue &q, uint64_t from, void *data, uint64_t bytes);

  const Context &context;
  const ist_driver *driver;
  ist_driver_device *handle = nullptr;
  ist_description description = {};

private:
  ist_driver_module *module = nullptr, *tileModule = nullptr;
  Kernels loaded = {};
};

/// Arguments of kinds, 8 bytes each.
std::vector<ist_arg> argsOf(std::initializer_list<ist_arg_kind> kinds);
inline uint64_t groups(uint64_t n) { return (n + 255) / 256; }
/// Reproducible noise.
std::vector<uint32_t> noise(size_t n, uint32_t seed);
/// What `spin` makes of a word.
uint32_t spun(uint32_t word, uint64_t rounds);

struct Test {
  int level;
  const char *name;
  void (*run)(const Context &context);
};
/// Levels 1 to 3, which use the driver table alone.
const std::vector<Test> &memoryTests();
const std::vector<Test> &launchTests();
const std::vector<Test> &semaphoreTests();
const std::vector<Test> &extensionTests();
const std::vector<Test> &recordingTests();
/// Level 4, through libisthmus.
const std::vector<Test> &runtimeTests();
const std::vector<Test> &nativeTests();
const std::vector<Test> &asyncTests();

} // namespace isthmus::cts

#endif // ISTHMUS_RUNTIME_CTS_HARNESS_H
