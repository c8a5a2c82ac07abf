//===- QuantizedOps.cpp - operations of quantized models ------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Graph/Transforms/QuantizedOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::graph;

/// What becomes the float or i32 `v` by widening i8, or null.
static Value narrowOf(Value v, bool &isUnsigned) {
  Operation *op = v.getDefiningOp();
  if (!isa_and_nonnull<arith::SIToFPOp, arith::UIToFPOp, arith::ExtSIOp,
                       arith::ExtUIOp>(op))
    return {};
  if (op->getOperand(0).getType().isInteger(8)) {
    isUnsigned = isa<arith::UIToFPOp, arith::ExtUIOp>(op);
    return op->getOperand(0);
  }
  return isa<arith::SIToFPOp>(op) ? narrowOf(op->getOperand(0), isUnsigned)
                                  : Value();
}

std::optional<Dequantized> graph::matchDequantized(Value v) {
  Dequantized d;
  d.op = v.getDefiningOp<linalg::GenericOp>();
  if (!d.op || d.op->getNumResults() != 1 || d.op.getNumReductionLoops() ||
      d.op.hasIndexSemantics() ||
      !d.op.getIndexingMapsArray().back().isIdentity())
    return std::nullopt;
  Block &block = d.op.getRegion().front();
  auto operand = [&](Value arg) -> OpOperand * {
    auto a = dyn_cast_if_present<BlockArgument>(arg);
    if (!a || a.getOwner() != &block ||
        a.getArgNumber() >= d.op.getNumDpsInputs())
      return nullptr;
    OpOperand *use = d.op.getDpsInputOperand(a.getArgNumber());
    return isa<RankedTensorType>(use->get().getType()) ? use : nullptr;
  };
  auto centered = [&](Value c) {
    bool isUnsigned = false;
    // The integers' difference, or the floats'.
    auto cast = c.getDefiningOp<arith::SIToFPOp>();
    Operation *sub = cast ? cast.getIn().getDefiningOp() : c.getDefiningOp();
    if (isa_and_nonnull<arith::SubIOp, arith::SubFOp>(sub)) {
      Value zero = narrowOf(sub->getOperand(1), isUnsigned);
      APInt bits;
      SplatElementsAttr splat;
      if (zero && matchPattern(zero, m_ConstantInt(&bits)))
        d.constantZero = isUnsigned ? bits.getZExtValue() : bits.getSExtValue();
      else if (!zero || !(d.zero = operand(zero)))
        return false;
      if (d.zero && matchPattern(d.zero->get(), m_Constant(&splat))) {
        bits = splat.getSplatValue<APInt>();
        d.constantZero = isUnsigned ? bits.getZExtValue() : bits.getSExtValue();
        d.zero = nullptr;
      }
      c = sub->getOperand(0);
      Value x = narrowOf(c, d.isUnsigned);
      return d.isUnsigned == isUnsigned && (d.source = operand(x));
    }
    return bool(d.source = operand(narrowOf(c, d.isUnsigned)));
  };
  Value y = block.getTerminator()->getOperand(0);
  auto mul = y.getDefiningOp<arith::MulFOp>();
  if (!mul)
    return centered(y) ? std::optional(d) : std::nullopt;
  for (unsigned i = 0; i < 2; ++i) {
    d.scale = d.zero = nullptr;
    d.constantScale = {};
    d.constantZero = 0;
    Value scale = mul->getOperand(i);
    if (!matchPattern(scale, m_Constant(&d.constantScale)) &&
        !(d.scale = operand(scale)))
      continue;
    SplatElementsAttr splat;
    if (d.scale && matchPattern(d.scale->get(), m_Constant(&splat))) {
      d.constantScale = splat.getSplatValue<TypedAttr>();
      d.scale = nullptr;
    }
    if (centered(mul->getOperand(1 - i)))
      return d;
  }
  return std::nullopt;
}

/// select(cmp(x, end), x, end): x, with the constant `end`.
static Value bounded(Value v, arith::CmpFPredicate by, double end) {
  auto select = v.getDefiningOp<arith::SelectOp>();
  auto compare =
      select ? select.getCondition().getDefiningOp<arith::CmpFOp>() : nullptr;
  FloatAttr constant;
  if (!compare || compare.getPredicate() != by ||
      compare.getLhs() != select.getTrueValue() ||
      compare.getRhs() != select.getFalseValue() ||
      !matchPattern(select.getFalseValue(), m_Constant(&constant)) ||
      constant.getValueAsDouble() != end)
    return {};
  return select.getTrueValue();
}

std::optional<Quantized> graph::matchQuantized(linalg::GenericOp op) {
  Quantized q;
  q.op = op;
  if (op->getNumResults() != 1 || op.getNumDpsInputs() != 1 ||
      op.getNumReductionLoops() || op.hasIndexSemantics() ||
      !llvm::all_of(op.getIndexingMapsArray(),
                    [](AffineMap map) { return map.isIdentity(); }))
    return std::nullopt;
  Block &block = op.getRegion().front();
  auto narrow =
      block.getTerminator()->getOperand(0).getDefiningOp<arith::TruncIOp>();
  if (!narrow || !narrow.getType().isInteger(8))
    return std::nullopt;
  auto integer = narrow.getIn().getDefiningOp<arith::FPToSIOp>();
  if (!integer || !integer.getIn().getType().isF32())
    return std::nullopt;
  Value low;
  for (bool isUnsigned : {false, true}) {
    Value high = bounded(integer.getIn(), arith::CmpFPredicate::OLT,
                         isUnsigned ? 255 : 127);
    if (high && (low = bounded(high, arith::CmpFPredicate::OGT,
                               isUnsigned ? 0 : -128))) {
      q.isUnsigned = isUnsigned;
      break;
    }
  }
  if (!low)
    return std::nullopt;
  if (auto add = low.getDefiningOp<arith::AddFOp>()) {
    bool isUnsigned = q.isUnsigned;
    Value zero = narrowOf(add.getRhs(), isUnsigned);
    APInt bits;
    if (!zero || isUnsigned != q.isUnsigned ||
        !matchPattern(zero, m_ConstantInt(&bits)))
      return std::nullopt;
    q.zero = isUnsigned ? bits.getZExtValue() : bits.getSExtValue();
    low = add.getLhs();
  }
  auto round = low.getDefiningOp<math::RoundEvenOp>();
  auto div =
      round ? round.getOperand().getDefiningOp<arith::DivFOp>() : nullptr;
  FloatAttr scale;
  if (!div || div.getLhs() != block.getArgument(0) ||
      !matchPattern(div.getRhs(), m_Constant(&scale)) ||
      !scale.getType().isF32())
    return std::nullopt;
  q.scale = scale.getValue().convertToFloat();
  return q;
}
