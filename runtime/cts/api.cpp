//===- api.cpp - libisthmus, for the suite's tests ------------------------===//
#include "api.h"

#include <cstdlib>

using namespace isthmus::cts;

OpenDevice isthmus::cts::openDevice(const Context &c) {
  ist_device *d = nullptr;
  CTS_OK(ist_device_open(c.name.c_str(), nullptr, &d, &error));
  return OpenDevice(d);
}

LoadedProgram isthmus::cts::load(const Artifact &a, ist_device *device) {
  ist_program *p = nullptr;
  CTS_OK(ist_program_load_memory(a.bytes.data(), a.bytes.size(), device,
                                 IST_BEST_VARIANT, &p, &error));
  return LoadedProgram(p);
}

OwnSession isthmus::cts::session(const LoadedProgram &program,
                                 bool recordings) {
  ist_session *s = nullptr;
  ist_session_options options = IST_SESSION_OPTIONS_INIT;
  options.no_recordings = !recordings;
  CTS_OK(ist_session_create(program.get(), &options, &s, &error));
  return OwnSession(s);
}

Buffer::Buffer(ist_device *device, size_t elements, size_t skip)
    : device(device), base(nullptr), skip(skip), elements(elements) {
  uint64_t bytes = (4 * (elements + skip) + 63) / 64 * 64;
  if (device)
    CTS_OK(ist_device_alloc(device, IST_MEMORY_DEVICE, bytes, &base, &error));
  else
    base = std::aligned_alloc(64, bytes);
  CTS_CHECK(base);
}

Buffer::~Buffer() {
  if (device)
    ist_device_free(device, base);
  else
    std::free(base);
}

void Buffer::set(const Values &v) {
  if (!device)
    std::memcpy(static_cast<uint32_t *>(base) + skip, v.data(), 4 * v.size());
  else if (!v.empty())
    CTS_OK(ist_device_copy(device, static_cast<uint32_t *>(base) + skip,
                           IST_MEMORY_DEVICE, v.data(), IST_MEMORY_HOST,
                           4 * v.size(), &error));
}

Values Buffer::get(size_t n) const {
  Values v(n);
  if (!device)
    std::memcpy(v.data(), static_cast<uint32_t *>(base) + skip, 4 * n);
  else if (n)
    CTS_OK(ist_device_copy(device, v.data(), IST_MEMORY_HOST,
                           static_cast<uint32_t *>(base) + skip,
                           IST_MEMORY_DEVICE, 4 * n, &error));
  return v;
}

ist_tensor Buffer::tensor(size_t n) const {
  ist_tensor t = {};
  t.data = static_cast<uint32_t *>(base) + skip;
  t.capacity = 4 * elements;
  t.dtype = IST_U32;
  t.rank = 1;
  t.dims[0] = static_cast<int64_t>(n);
  t.memory = device ? IST_MEMORY_DEVICE : IST_MEMORY_HOST;

  return t;
}

ist_tensor isthmus::cts::none() {
  ist_tensor t = {};
  t.memory = IST_MEMORY_HOST;
  return t;
}

ist_status isthmus::cts::call(const OwnSession &s, const char *function,
                              const std::vector<ist_tensor> &inputs,
                              std::vector<ist_tensor> &outputs,
                              ist_error *error) {
  return ist_call(s.get(), function, inputs.data(), inputs.size(),
                  outputs.data(), outputs.size(), error);
}
