//===- cuda_header_test.cpp - our table against cuda.h --------------------===//
#include "cuda.h" // ours
#include "symbols_test.h"

#include IST_CUDA_HEADER

using namespace isthmus::gpu;

namespace {
#define IST_REQUIRED(result, name, symbol, parameters, since)                  \
  static_assert(sameAbi<result(*) parameters, decltype(&::symbol)>, #symbol);
#define IST_OPTIONAL IST_REQUIRED
#include "cuda_symbols.h"

static_assert(sizeof(CudaKernelNode) == sizeof(CUDA_KERNEL_NODE_PARAMS));
SAME_PLACE(CudaKernelNode, sharedBytes, CUDA_KERNEL_NODE_PARAMS, sharedMemBytes)
SAME_PLACE(CudaKernelNode, arguments, CUDA_KERNEL_NODE_PARAMS, kernelParams)
SAME_PLACE(CudaKernelNode, context, CUDA_KERNEL_NODE_PARAMS, ctx)
static_assert(sizeof(CudaMemsetNode) == sizeof(CUDA_MEMSET_NODE_PARAMS));
SAME_PLACE(CudaMemsetNode, value, CUDA_MEMSET_NODE_PARAMS, value)
SAME_PLACE(CudaMemsetNode, width, CUDA_MEMSET_NODE_PARAMS, width)
static_assert(sizeof(CudaCopyNode) == sizeof(CUDA_MEMCPY3D));
SAME_PLACE(CudaCopyNode, from.device, CUDA_MEMCPY3D, srcDevice)
SAME_PLACE(CudaCopyNode, from.type, CUDA_MEMCPY3D, srcMemoryType)
SAME_PLACE(CudaCopyNode, to.device, CUDA_MEMCPY3D, dstDevice)
SAME_PLACE(CudaCopyNode, to.type, CUDA_MEMCPY3D, dstMemoryType)
SAME_PLACE(CudaCopyNode, width, CUDA_MEMCPY3D, WidthInBytes)
static_assert(sizeof(CudaLaunchAttribute) == sizeof(CUlaunchAttribute));
SAME_PLACE(CudaLaunchAttribute, cluster, CUlaunchAttribute, value)
static_assert(sizeof(CudaLaunchConfig) == sizeof(CUlaunchConfig));
SAME_PLACE(CudaLaunchConfig, stream, CUlaunchConfig, hStream)
SAME_PLACE(CudaLaunchConfig, attributeCount, CUlaunchConfig, numAttrs)

static_assert(CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION == 4);
static_assert(CU_MEMORYTYPE_UNIFIED == 4 && CU_JIT_INPUT_PTX == 1);
static_assert(CU_JIT_ERROR_LOG_BUFFER == 5 &&
              CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES == 6);
static_assert(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR == 75 &&
              CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR == 76);
static_assert(CU_EVENT_BLOCKING_SYNC == flags::blockingSync &&
              CU_EVENT_DISABLE_TIMING == flags::disableTiming &&
              CU_STREAM_NON_BLOCKING == flags::nonBlocking &&
              CU_MEMHOSTALLOC_PORTABLE == flags::portable &&
              CU_MEMHOSTALLOC_DEVICEMAP == flags::mapped &&
              CU_MEMHOSTREGISTER_PORTABLE == flags::portable &&
              CU_MEMHOSTREGISTER_DEVICEMAP == flags::mapped &&
              CU_MEMHOSTREGISTER_READ_ONLY == flags::registerReadOnly &&
              CU_STREAM_CAPTURE_MODE_RELAXED == flags::captureRelaxed &&
              CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK ==
                  flags::funcMaxThreads &&
              CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES == flags::funcShared &&
              CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES ==
                  flags::funcMaxDynamicShared &&
              CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL == flags::pointerDevice &&
              CUDA_ERROR_NOT_READY == kNotReady);

TEST(Symbols, CudaAttributes) {
  EXPECT_EQ(Cuda::number(Attribute::maxBlock),
            CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
  EXPECT_EQ(Cuda::number(Attribute::maxGrid),
            CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X);
  EXPECT_EQ(Cuda::number(Attribute::subgroup), CU_DEVICE_ATTRIBUTE_WARP_SIZE);
  EXPECT_EQ(Cuda::number(Attribute::multiprocessors),
            CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
  EXPECT_EQ(Cuda::number(Attribute::shared),
            CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
  EXPECT_EQ(Cuda::number(Attribute::readOnlyImports),
            CU_DEVICE_ATTRIBUTE_READ_ONLY_HOST_REGISTER_SUPPORTED);
}
} // namespace
