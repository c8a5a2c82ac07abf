//===- call_test.cpp - what programs do when they are called --------------===//
#include "builder.h"

#include <atomic>
#include <thread>

using namespace isthmus;
using namespace isthmus::test;

namespace {

TEST(Call, DynamicSizes) {
  std::string bytes = addScale();
  Program p = load(bytes);
  Session s = session(p);
  ist_error error;
  std::vector<ist_tensor> out(1);
  for (int64_t n : {1, 7, 64, 65, 1000, 3}) {
    std::vector<float> x(n);
    for (int64_t i = 0; i < n; ++i)
      x[i] = static_cast<float>(i);
    ASSERT_EQ(call(s, {tensor(x)}, out, &error), IST_OK) << error.message;
    ASSERT_EQ(out[0].dims[0], n);
    auto y = values<float>(out[0]);
    for (int64_t i = 0; i < n; ++i)
      ASSERT_EQ(y[i], (static_cast<float>(i) + 2) * 3);
  }
  std::vector<float> x(1001);
  EXPECT_EQ(call(s, {tensor(x)}, out, &error), IST_INVALID_ARGUMENT);
  EXPECT_NE(std::string(error.message).find("'n'"), std::string::npos);
  EXPECT_NE(std::string(error.message).find("1..1000"), std::string::npos);
}

TEST(Call, UnalignedMemoryOfTheCaller) {
  std::string bytes = addScale();
  Program p = load(bytes);
  Session s = session(p);
  ist_error error;
  alignas(64) char memory[512], result[512];
  for (size_t shift : {0, 4, 1, 32}) {
    for (int i = 0; i < 10; ++i) {
      float v = static_cast<float>(i);
      std::memcpy(memory + shift + 4 * i, &v, 4);
    }
    ist_tensor x = tensor(std::vector<float>(10));
    x.data = memory + shift;
    ist_tensor y = {};
    y.data = result + shift;
    y.capacity = 40;
    std::vector<ist_tensor> out = {y};
    ASSERT_EQ(call(s, {x}, out, &error), IST_OK) << error.message;
    for (int i = 0; i < 10; ++i) {
      float v;
      std::memcpy(&v, result + shift + 4 * i, 4);
      ASSERT_EQ(v, static_cast<float>(i + 2) * 3);
    }
  }
}

/// The most bytes of the device that calls need whose x and y lie so.
static uint64_t mostBytes(const std::string &bytes, size_t xShift,
                          size_t yShift) {
  Program p = load(bytes);
  Session s = session(p);
  alignas(64) static char memory[8192], result[8192];
  ist_tensor x = tensor(std::vector<float>(1000));
  x.data = memory + xShift;
  ist_tensor y = {};
  y.data = result + yShift;
  y.capacity = 4000;
  std::vector<ist_tensor> out = {y};
  ist_error error;
  EXPECT_EQ(call(s, {x}, out, &error), IST_OK) << error.message;
  return counters(s).high;
}

TEST(Call, MemoryIsCopiedOnlyWhereItsKernelsWantMore) {
  for (uint32_t align : {4u, 64u}) {
    ArtifactBuilder a;
    auto f = a.function("main");
    uint32_t x = f.input("x", f32, {1000}), y = f.output("y", f32, {1000});
    uint32_t n = f.constant(1000), bytes = f.bytes(n, 4);
    // x goes the long way round.
    uint32_t moved = f.buffer(Op::bmove, x);
    uint32_t viewed = f.bufReg();
    f.emit(Op::view, viewed, moved, f.constant(0), bytes);
    uint32_t t = f.alloc(bytes);
    f.launch("add_f32", f.groups(n), {viewed, x, t}, {n});
    uint32_t out = f.buffer(Op::alloc_output, y, bytes);
    f.launch("scale_f32", f.groups(n), {t, out}, {n, f.constant(3)});
    for (auto &kernel : a.program().kernels) {
      if (kernel->name == "add_f32")
        kernel->params[0]->align = align, kernel->params[1]->align = 4;
      if (kernel->name == "scale_f32")
        kernel->params[1]->align = 4;
    }
    std::string artifact = a.bytes();
    uint64_t least = mostBytes(artifact, 0, 0);
    EXPECT_EQ(mostBytes(artifact, 4, 4), least + (align == 64 ? 4032 : 0));
    EXPECT_GT(mostBytes(artifact, 1, 4), least);
    EXPECT_GT(mostBytes(artifact, 0, 2), least);
  }
}

TEST(Call, CallersMemoryTooSmall) {
  std::string bytes = addScale();
  Program p = load(bytes);
  Session s = session(p);
  ist_error error;
  std::vector<float> x(10), y(9);
  std::vector<ist_tensor> out = {tensor(y)};
  EXPECT_EQ(call(s, {tensor(x)}, out, &error), IST_INVALID_ARGUMENT);
  EXPECT_NE(std::string(error.message).find("'y' needs 40 bytes"),
            std::string::npos)
      << error.message;
  EXPECT_EQ(out[0].bytes, 40u);
}

TEST(Call, WrongInputsAreNamed) {
  std::string bytes = addScale();
  Program p = load(bytes);
  Session s = session(p);
  ist_error error;
  std::vector<ist_tensor> out(1);
  EXPECT_EQ(call(s, {}, out, &error), IST_INVALID_ARGUMENT);
  std::vector<int64_t> ints(4);
  EXPECT_EQ(call(s, {tensor(ints)}, out, &error), IST_INVALID_ARGUMENT);
  EXPECT_NE(std::string(error.message).find("'x' has type i64"),
            std::string::npos);
  std::vector<float> x(4);
  EXPECT_EQ(call(s, {tensor(x, {2, 2})}, out, &error), IST_INVALID_ARGUMENT);
  ist_tensor t = tensor(x);
  t.capacity = 15;
  EXPECT_EQ(call(s, {t}, out, &error), IST_INVALID_ARGUMENT);
  t = tensor(x);
  t.data = nullptr;
  EXPECT_EQ(call(s, {t}, out, &error), IST_INVALID_ARGUMENT);
  EXPECT_EQ(ist_call(s.get(), "nope", nullptr, 0, nullptr, 0, &error),
            IST_NOT_FOUND);
  EXPECT_EQ(ist_call(s.get(), "main", nullptr, 0, nullptr, 0, nullptr),
            IST_INVALID_ARGUMENT);
}

TEST(Call, KernelIsChosenBySize) {
  ArtifactBuilder a;
  auto f = a.function("main");
  uint32_t n = f.symbol("n");
  uint32_t x = f.input("x", f32, {dim(n)});
  uint32_t y = f.output("y", f32, {dim(n)});
  uint32_t out = f.buffer(Op::alloc_output, y, f.bytes(n, 4));
  uint32_t small = f.binary(Op::cmp_lt, n, f.constant(8));
  uint32_t groups = f.groups(n);
  f.if_(small);
  f.launch("scale_f32", groups, {x, out}, {n, f.constant(2)});
  f.else_();
  f.launch("scale_f32", groups, {x, out}, {n, f.constant(5)});
  f.endIf();
  std::string bytes = a.bytes();
  Program p = load(bytes);
  Session s = session(p);
  ist_error error;
  for (size_t n : {0, 1, 7, 8, 100}) {
    std::vector<float> x(n, 1.f);
    std::vector<ist_tensor> out(1);
    ASSERT_EQ(call(s, {tensor(x)}, out, &error), IST_OK) << error.message;
    EXPECT_EQ(values<float>(out[0]), std::vector<float>(n, n < 8 ? 2.f : 5.f));
  }
}

/// Adds 1 to x `k` times, carrying a buffer and an integer around the loop;
/// leaves it early when the integer reaches 5.
std::string loopProgram(bool pool) {
  ArtifactBuilder a;
  auto f = a.function("main");
  uint32_t n = f.symbol("n"), k = f.symbol("k");
  uint32_t x = f.input("x", i64, {dim(n)});
  f.input("trips", i64, {dim(k)});
  uint32_t y = f.output("y", i64, {dim(n)}), m = f.output("m", i64, {0});
  (void)m;
  uint32_t count = f.constant(0), one = f.constant(1), five = f.constant(5);
  uint32_t bytes = f.bytes(n, 8), groups = f.groups(n);
  uint32_t carried = f.buffer(Op::bmove, x);
  f.loop(k);
  f.breakIf(f.binary(Op::cmp_eq, count, five));
  uint32_t t = f.alloc(bytes, pool);
  f.launch("inc_i64", groups, {carried, t}, {n});
  if (pool) {
    f.emit(Op::bmove, carried, t);
  } else {
    // A placed transient is one place: copy out of it.
    uint32_t keep = f.alloc(bytes, true);
    f.emit(Op::copy, keep, t, bytes);
    f.emit(Op::bmove, carried, keep);
  }
  f.emit(Op::add, count, count, one);
  f.endLoop();
  f.emit(Op::set_output, y, carried);
  f.emit(Op::set_output, 1, carried);
  return a.bytes();
}

TEST(Call, LoopCarriesBuffersAndIntegers) {
  for (bool pool : {true, false}) {
    std::string bytes = loopProgram(pool);
    Program p = load(bytes);
    Session s = session(p);
    ist_error error;
    for (size_t k : {0, 1, 4, 5, 9}) {
      std::vector<int64_t> x = {1, 2, 3}, trips(k);
      std::vector<ist_tensor> out(2);
      ASSERT_EQ(call(s, {tensor(x), tensor(trips)}, out, &error), IST_OK)
          << error.message;
      int64_t d = static_cast<int64_t>(k < 5 ? k : 5);
      EXPECT_EQ(values<int64_t>(out[0]),
                (std::vector<int64_t>{1 + d, 2 + d, 3 + d}));
      EXPECT_EQ(x, (std::vector<int64_t>{1, 2, 3}));
    }
  }
}

/// The indices of x that are not zero.
std::string nonzero() {
  ArtifactBuilder a;
  auto f = a.function("main");
  uint32_t n = f.symbol("n");
  uint32_t x = f.input("x", f32, {dim(n)});
  uint32_t eight = f.constant(8), one = f.constant(1), zero = f.constant(0);
  uint32_t all = f.alloc(f.bytes(n, 8)), count = f.alloc(eight);
  f.launch("nonzero_f32", one, {x, count, all}, {n});
  uint32_t m = f.read(count, zero, i64);
  uint32_t y = f.output("y", i64, {dim(m)});
  uint32_t bytes = f.bytes(m, 8);
  uint32_t out = f.buffer(Op::alloc_output, y, bytes);
  f.emit(Op::copy, out, all, bytes);
  return a.bytes();
}

TEST(Call, OutputSizeDependsOnData) {
  std::string bytes = nonzero();
  Program p = load(bytes);
  Session s = session(p);
  ist_error error;
  std::vector<ist_tensor> out(1);
  std::vector<float> x = {0, 1, 0, 2, 3};
  ASSERT_EQ(call(s, {tensor(x)}, out, &error), IST_OK) << error.message;
  EXPECT_EQ(values<int64_t>(out[0]), (std::vector<int64_t>{1, 3, 4}));
  x = {0, 0};
  ASSERT_EQ(call(s, {tensor(x)}, out, &error), IST_OK) << error.message;
  EXPECT_EQ(out[0].bytes, 0u);
  // The session's own memory may be given back to it; the caller's is checked.
  std::vector<int64_t> y(1);
  x = {5, 5};
  out = {tensor(y)};
  EXPECT_EQ(call(s, {tensor(x)}, out, &error), IST_INVALID_ARGUMENT);
  EXPECT_EQ(out[0].bytes, 16u);
  // Shapes cannot be known without a call.
  ist_tensor in = tensor(x), shape = {};
  EXPECT_EQ(ist_program_output_shapes(p.get(), 0, &in, 1, &shape, 1, &error),
            IST_UNAVAILABLE);
  ist_function_info info;
  ASSERT_EQ(ist_program_function(p.get(), 0, &info, &error), IST_OK);
  EXPECT_EQ(info.host_waits, 1);
}

TEST(Call, KernelErrorsNameTheNode) {
  std::string bytes = gather();
  Program p = load(bytes);
  Session s = session(p);
  ist_error error;
  std::vector<float> data = {10, 20, 30};
  std::vector<int64_t> good = {2, 0}, bad = {1, 3};
  std::vector<ist_tensor> outs(1);
  ASSERT_EQ(call(s, {tensor(data), tensor(good)}, outs, &error), IST_OK);
  EXPECT_EQ(values<float>(outs[0]), (std::vector<float>{30, 10}));
  EXPECT_EQ(call(s, {tensor(data), tensor(bad)}, outs, &error),
            IST_INVALID_ARGUMENT);
  EXPECT_STREQ(error.message, "index out of range (in Gather_7)");
  // The word is cleared for the next call.
  EXPECT_EQ(call(s, {tensor(data), tensor(good)}, outs, &error), IST_OK);
}

TEST(Call, InitMakesDerivedWeightsOnce) {
  ArtifactBuilder a;
  a.program().derived = 1;
  uint32_t w = a.weight("w", {1, 2, 3, 4});
  auto init = a.function("init");
  uint32_t wb = init.buffer(Op::weight, w), four = init.constant(4);
  uint32_t d = init.buffer(Op::alloc_derived, 0, init.constant(16));
  init.launch("scale_f32", init.constant(1), {wb, d}, {four, init.constant(7)});
  auto f = a.function("main");
  uint32_t y = f.output("y", f32, {4}), c = f.output("c", f32, {4});
  uint32_t sixteen = f.constant(16);
  f.emit(Op::set_output, y, f.buffer(Op::derived, 0));
  uint32_t out = f.buffer(Op::alloc_output, c, sixteen);
  f.launch("constant_f32", f.constant(1), {out}, {f.constant(4)});
  std::string bytes = a.bytes();
  Program p = load(bytes);
  ist_artifact_info info;
  ist_program_info(p.get(), &info);
  EXPECT_EQ(info.derived_bytes, 16u);
  EXPECT_EQ(info.weight_bytes, 16u);
  Session s = session(p);
  ist_error error;
  std::vector<float> mine(4);
  std::vector<ist_tensor> outs(2);
  outs[0] = tensor(mine);
  ASSERT_EQ(call(s, {}, outs, &error), IST_OK) << error.message;
  EXPECT_EQ(mine, (std::vector<float>{7, 14, 21, 28}));
  EXPECT_EQ(values<float>(outs[1]), (std::vector<float>{10, 20, 10, 20}));
  EXPECT_EQ(ist_call(s.get(), "init", nullptr, 0, nullptr, 0, &error),
            IST_INVALID_ARGUMENT);
}

TEST(Call, ArithmeticIsChecked) {
  for (Op op :
       {Op::mul, Op::add, Op::sub, Op::floordiv, Op::ceildiv, Op::mod}) {
    ArtifactBuilder a;
    auto f = a.function("main");
    uint32_t n = f.symbol("n");
    f.input("x", f32, {dim(n)});
    uint32_t big = f.constant(INT64_MAX), small = f.constant(-2);
    if (op == Op::mul || op == Op::add)
      f.binary(op, big, f.binary(Op::add, n, f.constant(2)));
    else if (op == Op::sub)
      f.binary(op, small, big);
    else
      f.binary(op, big, n);
    std::string bytes = a.bytes();
    Program p = load(bytes);
    Session s = session(p);
    ist_error error;
    std::vector<float> x;
    std::vector<ist_tensor> out;
    EXPECT_EQ(call(s, {tensor(x, {0})}, out, &error), IST_INVALID_ARGUMENT)
        << fb::EnumNameOp(op);
  }
}

TEST(Call, RoundingOfDivisions) {
  struct {
    Op op;
    int64_t a, b, want;
  } cases[] = {{Op::floordiv, 7, 2, 3},    {Op::floordiv, -7, 2, -4},
               {Op::floordiv, 7, -2, -4},  {Op::floordiv, -7, -2, 3},
               {Op::ceildiv, 7, 2, 4},     {Op::ceildiv, -7, 2, -3},
               {Op::ceildiv, 7, -2, -3},   {Op::ceildiv, -7, -2, 4},
               {Op::mod, 7, 3, 1},         {Op::mod, -7, 3, 2},
               {Op::mod, 7, -3, -2},       {Op::mod, -7, -3, -1},
               {Op::mod, INT64_MIN, -1, 0}};
  for (const auto &c : cases) {
    ArtifactBuilder a;
    auto f = a.function("main");
    uint32_t r = f.binary(c.op, f.constant(c.a), f.constant(c.b));
    uint32_t ok = f.binary(Op::cmp_eq, r, f.constant(c.want));
    a.program().strings.push_back("wrong");
    f.emit(Op::check, 0, ok,
           static_cast<uint32_t>(a.program().strings.size() - 1));
    std::string bytes = a.bytes();
    Program p = load(bytes);
    Session s = session(p);
    ist_error error;
    std::vector<ist_tensor> out;
    EXPECT_EQ(call(s, {}, out, &error), IST_OK)
        << fb::EnumNameOp(c.op) << " " << c.a << " " << c.b;
  }
}

TEST(Call, ChecksSayTheirString) {
  ArtifactBuilder a;
  auto f = a.function("main");
  uint32_t n = f.symbol("n");
  f.input("x", f32, {dim(n)});
  a.program().strings = {"n must be 3"};
  f.emit(Op::check, 0, f.binary(Op::cmp_eq, n, f.constant(3)), 0);
  std::string bytes = a.bytes();
  Program p = load(bytes);
  Session s = session(p);
  ist_error error;
  std::vector<ist_tensor> out;
  std::vector<float> x(4);
  EXPECT_EQ(call(s, {tensor(x)}, out, &error), IST_INVALID_ARGUMENT);
  EXPECT_STREQ(error.message, "n must be 3");
  x.resize(3);
  EXPECT_EQ(call(s, {tensor(x)}, out, &error), IST_OK);
}

TEST(Call, ViewsFillsAndPassThrough) {
  ArtifactBuilder a;
  uint32_t w = a.weight("w", {5, 6});
  auto f = a.function("main");
  uint32_t n = f.symbol("n", 2);
  uint32_t x = f.input("x", f32, {dim(n)});
  uint32_t y = f.output("y", f32, {dim(n)}), z = f.output("z", f32, {2}),
           k = f.output("k", f32, {dim(n)});
  uint32_t bytes = f.bytes(n, 4), four = f.constant(4), zero = f.constant(0);
  uint32_t out = f.buffer(Op::alloc_output, y, bytes);
  f.emit(Op::fill, out, zero, bytes);
  uint32_t from = f.bufReg(), to = f.bufReg();
  f.emit(Op::view, from, x, zero, four);
  f.emit(Op::view, to, out, f.binary(Op::sub, bytes, four), four);
  f.emit(Op::copy, to, from, four);
  f.emit(Op::set_output, z, f.buffer(Op::weight, w));
  f.emit(Op::set_output, k, x);
  std::string all = a.bytes();
  Program p = load(all);
  Session s = session(p);
  ist_error error;
  std::vector<ist_tensor> outs(3);
  std::vector<float> in = {9, 8, 7};
  ASSERT_EQ(call(s, {tensor(in)}, outs, &error), IST_OK) << error.message;
  EXPECT_EQ(values<float>(outs[0]), (std::vector<float>{0, 0, 9}));
  EXPECT_EQ(values<float>(outs[1]), (std::vector<float>{5, 6}));
  EXPECT_EQ(values<float>(outs[2]), in);
  EXPECT_NE(outs[2].data, in.data());
}

TEST(Call, ViewOutsideItsBuffer) {
  ArtifactBuilder a;
  auto f = a.function("main");
  uint32_t n = f.symbol("n");
  uint32_t x = f.input("x", f32, {dim(n)});
  f.emit(Op::view, f.bufReg(), x, f.constant(4), f.constant(8));
  std::string bytes = a.bytes();
  Program p = load(bytes);
  Session s = session(p);
  ist_error error;
  std::vector<ist_tensor> out;
  std::vector<float> three(3), two(2);
  EXPECT_EQ(call(s, {tensor(three)}, out, &error), IST_OK);
  EXPECT_EQ(call(s, {tensor(two)}, out, &error), IST_INVALID_ARGUMENT);
}

TEST(Call, BigGridsCoverEveryWorkgroupOnce) {
  ArtifactBuilder a;
  auto f = a.function("main");
  uint32_t n = f.symbol("n");
  uint32_t y = f.output("y", fb::DType::u32, {dim(n)});
  f.input("x", f32, {dim(n)});
  uint32_t bytes = f.bytes(n, 4);
  uint32_t out = f.buffer(Op::alloc_output, y, bytes);
  f.emit(Op::fill, out, f.constant(0), bytes);
  f.launch("mark_u32", n, {out}, {});
  f.launch("slow", f.constant(8), {out}, {});
  f.launch("mark_u32", n, {out}, {});
  std::string all = a.bytes();
  Program p = load(all);
  auto worker = [&] {
    Session s = session(p);
    ist_error error;
    for (size_t n : {1, 2, 3, 17, 1000, 100000, 5}) {
      std::vector<float> x(n);
      std::vector<ist_tensor> outs(1);
      ASSERT_EQ(call(s, {tensor(x)}, outs, &error), IST_OK) << error.message;
      ASSERT_EQ(values<uint32_t>(outs[0]), std::vector<uint32_t>(n, 2));
    }
  };
  // Sessions of one program at once.
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back(worker);
  for (std::thread &t : threads)
    t.join();
}

TEST(Call, OneSessionRefusesASecondCall) {
  ArtifactBuilder a;
  auto f = a.function("main");
  uint32_t t = f.alloc(f.constant(4));
  f.loop(f.constant(1000000));
  f.launch("slow", f.constant(1), {t}, {});
  f.endLoop();
  std::string bytes = a.bytes();
  Program p = load(bytes);
  Session s = session(p);
  // Two threads call, this one cancels; in some round the calls overlap.
  bool refused = false;
  for (int round = 0; round < 100 && !refused; ++round) {
    ist_status status[2];
    ist_error errors[2] = {};
    std::atomic<int> running{2};
    auto callMain = [&](int i) {
      status[i] = ist_call(s.get(), "main", nullptr, 0, nullptr, 0, &errors[i]);
      --running;
    };
    std::thread a(callMain, 0), b(callMain, 1);
    while (running) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      ist_session_cancel(s.get());
    }
    a.join();
    b.join();
    for (int i : {0, 1})
      if (status[i] == IST_INVALID_ARGUMENT) {
        refused = true;
        EXPECT_EQ(status[1 - i], IST_ABORTED);
        EXPECT_NE(std::string(errors[i].message).find("another call"),
                  std::string::npos);
      } else {
        EXPECT_EQ(status[i], IST_ABORTED);
      }
  }
  EXPECT_TRUE(refused);

