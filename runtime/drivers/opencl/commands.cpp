//===- commands.cpp - the opencl driver: memory, code and queues ----------===//
#include "opencl.h"

#include <cstdio>

using namespace isthmus;
using namespace isthmus::stream;
using namespace isthmus::opencl;

namespace {

/// An event that is recorded again and again; each time OpenCL makes a new one.
struct Recorded {
  void *event;
};

struct Stream {
  void *queue;
  bool ours;
};

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

Code memInfo(Device &d, uint64_t *available, uint64_t *total) {
  *total = self(d).memory.total;
  *available = self(d).memory.available();
  return 0;
}

Code alloc(Device &d, ist_memory_kind kind, uint64_t bytes,
           ist_driver_memory *out) {
  OpenCL &o = self(d);
  int code = 0;
  void *p;
  auto alignment = d.description.alignment;
  if (bytes > d.description.max_alloc)
    return -61; // not every library looks
  if (o.sharing == Sharing::svm) {
    p = o.api->SVMAlloc(o.context, /*READ_WRITE | FINE_GRAIN*/ 1u | 1u << 10,
                        bytes, alignment);
    code = p ? 0 : -4;
  } else if (kind == IST_MEMORY_KIND_HOST_VISIBLE) {
    p = o.usm.HostMemAlloc(o.context, nullptr, bytes, alignment, &code);
  } else {
    p = o.usm.DeviceMemAlloc(o.context, o.device, nullptr, bytes, alignment,
                             &code);
  }
  if (code)
    return code;
  o.memory.take(bytes);
  out->address = reinterpret_cast<uint64_t>(p);
  out->handle = p;
  if (kind == IST_MEMORY_KIND_HOST_VISIBLE)
    out->host = p;
  return 0;
}

void free(Device &d, ist_driver_memory *memory) {
  OpenCL &o = self(d);
  if (!memory->handle)
    return; // an import
  if (o.sharing == Sharing::svm)
    o.api->SVMFree(o.context, memory->handle);
  else
    o.usm.MemFree(o.context, memory->handle);
  o.memory.give(memory->bytes);
}

int import(Device &d, const ist_import &in, ist_driver_memory *out,
           ist_error *error) {
  OpenCL &o = self(d);
  void *p = reinterpret_cast<void *>(in.memory);
  if (in.kind == IST_IMPORT_HOST && !o.system)
    return fail(error, IST_UNAVAILABLE,
                "opencl:%u does not address memory that it did not allocate",
                d.index);
  if (in.kind != IST_IMPORT_HOST && in.kind != IST_IMPORT_ADDRESS)
    return fail(error, IST_UNIMPLEMENTED, "unknown kind of import %d",
                static_cast<int>(in.kind));
  if (in.kind == IST_IMPORT_ADDRESS && !o.system && o.sharing == Sharing::usm) {
    constexpr unsigned kType = 0x419a, kBase = 0x419b, kSize = 0x419c,
                       kUnknown = 0x4196;
    unsigned type = kUnknown;
    uint64_t base = 0;
    size_t size = 0;
    o.usm.GetMemAllocInfo(o.context, p, kType, sizeof type, &type, nullptr);
    o.usm.GetMemAllocInfo(o.context, p, kBase, sizeof base, &base, nullptr);
    o.usm.GetMemAllocInfo(o.context, p, kSize, sizeof size, &size, nullptr);
    uint64_t skipped = in.memory - base;
    if (type == kUnknown || skipped > size || in.bytes > size - skipped)
      return fail(error, IST_INVALID_ARGUMENT,
                  "%llu bytes at 0x%llx are not memory of opencl:%u",
                  static_cast<unsigned long long>(in.bytes),
                  static_cast<unsigned long long>(in.memory), d.index);
  }
  out->address = in.memory;
  out->host = in.kind == IST_IMPORT_HOST ? p : nullptr;
  return IST_OK;
}

//===----------------------------------------------------------------------===//
// Code
//===----------------------------------------------------------------------===//

ist_status buildFailed(Device &d, void *program, Code code, ist_error *error) {
  constexpr unsigned kBuildLog = 0x1183;
  OpenCL &o = self(d);
  size_t length = 0;
  o.api->GetProgramBuildInfo(program, o.device, kBuildLog, 0, nullptr, &length);
  char *log = static_cast<char *>(std::calloc(1, length + 1));
  if (log)
    o.api->GetProgramBuildInfo(program, o.device, kBuildLog, length, log,
                               nullptr);
  for (char *p = log; p && *p; ++p)
    if (*p == '\n')
      *p = ' ';
  ist_status s =
      d.failed(code, error, "compiling SPIR-V: %.200s", log ? log : "");
  std::free(log);
  return s;
}

int moduleLoad(Device &d, const void *code, size_t size,
               const ist_module_options &options, void **module,
               ist_error *error) {
  OpenCL &o = self(d);
  if (ist_status s = checkSpirv(d, options, code, size, error))
    return s;
  Code status = 0;
  void *program = o.api->CreateProgramWithIL(o.context, code, size, &status);
  if (status) // an invalid value is invalid code
    return d.failed(status == -30 ? -42 : status, error, "loading SPIR-V");
  status =
      o.api->BuildProgram(program, 1, &o.device, nullptr, nullptr, nullptr);
  if (status) {
    ist_status s = buildFailed(d, program, status, error);
    o.api->ReleaseProgram(program);
    return s;
  }
  *module = program;
  return IST_OK;
}

void moduleUnload(Device &d, void *module) { api(d).ReleaseProgram(module); }

int checkKernel(Device &d, const ist_kernel_desc &desc, void *kernel,
                ist_error *error) {
  constexpr unsigned kArgs = 0x1191, kLanes = 0x11b0, kLocal = 0x11b2;
  OpenCL &o = self(d);
  size_t lanes = 0;
  uint64_t local = 0;
  unsigned args = 0;
  Code code = o.api->GetKernelInfo(kernel, kArgs, sizeof args, &args, nullptr);
  if (!code)
    code = o.api->GetKernelWorkGroupInfo(kernel, o.device, kLanes, sizeof lanes,
                                         &lanes, nullptr);
  if (!code)
    code = o.api->GetKernelWorkGroupInfo(kernel, o.device, kLocal, sizeof local,
                                         &local, nullptr);
  if (code)
    return d.failed(code, error, "making kernel '%.100s' ready", desc.name);
  return checkSpirvKernel(d, desc, {args, static_cast<uint32_t>(lanes), local},
                          o.localBytes, error);
}

int kernelGet(Device &d, const ist_kernel_desc &desc, Kernel &kernel,
              ist_error *error) {
  return makeSharedKernel(
      d, desc, kernel, error,
      [&](void **k) {
        Code code = 0;
        *k = api(d).CreateKernel(kernel.module, desc.name, &code);
        return code;
      },
      [&](void *k) { return checkKernel(d, desc, k, error); },
      api(d).ReleaseKernel);
}

void kernelRelease(Device &d, Kernel &kernel) {
  endSharedKernel(kernel, api(d).ReleaseKernel);
}

//===----------------------------------------------------------------------===//
// Queues
//===----------------------------------------------------------------------===//

ist_status takeQueue(Device &d, const ist_native &native, ist_error *error) {
  OpenCL &o = self(d);
  void *context = nullptr, *device = nullptr;
  uint64_t properties = 0;
  auto ask = [&](unsigned what, auto *value) {
    return o.api->GetCommandQueueInfo(native.handle, what, sizeof *value, value,
                                      nullptr);
  };
  Code code = ask(0x1090, &context);
  if (!code)
    code = ask(0x1091, &device);
  if (!code)
    code = ask(0x1093, &properties);
  if (code)
    return d.failed(code, error, "taking over a queue");
  bool inOrder = !(properties & 1);
  if (context == o.context && device == o.device && inOrder)
    return IST_OK;
  return fail(error, IST_INVALID_ARGUMENT,
              "the queue given is not one in order of opencl:%u's context; "
              "open the device with that context",
              d.index);
}

int streamOpen(Device &d, const ist_native *native, void **out,
               ist_error *error) {
  OpenCL &o = self(d);
  if (native)
    if (ist_status s = takeQueue(d, *native, error))
      return s;
  Stream *s = make<Stream>();
  if (!s)
    return outOfMemory(error, sizeof *s, "a queue");
  *s = {native ? native->handle : nullptr, !native};
  Code code = 0;
  if (!native)
    s->queue = o.api->CreateCommandQueue(o.context, o.device, nullptr, &code);
  if (code) {
    destroy(s);
    return d.failed(code, error, "making a queue");
  }
  *out = s;
  return IST_OK;
}

void *raw(void *stream) { return static_cast<Stream *>(stream)->queue; }

void streamClose(Device &d, void *stream) {
  Stream *s = static_cast<Stream *>(stream);
  if (s->ours)
    api(d).ReleaseCommandQueue(s->queue);
  destroy(s);
}
void streamDrain(Device &d, void *stream) { api(d).Finish(raw(stream)); }

Code copy(Device &d, void *stream, const Command &c) {
  OpenCL &o = self(d);
  auto run =
      o.sharing == Sharing::usm ? o.usm.EnqueueMemcpy : o.api->EnqueueSVMMemcpy;
  return run(raw(stream), 0, reinterpret_cast<void *>(c.to),
             reinterpret_cast<const void *>(c.from), c.bytes, 0, nullptr,
             nullptr);
}
Code fill(Device &d, void *stream, const Command &c) {
  OpenCL &o = self(d);
  auto run = o.sharing == Sharing::usm ? o.usm.EnqueueMemFill
                                       : o.api->EnqueueSVMMemFill;
  return run(raw(stream), reinterpret_cast<void *>(c.to), &c.value, 1, c.bytes,
             0, nullptr, nullptr);
}

Code launch(Device &d, void *stream, const Command &c) {
  OpenCL &o = self(d);
  auto *k = static_cast<SharedKernel *>(c.kernel->handle);
  if (c.cluster > 1)
    return -30; // OpenCL has none
  size_t local = c.kernel->block, global = c.grid * local;
  ::pthread_mutex_lock(&k->lock);
  auto setAddress = o.sharing == Sharing::usm ? o.usm.SetKernelArgMemPointer
                                              : o.api->SetKernelArgSVM;
  Code code = setSpirvArguments(c, [&](uint32_t i, const ist_arg &a,
                                       const void *value) {
    return a.kind == IST_ARG_ADDRESS
               ? setAddress(k->kernel, i, *static_cast<void *const *>(value))
               : o.api->SetKernelArg(k->kernel, i, a.size, value);
  });
  if (!code)
    code = o.api->EnqueueKernel(raw(stream), k->kernel, 1, nullptr, &global,
                                &local, 0, nullptr, nullptr);
  ::pthread_mutex_unlock(&k->lock);
  return code;
}

void *&eventOf(void *event) { return static_cast<Recorded *>(event)->event; }

Code streamWait(Device &d, void *stream, void *event) {
  return api(d).EnqueueBarrier(raw(stream), 1, &eventOf(event), nullptr);
}
Code eventCreate(Device &, void **event) {
  Recorded *r = make<Recorded>();
  if (r)
    r->event = nullptr;
  *event = r;
  return r ? 0 : -6;
}
void eventDestroy(Device &d, void *event) {
  if (eventOf(event))
    api(d).ReleaseEvent(eventOf(event));
  destroy(static_cast<Recorded *>(event));
}
Code eventRecord(Device &d, void *stream, void *event) {
  void *next = nullptr;
  if (Code code = api(d).EnqueueMarker(raw(stream), 0, nullptr, &next))
    return code;
  if (eventOf(event))
    api(d).ReleaseEvent(eventOf(event));
  eventOf(event) = next;
  // Others wait for it, so it must be on its way.
  return api(d).Flush(raw(stream));
}
Code eventQuery(Device &d, void *event, bool *done, Code *failure) {
  constexpr unsigned kStatus = 0x11d3;
  int status = 1;
  Code code = api(d).GetEventInfo(eventOf(event), kStatus, sizeof status,
                                  &status, nullptr);
  *done = !code && status <= 0;
  if (!code && status < 0)
    *failure = status;
  return code;
}
Code eventSynchronize(Device &d, void *event) {
  return api(d).WaitForEvents(1, &eventOf(event));
}

void *nativeContext(Device &d) { return self(d).context; }
void *nativeStream(Device &, void *stream) { return raw(stream); }

struct Vendor {
  static constexpr const char *name = "opencl", *vendor = "intel",
                              *formats = "spirv";
  static const Ops ops;
};
constexpr Ops makeOps() {
  Ops o = IST_STREAM_OPS();
  o.kernelRelease = kernelRelease;
  o.nativeContext = nativeContext;
  o.nativeStream = nativeStream;
  o.contextKind = "opencl.context";
  o.queueKind = "opencl.queue";
  return o;
}
const Ops Vendor::ops = makeOps();

} // namespace

extern "C" {
extern const ist_driver ist_opencl_driver;
const ist_driver ist_opencl_driver = Table<Vendor>::driver();
}
