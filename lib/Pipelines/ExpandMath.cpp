//===- ExpandMath.cpp - math without a math library -----------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Pipelines/ExpandMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/TypeUtilities.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;

namespace {

bool isNative(StringRef name) {
  static constexpr StringRef names[] = {
      "math.fma",  "math.floor", "math.ceil",     "math.trunc",
      "math.sqrt", "math.absf",  "math.absi",     "math.roundeven",
      "math.ctpop"};
  return llvm::is_contained(names, name);
}

/// The type with its floats replaced by f32.
Type toF32(Type type) {
  Type f32 = Float32Type::get(type.getContext());
  if (auto vector = dyn_cast<VectorType>(type))
    return vector.clone(f32);
  return f32;
}

/// f16 and bf16 math runs in f32. f64 math that is not native runs in f32 as
/// well: said in docs/numerics.md.
struct ThroughF32 : RewritePattern {
  ThroughF32(MLIRContext *ctx) : RewritePattern(MatchAnyOpTypeTag(), 10, ctx) {}
  LogicalResult matchAndRewrite(Operation *op,
                                PatternRewriter &rewriter) const override {
    bool math = isa<math::MathDialect>(op->getDialect()) &&
                op->getNumResults() == 1 && op->getNumRegions() == 0;
    if (!math && !isa<arith::RemFOp>(op))
      return rewriter.notifyMatchFailure(op, "not a math op");
    auto type = dyn_cast<FloatType>(getElementTypeOrSelf(op->getResult(0)));
    if (!type || type.isF32())
      return rewriter.notifyMatchFailure(op, "already f32 or not a float");
    if (type.isF64() && (isNative(op->getName().getStringRef()) || !math))
      return rewriter.notifyMatchFailure(op, "native in f64");
    bool narrow = type.getWidth() < 32;
    SmallVector<Value> operands;
    for (Value v : op->getOperands()) {
      if (isa<FloatType>(getElementTypeOrSelf(v)))
        v = narrow ? Value(arith::ExtFOp::create(rewriter, op->getLoc(),
                                                 toF32(v.getType()), v))
                   : Value(arith::TruncFOp::create(rewriter, op->getLoc(),
                                                   toF32(v.getType()), v));
      operands.push_back(v);
    }
    OperationState state(op->getLoc(), op->getName(), operands,
                         {toF32(op->getResult(0).getType())}, op->getAttrs());
    Value result = rewriter.create(state)->getResult(0);
    Type back = op->getResult(0).getType();
    if (narrow)
      rewriter.replaceOpWithNewOp<arith::TruncFOp>(op, back, result);
    else
      rewriter.replaceOpWithNewOp<arith::ExtFOp>(op, back, result);
    return success();
  }
};

/// fmod(a, b) = a - trunc(a / b) * b, with the quotient corrected once. Exact
/// while |a / b| < 2^24; the sign is the dividend's.
struct ExpandRemF : OpRewritePattern<arith::RemFOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(arith::RemFOp op,
                                PatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    Value a = op.getLhs(), b = op.getRhs();
    Value q = math::TruncOp::create(rewriter, loc,
                                    arith::DivFOp::create(rewriter, loc, a, b));
    Value minusQ = arith::NegFOp::create(rewriter, loc, q);
    Value r = math::FmaOp::create(rewriter, loc, minusQ, b, a);
    Value absR = math::AbsFOp::create(rewriter, loc, r);
    Value absB = math::AbsFOp::create(rewriter, loc, b);
    // The division may have rounded up to the next integer, or down from it.
    Value zero = arith::ConstantOp::create(rewriter, loc,
                                           rewriter.getZeroAttr(a.getType()));
    Value signedB = math::CopySignOp::create(rewriter, loc, absB, a);
    auto cmp = [&](arith::CmpFPredicate p, Value x, Value y) {
      return arith::CmpFOp::create(rewriter, loc, p, x, y).getResult();
    };
    Value negative = cmp(arith::CmpFPredicate::OLT,
                         arith::MulFOp::create(rewriter, loc, r, a), zero);
    Value up = arith::AddFOp::create(rewriter, loc, r, signedB);
    r = arith::SelectOp::create(rewriter, loc, negative, up, r);
    Value large = cmp(arith::CmpFPredicate::OGE, absR, absB);
    Value down = arith::SubFOp::create(rewriter, loc, r, signedB);
    r = arith::SelectOp::create(rewriter, loc, large, down, r);
    // fmod(a, inf) is a.
    Value inf = arith::ConstantOp::create(
        rewriter, loc,
        [&]() -> TypedAttr {
          auto type = cast<FloatType>(getElementTypeOrSelf(a));
          TypedAttr one = rewriter.getFloatAttr(
              type, APFloat::getInf(type.getFloatSemantics()));
          if (auto vector = dyn_cast<VectorType>(a.getType()))
            return DenseElementsAttr::get(vector, Attribute(one));
          return one;
        }());
    Value infinite = cmp(arith::CmpFPredicate::OEQ, absB, inf);
    Value finite = cmp(arith::CmpFPredicate::OLT,
                       math::AbsFOp::create(rewriter, loc, a), inf);
    Value keep = arith::AndIOp::create(rewriter, loc, infinite, finite);
    rewriter.replaceOpWithNewOp<arith::SelectOp>(op, keep, a, r);
    return success();
  }
};

