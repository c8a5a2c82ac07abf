//===- hip_symbols.h - what we use of libamdhip64 -------------------------===//
//
// Read as cuda_symbols.h is; names are the same where the meaning is.
//
//===----------------------------------------------------------------------===//
IST_REQUIRED(int, Init, hipInit, (unsigned), "ROCm 2.0")
IST_REQUIRED(int, DriverGetVersion, hipDriverGetVersion, (int *), "ROCm 2.0")
IST_REQUIRED(int, DeviceGetCount, hipGetDeviceCount, (int *), "ROCm 2.0")
IST_REQUIRED(int, DeviceGetName, hipDeviceGetName, (char *, int, int),
             "ROCm 2.0")
IST_REQUIRED(int, DeviceGetAttribute, hipDeviceGetAttribute, (int *, int, int),
             "ROCm 2.0")
IST_REQUIRED(int, DeviceTotalMem, hipDeviceTotalMem, (size_t *, int),
             "ROCm 2.0")
IST_OPTIONAL(int, DeviceGetUuid, hipDeviceGetUuid, (void *, int), "ROCm 5.2")
IST_REQUIRED(int, DeviceGetPCIBusId, hipDeviceGetPCIBusId, (char *, int, int),
             "ROCm 2.0")
// The struct's layout is in the name; the older library has only the older.
IST_OPTIONAL(int, GetDeviceProperties6, hipGetDevicePropertiesR0600,
             (void *, int), "ROCm 6.0")
IST_OPTIONAL(int, GetDeviceProperties5, hipGetDeviceProperties, (void *, int),
             "ROCm 2.0")
IST_REQUIRED(int, GetDevice, hipGetDevice, (int *), "ROCm 2.0")
IST_REQUIRED(int, SetDevice, hipSetDevice, (int), "ROCm 2.0")
IST_REQUIRED(int, MemGetInfo, hipMemGetInfo, (size_t *, size_t *), "ROCm 2.0")
IST_REQUIRED(int, MemAlloc, hipMalloc, (uint64_t *, size_t), "ROCm 2.0")
IST_REQUIRED(int, MemFree, hipFree, (uint64_t), "ROCm 2.0")
IST_REQUIRED(int, HostAlloc, hipHostMalloc, (void **, size_t, unsigned),
             "ROCm 2.0")
IST_REQUIRED(int, HostFree, hipHostFree, (void *), "ROCm 2.0")
IST_REQUIRED(int, HostRegister, hipHostRegister, (void *, size_t, unsigned),
             "ROCm 2.0")
IST_REQUIRED(int, HostUnregister, hipHostUnregister, (void *), "ROCm 2.0")
IST_REQUIRED(int, HostGetDevicePointer, hipHostGetDevicePointer,
             (uint64_t *, void *, unsigned), "ROCm 2.0")
IST_REQUIRED(int, MemGetAddressRange, hipMemGetAddressRange,
             (uint64_t *, size_t *, uint64_t), "ROCm 2.0")
IST_REQUIRED(int, PointerGetAttribute, hipPointerGetAttribute,
             (void *, int, uint64_t), "ROCm 5.0")
IST_REQUIRED(int, StreamCreate, hipStreamCreateWithFlags, (void **, unsigned),
             "ROCm 2.0")
IST_REQUIRED(int, StreamDestroy, hipStreamDestroy, (void *), "ROCm 2.0")
IST_REQUIRED(int, StreamSynchronize, hipStreamSynchronize, (void *), "ROCm 2.0")
IST_REQUIRED(int, StreamWaitEvent, hipStreamWaitEvent,
             (void *, void *, unsigned), "ROCm 2.0")
IST_REQUIRED(int, StreamIsCapturing, hipStreamIsCapturing, (void *, int *),
             "ROCm 4.3")
IST_OPTIONAL(int, ExchangeCaptureMode, hipThreadExchangeStreamCaptureMode,
             (int *), "ROCm 5.2")
IST_REQUIRED(int, EventCreate, hipEventCreateWithFlags, (void **, unsigned),
             "ROCm 2.0")
