//===- machine.h - what an interpreter of GPU code is to the driver -------===//
#ifndef ISTHMUS_SIM_GPU_MACHINE_H
#define ISTHMUS_SIM_GPU_MACHINE_H

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace isthmus::simgpu {

/// Memory that a launch may touch. A device's address is the host's.
struct Range {
  uint64_t address, bytes;
  bool write; // false: only read
};

/// What went wrong in a kernel, first fault of its launch. `what` names the
/// fault in one line: "reads 4 bytes at buffer 2 + 4096, which has 4096 bytes".
struct Fault {
  std::string what;
  uint32_t group = 0, lane = 0; // lane: thread of the workgroup
};

/// The machine-independent cost of a launch; summed over its workgroups.
struct Counters {
  uint64_t instructions = 0; // of a wave or warp
  uint64_t arithmetic = 0, memory = 0, control = 0, matrix = 0, barriers = 0;
  uint64_t globalRead = 0, globalWritten = 0, sharedRead = 0,
           sharedWritten = 0; // bytes
  uint64_t bankConflicts = 0; // extra passes of shared memory accesses
  void add(const Counters &other);
};

struct Launch {
  uint32_t groups;        // workgroups, one dimension
  uint32_t threads;       // of a workgroup, one dimension
  uint32_t dynamicShared; // bytes
  const uint8_t *args;    // as the kernel's parameters lie
  uint32_t argsBytes;
  const Range *ranges; // in the order of the kernel's buffers
  size_t rangeCount;
  bool sanitize; // bounds are always checked; poison and races only then
};

class Kernel {
public:
  virtual ~Kernel() = default;
  virtual const std::string &name() const = 0;
  /// Runs one workgroup to its end. Called by several host threads at once, for
  /// different groups. False: `fault` says why; the launch ends.
  virtual bool run(const Launch &launch, uint32_t group, Counters &counters,
                   Fault &fault) const = 0;
};

class Module {
public:
  virtual ~Module() = default;
  virtual const Kernel *find(const std::string &name) const = 0;
};

/// malformed: it is no code. unsupported: it is, and not for this machine.
enum class LoadError { malformed, unsupported };

/// `chip` is "sm_80" or "gfx942"; `code` is PTX text or a code object (HSACO),
/// untrusted as a container. Null: `error` says what is wrong, naming the
/// instruction and the kernel when one is not known.
std::unique_ptr<Module> loadPtx(const std::string &chip, const void *code,
                                size_t bytes, LoadError &kind,
                                std::string &error);
std::unique_ptr<Module> loadCodeObject(const std::string &chip,
                                       const void *code, size_t bytes,
                                       LoadError &kind, std::string &error);

} // namespace isthmus::simgpu

#endif // ISTHMUS_SIM_GPU_MACHINE_H
