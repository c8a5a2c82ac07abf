//===- isthmus/runtime.hpp - runtime.h for C++ ------------------*- C++ -*-===//
//
// Objects that end what they own, and results instead of out parameters and
// error records. Header only, C++17, over the C API alone; all that runtime.h
// says about threads and lifetimes holds.
//
// Nothing here throws. What can fail returns a Status or a Result; both must be
// looked at. Who prefers exceptions writes `.orThrow()`, which is there when
// exceptions are on.
//
//   Result<Device> device = Device::open("cpu");
//   if (!device) return report(device.status());
//   Program program = Program::load("m.ist", *device).orThrow();
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_RUNTIME_HPP
#define ISTHMUS_RUNTIME_HPP

#include "isthmus/runtime.h"

#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>
#include <vector>
#if defined(__cpp_exceptions)
#include <stdexcept>
#endif

namespace isthmus {

/// A code and, unless that is IST_OK, what went wrong.
class [[nodiscard]] Status {
public:
  Status() = default;
  Status(ist_status code, std::string message)
      : value(code), text(std::move(message)) {}
  explicit Status(const ist_error &error)
      : value(error.code), text(error.message) {}

  explicit operator bool() const { return value == IST_OK; }
  ist_status code() const { return value; }
  const std::string &message() const { return text; }
  /// "NOT_FOUND: there is no driver ..."
  std::string describe() const {
    return value == IST_OK ? "OK"
                           : std::string(ist_status_name(value)) + ": " + text;
  }
#if defined(__cpp_exceptions)
  void orThrow() const;
#endif

private:
  ist_status value = IST_OK;
  std::string text;
};

#if defined(__cpp_exceptions)
class Exception : public std::runtime_error {
public:
  explicit Exception(const Status &s)
      : std::runtime_error(s.describe()), code(s.code()) {}
  ist_status code;
};
inline void Status::orThrow() const {
  if (!*this)
    throw Exception(*this);
}
#endif

/// A T, or why there is none. Only look inside (*, ->) when it is true.
template <typename T> class [[nodiscard]] Result {
public:
  Result(T value) : held(std::move(value)) {}
  Result(Status status) : why(std::move(status)) {}

  explicit operator bool() const { return held.has_value(); }
  T &operator*() & { return *held; }
  const T &operator*() const & { return *held; }
  T &&operator*() && { return std::move(*held); }
  T *operator->() { return &*held; }
  const T *operator->() const { return &*held; }
  /// OK when there is a value.
  const Status &status() const { return why; }
#if defined(__cpp_exceptions)
  T orThrow() && {
    why.orThrow();
    return std::move(*held);
  }
#endif

private:
  std::optional<T> held;
  Status why;
};

/// Owns a C object; may be empty. Moved, not copied.
template <typename T, void (*End)(T *)> class Handle {
public:
  Handle() = default;
  explicit Handle(T *p) : object(p) {}
  Handle(Handle &&other) noexcept : object(other.release()) {}
  Handle &operator=(Handle &&other) noexcept {
    reset(other.release());
    return *this;
  }
  ~Handle() { reset(); }

  T *get() const { return object; }
  T *operator->() const { return object; }
  explicit operator bool() const { return object; }
  /// Gives it up without ending it.
  T *release() { return std::exchange(object, nullptr); }
  /// Ends what was there and takes over `p`.
  void reset(T *p = nullptr) {
    if (T *old = std::exchange(object, p))
      End(old);
  }

private:
  T *object = nullptr;
};

template <typename T> constexpr ist_dtype dtypeFor();
template <> constexpr ist_dtype dtypeFor<float>() { return IST_F32; }
template <> constexpr ist_dtype dtypeFor<double>() { return IST_F64; }
template <> constexpr ist_dtype dtypeFor<int8_t>() { return IST_I8; }
template <> constexpr ist_dtype dtypeFor<int16_t>() { return IST_I16; }
template <> constexpr ist_dtype dtypeFor<int32_t>() { return IST_I32; }
template <> constexpr ist_dtype dtypeFor<int64_t>() { return IST_I64; }
template <> constexpr ist_dtype dtypeFor<uint8_t>() { return IST_U8; }
template <> constexpr ist_dtype dtypeFor<uint16_t>() { return IST_U16; }
template <> constexpr ist_dtype dtypeFor<uint32_t>() { return IST_U32; }
template <> constexpr ist_dtype dtypeFor<uint64_t>() { return IST_U64; }
template <> constexpr ist_dtype dtypeFor<bool>() { return IST_I1; }

/// Describes memory that stays the caller's. `data` may be null: for an output,
/// the runtime then allocates. Of dims, the first IST_MAX_RANK count.
inline ist_tensor tensor(ist_dtype dtype, void *data, const int64_t *dims,
                         size_t rank, ist_memory memory = IST_MEMORY_HOST) {
  ist_tensor t = {};
  t.data = data;
  t.dtype = dtype;
  t.memory = memory;
  t.rank = static_cast<int32_t>(rank);
  size_t bytes = ist_dtype_size(dtype);
  for (size_t i = 0; i < rank && i < IST_MAX_RANK; ++i) {
    t.dims[i] = dims[i];
    bytes *= static_cast<size_t>(dims[i]);
  }
  t.capacity = data ? bytes : 0;
  return t;
}
template <typename T>
ist_tensor tensor(const T *data, std::initializer_list<int64_t> dims,
                  ist_memory memory = IST_MEMORY_HOST) {
  return tensor(dtypeFor<T>(), const_cast<T *>(data), dims.begin(), dims.size(),
                memory);
}

/// A vendor's own object, and its kind: "cuda.context", "cuda.stream". It stays
/// whose it was.
struct Native {
  std::string kind;
  void *handle = nullptr;
};

/// What all launches of a kernel cost: see ist_device_counters.
struct KernelCounters {
  std::string kernel;
  std::vector<std::pair<std::string, uint64_t>> counters;
};

/// Memory of ist_device_alloc. Ended before its device.
class Buffer {
public:
  Buffer() = default;
  Buffer(ist_device *device, void *memory, uint64_t bytes)
      : device(device), memory(memory), size(bytes) {}
  Buffer(Buffer &&other) noexcept
      : device(other.device), memory(std::exchange(other.memory, nullptr)),
        size(std::exchange(other.size, 0)) {}
  Buffer &operator=(Buffer &&other) noexcept {
    if (this != &other) {
      reset();
      device = other.device;
      memory = std::exchange(other.memory, nullptr);
      size = std::exchange(other.size, 0);
    }
    return *this;
  }
  ~Buffer() { reset(); }
  void reset() {
    if (memory)
      ist_device_free(device, std::exchange(memory, nullptr));
    size = 0;
  }
  void *data() const { return memory; }
  uint64_t bytes() const { return size; }

private:
  ist_device *device = nullptr;
  void *memory = nullptr;
  uint64_t size = 0;
};

class Device : public Handle<ist_device, ist_device_release> {
public:
  using Handle::Handle;

