//===- DotsPlan.cpp - products of small integers on vectors ---------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// C[.., m, n] = epilogue(sum over k of A[.., m, k] * B[k, n]) in i32, for
// targets whose vectors have a unit of one row: lane n adds the products of
// `unit.k` neighbours along k. B is packed in the order of use, [n / panel]
// [k / unit.k][panel * unit.k], which the indexing map says, with zeros past
// its ends. As in the plan `contraction`, a tile's sums stay in registers.
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/Plans.h"
#include "dialects/Kernel/Transforms/Product.h"
#include "dialects/Kernel/Transforms/VectorBody.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

/// Before it was widened; null if it was not.
static Value beforeWidening(Value v, bool &isUnsigned) {
  Operation *op = v.getDefiningOp();
  if (!isa_and_nonnull<arith::ExtSIOp, arith::ExtUIOp>(op))
    return {};
  isUnsigned = isa<arith::ExtUIOp>(op);
  return op->getOperand(0);
}

std::optional<SmallProduct> kernel::smallProductOf(linalg::LinalgOp op) {
  Block &block = op->getRegion(0).front();
  if (op.getNumDpsInputs() != 2 || op.getNumDpsInits() != 1 ||
      op->getNumResults() != 1 || block.getNumArguments() != 3)
    return std::nullopt;
  auto add =
      block.getTerminator()->getOperand(0).getDefiningOp<arith::AddIOp>();
  for (unsigned i = 0; add && i < 2; ++i) {
    auto mul = add->getOperand(i).getDefiningOp<arith::MulIOp>();
    if (!mul || !mul.getType().isInteger(32) ||
        add->getOperand(1 - i) != block.getArgument(2))
      continue;
    SmallProduct p;
    Value x = beforeWidening(mul.getLhs(), p.unsignedA),
          y = beforeWidening(mul.getRhs(), p.unsignedB);
    if (x == block.getArgument(1))
      std::swap(x, y), std::swap(p.unsignedA, p.unsignedB);
    if (x != block.getArgument(0) || y != block.getArgument(1))
      continue;
    p.a = x.getType(), p.b = y.getType();
    return p;
  }
  return std::nullopt;
}

/// The target's unit for its integers, or null.
static const MatrixUnit *unitOf(linalg::LinalgOp op, const TargetInfo &info) {
  auto p = smallProductOf(op);
  return p ? unitFor(info, p->a, p->unsignedA, p->b, p->unsignedB,
                     IntegerType::get(op.getContext(), 32))
           : nullptr;
}

/// By the register file, as for floats: sums, a row of B, one group of A.
RegisterTile kernel::dotsTile(std::optional<int64_t> m, int64_t n, int64_t k,
                              const MatrixUnit &unit, const TargetInfo &info) {
  // Rows so many bytes apart share a few lines of the first cache.
  constexpr int64_t wayBytes = 4096;
  bool many = info.vectorRegisters >= 32;
  int64_t most = llvm::divideCeil(n, unit.n),
          rowBytes = k * (unit.a == UnitType::s16 ? 2 : 1),
          rows = m ? std::max<int64_t>(*m, 1) : 0;
  RegisterTile tile = {many ? 12 : 6, 2};
  if (most == 1)
    tile = {tile.rows * 2, 1};
  else if (many && most >= 4 && rowBytes % wayBytes == 0)
    tile = {6, 4};
  if (m && rows <= (many ? 6 : 2))
    tile.vectors = 4;
  else if (m && most > 1 && rows <= (many ? 9 : 4))
    tile.vectors = 3;
  tile.vectors = std::min<int64_t>(tile.vectors, most);
  if (m)
    tile.rows = llvm::divideCeil(rows, llvm::divideCeil(rows, tile.rows));
  return tunedTile(
      tile, "dots:m" + sizeText(m) + ",n" + sizeText(n) + ",k" + sizeText(k), m,
      most, info);
}

