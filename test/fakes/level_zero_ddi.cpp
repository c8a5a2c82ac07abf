//===- level_zero_ddi.cpp - how Level Zero's loader finds the fake --------===//
//
// The loader (ZE_ENABLE_ALT_DRIVERS) asks a driver for tables of its functions.
// Built where Level Zero's headers are.
//
//===----------------------------------------------------------------------===//
#include <level_zero/ze_api.h>
#include <level_zero/ze_ddi.h>

// The fake's functions have these names as well, by their ABI.
#define TABLE(name, type, ...)                                                 \
  extern "C" __attribute__((visibility("default")))                            \
  ze_result_t zeGet##name##ProcAddrTable(ze_api_version_t, type *t) {          \
    *t = {};                                                                   \
    __VA_ARGS__;                                                               \
    return ZE_RESULT_SUCCESS;                                                  \
  }

TABLE(Global, ze_global_dditable_t, t->pfnInit = zeInit)
TABLE(Driver, ze_driver_dditable_t, t->pfnGet = zeDriverGet,
      t->pfnGetApiVersion = zeDriverGetApiVersion)
TABLE(Device, ze_device_dditable_t, t->pfnGet = zeDeviceGet,
      t->pfnGetProperties = zeDeviceGetProperties,
      t->pfnGetComputeProperties = zeDeviceGetComputeProperties,
      t->pfnGetModuleProperties = zeDeviceGetModuleProperties,
      t->pfnGetMemoryProperties = zeDeviceGetMemoryProperties,
      t->pfnCanAccessPeer = zeDeviceCanAccessPeer,
      t->pfnPciGetPropertiesExt = zeDevicePciGetPropertiesExt)
TABLE(DeviceExp, ze_device_exp_dditable_t, )
TABLE(Context, ze_context_dditable_t, t->pfnCreate = zeContextCreate,
      t->pfnDestroy = zeContextDestroy)
TABLE(CommandQueue, ze_command_queue_dditable_t, )
TABLE(
    CommandList, ze_command_list_dditable_t,
    t->pfnCreateImmediate = zeCommandListCreateImmediate,
    t->pfnDestroy = zeCommandListDestroy,
    t->pfnAppendBarrier = zeCommandListAppendBarrier,
    t->pfnAppendMemoryCopy = zeCommandListAppendMemoryCopy,
    t->pfnAppendMemoryCopyFromContext =
        zeCommandListAppendMemoryCopyFromContext,
    t->pfnAppendWriteGlobalTimestamp = zeCommandListAppendWriteGlobalTimestamp,
    t->pfnAppendMemoryFill = zeCommandListAppendMemoryFill,
    t->pfnAppendLaunchKernel = zeCommandListAppendLaunchKernel)
TABLE(Image, ze_image_dditable_t, )
TABLE(ImageExp, ze_image_exp_dditable_t, )
TABLE(Fence, ze_fence_dditable_t, )
TABLE(EventPool, ze_event_pool_dditable_t, t->pfnCreate = zeEventPoolCreate,
      t->pfnDestroy = zeEventPoolDestroy)
TABLE(Event, ze_event_dditable_t, t->pfnCreate = zeEventCreate,
      t->pfnDestroy = zeEventDestroy, t->pfnHostReset = zeEventHostReset,
      t->pfnQueryStatus = zeEventQueryStatus,
      t->pfnHostSynchronize = zeEventHostSynchronize)
TABLE(EventExp, ze_event_exp_dditable_t, )
TABLE(Module, ze_module_dditable_t, t->pfnCreate = zeModuleCreate,
      t->pfnDestroy = zeModuleDestroy)
TABLE(ModuleBuildLog, ze_module_build_log_dditable_t,
      t->pfnDestroy = zeModuleBuildLogDestroy,
      t->pfnGetString = zeModuleBuildLogGetString)
TABLE(Kernel, ze_kernel_dditable_t, t->pfnCreate = zeKernelCreate,
      t->pfnDestroy = zeKernelDestroy,
      t->pfnSetGroupSize = zeKernelSetGroupSize,
      t->pfnSetArgumentValue = zeKernelSetArgumentValue,
      t->pfnGetProperties = zeKernelGetProperties)
TABLE(KernelExp, ze_kernel_exp_dditable_t, )
TABLE(Sampler, ze_sampler_dditable_t, )
TABLE(PhysicalMem, ze_physical_mem_dditable_t, )
TABLE(Mem, ze_mem_dditable_t, t->pfnAllocDevice = zeMemAllocDevice,
      t->pfnAllocHost = zeMemAllocHost, t->pfnFree = zeMemFree,
      t->pfnGetAllocProperties = zeMemGetAllocProperties,
      t->pfnGetAddressRange = zeMemGetAddressRange)
TABLE(VirtualMem, ze_virtual_mem_dditable_t, )
TABLE(FabricVertexExp, ze_fabric_vertex_exp_dditable_t, )
TABLE(FabricEdgeExp, ze_fabric_edge_exp_dditable_t, )

// The loader wants every table there is; of these no function is called.
#define EMPTY(name)                                                            \
  extern "C" __attribute__((visibility("default"))) ze_result_t name(          \
      ze_api_version_t, void *) {                                              \
    return ZE_RESULT_SUCCESS;                                                  \
  }
EMPTY(zesGetDeviceProcAddrTable)
EMPTY(zesGetDiagnosticsProcAddrTable)
EMPTY(zesGetDriverProcAddrTable)
EMPTY(zesGetEngineProcAddrTable)
EMPTY(zesGetFabricPortProcAddrTable)
EMPTY(zesGetFanProcAddrTable)
EMPTY(zesGetFirmwareProcAddrTable)
EMPTY(zesGetFrequencyProcAddrTable)
EMPTY(zesGetLedProcAddrTable)
EMPTY(zesGetMemoryProcAddrTable)
EMPTY(zesGetPerformanceFactorProcAddrTable)
EMPTY(zesGetPowerProcAddrTable)
EMPTY(zesGetPsuProcAddrTable)
EMPTY(zesGetRasProcAddrTable)
EMPTY(zesGetSchedulerProcAddrTable)
EMPTY(zesGetStandbyProcAddrTable)
EMPTY(zesGetTemperatureProcAddrTable)
EMPTY(zetGetCommandListProcAddrTable)
EMPTY(zetGetContextProcAddrTable)
EMPTY(zetGetDebugProcAddrTable)
EMPTY(zetGetDeviceProcAddrTable)
EMPTY(zetGetKernelProcAddrTable)
EMPTY(zetGetMetricGroupExpProcAddrTable)
EMPTY(zetGetMetricGroupProcAddrTable)
EMPTY(zetGetMetricProcAddrTable)
EMPTY(zetGetMetricQueryPoolProcAddrTable)
EMPTY(zetGetMetricQueryProcAddrTable)
EMPTY(zetGetMetricStreamerProcAddrTable)
EMPTY(zetGetModuleProcAddrTable)
EMPTY(zetGetTracerExpProcAddrTable)
