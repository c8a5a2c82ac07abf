//===- MatrixPlan.cpp - products by a matrix unit -------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// For targets with a matrix unit of the product's types. A workgroup computes a
// tile of C: slices of A and B run ahead through a ring in workgroup memory
// (MatrixSlices.h); the unit adds
// their products to sums in registers; the epilogue runs on those. Outside of
// A and B there are zeros.
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/MatrixSlices.h"
#include "dialects/Kernel/Transforms/Plans.h"
#include "dialects/Kernel/Transforms/Product.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

/// Bytes of a slice along k.
static constexpr int64_t kSliceBytes = 64;
/// What a dim is taken for that is not known: many more than a tile.
static constexpr int64_t kUnknown = 1024;
/// Of a ring: what is copied through registers is under way for one step.
static constexpr int64_t kMostSlots = 4, kMostRegisterSlots = 2;

//===----------------------------------------------------------------------===//
// The unit and the tile
//===----------------------------------------------------------------------===//

static bool isType(UnitType unit, Type type, bool isUnsigned, bool tf32) {
  switch (unit) {
  case UnitType::f16:
    return type.isF16();
  case UnitType::bf16:
    return type.isBF16();
  case UnitType::f32:
    return type.isF32();
  case UnitType::tf32:
    return type.isF32() && tf32;
  case UnitType::s8:
    return type.isInteger(8) && !isUnsigned;
  case UnitType::u8:
    return type.isInteger(8) && isUnsigned;
  case UnitType::s16:
    return type.isInteger(16) && !isUnsigned;
  case UnitType::s32:
    return type.isInteger(32);
  }
  return false;
}

const MatrixUnit *kernel::unitFor(const TargetInfo &info, Type a,
                                  bool unsignedA, Type b, bool unsignedB,
                                  Type sum) {
  for (const MatrixUnit &unit : info.units)
    if (isType(unit.a, a, unsignedA, info.tf32) &&
        isType(unit.b, b, unsignedB, info.tf32) &&
        isType(unit.sum, sum, false, info.tf32))
      return &unit;
  return nullptr;
}

namespace {
struct Shape {
  int64_t m, n, k, slots, lanes;
};
} // namespace

static Shape chooseShape(TileBuilder &tb, const Product &p,
                         const MatrixUnit &unit, const TargetInfo &info) {
  auto M = getConstantIntValue(productOf(tb, p.m)),
       N = getConstantIntValue(productOf(tb, p.n)),
       K = getConstantIntValue(productOf(tb, p.k)),
       batch = getConstantIntValue(productOf(tb, p.batch));
  Shape s;
  s.m = fitTile(M, 128, std::max<int64_t>(unit.m, 16));
  s.n = fitTile(N, 128, std::max<int64_t>(unit.n, 16));
  auto groups = [&] {
    return llvm::divideCeil(M.value_or(kUnknown), s.m) *
           llvm::divideCeil(N.value_or(kUnknown), s.n) * batch.value_or(1);
  };
  // Smaller tiles where else a quarter of the device would be idle.
  while (int64_t(groups()) * 4 < int64_t(info.busyGroups) * 3 &&
         std::max(s.m, s.n) > 64)
    (s.m > s.n ? s.m : s.n) /= 2;
  int64_t elementBytes = p.a.narrow.getIntOrFloatBitWidth() / 8;
  s.k = fitTile(K, std::max(unit.k, kSliceBytes / elementBytes), unit.k);
  // 32 sums a lane of a small tile, 64 of a large one.
  int64_t perLane = s.m * s.n >= 128 * 64 ? 64 : 32;
  s.lanes =
      std::clamp<int64_t>(s.m * s.n / perLane, info.subgroup, info.maxGroup);
  int64_t slot = MatrixSlice(p.a, s.m, s.k, s.lanes, info).bytes() +
                 MatrixSlice(p.b, s.n, s.k, s.lanes, info).bytes();
  s.slots = std::min(info.asyncCopyBytes ? kMostSlots : kMostRegisterSlots,
                     int64_t(info.workgroupBytes) / slot);
  return s;
}