AffineMap kernel::packedMap(AffineMap map, AffineExpr n, AffineExpr k,
                            int64_t panel, int64_t group) {
  return AffineMap::get(
      map.getNumDims(), 0,
      {n.floorDiv(panel), k.floorDiv(group), (n % panel) * group + k % group},
      map.getContext());
}

Value kernel::multiplyBy(TileBuilder &tb, const MatrixUnit &unit, Value a,
                         Value w, Value sum) {
  OpBuilder &b = tb.b;
  auto reshape = [&](Value v, ArrayRef<int64_t> shape) -> Value {
    return vector::ShapeCastOp::create(
        b, tb.loc, VectorType::get(shape, getElementTypeOrSelf(v.getType())),
        v);
  };
  a = reshape(a, {1, unit.k});
  w = vector::TransposeOp::create(b, tb.loc, reshape(w, {unit.n, unit.k}),
                                  ArrayRef<int64_t>{1, 0});
  sum = reshape(sum, {1, unit.n});
  Value made = MmaOp::create(b, tb.loc, sum.getType(), a, w, sum,
                             b.getStringAttr(unit.name));
  return reshape(made, {unit.n});
}

namespace {
class Emitter {
public:
  Emitter(TileBuilder &tb, linalg::LinalgOp op, const Epilogue &epilogue,
          const MatrixUnit &unit)
      : tb(tb), b(tb.b), loc(tb.loc), op(op), epilogue(epilogue), unit(unit),
        maps(op.getIndexingMapsArray()) {}

  /// Which loop is what; why it is not so.
  std::string classify();
  std::string run(const TargetInfo &info);

private:
  void tile(Value m0, int64_t rows, int64_t vectors, bool masked);
  void rowsOf(Value mBlock, bool masked);
  Value groupOfA(Value m, Value k, int64_t count);
  Value add(Value x, int64_t y) {
    return y ? arith::AddIOp::create(b, loc, x, tb.index(y)).getResult() : x;
  }

  TileBuilder &tb;
  OpBuilder &b;
  Location loc;
  linalg::LinalgOp op;
  const Epilogue &epilogue;
  const MatrixUnit &unit;
  SmallVector<AffineMap> maps;
  unsigned m = 0, n = 0, k = 0;
  bool hasM = false;
  SmallVector<unsigned> outer;
  int64_t panel = 0, sizeK = 0, rows = 0, vectors = 0, blocks = 0;
  std::optional<int64_t> staticM, staticN;
  Value sizeM, sizeN, nBegin, A, B, C, start;
  SmallVector<Value> ivs;
};
} // namespace

std::string Emitter::classify() {
  AffineMap a = maps[0], w = maps[1], c = maps[2];
  if (!c.getNumResults() || !isa<AffineDimExpr>(c.getResults().back()))
    return "has no n dim";
  n = cast<AffineDimExpr>(c.getResults().back()).getPosition();
  unsigned sums = 0;
  for (auto [d, kind] : llvm::enumerate(op.getIteratorTypesArray())) {
    if (kind == utils::IteratorType::reduction)
      k = d, ++sums;
    else if (d != n)
      outer.push_back(d);
  }
  if (sums != 1)
    return "does not have one reduction dim";
  for (AffineMap map : {a, c})
    for (AffineExpr e : map.getResults())
      if (!isa<AffineDimExpr, AffineConstantExpr>(e))
        return "A or C has a computed index";
  AffineExpr dimK = b.getAffineDimExpr(k), dimN = b.getAffineDimExpr(n);
  if (a.isFunctionOfDim(n) || a.getResults().back() != dimK)
    return "A is not contiguous along k";
  auto type = cast<RankedTensorType>(op.getDpsInputs()[1].getType());
  if (type.getRank() != 3 || type.isDynamicDim(2))
    return "B is not packed";
  panel = type.getDimSize(2) / unit.k;
  if (w != packedMap(w, dimN, dimK, panel, unit.k) || panel % unit.n)
    return "B is not packed for " + std::string(unit.name);
  for (unsigned d : llvm::reverse(outer))
    if (a.isFunctionOfDim(d)) {
      m = d, hasM = true;
      llvm::erase(outer, d);
      break;
    }
  return "";
}

