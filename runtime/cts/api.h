//===- api.h - libisthmus, for the suite's tests --------------------------===//
#ifndef ISTHMUS_RUNTIME_CTS_API_H
#define ISTHMUS_RUNTIME_CTS_API_H

#include "harness.h"
#include "programs.h"

#include <isthmus/runtime.hpp>

namespace isthmus::cts {

/// Handles of the public API, which share names with the driver's.
using OpenDevice = isthmus::Device;
using LoadedProgram = isthmus::Program;
using OwnSession = isthmus::Session;

OpenDevice openDevice(const Context &context);
LoadedProgram load(const Artifact &artifact, ist_device *device);
OwnSession session(const LoadedProgram &program, bool recordings = true);

/// u32 memory of the caller's: of the process, `skip` elements off an
/// alignment of 64, or of the device.
class Buffer {
public:
  /// Of the process when `device` is null.
  Buffer(ist_device *device, size_t elements, size_t skip = 0);
  Buffer(const Buffer &) = delete;
  ~Buffer();
  void set(const Values &values);
  Values get(size_t elements) const;
  ist_tensor tensor(size_t elements) const;

private:
  ist_device *device;
  void *base;
  size_t skip, elements;
};

ist_status call(const OwnSession &session, const char *function,
                const std::vector<ist_tensor> &inputs,
                std::vector<ist_tensor> &outputs, ist_error *error);
/// An output for the runtime to allocate, in host memory.
ist_tensor none();

} // namespace isthmus::cts

#endif // ISTHMUS_RUNTIME_CTS_API_H
