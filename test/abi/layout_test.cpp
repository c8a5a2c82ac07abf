//===- layout_test.cpp - the driver table of today against version 1 ------===//
//
// All checks are made by the compiler. The snapshot is read a second time into
// a namespace of its own.
//
//===----------------------------------------------------------------------===//
#include "isthmus/driver.h"

#undef ISTHMUS_RUNTIME_H
#undef ISTHMUS_DRIVER_H
#undef IST_EXTENSION_RECORDING
#undef IST_DRIVER_ENTRY
#undef IST_HAS
namespace v1 {
#include "driver-v1/isthmus/runtime.h"
// Its own include finds the guard of the line above.
#include "driver-v1/isthmus/driver.h"
} // namespace v1

#include <gtest/gtest.h>

namespace {

#define MEMBER(type, member)                                                   \
  static_assert(offsetof(type, member) == offsetof(v1::type, member) &&        \
                    sizeof(type::member) == sizeof(v1::type::member),          \
                #type "::" #member " moved or changed its size")
/// With a struct_size: may have grown.
#define GROWS(type)                                                            \
  static_assert(sizeof(type) >= sizeof(v1::type) &&                            \
                    offsetof(type, struct_size) == 0,                          \
                #type " got smaller")
#define FIXED(type)                                                            \
  static_assert(sizeof(type) == sizeof(v1::type), #type " changed its size")
#define VALUE(name)                                                            \
  static_assert(static_cast<int>(name) == static_cast<int>(v1::name),          \
                #name " changed its value")

VALUE(IST_DRIVER_ABI);
VALUE(IST_OK);
VALUE(IST_INVALID_ARGUMENT);
VALUE(IST_NOT_FOUND);
VALUE(IST_UNAVAILABLE);
VALUE(IST_RESOURCE_EXHAUSTED);
VALUE(IST_DATA_LOSS);
VALUE(IST_UNIMPLEMENTED);
VALUE(IST_ABORTED);
VALUE(IST_DEADLINE_EXCEEDED);
VALUE(IST_INTERNAL);
VALUE(IST_DEVICE_LOST);
VALUE(IST_LOG_ERROR);
VALUE(IST_LOG_INFO);
VALUE(IST_ACCESS_NONE);
VALUE(IST_ACCESS_READ);
VALUE(IST_ACCESS_WRITE);
VALUE(IST_ACCESS_READWRITE);
VALUE(IST_DEVICE_SYNCHRONOUS);
VALUE(IST_DEVICE_SHARES_MEMORY);
VALUE(IST_MEMORY_KIND_DEVICE);
VALUE(IST_MEMORY_KIND_HOST_VISIBLE);
VALUE(IST_IMPORT_HOST);
VALUE(IST_IMPORT_ADDRESS);
VALUE(IST_ARG_ADDRESS);
VALUE(IST_ARG_SCALAR);
VALUE(IST_ARG_BYTES);
VALUE(IST_ARG_TILE);
VALUE(IST_PATCH_ARGS);
VALUE(IST_PATCH_TO);
VALUE(IST_PATCH_FROM);

FIXED(ist_error);
MEMBER(ist_error, message);

GROWS(ist_host);
MEMBER(ist_host, user);
MEMBER(ist_host, log);
MEMBER(ist_host, allocate);
MEMBER(ist_host, deallocate);
MEMBER(ist_host, cache_get);
MEMBER(ist_host, cache_put);
MEMBER(ist_host, clock_ns);

FIXED(ist_identity);
MEMBER(ist_identity, summary);
MEMBER(ist_identity, id);
MEMBER(ist_identity, memory_bytes);
FIXED(ist_fact);
MEMBER(ist_fact, value);

GROWS(ist_description);
MEMBER(ist_description, summary);
MEMBER(ist_description, facts);
MEMBER(ist_description, fact_count);
MEMBER(ist_description, flags);
MEMBER(ist_description, alignment);
MEMBER(ist_description, max_grid);
MEMBER(ist_description, max_alloc);
GROWS(ist_native);
MEMBER(ist_native, kind);
MEMBER(ist_native, handle);

FIXED(ist_driver_memory);
MEMBER(ist_driver_memory, address);
MEMBER(ist_driver_memory, host);
MEMBER(ist_driver_memory, handle);
MEMBER(ist_driver_memory, bytes);
GROWS(ist_import);
MEMBER(ist_import, kind);
MEMBER(ist_import, read_only);
MEMBER(ist_import, memory);
MEMBER(ist_import, bytes);

GROWS(ist_module_options);
MEMBER(ist_module_options, format);
MEMBER(ist_module_options, key);
FIXED(ist_arg);
MEMBER(ist_arg, offset);
MEMBER(ist_arg, size);
GROWS(ist_kernel_desc);
MEMBER(ist_kernel_desc, name);
MEMBER(ist_kernel_desc, args);
MEMBER(ist_kernel_desc, arg_count);
MEMBER(ist_kernel_desc, args_bytes);
MEMBER(ist_kernel_desc, block);
MEMBER(ist_kernel_desc, static_shared);
MEMBER(ist_kernel_desc, dynamic_shared);

FIXED(ist_range);
MEMBER(ist_range, bytes);
MEMBER(ist_range, access);
GROWS(ist_launch);
MEMBER(ist_launch, kernel);
MEMBER(ist_launch, grid);
MEMBER(ist_launch, block);
MEMBER(ist_launch, cluster);
MEMBER(ist_launch, dynamic_shared);
MEMBER(ist_launch, args_bytes);
MEMBER(ist_launch, args);
MEMBER(ist_launch, ranges);
MEMBER(ist_launch, range_count);
FIXED(ist_driver_point);
MEMBER(ist_driver_point, value);
GROWS(ist_driver_submit);
MEMBER(ist_driver_submit, waits);
MEMBER(ist_driver_submit, wait_count);
MEMBER(ist_driver_submit, signals);
MEMBER(ist_driver_submit, signal_count);

GROWS(ist_driver);
MEMBER(ist_driver, name);
MEMBER(ist_driver, vendor);
MEMBER(ist_driver, formats);
MEMBER(ist_driver, enumerate);
MEMBER(ist_driver, open);
MEMBER(ist_driver, close);
MEMBER(ist_driver, describe);
MEMBER(ist_driver, mem_info);
MEMBER(ist_driver, extension);
MEMBER(ist_driver, alloc);
MEMBER(ist_driver, free);
MEMBER(ist_driver, import);
MEMBER(ist_driver, queue_create);
MEMBER(ist_driver, queue_destroy);
MEMBER(ist_driver, copy);
MEMBER(ist_driver, fill);
MEMBER(ist_driver, launch);
MEMBER(ist_driver, submit);
MEMBER(ist_driver, semaphore_create);
MEMBER(ist_driver, semaphore_destroy);
MEMBER(ist_driver, semaphore_query);
MEMBER(ist_driver, semaphore_signal);
MEMBER(ist_driver, semaphore_wait);
MEMBER(ist_driver, module_load);
MEMBER(ist_driver, module_unload);
MEMBER(ist_driver, kernel_get);

FIXED(ist_patch);
MEMBER(ist_patch, field);
MEMBER(ist_patch, offset);
MEMBER(ist_patch, size);
MEMBER(ist_patch, data);
GROWS(ist_recording_extension);
MEMBER(ist_recording_extension, begin);
MEMBER(ist_recording_extension, end);
MEMBER(ist_recording_extension, replay);
MEMBER(ist_recording_extension, destroy);

// That there is something to run, and that nobody counts members by hand: the
// snapshot's own size.
TEST(DriverAbi, TheSnapshotIsVersion1) {
  EXPECT_EQ(sizeof(v1::ist_driver),
            offsetof(v1::ist_driver, kernel_get) + sizeof(void *));
  EXPECT_STREQ(IST_EXTENSION_RECORDING, "recording");
  EXPECT_STREQ(IST_DRIVER_ENTRY, "ist_driver_entry");
}

} // namespace
