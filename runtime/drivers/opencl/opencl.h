//===- opencl.h - the opencl driver ---------------------------------------===//
//
// Kernels take addresses, so a device must have memory with addresses: Intel's
// unified shared memory or fine-grained SVM. Recordings are not offered.
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DRIVERS_OPENCL_OPENCL_H
#define ISTHMUS_DRIVERS_OPENCL_OPENCL_H

#include "library.h"
#include "spirv.h"

namespace isthmus::opencl {

using namespace stream;

struct Symbols {
#define IST_REQUIRED(result, name, symbol, parameters, since)                  \
  result(*name) parameters;
#include "opencl_symbols.h"
};
struct Extension {
#define IST_EXTENSION(result, name, symbol, parameters)                        \
  result(*name) parameters;
#include "opencl_symbols.h"
};

/// How kernels reach memory by address.
enum class Sharing { none, usm, svm };

/// The vendor's part of a device.
struct OpenCL {
  const Symbols *api;
  Extension usm;
  Sharing sharing;
  bool system; // any address of the process will do
  void *platform, *device, *context;
  bool contextIsOurs;
  stream::Usage memory;
  uint64_t maxBlock, localBytes;
};

inline OpenCL &self(Device &d) { return *static_cast<OpenCL *>(d.vendor); }
inline const Symbols &api(Device &d) { return *self(d).api; }

// opencl.cpp
int enumerate(ist_identity *, uint32_t capacity, uint32_t *count, ist_error *);
int open(Device &, uint32_t index, const ist_native *, ist_error *);
void close(Device &);
void explain(Device &, Code, Explanation *);

} // namespace isthmus::opencl

#endif // ISTHMUS_DRIVERS_OPENCL_OPENCL_H