  static Result<Device> open(const char *name = nullptr,
                             const ist_device_options *options = nullptr) {
    ist_device *d = nullptr;
    ist_error error;
    if (ist_device_open(name, options, &d, &error))
      return Status(error);
    return Device(d);
  }
  std::string name() const { return ist_device_name(get()); }
  /// What describes it, as in a variant: {"cpu.arch", "x86_64"}.
  std::vector<std::pair<std::string, std::string>> facts() const {
    std::vector<std::pair<std::string, std::string>> all;
    const char *key, *value;
    for (size_t i = 0; i < ist_device_fact_count(get()); ++i)
      if (!ist_device_fact(get(), i, &key, &value, nullptr))
        all.emplace_back(key, value);
    return all;
  }
  /// The vendor's own context behind it.
  Result<Native> native() const {
    const char *kind = nullptr;
    Native n;
    ist_error error;
    if (ist_device_native(get(), &kind, &n.handle, &error))
      return Status(error);
    n.kind = kind;
    return n;
  }
  Result<ist_device_memory_info> memory() const {
    ist_device_memory_info info;
    ist_error error;
    if (ist_device_memory(get(), &info, &error))
      return Status(error);
    return info;
  }
  Result<Buffer> alloc(uint64_t bytes,
                       ist_memory kind = IST_MEMORY_DEVICE) const {
    void *p = nullptr;
    ist_error error;
    if (ist_device_alloc(get(), kind, bytes, &p, &error))
      return Status(error);
    return Buffer(get(), p, bytes);
  }
  Status copy(void *to, ist_memory toMemory, const void *from,
              ist_memory fromMemory, uint64_t bytes) const {
    ist_error error;
    if (ist_device_copy(get(), to, toMemory, from, fromMemory, bytes, &error))
      return Status(error);
    return {};
  }
  /// To `to` here, from `from` on `other`.
  Status copyFrom(void *to, const Device &other, const void *from,
                  uint64_t bytes) const {
    ist_error error;
    if (ist_device_copy_from(get(), to, other.get(), from, bytes, &error))
      return Status(error);
    return {};
  }
  /// Since it was opened, or they were reset.
  Result<std::vector<KernelCounters>> counters() const {
    std::vector<KernelCounters> all;
    ist_error error;
    auto visit = [](void *user, const char *kernel, const char *counter,
                    uint64_t value) {
      auto &all = *static_cast<std::vector<KernelCounters> *>(user);
      if (all.empty() || all.back().kernel != kernel)
        all.push_back({kernel, {}});
      all.back().counters.emplace_back(counter, value);
    };
    if (ist_device_counters(get(), visit, &all, &error))
      return Status(error);
    return all;
  }
  Status resetCounters() const {
    ist_error error;
    if (ist_device_reset_counters(get(), &error))
      return Status(error);
    return {};
  }
};

class Program : public Handle<ist_program, ist_program_release> {
public:
  using Handle::Handle;