IST_REQUIRED(int, EventDestroy, hipEventDestroy, (void *), "ROCm 2.0")
IST_REQUIRED(int, EventRecord, hipEventRecord, (void *, void *), "ROCm 2.0")
IST_REQUIRED(int, EventQuery, hipEventQuery, (void *), "ROCm 2.0")
IST_REQUIRED(int, EventSynchronize, hipEventSynchronize, (void *), "ROCm 2.0")
IST_REQUIRED(int, MemcpyAsync, hipMemcpyAsync,
             (uint64_t, uint64_t, size_t, int, void *), "ROCm 2.0")
IST_REQUIRED(int, MemsetD8Async, hipMemsetD8Async,
             (uint64_t, unsigned char, size_t, void *), "ROCm 3.0")
IST_REQUIRED(int, LaunchKernel, hipModuleLaunchKernel,
             (void *, unsigned, unsigned, unsigned, unsigned, unsigned,
              unsigned, unsigned, void *, void **, void **),
             "ROCm 2.0")
IST_REQUIRED(int, ModuleLoadData, hipModuleLoadData, (void **, const void *),
             "ROCm 2.0")
IST_REQUIRED(int, ModuleUnload, hipModuleUnload, (void *), "ROCm 2.0")
IST_REQUIRED(int, ModuleGetFunction, hipModuleGetFunction,
             (void **, void *, const char *), "ROCm 2.0")
IST_REQUIRED(int, FuncGetAttribute, hipFuncGetAttribute, (int *, int, void *),
             "ROCm 3.0")
// Extensions.
IST_OPTIONAL(int, MemAllocAsync, hipMallocAsync, (uint64_t *, size_t, void *),
             "ROCm 5.2")
IST_OPTIONAL(int, MemFreeAsync, hipFreeAsync, (uint64_t, void *), "ROCm 5.2")
IST_OPTIONAL(int, MemcpyPeerAsync, hipMemcpyPeerAsync,
             (uint64_t, int, uint64_t, int, size_t, void *), "ROCm 2.0")
IST_OPTIONAL(int, EventElapsedTime, hipEventElapsedTime,
             (float *, void *, void *), "ROCm 2.0")
// Recordings need all of these.
IST_OPTIONAL(int, GraphCreate, hipGraphCreate, (void **, unsigned), "ROCm 4.3")
IST_OPTIONAL(int, GraphDestroy, hipGraphDestroy, (void *), "ROCm 4.3")
IST_OPTIONAL(int, GraphAddKernelNode, hipGraphAddKernelNode,
             (void **, void *, void *const *, size_t, const void *), "ROCm 4.3")
IST_OPTIONAL(int, GraphAddMemcpyNode, hipGraphAddMemcpyNode1D,
             (void **, void *, void *const *, size_t, uint64_t, uint64_t,
              size_t, int),
             "ROCm 5.0")
IST_OPTIONAL(int, GraphAddMemsetNode, hipGraphAddMemsetNode,
             (void **, void *, void *const *, size_t, const void *), "ROCm 4.3")
IST_OPTIONAL(int, GraphInstantiate, hipGraphInstantiateWithFlags,
             (void **, void *, unsigned long long), "ROCm 5.0")
IST_OPTIONAL(int, GraphExecDestroy, hipGraphExecDestroy, (void *), "ROCm 4.3")
IST_OPTIONAL(int, GraphLaunch, hipGraphLaunch, (void *, void *), "ROCm 4.3")
IST_OPTIONAL(int, GraphExecKernelNodeSetParams, hipGraphExecKernelNodeSetParams,
             (void *, void *, const void *), "ROCm 5.0")
IST_OPTIONAL(int, GraphExecMemcpyNodeSetParams,
             hipGraphExecMemcpyNodeSetParams1D,
             (void *, void *, uint64_t, uint64_t, size_t, int), "ROCm 5.2")
IST_OPTIONAL(int, GraphExecMemsetNodeSetParams, hipGraphExecMemsetNodeSetParams,
             (void *, void *, const void *), "ROCm 5.0")
IST_REQUIRED(const char *, GetErrorName, hipGetErrorName, (int), "ROCm 2.0")
IST_REQUIRED(const char *, GetErrorString, hipGetErrorString, (int), "ROCm 2.0")
#undef IST_REQUIRED
#undef IST_OPTIONAL
