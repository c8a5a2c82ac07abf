//===- devices.h - devices of both vendors -------------------------------===//
#ifndef ISTHMUS_DRIVERS_CUDA_HIP_DEVICES_H
#define ISTHMUS_DRIVERS_CUDA_HIP_DEVICES_H

#include "gpu.h"

#include <cstdio>

namespace isthmus::gpu {

template <typename V> struct Devices {
  using Self = Gpu<V>;
  using Symbols = typename V::Symbols;

  static ist_status symbols(const Symbols **out, ist_error *error) {
    const void *p = nullptr;
    ist_status s = stream::openLibrary(V::library, &p, error);
    *out = static_cast<const Symbols *>(p);
    return s;
  }

  /// As Device::failed, before there is a device.
  static ist_status failed(const Symbols &api, Code code, const char *what,
                           ist_error *error) {
    Explanation e;
    V::explain(api, code, &e);
    bool lost = false;
    char visible[256] = "";
    for (const char *variable : V::visibility)
      if (const char *value = std::getenv(variable))
        std::snprintf(visible + std::strlen(visible),
                      sizeof visible - std::strlen(visible), "; %s is '%.40s'",
                      variable, value);
    ist_status s = statusOf(code, &lost);
    return fail(error, s == IST_INTERNAL ? IST_UNAVAILABLE : s,
                "%s: %s: %s (%d): %s%s", V::name, what, e.name, code, e.text,
                visible);
  }

  static Code attribute(const Symbols &api, int device, Attribute a,
                        int64_t *out) {
    int value = 0, number = V::number(a);
    Code code = number < 0 ? 0 : api.DeviceGetAttribute(&value, number, device);
    *out = value;
    return code;
  }

  /// What is told of a device without opening it.
  static Code identify(const Symbols &api, uint32_t index, ist_identity *out) {
    char model[96] = "", arch[64] = "", pci[32] = "";
    unsigned char uuid[16];
    int device;
    size_t bytes = 0;
    Code code = V::deviceOf(api, static_cast<int>(index), &device);
    if (!code)
      code = api.DeviceGetName(model, sizeof model, device);
    if (!code)
      code = V::arch(api, device, arch, sizeof arch);
    if (!code)
      code = api.DeviceTotalMem(&bytes, device);
    if (code)
      return code;
    model[sizeof model - 1] = 0;
    std::snprintf(out->summary, sizeof out->summary, "%s %s (%s)", V::maker,
                  std::strncmp(model, V::maker, std::strlen(V::maker)) == 0
                      ? model + std::strlen(V::maker) + 1
                      : model,
                  arch);
    out->memory_bytes = bytes;
    out->id[0] = 0;
    if (api.DeviceGetUuid && !api.DeviceGetUuid(uuid, device)) {
      static const char digits[] = "0123456789abcdef";
      char *p = out->id;
      std::memcpy(p, "GPU-", 4);
      p += 4;
      for (int i = 0; i < 16; ++i) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
          *p++ = '-';
        *p++ = digits[uuid[i] >> 4];
        *p++ = digits[uuid[i] & 15];
      }
      *p = 0;
    }
    if (!api.DeviceGetPCIBusId(pci, sizeof pci, device)) {
      size_t used = std::strlen(out->id);
      std::snprintf(out->id + used, sizeof out->id - used, "%s%.15s",
                    used ? " " : "", pci);
    }
    return 0;
  }

  static int enumerate(ist_identity *identities, uint32_t capacity,
                       uint32_t *count, ist_error *error) {
    const Symbols *api;
    if (ist_status s = symbols(&api, error))
      return s;
    if (Code code = api->Init(0))
      return failed(*api, code, "starting", error);
    int n = 0;
    if (Code code = api->DeviceGetCount(&n))
      return failed(*api, code, "counting devices", error);
    if (n <= 0)
      return failed(*api, 100, "counting devices", error);
    for (uint32_t i = 0; i < static_cast<uint32_t>(n) && i < capacity; ++i)
      if (Code code = identify(*api, i, &identities[i]))
        return failed(*api, code, "asking for a device's name", error);
    *count = static_cast<uint32_t>(n);
    return IST_OK;
  }

  static int open(Device &d, uint32_t index, const ist_native *native,
                  ist_error *error) {
    uint32_t count = 0;
    if (int s = enumerate(nullptr, 0, &count, error))
      return s;
    if (index >= count)
      return fail(error, IST_NOT_FOUND, "driver %s has %u devices", V::name,
                  count);
    Self *gpu = make<Self>();
    if (!gpu)
      return outOfMemory(error, sizeof *gpu, "a device");
    int s = setUp(d, *gpu, index, native, error);
    if (s)
      destroy(gpu);
    return s;
  }

