//===- cuda_symbols.h - what we use of libcuda ----------------------------===//
//
// Define IST_REQUIRED and IST_OPTIONAL, then include; no guard.
//   (result, our name, exported symbol, parameters, version that brought it)
// Types are by ABI: handles are void *, enums int, addresses uint64_t. A test
// compares the table with the headers of the vendor where there are any;
// fakes are made of it.
//
//===----------------------------------------------------------------------===//
IST_REQUIRED(int, Init, cuInit, (unsigned), "CUDA 2.0")
IST_REQUIRED(int, DriverGetVersion, cuDriverGetVersion, (int *), "CUDA 2.2")
IST_REQUIRED(int, GetErrorName, cuGetErrorName, (int, const char **),
             "CUDA 6.0")
IST_REQUIRED(int, GetErrorString, cuGetErrorString, (int, const char **),
             "CUDA 6.0")
IST_REQUIRED(int, DeviceGetCount, cuDeviceGetCount, (int *), "CUDA 2.0")
IST_REQUIRED(int, DeviceGet, cuDeviceGet, (int *, int), "CUDA 2.0")
IST_REQUIRED(int, DeviceGetName, cuDeviceGetName, (char *, int, int),
             "CUDA 2.0")
IST_REQUIRED(int, DeviceGetAttribute, cuDeviceGetAttribute, (int *, int, int),
             "CUDA 2.0")
IST_REQUIRED(int, DeviceTotalMem, cuDeviceTotalMem_v2, (size_t *, int),
             "CUDA 3.2")
IST_OPTIONAL(int, DeviceGetUuid, cuDeviceGetUuid_v2, (void *, int), "CUDA 11.4")
IST_REQUIRED(int, DeviceGetPCIBusId, cuDeviceGetPCIBusId, (char *, int, int),
             "CUDA 4.1")
IST_REQUIRED(int, PrimaryCtxRetain, cuDevicePrimaryCtxRetain, (void **, int),
             "CUDA 7.0")
IST_REQUIRED(int, PrimaryCtxRelease, cuDevicePrimaryCtxRelease_v2, (int),
             "CUDA 11.0")
IST_REQUIRED(int, CtxGetCurrent, cuCtxGetCurrent, (void **), "CUDA 4.0")
IST_REQUIRED(int, CtxPushCurrent, cuCtxPushCurrent_v2, (void *), "CUDA 4.0")
IST_REQUIRED(int, CtxPopCurrent, cuCtxPopCurrent_v2, (void **), "CUDA 4.0")
IST_REQUIRED(int, CtxGetDevice, cuCtxGetDevice, (int *), "CUDA 2.0")
IST_REQUIRED(int, MemGetInfo, cuMemGetInfo_v2, (size_t *, size_t *), "CUDA 3.2")
IST_REQUIRED(int, MemAlloc, cuMemAlloc_v2, (uint64_t *, size_t), "CUDA 3.2")
IST_REQUIRED(int, MemFree, cuMemFree_v2, (uint64_t), "CUDA 3.2")
IST_REQUIRED(int, HostAlloc, cuMemHostAlloc, (void **, size_t, unsigned),
             "CUDA 2.2")
IST_REQUIRED(int, HostFree, cuMemFreeHost, (void *), "CUDA 2.0")
IST_REQUIRED(int, HostRegister, cuMemHostRegister_v2,
             (void *, size_t, unsigned), "CUDA 6.5")
IST_REQUIRED(int, HostUnregister, cuMemHostUnregister, (void *), "CUDA 4.0")
IST_REQUIRED(int, HostGetDevicePointer, cuMemHostGetDevicePointer_v2,
             (uint64_t *, void *, unsigned), "CUDA 3.2")
IST_REQUIRED(int, MemGetAddressRange, cuMemGetAddressRange_v2,
             (uint64_t *, size_t *, uint64_t), "CUDA 3.2")
IST_REQUIRED(int, PointerGetAttribute, cuPointerGetAttribute,
             (void *, int, uint64_t), "CUDA 4.0")
IST_REQUIRED(int, StreamCreate, cuStreamCreate, (void **, unsigned), "CUDA 2.0")
IST_REQUIRED(int, StreamDestroy, cuStreamDestroy_v2, (void *), "CUDA 4.0")
IST_REQUIRED(int, StreamSynchronize, cuStreamSynchronize, (void *), "CUDA 2.0")
IST_REQUIRED(int, StreamWaitEvent, cuStreamWaitEvent,
             (void *, void *, unsigned), "CUDA 3.2")
IST_REQUIRED(int, StreamIsCapturing, cuStreamIsCapturing, (void *, int *),
             "CUDA 10.0")
IST_OPTIONAL(int, StreamGetCtx, cuStreamGetCtx, (void *, void **), "CUDA 9.2")
IST_OPTIONAL(int, ExchangeCaptureMode, cuThreadExchangeStreamCaptureMode,
             (int *), "CUDA 10.1")
