//===- golden_test.cpp - a product written by hand for mma.sync -----------===//
#include "../golden.h"

using namespace isthmus::simgpu;

TEST(SimPtx, GoldenMatmul) {
  std::vector<char> code = readCode(ISTHMUS_TEST_GOLDEN);
  LoadError kind;
  std::string error;
  std::unique_ptr<Module> module =
      loadPtx("sm_80", code.data(), code.size(), kind, error);
  ASSERT_TRUE(module) << error;
  for (bool sanitize : {false, true})
    checkGolden(*module, {4096, 4096, 128, 256, true}, sanitize);
}
