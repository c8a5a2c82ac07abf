//===- level_zero.h - the level_zero driver -------------------------------===//
//
// A queue is an immediate command list: in order where the driver has that,
// else with a barrier before each command. Recordings are not offered.
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DRIVERS_LEVEL_ZERO_LEVEL_ZERO_H
#define ISTHMUS_DRIVERS_LEVEL_ZERO_LEVEL_ZERO_H

#include "library.h"
#include "spirv.h"

namespace isthmus::ze {

using namespace stream;

struct Symbols {
#define IST_REQUIRED(result, name, symbol, parameters, since)                  \
  result(*name) parameters;
#define IST_OPTIONAL IST_REQUIRED
#include "ze_symbols.h"
};

// Layouts of ze_api.h; a test compares them. Each begins with its type's number
// and a chain of extensions.
struct Head {
  uint32_t type;
  const void *next = nullptr;
};
struct DeviceProperties {
  Head head = {0x3};
  uint32_t type, vendor, device, flags, subdevice, clock;
  uint64_t maxAlloc;
  uint32_t contexts, priority, threads, simd, units, subslices, slices;
  uint64_t timer;
  uint32_t timestampBits, kernelTimestampBits;
  uint8_t uuid[16];
  char name[256];
};
/// ZE_extension_device_ip_version; chained to DeviceProperties.
struct IpVersion {
  Head head = {0x1000f};
  uint32_t version;
};
/// ZE_extension_pci_properties.
struct PciProperties {
  Head head = {0x10008};
  uint32_t domain, bus, device, function;
  int32_t generation, width;
  int64_t bandwidth;
};
struct ComputeProperties {
  Head head = {0x4};
  uint32_t maxGroup, groupSize[3], groupCount[3], localBytes, subgroupCount,
      subgroups[8];
};
struct ModuleProperties {
  Head head = {0x5};
  uint32_t spirv, flags, fp16, fp32, fp64, maxArguments, printf;
  uint8_t native[16];
};
struct MemoryProperties {
  Head head = {0x7};
  uint32_t flags, clock, width;
  uint64_t bytes;
  char name[256];
};
struct ContextDesc {
  Head head = {0xd};
  uint32_t flags = 0;
};
struct QueueDesc {
  Head head = {0xe};
  uint32_t ordinal = 0, index = 0, flags = 0, mode = 2 /*asynchronous*/,
           priority = 0;
};
struct EventPoolDesc {
  Head head = {0x10};
  uint32_t flags = 1 /*host visible*/, count;
};
struct EventDesc {
  Head head = {0x11};
  uint32_t index, signal = 4 /*host*/, wait = 4;
};
struct DeviceAllocDesc {
  Head head = {0x15};
  uint32_t flags = 0, ordinal = 0;
};
struct HostAllocDesc {
  Head head = {0x16};
  uint32_t flags = 0;
};
struct AllocProperties {
  Head head = {0x17};
  uint32_t type;
  uint64_t id, page;
};
struct ModuleDesc {
  Head head = {0x1b};
  uint32_t format = 0 /*SPIR-V*/;
  size_t size;
  const uint8_t *code;
  const char *flags = nullptr;
  const void *constants = nullptr;
};
struct KernelDesc {
  Head head = {0x1d};
  uint32_t flags = 0;
  const char *name;
};
struct KernelProperties {
  Head head = {0x1e};
  uint32_t args, group[3], subgroups, subgroup, maxSubgroup, maxSubgroups,
      localBytes, privateBytes, spillBytes;
  uint8_t uuid[32];
};
struct GroupCount {
  uint32_t x, y, z;
};

constexpr Code kNotReady = 1, kLost = 0x70000001, kOutOfMemory = 0x70000003,
               kBuildFailure = 0x70000004, kUnsupportedSize = 0x78000009,
               kUnsupported = 0x78000003, kNoKernel = 0x78000011;
constexpr uint32_t kInOrder = 2;            // of QueueDesc::flags
constexpr uint32_t kInOrderSince = 0x10009; // API version 1.9 surely has it

/// Events come in pools of so many; a slot that nobody needs is kept.
constexpr uint32_t kPoolEvents = 64;
struct EventPool {
  void *handle;
  uint32_t used;
  EventPool *next;
};
struct EventSlot {
  void *handle;
  EventSlot *next; // in the list of free ones
};

/// The vendor's part of a device.
struct LevelZero {
  const Symbols *api;
  void *driver, *device, *context;
  bool contextIsOurs, inOrder;
  stream::Usage memory;
  uint32_t maxGroup, localBytes;
  uint64_t tick, timeMask; // of timestamps: nanoseconds, and valid bits
  // Guarded by the device's lock.
  EventPool *pools;
  EventSlot *slots;
};

inline LevelZero &self(Device &d) {
  return *static_cast<LevelZero *>(d.vendor);
}
inline const Symbols &api(Device &d) { return *self(d).api; }

// level_zero.cpp
int enumerate(ist_identity *, uint32_t capacity, uint32_t *count, ist_error *);
int open(Device &, uint32_t index, const ist_native *, ist_error *);
void close(Device &);
void explain(Device &, Code, Explanation *);

} // namespace isthmus::ze

#endif // ISTHMUS_DRIVERS_LEVEL_ZERO_LEVEL_ZERO_H
