//===- IndexMath.h - size arithmetic -------------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_LIB_IMPORT_INDEXMATH_H
#define ISTHMUS_LIB_IMPORT_INDEXMATH_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Builders.h"
#include "mlir/Interfaces/InferIntRangeInterface.h"

#include "llvm/ADT/StringMap.h"

namespace isthmus {

using mlir::OpFoldResult;
using Sizes = llvm::SmallVector<OpFoldResult>;

/// Arithmetic on sizes: an attribute when known, else an SSA `index`. Folds
/// constants and identities, and gives equal expressions of one block (and
/// those inside it) the same SSA value, so that equality of sizes is visible.
/// Overflow wraps.
class IndexMath {
public:
  IndexMath(mlir::OpBuilder &b, mlir::Location &loc) : b(b), loc(loc) {}

  OpFoldResult constant(int64_t value) { return b.getIndexAttr(value); }
  OpFoldResult add(OpFoldResult l, OpFoldResult r);
  OpFoldResult sub(OpFoldResult l, OpFoldResult r);
  OpFoldResult mul(OpFoldResult l, OpFoldResult r);
  /// Rounds towards zero, down, up. By zero: some defined value.
  OpFoldResult div(OpFoldResult l, OpFoldResult r);
  OpFoldResult floorDiv(OpFoldResult l, OpFoldResult r);
  OpFoldResult ceilDiv(OpFoldResult l, OpFoldResult r);
  /// The sign of the left, of the right operand.
  OpFoldResult rem(OpFoldResult l, OpFoldResult r);
  OpFoldResult mod(OpFoldResult l, OpFoldResult r);
  OpFoldResult min(OpFoldResult l, OpFoldResult r);
  OpFoldResult max(OpFoldResult l, OpFoldResult r);
  OpFoldResult clamp(OpFoldResult v, OpFoldResult lo, OpFoldResult hi) {
    return min(max(v, lo), hi);
  }
  /// 1 or 0.
  OpFoldResult cmp(mlir::arith::CmpIPredicate p, OpFoldResult l,
                   OpFoldResult r);
  OpFoldResult eq(OpFoldResult l, OpFoldResult r) {
    return cmp(mlir::arith::CmpIPredicate::eq, l, r);
  }
  /// `c` is 0 or not.
  OpFoldResult select(OpFoldResult c, OpFoldResult l, OpFoldResult r);
  OpFoldResult product(llvm::ArrayRef<OpFoldResult> values);

  /// An index value; constants stand once at the start of the function.
  mlir::Value value(OpFoldResult v);
  llvm::SmallVector<mlir::Value> values(llvm::ArrayRef<OpFoldResult> v);
  /// An i1 value: v != 0.
  mlir::Value condition(OpFoldResult v);
  /// The attribute when `v` is a constant, else `v`.
  OpFoldResult fold(mlir::Value v);

  static std::optional<int64_t> known(OpFoldResult v) {
    return mlir::getConstantIntValue(v);
  }
  /// What `v` can be, by the bounds of the function's symbols and the ranges
  /// of the operations on them, as signed numbers: [lower, upper].
  int64_t lowerBound(OpFoldResult v) { return range(v).smin().getSExtValue(); }
  int64_t upperBound(OpFoldResult v) { return range(v).smax().getSExtValue(); }

  /// Surely equal.
  static bool same(OpFoldResult l, OpFoldResult r) {
    return l == r || (known(l) && known(l) == known(r));
  }

private:
  template <typename Op> OpFoldResult binary(OpFoldResult l, OpFoldResult r);
  mlir::ConstantIntRanges range(OpFoldResult v, unsigned depth = 0);

  mlir::OpBuilder &b;
  mlir::Location &loc;
  llvm::DenseMap<std::pair<mlir::Block *, int64_t>, mlir::Value> constants;
  using Key = std::tuple<mlir::Block *, void *, void *, void *>;
  llvm::DenseMap<Key, mlir::Value> memo;
  llvm::DenseMap<mlir::Value, mlir::ConstantIntRanges> ranges;
};

} // namespace isthmus

#endif // ISTHMUS_LIB_IMPORT_INDEXMATH_H
