//===- cuda.h - CUDA's names and ways -------------------------------------===//
#ifndef ISTHMUS_DRIVERS_CUDA_HIP_CUDA_H
#define ISTHMUS_DRIVERS_CUDA_HIP_CUDA_H

#include "gpu.h"

namespace isthmus::gpu {

struct CudaSymbols {
#define IST_REQUIRED(result, name, symbol, parameters, since)                  \
  result(*name) parameters;
#define IST_OPTIONAL IST_REQUIRED
#include "cuda_symbols.h"
};

/// Layouts of cuda.h that we pass by pointer; a test compares them.
struct CudaKernelNode {
  void *function;
  unsigned grid[3], block[3], sharedBytes;
  void **arguments, **extra;
  void *kernel, *context;
};
struct CudaMemsetNode {
  uint64_t to;
  size_t pitch;
  unsigned value, elementSize;
  size_t width, height;
};
struct CudaCopySide {
  size_t x, y, z, lod;
  int type;
  void *host;
  uint64_t device;
  void *array, *reserved;
  size_t pitch, height;
};
struct CudaCopyNode {
  CudaCopySide from, to;
  size_t width, height, depth;
};
struct CudaLaunchAttribute {
  int id, pad;
  union {
    char bytes[64];
    unsigned cluster[3];
  };
};
struct CudaLaunchConfig {
  unsigned grid[3], block[3], sharedBytes;
  void *stream;
  CudaLaunchAttribute *attributes;
  unsigned attributeCount;
};

struct Cuda {
  using Symbols = CudaSymbols;
  using Self = Gpu<Cuda>;
  static constexpr const char *name = "cuda", *vendor = "nvidia",
                              *formats = "ptx,cubin", *maker = "NVIDIA",
                              *contextKind = "cuda.context",
                              *streamKind = "cuda.stream";
  /// The library's own; told when there is no device.
  static constexpr const char *visibility[] = {"CUDA_VISIBLE_DEVICES"};
  static const stream::LibraryDesc library;
  static const stream::Ops ops;

  static void explain(const Symbols &api, Code code, Explanation *e) {
    api.GetErrorName(code, &e->name);
    api.GetErrorString(code, &e->text);
    if (!e->name)
      e->name = "unknown error";
    if (!e->text)
      e->text = "";
  }
  static int number(Attribute a) {
    switch (a) {
    case Attribute::maxBlock:
      return 1;
    case Attribute::maxGrid:
      return 5;
    case Attribute::subgroup:
      return 10;
    case Attribute::multiprocessors:
      return 16;
    case Attribute::shared:
      return 97; // what kernels can opt in to
    case Attribute::readOnlyImports:
      return 113;
    case Attribute::pools:
      return 115;
    }
    return -1;
  }
  static Code deviceOf(const Symbols &api, int index, int *device) {
    return api.DeviceGet(device, index);
  }
  /// "sm_90"
  static Code arch(const Symbols &api, int device, char *out, size_t size);
  static void facts(const Self &gpu, const char *arch, Device &d);

  static int takeContext(Device &d, Self &gpu, const ist_native *native,
                         ist_error *error);
  static void dropContext(Self &gpu) {
    if (gpu.contextIsOurs)
      gpu.api->PrimaryCtxRelease(gpu.device);
  }
  static Code enter(Self &gpu, uint64_t *state);
  static void leave(Self &gpu, uint64_t state);
  static ist_status checkStream(Device &d, Self &gpu, void *stream,
                                ist_error *error);

  static Code copy(const Symbols &api, void *stream, const Command &c) {
    return api.MemcpyAsync(c.to, c.from, c.bytes, stream);
  }
  static Code launchCluster(Self &gpu, void *stream, const Command &c,
                            void **arguments);
  static int moduleLoad(Device &d, Self &gpu, const void *code, size_t size,
                        const ist_module_options &options, void **module,
                        ist_error *error);
  /// Nothing is left for the first launch.
  static Code finishKernel(Self &gpu, const ist_kernel_desc &desc, void *f);

  static Code peerCopy(Self &gpu, void *stream, Self &from, const Command &c) {
    return gpu.api->MemcpyPeerAsync(c.to, gpu.context, c.from, from.context,
                                    c.bytes, stream);
  }
  /// Tensor maps: from Hopper on.
  static bool hasTiles(const Self &gpu);
  static int tileEncode(Device &d, const ist_tile &tile, void *descriptor,
                        ist_error *error);

  // Nodes of a graph; a kernel's are added in the same way by both vendors.
  using KernelNode = CudaKernelNode;
  static KernelNode kernelNode(const Command &c, void **arguments);
  static Code addCopy(Self &gpu, void *graph, void *const *after, size_t count,
                      const Command &c, void **node);
  static Code changeCopy(Self &gpu, void *exec, void *node, const Command &c);
  static Code addFill(Self &gpu, void *graph, void *const *after, size_t count,
                      const Command &c, void **node);
  static Code changeFill(Self &gpu, void *exec, void *node, const Command &c);
};

} // namespace isthmus::gpu

#endif // ISTHMUS_DRIVERS_CUDA_HIP_CUDA_H
