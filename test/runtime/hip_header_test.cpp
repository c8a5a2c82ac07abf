//===- hip_header_test.cpp - our table against hip_runtime_api.h ----------===//
#include "hip.h" // ours
#include "symbols_test.h"

#define __HIP_PLATFORM_AMD__ 1
#define __HIP_DISABLE_CPP_FUNCTIONS__ // overloads have no one type
#include <hip/hip_runtime_api.h>

using namespace isthmus::gpu;

// Each version of the header declares one of the two, under its own name.
#undef hipGetDeviceProperties
#undef hipDeviceProp_t
#if HIP_VERSION_MAJOR < 6
extern "C" hipError_t hipGetDevicePropertiesR0600(void *, int);
static_assert(offsetof(hipDeviceProp_t, gcnArchName) == kHipArchAt5);
static_assert(sizeof(hipDeviceProp_t) <= kHipProperties);
#else
extern "C" hipError_t hipGetDeviceProperties(void *, int);
static_assert(offsetof(hipDeviceProp_tR0600, gcnArchName) == kHipArchAt6);
static_assert(sizeof(hipDeviceProp_tR0600) <= kHipProperties);
#endif

// Its C++ header overloads this one: of the C function there is one.
extern "C" hipError_t isthmus_hipMallocAsync(void **, size_t, hipStream_t);
static_assert(static_cast<decltype(&isthmus_hipMallocAsync)>(
                  &::hipMallocAsync) != nullptr);
#define hipMallocAsync isthmus_hipMallocAsync

namespace {
#define IST_REQUIRED(result, name, symbol, parameters, since)                  \
  static_assert(sameAbi<result(*) parameters, decltype(&::symbol)>, #symbol);
#define IST_OPTIONAL IST_REQUIRED
#include "hip_symbols.h"

static_assert(sizeof(HipKernelNode) == sizeof(hipKernelNodeParams));
SAME_PLACE(HipKernelNode, function, hipKernelNodeParams, func)
SAME_PLACE(HipKernelNode, grid, hipKernelNodeParams, gridDim)
SAME_PLACE(HipKernelNode, arguments, hipKernelNodeParams, kernelParams)
SAME_PLACE(HipKernelNode, sharedBytes, hipKernelNodeParams, sharedMemBytes)
static_assert(sizeof(HipMemsetNode) == sizeof(hipMemsetParams));
SAME_PLACE(HipMemsetNode, elementSize, hipMemsetParams, elementSize)
SAME_PLACE(HipMemsetNode, value, hipMemsetParams, value)
SAME_PLACE(HipMemsetNode, width, hipMemsetParams, width)

static_assert(hipEventBlockingSync == flags::blockingSync &&
              hipEventDisableTiming == flags::disableTiming &&
              hipStreamNonBlocking == flags::nonBlocking &&
              hipHostMallocPortable == flags::portable &&
              hipHostMallocMapped == flags::mapped &&
              hipHostRegisterPortable == flags::portable &&
              hipHostRegisterMapped == flags::mapped);
static_assert(hipStreamCaptureModeRelaxed == flags::captureRelaxed &&
              HIP_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK ==
                  flags::funcMaxThreads &&
              HIP_POINTER_ATTRIBUTE_DEVICE_ORDINAL == flags::pointerDevice &&
              hipErrorNotReady == kNotReady &&
              hipMemcpyDefault == Hip::kMemcpyDefault &&
              hipErrorNotSupported == kNotSupported);

TEST(Symbols, HipAttributes) {
  EXPECT_EQ(Hip::number(Attribute::maxBlock),
            hipDeviceAttributeMaxThreadsPerBlock);
  EXPECT_EQ(Hip::number(Attribute::maxGrid), hipDeviceAttributeMaxGridDimX);
  EXPECT_EQ(Hip::number(Attribute::subgroup), hipDeviceAttributeWarpSize);
  EXPECT_EQ(Hip::number(Attribute::multiprocessors),
            hipDeviceAttributeMultiprocessorCount);
  EXPECT_EQ(Hip::number(Attribute::shared),
            hipDeviceAttributeMaxSharedMemoryPerBlock);
}
} // namespace
