//===- gpu_memory.cpp - devices and memory of the fakes ------------------===//
#include "gpu.h"

using namespace isthmus::fake;
using namespace isthmus::gpu;

extern "C" {

int fake_Init(unsigned flags) {
  ENTER(Init, plain);
  return flags ? kInvalidValue : deviceCount() ? 0 : kNoDevice;
}
int fake_DriverGetVersion(int *version) {
  ENTER(DriverGetVersion, plain);
  *version = 12040;
  return 0;
}
int fake_DeviceGetCount(int *count) {
  ENTER(DeviceGetCount, plain);
  *count = deviceCount();
  return 0;
}
int fake_DeviceGetName(char *name, int size, int device) {
  ENTER(DeviceGetName, plain);
  if (device < 0 || device >= deviceCount())
    return kInvalidDevice;
  std::snprintf(name, static_cast<size_t>(size), "Fake %d", device);
  return 0;
}
int fake_DeviceTotalMem(size_t *bytes, int) {
  ENTER(DeviceTotalMem, plain);
  *bytes = Engine::kTotal;
  return 0;
}
int fake_DeviceGetUuid(void *uuid, int device) {
  ENTER(DeviceGetUuid, plain);
  std::memset(uuid, 0x10 + device, 16);
  return 0;
}
int fake_DeviceGetPCIBusId(char *id, int size, int device) {
  ENTER(DeviceGetPCIBusId, plain);
  std::snprintf(id, static_cast<size_t>(size), "0000:0%d:00.0", device);
  return 0;
}
int fake_MemGetInfo(size_t *available, size_t *total) {
  ENTER(MemGetInfo, device);
  *available = Engine::kTotal - engine().used;
  *total = Engine::kTotal;
  return 0;
}
int fake_MemAlloc(uint64_t *address, size_t bytes) {
  ENTER(MemAlloc, device | unsafe);
  uint64_t p = engine().allocate(bytes, "device memory", currentDevice());
  if (p)
    *address = p;
  return bytes == 0 ? kInvalidValue : p ? 0 : kOutOfMemory;
}
int fake_MemFree(uint64_t address) {
  ENTER(MemFree, unsafe);
  uint64_t base;
  const Memory *m = engine().holds(address, 1, &base);
  bool pooled = m && m->kind == std::string("pool memory");
  return engine().release(address, pooled ? "pool memory" : "device memory")
             ? 0
             : kInvalidValue;
}
int fake_HostAlloc(void **p, size_t bytes, unsigned flags) {
  ENTER(HostAlloc, device | unsafe);
  if (flags != 3)
    engine().misused("host memory is not portable and mapped");
  *p = reinterpret_cast<void *>(
      engine().allocate(bytes, "host memory", currentDevice()));
  return *p ? 0 : kOutOfMemory;
}
int fake_HostFree(void *p) {
  ENTER(HostFree, unsafe);
  return engine().release(reinterpret_cast<uint64_t>(p), "host memory")
             ? 0
             : kInvalidValue;
}
int fake_HostRegister(void *p, size_t bytes, unsigned flags) {
  ENTER(HostRegister, device | unsafe);
  uint64_t address = reinterpret_cast<uint64_t>(p), base;
  if ((flags & ~8u) != 3 || bytes == 0)
    return kInvalidValue;
  if (engine().holds(address, 1, &base) ||
      engine().holds(address + bytes - 1, 1, &base))
    return kRegistered;
  engine().memory[address] = {bytes, "registration", currentDevice()};
  return 0;
}
int fake_HostUnregister(void *p) {
  ENTER(HostUnregister, unsafe);
  return engine().release(reinterpret_cast<uint64_t>(p), "registration")
             ? 0
             : kNotRegistered;
}
int fake_HostGetDevicePointer(uint64_t *address, void *p, unsigned) {
  ENTER(HostGetDevicePointer, device);
  uint64_t base;
  *address = reinterpret_cast<uint64_t>(p);
  return engine().holds(*address, 1, &base) ? 0 : kInvalidValue;
}
int fake_MemGetAddressRange(uint64_t *base, size_t *bytes, uint64_t p) {
  ENTER(MemGetAddressRange, device);
  const Memory *m = engine().holds(p, 1, base);
  if (m)
    *bytes = m->bytes;
  return m ? 0 : kNotFound;
}
int fake_PointerGetAttribute(void *out, int attribute, uint64_t p) {
  ENTER(PointerGetAttribute, device);
  uint64_t base;
  const Memory *m = engine().holds(p, 1, &base);
  if (!m || attribute != 9)
    return kInvalidValue;
  *static_cast<int *>(out) = m->device;
  return 0;
}

int fake_MemAllocAsync(uint64_t *address, size_t bytes, void *stream) {
  ENTER(MemAllocAsync, device | unsafe);
  Stream *s = streamOf(stream);
  if (!s || !bytes)
    return kInvalidValue;
  if (s->capturing) {
    s->broken = true;
    engine().misused("memory is allocated in a capture");
  }
  uint64_t p = engine().allocate(s, bytes);
  if (p)
    *address = p;
  return p ? 0 : kOutOfMemory;
}
int fake_MemFreeAsync(uint64_t address, void *stream) {
  ENTER(MemFreeAsync, device | unsafe);
  Stream *s = streamOf(stream);
  return s && engine().release(s, address) ? 0 : kInvalidValue;
}
}