  static int setUp(Device &d, Self &gpu, uint32_t index,
                   const ist_native *native, ist_error *error) {
    if (ist_status s = symbols(&gpu.api, error))
      return s;
    const Symbols &api = *gpu.api;
    int64_t block = 0, grid = 0, subgroup = 0, processors = 0, shared = 0,
            readOnly = 0;
    char arch[64] = "";
    ist_identity identity = {};
    Code code = V::deviceOf(api, static_cast<int>(index), &gpu.device);
    if (!code)
      code = identify(api, index, &identity);
    if (!code)
      code = V::arch(api, gpu.device, arch, sizeof arch);
    if (!code)
      code = attribute(api, gpu.device, Attribute::maxBlock, &block);
    if (!code)
      code = attribute(api, gpu.device, Attribute::maxGrid, &grid);
    if (!code)
      code = attribute(api, gpu.device, Attribute::subgroup, &subgroup);
    if (!code)
      code =
          attribute(api, gpu.device, Attribute::multiprocessors, &processors);
    if (!code)
      code = attribute(api, gpu.device, Attribute::shared, &shared);
    if (code)
      return failed(api, code, "asking what a device is", error);
    if (attribute(api, gpu.device, Attribute::readOnlyImports, &readOnly))
      readOnly = 0; // an older library does not know the question
    gpu.maxBlock = static_cast<uint32_t>(block);
    gpu.sharedLimit = static_cast<uint32_t>(shared);
    gpu.multiprocessors = static_cast<uint32_t>(processors);
    gpu.readOnlyImports = readOnly != 0;
    d.vendor = &gpu;
    std::memcpy(d.summary, identity.summary, sizeof d.summary);
    d.description.max_grid = static_cast<uint64_t>(grid);
    d.description.max_alloc = identity.memory_bytes;
    char prefix[32];
    auto key = [&](const char *what) {
      std::snprintf(prefix, sizeof prefix, "%s.%s", V::vendor, what);
      return keep(d, prefix);
    };
    V::facts(gpu, arch, d);
    d.fact(key("subgroup"), "%lld", static_cast<long long>(subgroup));
    d.fact(key("multiprocessors"), "%lld", static_cast<long long>(processors));
    d.fact(key("workgroup_bytes"), "%lld", static_cast<long long>(shared));
    d.fact(key("memory_bytes"), "%llu",
           static_cast<unsigned long long>(identity.memory_bytes));
    d.fact(key("id"), "%s", identity.id);
    return V::takeContext(d, gpu, native, error);
  }

  /// A copy of `text` that lives as long as the device.
  static const char *keep(Device &d, const char *text) {
    size_t n = std::strlen(text) + 1;
    if (n > sizeof d.text - d.textUsed)
      return "";
    char *copy = d.text + d.textUsed;
    std::memcpy(copy, text, n);
    d.textUsed += n;
    return copy;
  }

  static void close(Device &d) {
    Self *gpu = &self<V>(d);
    V::dropContext(*gpu);
    destroy(gpu);
  }

  static void explain(Device &d, Code code, Explanation *e) {
    V::explain(api<V>(d), code, e);
    e->status = statusOf(code, &e->lost);
  }

  // The state is V's, but for its last byte: the capture mode.
  static Code enter(Device &d, bool commands, uint64_t *state) {
    Code code = V::enter(self<V>(d), state);
    if (code || commands || !api<V>(d).ExchangeCaptureMode)
      return code;
    // The caller's capture, on whatever stream, is no concern of ours.
    int mode = flags::captureRelaxed;
    api<V>(d).ExchangeCaptureMode(&mode);
    *state |= static_cast<uint64_t>(mode & 0xff) << 56;
    return 0;
  }
  static void leave(Device &d, bool commands, uint64_t state) {
    if (!commands && api<V>(d).ExchangeCaptureMode) {
      int mode = static_cast<int>(state >> 56);
      api<V>(d).ExchangeCaptureMode(&mode);
    }
    V::leave(self<V>(d), state & ((uint64_t(1) << 56) - 1));
  }
};

} // namespace isthmus::gpu

#endif // ISTHMUS_DRIVERS_CUDA_HIP_DEVICES_H
