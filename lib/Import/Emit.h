//===- Emit.h - what operators are made of -------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_LIB_IMPORT_EMIT_H
#define ISTHMUS_LIB_IMPORT_EMIT_H

#include "lib/Import/NodeContext.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

#include <functional>

namespace isthmus {

//===----------------------------------------------------------------------===//
// Scalars inside bodies
//===----------------------------------------------------------------------===//

/// Short names for scalar arithmetic inside a body.
struct BodyMath {
  mlir::OpBuilder &b;
  mlir::Location loc;

  mlir::Value index(int64_t v);
  /// A constant of an integer or float type (not index).
  mlir::Value constant(mlir::Type type, double v);
  mlir::Value integer(mlir::Type type, int64_t v);
  // On index and integers, signed.
  mlir::Value add(mlir::Value l, mlir::Value r);
  mlir::Value sub(mlir::Value l, mlir::Value r);
  mlir::Value mul(mlir::Value l, mlir::Value r);
  mlir::Value div(mlir::Value l, mlir::Value r); // r > 0, l >= 0
  mlir::Value rem(mlir::Value l, mlir::Value r); // r > 0, l >= 0
  mlir::Value min(mlir::Value l, mlir::Value r);
  mlir::Value max(mlir::Value l, mlir::Value r);
  mlir::Value cmp(mlir::arith::CmpIPredicate p, mlir::Value l, mlir::Value r);
  mlir::Value lt(mlir::Value l, mlir::Value r);
  mlir::Value ge(mlir::Value l, mlir::Value r);
  mlir::Value eq(mlir::Value l, mlir::Value r);
  mlir::Value andi(mlir::Value l, mlir::Value r);
  mlir::Value ori(mlir::Value l, mlir::Value r);
  mlir::Value select(mlir::Value c, mlir::Value l, mlir::Value r);
  mlir::Value toIndex(mlir::Value integer); // sign-extends
  /// `v` of ONNX type `from` as `to`. Total: floats outside the range of an
  /// integer give its nearest end, NaN gives 0.
  mlir::Value cast(mlir::Value v, DType from, DType to);
};

using BodyFn = llvm::function_ref<mlir::Value(mlir::OpBuilder &, mlir::Location,
                                              mlir::ValueRange)>;

/// f32 for f16 and bf16, else the type itself: the type to compute in.
DType accumulatorType(DType type);

//===----------------------------------------------------------------------===//
// Regular operations: linalg.generic
//===----------------------------------------------------------------------===//

/// The sizes that numpy broadcasting gives; a diagnostic when they cannot
/// match, a graph.check when that is seen only at run time.
mlir::FailureOr<Sizes> broadcastSizes(NodeContext &c,
                                      llvm::ArrayRef<Sizes> shapes);

/// One result, element by element, of inputs that broadcast.
mlir::FailureOr<ImportValue *> elementwise(NodeContext &c,
                                           llvm::ArrayRef<ImportValue *> ins,
                                           DType out, BodyFn body);
/// The same, with the result's sizes given: the inputs broadcast to them.
ImportValue *elementwiseTo(NodeContext &c, llvm::ArrayRef<ImportValue *> ins,
                           Sizes sizes, DType out, BodyFn body);

/// An input read through an affine map of the result's indices.
struct Access {
  ImportValue *value;
  llvm::SmallVector<mlir::AffineExpr> at;
};
ImportValue *generic(NodeContext &c, llvm::ArrayRef<Access> ins, Sizes sizes,
                     DType out, BodyFn body);

/// A result whose elements are computed from their indices, with
/// tensor.extract on whatever the body captures.
ImportValue *fromIndices(NodeContext &c, Sizes sizes, DType out, BodyFn body);

/// Reduction over `axes` (sorted). The result has the other dims.
struct Reduction {
  DType acc;            // of the accumulator and the result
  mlir::TypedAttr init; // of that type
  /// Optional: from the element, already of type acc, to what is combined.
  std::function<mlir::Value(mlir::OpBuilder &, mlir::Location, mlir::Value)>
      map;
  /// (element, accumulator) -> accumulator
  std::function<mlir::Value(mlir::OpBuilder &, mlir::Location, mlir::Value,
                            mlir::Value)>
      combine;
};
ImportValue *reduce(NodeContext &c, ImportValue &x,
                    llvm::ArrayRef<int64_t> axes, const Reduction &how);
/// Sum, maximum (NaN wins).
Reduction sumReduction(NodeContext &c, DType type);
Reduction maxReduction(NodeContext &c, DType type);
/// Puts dims of size 1 back at `axes` of a result of `rank`.
ImportValue *keepDims(NodeContext &c, ImportValue &x,
                      llvm::ArrayRef<int64_t> axes, int64_t rank);
/// The smallest and largest value of an element type, as an attribute.
mlir::TypedAttr lowest(NodeContext &c, DType type);
mlir::TypedAttr highest(NodeContext &c, DType type);

/// sum over the last loops of a[mapA] * b[mapB]. The first `numOut` loops are
/// the dims of the result, in order. Sums f16 and bf16 in f32.
ImportValue *contract(NodeContext &c, Access a, Access b, Sizes loops,
                      unsigned numOut, DType out);

/// numpy's matmul of two values of one type, summed and given as `out`.
mlir::FailureOr<ImportValue *> matmul(NodeContext &c, ImportValue &a,
                                      ImportValue &b, DType out);
/// ONNX's Conv of floats with the node's attributes; the bias may be null.
mlir::FailureOr<ImportValue *> conv(NodeContext &c, ImportValue &x,
                                    ImportValue &w, ImportValue *bias);

/// At least one value, all of one type and rank.
mlir::FailureOr<ImportValue *>
concat(NodeContext &c, llvm::ArrayRef<ImportValue *> ins, int64_t axis);

ImportValue *castTo(NodeContext &c, ImportValue &x, DType type);
ImportValue *transpose(NodeContext &c, ImportValue &x,
                       llvm::ArrayRef<int64_t> perm);
ImportValue *broadcastTo(NodeContext &c, ImportValue &x, Sizes sizes);
/// The caller has made sure that the element counts agree.
ImportValue *reshape(NodeContext &c, ImportValue &x, Sizes sizes);

//===----------------------------------------------------------------------===//
// Irregular operations: graph.parallel
//===----------------------------------------------------------------------===//

/// What the body of buildParallel sees.
struct ParallelBody : BodyMath {
  llvm::SmallVector<mlir::Value> ivs, ins, scalars, outs;

