//===- runtime_tests.cpp - level 4: libisthmus over a driver --------------===//
#include "harness.h"

using namespace isthmus::cts;

const std::vector<Test> &isthmus::cts::runtimeTests() {
  static const std::vector<Test> tests;
  return tests;
}
