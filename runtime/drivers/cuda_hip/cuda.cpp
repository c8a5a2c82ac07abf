//===- cuda.cpp - what CUDA does its own way ------------------------------===//
#include "cuda.h"
#include "chips.h"

#include <cstdio>

using namespace isthmus;
using namespace isthmus::gpu;
using namespace isthmus::stream;

static const Symbol symbols[] = {
#define IST_SYMBOLS CudaSymbols
#include "symbol_rows.h"

#include "cuda_symbols.h"
};
static const char *const names[] = {"libcuda.so.1", "libcuda.so", nullptr};
const LibraryDesc Cuda::library = {"cuda",
                                   "ISTHMUS_CUDA_LIBRARY",
                                   names,
                                   "install or update the NVIDIA driver",
                                   symbols,
                                   sizeof symbols / sizeof *symbols,
                                   sizeof(CudaSymbols)};

//===----------------------------------------------------------------------===//
// What a device can run
//===----------------------------------------------------------------------===//

static Code capability(const CudaSymbols &api, int device, int *major,
                       int *minor) {
  Code code = api.DeviceGetAttribute(major, 75, device);
  return code ? code : api.DeviceGetAttribute(minor, 76, device);
}

Code Cuda::arch(const Symbols &api, int device, char *out, size_t size) {
  int major = 0, minor = 0;
  Code code = capability(api, device, &major, &minor);
  std::snprintf(out, size, "sm_%d%d", major, minor);
  return code;
}

void Cuda::facts(const Self &gpu, const char *arch, Device &d) {
  int major = 0, minor = 0, driver = 0;
  capability(*gpu.api, gpu.device, &major, &minor);
  gpu.api->DriverGetVersion(&driver);
  char features[1200];
  chips::nvidia(major * 10 + minor, driver, features, sizeof features);
  d.fact("nvidia.arch", "%s", arch);
  d.fact("nvidia.features", "%s", features);
  d.fact("nvidia.driver", "%d.%d", driver / 1000, driver % 1000 / 10);
}

//===----------------------------------------------------------------------===//
// Contexts
//===----------------------------------------------------------------------===//

int Cuda::takeContext(Device &d, Self &gpu, const ist_native *native,
                      ist_error *error) {
  const Symbols &api = *gpu.api;
  if (!native) {
    Code code = api.PrimaryCtxRetain(&gpu.context, gpu.device);
    if (code)
      return d.failed(code, error, "retaining the primary context");
    gpu.contextIsOurs = true;
    return IST_OK;
  }
  gpu.context = native->handle;
  int device = -1;
  void *popped;
  Code code = api.CtxPushCurrent(gpu.context);
  if (!code) {
    code = api.CtxGetDevice(&device);
    api.CtxPopCurrent(&popped);
  }
  if (code)
    return d.failed(code, error, "taking over a context");
  if (device != gpu.device)
    return fail(error, IST_INVALID_ARGUMENT,
                "the context given belongs to device %d, not to cuda:%u",
                device, d.index);
  return IST_OK;
}

Code Cuda::enter(Self &gpu, uint64_t *state) {
  void *current = nullptr;
  if (!gpu.api->CtxGetCurrent(&current) && current == gpu.context)
    return 0;
  *state = 1;
  return gpu.api->CtxPushCurrent(gpu.context);
}

void Cuda::leave(Self &gpu, uint64_t state) {
  void *popped;
  if (state)
    gpu.api->CtxPopCurrent(&popped);
}

ist_status Cuda::checkStream(Device &d, Self &gpu, void *stream,
                             ist_error *error) {
  void *context = nullptr;
  if (!gpu.api->StreamGetCtx || !stream) // 0 is every context's own
    return IST_OK;
  if (Code code = gpu.api->StreamGetCtx(stream, &context))
    return d.failed(code, error, "taking over a stream");
  if (context != gpu.context)
    return fail(error, IST_INVALID_ARGUMENT,
                "the stream given is of another context than cuda:%u's; open "
                "the device with that context",
                d.index);
  return IST_OK;
}

//===----------------------------------------------------------------------===//
// Code
//===----------------------------------------------------------------------===//

namespace {

/// Options of the JIT: its log is what an error needs.
struct JitLog {
  char text[640] = "";
  int options[2] = {5, 6}; // ERROR_LOG_BUFFER, ..._SIZE_BYTES
  void *values[2] = {text, reinterpret_cast<void *>(sizeof text - 1)};

  ist_status explain(Device &d, Code code, ist_error *error) {
    for (char *p = text; *p; ++p)
      if (*p == '\n')
        *p = ' ';
    return d.failed(code, error, "loading code%s%.180s", *text ? ": " : "",
                    text);
  }
};

/// FNV-1a.
uint64_t hash(const void *data, size_t size) {
  uint64_t h = 0xcbf29ce484222325;
  for (size_t i = 0; i < size; ++i)
    h = (h ^ static_cast<const uint8_t *>(data)[i]) * 0x100000001b3;
  return h;
}

} // namespace

