//===- cuda_hip.cpp - the cuda and hip drivers ----------------------------===//
//
// HIP follows CUDA call by call, so one text serves both. What differs is in
// cuda.cpp and hip.cpp.
//
//===----------------------------------------------------------------------===//
#include "cuda.h"
#include "hip.h"

#include <cstdio>
#include <elf.h>

using namespace isthmus;
using namespace isthmus::gpu;
using namespace isthmus::stream;

ist_status gpu::statusOf(Code code, bool *lost) {
  switch (code) {
  case 4:
  case 214:
  case 220:
  case 226:
  case 700:
  case 702:
  case 709:
  case 710:
  case 714:
  case 715:
  case 716:
  case 717:
  case 718:
  case 719:
  case 721:
  case 809: // clang-format off
    *lost = true;
    return IST_DEVICE_LOST;
  case 2: case 701:
    return IST_RESOURCE_EXHAUSTED;
  case 200: case 218: case 300: case 301:
    return IST_DATA_LOSS; // malformed code
  case 3: case 34: case 35: case 36: case 46: case 100: case 101: case 102: case 209: case 221: case 222:
  case 223: case 712: case 801: case 802: case 803: case 804: case 805:
  case 806: case 807: case 808:
    return IST_UNAVAILABLE;
  case 1: case 400: case 900: case 901: case 902: case 903: case 904: case 905: case 906:
  case 907: case 908: case 912:
    return IST_INVALID_ARGUMENT; // clang-format on
  default:
    return IST_INTERNAL;
  }
}

ist_status gpu::checkElf(const void *code, size_t size, ist_error *error) {
  auto broken = [&](const char *what) {
    return fail(error, IST_DATA_LOSS,
                "not a whole ELF code object: %s; compile the model again",
                what);
  };
  auto within = [&](uint64_t offset, uint64_t bytes) {
    return offset <= size && bytes <= size - offset;
  };
  const char *bytes = static_cast<const char *>(code);
  Elf64_Ehdr h;
  if (size < sizeof h)
    return broken("its header is cut short");
  std::memcpy(&h, bytes, sizeof h);
  if (std::memcmp(h.e_ident, ELFMAG, SELFMAG) != 0 ||
      h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_ident[EI_DATA] != ELFDATA2LSB)
    return broken("it does not begin as one");
  if (h.e_phnum && (h.e_phentsize != sizeof(Elf64_Phdr) ||
                    !within(h.e_phoff, h.e_phnum * sizeof(Elf64_Phdr))))
    return broken("its program headers lie outside");
  if (h.e_shnum && (h.e_shentsize != sizeof(Elf64_Shdr) ||
                    !within(h.e_shoff, h.e_shnum * sizeof(Elf64_Shdr))))
    return broken("its section headers lie outside");
  for (unsigned i = 0; i < h.e_phnum; ++i) {
    Elf64_Phdr p;
    std::memcpy(&p, bytes + h.e_phoff + i * sizeof p, sizeof p);
    if (!within(p.p_offset, p.p_filesz))
      return broken("a segment lies outside");
  }
  for (unsigned i = 0; i < h.e_shnum; ++i) {
    Elf64_Shdr s;
    std::memcpy(&s, bytes + h.e_shoff + i * sizeof s, sizeof s);
    if (s.sh_type != SHT_NOBITS && !within(s.sh_offset, s.sh_size))
      return broken("a section lies outside");
  }
  return IST_OK;
}

