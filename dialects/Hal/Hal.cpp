//===- Hal.cpp - the hal dialect ------------------------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Hal/Hal.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace isthmus::hal;

#include "dialects/Hal/HalOpsDialect.cpp.inc"
#define GET_OP_CLASSES
#include "dialects/Hal/HalOps.cpp.inc"

void HalDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "dialects/Hal/HalOps.cpp.inc"
      >();
}

ValueRange LaunchOp::getSizesOf(unsigned i) {
  auto dynamic = [&](unsigned j) {
    return cast<RankedTensorType>(getResult(j).getType()).getNumDynamicDims();
  };
  unsigned begin = 0;
  for (unsigned j = 0; j < i; ++j)
    begin += dynamic(j);
  return getSizes().slice(begin, dynamic(i));
}