//===----------------------------------------------------------------------===//
// The program of a workgroup
//===----------------------------------------------------------------------===//

namespace {
class Emitter {
public:
  Emitter(TileBuilder &tb, const Product &p, const MatrixUnit &unit,
          const Shape &s, const TargetInfo &info)
      : tb(tb), b(tb.b), loc(tb.loc), p(p), unit(unit), s(s),
        a(p.a, s.m, s.k, s.lanes, info), w(p.b, s.n, s.k, s.lanes, info) {}
  void run();

private:
  void bringSlot(Value slot);
  Value sumsOfSlices();
  Value add(Value x, Value y) { return arith::AddIOp::create(b, loc, x, y); }
  Value mul(Value x, int64_t y) {
    return arith::MulIOp::create(b, loc, x, tb.index(y));
  }
  /// `x`, in the tile that workgroups cut a dim of `size` in, is inside; null
  /// where tiles have no rest.
  Value inTile(Value x, Value size, int64_t tile) {
    auto n = getConstantIntValue(size);
    if (n && *n % tile == 0)
      return {};
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, x, size);
  }
  /// Null is true.
  Value both(Value x, Value y) {
    return x && y ? arith::AndIOp::create(b, loc, x, y).getResult()
                  : (x ? x : y);
  }

  TileBuilder &tb;
  OpBuilder &b;
  Location loc;
  const Product &p;
  const MatrixUnit &unit;
  const Shape &s;
  MatrixSlice a, w;
  SmallVector<Value> batch;
  OpFoldResult K;
  Value m0, n0, sizeM, sizeN, sizeK, ring;
  Way wayA, wayB;
};
} // namespace

void Emitter::bringSlot(Value slot) {
  auto tiles = RingAcquireOp::create(
      b, loc, cast<RingType>(ring.getType()).getTiles(), ring, slot);
  Value k0 = mul(slot, s.k);
  a.bring(tb, wayA, {batch, m0, sizeM, p.m, sizeK, p.k}, tiles.getResult(0),
          k0);
  w.bring(tb, wayB, {batch, n0, sizeN, p.n, sizeK, p.k}, tiles.getResult(1),
          k0);
  RingCommitOp::create(b, loc, ring, slot);
}

/// The loop over the slices.
Value Emitter::sumsOfSlices() {
  Value zero = tb.index(0), one = tb.index(1), ahead = tb.index(s.slots - 1);
  if (s.slots > 1) {
    auto first = scf::ForOp::create(b, loc, zero, ahead, one);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(first.getBody());
    bringSlot(first.getInductionVar());
  }
  auto sums = VectorType::get({s.m, s.n}, p.sum);
  Value start = vector::BroadcastOp::create(b, loc, sums, p.start());
  auto loop = scf::ForOp::create(b, loc, zero, tb.toValue(tb.ceilDiv(K, s.k)),
                                 one, start);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value step = loop.getInductionVar();
    RingWaitOp arrived = tb.takeSlot(ring, step, s.slots > 1 ? ahead : Value(),
                                     [&](Value next) { bringSlot(next); });
    auto operand = [&](unsigned i, bool turned) -> Value {
      Value tile = arrived.getResult(i);
      if (!turned)
        return tile;
      return memref::TransposeOp::create(
          b, loc, tile,
          AffineMapAttr::get(AffineMap::getPermutationMap(
              ArrayRef<unsigned>{1, 0}, b.getContext())));
    };
    Value next = MmaOp::create(
        b, loc, sums, operand(0, a.alongOuter), operand(1, !w.alongOuter),
        loop.getRegionIterArg(0), b.getStringAttr(unit.name));
    RingReleaseOp::create(b, loc, ring, step);
    scf::YieldOp::create(b, loc, next);
  }
  return loop.getResult(0);
}

