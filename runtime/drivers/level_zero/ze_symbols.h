//===- ze_symbols.h - what we use of the Level Zero loader ----------------===//
//
// Read as cuda_symbols.h is; all results are ze_result_t.
//
//===----------------------------------------------------------------------===//
IST_REQUIRED(int, Init, zeInit, (unsigned), "1.0")
IST_REQUIRED(int, DriverGet, zeDriverGet, (uint32_t *, void **), "1.0")
IST_REQUIRED(int, DriverGetApiVersion, zeDriverGetApiVersion,
             (void *, uint32_t *), "1.0")
IST_REQUIRED(int, DeviceGet, zeDeviceGet, (void *, uint32_t *, void **), "1.0")
IST_REQUIRED(int, DeviceGetProperties, zeDeviceGetProperties, (void *, void *),
             "1.0")
IST_REQUIRED(int, DeviceGetComputeProperties, zeDeviceGetComputeProperties,
             (void *, void *), "1.0")
IST_REQUIRED(int, DeviceGetModuleProperties, zeDeviceGetModuleProperties,
             (void *, void *), "1.0")
IST_REQUIRED(int, DeviceGetMemoryProperties, zeDeviceGetMemoryProperties,
             (void *, uint32_t *, void *), "1.0")
IST_REQUIRED(int, ContextCreate, zeContextCreate,
             (void *, const void *, void **), "1.0")
IST_REQUIRED(int, ContextDestroy, zeContextDestroy, (void *), "1.0")
IST_REQUIRED(int, MemAllocDevice, zeMemAllocDevice,
             (void *, const void *, size_t, size_t, void *, void **), "1.0")
IST_REQUIRED(int, MemAllocHost, zeMemAllocHost,
             (void *, const void *, size_t, size_t, void **), "1.0")
IST_REQUIRED(int, MemFree, zeMemFree, (void *, void *), "1.0")
IST_REQUIRED(int, MemGetAllocProperties, zeMemGetAllocProperties,
             (void *, const void *, void *, void **), "1.0")
IST_REQUIRED(int, MemGetAddressRange, zeMemGetAddressRange,
             (void *, const void *, void **, size_t *), "1.0")
IST_REQUIRED(int, CommandListCreateImmediate, zeCommandListCreateImmediate,
             (void *, void *, const void *, void **), "1.0")
IST_REQUIRED(int, CommandListDestroy, zeCommandListDestroy, (void *), "1.0")
IST_REQUIRED(int, AppendBarrier, zeCommandListAppendBarrier,
             (void *, void *, uint32_t, void **), "1.0")
IST_REQUIRED(int, AppendMemoryCopy, zeCommandListAppendMemoryCopy,
             (void *, void *, const void *, size_t, void *, uint32_t, void **),
             "1.0")
IST_REQUIRED(int, AppendMemoryFill, zeCommandListAppendMemoryFill,
             (void *, void *, const void *, size_t, size_t, void *, uint32_t,
              void **),
             "1.0")
IST_REQUIRED(int, AppendLaunchKernel, zeCommandListAppendLaunchKernel,
             (void *, void *, const void *, void *, uint32_t, void **), "1.0")
IST_REQUIRED(int, AppendMemoryCopyFromContext,
             zeCommandListAppendMemoryCopyFromContext,
             (void *, void *, void *, const void *, size_t, void *, uint32_t,
              void **),
             "1.0")
IST_REQUIRED(int, AppendWriteGlobalTimestamp,
             zeCommandListAppendWriteGlobalTimestamp,
             (void *, uint64_t *, void *, uint32_t, void **), "1.0")
IST_REQUIRED(int, DeviceCanAccessPeer, zeDeviceCanAccessPeer,
             (void *, void *, unsigned char *), "1.0")
IST_REQUIRED(int, EventPoolCreate, zeEventPoolCreate,
             (void *, const void *, uint32_t, void **, void **), "1.0")
IST_REQUIRED(int, EventPoolDestroy, zeEventPoolDestroy, (void *), "1.0")
IST_REQUIRED(int, EventCreate, zeEventCreate, (void *, const void *, void **),
             "1.0")
IST_REQUIRED(int, EventDestroy, zeEventDestroy, (void *), "1.0")
IST_REQUIRED(int, EventHostReset, zeEventHostReset, (void *), "1.0")
IST_REQUIRED(int, EventQueryStatus, zeEventQueryStatus, (void *), "1.0")
IST_REQUIRED(int, EventHostSynchronize, zeEventHostSynchronize,
             (void *, uint64_t), "1.0")
IST_REQUIRED(int, ModuleCreate, zeModuleCreate,
             (void *, void *, const void *, void **, void **), "1.0")
IST_REQUIRED(int, ModuleDestroy, zeModuleDestroy, (void *), "1.0")
IST_REQUIRED(int, BuildLogGetString, zeModuleBuildLogGetString,
             (void *, size_t *, char *), "1.0")
IST_REQUIRED(int, BuildLogDestroy, zeModuleBuildLogDestroy, (void *), "1.0")
IST_REQUIRED(int, KernelCreate, zeKernelCreate, (void *, const void *, void **),
             "1.0")
IST_REQUIRED(int, KernelDestroy, zeKernelDestroy, (void *), "1.0")
IST_REQUIRED(int, KernelGetProperties, zeKernelGetProperties, (void *, void *),
             "1.0")
IST_REQUIRED(int, KernelSetGroupSize, zeKernelSetGroupSize,
             (void *, uint32_t, uint32_t, uint32_t), "1.0")
IST_REQUIRED(int, KernelSetArgumentValue, zeKernelSetArgumentValue,
             (void *, uint32_t, size_t, const void *), "1.0")
IST_OPTIONAL(int, DevicePciGetProperties, zeDevicePciGetPropertiesExt,
             (void *, void *), "1.4")
#undef IST_REQUIRED
#undef IST_OPTIONAL