  static Result<Program> load(const std::string &path, const Device &device,
                              int32_t variant = IST_BEST_VARIANT) {
    ist_program *p = nullptr;
    ist_error error;
    if (ist_program_load(path.c_str(), device.get(), variant, &p, &error))
      return Status(error);
    return Program(p);
  }
  /// `data` stays as it is until the program is gone.
  static Result<Program> load(const void *data, size_t size,
                              const Device &device,
                              int32_t variant = IST_BEST_VARIANT) {
    ist_program *p = nullptr;
    ist_error error;
    if (ist_program_load_memory(data, size, device.get(), variant, &p, &error))
      return Status(error);
    return Program(p);
  }
  /// For queries, without a device.
  static Result<Program> inspect(const std::string &path,
                                 int32_t variant = IST_BEST_VARIANT) {
    return load(path, Device(), variant);
  }

  ist_artifact_info info() const {
    ist_artifact_info i;
    ist_program_info(get(), &i);
    return i;
  }
  std::vector<std::string> remarks() const {
    std::vector<std::string> all;
    for (size_t i = 0; i < ist_program_remark_count(get()); ++i)
      all.push_back(ist_program_remark(get(), i));
    return all;
  }

  struct Variant {
    ist_variant_info info;
    std::vector<std::pair<std::string, std::string>> facts;
  };
  std::vector<Variant> variants() const {
    std::vector<Variant> all(info().variant_count);
    const char *key, *value;
    for (uint32_t v = 0; v < all.size(); ++v) {
      ist_program_variant(get(), v, &all[v].info, nullptr);
      for (uint32_t i = 0; i < all[v].info.fact_count; ++i)
        if (!ist_program_variant_fact(get(), v, i, &key, &value, nullptr))
          all[v].facts.emplace_back(key, value);
    }
    return all;
  }
  /// The variant that such a device is given. `passedOver`, when not null, gets
  /// each that does not fit, and why.
  Result<uint32_t> choose(const ist_device_description &description,
                          std::vector<std::pair<uint32_t, std::string>>
                              *passedOver = nullptr) const {
    uint32_t variant = 0;
    ist_error error;
    auto visit = [](void *user, uint32_t variant, const char *why) {
      static_cast<std::vector<std::pair<uint32_t, std::string>> *>(user)
          ->emplace_back(variant, why);
    };
    if (ist_program_choose(get(), &description, &variant,
                           passedOver ? +visit : nullptr, passedOver, &error))
      return Status(error);
    return variant;
  }

  struct Function {
    uint32_t index;
    ist_function_info info;
    std::vector<ist_symbol_info> symbols;
    std::vector<ist_tensor_info> inputs, outputs;
  };
  Result<Function> function(const std::string &name) const {
    Function f = {};
    ist_error error;
    if (ist_program_find_function(get(), name.c_str(), &f.index, &error) ||
        ist_program_function(get(), f.index, &f.info, &error))
      return Status(error);
    f.symbols.resize(f.info.symbol_count);
    f.inputs.resize(f.info.input_count);
    f.outputs.resize(f.info.output_count);
    bool ok = true;
    for (uint32_t i = 0; i < f.symbols.size(); ++i)
      ok = ok && !ist_program_symbol(get(), f.index, i, &f.symbols[i], &error);
    for (uint32_t i = 0; i < f.inputs.size(); ++i)
      ok = ok && !ist_program_input(get(), f.index, i, &f.inputs[i], &error);
    for (uint32_t i = 0; i < f.outputs.size(); ++i)
      ok = ok && !ist_program_output(get(), f.index, i, &f.outputs[i], &error);
    if (!ok)
      return Status(error);
    return f;
  }
  /// Dtypes, ranks, dims and bytes of the outputs for such inputs.
  Result<std::vector<ist_tensor>>
  outputShapes(uint32_t function, const std::vector<ist_tensor> &inputs) const {
    ist_error error;
    ist_function_info f;
    if (ist_program_function(get(), function, &f, &error))
      return Status(error);
    std::vector<ist_tensor> outputs(f.output_count);
    if (ist_program_output_shapes(get(), function, inputs.data(), inputs.size(),
                                  outputs.data(), outputs.size(), &error))
      return Status(error);
    return outputs;
  }
  Result<ist_memory_need>
  memoryNeed(uint32_t function, const std::vector<ist_tensor> &inputs) const {
    ist_memory_need need;
    ist_error error;
    if (ist_program_memory_need(get(), function, inputs.data(), inputs.size(),
                                &need, &error))
      return Status(error);
    return need;
  }
};

/// A number that only rises, which asynchronous calls wait for and raise.
class Semaphore : public Handle<ist_semaphore, ist_semaphore_release> {
public:
  using Handle::Handle;