/// PTX to machine code for this device, which the host keeps for other
/// processes.
static int loadPtx(Device &d, Gpu<Cuda> &gpu, const void *code, size_t size,
                   const ist_module_options &options, void **module,
                   ist_error *error) {
  const CudaSymbols &api = *gpu.api;
  char key[256], arch[32];
  int driver = 0;
  api.DriverGetVersion(&driver);
  Cuda::arch(api, gpu.device, arch, sizeof arch);
  if (options.key)
    std::snprintf(key, sizeof key, "cubin-%.160s-%s-%d", options.key, arch,
                  driver);
  else
    std::snprintf(key, sizeof key, "cubin-%016llx-%zx-%s-%d",
                  static_cast<unsigned long long>(hash(code, size)), size, arch,
                  driver);
  const ist_host &host = *d.host;
  size_t bytes = 0;
  if (void *kept = host.cache_get(host.user, key, &bytes)) {
    ist_error ignored;
    Code s = checkElf(kept, bytes, &ignored)
                 ? 1
                 : api.ModuleLoadDataEx(module, kept, 0, nullptr, nullptr);
    host.deallocate(host.user, kept);
    if (!s)
      return IST_OK;
    host.log(host.user, IST_LOG_WARNING,
             "cuda: kept machine code was not taken; compiling it again");
  }
  // The compiler wants a terminated string.
  char *text = static_cast<char *>(std::malloc(size + 1));
  if (!text)
    return outOfMemory(error, size + 1, "PTX");
  std::memcpy(text, code, size);
  text[size] = 0;
  JitLog log;
  void *link = nullptr, *cubin = nullptr;
  Code s = api.LinkCreate(2, log.options, log.values, &link);
  if (!s)
    s = api.LinkAddData(link, /*PTX*/ 1, text, size + 1, "isthmus", 0, nullptr,
                        nullptr);
  if (!s)
    s = api.LinkComplete(link, &cubin, &bytes);
  if (!s)
    s = api.ModuleLoadDataEx(module, cubin, 0, nullptr, nullptr);
  if (!s)
    host.cache_put(host.user, key, cubin, bytes);
  if (link)
    api.LinkDestroy(link); // with the cubin
  std::free(text);
  return s ? log.explain(d, s, error) : IST_OK;
}

int Cuda::moduleLoad(Device &d, Self &gpu, const void *code, size_t size,
                     const ist_module_options &options, void **module,
                     ist_error *error) {
  if (std::strcmp(options.format, "ptx") == 0)
    return loadPtx(d, gpu, code, size, options, module, error);
  if (std::strcmp(options.format, "cubin") != 0)
    return fail(error, IST_UNAVAILABLE,
                "driver cuda loads ptx and cubin, not '%.40s'", options.format);
  if (ist_status s = checkElf(code, size, error))
    return s;
  JitLog log;
  Code s = gpu.api->ModuleLoadDataEx(module, code, 2, log.options, log.values);
  return s ? log.explain(d, s, error) : IST_OK;
}

Code Cuda::finishKernel(Self &gpu, const ist_kernel_desc &desc, void *f) {
  const Symbols &api = *gpu.api;
  // More than the usual 48 KiB must be asked for.
  if (desc.dynamic_shared)
    if (Code code = api.FuncSetAttribute(f, flags::funcMaxDynamicShared,
                                         static_cast<int>(desc.dynamic_shared)))
      return code;
  // Lazy loading would do this in the first launch, and a capture forbids it.
  // Before there was a function for it, asking for an attribute did it.
  int ignored;
  return api.FuncLoad ? api.FuncLoad(f)
                      : api.FuncGetAttribute(&ignored, flags::funcShared, f);
}

//===----------------------------------------------------------------------===//
// Commands
//===----------------------------------------------------------------------===//

Code Cuda::launchCluster(Self &gpu, void *stream, const Command &c,
                         void **arguments) {
  if (!gpu.api->LaunchKernelEx)
    return kNotSupported;
  CudaLaunchAttribute cluster = {};
  cluster.id = 4; // CLUSTER_DIMENSION
  cluster.cluster[0] = c.cluster;
  cluster.cluster[1] = cluster.cluster[2] = 1;
  CudaLaunchConfig config = {{static_cast<unsigned>(c.grid), 1, 1},
                             {c.kernel->block, 1, 1},
                             c.dynamicShared,
                             stream,
                             &cluster,
                             1};
  return gpu.api->LaunchKernelEx(&config, c.kernel->handle, arguments, nullptr);
}

