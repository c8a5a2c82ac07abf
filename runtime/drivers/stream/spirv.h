//===- spirv.h - what is told of SPIR-V devices and modules ---------------===//
#ifndef ISTHMUS_DRIVERS_STREAM_SPIRV_H
#define ISTHMUS_DRIVERS_STREAM_SPIRV_H

#include "stream.h"

namespace isthmus::stream {

/// Bytes of a device's memory, and those that the driver took: what others use
/// neither API tells.
struct Usage {
  uint64_t total, used; // used is atomic
  void take(uint64_t bytes) {
    __atomic_add_fetch(&used, bytes, __ATOMIC_RELAXED);
  }
  void give(uint64_t bytes) {
    __atomic_sub_fetch(&used, bytes, __ATOMIC_RELAXED);
  }
  uint64_t available() const {
    uint64_t now = __atomic_load_n(&used, __ATOMIC_RELAXED);
    return now < total ? total - now : 0;
  }
};

/// Fails unless `code` is SPIR-V, a whole sequence of instructions that ends
/// with a function: compilers trust that.
ist_status checkSpirv(const Device &d, const ist_module_options &options,
                      const void *code, size_t size, ist_error *error);

/// "intel.features": what a variant may ask for. `ip` is the device's version
/// as Intel packs it; 0: not known.
void spirvFacts(Device &d, uint32_t ip, bool float16, bool float64,
                uint32_t groupLanes, uint64_t groupBytes);

/// A kernel whose arguments are its state: setting them and launching must not
/// mix between threads.
struct SharedKernel {
  void *kernel = nullptr;
  pthread_mutex_t lock;
  SharedKernel() { ::pthread_mutex_init(&lock, nullptr); }
  ~SharedKernel() { ::pthread_mutex_destroy(&lock); }
};

/// What a kernel's code has and asks for.
struct SpirvKernel {
  uint32_t args, maxLanes; // maxLanes: that this device gives it
  uint64_t localBytes;
};
/// Fails unless the description is right and the device has `localBytes`.
ist_status checkSpirvKernel(const Device &d, const ist_kernel_desc &desc,
                            const SpirvKernel &kernel, uint64_t localBytes,
                            ist_error *error);

/// kernelGet: `make` fills the vendor's kernel, `check` looks at it.
template <typename Make, typename Check, typename Release>
int makeSharedKernel(Device &d, const ist_kernel_desc &desc, Kernel &kernel,
                     ist_error *error, Make make_, Check check,
                     Release release) {
  SharedKernel *k = make<SharedKernel>();
  if (!k)
    return outOfMemory(error, sizeof *k, "a kernel");
  Code code = make_(&k->kernel);
  int s = code ? d.failed(code, error, "kernel '%.100s'", desc.name)
               : check(k->kernel);
  if (s) {
    if (!code)
      release(k->kernel);
    destroy(k);
    return s;
  }
  kernel.handle = k;
  return IST_OK;
}
template <typename Release>
void endSharedKernel(Kernel &kernel, Release release) {
  auto *k = static_cast<SharedKernel *>(kernel.handle);
  release(k->kernel);
  destroy(k);
}

/// Calls `set` with the index, size and bytes of each argument until one fails.
template <typename Set> Code setSpirvArguments(const Command &c, Set set) {
  uint32_t i = 0;
  for (const ist_arg &a : c.kernel->args) {
    const void *at = static_cast<const char *>(c.args) + a.offset;
    uint64_t address = 0;
    if (a.kind == IST_ARG_ADDRESS) {
      std::memcpy(&address, at, sizeof address);
      if (address < 4096) // of a tensor without elements
        address = 0;
      at = &address;
    }
    if (Code code = set(i++, a, at))
      return code;
  }
  return 0;
}

} // namespace isthmus::stream

#endif // ISTHMUS_DRIVERS_STREAM_SPIRV_H