  static Result<Semaphore> create(uint64_t value = 0) {
    ist_semaphore *s = nullptr;
    ist_error error;
    if (ist_semaphore_create(value, &s, &error))
      return Status(error);
    return Semaphore(s);
  }
  uint64_t value() const { return ist_semaphore_value(get()); }
  ist_point at(uint64_t value) const { return {get(), value}; }
  Status signal(uint64_t value) const {
    ist_error error;
    if (ist_semaphore_signal(get(), value, &error))
      return Status(error);
    return {};
  }
  /// The failure of the call that was to signal it, if it failed.
  Status wait(uint64_t value, uint64_t timeoutNs = UINT64_MAX) const {
    ist_error error;
    if (ist_semaphore_wait(get(), value, timeoutNs, &error))
      return Status(error);
    return {};
  }
};

class Session : public Handle<ist_session, ist_session_destroy> {
public:
  using Handle::Handle;

  static Result<Session> create(const Program &program,
                                const ist_session_options *options = nullptr) {
    ist_session *s = nullptr;
    ist_error error;
    if (ist_session_create(program.get(), options, &s, &error))
      return Status(error);
    return Session(s);
  }
  /// With memory of the caller's in `outputs`, or none.
  Status call(const char *function, const std::vector<ist_tensor> &inputs,
              std::vector<ist_tensor> &outputs) const {
    return call(function, inputs.data(), inputs.size(), outputs.data(),
                outputs.size());
  }
  Status call(const char *function, const ist_tensor *inputs, size_t inputCount,
              ist_tensor *outputs, size_t outputCount) const {
    ist_error error;
    if (ist_call(get(), function, inputs, inputCount, outputs, outputCount,
                 &error))
      return Status(error);
    return {};
  }
  /// Returns once the call is under way. Inputs and outputs stay where they are
  /// until a signal is reached; the points are copied.
  Status callAsync(const char *function, const std::vector<ist_tensor> &inputs,
                   std::vector<ist_tensor> &outputs,
                   const std::vector<ist_point> &waits,
                   const std::vector<ist_point> &signals) const {
    ist_call_points points = IST_CALL_POINTS_INIT;
    points.waits = waits.data();
    points.wait_count = waits.size();
    points.signals = signals.data();
    points.signal_count = signals.size();
    ist_error error;
    if (ist_call_async(get(), function, inputs.data(), inputs.size(),
                       outputs.data(), outputs.size(), &points, &error))
      return Status(error);
    return {};
  }
  /// Null ends a binding.
  Status bind(const char *name, ist_tensor *tensor) const {
    ist_error error;
    if (ist_session_bind(get(), name, tensor, &error))
      return Status(error);
    return {};
  }
  Status prepare(const char *function,
                 const std::vector<ist_tensor> &inputs) const {
    ist_error error;
    if (ist_session_prepare(get(), function, inputs.data(), inputs.size(), 1,
                            &error))
      return Status(error);
    return {};
  }
  void cancel() const { ist_session_cancel(get()); }
  void setTimeout(uint64_t nanoseconds) const {
    ist_session_set_timeout(get(), nanoseconds);
  }
  /// The vendor's own queue behind it.
  Result<Native> native() const {
    const char *kind = nullptr;
    Native n;
    ist_error error;
    if (ist_session_native(get(), &kind, &n.handle, &error))
      return Status(error);
    n.kind = kind;
    return n;
  }
  /// Waits for every launch from now on, and so slows calls.
  Status setProfiling(bool enabled) const {
    ist_error error;
    if (ist_session_set_profiling(get(), enabled, &error))
      return Status(error);
    return {};
  }
  Result<ist_launch_profile> profile(uint32_t function, uint32_t launch) const {
    ist_launch_profile p = {};
    ist_error error;
    if (ist_session_profile(get(), function, launch, &p, &error))
      return Status(error);
    return p;
  }
  /// Of the launches that profile() counts, all together.
  Result<ist_work> launchWork(uint32_t function, uint32_t launch) const {
    ist_work w = {};
    ist_error error;
    if (ist_session_launch_work(get(), function, launch, &w, &error))
      return Status(error);
    return w;
  }
  ist_session_counters counters() const {
    ist_session_counters c = {};
    c.struct_size = sizeof c;
    ist_session_get_counters(get(), &c);
    return c;
  }
};

} // namespace isthmus

#endif // ISTHMUS_RUNTIME_HPP