void Emitter::run() {
  OpFoldResult M = productOf(tb, p.m), N = productOf(tb, p.n);
  K = productOf(tb, p.k);
  SmallVector<OpFoldResult> extents = p.batch;
  extents.push_back(tb.ceilDiv(M, s.m));
  extents.push_back(tb.ceilDiv(N, s.n));
  SmallVector<Value> at = tb.makeGrid(extents);
  batch.assign(at.begin(), at.end() - 2);
  m0 = mul(at[at.size() - 2], s.m), n0 = mul(at.back(), s.n);
  sizeM = tb.toValue(M), sizeN = tb.toValue(N), sizeK = tb.toValue(K);
  wayA = wayOf(tb, p, p.a), wayB = wayOf(tb, p, p.b);
  Type types[] = {a.type, w.type};
  ring = RingOp::create(b, loc, RingType::get(b.getContext(), s.slots, types));

  // Pieces go one way in the whole loop, which has no branches then.
  Value sums, aligned = both(a.inPieces ? wayA.aligned : Value(),
                             w.inPieces ? wayB.aligned : Value());
  if (aligned) {
    auto type = VectorType::get({s.m, s.n}, p.sum);
    auto branch = scf::IfOp::create(b, loc, type, aligned, true);
    OpBuilder::InsertionGuard guard(b);
    bool askA = a.inPieces && wayA.aligned, askB = w.inPieces && wayB.aligned;
    auto inBranch = [&](Block &block) {
      b.setInsertionPointToStart(&block);
      Value v = sumsOfSlices();
      scf::YieldOp::create(b, loc, v);
    };
    if (askA)
      wayA.aligned = {};
    if (askB)
      wayB.aligned = {};
    inBranch(branch.getThenRegion().front());
    if (askA)
      wayA = {};
    if (askB)
      wayB = {};
    inBranch(branch.getElseRegion().front());
    sums = branch.getResult(0);
  } else {
    sums = sumsOfSlices();
  }
  auto each = EachOp::create(b, loc, sums);
  OpBuilder::InsertionGuard guard(b);
  Type index = b.getIndexType();
  Block *body = b.createBlock(&each.getBody(), {}, {index, index, p.sum},
                              {loc, loc, loc});
  Value m = add(m0, body->getArgument(0)), n = add(n0, body->getArgument(1));
  SmallVector<Value> ms = tb.coordinatesOf(m, p.m),
                     ns = tb.coordinatesOf(n, p.n);
  if (Value inside = both(inTile(m, sizeM, s.m), inTile(n, sizeN, s.n))) {
    auto branch = scf::IfOp::create(b, loc, inside, /*withElseRegion=*/false);
    b.setInsertionPoint(branch.thenBlock()->getTerminator());
  }
  p.store(batch, ms, ns, body->getArgument(2));
}

static std::string typesOf(const Product &p) {
  std::string text;
  llvm::raw_string_ostream(text)
      << (p.a.isUnsigned ? "u" : "") << p.a.narrow << " * "
      << (p.b.isUnsigned ? "u" : "") << p.b.narrow << " + " << p.sum;
  return text;
}

std::string kernel::planMatrix(FuncOp kernel, const TargetInfo &info) {
  if (info.form != Form::lanes)
    return "for targets that run lanes";
  if (info.units.empty())
    return "no matrix unit of the target's is known";
  return planAsProduct(
      kernel, info,
      [&](TileBuilder &tb, const Product &p, std::string &plan) -> std::string {
        if (isThin(tb, p))
          return "too thin for tiles";
        const MatrixUnit *unit = unitFor(info, p.a.narrow, p.a.isUnsigned,
                                         p.b.narrow, p.b.isUnsigned, p.sum);
        if (!unit)
          return "no matrix unit for " + typesOf(p);
        Shape s = chooseShape(tb, p, *unit, info);
        if (!s.slots)
          return "a tile needs more workgroup memory than there is";
        Emitter(tb, p, *unit, s, info).run();
        tb.result.setGroup(s.lanes);
        plan = llvm::formatv("matrix {0}x{1}x{2} {3} ring {4}", s.m, s.n, s.k,
                             unit->name, s.slots)
                   .str();
        return "";
      });
}
