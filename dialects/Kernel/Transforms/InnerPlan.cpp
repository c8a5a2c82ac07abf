//===- InnerPlan.cpp - products of operands that both lie along k ---------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// C[.., m, n] = epilogue(sum over k of A[.., m, k] * B[.., n, k]) in f32, with
// vectors along k, where a row of C or a column is too short for vectors along
// it, or one use of B too few to turn it for. A tile of rows x columns has a
// vector of sums for each element; as many as a vector has lanes are added up
// together, by halves: log2(lanes) steps leave one vector with a sum a lane.
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/Plans.h"
#include "dialects/Kernel/Transforms/VectorBody.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

namespace {
/// The loop dims of a product; m or n may be missing.
struct Dims {
  std::optional<unsigned> m, n;
  unsigned k = 0;
  SmallVector<unsigned> outer; // the other parallel dims
};

struct Tile {
  int64_t rows, columns, lanes;
  bool tall; // few columns, not few rows
};
} // namespace

static std::string classify(linalg::LinalgOp op, Dims &dims) {
  if (op.getNumDpsInputs() != 2 || op.getNumDpsInits() != 1 ||
      !isMultiplyAdd(op))
    return "not a multiply-add of two f32 tensors";
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  for (AffineMap map : {maps[0], maps[2]})
    for (AffineExpr e : map.getResults())
      if (!isa<AffineDimExpr, AffineConstantExpr>(e))
        return "A or C has a computed index";
  unsigned reductions = 0;
  for (unsigned d = 0; d < op.getNumLoops(); ++d) {
    if (op.getIteratorTypesArray()[d] == utils::IteratorType::reduction) {
      dims.k = d;
      ++reductions;
      continue;
    }
    dims.outer.push_back(d);
  }
  if (reductions != 1)
    return "does not have one reduction dim";
  AffineExpr k = getAffineDimExpr(dims.k, op.getContext());
  for (unsigned i = 0; i < 2; ++i)
    if (maps[i].getNumResults() == 0 || maps[i].getResults().back() != k)
      return "an operand is not contiguous along k";
  // n: the last dim of C, where A does not have it.
  if (maps[2].getNumResults())
    if (auto last = dyn_cast<AffineDimExpr>(maps[2].getResults().back()))
      if (!maps[0].isFunctionOfDim(last.getPosition()))
        dims.n = last.getPosition();
  // Of B, what is the same for a whole tile may be computed (a head that
  // several share).
  for (AffineExpr e : maps[1].getResults())
    if (!isa<AffineDimExpr, AffineConstantExpr>(e) &&
        (e.isFunctionOfDim(dims.k) || (dims.n && e.isFunctionOfDim(*dims.n))))
      return "B has a computed index";
  for (unsigned d : llvm::reverse(dims.outer))
    if (d != dims.n && !maps[1].isFunctionOfDim(d)) {
      dims.m = d;
      break;
    }
  llvm::erase_if(dims.outer,
                 [&](unsigned d) { return d == dims.m || d == dims.n; });
  return "";
}

bool kernel::isInnerProduct(linalg::LinalgOp op) {
  Dims dims;
  if (!classify(op, dims).empty() || !dims.n)
    return false;
  AffineMap a = op.getIndexingMapsArray()[0], b = op.getIndexingMapsArray()[1];
  int64_t rows = 1;
  for (auto [d, extent] : llvm::enumerate(op.getStaticLoopRanges()))
    if (a.isFunctionOfDim(d) && !b.isFunctionOfDim(d)) {
      if (ShapedType::isDynamic(extent) || extent > kFewRows)
        return false;
      rows *= extent;
    }
  return rows <= kFewRows;
}

static int64_t lanesOf(const TargetInfo &info) {
  return std::max<int64_t>(info.vectorBytes / 4, 4);
}

int64_t kernel::fewColumns(const TargetInfo &info) {
  return std::min<int64_t>(6, lanesOf(info));
}

/// As many sums as lanes, the shorter side whole where it fits.
static std::string chooseTile(std::optional<int64_t> m,
                              std::optional<int64_t> n, const TargetInfo &info,
                              Tile &tile) {
  tile.lanes = lanesOf(info);
  tile.tall = n && *n <= fewColumns(info);
  if (tile.tall) {
    tile.columns = std::max<int64_t>(*n, 1);
    tile.rows = tile.lanes / tile.columns;
    if (m)
      tile.rows = std::clamp<int64_t>(tile.rows, 1, std::max<int64_t>(*m, 1));
    return "";
  }
  if (!m || *m > kFewRows)
    return "neither few rows nor few columns are known";
  tile.rows = *m <= 1 ? 1 : *m <= 2 || tile.lanes < 8 ? 2 : 4;
  tile.columns = tile.lanes / tile.rows;
  return "";
}

