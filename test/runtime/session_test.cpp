//===- session_test.cpp - a session's memory, state and options -----------===//
#include "builder.h"

using namespace isthmus;
using namespace isthmus::test;

namespace {

class Sessions : public testing::TestWithParam<const char *> {
protected:
  ist_device *on() { return device(GetParam()); }
  bool shares() { return std::string(GetParam()) == "cpu"; }
};
INSTANTIATE_TEST_SUITE_P(, Sessions, testing::ValuesIn(devices()),
                         [](const auto &info) { return info.param; });

ist_session *create(const Program &p, const ist_session_options &options,
                    ist_status want) {
  ist_session *s = nullptr;
  ist_error error = {};
  EXPECT_EQ(ist_session_create(p.get(), &options, &s, &error), want)
      << error.message;
  return s;
}

TEST_P(Sessions, OptionsAreChecked) {
  std::string bytes = addScale();
  Program p = load(bytes, on());
  ist_session_options o = IST_SESSION_OPTIONS_INIT;
  o.reserved = 1;
  create(p, o, IST_UNIMPLEMENTED);
  o = IST_SESSION_OPTIONS_INIT;
  o.arena = reinterpret_cast<void *>(8);
  create(p, o, IST_INVALID_ARGUMENT);
  o = IST_SESSION_OPTIONS_INIT;
  ist_allocator allocator = {};
  o.allocator = &allocator;
  create(p, o, IST_INVALID_ARGUMENT);
  o = IST_SESSION_OPTIONS_INIT;
  o.native_kind = "cuda.stream";
  create(p, o, IST_UNAVAILABLE);
  // What a later header has there must be zero.
  struct {
    ist_session_options known;
    uint64_t later;
  } longer = {IST_SESSION_OPTIONS_INIT, 0};
  longer.known.struct_size = sizeof longer;
  ist_session_destroy(create(p, longer.known, IST_OK));
  longer.later = 1;
  create(p, longer.known, IST_UNIMPLEMENTED);
}

TEST_P(Sessions, TheCallersArena) {
  if (!shares())
    GTEST_SKIP() << "needs memory of the device";
  std::string bytes = addScale();
  Program p = load(bytes, on());
  alignas(64) static char arena[512];
  ist_session_options o = IST_SESSION_OPTIONS_INIT;
  o.arena = arena;
  o.arena_bytes = sizeof arena;
  Session s = session(p, &o);
  ist_error error;
  std::vector<ist_tensor> out(1);
  std::vector<float> x(100, 1.f);
  ASSERT_EQ(call(s, {tensor(x)}, out, &error), IST_OK) << error.message;
  EXPECT_EQ(values<float>(out[0]), std::vector<float>(100, 9.f));
  // The sum of the inputs went through it.
  EXPECT_EQ(*reinterpret_cast<float *>(arena), 3.f);
  x.resize(1000, 1.f);
  EXPECT_EQ(call(s, {tensor(x)}, out, &error), IST_RESOURCE_EXHAUSTED);
  EXPECT_NE(std::string(error.message).find("4032"), std::string::npos)
      << error.message;
  EXPECT_NE(std::string(error.message).find("512"), std::string::npos);
}

TEST_P(Sessions, TheCallersAllocator) {
  if (!shares())
    GTEST_SKIP() << "needs memory of the device";
  struct Count {
    int64_t live = 0, calls = 0;
    bool empty = false;
  } count;
  ist_allocator a = {&count,
                     [](void *user, uint64_t n, uint64_t alignment) -> void * {
                       auto *c = static_cast<Count *>(user);
                       if (c->empty)
                         return nullptr;
                       ++c->calls;
                       c->live += static_cast<int64_t>(n);
                       return std::aligned_alloc(alignment, (n + 63) / 64 * 64);
                     },
                     [](void *user, void *memory, uint64_t n) {
                       static_cast<Count *>(user)->live -=
                           static_cast<int64_t>(n);
                       std::free(memory);
                     }};
  std::string bytes = addScale();
  Program p = load(bytes, on());
  ist_session_options o = IST_SESSION_OPTIONS_INIT;
  o.allocator = &a;
  {
    Session s = session(p, &o);
    ist_error error;
    std::vector<ist_tensor> out(1);
    std::vector<float> x(100, 1.f);
    for (int i = 0; i < 5; ++i)
      ASSERT_EQ(call(s, {tensor(x)}, out, &error), IST_OK) << error.message;
    EXPECT_GE(count.live, 448 + 400);
    EXPECT_LE(count.calls, 3); // the arena, two outputs in turn
    count.empty = true;
    x.resize(1000);
    EXPECT_EQ(call(s, {tensor(x)}, out, &error), IST_RESOURCE_EXHAUSTED);
    EXPECT_NE(std::string(error.message).find("allocator"), std::string::npos);
    // The session goes on when there is some again.
    count.empty = false;
    ASSERT_EQ(call(s, {tensor(x)}, out, &error), IST_OK) << error.message;
  }
  EXPECT_EQ(count.live, 0);
}

TEST_P(Sessions, MemoryLimit) {
  std::string bytes = addScale();
  Program p = load(bytes, on());
  ist_session_options o = IST_SESSION_OPTIONS_INIT;
  o.memory_limit = 3000;
  Session s = session(p, &o);
  ist_error error;
  std::vector<ist_tensor> out(1);
  std::vector<float> x(100, 1.f);
  ASSERT_EQ(call(s, {tensor(x)}, out, &error), IST_OK) << error.message;
  EXPECT_GT(counters(s).bytes, 0u);
  EXPECT_LE(counters(s).high, 3000u);
  x.resize(1000, 1.f);
  EXPECT_EQ(call(s, {tensor(x)}, out, &error), IST_RESOURCE_EXHAUSTED);
  EXPECT_NE(std::string(error.message).find("limit of 3000"), std::string::npos)
      << error.message;
  x.resize(100);
  ASSERT_EQ(call(s, {tensor(x)}, out, &error), IST_OK) << error.message;
  EXPECT_EQ(values<float>(out[0]), std::vector<float>(100, 9.f));
}

/// Two functions over one state: `add` adds x to it, `get` gives it.
std::string stateful() {
  ArtifactBuilder a;
  auto add = a.function("add");
  uint32_t n = add.symbol("n");
  uint32_t x = add.input("x", f32, {-1}), state = add.input("state", f32, {-1});
  uint32_t next = add.output("next", f32, {-1}, 1);
  uint32_t to = add.buffer(Op::alloc_output, next, add.bytes(n, 4));
  add.launch("add_f32", add.groups(n), {x, state, to}, {n});
  auto get = a.function("get");
  n = get.symbol("n");
  state = get.input("state", f32, {-1});
  uint32_t y = get.output("y", f32, {-1});
  uint32_t out = get.buffer(Op::alloc_output, y, get.bytes(n, 4));
  get.launch("scale_f32", get.groups(n), {state, out}, {n, get.constant(1)});
  return a.bytes();
}

TEST_P(Sessions, BoundStateIsShared) {
  std::string bytes = stateful();
  Program p = load(bytes, on());
  Session s = session(p);
  ist_error error;
  std::vector<float> mine = {10, 20, 30};
  for (bool ours : {true, false}) {
    ist_tensor state = tensor(mine);
    if (ours)
      state.data = nullptr;
    ASSERT_EQ(ist_session_bind(s.get(), "state", &state, &error), IST_OK)
        << error.message;
    EXPECT_NE(state.data, nullptr);
    std::vector<float> x = {1, 2, 3};
    for (int step = 1; step < 5; ++step) {
      ist_tensor in[] = {tensor(x), {}}, next = {}, y = {}, none = {};
      ASSERT_EQ(ist_call(s.get(), "add", in, 2, &next, 1, &error), IST_OK)
          << error.message;
      EXPECT_EQ(next.data, state.data);
      ASSERT_EQ(ist_call(s.get(), "get", &none, 1, &y, 1, &error), IST_OK)
          << error.message;
      float k = static_cast<float>(step), b = ours ? 0 : 10;
      EXPECT_EQ(values<float>(y),
                (std::vector<float>{b + k, 2 * (b + k), 3 * (b + k)}));
    }
    EXPECT_EQ(mine[0], ours ? 10 : 14);
  }
  // Others dims over the same memory; the memory stays.
  ist_tensor state = tensor(mine);
  state.data = nullptr;
  ASSERT_EQ(ist_session_bind(s.get(), "state", &state, &error), IST_OK);
  void *data = state.data;
  state.dims[0] = 2;
  ASSERT_EQ(ist_session_bind(s.get(), "state", &state, &error), IST_OK);
  EXPECT_EQ(state.data, data);
  ist_tensor none = {}, y = {};
  ASSERT_EQ(ist_call(s.get(), "get", &none, 1, &y, 1, &error), IST_OK);
  EXPECT_EQ(values<float>(y), (std::vector<float>{0, 0}));
  // Without it the call needs data of its own.
  ASSERT_EQ(ist_session_bind(s.get(), "state", nullptr, &error), IST_OK);
  none.rank = 1;
  none.dims[0] = 2;
  EXPECT_EQ(ist_call(s.get(), "get", &none, 1, &y, 1, &error),
            IST_INVALID_ARGUMENT);

  state = tensor(mine);
  EXPECT_EQ(ist_session_bind(s.get(), "nobody", &state, &error), IST_NOT_FOUND);
  state.dtype = IST_I32;
  EXPECT_EQ(ist_session_bind(s.get(), "state", &state, &error),
            IST_INVALID_ARGUMENT);
  state = tensor(mine);
  state.data = nullptr;
  state.capacity = 0;
  EXPECT_EQ(ist_session_bind(s.get(), "state", &state, &error),
            IST_INVALID_ARGUMENT);
}

TEST_P(Sessions, OutputsOfTheRuntimeOnHostAndDevice) {
  std::string bytes = stateful();
  Program p = load(bytes, on());
  Session s = session(p);
  ist_error error;
  std::vector<float> mine = {10, 20, 30};
  for (int i = 0; i < 4; ++i) {
    ist_tensor in = tensor(mine), y = {};
    y.memory = IST_MEMORY_DEVICE;
    ASSERT_EQ(ist_call(s.get(), "get", &in, 1, &y, 1, &error), IST_OK)
        << error.message;
    // Where it is can be given to the next call as it stands.
    ist_tensor host = {};
    Session other = session(p);
    ASSERT_EQ(ist_call(other.get(), "get", &y, 1, &host, 1, &error), IST_OK)
        << error.message;
    EXPECT_EQ(values<float>(host), mine);
  }
}

} // namespace
