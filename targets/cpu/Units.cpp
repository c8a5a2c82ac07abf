//===- Units.cpp - dot products of vectors as matrix units ----------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A unit of one row: lane n of the sums adds k products of neighbours, the same
// k elements of A for all lanes. There are no other lanes than the vector's, so
// fragments have registers only: A's elements again and again, B's in groups of
// k, the sums in order.
//
//===----------------------------------------------------------------------===//
#include "targets/cpu/CPU.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace isthmus;

namespace {
constexpr UnitType s8 = UnitType::s8, u8 = UnitType::u8, s16 = UnitType::s16,
                   s32 = UnitType::s32;

constexpr int64_t order[] = {1, 2, 4, 8};
// B's element (k, n) has number k * columns + n.
constexpr int64_t a4[] = {1, 2, 0, 0, 0, 0}, b4x16[] = {16, 32, 1, 2, 4, 8},
                  b4x8[] = {8, 16, 1, 2, 4}, a2[] = {1, 0, 0, 0, 0},
                  b2x16[] = {16, 1, 2, 4, 8}, b2x8[] = {8, 1, 2, 4},
                  b2x4[] = {4, 1, 2}, a1[] = {0, 0};

constexpr Fragment first(llvm::ArrayRef<int64_t> bits, unsigned count) {
  return {bits.take_front(count), {}};
}

/// vpdpbusd: c + a * b, a unsigned, b signed.
constexpr UnitCall vnni(const char *name) {
  return {name,
          UnitWord::element,
          /*apart=*/false,
          /*signs=*/false,
          /*zeros=*/{},
          /*convert=*/nullptr,
          /*pinned=*/false,
          UnitSum::first};
}
/// vpmaddwd: a * b; widened integers where there is no name.
constexpr UnitCall multiply(const char *name) {
  return {name,
          UnitWord::element,
          /*apart=*/false,
          /*signs=*/false,
          /*zeros=*/{},
          /*convert=*/nullptr,
          /*pinned=*/false,
          UnitSum::apart};
}
} // namespace

static const MatrixUnit avx512[] = {
    {"m1n16k4.s32.u8.s8", 1, 16, 4, u8, s8, s32, first(a4, 6), first(b4x16, 6),
     first(order, 4), vnni("llvm.x86.avx512.vpdpbusd.512")},
    {"m1n16k2.s32.s16", 1, 16, 2, s16, s16, s32, first(a2, 5), first(b2x16, 5),
     first(order, 4), multiply("llvm.x86.avx512.pmaddw.d.512")}};
static const MatrixUnit avx2[] = {
    {"m1n8k4.s32.u8.s8", 1, 8, 4, u8, s8, s32, first(a4, 5), first(b4x8, 5),
     first(order, 3), vnni("llvm.x86.avx512.vpdpbusd.256")},
    {"m1n8k2.s32.s16", 1, 8, 2, s16, s16, s32, first(a2, 4), first(b2x8, 4),
     first(order, 3), multiply("llvm.x86.avx2.pmadd.wd")}};
static const MatrixUnit sse2[] = {
    {"m1n4k2.s32.s16", 1, 4, 2, s16, s16, s32, first(a2, 3), first(b2x4, 3),
     first(order, 2), multiply("llvm.x86.sse2.pmadd.wd")}};
// By multiply-adds, on NEON by those that widen (smlal).
static const MatrixUnit widening[] = {{"m1n4k1.s32.s16", 1, 4, 1, s16, s16, s32,
                                       first(a1, 2), first(order, 2),
                                       first(order, 2), multiply(nullptr)}};

llvm::ArrayRef<MatrixUnit> cpu::avx512VnniUnits() { return avx512; }
llvm::ArrayRef<MatrixUnit> cpu::avx512Units() {
  return llvm::ArrayRef(avx512).drop_front();
}
llvm::ArrayRef<MatrixUnit> cpu::avxVnniUnits() { return avx2; }
llvm::ArrayRef<MatrixUnit> cpu::avx2Units() {
  return llvm::ArrayRef(avx2).drop_front();
}
llvm::ArrayRef<MatrixUnit> cpu::sse2Units() { return sse2; }
llvm::ArrayRef<MatrixUnit> cpu::wideningUnits() { return widening; }

LogicalResult cpu::lowerMma(kernel::MmaOp op, const TargetInfo &info) {
  const MatrixUnit *unit =
      op.getUnit() ? findUnit(info.units, *op.getUnit()) : nullptr;
  auto sums = dyn_cast<VectorType>(op.getAcc().getType());
  auto a = dyn_cast<VectorType>(op.getA().getType()),
       w = dyn_cast<VectorType>(op.getB().getType());
  if (!unit || !a || !w || sums.getDimSize(0) != unit->m ||
      sums.getDimSize(1) != unit->n || a.getDimSize(1) != unit->k)
    return op.emitError("the cpu target multiplies single vectors by a unit of "
                        "its own only; use a plan without others");
  OpBuilder b(op);
  Location loc = op.getLoc();
  auto reshape = [&](Value v, ArrayRef<int64_t> shape) -> Value {
    return vector::ShapeCastOp::create(
        b, loc, VectorType::get(shape, getElementTypeOrSelf(v.getType())), v);
  };
  Type element = a.getElementType(), i32 = b.getI32Type();
  unsigned bits = unsigned(unit->k) * element.getIntOrFloatBitWidth();
  // Once for every column: as one word, which a load broadcasts.
  auto word = VectorType::get({1}, b.getIntegerType(bits));
  Value x = vector::ExtractOp::create(
      b, loc,
      vector::BitCastOp::create(b, loc, word, reshape(op.getA(), {unit->k})),
      0);
  x = vector::BroadcastOp::create(
      b, loc, VectorType::get({unit->n}, word.getElementType()), x);
  x = vector::BitCastOp::create(
      b, loc, VectorType::get({unit->n * unit->k}, element), x);
  Value y =
      vector::TransposeOp::create(b, loc, op.getB(), ArrayRef<int64_t>{1, 0});
  y = reshape(y, {unit->n * unit->k});
  Value c = reshape(op.getAcc(), {unit->n}), made;
  auto flat = VectorType::get({unit->n}, i32);
  if (!unit->call.intrinsic) {
    made =
        arith::MulIOp::create(b, loc, arith::ExtSIOp::create(b, loc, flat, x),
                              arith::ExtSIOp::create(b, loc, flat, y));
  } else {
    SmallVector<Value> operands = {x, y};
    if (unit->call.sum == UnitSum::first)
      operands.insert(operands.begin(), c);
    made = LLVM::CallIntrinsicOp::create(
               b, loc, flat, b.getStringAttr(unit->call.intrinsic), operands)
               .getResult(0);
  }
  if (unit->call.sum == UnitSum::apart)
    made = arith::AddIOp::create(b, loc, c, made);
  op.getResult().replaceAllUsesWith(reshape(made, {1, unit->n}));
  return success();
}
