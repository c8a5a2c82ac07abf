//===- level_zero.cpp - the level_zero driver: devices --------------------===//
#include "level_zero.h"

#include <cstdio>

using namespace isthmus;
using namespace isthmus::stream;
using namespace isthmus::ze;

static const Symbol symbols[] = {
#define IST_REQUIRED(result, name, symbol, parameters, since)                  \
  {#symbol, true, "Level Zero " since, offsetof(Symbols, name)},
#define IST_OPTIONAL(result, name, symbol, parameters, since)                  \
  {#symbol, false, "Level Zero " since, offsetof(Symbols, name)},
#include "ze_symbols.h"
};
static const char *const names[] = {"libze_loader.so.1", nullptr};
static const LibraryDesc library = {
    "level_zero",
    "ISTHMUS_LEVEL_ZERO_LIBRARY",
    names,
    "install the Level Zero loader (libze1) and Intel's GPU driver",
    symbols,
    sizeof symbols / sizeof *symbols,
    sizeof(Symbols)};

namespace {

ist_status start(const Symbols **out, ist_error *error) {
  const void *p;
  if (ist_status s = openLibrary(library, &p, error))
    return s;
  *out = static_cast<const Symbols *>(p);
  // 0: GPUs and all else; an NPU is passed over below.
  if (Code code = (*out)->Init(0))
    return fail(error, IST_UNAVAILABLE,
                "level_zero: zeInit gives 0x%x: there is no driver, or "
                "ZE_AFFINITY_MASK hides all devices",
                static_cast<unsigned>(code));
  return IST_OK;
}

/// Calls `visit` for each GPU; ends when that gives false.
template <typename Visit>
ist_status visitDevices(const Symbols &ze, ist_error *error, Visit visit) {
  constexpr uint32_t gpu = 1;
  void *drivers[16], *devices[64];
  uint32_t driverCount = 16, index = 0;
  if (Code code = ze.DriverGet(&driverCount, drivers))
    return fail(error, IST_UNAVAILABLE, "level_zero: zeDriverGet gives 0x%x",
                static_cast<unsigned>(code));
  for (uint32_t i = 0; i < driverCount && i < 16; ++i) {
    uint32_t deviceCount = 64;
    if (ze.DeviceGet(drivers[i], &deviceCount, devices))
      continue;
    for (uint32_t j = 0; j < deviceCount && j < 64; ++j) {
      DeviceProperties p = {};
      if (!ze.DeviceGetProperties(devices[j], &p) && p.type == gpu &&
          !visit(index++, drivers[i], devices[j], p))
        return IST_OK;
    }
  }
  return IST_OK;
}

uint64_t memoryOf(const Symbols &ze, void *device) {
  MemoryProperties p[8] = {};
  uint32_t count = 8;
  uint64_t bytes = 0;
  if (!ze.DeviceGetMemoryProperties(device, &count, p))
    for (uint32_t i = 0; i < count && i < 8; ++i)
      bytes += p[i].bytes;
  return bytes;
}

void identify(const Symbols &ze, void *device, const DeviceProperties &p,
              ist_identity *out) {
  std::snprintf(out->summary, sizeof out->summary, "%.100s", p.name);
  out->memory_bytes = memoryOf(ze, device);
  char *at = out->id;
  for (uint8_t byte : p.uuid)
    at += std::snprintf(at, 3, "%02x", byte);
  PciProperties pci = {};
  if (ze.DevicePciGetProperties && !ze.DevicePciGetProperties(device, &pci))
    std::snprintf(at, sizeof out->id - 32, " %04x:%02x:%02x.%x", pci.domain,
                  pci.bus, pci.device, pci.function);
}

ist_status takeContext(Device &d, LevelZero &self, const ist_native *native,
                       ist_error *error) {
  if (native) {
    self.context = native->handle;
    return IST_OK;
  }
  ContextDesc desc;
  Code code = self.api->ContextCreate(self.driver, &desc, &self.context);
  self.contextIsOurs = true;
  return code ? d.failed(code, error, "making a context") : IST_OK;
}

int setUp(Device &d, LevelZero &self, uint32_t index, const ist_native *native,
          ist_error *error) {
  if (ist_status s = start(&self.api, error))
    return s;
  const Symbols &ze = *self.api;
  ist_identity identity = {};
  uint64_t maxAlloc = 0;
  ist_status s = visitDevices(
      ze, error,
      [&](uint32_t i, void *driver, void *device, const DeviceProperties &p) {
        if (i != index)
          return true;
        self.driver = driver;
        self.device = device;
        maxAlloc = p.maxAlloc;
        identify(ze, device, p, &identity);
        return false;
      });
  if (s)
    return s;
  if (!self.device)
    return fail(error, IST_NOT_FOUND, "there is no device level_zero:%u",
                index);
  d.vendor = &self;
  std::memcpy(d.summary, identity.summary, sizeof d.summary);
  self.memory.total = identity.memory_bytes;
  ComputeProperties compute = {};
  ModuleProperties module = {};
  DeviceProperties properties = {};
  IpVersion ip = {};
  uint32_t version = 0;
  Code code = ze.DriverGetApiVersion(self.driver, &version);
  if (!code)
    code = ze.DeviceGetComputeProperties(self.device, &compute);
  if (!code)
    code = ze.DeviceGetModuleProperties(self.device, &module);
  if (code)
    return d.failed(code, error, "asking what the device is");
  properties.head.next = &ip;
  if (ze.DeviceGetProperties(self.device, &properties))
    ip.version = 0; // a driver that does not know the extension
  self.inOrder = version >= kInOrderSince;
  self.tick = properties.timer;
  self.timeMask = properties.timestampBits && properties.timestampBits < 64
                      ? (uint64_t(1) << properties.timestampBits) - 1
                      : UINT64_MAX;
  self.maxGroup = compute.maxGroup;
  self.localBytes = compute.localBytes;
  d.description.max_alloc = maxAlloc;
  d.description.max_grid = compute.groupCount[0];
  constexpr uint32_t fp16 = 1, fp64 = 2;
  spirvFacts(d, ip.version, module.flags & fp16, module.flags & fp64,
             compute.maxGroup, compute.localBytes);
  d.fact("intel.api", "%u.%u", version >> 16, version & 0xffff);
  d.fact("intel.id", "%s", identity.id);
  return takeContext(d, self, native, error);
}

} // namespace

int ze::enumerate(ist_identity *identities, uint32_t capacity, uint32_t *count,
                  ist_error *error) {
  const Symbols *ze;
  if (ist_status s = start(&ze, error))
    return s;
  uint32_t n = 0;
  ist_status s = visitDevices(
      *ze, error,
      [&](uint32_t i, void *, void *device, const DeviceProperties &p) {
        if (i < capacity)
          identify(*ze, device, p, &identities[i]);
        n = i + 1;
        return true;
      });
  if (!s && n == 0) {
    const char *mask = std::getenv("ZE_AFFINITY_MASK");
    s = fail(error, IST_UNAVAILABLE, "level_zero: no driver has a GPU%s%.40s",
             mask ? "; ZE_AFFINITY_MASK is " : "", mask ? mask : "");
  }
  if (!s)
    *count = n;
  return s;
}

int ze::open(Device &d, uint32_t index, const ist_native *native,
             ist_error *error) {
  LevelZero *z = make<LevelZero>();
  if (!z)
    return outOfMemory(error, sizeof *z, "a device");
  *z = {};
  int s = setUp(d, *z, index, native, error);
  d.peers = d.timestamps = true;
  if (s)
    destroy(z);
  return s;
}

void ze::close(Device &d) {
  LevelZero *z = &self(d);
  while (EventSlot *slot = z->slots) {
    z->slots = slot->next;
    z->api->EventDestroy(slot->handle);
    destroy(slot);
  }
  while (EventPool *pool = z->pools) {
    z->pools = pool->next;
    z->api->EventPoolDestroy(pool->handle);
    destroy(pool);
  }
  if (z->contextIsOurs)
    z->api->ContextDestroy(z->context);
  destroy(z);
}

void ze::explain(Device &, Code code, Explanation *e) {
  static const struct {
    unsigned code;
    const char *name, *text;
    ist_status status;
  } rows[] = {{0x70000001, "ZE_RESULT_ERROR_DEVICE_LOST",
               "the device hung, was reset or was removed", IST_DEVICE_LOST},
              {0x70000002, "ZE_RESULT_ERROR_OUT_OF_HOST_MEMORY",
               "no host memory left", IST_RESOURCE_EXHAUSTED},
              {0x70000003, "ZE_RESULT_ERROR_OUT_OF_DEVICE_MEMORY",
               "no device memory left", IST_RESOURCE_EXHAUSTED},
              {0x70000004, "ZE_RESULT_ERROR_MODULE_BUILD_FAILURE",
               "the compiler refuses the code", IST_UNAVAILABLE},
              {0x70000006, "ZE_RESULT_ERROR_DEVICE_REQUIRES_RESET",
               "the device must be reset", IST_DEVICE_LOST},
              {0x70010000, "ZE_RESULT_ERROR_INSUFFICIENT_PERMISSIONS",
               "this user may not use the device", IST_UNAVAILABLE},
              {0x70020000, "ZE_RESULT_ERROR_DEPENDENCY_UNAVAILABLE",
               "a library that the driver needs is missing", IST_UNAVAILABLE},
              {0x78000003, "ZE_RESULT_ERROR_UNSUPPORTED_FEATURE",
               "the device has no such feature", IST_UNAVAILABLE},
              {0x78000004, "ZE_RESULT_ERROR_INVALID_ARGUMENT",
               "an argument is wrong", IST_INVALID_ARGUMENT},
              {0x78000009, "ZE_RESULT_ERROR_UNSUPPORTED_SIZE",
               "more than one allocation may have", IST_RESOURCE_EXHAUSTED},
              {0x7800000f, "ZE_RESULT_ERROR_INVALID_NATIVE_BINARY",
               "the code is malformed", IST_DATA_LOSS},
              {0x78000011, "ZE_RESULT_ERROR_INVALID_KERNEL_NAME",
               "the code has no such kernel; compile the model again",
               IST_DATA_LOSS},
              {0x78000016, "ZE_RESULT_ERROR_INVALID_KERNEL_ARGUMENT_SIZE",
               "an argument has another size", IST_DATA_LOSS}};
  e->name = "Level Zero error";
  for (const auto &r : rows)
    if (r.code == static_cast<unsigned>(code))
      *e = {r.name, r.text, r.status, r.status == IST_DEVICE_LOST};
}
