//===- hip.h - HIP's names and ways ---------------------------------------===//
#ifndef ISTHMUS_DRIVERS_CUDA_HIP_HIP_H
#define ISTHMUS_DRIVERS_CUDA_HIP_HIP_H

#include "gpu.h"

namespace isthmus::gpu {

struct HipSymbols {
#define IST_REQUIRED(result, name, symbol, parameters, since)                  \
  result(*name) parameters;
#define IST_OPTIONAL IST_REQUIRED
#include "hip_symbols.h"
};

/// Layouts of hip_runtime_api.h that we pass by pointer; a test compares them.
struct HipKernelNode {
  unsigned block[3];
  void **extra;
  void *function;
  unsigned grid[3];
  void **arguments;
  unsigned sharedBytes;
};
struct HipMemsetNode {
  uint64_t to;
  unsigned elementSize;
  size_t height, pitch;
  unsigned value;
  size_t width;
};
constexpr size_t kHipArchAt5 = 396, kHipArchAt6 = 1160; // gcnArchName
constexpr size_t kHipProperties = 4096;                 // room for either

struct Hip {
  static constexpr int kMemcpyDefault = 4;
  using Symbols = HipSymbols;
  using Self = Gpu<Hip>;
  static constexpr const char *name = "hip", *vendor = "amd",
                              *formats = "hsaco", *maker = "AMD",
                              *contextKind = nullptr,
                              *streamKind = "hip.stream";
  static constexpr const char *visibility[] = {
      "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"};
  static const stream::LibraryDesc library;
  static const stream::Ops ops;

  static void explain(const Symbols &api, Code code, Explanation *e) {
    e->name = api.GetErrorName(code);
    e->text = api.GetErrorString(code);
  }
  static int number(Attribute a) {
    switch (a) {
    case Attribute::maxBlock:
      return 56;
    case Attribute::maxGrid:
      return 29;
    case Attribute::subgroup:
      return 87;
    case Attribute::multiprocessors:
      return 63;
    case Attribute::shared:
      return 74;
    case Attribute::readOnlyImports:
      return -1;
    case Attribute::pools:
      return 88;
    }
    return -1;
  }
  static Code deviceOf(const Symbols &, int index, int *device) {
    *device = index;
    return 0;
  }
  /// "gfx942:sramecc+:xnack-"
  static Code arch(const Symbols &api, int device, char *out, size_t size);
  static void facts(const Self &gpu, const char *arch, Device &d);

  static int takeContext(Device &, Self &, const ist_native *, ist_error *) {
    return IST_OK;
  }
  static void dropContext(Self &) {}
  static Code enter(Self &gpu, uint64_t *state);
  static void leave(Self &gpu, uint64_t state);
  static ist_status checkStream(Device &, Self &, void *, ist_error *) {
    return IST_OK; // before ROCm 6 nobody tells a stream's device
  }

  static Code copy(const Symbols &api, void *stream, const Command &c) {
    return api.MemcpyAsync(c.to, c.from, c.bytes, kMemcpyDefault, stream);
  }
  static Code launchCluster(Self &, void *, const Command &, void **) {
    return kNotSupported;
  }
  static int moduleLoad(Device &d, Self &gpu, const void *code, size_t size,
                        const ist_module_options &options, void **module,
                        ist_error *error);
  static Code finishKernel(Self &, const ist_kernel_desc &, void *) {
    return 0; // code objects are loaded whole
  }

  static Code peerCopy(Self &gpu, void *stream, Self &from, const Command &c) {
    return gpu.api->MemcpyPeerAsync(c.to, gpu.device, c.from, from.device,
                                    c.bytes, stream);
  }
  static bool hasTiles(const Self &) { return false; }
  static constexpr decltype(stream::Ops::tileEncode) tileEncode = nullptr;

  using KernelNode = HipKernelNode;
  static KernelNode kernelNode(const Command &c, void **arguments);
  static Code addCopy(Self &gpu, void *graph, void *const *after, size_t count,
                      const Command &c, void **node) {
    return gpu.api->GraphAddMemcpyNode(node, graph, after, count, c.to, c.from,
                                       c.bytes, kMemcpyDefault);
  }
  static Code changeCopy(Self &gpu, void *exec, void *node, const Command &c) {
    return gpu.api->GraphExecMemcpyNodeSetParams(exec, node, c.to, c.from,
                                                 c.bytes, kMemcpyDefault);
  }
  static HipMemsetNode memsetNode(const Command &c) {
    return {c.to, 1, 1, 0, c.value, c.bytes};
  }
  static Code addFill(Self &gpu, void *graph, void *const *after, size_t count,
                      const Command &c, void **node) {
    HipMemsetNode n = memsetNode(c);
    return gpu.api->GraphAddMemsetNode(node, graph, after, count, &n);
  }
  static Code changeFill(Self &gpu, void *exec, void *node, const Command &c) {
    HipMemsetNode n = memsetNode(c);
    return gpu.api->GraphExecMemsetNodeSetParams(exec, node, &n);
  }
};

} // namespace isthmus::gpu

#endif // ISTHMUS_DRIVERS_CUDA_HIP_HIP_H
