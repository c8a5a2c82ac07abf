//===- ze_header_test.cpp - our tables against Level Zero's header --------===//
#include "level_zero.h" // ours
#include "symbols_test.h"

#include <level_zero/ze_api.h>

using namespace isthmus;

namespace {
#define IST_REQUIRED(result, name, symbol, parameters, since)                  \
  static_assert(sameAbi<result(*) parameters, decltype(&::symbol)>, #symbol);
#define IST_OPTIONAL IST_REQUIRED
#include "ze_symbols.h"

static_assert(sizeof(ze::DeviceProperties) == sizeof(ze_device_properties_t));
SAME_PLACE(ze::DeviceProperties, maxAlloc, ze_device_properties_t,
           maxMemAllocSize)
SAME_PLACE(ze::DeviceProperties, timer, ze_device_properties_t, timerResolution)
SAME_PLACE(ze::DeviceProperties, timestampBits, ze_device_properties_t,
           timestampValidBits)
SAME_PLACE(ze::DeviceProperties, uuid, ze_device_properties_t, uuid)
SAME_PLACE(ze::DeviceProperties, name, ze_device_properties_t, name)
#ifdef ZE_DEVICE_IP_VERSION_EXT_NAME // of a later header than Debian's
static_assert(sizeof(ze::IpVersion) == sizeof(ze_device_ip_version_ext_t));
static_assert(ZE_STRUCTURE_TYPE_DEVICE_IP_VERSION_EXT == 0x1000f);
#endif
static_assert(sizeof(ze::PciProperties) == sizeof(ze_pci_ext_properties_t));
SAME_PLACE(ze::PciProperties, bus, ze_pci_ext_properties_t, address.bus)
static_assert(ZE_STRUCTURE_TYPE_PCI_EXT_PROPERTIES == 0x10008);
static_assert(sizeof(ze::ComputeProperties) ==
              sizeof(ze_device_compute_properties_t));
SAME_PLACE(ze::ComputeProperties, groupCount, ze_device_compute_properties_t,
           maxGroupCountX)
SAME_PLACE(ze::ComputeProperties, localBytes, ze_device_compute_properties_t,
           maxSharedLocalMemory)
static_assert(sizeof(ze::ModuleProperties) ==
              sizeof(ze_device_module_properties_t));
SAME_PLACE(ze::ModuleProperties, flags, ze_device_module_properties_t, flags)
static_assert(sizeof(ze::MemoryProperties) ==
              sizeof(ze_device_memory_properties_t));
SAME_PLACE(ze::MemoryProperties, bytes, ze_device_memory_properties_t,
           totalSize)
static_assert(sizeof(ze::ContextDesc) == sizeof(ze_context_desc_t));
static_assert(sizeof(ze::QueueDesc) == sizeof(ze_command_queue_desc_t));
SAME_PLACE(ze::QueueDesc, flags, ze_command_queue_desc_t, flags)
SAME_PLACE(ze::QueueDesc, mode, ze_command_queue_desc_t, mode)
static_assert(sizeof(ze::EventPoolDesc) == sizeof(ze_event_pool_desc_t));
SAME_PLACE(ze::EventPoolDesc, count, ze_event_pool_desc_t, count)
static_assert(sizeof(ze::EventDesc) == sizeof(ze_event_desc_t));
SAME_PLACE(ze::EventDesc, signal, ze_event_desc_t, signal)
static_assert(sizeof(ze::DeviceAllocDesc) ==
              sizeof(ze_device_mem_alloc_desc_t));
static_assert(sizeof(ze::HostAllocDesc) == sizeof(ze_host_mem_alloc_desc_t));
static_assert(sizeof(ze::AllocProperties) ==
              sizeof(ze_memory_allocation_properties_t));
SAME_PLACE(ze::AllocProperties, type, ze_memory_allocation_properties_t, type)
static_assert(sizeof(ze::ModuleDesc) == sizeof(ze_module_desc_t));
SAME_PLACE(ze::ModuleDesc, code, ze_module_desc_t, pInputModule)
static_assert(sizeof(ze::KernelDesc) == sizeof(ze_kernel_desc_t));
SAME_PLACE(ze::KernelDesc, name, ze_kernel_desc_t, pKernelName)
static_assert(sizeof(ze::KernelProperties) == sizeof(ze_kernel_properties_t));
SAME_PLACE(ze::KernelProperties, localBytes, ze_kernel_properties_t,
           localMemSize)
static_assert(sizeof(ze::GroupCount) == sizeof(ze_group_count_t));

TEST(Symbols, LevelZeroNumbers) {
  EXPECT_EQ(ze::DeviceProperties().head.type,
            ZE_STRUCTURE_TYPE_DEVICE_PROPERTIES);
  EXPECT_EQ(ze::ComputeProperties().head.type,
            ZE_STRUCTURE_TYPE_DEVICE_COMPUTE_PROPERTIES);
  EXPECT_EQ(ze::ModuleProperties().head.type,
            ZE_STRUCTURE_TYPE_DEVICE_MODULE_PROPERTIES);
  EXPECT_EQ(ze::MemoryProperties().head.type,
            ZE_STRUCTURE_TYPE_DEVICE_MEMORY_PROPERTIES);
  EXPECT_EQ(ze::ContextDesc().head.type, ZE_STRUCTURE_TYPE_CONTEXT_DESC);
  EXPECT_EQ(ze::QueueDesc().head.type, ZE_STRUCTURE_TYPE_COMMAND_QUEUE_DESC);
  EXPECT_EQ(ze::QueueDesc().mode, ZE_COMMAND_QUEUE_MODE_ASYNCHRONOUS);
  EXPECT_EQ(ze::EventPoolDesc().head.type, ZE_STRUCTURE_TYPE_EVENT_POOL_DESC);
  EXPECT_EQ(ze::EventPoolDesc().flags, ZE_EVENT_POOL_FLAG_HOST_VISIBLE);
  EXPECT_EQ(ze::EventDesc().head.type, ZE_STRUCTURE_TYPE_EVENT_DESC);
  EXPECT_EQ(ze::EventDesc().signal, ZE_EVENT_SCOPE_FLAG_HOST);
  EXPECT_EQ(ze::DeviceAllocDesc().head.type,
            ZE_STRUCTURE_TYPE_DEVICE_MEM_ALLOC_DESC);
  EXPECT_EQ(ze::HostAllocDesc().head.type,
            ZE_STRUCTURE_TYPE_HOST_MEM_ALLOC_DESC);
  EXPECT_EQ(ze::AllocProperties().head.type,
            ZE_STRUCTURE_TYPE_MEMORY_ALLOCATION_PROPERTIES);
  EXPECT_EQ(ze::ModuleDesc().head.type, ZE_STRUCTURE_TYPE_MODULE_DESC);
  EXPECT_EQ(ze::KernelDesc().head.type, ZE_STRUCTURE_TYPE_KERNEL_DESC);
  EXPECT_EQ(ze::KernelProperties().head.type,
            ZE_STRUCTURE_TYPE_KERNEL_PROPERTIES);
  EXPECT_EQ(ze::kLost, ZE_RESULT_ERROR_DEVICE_LOST);
  EXPECT_EQ(ze::kNotReady, ZE_RESULT_NOT_READY);
}
} // namespace