/// The sum of each of `sums`, one a lane, in their order.
static Value addUp(TileBuilder &tb, SmallVector<Value> sums, int64_t lanes) {
  OpBuilder &b = tb.b;
  Value zero = arith::ConstantOp::create(
      b, tb.loc, b.getZeroAttr(vectorOf(b.getF32Type(), lanes)));
  sums.resize(lanes, zero);
  SmallVector<int64_t> even, odd;
  for (int64_t i = 0; i < 2 * lanes; i += 2) {
    even.push_back(i);
    odd.push_back(i + 1);
  }
  while (sums.size() > 1) {
    for (size_t i = 0; i < sums.size() / 2; ++i) {
      Value x = sums[2 * i], y = sums[2 * i + 1];
      sums[i] = arith::AddFOp::create(
          b, tb.loc, vector::ShuffleOp::create(b, tb.loc, x, y, even),
          vector::ShuffleOp::create(b, tb.loc, x, y, odd));
    }
    sums.resize(sums.size() / 2);
  }
  return sums[0];
}

namespace {
class Emitter {
public:
  Emitter(TileBuilder &tb, linalg::LinalgOp op, const Epilogue &epilogue,
          const Dims &dims, const Tile &tile, ArrayRef<OpFoldResult> sizes)
      : tb(tb), b(tb.b), loc(tb.loc), op(op), epilogue(epilogue), dims(dims),
        tile(tile), sizes(sizes), ivs(op.getNumLoops()) {}
  void run(Value start);

private:
  void emitTile(Value m0, Value n0);
  /// One vector of k: `sums` with the products added.
  SmallVector<Value> step(ValueRange rows, ValueRange columns, Value k,
                          Value mask, ValueRange sums);
  /// `from`, `from` + 1, ..: none past `size`, if `clamp`.
  SmallVector<Value> indices(Value from, int64_t count, Value size, bool clamp);
  /// The extent of a loop, 1 where there is none.
  OpFoldResult extent(std::optional<unsigned> d) {
    return d ? sizes[*d] : OpFoldResult(b.getIndexAttr(1));
  }
  static bool divides(OpFoldResult size, int64_t by) {
    auto known = getConstantIntValue(size);
    return by == 1 || (known && *known % by == 0);
  }

  TileBuilder &tb;
  OpBuilder &b;
  Location loc;
  linalg::LinalgOp op;
  const Epilogue &epilogue;
  const Dims &dims;
  const Tile &tile;
  ArrayRef<OpFoldResult> sizes;
  SmallVector<Value> ivs;
  Value A, B, C, start, sizeM, sizeN, sizeK;
  bool allRows = false, allColumns = false;
};
} // namespace

SmallVector<Value> Emitter::indices(Value from, int64_t count, Value size,
                                    bool clamp) {
  SmallVector<Value> at;
  Value last;
  if (clamp)
    last = arith::SubIOp::create(b, loc, size, tb.index(1));
  for (int64_t i = 0; i < count; ++i) {
    Value v = i ? arith::AddIOp::create(b, loc, from, tb.index(i)) : from;
    at.push_back(clamp ? arith::MinUIOp::create(b, loc, v, last) : v);
  }
  return at;
}

SmallVector<Value> Emitter::step(ValueRange rows, ValueRange columns, Value k,
                                 Value mask, ValueRange sums) {
  auto load = [&](Value from, unsigned operand, std::optional<unsigned> dim,
                  Value at) {
    if (dim)
      ivs[*dim] = at;
    ivs[dims.k] = k;
    // What the operand does not have is not looked at.
    SmallVector<Value> point = ivs;
    for (Value &v : point)
      if (!v)
        v = k;
    return loadVector(tb, from,
                      tb.apply(op.getIndexingMapsArray()[operand], point),
                      tile.lanes, mask);
  };
  SmallVector<Value> columnOf, next;
  for (Value n : columns)
    columnOf.push_back(load(B, 1, dims.n, n));
  for (auto [i, m] : llvm::enumerate(rows)) {
    Value a = load(A, 0, dims.m, m);
    for (auto [j, v] : llvm::enumerate(columnOf))
      next.push_back(
          vector::FMAOp::create(b, loc, a, v, sums[i * columns.size() + j]));
  }
  return next;
}

