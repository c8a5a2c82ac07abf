//===- ProgramIntegers.cpp - integers of the host -------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Pipelines/FunctionWriter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/AffineExpr.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace isthmus;

uint32_t FunctionWriter::constant(int64_t v) {
  auto it = constants.find(v);
  if (it != constants.end())
    return it->second;
  uint32_t r = fn->int_regs++;
  fn->consts.push_back(v);
  emitFirst(I::const_, r, fn->consts.size() - 1);
  return constants[v] = r;
}

uint32_t FunctionWriter::binary(I op, uint32_t a, uint32_t b) {
  uint32_t r = fn->int_regs++;
  emit(op, r, a, b);
  if (afterRead.contains(a) || afterRead.contains(b))
    afterRead.insert(r);
  return r;
}

uint32_t FunctionWriter::reg(Value v) {
  auto it = regs.find(v);
  if (it != regs.end())
    return it->second;
  // Only constants are reached before their definition was emitted.
  auto attr =
      cast<IntegerAttr>(v.getDefiningOp<arith::ConstantOp>().getValue());
  return constant(attr.getValue().getBitWidth() == 1
                      ? attr.getValue().getZExtValue()
                      : attr.getValue().getSExtValue());
}

uint32_t FunctionWriter::expr(AffineExpr e, ArrayRef<uint32_t> symbols) {
  if (auto c = dyn_cast<AffineConstantExpr>(e))
    return constant(c.getValue());
  if (auto s = dyn_cast<AffineSymbolExpr>(e))
    return symbols[s.getPosition()];
  auto pair = cast<AffineBinaryOpExpr>(e);
  uint32_t a = expr(pair.getLHS(), symbols), b = expr(pair.getRHS(), symbols);
  switch (e.getKind()) {
  case AffineExprKind::Add:
    return binary(I::add, a, b);
  case AffineExprKind::Mul:
    return binary(I::mul, a, b);
  case AffineExprKind::FloorDiv:
    return binary(I::floordiv, a, b);
  case AffineExprKind::CeilDiv:
    return binary(I::ceildiv, a, b);
  default:
    return binary(I::mod, a, b);
  }
}

/// Division that rounds to zero, from the two that do not.
static bool isTruncating(Operation *op) {
  return isa<arith::DivSIOp, arith::RemSIOp>(op);
}

FailureOr<uint32_t> FunctionWriter::integerOp(Operation *op) {
  auto operand = [&](unsigned i) { return reg(op->getOperand(i)); };
  if (isa<arith::IndexCastOp, arith::IndexCastUIOp, arith::ExtUIOp,
          arith::ExtSIOp, arith::TruncIOp>(op)) {
    if (isa<arith::TruncIOp>(op) && op->getResult(0).getType().isInteger(1))
      return binary(I::and_, operand(0), constant(1));
    // A bool is 0 or 1 here and -1 when sign-extended.
    if (isa<arith::ExtSIOp, arith::IndexCastOp>(op) &&
        op->getOperand(0).getType().isInteger(1))
      return binary(I::sub, constant(0), operand(0));
    return operand(0);
  }
  if (auto cmp = dyn_cast<arith::CmpIOp>(op)) {
    using P = arith::CmpIPredicate;
    uint32_t a = operand(0), b = operand(1);
    switch (cmp.getPredicate()) {
    case P::eq:
      return binary(I::cmp_eq, a, b);
    case P::ne:
      return binary(I::cmp_ne, a, b);
    case P::slt:
    case P::ult:
      return binary(I::cmp_lt, a, b);
    case P::sle:
    case P::ule:
      return binary(I::cmp_le, a, b);
    case P::sgt:
    case P::ugt:
      return binary(I::cmp_lt, b, a);
    case P::sge:
    case P::uge:
      return binary(I::cmp_le, b, a);
    }
  }
  if (isa<arith::SelectOp>(op)) {
    uint32_t c = operand(0), a = operand(1), b = operand(2);
    uint32_t r = fn->int_regs++;
    emit(I::select, r, c, a, b);
    if (afterRead.contains(a) || afterRead.contains(b) || afterRead.contains(c))
      afterRead.insert(r);
    return r;
  }
  if (isTruncating(op)) {
    uint32_t a = operand(0), b = operand(1), zero = constant(0);
    uint32_t differ = binary(I::cmp_ne, binary(I::cmp_lt, a, zero),
                             binary(I::cmp_lt, b, zero));
    uint32_t down = binary(I::floordiv, a, b), up = binary(I::ceildiv, a, b);
    uint32_t q = fn->int_regs++;
    emit(I::select, q, differ, up, down);
    if (afterRead.contains(a) || afterRead.contains(b))
      afterRead.insert(q);
    if (isa<arith::DivSIOp>(op))
      return q;
    return binary(I::sub, a, binary(I::mul, q, b));
  }
  std::optional<I> simple =
      llvm::TypeSwitch<Operation *, std::optional<I>>(op)
          .Case<arith::AddIOp>([](auto) { return I::add; })
          .Case<arith::SubIOp>([](auto) { return I::sub; })
          .Case<arith::MulIOp>([](auto) { return I::mul; })
          .Case<arith::FloorDivSIOp, arith::DivUIOp>(
              [](auto) { return I::floordiv; })
          .Case<arith::CeilDivSIOp, arith::CeilDivUIOp>(
              [](auto) { return I::ceildiv; })
          .Case<arith::RemUIOp>([](auto) { return I::mod; })
          .Case<arith::MinSIOp, arith::MinUIOp>([](auto) { return I::min; })
          .Case<arith::MaxSIOp, arith::MaxUIOp>([](auto) { return I::max; })
          .Case<arith::AndIOp>([](auto) { return I::and_; })
          .Case<arith::OrIOp>([](auto) { return I::or_; })
          .Case<arith::XOrIOp>([](auto) { return I::xor_; })
          .Default([](auto) { return std::nullopt; });
  if (!simple)
    return op->emitError("cannot run on the host");
  return binary(*simple, operand(0), operand(1));
}