/// `count` neighbours of A along k, zeros to the unit's number.
Value Emitter::groupOfA(Value at, Value from, int64_t count) {
  if (hasM)
    ivs[m] = at;
  ivs[k] = from;
  ivs[n] = nBegin; // A does not depend on it
  SmallVector<Value> index = tb.apply(maps[0], ivs);
  Type type = cast<MemRefType>(A.getType()).getElementType();
  VectorType group = vectorOf(type, unit.k);
  Value v;
  if (count == unit.k) {
    v = loadVector(tb, A, index, unit.k, {});
  } else {
    SmallVector<Value> elements;
    Value last = index.back();
    for (int64_t i = 0; i < unit.k; ++i) {
      index.back() = add(last, i);
      elements.push_back(
          i < count ? tb.load(A, index)
                    : arith::ConstantOp::create(b, loc, b.getZeroAttr(type))
                          .getResult());
    }
    v = vector::FromElementsOp::create(b, loc, group, elements);
  }
  return v;
}

/// `rows` x `vectors` of the result from (m0, nBegin) on.
void Emitter::tile(Value m0, int64_t rows, int64_t vectors, bool masked) {
  SmallVector<Value> mAt, nAt, masks(vectors);
  for (int64_t i = 0; i < rows; ++i)
    mAt.push_back(add(m0, i));
  for (int64_t j = 0; j < vectors; ++j) {
    nAt.push_back(add(nBegin, j * unit.n));
    if (masked) {
      Value left = arith::SubIOp::create(b, loc, sizeN, nAt[j]);
      left = arith::MaxSIOp::create(b, loc, left, tb.index(0));
      masks[j] = vector::CreateMaskOp::create(
          b, loc, vectorOf(b.getI1Type(), unit.n), left);
    }
  }
  // The sums after the groups that begin at `from`, `count` elements of each.
  auto step = [&](Value from, int64_t count, ValueRange sums) {
    ivs[n] = nBegin;
    ivs[k] = from;
    if (hasM)
      ivs[m] = m0;
    SmallVector<Value> index = tb.apply(maps[1], ivs), w, next;
    for (int64_t j = 0; j < vectors; ++j) {
      index.back() = tb.index(j * unit.n * unit.k);
      w.push_back(loadVector(tb, B, index, unit.n * unit.k, {}));
    }
    for (int64_t i = 0; i < rows; ++i) {
      Value a = groupOfA(mAt[i], from, count);
      for (int64_t j = 0; j < vectors; ++j)
        next.push_back(multiplyBy(tb, unit, a, w[j], sums[i * vectors + j]));
    }
    return next;
  };
  SmallVector<Value> sums(rows * vectors,
                          vector::BroadcastOp::create(
                              b, loc, vectorOf(b.getI32Type(), unit.n), start));
  int64_t rest = sizeK % unit.k;
  auto loop = scf::ForOp::create(b, loc, tb.index(0), tb.index(sizeK - rest),
                                 tb.index(unit.k), sums);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    auto next = step(loop.getInductionVar(), unit.k, loop.getRegionIterArgs());
    scf::YieldOp::create(b, loc, next);
  }
  sums.assign(loop.result_begin(), loop.result_end());
  if (rest)
    sums = step(tb.index(sizeK - rest), rest, sums);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < vectors; ++j) {
      if (hasM)
        ivs[m] = mAt[i];
      ivs[n] = nAt[j];
      ivs[k] = tb.index(0);
      SmallVector<Value> point = tb.apply(maps[2], ivs);
      Value v = applyEpilogue(tb, epilogue, sums[i * vectors + j], point,
                              unit.n, masks[j]);
      storeVector(tb, v, C, point, masks[j]);
    }
}