void Emitter::emitTile(Value m0, Value n0) {
  SmallVector<Value> rows = indices(m0, tile.rows, sizeM, !allRows),
                     columns = indices(n0, tile.columns, sizeN, !allColumns);
  VectorType type = vectorOf(b.getF32Type(), tile.lanes);
  SmallVector<Value> sums(
      tile.rows * tile.columns,
      arith::ConstantOp::create(b, loc, b.getZeroAttr(type)));
  Value lanes = tb.index(tile.lanes);
  Value whole = arith::MulIOp::create(
      b, loc, arith::DivUIOp::create(b, loc, sizeK, lanes), lanes);
  auto loop = scf::ForOp::create(b, loc, tb.index(0), whole, lanes, sums);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    scf::YieldOp::create(b, loc,
                         step(rows, columns, loop.getInductionVar(), Value(),
                              loop.getRegionIterArgs()));
  }
  sums.assign(loop.result_begin(), loop.result_end());
  if (!divides(sizes[dims.k], tile.lanes)) {
    Value mask = vector::CreateMaskOp::create(
        b, loc, vectorOf(b.getI1Type(), tile.lanes),
        arith::SubIOp::create(b, loc, sizeK, whole).getResult());
    sums = step(rows, columns, whole, mask, sums);
  }
  Value all = addUp(tb, sums, tile.lanes);
  all = arith::AddFOp::create(
      b, loc, vector::BroadcastOp::create(b, loc, type, start), all);

  Value mask;
  if (!allColumns)
    mask = vector::CreateMaskOp::create(
        b, loc, vectorOf(b.getI1Type(), tile.columns),
        arith::SubIOp::create(b, loc, sizeN, n0).getResult());
  auto store = [&](int64_t i) {
    SmallVector<Value> point;
    for (AffineExpr e : op.getIndexingMapsArray()[2].getResults()) {
      auto d = dyn_cast<AffineDimExpr>(e);
      point.push_back(!d                          ? tb.index(0)
                      : d.getPosition() == dims.n ? n0
                      : d.getPosition() == dims.m ? rows[i]
                                                  : ivs[d.getPosition()]);
    }
    if (!dims.n) {
      Value v = vector::ExtractOp::create(b, loc, all, i);
      tb.store(applyEpilogueScalar(tb, epilogue, v, point), C, point);
      return;
    }
    Value v = vector::ExtractStridedSliceOp::create(
        b, loc, all, ArrayRef<int64_t>{i * tile.columns},
        ArrayRef<int64_t>{tile.columns}, ArrayRef<int64_t>{1});
    v = applyEpilogue(tb, epilogue, v, point, tile.columns, mask);
    storeVector(tb, v, C, point, mask);
  };
  for (int64_t i = 0; i < tile.rows; ++i) {
    if (allRows || i == 0) {
      store(i);
      continue;
    }
    Value row = arith::AddIOp::create(b, loc, m0, tb.index(i));
    auto inside = scf::IfOp::create(
        b, loc,
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, row, sizeM),
        false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(inside.thenBlock());
    store(i);
  }
}

void Emitter::run(Value fill) {
  start = fill;
  OpFoldResult M = extent(dims.m), N = extent(dims.n);
  allRows = divides(M, tile.rows);
  allColumns = divides(N, tile.columns);
  // Tiles of a workgroup, on the longer side.
  int64_t rows = tile.rows * (tile.tall ? 8 : 1),
          columns = tile.columns * (tile.tall ? 1 : 8);
  SmallVector<OpFoldResult> extents;
  for (unsigned d : dims.outer)
    extents.push_back(sizes[d]);
  extents.push_back(tb.ceilDiv(M, rows));
  extents.push_back(tb.ceilDiv(N, columns));
  SmallVector<Value> at = tb.makeGrid(extents);
  for (auto [d, v] : llvm::zip(dims.outer, at))
    ivs[d] = v;
  sizeM = tb.toValue(M);
  sizeN = tb.toValue(N);
  sizeK = tb.toValue(sizes[dims.k]);
  A = tb.memoryOf(op.getDpsInputs()[0]);
  B = tb.memoryOf(op.getDpsInputs()[1]);
  Operation *last = epilogue.op ? epilogue.op : op;
  C = tb.memoryOf(last->getResult(0));
  auto range = [&](Value block, int64_t step, Value size) {
    Value from = arith::MulIOp::create(b, loc, block, tb.index(step));
    Value to = arith::AddIOp::create(b, loc, from, tb.index(step));
    return std::pair(
        from, Value(arith::MinUIOp::create(b, loc, to, size).getResult()));
  };
  auto [mFrom, mTo] = range(at[at.size() - 2], rows, sizeM);
  auto [nFrom, nTo] = range(at.back(), columns, sizeN);
  auto down = scf::ForOp::create(b, loc, mFrom, mTo, tb.index(tile.rows));
  b.setInsertionPointToStart(down.getBody());
  auto along = scf::ForOp::create(b, loc, nFrom, nTo, tb.index(tile.columns));
  b.setInsertionPointToStart(along.getBody());
  emitTile(down.getInductionVar(), along.getInductionVar());
}

std::string kernel::planInner(FuncOp kernel, const TargetInfo &info) {
  Dims dims;
  VectorAnchor anchor;
  std::string why = findVectorAnchor(
      kernel, [&](linalg::LinalgOp op) { return classify(op, dims); }, anchor);
  if (!why.empty())
    return why;
  TileBuilder tb(kernel);
  SmallVector<OpFoldResult> sizes = loopSizes(tb, anchor.op);
  auto known = [&](std::optional<unsigned> d) {
    return d ? getConstantIntValue(sizes[*d]) : std::optional<int64_t>(1);
  };
  Tile tile;
  why = chooseTile(known(dims.m), known(dims.n), info, tile);
  if (!why.empty()) {
    tb.abandon();
    return why;
  }
  Emitter(tb, anchor.op, anchor.epilogue, dims, tile, sizes)
      .run(tb.scalar(anchor.start));
  tb.finish("inner");
  return "";
}
