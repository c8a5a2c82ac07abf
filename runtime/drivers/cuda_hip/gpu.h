//===- gpu.h - what the cuda and hip drivers have in common ---------------===//
#ifndef ISTHMUS_DRIVERS_CUDA_HIP_GPU_H
#define ISTHMUS_DRIVERS_CUDA_HIP_GPU_H

#include "library.h"
#include "stream.h"

namespace isthmus::gpu {

using stream::Code;
using stream::Command;
using stream::Device;
using stream::Explanation;
using stream::Guard;
using stream::Kernel;
using stream::kMaxArgs;

/// Host memory that we registered; imports within share it.
struct Registered {
  uint64_t base, bytes;
  uint32_t references;
};

/// The vendor's part of a device.
template <typename Vendor> struct Gpu {
  const typename Vendor::Symbols *api;
  int device;           // ordinal
  void *context;        // CUDA's
  bool contextIsOurs;   // retained
  bool readOnlyImports; // host memory that the device only reads
  uint32_t maxBlock;    // lanes of a workgroup
  uint32_t sharedLimit; // bytes of workgroup memory a kernel may have
  uint32_t multiprocessors;
  Array<Registered> registered;
};

template <typename V> Gpu<V> &self(Device &d) {
  return *static_cast<Gpu<V> *>(d.vendor);
}
template <typename V> const typename V::Symbols &api(Device &d) {
  return *self<V>(d).api;
}

/// Recordings need all of these.
template <typename Symbols> bool hasGraphs(const Symbols &api) {
  return api.GraphCreate && api.GraphDestroy && api.GraphAddKernelNode &&
         api.GraphAddMemcpyNode && api.GraphAddMemsetNode &&
         api.GraphInstantiate && api.GraphExecDestroy && api.GraphLaunch &&
         api.GraphExecKernelNodeSetParams && api.GraphExecMemcpyNodeSetParams &&
         api.GraphExecMemsetNodeSetParams;
}

/// Attributes of devices; each vendor numbers them its own way.
enum class Attribute {
  maxBlock,
  maxGrid,
  subgroup,
  multiprocessors,
  shared,
  readOnlyImports,
  pools
};

// Both vendors give these the same numbers.
namespace flags {
constexpr unsigned blockingSync = 1, disableTiming = 2; // events
constexpr unsigned nonBlocking = 1;                     // streams
constexpr unsigned portable = 1, mapped = 2;            // host memory
constexpr unsigned registerReadOnly = 8;
constexpr int captureRelaxed = 2;
constexpr int funcMaxThreads = 0, funcShared = 1, funcMaxDynamicShared = 8;
constexpr int pointerDevice = 9;
} // namespace flags

/// What a vendor's error number means for the caller: both vendors give the
/// same numbers where both have the error.
ist_status statusOf(Code code, bool *lost);

constexpr Code kNotReady = 600, kNotSupported = 801;

/// Fails unless all that the headers of an ELF file say lies within it:
/// vendors' loaders are given no size.
ist_status checkElf(const void *code, size_t size, ist_error *error);

} // namespace isthmus::gpu

#endif // ISTHMUS_DRIVERS_CUDA_HIP_GPU_H
