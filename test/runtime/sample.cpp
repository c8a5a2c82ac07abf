//===- sample.cpp - writes an artifact for the tests of the tools
//----------===//
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

int main(int argc, char **argv) {
  if (argc < 2)
    return 1;
  std::string bytes = argc <= 2           ? addScale()
                      : argv[2][0] == 'l' ? lazy()
                                          : crash();
  std::FILE *f = std::fopen(argv[1], "wb");
  bool ok = f && std::fwrite(bytes.data(), 1, bytes.size(), f) == bytes.size();
  return (f && std::fclose(f) == 0 && ok) ? 0 : 1;
}
