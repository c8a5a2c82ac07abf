//===- OpHelpers.h - shared by some operators -----------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_LIB_IMPORT_OPHELPERS_H
#define ISTHMUS_LIB_IMPORT_OPHELPERS_H

#include "lib/Import/BodyFloats.h"

namespace isthmus {

/// Some more float arithmetic inside bodies.
struct FloatOps : BodyFloats {
  using BodyFloats::BodyFloats;

  Value inf(bool negative) {
    auto f = mlir::cast<mlir::FloatType>(type);
    return mlir::arith::ConstantOp::create(
        b, loc,
        mlir::FloatAttr::get(
            f, mlir::APFloat::getInf(f.getFloatSemantics(), negative)));
  }
  /// x * (1 + erf(x / sqrt(2))) / 2, and its approximation with tanh.
  Value gelu(Value x);
  Value fastGelu(Value x);
  Value lessEqual(Value l, Value r) { return cmpf(P::OLE, l, r); }
  Value equal(Value l, Value r) { return cmpf(P::OEQ, l, r); }
  /// A float as an index. Total: far values and NaN are clamped to +-2^30.
  Value toIndexClamped(Value x);
  /// x^p for a constant p, x >= 0.
  Value powConst(Value x, double p);
};

/// A size that a linalg body uses as a float. Make it outside the body.
class FloatSize {
public:
  FloatSize(NodeContext &c, OpFoldResult n)
      : n(n), value(IndexMath::known(n) ? mlir::Value() : c.idx.value(n)) {}
  mlir::Value in(FloatOps &f) const {
    return value ? f.fromInt(value) : f.k(double(*IndexMath::known(n)));
  }

private:
  OpFoldResult n;
  mlir::Value value;
};

/// d0, d1, .. without those in `axes`.
llvm::SmallVector<mlir::AffineExpr> dimExprs(NodeContext &c, int64_t rank,
                                             llvm::ArrayRef<int64_t> axes = {});

/// Reads `v` where it broadcasts to `sizes`, which it must not exceed; a check
/// when that is seen only at run time.
mlir::FailureOr<Access> broadcastAccess(NodeContext &c, ImportValue &v,
                                        llvm::ArrayRef<OpFoldResult> sizes);

/// e^(x - max) / sum over `axes`, or x - max - log(sum).
ImportValue *softmaxOf(NodeContext &c, ImportValue &x,
                       llvm::ArrayRef<int64_t> axes, bool isLog, DType out);

/// Mean and variance (of the population) over `axes`, in the accumulator type
/// and without those dims. Without a mean: the mean of the squares.
struct Moments {
  ImportValue *mean = nullptr, *variance = nullptr;
};
Moments momentsOf(NodeContext &c, ImportValue &x, llvm::ArrayRef<int64_t> axes,
                  bool center = true);

/// The position (i64) of the largest or smallest element along `axis`, which
/// the result does not have.
ImportValue *argBest(NodeContext &c, ImportValue &x, int64_t axis, bool isMax,
                     bool last);

/// An integer of the host from a rank-0 or one-element tensor on the device.
OpFoldResult readScalar(NodeContext &c, ImportValue &x, int64_t at = 0);

/// A tensor of one constant number.
ImportValue *splat(NodeContext &c, Sizes sizes, DType type, double value);

} // namespace isthmus

#endif // ISTHMUS_LIB_IMPORT_OPHELPERS_H