namespace {

template <typename V> struct Driver {
  using Self = Gpu<V>;
  using Symbols = typename V::Symbols;
  static Self &self(Device &d) { return *static_cast<Self *>(d.vendor); }
  static const Symbols &api(Device &d) { return *self(d).api; }

  static ist_status symbols(const Symbols **out, ist_error *error) {
    const void *p = nullptr;
    ist_status s = openLibrary(V::library, &p, error);
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
    if (native && (!V::contextKind || !native->kind ||
                   std::strcmp(native->kind, V::contextKind) != 0))
      return fail(error, IST_UNAVAILABLE,
                  "driver %s takes over %s, not '%.64s'", V::name,
                  V::contextKind ? V::contextKind : "no contexts",
                  native->kind ? native->kind : "");
    Self *gpu = make<Self>();
    if (!gpu)
      return outOfMemory(error, sizeof *gpu, "a device");
    int s = setUp(d, *gpu, index, native, error);
    if (s)
      destroy(gpu);
    else
      d.recordings = V::hasGraphs(*gpu->api);
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
    Self *gpu = &self(d);
    V::dropContext(*gpu);
    destroy(gpu);
  }

  static void explain(Device &d, Code code, Explanation *e) {
    V::explain(api(d), code, e);
    e->status = statusOf(code, &e->lost);
  }

  // The state is V's, but for its last byte: the capture mode.
  static Code enter(Device &d, bool commands, uint64_t *state) {
    Code code = V::enter(self(d), state);
    if (code || commands || !api(d).ExchangeCaptureMode)
      return code;
    // The caller's capture, on whatever stream, is no concern of ours.
    int mode = flags::captureRelaxed;
    api(d).ExchangeCaptureMode(&mode);
    *state |= static_cast<uint64_t>(mode & 0xff) << 56;
    return 0;
  }
  static void leave(Device &d, bool commands, uint64_t state) {
    if (!commands && api(d).ExchangeCaptureMode) {
      int mode = static_cast<int>(state >> 56);
      api(d).ExchangeCaptureMode(&mode);
    }
    V::leave(self(d), state & ((uint64_t(1) << 56) - 1));
  }

  static Code memInfo(Device &d, uint64_t *available, uint64_t *total) {
    size_t a = 0, t = 0;
    Code code = api(d).MemGetInfo(&a, &t);
    *available = a;
    *total = t;
    return code;
  }

  // What an allocation's handle says of how it ends.
  enum class Kind : uintptr_t { borrowed, device, host, registered };

  static Code alloc(Device &d, ist_memory_kind kind, uint64_t bytes,
                    ist_driver_memory *out) {
    const Symbols &a = api(d);
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
      api(d).MemFree(memory->address);
      break;
    case Kind::host:
      api(d).HostFree(memory->host);
      break;
    case Kind::registered: {
      Guard guard(d);
      Registered *r = find(self(d), reinterpret_cast<uint64_t>(memory->host),
                           memory->bytes);
      if (!r || --r->references)
        break;
      api(d).HostUnregister(reinterpret_cast<void *>(r->base));
      *r = self(d).registered.back();
      self(d).registered.pop();
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
        api(d).PointerGetAttribute(&owner, flags::pointerDevice, in.memory);
    if (!code)
      code = api(d).MemGetAddressRange(&base, &size, in.memory);
    if (code)
      return fail(error, IST_INVALID_ARGUMENT,
                  "0x%llx is not memory of %s:%u (%s says %d)",
                  static_cast<unsigned long long>(in.memory), d.driver, d.index,
                  V::maker, code);
    if (owner != self(d).device)
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
    Self &gpu = self(d);
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

  static int moduleLoad(Device &d, const void *code, size_t size,
                        const ist_module_options &options, void **module,
                        ist_error *error) {
    return V::moduleLoad(d, self(d), code, size, options, module, error);
  }
  static void moduleUnload(Device &d, void *module) {
    api(d).ModuleUnload(module);
  }

  static int kernelGet(Device &d, const ist_kernel_desc &desc, Kernel &kernel,
                       ist_error *error) {
    Self &gpu = self(d);
    uint64_t shared = uint64_t(desc.static_shared) + desc.dynamic_shared;
    if (desc.block > gpu.maxBlock || shared > gpu.sharedLimit)
      return fail(error, IST_UNAVAILABLE,
                  "kernel '%.100s' wants %u lanes and %llu bytes of workgroup "
                  "memory; %s:%u has %u and %u",
                  desc.name, desc.block,
                  static_cast<unsigned long long>(shared), d.driver, d.index,
                  gpu.maxBlock, gpu.sharedLimit);
    Code code =
        gpu.api->ModuleGetFunction(&kernel.handle, kernel.module, desc.name);
    if (code == 500)
      return fail(error, IST_DATA_LOSS,
                  "broken artifact: its code has no kernel '%.100s'; compile "
                  "the model again",
                  desc.name);
    int lanes = 0;
    if (!code)
      code = V::finishKernel(gpu, desc, kernel.handle);
    if (!code)
      code = gpu.api->FuncGetAttribute(&lanes, flags::funcMaxThreads,
                                       kernel.handle);
    if (code)
      return d.failed(code, error, "making kernel '%.100s' ready", desc.name);
    if (lanes > 0 && desc.block > static_cast<uint32_t>(lanes))
      return fail(error, IST_UNAVAILABLE,
                  "kernel '%.100s' wants %u lanes and its registers leave room "
                  "for %d on %s:%u",
                  desc.name, desc.block, lanes, d.driver, d.index);
    return IST_OK;
  }

  // A stream and whether it is ours to end, in one pointer.
  struct Stream {
    void *handle;
    bool ours;
  };
  static void *raw(void *stream) {
    return static_cast<Stream *>(stream)->handle;
  }

  static int streamOpen(Device &d, const ist_native *native, void **out,
                        ist_error *error) {
    if (native &&
        (!native->kind || std::strcmp(native->kind, V::streamKind) != 0))
      return fail(error, IST_UNAVAILABLE,
                  "driver %s takes over a %s, not '%.64s'", V::name,
                  V::streamKind, native->kind ? native->kind : "");
    if (native)
      if (ist_status s = V::checkStream(d, self(d), native->handle, error))
        return s;
    Stream *s = make<Stream>();
    if (!s)
      return outOfMemory(error, sizeof *s, "a queue");
    *s = {native ? native->handle : nullptr, !native};
    if (!native)
      if (Code code = api(d).StreamCreate(&s->handle, flags::nonBlocking)) {
        destroy(s);
        return d.failed(code, error, "making a stream");
      }
    *out = s;
    return IST_OK;
  }
  static void streamClose(Device &d, void *stream) {
    Stream *s = static_cast<Stream *>(stream);
    if (s->ours)
      api(d).StreamDestroy(s->handle);
    destroy(s);
  }
  static void streamDrain(Device &d, void *stream) {
    Stream *s = static_cast<Stream *>(stream);
    int capturing = 0;
    if (s->ours ||
        (!api(d).StreamIsCapturing(s->handle, &capturing) && !capturing))
      api(d).StreamSynchronize(s->handle);
  }

  static Code copy(Device &d, void *stream, const Command &c) {
    return V::copy(api(d), raw(stream), c);
  }
  static Code fill(Device &d, void *stream, const Command &c) {
    return api(d).MemsetD8Async(c.to, c.value, c.bytes, raw(stream));
  }
  static Code launch(Device &d, void *stream, const Command &c) {
    void *arguments[kMaxArgs + 1];
    pointAtArgs(c, arguments);
    if (c.cluster > 1)
      return V::launchCluster(self(d), raw(stream), c, arguments);
    return api(d).LaunchKernel(c.kernel->handle, static_cast<unsigned>(c.grid),
                               1, 1, c.kernel->block, 1, 1, c.dynamicShared,
                               raw(stream), arguments, nullptr);
  }

  static Code streamWait(Device &d, void *stream, void *event) {
    return api(d).StreamWaitEvent(raw(stream), event, 0);
  }
  static Code eventCreate(Device &d, void **event) {
    return api(d).EventCreate(event,
                              flags::disableTiming | flags::blockingSync);
  }
  static void eventDestroy(Device &d, void *event) {
    api(d).EventDestroy(event);
  }
  static Code eventRecord(Device &d, void *stream, void *event) {
    return api(d).EventRecord(event, raw(stream));
  }
  static Code eventQuery(Device &d, void *event, bool *done, Code *) {
    Code code = api(d).EventQuery(event);
    *done = code == 0;
    return code == kNotReady ? 0 : code;
  }
  static Code eventSynchronize(Device &d, void *event) {
    return api(d).EventSynchronize(event);
  }

  struct Graph {
    void *exec, *graph;
    Array<void *> nodes; // of each command; null when it does nothing
  };

  static Code graphCreate(Device &d, const Command *commands, size_t count,
                          void **out) {
    Self &gpu = self(d);
    Graph *g = make<Graph>();
    if (!g || !g->nodes.resize(count)) {
      destroy(g);
      return 2; // out of memory
    }
    g->exec = g->graph = nullptr;
    Code code = gpu.api->GraphCreate(&g->graph, 0);
    void *last = nullptr; // a queue is in order, so each waits for the former
    for (size_t i = 0; i < count && !code; ++i) {
      if (commands[i].empty())
        continue;
      code = V::addNode(gpu, g->graph, &last, last ? 1 : 0, commands[i],
                        &g->nodes[i]);
      last = g->nodes[i];
    }
    if (!code)
      code = gpu.api->GraphInstantiate(&g->exec, g->graph, 0);
    if (code)
      graphDestroy(d, g);
    else
      *out = g;
    return code;
  }
  static Code graphUpdate(Device &d, void *graph, size_t index,
                          const Command &c) {
    Graph *g = static_cast<Graph *>(graph);
    return V::changeNode(self(d), g->exec, g->nodes[index], c);
  }
  static Code graphLaunch(Device &d, void *stream, void *graph) {
    return api(d).GraphLaunch(static_cast<Graph *>(graph)->exec, raw(stream));
  }
  static void graphDestroy(Device &d, void *graph) {
    Graph *g = static_cast<Graph *>(graph);
    if (g->exec)
      api(d).GraphExecDestroy(g->exec);
    if (g->graph)
      api(d).GraphDestroy(g->graph);
    destroy(g);
  }

  static constexpr Ops ops() {
    return {enumerate,    open,
            close,        explain,
            enter,        leave,
            memInfo,      alloc,
            free,         import,
            moduleLoad,   moduleUnload,
            kernelGet,    nullptr,
            streamOpen,   streamClose,
            streamDrain,  copy,
            fill,         launch,
            streamWait,   eventCreate,
            eventDestroy, eventRecord,
            eventQuery,   eventSynchronize,
            graphCreate,  graphUpdate,
            graphLaunch,  graphDestroy};
  }
};

} // namespace

#ifdef ISTHMUS_DRIVER_CUDA
const Ops Cuda::ops = Driver<Cuda>::ops();
extern "C" {
extern const ist_driver ist_cuda_driver;
const ist_driver ist_cuda_driver = Table<Cuda>::driver();
}
#endif
#ifdef ISTHMUS_DRIVER_HIP
const Ops Hip::ops = Driver<Hip>::ops();
extern "C" {
extern const ist_driver ist_hip_driver;
const ist_driver ist_hip_driver = Table<Hip>::driver();
}
#endif