void Emitter::rowsOf(Value mBlock, bool masked) {
  // Of the last panel only the vectors that have columns.
  int64_t filled = vectors, width = vectors * unit.n;
  if (masked && staticN)
    filled = llvm::divideCeil(*staticN % width, unit.n);
  Value left = arith::SubIOp::create(b, loc, sizeM, mBlock);
  left = arith::MinUIOp::create(b, loc, left, tb.index(rows * blocks));
  Value end = arith::AddIOp::create(b, loc, mBlock, left);
  forRowTiles(tb, mBlock, end, staticM, rows, [&](Value at, int64_t count) {
    tile(at, count, filled, masked);
  });
}

std::string Emitter::run(const TargetInfo &info) {
  SmallVector<OpFoldResult> sizes = loopSizes(tb, op);
  auto known = getConstantIntValue(sizes[k]);
  if (!known)
    return "the number of terms is not known";
  sizeK = *known;
  OpFoldResult M = hasM ? sizes[m] : OpFoldResult(b.getIndexAttr(1)),
               N = sizes[n];
  staticM = getConstantIntValue(M), staticN = getConstantIntValue(N);
  vectors = panel / unit.n;
  rows = rowsFor(vectors,
                 dotsTile(staticM, staticN.value_or(panel), sizeK, unit, info));
  const int64_t width = panel;
  // Enough rows in a workgroup to use its panel more than once, not so many
  // that few workgroups are left.
  blocks = staticM ? llvm::divideCeil(*staticM, rows) : 16;
  blocks = std::clamp<int64_t>(blocks, 1,
                               staticN && *staticN >= 16 * width ? 16 : 8);
  SmallVector<OpFoldResult> extents;
  for (unsigned d : outer)
    extents.push_back(sizes[d]);
  extents.push_back(tb.ceilDiv(M, rows * blocks));
  extents.push_back(tb.ceilDiv(N, width));
  SmallVector<Value> at = tb.makeGrid(extents);
  ivs.assign(op.getNumLoops(), Value());
  for (auto [d, v] : llvm::zip(outer, at))
    ivs[d] = v;
  nBegin = arith::MulIOp::create(b, loc, at.back(), tb.index(width));
  Value mBlock =
      arith::MulIOp::create(b, loc, at[at.size() - 2], tb.index(rows * blocks));
  sizeM = tb.toValue(M), sizeN = tb.toValue(N);
  A = tb.memoryOf(op.getDpsInputs()[0]), B = tb.memoryOf(op.getDpsInputs()[1]);
  linalg::LinalgOp last = epilogue.op ? epilogue.op : op;
  C = tb.memoryOf(last->getResult(0));
  start =
      tb.scalar(op.getDpsInits()[0].getDefiningOp<linalg::FillOp>().value());
  if (staticN && *staticN % width == 0) {
    rowsOf(mBlock, false);
  } else if (staticN && *staticN < width) {
    rowsOf(mBlock, true);
  } else {
    Value full = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ule,
                                       add(nBegin, width), sizeN);
    auto branch = scf::IfOp::create(b, loc, full, true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(&branch.getThenRegion().front());
    rowsOf(mBlock, false);
    b.setInsertionPointToStart(&branch.getElseRegion().front());
    rowsOf(mBlock, true);
  }
  return "";
}

std::string kernel::planDots(FuncOp kernel, const TargetInfo &info) {
  const MatrixUnit *unit = nullptr;
  VectorAnchor anchor;
  std::string why = findVectorAnchor(
      kernel,
      [&](linalg::LinalgOp op) -> std::string {
        if (!smallProductOf(op))
          return "no product of small integers";
        unit = unitOf(op, info);
        return unit ? "" : "no unit of the target's multiplies these integers";
      },
      anchor, /*anyType=*/true);
  if (!why.empty())
    return why;
  TileBuilder tb(kernel);
  Emitter emitter(tb, anchor.op, anchor.epilogue, *unit);
  why = emitter.classify();
  if (why.empty())
    why = emitter.run(info);
  if (!why.empty()) {
    tb.abandon();
    return why;
  }
  tb.finish(std::string("dots ") + unit->name);
  return "";
}
