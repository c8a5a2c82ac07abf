//===- harness.cpp - what the suite's tests are written with --------------===//
#include "harness.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

using namespace isthmus::cts;

void isthmus::cts::failed(const char *file, int line, const char *format, ...) {
  char text[1600];
  const char *slash = std::strrchr(file, '/');
  int n = std::snprintf(text, sizeof text, "%s:%d: ", slash ? slash + 1 : file,
                        line);
  va_list args;
  va_start(args, format);
  std::vsnprintf(text + n, sizeof text - static_cast<size_t>(n), format, args);
  va_end(args);
  throw Failed{text};
}

void isthmus::cts::checkFailure(const char *file, int line,
                                const char *expression, int got, int expected,
                                const ist_error &error) {
  auto name = [](int s) { return ist_status_name(static_cast<ist_status>(s)); };
  if (got != expected)
    failed(file, line, "%s gives %s%s%.500s, and %s was expected", expression,
           name(got), got ? ": " : "", got ? error.message : "",
           name(expected));
  if (error.code != got)
    failed(file, line, "%s gives %s, and the error record says %s", expression,
           name(got), name(error.code));
  size_t length = strnlen(error.message, sizeof error.message);
  if (length == 0 || length == sizeof error.message)
    failed(file, line, "%s leaves no message in the error record", expression);
}

Memory::~Memory() {
  if (device)
    device->driver->free(device->handle, &m);
}

Launch::Launch(const Kernel &kernel, uint64_t grid,
               std::initializer_list<Arg> args) {
  for (const Arg &a : args) {
    blob.push_back(a.value);
    if (a.access != IST_ACCESS_NONE && a.bytes)
      ranges.push_back({a.value, a.bytes, a.access, 0});
  }
  launch.struct_size = sizeof launch;
  launch.kernel = kernel.kernel;
  launch.grid = grid;
  launch.block = kernel.block;
  launch.args_bytes = kernel.argsBytes;
  launch.args = blob.data();
  launch.ranges = ranges.data();
  launch.range_count = ranges.size();
}

Semaphore::Semaphore(Device &device) : device(device) {
  CTS_OK(device.driver->semaphore_create(device.handle, &handle, &error));
  CTS_CHECK(handle);
}
Semaphore::~Semaphore() { device.driver->semaphore_destroy(handle); }

void Semaphore::wait(uint64_t value) {
  CTS_OK(device.driver->semaphore_wait(handle, value, UINT64_MAX, &error));
}
bool Semaphore::reached(uint64_t value) {
  ist_error error;
  int s = device.driver->semaphore_wait(handle, value, 0, &error);
  CTS_CHECK(s == IST_OK || s == IST_DEADLINE_EXCEEDED);
  return s == IST_OK;
}
uint64_t Semaphore::query() {
  uint64_t value = 0;
  CTS_OK(device.driver->semaphore_query(handle, &value, &error));
  return value;
}
void Semaphore::signal(uint64_t value) {
  CTS_OK(device.driver->semaphore_signal(handle, value, &error));
}
int Semaphore::raise(uint64_t value, ist_error *error) {
  return device.driver->semaphore_signal(handle, value, error);
}

Queue::Queue(Device &device)
    : device(device), done(std::make_unique<Semaphore>(device)) {
  CTS_OK(device.driver->queue_create(device.handle, nullptr, &handle, &error));
  CTS_CHECK(handle);
}
Queue::~Queue() {
  // After a failed check it may not be idle.
  try {
    finish();
  } catch (const Failed &) {
  }
  device.driver->queue_destroy(handle);
}
void Queue::copy(uint64_t to, uint64_t from, uint64_t bytes) {
  CTS_OK(device.driver->copy(handle, to, from, bytes, &error));
}
void Queue::fill(uint64_t to, uint8_t value, uint64_t bytes) {
  CTS_OK(device.driver->fill(handle, to, value, bytes, &error));
}
void Queue::launch(const Kernel &kernel, uint64_t grid,
                   std::initializer_list<Arg> args) {
  Launch l(kernel, grid, args);
  CTS_OK(device.driver->launch(handle, &l.launch, &error));
}
void Queue::submit(const std::vector<ist_driver_point> &waits,
                   const std::vector<ist_driver_point> &signals) {
  ist_driver_submit s = {sizeof s,       waits.data(),   waits.size(),
                         signals.data(), signals.size(), 0};
  CTS_OK(device.driver->submit(handle, &s, &error));
}
void Queue::finish() {
  submit({}, {done->point(++submitted)});
  done->wait(submitted);
}

Device::Device(const Context &context)
    : context(context), driver(context.driver) {
  CTS_OK(driver->open(context.host, context.index, nullptr, &handle, &error));
  CTS_CHECK(handle);
  description.struct_size = sizeof description;
  CTS_OK(driver->describe(handle, &description, &error));
}

