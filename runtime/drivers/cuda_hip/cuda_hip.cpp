//===- cuda_hip.cpp - the cuda and hip drivers ----------------------------===//
//
// HIP follows CUDA call by call, so one text serves both. What differs is in
// cuda.cpp and hip.cpp.
//
//===----------------------------------------------------------------------===//
#include "cuda.h"
#include "devices.h"
#include "extensions.h"
#include "graphs.h"
#include "hip.h"
#include "memory.h"
#include "streams.h"

using namespace isthmus;
using namespace isthmus::gpu;
using namespace isthmus::stream;

namespace {

template <typename V>
struct Driver : Devices<V>, Memory<V>, Streams<V>, Graphs<V>, Extensions<V> {
  using Self = Gpu<V>;

  static int moduleLoad(Device &d, const void *code, size_t size,
                        const ist_module_options &options, void **module,
                        ist_error *error) {
    return V::moduleLoad(d, self<V>(d), code, size, options, module, error);
  }
  static void moduleUnload(Device &d, void *module) {
    api<V>(d).ModuleUnload(module);
  }

  static int kernelGet(Device &d, const ist_kernel_desc &desc, Kernel &kernel,
                       ist_error *error) {
    Self &gpu = self<V>(d);
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

  static int open(Device &d, uint32_t index, const ist_native *native,
                  ist_error *error) {
    if (int s = Devices<V>::open(d, index, native, error))
      return s;
    Extensions<V>::find(d);
    return IST_OK;
  }

  static constexpr Ops ops() {
    Ops o = IST_STREAM_OPS(Driver::);
    o.enter = Driver::enter;
    o.leave = Driver::leave;
    o.graphCreate = Driver::graphCreate;
    o.graphUpdate = Driver::graphUpdate;
    o.graphLaunch = Driver::graphLaunch;
    o.graphDestroy = Driver::graphDestroy;
    o.streamCapturing = Driver::streamCapturing;
    o.nativeContext = Driver::nativeContext;
    o.nativeStream = Driver::nativeStream;
    o.poolAlloc = Driver::poolAlloc;
    o.poolFree = Driver::poolFree;
    o.peerCopy = Driver::peerCopy;
    o.timestampCreate = Driver::timestampCreate;
    o.timestampDestroy = Driver::timestampDestroy;
    o.timestampRecord = Driver::timestampRecord;
    o.timestampElapsed = Driver::timestampElapsed;
    o.tileEncode = V::tileEncode;
    o.contextKind = V::contextKind;
    o.queueKind = V::streamKind;
    return o;
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
