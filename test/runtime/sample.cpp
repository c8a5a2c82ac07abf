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

int main(int argc, char **argv) {
  if (argc < 2)
    return 1;
  std::string bytes = argc > 2 ? crash() : addScale();
  std::FILE *f = std::fopen(argv[1], "wb");
  bool ok = f && std::fwrite(bytes.data(), 1, bytes.size(), f) == bytes.size();
  return (f && std::fclose(f) == 0 && ok) ? 0 : 1;
}
