//===- engine.h - memory, streams and events of the fakes -----------------===//
#ifndef ISTHMUS_TEST_FAKES_ENGINE_H
#define ISTHMUS_TEST_FAKES_ENGINE_H

#include "fake.h"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace isthmus::fake {

struct Memory {
  uint64_t bytes;
  const char *kind; // "device memory", "host memory", "registration"
  int device;
  bool ready = true; // of a pool: once its stream got there
};

struct Event {
  uint64_t recorded = 0, reached = 0; // how many times
  uint64_t when = 0;                  // the last
  bool keepsTime = false;
  bool done() const { return recorded == reached; }
};

struct Stream;

/// One command. Runs when it is first in its stream and `ready`.
struct Work {
  std::function<bool()> ready; // empty: always
  std::function<bool()> run;   // false: the device faults
};

struct Stream {
  int device = 0;
  bool ours = false; // made by makeStream
  std::deque<Work> work;
  bool capturing = false, broken = false;
  std::deque<Work> captured; // may be run again and again
};

struct Module {
  std::string code;
  void *library = nullptr; // the code as a host's ELF
  void *find(const char *name);
  ~Module();
};

struct Kernel {
  Module *module;
  std::string name;
};

/// Arguments as they were when the kernel was launched.
struct Launch {
  Kernel *kernel;
  uint64_t grid;
  uint32_t block;
  std::vector<uint64_t> args;
  uint32_t shared = 0; // bytes, of the launch
};

class Engine {
public:
  static Engine &get();

  static bool isRelease(const char *symbol);
  /// Counts a call. Not 0: it shall fail with that.
  int enter(const char *symbol);
  void misused(const std::string &what);

  // Objects of any kind, by address; using one that is gone is misuse.
  template <typename T> T *make(const char *kind) {
    auto p = std::make_shared<T>();
    objects[p.get()] = {kind, p};
    return p.get();
  }
  template <typename T> T *use(void *p, const char *kind) {
    auto it = objects.find(p);
    if (it != objects.end() && it->second.kind == std::string(kind))
      return static_cast<T *>(p);
    misused(std::string("not a ") + kind);
    return nullptr;
  }
  void drop(void *p) { objects.erase(p); }

  /// Filled with a pattern, for contents are undefined. 0: no memory left.
  uint64_t allocate(uint64_t bytes, const char *kind, int device);
  /// In a stream's order; likewise given back.
  uint64_t allocate(Stream *s, uint64_t bytes);
  bool release(Stream *s, uint64_t address);
  bool release(uint64_t address, const char *kind);
  /// The allocation that holds [address, address + bytes), or null.
  const Memory *holds(uint64_t address, uint64_t bytes, uint64_t *base);

  void push(Stream *s, Work work);
  Work copy(uint64_t to, uint64_t from, uint64_t bytes);
  Work fill(uint64_t to, uint8_t value, uint64_t bytes);
  Work launch(Launch l);
  void record(Stream *s, Event *e);
  void wait(Stream *s, Event *e);

  /// Runs one command of some stream; false: none may run.
  bool step();
  /// Runs commands until `done`; a program that waits for ever is ended.
  void until(const std::function<bool()> &done, const char *symbol);

  std::recursive_mutex mutex;
  int fault = 0; // sticky
  int memoryLimit = 0;
  std::map<uint64_t, Memory> memory;
  std::map<std::string, int> calls;
  int total = 0, failIn = 0, failCode = 0, faultCode = 0;
  std::string misuse, text;
  uint32_t random = 1;
  Exec exec = nullptr;
  void *execUser = nullptr;
  uint64_t used = 0;
  uint64_t time = 0; // nanoseconds: a command takes one microsecond
  static constexpr uint64_t kTotal = uint64_t(1) << 30;

  struct Object {
    std::string kind;
    std::shared_ptr<void> p;
  };
  std::map<void *, Object> objects;
  std::set<Stream *> streams;

private:
  uint32_t next() { return random = random * 1664525 + 1013904223; }
};

/// An Exec: a simulated GPU executes the code as the vendor's driver was given
/// it. `chip`, a string, is which; null when ISTHMUS_FAKE_EXECUTE names no
/// plug-in that can.
Exec simulate();

/// What every fake gives for control, but for captures.
Control baseControl();

} // namespace isthmus::fake

#endif // ISTHMUS_TEST_FAKES_ENGINE_H