  mlir::Value load(int in, llvm::ArrayRef<mlir::Value> at);
  void store(mlir::Value v, llvm::ArrayRef<mlir::Value> at, int out = 0);
  /// What this point has stored.
  mlir::Value reload(llvm::ArrayRef<mlir::Value> at, int out = 0);
  /// Reports a run-time error when `condition` is true; the body goes on and
  /// must not use the bad value.
  void failIf(mlir::Value condition, llvm::StringRef message);
  /// The index that a tensor gave, negative ones counted from the end, and
  /// whether it is below `size`; reports when not.
  std::pair<mlir::Value, mlir::Value>
  position(mlir::Value integer, mlir::Value size, llvm::StringRef message);
  /// for (iv = 0; iv < count; ++iv) values = body(iv, values)
  llvm::SmallVector<mlir::Value>
  loop(mlir::Value count, llvm::ArrayRef<mlir::Value> init,
       llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::Value,
                                                         mlir::ValueRange)>
           body);
  /// condition ? then() : otherwise()
  mlir::Value ifElse(mlir::Value condition,
                     llvm::function_ref<mlir::Value()> then,
                     llvm::function_ref<mlir::Value()> otherwise);
  void when(mlir::Value condition, llvm::function_ref<void()> then);
  /// for (iv = 0; iv < count; ++iv) body(iv)
  void repeat(mlir::Value count, llvm::function_ref<void(mlir::Value)> body);
  /// The same over all points of a space.
  void forEach(llvm::ArrayRef<mlir::Value> sizes,
               llvm::function_ref<void(llvm::ArrayRef<mlir::Value>)> body);
};

struct ParallelOut {
  DType dtype;
  Sizes sizes;
};

/// graph.parallel "op" over `space`. The body runs at every point and stores
/// every element of every output exactly once. It is isolated: sizes it needs
/// go through `scalars` (known ones become constants inside). With `inPlace`,
/// the one output starts with the elements of the first input: the body stores
/// what changes, and no two points the same element.
llvm::SmallVector<ImportValue *> buildParallel(
    NodeContext &c, llvm::StringRef op, llvm::ArrayRef<OpFoldResult> space,
    llvm::ArrayRef<ImportValue *> ins, llvm::ArrayRef<OpFoldResult> scalars,
    llvm::ArrayRef<ParallelOut> outs,
    llvm::function_ref<void(ParallelBody &)> body, bool inPlace = false);

} // namespace isthmus

#endif // ISTHMUS_LIB_IMPORT_EMIT_H
