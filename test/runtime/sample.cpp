//===- sample.cpp - writes an artifact for the tests of the tools ---------===//
#include "builder.h"

#include <cstdio>

using namespace isthmus::test;

static std::string crash() {
  ArtifactBuilder a;
  auto f = a.function("main");
  f.launch("trap", f.constant(1), {}, {});
  return a.bytes();
}

/// Leaves half of its output as it was.
static std::string lazy() {
  ArtifactBuilder a;
  auto f = a.function("main");
  uint32_t y = f.output("y", isthmus::fb::DType::f32, {8});
  uint32_t out = f.buffer(Op::alloc_output, y, f.constant(32));
  f.launch("constant_f32", f.constant(1), {out}, {f.constant(4)});
  return a.bytes();
}

/// Functions prefill and decode over one state, as language models have them:
/// the tokens are appended to the cache, and every entry so far tells
/// something.
static std::string decode() {
  ArtifactBuilder a;
  using isthmus::fb::DType;
  for (const char *name : {"prefill", "decode"}) {
    auto f = a.function(name);
    bool one = *name == 'd';
    uint32_t n = one ? f.constant(1) : f.symbol("n", 1, 256);
    int64_t dim = one ? 1 : -1 - static_cast<int64_t>(n);
    uint32_t tokens = f.input("tokens", DType::f32, {dim});
    uint32_t at = f.input("at", DType::i64, {1});
    f.input("cache", DType::f32, {256});
    uint32_t next = f.output("next", DType::f32, {256}, 2);
    uint32_t cache = f.buffer(Op::alloc_output, next, f.constant(1024));
    uint32_t begin = f.read(at, f.constant(0), DType::i64);
    uint32_t end = f.binary(Op::add, begin, n);
    uint32_t place = f.bufReg(), bytes = f.bytes(n, 4);
    f.emit(Op::view, place, cache, f.bytes(begin, 4), bytes);
    f.emit(Op::copy, place, tokens, bytes);
    uint32_t y = f.output("y", DType::f32, {-1 - static_cast<int64_t>(end)});
    uint32_t out = f.buffer(Op::alloc_output, y, f.bytes(end, 4));
    f.launch("scale_f32", f.groups(end), {cache, out}, {end, f.constant(2)});
  }
  return a.bytes();
}

/// As istc --reference makes it, but that the two results differ in size.
static std::string unequal() {
  ArtifactBuilder a;
  for (const char *name : {"main", "main.compare"}) {
    auto f = a.function(name);
    using isthmus::fb::DType;
    for (auto [result, n] :
         {std::pair{"launch.0.out.0", 4}, {"launch.0.ref.0", 100000}}) {
      uint32_t y = f.output(result, DType::f32, {n});
      uint32_t out = f.buffer(Op::alloc_output, y, f.constant(4 * n));
      f.launch("constant_f32", f.constant(1), {out}, {f.constant(n)});
    }
  }
  return a.bytes();
}

int main(int argc, char **argv) {
  if (argc < 2)
    return 1;
  std::string kind = argc > 2 ? argv[2] : "";
  std::string bytes = kind == "crash"     ? crash()
                      : kind == "lazy"    ? lazy()
                      : kind == "decode"  ? decode()
                      : kind == "unequal" ? unequal()
                                          : addScale();
  std::FILE *f = std::fopen(argv[1], "wb");
  bool ok = f && std::fwrite(bytes.data(), 1, bytes.size(), f) == bytes.size();
  return (f && std::fclose(f) == 0 && ok) ? 0 : 1;
}
