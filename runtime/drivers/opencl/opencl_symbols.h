//===- opencl_symbols.h - what we use of an OpenCL library ----------------===//
//
// Read as cuda_symbols.h is. Functions of extensions are not exported but asked
// for; they come second.
//
//===----------------------------------------------------------------------===//
#ifdef IST_REQUIRED
IST_REQUIRED(int, GetPlatformIDs, clGetPlatformIDs,
             (unsigned, void **, unsigned *), "OpenCL 1.0")
IST_REQUIRED(int, GetDeviceIDs, clGetDeviceIDs,
             (void *, uint64_t, unsigned, void **, unsigned *), "OpenCL 1.0")
IST_REQUIRED(int, GetDeviceInfo, clGetDeviceInfo,
             (void *, unsigned, size_t, void *, size_t *), "OpenCL 1.0")
IST_REQUIRED(void *, CreateContext, clCreateContext,
             (const intptr_t *, unsigned, void *const *,
              void (*)(const char *, const void *, size_t, void *), void *,
              int *),
             "OpenCL 1.0")
IST_REQUIRED(int, GetContextInfo, clGetContextInfo,
             (void *, unsigned, size_t, void *, size_t *), "OpenCL 1.0")
IST_REQUIRED(int, ReleaseContext, clReleaseContext, (void *), "OpenCL 1.0")
IST_REQUIRED(void *, CreateCommandQueue, clCreateCommandQueueWithProperties,
             (void *, void *, const uint64_t *, int *), "OpenCL 2.0")
IST_REQUIRED(int, GetCommandQueueInfo, clGetCommandQueueInfo,
             (void *, unsigned, size_t, void *, size_t *), "OpenCL 1.0")
IST_REQUIRED(int, ReleaseCommandQueue, clReleaseCommandQueue, (void *),
             "OpenCL 1.0")
IST_REQUIRED(int, Flush, clFlush, (void *), "OpenCL 1.0")
IST_REQUIRED(int, Finish, clFinish, (void *), "OpenCL 1.0")
IST_REQUIRED(void *, CreateProgramWithIL, clCreateProgramWithIL,
             (void *, const void *, size_t, int *), "OpenCL 2.1")
IST_REQUIRED(int, BuildProgram, clBuildProgram,
             (void *, unsigned, void *const *, const char *,
              void (*)(void *, void *), void *),
             "OpenCL 1.0")
IST_REQUIRED(int, GetProgramBuildInfo, clGetProgramBuildInfo,
             (void *, void *, unsigned, size_t, void *, size_t *), "OpenCL 1.0")
IST_REQUIRED(int, ReleaseProgram, clReleaseProgram, (void *), "OpenCL 1.0")
IST_REQUIRED(void *, CreateKernel, clCreateKernel,
             (void *, const char *, int *), "OpenCL 1.0")
IST_REQUIRED(int, ReleaseKernel, clReleaseKernel, (void *), "OpenCL 1.0")
IST_REQUIRED(int, GetKernelInfo, clGetKernelInfo,
             (void *, unsigned, size_t, void *, size_t *), "OpenCL 1.0")
IST_REQUIRED(int, GetKernelWorkGroupInfo, clGetKernelWorkGroupInfo,
             (void *, void *, unsigned, size_t, void *, size_t *), "OpenCL 1.0")
IST_REQUIRED(int, SetKernelArg, clSetKernelArg,
             (void *, unsigned, size_t, const void *), "OpenCL 1.0")
IST_REQUIRED(int, SetKernelArgSVM, clSetKernelArgSVMPointer,
             (void *, unsigned, const void *), "OpenCL 2.0")
IST_REQUIRED(int, EnqueueKernel, clEnqueueNDRangeKernel,
             (void *, void *, unsigned, const size_t *, const size_t *,
              const size_t *, unsigned, void *const *, void **),
             "OpenCL 1.0")
IST_REQUIRED(int, EnqueueMarker, clEnqueueMarkerWithWaitList,
             (void *, unsigned, void *const *, void **), "OpenCL 1.2")
IST_REQUIRED(int, EnqueueBarrier, clEnqueueBarrierWithWaitList,
             (void *, unsigned, void *const *, void **), "OpenCL 1.2")
IST_REQUIRED(int, GetEventInfo, clGetEventInfo,
             (void *, unsigned, size_t, void *, size_t *), "OpenCL 1.0")
IST_REQUIRED(int, WaitForEvents, clWaitForEvents, (unsigned, void *const *),
             "OpenCL 1.0")
IST_REQUIRED(int, ReleaseEvent, clReleaseEvent, (void *), "OpenCL 1.0")
IST_REQUIRED(void *, SVMAlloc, clSVMAlloc, (void *, uint64_t, size_t, unsigned),
             "OpenCL 2.0")
IST_REQUIRED(void, SVMFree, clSVMFree, (void *, void *), "OpenCL 2.0")
IST_REQUIRED(int, EnqueueSVMMemcpy, clEnqueueSVMMemcpy,
             (void *, unsigned, void *, const void *, size_t, unsigned,
              void *const *, void **),
             "OpenCL 2.0")
IST_REQUIRED(int, EnqueueSVMMemFill, clEnqueueSVMMemFill,
             (void *, void *, const void *, size_t, size_t, unsigned,
              void *const *, void **),
             "OpenCL 2.0")
IST_REQUIRED(void *, GetExtensionFunction,
             clGetExtensionFunctionAddressForPlatform, (void *, const char *),
             "OpenCL 1.2")
#undef IST_REQUIRED
#endif
#ifdef IST_EXTENSION
// cl_intel_unified_shared_memory
IST_EXTENSION(void *, HostMemAlloc, clHostMemAllocINTEL,
              (void *, const uint64_t *, size_t, unsigned, int *))
IST_EXTENSION(void *, DeviceMemAlloc, clDeviceMemAllocINTEL,
              (void *, void *, const uint64_t *, size_t, unsigned, int *))
IST_EXTENSION(int, MemFree, clMemFreeINTEL, (void *, void *))
IST_EXTENSION(int, GetMemAllocInfo, clGetMemAllocInfoINTEL,
              (void *, const void *, unsigned, size_t, void *, size_t *))
IST_EXTENSION(int, SetKernelArgMemPointer, clSetKernelArgMemPointerINTEL,
              (void *, unsigned, const void *))
IST_EXTENSION(int, EnqueueMemFill, clEnqueueMemFillINTEL,
              (void *, void *, const void *, size_t, size_t, unsigned,
               void *const *, void **))
IST_EXTENSION(int, EnqueueMemcpy, clEnqueueMemcpyINTEL,
              (void *, unsigned, void *, const void *, size_t, unsigned,
               void *const *, void **))
#undef IST_EXTENSION
#endif
