//===- memory.h - memory of both vendors ---------------------------------===//
#ifndef ISTHMUS_DRIVERS_CUDA_HIP_MEMORY_H
#define ISTHMUS_DRIVERS_CUDA_HIP_MEMORY_H

#include "gpu.h"

namespace isthmus::gpu {

template <typename V> struct Memory {
  using Self = Gpu<V>;
  using Symbols = typename V::Symbols;

  static Code memInfo(Device &d, uint64_t *available, uint64_t *total) {
    size_t a = 0, t = 0;
    Code code = api<V>(d).MemGetInfo(&a, &t);
    *available = a;
    *total = t;
    return code;
  }

  // What an allocation's handle says of how it ends.
  enum class Kind : uintptr_t { borrowed, device, host, registered };

  static Code alloc(Device &d, ist_memory_kind kind, uint64_t bytes,
                    ist_driver_memory *out) {
    const Symbols &a = api<V>(d);
    if (kind == IST_MEMORY_KIND_DEVICE) {
      out->handle = handle(Kind::device);
      return a.MemAlloc(&out->address, bytes);
    }
    if (Code code =
            a.HostAlloc(&out->host, bytes, flags::portable | flags::mapped))
      return code;
    out->handle = handle(Kind::host);
    Code code = a.HostGetDevicePointer(&out->address, out->host, 0);
    if (code)
      a.HostFree(out->host);
    return code;
  }
  static void *handle(Kind kind) { return reinterpret_cast<void *>(kind); }

  static void free(Device &d, ist_driver_memory *memory) {
    switch (static_cast<Kind>(reinterpret_cast<uintptr_t>(memory->handle))) {
    case Kind::borrowed:
      break;
    case Kind::device:
      api<V>(d).MemFree(memory->address);
      break;
    case Kind::host:
      api<V>(d).HostFree(memory->host);
      break;
    case Kind::registered: {
      Guard guard(d);
      Registered *r = find(self<V>(d), reinterpret_cast<uint64_t>(memory->host),
                           memory->bytes);
      if (!r || --r->references)
        break;
      api<V>(d).HostUnregister(reinterpret_cast<void *>(r->base));
      *r = self<V>(d).registered.back();
      self<V>(d).registered.pop();
    }
    }
  }

  static Registered *find(Self &gpu, uint64_t base, uint64_t bytes) {
    for (Registered &r : gpu.registered)
      if (base >= r.base && base - r.base <= r.bytes &&
          bytes <= r.bytes - (base - r.base))
        return &r;
    return nullptr;
  }

  static int import(Device &d, const ist_import &in, ist_driver_memory *out,
                    ist_error *error) {
    if (in.kind == IST_IMPORT_HOST)
      return importHost(d, in, out, error);
    if (in.kind != IST_IMPORT_ADDRESS)
      return fail(error, IST_UNIMPLEMENTED, "unknown kind of import %d",
                  static_cast<int>(in.kind));
    int owner = -1;
    uint64_t base = 0;
    size_t size = 0;
    Code code =
        api<V>(d).PointerGetAttribute(&owner, flags::pointerDevice, in.memory);
    if (!code)
      code = api<V>(d).MemGetAddressRange(&base, &size, in.memory);
    if (code)
      return fail(error, IST_INVALID_ARGUMENT,
                  "0x%llx is not memory of %s:%u (%s says %d)",
                  static_cast<unsigned long long>(in.memory), d.driver, d.index,
                  V::maker, code);
    if (owner != self<V>(d).device)
      return fail(error, IST_INVALID_ARGUMENT,
                  "0x%llx is memory of %s:%d, not of %s:%u",
                  static_cast<unsigned long long>(in.memory), d.driver, owner,
                  d.driver, d.index);
    uint64_t skipped = in.memory - base;
    if (skipped > size || in.bytes > size - skipped)
      return fail(error, IST_INVALID_ARGUMENT,
                  "%llu bytes at 0x%llx go beyond their allocation of %zu",
                  static_cast<unsigned long long>(in.bytes),
                  static_cast<unsigned long long>(in.memory), size);
    out->address = in.memory;
    out->handle = handle(Kind::borrowed);
    return IST_OK;
  }

  static int importHost(Device &d, const ist_import &in, ist_driver_memory *out,
                        ist_error *error) {
    Self &gpu = self<V>(d);
    Guard guard(d);
    void *host = reinterpret_cast<void *>(in.memory);
    Registered *r = find(gpu, in.memory, in.bytes);
    Code code = 0;
    bool registered = false;
    if (!r) {
      unsigned wanted = flags::portable | flags::mapped;
      if (in.read_only && gpu.readOnlyImports)
        wanted |= flags::registerReadOnly;
      if (!gpu.registered.push({in.memory, in.bytes, 0}))
        return outOfMemory(error, sizeof *r, "an import");
      r = &gpu.registered.back();
      code = gpu.api->HostRegister(host, in.bytes, wanted);
      registered = !code;
      if (code)
        gpu.registered.pop();
    }
    if (code == kAlreadyRegistered && byCaller(gpu, host, in.bytes, out))
      return IST_OK;
    if (!code)
      code = gpu.api->HostGetDevicePointer(&out->address, host, 0);
    if (code && registered) {
      gpu.api->HostUnregister(host);
      gpu.registered.pop();
    }
    if (code) {
      // Not every page can be: the core copies then.
      ist_status s = d.failed(code, error, "importing %llu bytes of the host",
                              static_cast<unsigned long long>(in.bytes));
      if (s != IST_DEVICE_LOST)
        error->code = s = IST_UNAVAILABLE;
      return s;
    }
    ++r->references;
    out->host = host;
    out->handle = handle(Kind::registered);
    return IST_OK;
  }

  static constexpr Code kAlreadyRegistered = 712;

  /// Memory that the caller registered whole is used as it is.
  static bool byCaller(Self &gpu, void *host, uint64_t bytes,
                       ist_driver_memory *out) {
    uint64_t address = 0, base = 0;
    size_t size = 0;
    if (gpu.api->HostGetDevicePointer(&address, host, 0) ||
        gpu.api->MemGetAddressRange(&base, &size, address) ||
        address - base > size || bytes > size - (address - base))
      return false;
    out->address = address;
    out->host = host;
    out->handle = handle(Kind::borrowed);
    return true;
  }
};

} // namespace isthmus::gpu

#endif // ISTHMUS_DRIVERS_CUDA_HIP_MEMORY_H