Device::~Device() {
  for (ist_driver_module *m : {module, tileModule})
    if (m)
      driver->module_unload(m);
  driver->close(handle);
}

Memory Device::alloc(uint64_t bytes, ist_memory_kind kind) {
  ist_driver_memory m = {};
  CTS_OK(driver->alloc(handle, kind, bytes, &m, &error));
  return {*this, m};
}

Memory Device::import(ist_import_kind kind, uint64_t memory, uint64_t bytes,
                      bool readOnly) {
  ist_import import = {sizeof import, kind, readOnly, memory, bytes};
  ist_driver_memory m = {};
  ist_error error = {};
  int s = driver->import(handle, &import, &m, &error);
  if (s == IST_UNAVAILABLE)
    throw Lacking{error.message};
  CTS_THAT(s == IST_OK, "import gives %s: %s",
           ist_status_name(static_cast<ist_status>(s)), error.message);
  CTS_CHECK(m.address != 0);
  return {*this, m};
}

std::vector<ist_arg>
isthmus::cts::argsOf(std::initializer_list<ist_arg_kind> kinds) {
  std::vector<ist_arg> args;
  for (ist_arg_kind kind : kinds)
    args.push_back({kind, static_cast<uint32_t>(8 * args.size()), 8});
  return args;
}

Kernel Device::kernel(const char *name, const std::vector<ist_arg> &args) {
  if (context.code.empty())
    throw Lacking{"no kernels for this device; give them with --kernels"};
  if (!module) {
    ist_module_options options = {sizeof options, context.format.c_str(),
                                  nullptr};
    CTS_OK(driver->module_load(handle, context.code.data(), context.code.size(),
                               &options, &module, &error));
  }
  ist_kernel_desc desc = {};
  desc.struct_size = sizeof desc;
  desc.name = name;
  desc.args = args.data();
  desc.arg_count = args.size();
  for (const ist_arg &a : args)
    desc.args_bytes = std::max(desc.args_bytes, a.offset + a.size);
  desc.block = context.block;
  Kernel k = {nullptr, desc.args_bytes, desc.block};
  CTS_OK(driver->kernel_get(module, &desc, &k.kernel, &error));
  CTS_CHECK(k.kernel);
  return k;
}

Kernel Device::tileKernel() {
  if (context.tileCode.empty())
    throw Lacking{"no file with the kernel 'tile' beside the kernels"};
  ist_module_options options = {sizeof options, context.format.c_str(),
                                nullptr};
  CTS_OK(driver->module_load(handle, context.tileCode.data(),
                             context.tileCode.size(), &options, &tileModule,
                             &error));
  constexpr ist_arg_kind A = IST_ARG_ADDRESS, S = IST_ARG_SCALAR;
  std::vector<ist_arg> args = argsOf({IST_ARG_TILE, S, S, A});
  ist_kernel_desc desc = {sizeof desc, "tile", args.data(), args.size(),
                          32,          64,     0,           0};
  Kernel k = {nullptr, 32, 64};
  CTS_OK(driver->kernel_get(tileModule, &desc, &k.kernel, &error));
  return k;
}

const Kernels &Device::kernels() {
  if (!loaded.add.kernel) {
    constexpr ist_arg_kind A = IST_ARG_ADDRESS, S = IST_ARG_SCALAR;
    loaded.scale = kernel("scale", argsOf({S, S, A, A}));
    loaded.count = kernel("count", argsOf({S, A}));
    loaded.spin = kernel("spin", argsOf({S, A}));
    loaded.add = kernel("add", argsOf({S, A, A, A}));
  }
  return loaded;
}

void Device::write(Queue &q, uint64_t to, const void *data, uint64_t bytes) {
  if (!bytes)
    return;
  Memory staging = visible(bytes);
  std::memcpy(staging.host(), data, bytes);
  q.copy(to, staging.at(), bytes);
  q.finish();
}

void Device::read(Queue &q, uint64_t from, void *data, uint64_t bytes) {
  if (!bytes)
    return;
  Memory staging = visible(bytes);
  q.copy(staging.at(), from, bytes);
  q.finish();
  std::memcpy(data, staging.host(), bytes);
}

std::vector<uint32_t> isthmus::cts::noise(size_t n, uint32_t seed) {
  std::vector<uint32_t> v(n);
  uint32_t x = seed * 2654435761u + 1;
  for (uint32_t &e : v) {
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    e = x;
  }
  return v;
}

uint32_t isthmus::cts::spun(uint32_t v, uint64_t rounds) {
  for (uint64_t i = 0; i < rounds; ++i)
    v = (v ^ v >> 15) * 1664525u + 1013904223u;
  return v;
}
