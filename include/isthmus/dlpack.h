/*===- isthmus/dlpack.h - tensors from and to other libraries ---*- C -*-===*\
|*
|* DLPack (https://dmlc.github.io/dlpack) is how NumPy, PyTorch, JAX and others
|* hand tensors to each other without copies. Its structs are declared here
|* under names of ours, so that its own header may be included too; the layouts
|* are the same, so pointers are simply cast.
|*
\*===----------------------------------------------------------------------===*/
#ifndef ISTHMUS_DLPACK_H
#define ISTHMUS_DLPACK_H

#include "isthmus/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* DLDevice, with a DLDeviceType: 1 cpu, 2 cuda, 3 cuda's host memory, 4 opencl,
   10 rocm, 11 rocm's host memory, 13 cuda managed, 14 oneapi. */
typedef struct ist_dl_device {
  int32_t type, id;
} ist_dl_device;

/* DLDataType. Codes: 0 int, 1 uint, 2 float, 4 bfloat, 6 bool. */
typedef struct ist_dl_type {
  uint8_t code, bits;
  uint16_t lanes;
} ist_dl_type;

/* DLTensor */
typedef struct ist_dl_tensor {
  void *data;
  ist_dl_device device;
  int32_t ndim;
  ist_dl_type dtype;
  int64_t *shape;
  int64_t *strides; /* in elements; NULL: dense */
  uint64_t byte_offset;
} ist_dl_tensor;

/* DLManagedTensor */
typedef struct ist_dl_managed {
  ist_dl_tensor tensor;
  void *context;
  void (*deleter)(struct ist_dl_managed *self);
} ist_dl_managed;

/* DLManagedTensorVersioned */
typedef struct ist_dl_versioned {
  uint32_t major, minor;
  void *context;
  void (*deleter)(struct ist_dl_versioned *self);
  uint64_t flags;
  ist_dl_tensor tensor;
} ist_dl_versioned;

enum { IST_DL_READ_ONLY = 1u << 0, IST_DL_COPIED = 1u << 1 };

/* Fills `out` to describe `from`, whose memory stays as it is and whose it is;
   the caller ends `from` (its deleter) when no call uses the memory any more.
   Host tensors are for any device; `device` may then be NULL.
   INVALID_ARGUMENT: not dense (make it contiguous), of more than IST_MAX_RANK
   dims, or of a type that there is not here. UNAVAILABLE: it lies on a device
   that is not `device`. */
IST_API ist_status ist_tensor_from_dlpack(const ist_device *device,
                                          const ist_dl_tensor *from,
                                          ist_tensor *out, ist_error *error);
/* UNIMPLEMENTED: of another major version than 1. */
IST_API ist_status ist_tensor_from_dlpack_versioned(
    const ist_device *device, const ist_dl_versioned *from, ist_tensor *out,
    ist_error *error);

/* Makes `out` for a tensor that holds results (its dims and bytes are set); a
   consumer ends it by its deleter, which calls `release(user)` (may be NULL),
   perhaps from another thread. Until then the memory must stay.
   UNAVAILABLE: DLPack has no name for the device that it lies on. */
IST_API ist_status ist_tensor_to_dlpack(const ist_device *device,
                                        const ist_tensor *from,
                                        void (*release)(void *user), void *user,
                                        ist_dl_managed **out, ist_error *error);
/* Likewise; `flags` are IST_DL_... */
IST_API ist_status ist_tensor_to_dlpack_versioned(const ist_device *device,
                                                  const ist_tensor *from,
                                                  void (*release)(void *user),
                                                  void *user, uint64_t flags,
                                                  ist_dl_versioned **out,
                                                  ist_error *error);

#ifdef __cplusplus
}
#endif

#endif /* ISTHMUS_DLPACK_H */
