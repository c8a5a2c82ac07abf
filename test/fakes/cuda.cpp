//===- cuda.cpp - what the fake libcuda does its own way -----------------===//
#include "gpu.h"

#include <elf.h>

namespace isthmus::fake {

namespace {
struct Link {
  std::string code;
};
} // namespace

} // namespace isthmus::fake

static isthmus::fake::Context *contexts[16]; // the primary ones

void *isthmus::fake::contextOf(void *stream) {
  return contexts[static_cast<Stream *>(stream)->device];
}

using namespace isthmus::fake;
using namespace isthmus::gpu;

extern "C" {

int fake_GetErrorName(int code, const char **name) {
  switch (code) {
  case kOutOfMemory:
    *name = "CUDA_ERROR_OUT_OF_MEMORY";
    break; // clang-format off
  case kNoDevice: *name = "CUDA_ERROR_NO_DEVICE"; break;
  case kInvalidImage: *name = "CUDA_ERROR_INVALID_IMAGE"; break;
  case kIllegalAddress: *name = "CUDA_ERROR_ILLEGAL_ADDRESS"; break; // clang-format on
  default:
    *name = "CUDA_ERROR_OTHER";
  }
  return 0;
}
int fake_GetErrorString(int, const char **text) {
  *text = "what cuda says of it";
  return 0;
}
int fake_DeviceGet(int *device, int index) {
  ENTER(DeviceGet, plain);
  *device = index;
  return index < deviceCount() ? 0 : kInvalidDevice;
}
int fake_DeviceGetAttribute(int *value, int attribute, int device) {
  ENTER(DeviceGetAttribute, plain);
  if (device < 0 || device >= deviceCount())
    return kInvalidDevice;
  switch (attribute) {
  case 1:
    *value = 1024;
    return 0; // clang-format off
  case 5: *value = 0x7fffffff; return 0;
  case 10: *value = 32; return 0;
  case 16: *value = 132; return 0;
  case 75: *value = 9; return 0;
  case 76: *value = 0; return 0;
  case 97: *value = 232448; return 0;
  case 113: *value = 1; return 0;
  case 115: *value = pools(); return 0; // clang-format on
  default:
    return kInvalidValue;
  }
}
int fake_PrimaryCtxRetain(void **context, int device) {
  ENTER(PrimaryCtxRetain, plain);
  Context *&c = contexts[device];
  if (!c) {
    c = engine().make<Context>("context");
    c->device = device;
  }
  ++c->retained;
  *context = c;
  return 0;
}
int fake_PrimaryCtxRelease(int device) {
  ENTER(PrimaryCtxRelease, plain);
  Context *&c = contexts[device];
  if (!c) {
    engine().misused("a context was released once too often");
    return kInvalidContext;
  }
  if (--c->retained == 0) {
    engine().drop(c);
    c = nullptr;
  }
  return 0;
}
int fake_CtxGetCurrent(void **context) {
  ENTER(CtxGetCurrent, plain);
  *context = thread.contexts.empty() ? nullptr : thread.contexts.back();
  return 0;
}
int fake_CtxPushCurrent(void *context) {
  ENTER(CtxPushCurrent, plain);
  if (!engine().use<Context>(context, "context"))
    return kInvalidContext;
  thread.contexts.push_back(context);
  return 0;
}
int fake_CtxPopCurrent(void **context) {
  ENTER(CtxPopCurrent, plain);
  if (thread.contexts.empty())
    return kInvalidContext;
  *context = thread.contexts.back();
  thread.contexts.pop_back();
  return 0;
}
int fake_CtxGetDevice(int *out) {
  ENTER(CtxGetDevice, device);
  *out = currentDevice();
  return 0;
}
int fake_StreamGetCtx(void *stream, void **context) {
  ENTER(StreamGetCtx, plain);
  Stream *s = streamOf(stream);
  *context = s ? contexts[s->device] : nullptr;
  return s ? 0 : kInvalidHandle;
}
int fake_MemcpyAsync(uint64_t to, uint64_t from, size_t bytes, void *stream) {
  ENTER(MemcpyAsync, device);
  if (!valid(to, bytes) || !valid(from, bytes))
    return kInvalidValue;
  return enqueue(stream, engine().copy(to, from, bytes));
}
int fake_MemcpyPeerAsync(uint64_t to, void *toContext, uint64_t from,
                         void *fromContext, size_t bytes, void *stream) {
  ENTER(MemcpyPeerAsync, device);
  Context *t = engine().use<Context>(toContext, "context"),
          *f = engine().use<Context>(fromContext, "context");
  if (!t || !f)
    return kInvalidContext;
  return peerCopy(to, t->device, from, f->device, bytes, stream);
}
/// What a kernel of a fake sees of a tensor: Tile, in fake.h.
int fake_TensorMapEncodeTiled(void *out, int type, uint32_t rank, void *address,
                              const uint64_t *dims, const uint64_t *strides,
                              const uint32_t *box, const uint32_t *steps,
                              int interleave, int swizzle, int promotion,
                              int outside) {
  ENTER(TensorMapEncodeTiled, plain);
  uint64_t base;
  if (reinterpret_cast<uintptr_t>(out) % 64 || !rank || rank > 5 ||
      interleave || outside || promotion != 2 ||
      !engine().holds(reinterpret_cast<uint64_t>(address), 16, &base))
    return kInvalidValue;
  Tile t = {};
  std::memcpy(t.magic, kTileMagic, sizeof t.magic);
  t.address = reinterpret_cast<uint64_t>(address);
  t.type = static_cast<uint8_t>(type);
  t.rank = static_cast<uint8_t>(rank);
  t.swizzle = static_cast<uint8_t>(swizzle);
  for (uint32_t i = 0; i < rank; ++i) {
    if (!dims[i] || !box[i] || box[i] > 256 || steps[i] != 1 ||
        (i && strides[i - 1] % 16))
      return kInvalidValue;
    t.dims[i] = dims[i];
    t.box[i] = static_cast<uint16_t>(box[i]);
    if (i)
      t.strides[i - 1] = strides[i - 1];
  }
  static_assert(sizeof t <= 128);
  std::memset(out, 0, 128);
  std::memcpy(out, &t, sizeof t);
  return 0;
}
int fake_LaunchKernelEx(const void *config, void *f, void **arguments,
                        void **) {
  ENTER(LaunchKernelEx, device);
  const auto &c = *static_cast<const CudaLaunchConfig *>(config);
  auto *k = engine().use<isthmus::fake::Kernel>(f, "kernel");
  if (!k || c.attributeCount != 1 || c.attributes[0].id != 4 ||
      c.grid[0] % c.attributes[0].cluster[0])
    return kInvalidValue;
  return enqueue(c.stream, engine().launch({k, c.grid[0], c.block[0],
                                            argumentsOf(arguments)}));
}
int fake_ModuleLoadDataEx(void **module, const void *image, unsigned count,
                          int *options, void **values) {
  ENTER(ModuleLoadDataEx, device | unsafe);
  int code = loadImage(module, image);
  if (code && count == 2 && options[0] == 5)
    std::strcpy(static_cast<char *>(values[0]), "no image\nat all");
  return code;
}
int fake_FuncSetAttribute(void *f, int attribute, int value) {
  ENTER(FuncSetAttribute, device);
  return engine().use<isthmus::fake::Kernel>(f, "kernel") && attribute == 8 &&
                 value <= 232448
             ? 0
             : kInvalidValue;
}
int fake_FuncLoad(void *f) {
  ENTER(FuncLoad, device | unsafe);
  return engine().use<isthmus::fake::Kernel>(f, "kernel") ? 0 : kInvalidHandle;
}
struct PtxLink : Link {
  char *log = nullptr;
};
int fake_LinkCreate(unsigned count, int *options, void **values, void **link) {
  ENTER(LinkCreate, device | unsafe);
  auto *l = engine().make<PtxLink>("link");
  if (count == 2 && options[0] == 5 && options[1] == 6)
    l->log = static_cast<char *>(values[0]);
  *link = l;
  return 0;
}
int fake_LinkAddData(void *link, int type, void *data, size_t size,
                     const char *, unsigned, int *, void **) {
  ENTER(LinkAddData, device | unsafe);
  auto *l = engine().use<PtxLink>(link, "link");
  const char *text = static_cast<const char *>(data);
  if (!l || type != 1 || size == 0 || text[size - 1])
    return kInvalidValue;
  l->code.assign(text, size - 1);
  // PTX is taken for what a host's ELF file says; that must be whole. Or it is
  // PTX, if there is somebody to execute it.
  bool good = false;
  Elf64_Ehdr h;
  if (size > sizeof h) {
    std::memcpy(&h, text, sizeof h);
    good = std::memcmp(h.e_ident, ELFMAG, SELFMAG) == 0 &&
           h.e_shoff + size_t(h.e_shnum) * h.e_shentsize <= size - 1;
  }
  if (engine().exec)
    good = executes(l->code.data(), l->code.size());
  if (!good) {
    if (l->log)
      std::strcpy(l->log, "ptxas fatal: line 1\nsyntax error");
    return 218;
  }
  return 0;
}
int fake_LinkComplete(void *link, void **cubin, size_t *size) {
  ENTER(LinkComplete, device | unsafe);
  auto *l = engine().use<PtxLink>(link, "link");
  *cubin = &l->code[0];
  *size = l->code.size();
  return 0;
}
int fake_LinkDestroy(void *link) {
  ENTER(LinkDestroy, plain);
  engine().drop(link);
  return 0;
}
int fake_GraphAddKernelNode(void **node, void *graph, void *const *after,
                            size_t count, const void *p) {
  ENTER(GraphAddKernelNode, plain);
  return addNode(node, graph, after, count, kernelNode<CudaKernelNode>(p));
}
static Node cudaCopy(const void *params) {
  const auto &p = *static_cast<const CudaCopyNode *>(params);
  if (p.from.type != 4 || p.to.type != 4 || p.height != 1 || p.depth != 1)
    engine().misused("a copy node that is no row of bytes");
  return copyNode(p.to.device, p.from.device, p.width);
}
int fake_GraphAddMemcpyNode(void **node, void *graph, void *const *after,
                            size_t count, const void *p, void *) {
  ENTER(GraphAddMemcpyNode, plain);
  return addNode(node, graph, after, count, cudaCopy(p));
}
int fake_GraphAddMemsetNode(void **node, void *graph, void *const *after,
                            size_t count, const void *p, void *) {
  ENTER(GraphAddMemsetNode, plain);
  return addNode(node, graph, after, count, fillNode<CudaMemsetNode>(p));
}
int fake_GraphExecKernelNodeSetParams(void *exec, void *node, const void *p) {
  ENTER(GraphExecKernelNodeSetParams, plain);
  return changeNode(exec, node, kernelNode<CudaKernelNode>(p));
}
int fake_GraphExecMemcpyNodeSetParams(void *exec, void *node, const void *p,
                                      void *) {
  ENTER(GraphExecMemcpyNodeSetParams, plain);
  return changeNode(exec, node, cudaCopy(p));
}
int fake_GraphExecMemsetNodeSetParams(void *exec, void *node, const void *p,
                                      void *) {
  ENTER(GraphExecMemsetNodeSetParams, plain);
  return changeNode(exec, node, fillNode<CudaMemsetNode>(p));
}
}
