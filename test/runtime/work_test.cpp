//===- work_test.cpp - what launches compute and move ---------------------===//
#include "builder.h"

using namespace isthmus;
using namespace isthmus::test;

namespace {

/// One launch of scale_f32, whose scalars are a symbol and 3.
struct One {
  One() {
    auto f = a.function("main");
    uint32_t n = f.symbol("n", 0, 1000);
    uint32_t x = f.input("x", f32, {dim(n)}), y = f.output("y", f32, {dim(n)});
    uint32_t out = f.buffer(Op::alloc_output, y, f.bytes(n, 4));
    f.launch("scale_f32", f.groups(n), {x, out}, {n, f.constant(3)});
  }
  /// For n = `size`, without a call.
  ist_work ask(int64_t size) {
    std::string bytes = a.bytes();
    Program p = load(bytes);
    ist_tensor x = {};
    x.rank = 1;
    x.dims[0] = size;
    ist_work w;
    ist_error error;
    EXPECT_EQ(ist_program_launch_work(p.get(), 0, 0, &x, 1, &w, &error), IST_OK)
        << error.message;
    EXPECT_EQ(ist_program_launch_work(p.get(), 0, 1, &x, 1, &w, &error),
              IST_NOT_FOUND);
    return w;
  }
  ArtifactBuilder a;
};

TEST(Work, IsSumsOfProducts) {
  One one;
  fb::WorkT &w = one.a.work("scale_f32");
  w.flops = {term(2, {0, 0}), term(10, {1}), term(7)};
  w.reads = {term(4, {0}, 100), term(1)};
  w.writes = {term(0)};
  ist_work got = one.ask(20);
  EXPECT_TRUE(got.has_flops && got.has_bytes);
  EXPECT_EQ(got.flops, 2u * 20 * 20 + 10 * 3 + 7);
  EXPECT_EQ(got.read_bytes, 81u);
  EXPECT_EQ(got.written_bytes, 0u);
  EXPECT_EQ(one.ask(30).read_bytes, 101u);
}

TEST(Work, OfOldArtifactsIsNotKnown) {
  One one;
  ist_work got = one.ask(20);
  EXPECT_FALSE(got.has_flops || got.has_bytes);
  // Nor is what a part of them says.
  one.a.work("scale_f32").reads = {term(4, {0})};
  got = one.ask(20);
  EXPECT_FALSE(got.has_flops || got.has_bytes);
  EXPECT_EQ(got.read_bytes, 0u);
}

TEST(Work, Saturates) {
  One one;
  fb::WorkT &w = one.a.work("scale_f32");
  w.flops = {term(UINT64_MAX / 2, {0}), term(UINT64_MAX)};
  w.reads = {term(UINT64_MAX, {1, 1, 0})};
  w.writes = {term(UINT64_MAX, {1, 1, 0}, 5)};
  ist_work got = one.ask(20);
  EXPECT_EQ(got.flops, UINT64_MAX);
  EXPECT_EQ(got.read_bytes, UINT64_MAX);
  EXPECT_EQ(got.written_bytes, 5u);
  // Nothing is done with an empty tensor, however much of it.
  got = one.ask(0);
  EXPECT_EQ(got.read_bytes, 0u);
  EXPECT_EQ(got.written_bytes, 0u);
}

TEST(Work, IsCountedByProfiles) {
  std::string bytes = addScale();
  Program p = load(bytes);
  Session s = session(p);
  ist_error error;
  ist_work w;
  EXPECT_EQ(ist_session_launch_work(s.get(), 0, 0, &w, &error),
            IST_INVALID_ARGUMENT); // profiling is off
  ASSERT_EQ(ist_session_set_profiling(s.get(), 1, &error), IST_OK);
  std::vector<ist_tensor> out(1);
  for (size_t n : {5, 7}) {
    std::vector<float> x(n);
    ASSERT_EQ(call(s, {tensor(x)}, out, &error), IST_OK);
  }
  ASSERT_EQ(ist_session_launch_work(s.get(), 0, 0, &w, &error), IST_OK);
  EXPECT_TRUE(w.has_flops && w.has_bytes);
  EXPECT_EQ(w.flops, 12u);
  EXPECT_EQ(w.read_bytes, 96u);
  EXPECT_EQ(w.written_bytes, 48u);
  ASSERT_EQ(ist_session_launch_work(s.get(), 0, 1, &w, &error), IST_OK);
  EXPECT_FALSE(w.has_flops || w.has_bytes);
  EXPECT_EQ(ist_session_launch_work(s.get(), 0, 2, &w, &error), IST_NOT_FOUND);
}

TEST(Work, ThatChangesInALoopIsNotAskedFor) {
  ArtifactBuilder a;
  fb::WorkT &w = a.work("constant_f32");
  w.flops = w.reads = {term(0)};
  w.writes = {term(4, {0})};
  auto f = a.function("main");
  uint32_t four = f.constant(4), one = f.constant(1);
  uint32_t t = f.alloc(f.constant(64));
  uint32_t i = f.loop(four);
  f.launch("constant_f32", one, {t}, {i});
  f.launch("constant_f32", one, {t}, {four});
  f.endLoop();
  std::string bytes = a.bytes();
  Program p = load(bytes);
  ist_work got;
  ist_error error;
  ASSERT_EQ(ist_program_launch_work(p.get(), 0, 0, nullptr, 0, &got, &error),
            IST_OK);
  EXPECT_FALSE(got.has_bytes);
  ASSERT_EQ(ist_program_launch_work(p.get(), 0, 1, nullptr, 0, &got, &error),
            IST_OK);
  EXPECT_TRUE(got.has_bytes);
  EXPECT_EQ(got.written_bytes, 16u);
  // A profile has seen each: 0, 1, 2 and 3 floats.
  Session s = session(p);
  ASSERT_EQ(ist_session_set_profiling(s.get(), 1, &error), IST_OK);
  ASSERT_EQ(ist_call(s.get(), "main", nullptr, 0, nullptr, 0, &error), IST_OK)
      << error.message;
  ASSERT_EQ(ist_session_launch_work(s.get(), 0, 0, &got, &error), IST_OK);
  EXPECT_EQ(got.written_bytes, 24u);
}

} // namespace
