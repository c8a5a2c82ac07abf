//===- Heads.cpp - tensors of attention heads -----------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/Heads.h"

using namespace mlir;
using namespace isthmus;

FailureOr<Heads> isthmus::splitHeads(NodeContext &c, ImportValue &x,
                                     int64_t heads) {
  if (x.rank() == 4)
    return Heads{&x, false};
  if (x.rank() != 3)
    return failure(failed(c.invalid("inputs must have rank 3 or 4")));
  if (heads < 1)
    return failure(
        failed(c.invalid("inputs of rank 3 need the number of heads")));
  OpFoldResult n = c.idx.constant(heads);
  if (failed(c.check(c.idx.eq(c.idx.rem(x.sizes[2], n), c.idx.constant(0)),
                     "the hidden size does not divide into heads")))
    return failure();
  return Heads{
      reshape(c, x, {x.sizes[0], x.sizes[1], n, c.idx.div(x.sizes[2], n)}),
      true};
}
