//===- builder.h - writes programs by hand, for tests ---------------------===//
#ifndef ISTHMUS_TEST_RUNTIME_BUILDER_H
#define ISTHMUS_TEST_RUNTIME_BUILDER_H

#include "ist_sim.h"
#include "program_generated.h"

#include <isthmus/runtime.hpp>

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace isthmus::test {

using Op = fb::Op;
constexpr auto f32 = fb::DType::f32;
constexpr auto i64 = fb::DType::i64;

/// A dim that is symbol (of an input) or register (of an output) `i`.
constexpr int64_t dim(uint32_t i) { return -1 - static_cast<int64_t>(i); }

/// Collects one function. Registers are named by what their makers return.
class FunctionBuilder {
public:
  FunctionBuilder(fb::ProgramT &program, const std::string &name);

  uint32_t symbol(const std::string &name, int64_t min = 0,
                  int64_t max = INT64_MAX, int64_t multiple = 1);
  /// Dims: n >= 0 is a size, dim(s) is symbol s.
  uint32_t input(const std::string &name, fb::DType dtype,
                 const std::vector<int64_t> &dims);
  /// Dims: n >= 0 is a size, dim(r) is integer register r.
  uint32_t output(const std::string &name, fb::DType dtype,
                  const std::vector<int64_t> &dims, int32_t inout = -1);
  uint32_t intReg() { return f->int_regs++; }
  uint32_t bufReg() { return f->buffer_regs++; }

  uint32_t emit(Op op, uint32_t dst = 0, uint32_t a = 0, uint32_t b = 0,
                uint32_t c = 0);
  uint32_t constant(int64_t v);
  uint32_t binary(Op op, uint32_t a, uint32_t b);
  uint32_t buffer(Op op, uint32_t a, uint32_t b = 0);
  /// A transient of r[size] bytes; lives to the end unless endAt is called.
  uint32_t alloc(uint32_t size, bool pool = false);
  void launch(const std::string &kernel, uint32_t grid,
              const std::vector<uint32_t> &buffers,
              const std::vector<uint32_t> &scalars,
              const std::string &node = "node",
              const std::vector<std::string> &errors = {});
  uint32_t read(uint32_t buffer, uint32_t element, fb::DType type);
  /// Structured control flow; partners are patched.
  void if_(uint32_t cond);
  void else_();
  void endIf();
  uint32_t loop(uint32_t n); // gives the counter
  void breakIf(uint32_t cond);
  void endLoop();
  /// ceil(n / 64)
  uint32_t groups(uint32_t n);
  /// n * bytes
  uint32_t bytes(uint32_t n, int64_t elementBytes);

  fb::FunctionT *f;

private:
  void setTarget(uint32_t at, uint32_t target);

  fb::ProgramT &program;
  std::vector<uint32_t> open;
};

/// `coefficient` times the launch's scalars of these indices, `most` at most.
fb::Term term(uint64_t coefficient, const std::vector<uint8_t> &scalars = {},
              uint64_t most = UINT64_MAX);

/// One artifact with one cpu variant over kernels.c.
class ArtifactBuilder {
public:
  ArtifactBuilder();
  FunctionBuilder function(const std::string &name) {
    return {program(), name};
  }
  fb::ProgramT &program() { return *manifest.variants[0]->program; }
  /// What launches of a kernel do; nothing is said until this was asked for.
  fb::WorkT &work(const std::string &kernel);
  /// In member "weights", 64-byte aligned.
  uint32_t weight(const std::string &name, const std::vector<float> &data);
  /// Finishes lifetimes and host_waits and gives the file's bytes.
  std::string bytes();
  /// The same with this manifest in place of ours.
  std::string bytesWith(const std::string &manifest);
  std::string packed();

  fb::ManifestT manifest;
  std::string code;    // what the variant's member holds
  std::string weights; // member "weights"
};

/// y = (x + w) * 3 with w = 2 and a dynamic size n in 1..1000. The sum says
/// its work, the product does not.
std::string addScale();

/// y = x[i], by node Gather_7, which has errors for indices below 0 and beyond
/// x's end.
std::string gather();

/// "cpu" and, where its plug-in is built, "sim".
std::vector<const char *> devices();
/// One of each name for the whole test run; "sim" is the plug-in built here.
ist_device *device(const std::string &name = "cpu");
/// A program over `bytes`, which must outlive it; fails the test if it cannot.
Program load(const std::string &bytes, ist_device *on = device());
Session session(const Program &program,
                const ist_session_options *options = nullptr);
ist_session_counters counters(const Session &s);
/// What the simulated device has seen.
ist_sim_counters simCounters();
void simConfigure(const char *options);

template <typename T> ist_dtype dtypeOf();
template <> inline ist_dtype dtypeOf<float>() { return IST_F32; }
template <> inline ist_dtype dtypeOf<int64_t>() { return IST_I64; }
template <> inline ist_dtype dtypeOf<uint32_t>() { return IST_U32; }

template <typename T>
ist_tensor tensor(const std::vector<T> &data, std::vector<int64_t> dims = {}) {
  if (dims.empty())
    dims = {static_cast<int64_t>(data.size())};
  ist_tensor t = {};
  t.data = const_cast<T *>(data.data());
  t.capacity = data.size() * sizeof(T);
  t.dtype = dtypeOf<T>();
  t.rank = static_cast<int32_t>(dims.size());
  for (size_t i = 0; i < dims.size(); ++i)
    t.dims[i] = dims[i];
  return t;
}

template <typename T> std::vector<T> values(const ist_tensor &t) {
  const T *p = static_cast<const T *>(t.data);
  return std::vector<T>(p, p + t.bytes / sizeof(T));
}

/// Calls main; the message is in `error`.
ist_status call(const Session &s, const std::vector<ist_tensor> &inputs,
                std::vector<ist_tensor> &outputs, ist_error *error);

} // namespace isthmus::test

#endif // ISTHMUS_TEST_RUNTIME_BUILDER_H
