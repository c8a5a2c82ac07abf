//===- dlpack.cpp - tensors from and to other libraries -------------------===//
#include "isthmus/dlpack.h"
#include "device.h"

using namespace isthmus;

namespace {

enum : int32_t {
  kCpu = 1,
  kCuda = 2,
  kCudaHost = 3,
  kOpenCL = 4,
  kRocm = 10,
  kRocmHost = 11,
  kCudaManaged = 13,
  kOneApi = 14
};
enum : uint8_t { kInt = 0, kUInt = 1, kFloat = 2, kBfloat = 4, kBool = 6 };

/// By ist_dtype.
const ist_dl_type types[] = {{kFloat, 32, 1},  {kFloat, 64, 1}, {kFloat, 16, 1},
                             {kBfloat, 16, 1}, {kInt, 8, 1},    {kInt, 16, 1},
                             {kInt, 32, 1},    {kInt, 64, 1},   {kUInt, 8, 1},
                             {kUInt, 16, 1},   {kUInt, 32, 1},  {kUInt, 64, 1},
                             {kBool, 8, 1}};

/// Where tensors of `device` lie; type 0: DLPack has no name for it.
ist_dl_device placeOf(const ist_device *device) {
  static const struct {
    const char *driver;
    int32_t type;
  } known[] = {{"cpu", kCpu},
               {"cuda", kCuda},
               {"hip", kRocm},
               {"level_zero", kOneApi},
               {"opencl", kOpenCL}};
  const char *colon = std::strchr(device->name, ':');
  int32_t id = colon ? static_cast<int32_t>(std::atoi(colon + 1)) : 0;
  for (const auto &k : known)
    if (std::strcmp(device->driver->name, k.driver) == 0)
      return {k.type, id};
  return {0, id};
}

bool onHost(int32_t type) {
  return type == kCpu || type == kCudaHost || type == kRocmHost;
}

/// Everything that a consumer gets, in one block; `managed` comes first.
template <typename T> struct Export {
  T managed;
  int64_t shape[IST_MAX_RANK], strides[IST_MAX_RANK];
  void (*release)(void *user);
  void *user;
  static void end(T *self) {
    auto *e = reinterpret_cast<Export *>(self);
    if (e->release)
      e->release(e->user);
    destroy(e);
  }
};

template <typename T>
ist_status give(const ist_device *device, const ist_tensor *from,
                void (*release)(void *), void *user, Export<T> **out,
                ist_error *error) {
  unsigned type = static_cast<unsigned>(from->dtype);
  if (type >= sizeof types / sizeof *types || from->rank < 0 ||
      from->rank > IST_MAX_RANK)
    return fail(error, IST_INVALID_ARGUMENT,
                "the tensor has no such type, or a rank of %d", from->rank);
  ist_dl_device place = {kCpu, 0};
  if (from->memory == IST_MEMORY_DEVICE) {
    if (!device)
      return fail(error, IST_INVALID_ARGUMENT,
                  "the tensor lies on a device; say on which");
    place = placeOf(device);
    if (!place.type)
      return fail(error, IST_UNAVAILABLE,
                  "DLPack has no name for device %s; copy the tensor to the "
                  "host with ist_device_copy",
                  device->name);
  }
  Export<T> *e = make<Export<T>>();
  if (!e)
    return outOfMemory(error, sizeof *e, "a DLPack tensor");
  ist_dl_tensor &t = e->managed.tensor;
  t = {from->data, place, from->rank, types[type], e->shape, e->strides, 0};
  int64_t stride = 1;
  for (int32_t d = from->rank; d-- > 0;) {
    e->shape[d] = from->dims[d];
    e->strides[d] = stride;
    stride *= from->dims[d] ? from->dims[d] : 1;
  }
  e->managed.context = e;
  e->managed.deleter = Export<T>::end;
  e->release = release;
  e->user = user;
  *out = e;
  return IST_OK;
}

} // namespace