  ist_error error;
  ist_session_set_timeout(s.get(), 1000000);
  EXPECT_EQ(ist_call(s.get(), "main", nullptr, 0, nullptr, 0, &error),
            IST_DEADLINE_EXCEEDED);
}

TEST(Call, ProfileCountsLaunches) {
  std::string bytes = addScale();
  Program p = load(bytes);
  Session s = session(p);
  ist_error error;
  ist_launch_profile profile;
  EXPECT_EQ(ist_session_profile(s.get(), 0, 0, &profile, &error),
            IST_INVALID_ARGUMENT);
  ASSERT_EQ(ist_session_set_profiling(s.get(), 1, &error), IST_OK);
  std::vector<float> x(5);
  std::vector<ist_tensor> out(1);
  for (int i = 0; i < 3; ++i)
    ASSERT_EQ(call(s, {tensor(x)}, out, &error), IST_OK);
  ASSERT_EQ(ist_session_profile(s.get(), 0, 1, &profile, &error), IST_OK);
  EXPECT_EQ(profile.count, 3u);
  EXPECT_EQ(ist_session_profile(s.get(), 0, 2, &profile, &error),
            IST_NOT_FOUND);
}

TEST(Call, MemoryNeedIsWhatASessionTakes) {
  std::string bytes = addScale();
  Program p = load(bytes);
  ist_tensor x = {};
  x.rank = 1;
  x.dims[0] = 100;
  ist_memory_need need;
  ist_error error;
  ASSERT_EQ(ist_program_memory_need(p.get(), 0, &x, 1, &need, &error), IST_OK);
  EXPECT_EQ(need.arena_bytes, 448u); // 400, up to a multiple of 64
  EXPECT_EQ(need.output_bytes, 400u);
  EXPECT_EQ(need.weight_bytes, 4000u);
  EXPECT_TRUE(need.exact);
  ist_tensor shape;
  ASSERT_EQ(ist_program_output_shapes(p.get(), 0, &x, 1, &shape, 1, &error),
            IST_OK);
  EXPECT_EQ(shape.dims[0], 100);
  EXPECT_EQ(shape.bytes, 400u);
}

} // namespace
