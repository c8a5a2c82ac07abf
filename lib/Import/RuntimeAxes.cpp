//===- RuntimeAxes.cpp - axes that only the device knows ---------- ---===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/RuntimeAxes.h"

using namespace mlir;
using namespace isthmus;
using P = arith::CmpIPredicate;

FailureOr<OpFoldResult> isthmus::hostAxis(NodeContext &c, OpFoldResult axis,
                                          int64_t rank) {
  IndexMath &m = c.idx;
  OpFoldResult fine = m.mul(m.cmp(P::sge, axis, m.constant(-rank)),
                            m.cmp(P::slt, axis, m.constant(rank)));
  if (failed(c.check(fine, "axis is out of range")))
    return failure();
  return m.select(m.cmp(P::slt, axis, m.constant(0)),
                  m.add(axis, m.constant(rank)), axis);
}

FailureOr<Sizes> isthmus::axesMask(NodeContext &c, ArrayRef<OpFoldResult> axes,
                                   int64_t rank) {
  IndexMath &m = c.idx;
  Sizes mask(rank, m.constant(0));
  for (OpFoldResult a : axes) {
    auto axis = hostAxis(c, a, rank);
    if (failed(axis))
      return failure();
    for (int64_t d = 0; d < rank; ++d)
      mask[d] = m.add(mask[d], m.eq(*axis, m.constant(d)));
  }
  for (OpFoldResult v : mask)
    if (failed(
            c.check(m.cmp(P::sle, v, m.constant(1)), "an axis is given twice")))
      return failure();
  return mask;
}

Sizes isthmus::compactSizes(NodeContext &c, ArrayRef<OpFoldResult> sizes,
                            ArrayRef<OpFoldResult> mask, int64_t kept) {
  IndexMath &m = c.idx;
  OpFoldResult zero = m.constant(0);
  Sizes out(kept, zero);
  OpFoldResult before = zero; // how many are kept so far
  for (auto [size, masked] : llvm::zip_equal(sizes, mask)) {
    OpFoldResult keep = m.eq(masked, zero);
    for (int64_t k = 0; k < kept; ++k) {
      OpFoldResult here = m.mul(keep, m.eq(before, m.constant(k)));
      out[k] = m.select(here, size, out[k]);
    }
    before = m.add(before, keep);
  }
  return out;
}

Sizes isthmus::spreadSizes(NodeContext &c, ArrayRef<OpFoldResult> sizes,
                           ArrayRef<OpFoldResult> mask) {
  IndexMath &m = c.idx;
  OpFoldResult zero = m.constant(0), before = zero;
  Sizes out;
  for (OpFoldResult masked : mask) {
    OpFoldResult size = m.constant(1), keep = m.eq(masked, zero);
    for (auto [k, s] : llvm::enumerate(sizes)) {
      OpFoldResult here = m.mul(keep, m.eq(before, m.constant(k)));
      size = m.select(here, s, size);
    }
    out.push_back(size);
    before = m.add(before, keep);
  }
  return out;
}