extern "C" {

ist_status ist_tensor_from_dlpack(const ist_device *device,
                                  const ist_dl_tensor *from, ist_tensor *out,
                                  ist_error *error) {
  if (!from || !out)
    return fail(error, IST_INVALID_ARGUMENT,
                "ist_tensor_from_dlpack: from or out is NULL");
  int found = -1;
  for (size_t i = 0; i < sizeof types / sizeof *types; ++i)
    if (types[i].code == from->dtype.code && types[i].bits == from->dtype.bits)
      found = static_cast<int>(i);
  if (found < 0 || from->dtype.lanes != 1)
    return fail(error, IST_INVALID_ARGUMENT,
                "there is no type here for DLPack's code %u with %u bits and "
                "%u lanes; convert the tensor",
                from->dtype.code, from->dtype.bits, from->dtype.lanes);
  if (from->ndim < 0 || from->ndim > IST_MAX_RANK ||
      (from->ndim && !from->shape))
    return fail(error, IST_INVALID_ARGUMENT,
                "the DLPack tensor has rank %d; at most %d dims are possible",
                from->ndim, IST_MAX_RANK);
  ist_tensor t = {};
  t.dtype = static_cast<ist_dtype>(found);
  t.rank = from->ndim;
  for (int32_t d = 0; d < from->ndim; ++d)
    t.dims[d] = from->shape[d];
  uint64_t bytes;
  if (!tensorBytes(t.dtype, t.dims, t.rank, &bytes))
    return fail(error, IST_INVALID_ARGUMENT,
                "the DLPack tensor's shape is not possible");
  // Of a dim of 1, and of a tensor without elements, strides say nothing.
  int64_t dense = 1;
  for (int32_t d = from->ndim; d-- > 0 && from->strides && bytes;) {
    if (t.dims[d] != 1 && from->strides[d] != dense)
      return fail(error, IST_INVALID_ARGUMENT,
                  "the DLPack tensor is not dense: dim %d of %lld has stride "
                  "%lld where %lld is needed; make it contiguous",
                  d, static_cast<long long>(t.dims[d]),
                  static_cast<long long>(from->strides[d]),
                  static_cast<long long>(dense));
    dense *= t.dims[d];
  }
  t.memory = IST_MEMORY_HOST;
  if (!onHost(from->device.type)) {
    ist_dl_device place = {0, 0};
    if (device)
      place = placeOf(device);
    int32_t type =
        from->device.type == kCudaManaged ? +kCuda : from->device.type;
    if (type != place.type || from->device.id != place.id)
      return fail(error, IST_UNAVAILABLE,
                  "the DLPack tensor lies on device %d:%d (as DLPack numbers "
                  "them), which is not %s; copy it to the host",
                  from->device.type, from->device.id,
                  device ? device->name : "the host");
    t.memory = IST_MEMORY_DEVICE;
  }
  t.data = static_cast<char *>(from->data) + from->byte_offset;
  t.capacity = t.bytes = bytes;
  *out = t;
  return IST_OK;
}

ist_status ist_tensor_from_dlpack_versioned(const ist_device *device,
                                            const ist_dl_versioned *from,
                                            ist_tensor *out, ist_error *error) {
  if (from && from->major != 1)
    return fail(error, IST_UNIMPLEMENTED,
                "the tensor is of DLPack version %u.%u; this runtime knows "
                "version 1",
                from->major, from->minor);
  return ist_tensor_from_dlpack(device, from ? &from->tensor : nullptr, out,
                                error);
}

ist_status ist_tensor_to_dlpack(const ist_device *device,
                                const ist_tensor *from, void (*release)(void *),
                                void *user, ist_dl_managed **out,
                                ist_error *error) {
  if (!from || !out)
    return fail(error, IST_INVALID_ARGUMENT,
                "ist_tensor_to_dlpack: from or out is NULL");
  Export<ist_dl_managed> *e;
  if (ist_status s = give(device, from, release, user, &e, error))
    return s;
  *out = &e->managed;
  return IST_OK;
}

ist_status ist_tensor_to_dlpack_versioned(
    const ist_device *device, const ist_tensor *from, void (*release)(void *),
    void *user, uint64_t flags, ist_dl_versioned **out, ist_error *error) {
  if (!from || !out)
    return fail(error, IST_INVALID_ARGUMENT,
                "ist_tensor_to_dlpack_versioned: from or out is NULL");
  Export<ist_dl_versioned> *e;
  if (ist_status s = give(device, from, release, user, &e, error))
    return s;
  e->managed.major = 1;
  e->managed.minor = 0;
  e->managed.flags = flags;
  *out = &e->managed;
  return IST_OK;
}
}
