//===- inout_test.cpp - outputs that live in inputs -----------------------===//
#include "builder.h"

using namespace isthmus;
using namespace isthmus::test;

namespace {

constexpr int64_t kN = -1; // symbol 0, or register 0

/// state += x, in place; y = 2 * state. The kernel reads state from addresses
/// of this alignment and writes it to such of 64.
std::string accumulate(uint32_t readAlign = 64) {
  ArtifactBuilder a;
  auto f = a.function("main");
  uint32_t n = f.symbol("n");
  uint32_t x = f.input("x", f32, {kN}), state = f.input("state", f32, {kN});
  uint32_t next = f.output("next", f32, {kN}, 1), y = f.output("y", f32, {kN});
  uint32_t bytes = f.bytes(n, 4), groups = f.groups(n);
  uint32_t to = f.buffer(Op::alloc_output, next, bytes);
  f.launch("add_f32", groups, {x, state, to}, {n});
  uint32_t out = f.buffer(Op::alloc_output, y, bytes);
  f.launch("scale_f32", groups, {to, out}, {n, f.constant(2)});
  for (auto &kernel : a.program().kernels)
    if (kernel->name == "add_f32")
      kernel->params[1]->align = readAlign;
  return a.bytes();
}

TEST(Inout, AlignedAsItsWriterWants) {
  std::string bytes = accumulate(4);
  Program p = load(bytes);
  Session s = session(p);
  alignas(64) char memory[64] = {};
  std::vector<float> x = {1, 2, 3};
  ist_tensor state = tensor(std::vector<float>(3));
  state.data = memory + 4;
  std::vector<ist_tensor> outs(2);
  ist_error error;
  ASSERT_EQ(call(s, {tensor(x), state}, outs, &error), IST_OK) << error.message;
  EXPECT_EQ(values<float>(outs[0]), x);
}

TEST(Inout, TheSignatureSaysIt) {
  std::string bytes = accumulate();
  Program p = load(bytes);
  ist_tensor_info info;
  ist_error error;
  int32_t want[] = {-1, 0};
  for (uint32_t i : {0, 1}) {
    ASSERT_EQ(ist_program_input(p.get(), 0, i, &info, &error), IST_OK);
    EXPECT_EQ(info.inout, want[i]);
    ASSERT_EQ(ist_program_output(p.get(), 0, i, &info, &error), IST_OK);
    EXPECT_EQ(info.inout, i == 0 ? 1 : -1);
  }
}

TEST(Inout, WrittenWhereTheInputIs) {
  std::string bytes = accumulate();
  Program p = load(bytes);
  Session s = session(p);
  ist_error error;
  std::vector<ist_tensor> outs(2);
  // Aligned and not: what is not is copied there and back.
  for (size_t shift : {0, 4, 12}) {
    alignas(64) char memory[256] = {};
    std::vector<float> x = {1, 2, 3};
    ist_tensor state = tensor(std::vector<float>(3));
    state.data = memory + shift;
    outs.assign(2, {});
    for (int step = 1; step <= 3; ++step) {
      ASSERT_EQ(call(s, {tensor(x), state}, outs, &error), IST_OK)
          << error.message;
      EXPECT_EQ(outs[0].data, state.data);
      EXPECT_EQ(outs[0].capacity, state.capacity);
      float k = static_cast<float>(step);
      EXPECT_EQ(values<float>(outs[0]), (std::vector<float>{k, 2 * k, 3 * k}));
      EXPECT_EQ(values<float>(outs[1]),
                (std::vector<float>{2 * k, 4 * k, 6 * k}));
    }
    for (size_t i = shift + 12; i < sizeof memory; ++i)
      ASSERT_EQ(memory[i], 0) << i;
  }
}

TEST(Inout, OtherMemoryForItIsRefused) {
  std::string bytes = accumulate();
  Program p = load(bytes);
  Session s = session(p);
  ist_error error;
  std::vector<float> x(3), state(3), other(3);
  std::vector<ist_tensor> outs = {tensor(other), {}};
  EXPECT_EQ(call(s, {tensor(x), tensor(state)}, outs, &error),
            IST_INVALID_ARGUMENT);
  EXPECT_NE(std::string(error.message).find("'next'"), std::string::npos);
  EXPECT_NE(std::string(error.message).find("'state'"), std::string::npos);
}

/// A state that grows in place: `next` has one element more, the last of x.
std::string append() {
  ArtifactBuilder a;
  auto f = a.function("main");
  uint32_t n = f.symbol("n");
  uint32_t x = f.input("x", f32, {1}), state = f.input("state", f32, {kN});
  (void)state;
  uint32_t m = f.binary(Op::add, n, f.constant(1));
  uint32_t next = f.output("next", f32, {dim(m)}, 1);
  uint32_t four = f.constant(4);
  uint32_t to = f.buffer(Op::alloc_output, next, f.bytes(m, 4));
  uint32_t last = f.bufReg();
  f.emit(Op::view, last, to, f.bytes(n, 4), four);
  f.emit(Op::copy, last, x, four);
  return a.bytes();
}

TEST(Inout, MayGrowIntoTheCapacity) {
  std::string bytes = append();
  Program p = load(bytes);
  Session s = session(p);
  ist_error error;
  for (size_t shift : {0, 4}) {
    alignas(64) char memory[64];
    ist_tensor state = tensor(std::vector<float>(0));
    state.data = memory + shift;
    state.capacity = 12;
    std::vector<float> x = {0};
    for (int i = 0; i < 4; ++i) {
      state.dims[0] = i;
      x[0] = static_cast<float>(i + 1);
      std::vector<ist_tensor> outs(1);
      if (i == 3) {
        EXPECT_EQ(call(s, {tensor(x), state}, outs, &error),
                  IST_INVALID_ARGUMENT);
        EXPECT_EQ(outs[0].bytes, 16u);
        break;
      }
      ASSERT_EQ(call(s, {tensor(x), state}, outs, &error), IST_OK)
          << error.message;
      std::vector<float> want;
      for (int k = 0; k <= i; ++k)
        want.push_back(static_cast<float>(k + 1));
      EXPECT_EQ(values<float>(outs[0]), want) << shift;
    }
  }
}

/// A result that is another buffer is copied there; the input itself is not.
TEST(Inout, SetOutput) {
  for (bool same : {true, false}) {
    ArtifactBuilder a;
    auto f = a.function("main");
    uint32_t n = f.symbol("n");
    uint32_t x = f.input("x", f32, {kN}), state = f.input("state", f32, {kN});
    uint32_t next = f.output("next", f32, {kN}, 1);
    uint32_t t = f.alloc(f.bytes(n, 4));
    f.launch("scale_f32", f.groups(n), {x, t}, {n, f.constant(2)});
    f.emit(Op::set_output, next, same ? state : t);
    std::string bytes = a.bytes();
    Program p = load(bytes);
    Session s = session(p);
    ist_error error;
    std::vector<float> in = {1, 2}, kept = {7, 8};
    std::vector<ist_tensor> outs(1);
    ASSERT_EQ(call(s, {tensor(in), tensor(kept)}, outs, &error), IST_OK)
        << error.message;
    EXPECT_EQ(kept,
              same ? (std::vector<float>{7, 8}) : (std::vector<float>{2, 4}));
  }
}

} // namespace
