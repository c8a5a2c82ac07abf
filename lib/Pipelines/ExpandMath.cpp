//===- ExpandMath.cpp - math without a math library -----------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Pipelines/ExpandMath.h"

#include "lib/Pipelines/MathFunctions.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/TypeUtilities.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "mlir/Transforms/WalkPatternRewriteDriver.h"

using namespace mlir;
using namespace isthmus;

namespace {

bool isNative(StringRef name) {
  static constexpr StringRef names[] = {
      "math.fma",   "math.floor",   "math.ceil", "math.trunc",
      "math.sqrt",  "math.absf",    "math.absi", "math.roundeven",
      "math.ctpop", "math.copysign"};
  return llvm::is_contained(names, name);
}

/// The type with its floats replaced by f32.
Type toF32(Type type) {
  Type f32 = Float32Type::get(type.getContext());
  if (auto vector = dyn_cast<VectorType>(type))
    return vector.clone(f32);
  return f32;
}

/// f16 and bf16 math runs in f32, maxima and minima too, which not every target
/// has in those types. f64 math that is neither native nor in MathFunctions.cpp
/// runs in f32 as well: said in docs/numerics.md.
struct ThroughF32 : RewritePattern {
  ThroughF32(MLIRContext *ctx) : RewritePattern(MatchAnyOpTypeTag(), 10, ctx) {}
  LogicalResult matchAndRewrite(Operation *op,
                                PatternRewriter &rewriter) const override {
    bool math = isa<math::MathDialect>(op->getDialect()) &&
                op->getNumResults() == 1 && op->getNumRegions() == 0;
    if (!math && !isa<arith::RemFOp, arith::MaximumFOp, arith::MinimumFOp,
                      arith::MaxNumFOp, arith::MinNumFOp>(op))
      return rewriter.notifyMatchFailure(op, "not a math op");
    auto type = dyn_cast<FloatType>(getElementTypeOrSelf(op->getResult(0)));
    if (!type || type.isF32())
      return rewriter.notifyMatchFailure(op, "already f32 or not a float");
    StringRef name = op->getName().getStringRef();
    if (type.isF64() &&
        (isNative(name) || hasMathFunction(name, true) || !math))
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
    Value inf = arith::ConstantOp::create(rewriter, loc, [&]() -> TypedAttr {
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
    Value inexact =
        arith::CmpFOp::create(rewriter, loc, arith::CmpFPredicate::ONE, e, x);
    Value outward =
        arith::CmpFOp::create(rewriter, loc, arith::CmpFPredicate::OGT,
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

/// One rounding becomes two where there is no fused instruction.
template <typename FmaOp, unsigned A, unsigned B, unsigned C>
struct SplitFma : OpRewritePattern<FmaOp> {
  using OpRewritePattern<FmaOp>::OpRewritePattern;
  LogicalResult matchAndRewrite(FmaOp op,
                                PatternRewriter &rewriter) const override {
    Value product = arith::MulFOp::create(rewriter, op.getLoc(),
                                          op->getOperand(A), op->getOperand(B));
    rewriter.replaceOpWithNewOp<arith::AddFOp>(op, product, op->getOperand(C));
    return success();
  }
};

/// A product and a sum that may be one step are: LLVM would do it where it
/// finds them side by side, so that numbers would depend on the code around.
/// Sums whose order is free as well are left to its vectorizer.
template <typename Op> struct FuseMultiplyAdd : OpRewritePattern<Op> {
  using OpRewritePattern<Op>::OpRewritePattern;
  static bool isFree(arith::FastMathFlags flags) {
    return bitEnumContainsAll(flags, arith::FastMathFlags::contract) &&
           !bitEnumContainsAny(flags, arith::FastMathFlags::reassoc);
  }
  LogicalResult matchAndRewrite(Op op,
                                PatternRewriter &rewriter) const override {
    Type element = getElementTypeOrSelf(op.getType());
    if (!isFree(op.getFastmath()) || !(element.isF32() || element.isF64()))
      return rewriter.notifyMatchFailure(op, "rounds twice");
    constexpr bool minus = std::is_same_v<Op, arith::SubFOp>;
    for (bool left : {true, false}) {
      auto product = (left ? op.getLhs() : op.getRhs())
                         .template getDefiningOp<arith::MulFOp>();
      if (!product || !isFree(product.getFastmath()))
        continue;
      auto negated = [&](Value v) -> Value {
        return arith::NegFOp::create(rewriter, op.getLoc(), v);
      };
      Value a = product.getLhs(), c = left ? op.getRhs() : op.getLhs();
      if (minus)
        (left ? c : a) = negated(left ? c : a);
      rewriter.replaceOpWithNewOp<math::FmaOp>(op, a, product.getRhs(), c);
      return success();
    }
    return rewriter.notifyMatchFailure(op, "adds no product");
  }
};

/// Integer arithmetic on scalars or vectors of one type.
struct Bits {
  PatternRewriter &b;
  Location loc;
  Type type; // i32 or a vector of it
  Value c(uint32_t v) {
    TypedAttr attr = b.getI32IntegerAttr(int32_t(v));
    if (auto vector = dyn_cast<VectorType>(type))
      attr = DenseElementsAttr::get(vector, Attribute(attr));
    return arith::ConstantOp::create(b, loc, attr);
  }
  Value land(Value x, uint32_t m) {
    return arith::AndIOp::create(b, loc, x, c(m));
  }
  Value lor(Value x, Value y) { return arith::OrIOp::create(b, loc, x, y); }
  Value add(Value x, Value y) { return arith::AddIOp::create(b, loc, x, y); }
  Value shl(Value x, uint32_t n) {
    return arith::ShLIOp::create(b, loc, x, c(n));
  }
  Value shr(Value x, uint32_t n) {
    return arith::ShRUIOp::create(b, loc, x, c(n));
  }
  Value uge(Value x, uint32_t m) {
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::uge, x, c(m));
  }
  Value select(Value t, Value x, Value y) {
    return arith::SelectOp::create(b, loc, t, x, y);
  }
  Value cast(Value x, Type to) {
    return arith::BitcastOp::create(b, loc, to, x);
  }
};

static Type sameShape(Type like, Type element) {
  if (auto vector = dyn_cast<VectorType>(like))
    return vector.clone(element);
  return element;
}

/// f16 to f32: the bits moved to f32's places, the exponent fixed by an exact
/// multiplication, which makes subnormals right as well.
struct ExtendHalf : OpRewritePattern<arith::ExtFOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(arith::ExtFOp op,
                                PatternRewriter &rewriter) const override {
    Type from = op.getIn().getType(), to = op.getType();
    if (!getElementTypeOrSelf(from).isF16())
      return rewriter.notifyMatchFailure(op, "not from f16");
    Location loc = op.getLoc();
    Type f32 = sameShape(to, rewriter.getF32Type());
    Bits i{rewriter, loc, sameShape(to, rewriter.getI32Type())};
    Value h = i.cast(op.getIn(), sameShape(to, rewriter.getI16Type()));
    h = arith::ExtUIOp::create(rewriter, loc, i.type, h);
    Value magnitude = i.land(h, 0x7fff), sign = i.shl(i.land(h, 0x8000), 16);
    Value moved = i.shl(magnitude, 13);
    Value scale = i.cast(i.c(0x77800000), f32); // 2^112
    Value finite =
        i.cast(arith::MulFOp::create(rewriter, loc, i.cast(moved, f32), scale),
               i.type);
    Value special = i.lor(moved, i.c(0x7f800000));
    Value bits =
        i.lor(i.select(i.uge(magnitude, 0x7c00), special, finite), sign);
    Value r = i.cast(bits, f32);
    if (!getElementTypeOrSelf(to).isF32())
      r = arith::ExtFOp::create(rewriter, loc, to, r);
    rewriter.replaceOp(op, r);
    return success();
  }
};

/// f32 to f16, to nearest even: subnormals by a float addition that rounds in
/// the right place, normals by adding half an ulp to the bits.
struct TruncateHalf : OpRewritePattern<arith::TruncFOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(arith::TruncFOp op,
                                PatternRewriter &rewriter) const override {
    Type from = op.getIn().getType(), to = op.getType();
    if (!getElementTypeOrSelf(from).isF32() ||
        !getElementTypeOrSelf(to).isF16())
      return rewriter.notifyMatchFailure(op, "not f32 to f16");
    Location loc = op.getLoc();
    Bits i{rewriter, loc, sameShape(to, rewriter.getI32Type())};
    Value x = i.cast(op.getIn(), i.type);
    Value sign = i.shr(i.land(x, 0x80000000), 16);
    Value a = i.land(x, 0x7fffffff);
    Value half = i.cast(i.c(0x3f000000), from);
    Value small = arith::SubIOp::create(
        rewriter, loc,
        i.cast(arith::AddFOp::create(rewriter, loc, i.cast(a, from), half),
               i.type),
        i.c(0x3f000000));
    Value odd = i.land(i.shr(a, 13), 1);
    Value normal = i.shr(i.add(i.add(a, i.c(0xc8000fff)), odd), 13);
    Value special = i.select(i.uge(a, 0x7f800001), i.c(0x7e00), i.c(0x7c00));
    Value bits = i.select(i.uge(a, 0x38800000), normal, small);
    bits = i.lor(i.select(i.uge(a, 0x47800000), special, bits), sign);
    Value h = arith::TruncIOp::create(
        rewriter, loc, sameShape(to, rewriter.getI16Type()), bits);
    rewriter.replaceOpWithNewOp<arith::BitcastOp>(op, to, h);
    return success();
  }
};

/// Conversions between bf16 and what is not f32, in two steps by way of f32.
template <typename Op> struct SplitBF16 : OpRewritePattern<Op> {
  using OpRewritePattern<Op>::OpRewritePattern;
  LogicalResult matchAndRewrite(Op op,
                                PatternRewriter &rewriter) const override {
    Value x = op->getOperand(0);
    Type from = getElementTypeOrSelf(x), to = getElementTypeOrSelf(op);
    if (from.isF32() || to.isF32() || (!from.isBF16() && !to.isBF16()))
      return rewriter.notifyMatchFailure(op, "one step");
    Type f32 = toF32(op.getType());
    if (from.isBF16()) {
      x = arith::ExtFOp::create(rewriter, op.getLoc(), f32, x);
      rewriter.replaceOpWithNewOp<Op>(op, op.getType(), x);
    } else {
      x = Op::create(rewriter, op.getLoc(), f32, x);
      rewriter.replaceOpWithNewOp<arith::TruncFOp>(op, op.getType(), x);
    }
    return success();
  }
};

struct SplitBF16Pass : PassWrapper<SplitBF16Pass, OperationPass<>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(SplitBF16Pass)
  StringRef getArgument() const override { return "ist-split-bf16"; }
  StringRef getDescription() const override {
    return "convert to and from bf16 by way of f32";
  }
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<SplitBF16<arith::ExtFOp>, SplitBF16<arith::SIToFPOp>,
                 SplitBF16<arith::UIToFPOp>, SplitBF16<arith::FPToSIOp>,
                 SplitBF16<arith::FPToUIOp>>(&getContext());
    walkAndApplyPatterns(getOperation(), std::move(patterns));
  }
};

struct ExpandMathPass : PassWrapper<ExpandMathPass, OperationPass<>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(ExpandMathPass)
  ExpandMathPass(ExpandMathOptions options) : options(options) {}
  ExpandMathOptions options;
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
    auto expand = [](StringRef name) {
      return !isNative(name) && !hasMathFunction(name, /*f64=*/false);
    };
    patterns.add<ThroughF32, ExpandRemF, NarrowF64>(ctx);
    populateMathFunctions(patterns);
    // Approximations first: an expansion is the fallback for what has none.
    populateMathPolynomialApproximationPatterns(patterns, expand, 5);
    math::populateExpansionPatterns(
        patterns,
        {"exp2", "powf", "fpowi", "ipowi", "round", "rsqrt", "ctlz", "clampf"});
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      return signalPassFailure();
    // What the approximations themselves use.
    RewritePatternSet machine(ctx);
    if (options.fma)
      machine
          .add<FuseMultiplyAdd<arith::AddFOp>, FuseMultiplyAdd<arith::SubFOp>>(
              ctx);
    else
      machine.add<SplitFma<math::FmaOp, 0, 1, 2>,
                  SplitFma<vector::FMAOp, 0, 1, 2>>(ctx);
    if (!options.half)
      machine.add<ExtendHalf, TruncateHalf>(ctx);
    if (failed(applyPatternsGreedily(getOperation(), std::move(machine))))
      return signalPassFailure();
  }
};

} // namespace

std::unique_ptr<Pass> isthmus::createSplitBF16Pass() {
  return std::make_unique<SplitBF16Pass>();
}

std::unique_ptr<Pass> isthmus::createExpandMathPass(ExpandMathOptions options) {
  return std::make_unique<ExpandMathPass>(options);
}