CudaKernelNode Cuda::kernelNode(const Command &c, void **arguments) {
  pointAtArgs(c, arguments);
  return {c.kernel->handle,
          {static_cast<unsigned>(c.grid), 1, 1},
          {c.kernel->block, 1, 1},
          c.dynamicShared,
          arguments,
          nullptr,
          nullptr,
          nullptr};
}
static CudaMemsetNode memsetNode(const Command &c) {
  return {c.to, 0, c.value, 1, c.bytes, 1};
}
static CudaCopyNode copyNode(const Command &c) {
  constexpr int unified = 4; // the address says where it is
  CudaCopyNode n = {};
  n.from.type = n.to.type = unified;
  n.from.device = c.from;
  n.to.device = c.to;
  n.width = c.bytes;
  n.height = n.depth = 1;
  return n;
}

Code Cuda::addCopy(Self &gpu, void *graph, void *const *after, size_t count,
                   const Command &c, void **node) {
  CudaCopyNode n = copyNode(c);
  return gpu.api->GraphAddMemcpyNode(node, graph, after, count, &n,
                                     gpu.context);
}
Code Cuda::changeCopy(Self &gpu, void *exec, void *node, const Command &c) {
  CudaCopyNode n = copyNode(c);
  return gpu.api->GraphExecMemcpyNodeSetParams(exec, node, &n, gpu.context);
}

Code Cuda::addFill(Self &gpu, void *graph, void *const *after, size_t count,
                   const Command &c, void **node) {
  CudaMemsetNode n = memsetNode(c);
  return gpu.api->GraphAddMemsetNode(node, graph, after, count, &n,
                                     gpu.context);
}
Code Cuda::changeFill(Self &gpu, void *exec, void *node, const Command &c) {
  CudaMemsetNode n = memsetNode(c);
  return gpu.api->GraphExecMemsetNodeSetParams(exec, node, &n, gpu.context);
}

//===----------------------------------------------------------------------===//
// Tensor maps
//===----------------------------------------------------------------------===//

bool Cuda::hasTiles(const Self &gpu) {
  int major = 0, minor = 0;
  return gpu.api->TensorMapEncodeTiled &&
         !capability(*gpu.api, gpu.device, &major, &minor) && major >= 9;
}

/// The limits are cuTensorMapEncodeTiled's, which names none of them when it
/// refuses.
static const char *tileFault(const ist_tile &t, uint64_t element) {
  constexpr uint64_t most = uint64_t(1) << 32, farthest = uint64_t(1) << 40;
  if (t.address % 16)
    return "its address is not aligned to 16 bytes";
  if (t.strides[0] != element)
    return "its innermost elements do not lie side by side";
  if (t.box[0] * element % 16)
    return "its rows are no multiple of 16 bytes";
  static const uint32_t spans[] = {0, 32, 64, 128};
  if (static_cast<uint32_t>(t.swizzle) > IST_TILE_SWIZZLE_128 ||
      (t.swizzle && t.box[0] * element > spans[t.swizzle]))
    return "its rows are longer than its swizzle";
  for (uint32_t i = 0; i < t.rank; ++i) {
    if (t.dims[i] == 0 || t.dims[i] > most)
      return "a dim of its tensor is 0, or more than 2^32";
    if (t.box[i] == 0 || t.box[i] > 256)
      return "a dim of its box is 0, or more than 256";
    if (i && (t.strides[i] % 16 || t.strides[i] >= farthest))
      return "a stride is no multiple of 16 bytes, or 2^40 and more";
  }
  return nullptr;
}

int Cuda::tileEncode(Device &d, const ist_tile &tile, void *descriptor,
                     ist_error *error) {
  // CU_TENSOR_MAP_DATA_TYPE_...; signs are the kernel's business.
  int type = -1;
  uint64_t element = 0;
  switch (tile.dtype) {
  case IST_I8:
  case IST_U8:
  case IST_I1:
    type = 0, element = 1;
    break;
  case IST_I16:
  case IST_U16:
    type = 1, element = 2;
    break;
  case IST_U32:
    type = 2, element = 4;
    break;
  case IST_I32:
    type = 3, element = 4;
    break;
  case IST_U64:
    type = 4, element = 8;
    break;
  case IST_I64:
    type = 5, element = 8;
    break;
  case IST_F16:
    type = 6, element = 2;
    break;
  case IST_F32:
    type = 7, element = 4;
    break;
  case IST_F64:
    type = 8, element = 8;
    break;
  case IST_BF16:
    type = 9, element = 2;
    break;
  }
  const char *fault =
      type < 0 ? "its type is none of a tensor's" : tileFault(tile, element);
  if (fault)
    return fail(error, IST_INVALID_ARGUMENT,
                "a tile that %s:%u cannot have: %s", d.driver, d.index, fault);
  constexpr int interleave = 0 /*none*/, promotion = 2 /*128 bytes*/,
                outside = 0 /*zeros*/;
  const uint32_t steps[] = {1, 1, 1, 1, 1};
  Code code = api<Cuda>(d).TensorMapEncodeTiled(
      descriptor, type, tile.rank, reinterpret_cast<void *>(tile.address),
      tile.dims, tile.strides + 1, tile.box, steps, interleave, tile.swizzle,
      promotion, outside);
  return code ? d.failed(code, error, "describing a tile") : IST_OK;
}