/// f64 to f16 or bf16 by way of f32 rounded to odd, so that it rounds once.
struct NarrowF64 : OpRewritePattern<arith::TruncFOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(arith::TruncFOp op,
                                PatternRewriter &rewriter) const override {
    if (!getElementTypeOrSelf(op.getIn()).isF64() ||
        cast<FloatType>(getElementTypeOrSelf(op.getOut())).getWidth() >= 32)
      return rewriter.notifyMatchFailure(op, "not f64 to a narrow float");
    Location loc = op.getLoc();
    Value x = op.getIn();
    Type f32 = toF32(op.getType());
    Type i32 = rewriter.getI32Type();
    if (auto vector = dyn_cast<VectorType>(f32))
      i32 = vector.clone(i32);
    auto constant = [&](int64_t v) -> Value {
      TypedAttr attr = rewriter.getI32IntegerAttr(v);
      if (auto vector = dyn_cast<VectorType>(i32))
        attr = DenseElementsAttr::get(vector, Attribute(attr));
      return arith::ConstantOp::create(rewriter, loc, attr);
    };
    Value r = arith::TruncFOp::create(rewriter, loc, f32, x);
    Value e = arith::ExtFOp::create(rewriter, loc, x.getType(), r);
    Value inexact = arith::CmpFOp::create(rewriter, loc,
                                          arith::CmpFPredicate::ONE, e, x);
    Value outward = arith::CmpFOp::create(
        rewriter, loc, arith::CmpFPredicate::OGT,
        math::AbsFOp::create(rewriter, loc, e),
        math::AbsFOp::create(rewriter, loc, x));
    Value bits = arith::BitcastOp::create(rewriter, loc, i32, r);
    Value inward = arith::SubIOp::create(rewriter, loc, bits, constant(1));
    Value cut = arith::SelectOp::create(rewriter, loc, outward, inward, bits);
    Value odd = arith::OrIOp::create(rewriter, loc, cut, constant(1));
    bits = arith::SelectOp::create(rewriter, loc, inexact, odd, bits);
    rewriter.replaceOpWithNewOp<arith::TruncFOp>(
        op, op.getType(), arith::BitcastOp::create(rewriter, loc, f32, bits));
    return success();
  }
};

struct ExpandMathPass
    : PassWrapper<ExpandMathPass, OperationPass<>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(ExpandMathPass)
  StringRef getArgument() const override { return "ist-expand-math"; }
  StringRef getDescription() const override {
    return "rewrite math ops that hardware lacks to arithmetic";
  }
  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<arith::ArithDialect, math::MathDialect,
                    vector::VectorDialect>();
  }
  void runOnOperation() override {
    MLIRContext *ctx = &getContext();
    RewritePatternSet patterns(ctx);
    auto expand = [](StringRef name) { return !isNative(name); };
    patterns.add<ThroughF32, ExpandRemF, NarrowF64>(ctx);
    // Approximations first: an expansion is the fallback for what has none.
    populateMathPolynomialApproximationPatterns(patterns, expand, 5);
    math::populateExpansionPatterns(
        patterns, {"sinh", "cosh", "tan", "asinh", "acosh", "atanh", "exp2",
                   "powf", "fpowi", "ipowi", "round", "rsqrt", "ctlz",
                   "clampf"});
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      return signalPassFailure();
  }
};

} // namespace

std::unique_ptr<Pass> isthmus::createExpandMathPass() {
  return std::make_unique<ExpandMathPass>();
}