IST_REQUIRED(int, EventCreate, cuEventCreate, (void **, unsigned), "CUDA 2.0")
IST_REQUIRED(int, EventDestroy, cuEventDestroy_v2, (void *), "CUDA 4.0")
IST_REQUIRED(int, EventRecord, cuEventRecord, (void *, void *), "CUDA 2.0")
IST_REQUIRED(int, EventQuery, cuEventQuery, (void *), "CUDA 2.0")
IST_REQUIRED(int, EventSynchronize, cuEventSynchronize, (void *), "CUDA 2.0")
IST_REQUIRED(int, MemcpyAsync, cuMemcpyAsync,
             (uint64_t, uint64_t, size_t, void *), "CUDA 4.0")
IST_REQUIRED(int, MemsetD8Async, cuMemsetD8Async,
             (uint64_t, unsigned char, size_t, void *), "CUDA 3.2")
IST_REQUIRED(int, LaunchKernel, cuLaunchKernel,
             (void *, unsigned, unsigned, unsigned, unsigned, unsigned,
              unsigned, unsigned, void *, void **, void **),
             "CUDA 4.0")
IST_OPTIONAL(int, LaunchKernelEx, cuLaunchKernelEx,
             (const void *, void *, void **, void **), "CUDA 11.8")
IST_REQUIRED(int, ModuleLoadDataEx, cuModuleLoadDataEx,
             (void **, const void *, unsigned, int *, void **), "CUDA 2.1")
IST_REQUIRED(int, ModuleUnload, cuModuleUnload, (void *), "CUDA 2.0")
IST_REQUIRED(int, ModuleGetFunction, cuModuleGetFunction,
             (void **, void *, const char *), "CUDA 2.0")
IST_REQUIRED(int, FuncGetAttribute, cuFuncGetAttribute, (int *, int, void *),
             "CUDA 2.2")
IST_REQUIRED(int, FuncSetAttribute, cuFuncSetAttribute, (void *, int, int),
             "CUDA 9.0")
IST_OPTIONAL(int, FuncLoad, cuFuncLoad, (void *), "CUDA 12.4")
IST_REQUIRED(int, LinkCreate, cuLinkCreate_v2,
             (unsigned, int *, void **, void **), "CUDA 6.5")
IST_REQUIRED(int, LinkAddData, cuLinkAddData_v2,
             (void *, int, void *, size_t, const char *, unsigned, int *,
              void **),
             "CUDA 6.5")
IST_REQUIRED(int, LinkComplete, cuLinkComplete, (void *, void **, size_t *),
             "CUDA 5.5")
IST_REQUIRED(int, LinkDestroy, cuLinkDestroy, (void *), "CUDA 5.5")
// Extensions.
IST_OPTIONAL(int, MemAllocAsync, cuMemAllocAsync, (uint64_t *, size_t, void *),
             "CUDA 11.2")
IST_OPTIONAL(int, MemFreeAsync, cuMemFreeAsync, (uint64_t, void *), "CUDA 11.2")
IST_OPTIONAL(int, MemcpyPeerAsync, cuMemcpyPeerAsync,
             (uint64_t, void *, uint64_t, void *, size_t, void *), "CUDA 4.0")
IST_OPTIONAL(int, EventElapsedTime, cuEventElapsedTime,
             (float *, void *, void *), "CUDA 2.0")
IST_OPTIONAL(int, TensorMapEncodeTiled, cuTensorMapEncodeTiled,
             (void *, int, uint32_t, void *, const uint64_t *, const uint64_t *,
              const uint32_t *, const uint32_t *, int, int, int, int),
             "CUDA 12.0")
// Recordings need all of these.
IST_OPTIONAL(int, GraphCreate, cuGraphCreate, (void **, unsigned), "CUDA 10.0")
IST_OPTIONAL(int, GraphDestroy, cuGraphDestroy, (void *), "CUDA 10.0")
IST_OPTIONAL(int, GraphAddKernelNode, cuGraphAddKernelNode_v2,
             (void **, void *, void *const *, size_t, const void *),
             "CUDA 12.0")
IST_OPTIONAL(int, GraphAddMemcpyNode, cuGraphAddMemcpyNode,
             (void **, void *, void *const *, size_t, const void *, void *),
             "CUDA 10.0")
IST_OPTIONAL(int, GraphAddMemsetNode, cuGraphAddMemsetNode,
             (void **, void *, void *const *, size_t, const void *, void *),
             "CUDA 10.0")
IST_OPTIONAL(int, GraphInstantiate, cuGraphInstantiateWithFlags,
             (void **, void *, unsigned long long), "CUDA 11.4")
IST_OPTIONAL(int, GraphExecDestroy, cuGraphExecDestroy, (void *), "CUDA 10.0")
IST_OPTIONAL(int, GraphLaunch, cuGraphLaunch, (void *, void *), "CUDA 10.0")
IST_OPTIONAL(int, GraphExecKernelNodeSetParams,
             cuGraphExecKernelNodeSetParams_v2, (void *, void *, const void *),
             "CUDA 12.0")
IST_OPTIONAL(int, GraphExecMemcpyNodeSetParams, cuGraphExecMemcpyNodeSetParams,
             (void *, void *, const void *, void *), "CUDA 10.2")
IST_OPTIONAL(int, GraphExecMemsetNodeSetParams, cuGraphExecMemsetNodeSetParams,
             (void *, void *, const void *, void *), "CUDA 10.2")
#undef IST_REQUIRED
#undef IST_OPTIONAL
