//===- BlockedPlan.cpp - convolutions with channels in blocks -------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Y[.., block, row, pixel, lane] = epilogue(sum over taps of X * W) in f32, of
// operands in f32, f16 or bf16, or in i32, of bytes, by a unit of one row. The
// vector is a block of output channels, so an image may be of any width: one
// tile is some pixels of a row and some blocks of channels, its sums in
// registers over all taps. X is one element for all lanes, at any address that
// is affine in the loops (channels first or blocked, strides, dilations,
// groups), or a vector of its own channels (depthwise).
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/BlockedShape.h"
#include "dialects/Kernel/Transforms/MergeDims.h"
#include "dialects/Kernel/Transforms/Plans.h"
#include "dialects/Kernel/Transforms/Product.h"
#include "dialects/Kernel/Transforms/VectorBody.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

/// About the multiply-adds that a workgroup does: some tens of microseconds.
static constexpr int64_t kWorkPerGroup = 2 << 20;

namespace {
/// Emits the kernel; all sizes but the images' are constants.
class Emitter {
public:
  Emitter(TileBuilder &tb, linalg::LinalgOp op, const BlockedDims &dims,
          const Epilogue &epilogue, const MatrixUnit *unit,
          const TargetInfo &info)
      : tb(tb), b(tb.b), loc(tb.loc), op(op), dims(dims), epilogue(epilogue),
        unit(unit), info(info), sizes(loopSizes(tb, op)) {}

  void run(Value start);

private:
  int64_t size(unsigned d) const { return *getConstantIntValue(sizes[d]); }
  Value flat(Value tensor);
  Value address(AffineExpr e) {
    return tb.apply(AffineMap::get(op.getNumLoops(), 0, e), ivs)[0];
  }
  Value offset(Value base, int64_t by) {
    return by ? Value(arith::AddIOp::create(b, loc, base, tb.index(by))) : base;
  }
  Value times(Value v, int64_t by) {
    return by == 1 ? v : Value(arith::MulIOp::create(b, loc, v, tb.index(by)));
  }
  BlockedTile chooseTile(int64_t rows, int64_t pixels, int64_t blocks,
                         Type element) const;
  void emitRows(Value firstTile, int64_t rows);
  void emitTile(Value firstPixel, int64_t rows, int64_t pixels);
  SmallVector<Value> sum(unsigned tap, ValueRange acc);
  SmallVector<Value> multiply(ValueRange acc);

  TileBuilder &tb;
  OpBuilder &b;
  Location loc;
  linalg::LinalgOp op;
  const BlockedDims &dims;
  const Epilogue &epilogue;
  const MatrixUnit *unit; // of bytes
  const TargetInfo &info;
  SmallVector<OpFoldResult> sizes;
  SmallVector<SmallVector<unsigned>> runs; // rows joined to one, or empty
  BlockedTile tile;
  VectorType vec;
  Value start, X, W, Y;
  AffineExpr xAt, wAt;
  int64_t perRow = 0, perPixel = 0, perBlock = 0; // steps in X, X and W
  int64_t pixels = 0, tilesPerGroup = 1;
  int64_t rowsNow = 1, pixelsNow = 1; // of the tile being emitted
  SmallVector<Value> ivs;
};
} // namespace

/// The best of the tiles, by their costs or by a tuning.
BlockedTile Emitter::chooseTile(int64_t rows, int64_t pixels, int64_t blocks,
                                Type element) const {
  SmallVector<BlockedTile> tiles =
      blockedTiles(rows, pixels, blocks, dims.depthwise,
                   isa<FloatType>(element) && !element.isF32(), info);
  std::string what = "blocked:";
  llvm::raw_string_ostream text(what);
  text << "rows" << rows << ",pixels" << pixels << ",blocks" << blocks << "of"
       << size(dims.lane) << ",step" << perRow << "x" << perPixel << ",taps";
  for (auto [i, d] : llvm::enumerate(dims.taps))
    text << (i ? "x" : "") << size(d);
  if (dims.depthwise)
    text << ",depthwise";
  if (!element.isF32())
    text << "," << element;
  std::vector<std::string> names;
  for (const BlockedTile &t : tiles)
    names.push_back(std::to_string(t.rows) + "x" + std::to_string(t.pixels) +
                    "x" + std::to_string(t.blocks));
  return tiles[chooseTuned(info, what, names)];
}

/// The memory of `tensor` as a row of elements.
Value Emitter::flat(Value tensor) {
  Value memory = tb.memoryOf(tensor);
  auto type = cast<MemRefType>(memory.getType());
  if (type.getRank() == 1)
    return memory;
  int64_t count =
      type.hasStaticShape() ? type.getNumElements() : ShapedType::kDynamic;
  SmallVector<ReassociationIndices> all(1);
  for (int64_t i = 0; i < type.getRank(); ++i)
    all[0].push_back(i);
  return memref::CollapseShapeOp::create(
      b, loc, MemRefType::get({count}, type.getElementType()), memory, all);
}

/// One tap: a vector of the filter a block, an element of the input a pixel; of
/// bytes as many as the unit takes.
SmallVector<Value> Emitter::multiply(ValueRange acc) {
  Value w = address(wAt), x = address(xAt);
  int64_t lanes = vec.getNumElements();
  Type element = cast<MemRefType>(X.getType()).getElementType();
  auto load = [&](Value memory, Value at, int64_t count) {
    Value v = loadVector(tb, memory, at, count, {});
    return unit ? v : toF32(tb, v);
  };
  SmallVector<Value> filter;
  for (int64_t v = 0; v < tile.blocks; ++v)
    filter.push_back(load(W, offset(w, v * perBlock), lanes * dims.terms));
  SmallVector<Value> next;
  for (int64_t p = 0; p < rowsNow * pixelsNow; ++p) {
    Value at = offset(x, p / pixelsNow * perRow + p % pixelsNow * perPixel), in;
    if (dims.depthwise || unit)
      in = load(X, at, unit ? dims.terms : lanes);
    else
      // In all lanes at once, which is as quick as one.
      in = toF32(tb, vector::BroadcastOp::create(
                         b, loc, vectorOf(element, lanes), tb.load(X, at)));
    for (int64_t v = 0; v < tile.blocks; ++v) {
      Value sum = acc[p * tile.blocks + v];
      next.push_back(
          unit ? multiplyBy(tb, *unit, in, filter[v], sum)
               : Value(vector::FMAOp::create(b, loc, in, filter[v], sum)));
    }
  }
  return next;
}

/// The loops over taps[tap..]. Unrolled, LLVM's scheduler would load the
/// vectors of several rounds first and spill sums.
SmallVector<Value> Emitter::sum(unsigned tap, ValueRange acc) {
  if (tap == dims.taps.size())
    return multiply(acc);
  unsigned d = dims.taps[tap];
  int64_t trip = size(d) / (tap + 1 == dims.taps.size() ? dims.terms : 1);
  auto loop =
      scf::ForOp::create(b, loc, tb.index(0), tb.index(trip), tb.index(1), acc);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  ivs[d] = loop.getInductionVar();
  scf::YieldOp::create(b, loc, sum(tap + 1, loop.getRegionIterArgs()));
  return SmallVector<Value>(loop.getResults());
}

void Emitter::emitTile(Value firstPixel, int64_t rows, int64_t pixels) {
  ivs[dims.pixel] = firstPixel;
  ivs[dims.lane] = tb.index(0);
  rowsNow = rows;
  pixelsNow = pixels;
  SmallVector<Value> acc(rows * pixels * tile.blocks, start);
  acc = sum(0, acc);
  for (int64_t v = 0; v < tile.blocks; ++v)
    for (int64_t p = 0; p < rows * pixels; ++p) {
      SmallVector<Value> point;
      for (unsigned d : dims.outer)
        point.push_back(ivs[d]);
      point.push_back(offset(ivs[dims.block], v));
      if (runs.empty())
        point.push_back(offset(ivs[dims.row], p / pixels));
      point.push_back(offset(firstPixel, p % pixels));
      point.push_back(tb.index(0));
      Value value = applyEpilogue(tb, epilogue, acc[p * tile.blocks + v], point,
                                  vec.getNumElements(), Value(), runs);
      storeVector(tb, value, Y, point, Value());
    }
}

/// The workgroup's tiles of `rows` rows from ivs[row] on.
void Emitter::emitRows(Value firstTile, int64_t rows) {
  int64_t tiles = pixels / tile.pixels, rest = pixels % tile.pixels;
  Value end = offset(firstTile, tilesPerGroup);
  if (tiles) {
    Value last = arith::MinUIOp::create(b, loc, end, tb.index(tiles));
    auto loop =
        scf::ForOp::create(b, loc, firstTile, last, tb.index(1), ValueRange());
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    emitTile(times(loop.getInductionVar(), tile.pixels), rows, tile.pixels);
  }
  if (rest) {
    Value here = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ugt, end,
                                       tb.index(tiles));
    auto branch = scf::IfOp::create(b, loc, here, false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(&branch.getThenRegion().front());
    emitTile(tb.index(tiles * tile.pixels), rows, rest);
  }
}

void Emitter::run(Value initial) {
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  auto kinds = op.getIteratorTypesArray();
  // Rows of an image are one long row when everybody sees them so.
  auto joins = [&](ArrayRef<AffineMap> seen,
                   ArrayRef<utils::IteratorType> loops) {
    return llvm::any_of(mergeDims(seen, loops), [&](ArrayRef<unsigned> run) {
      return llvm::is_contained(run, dims.row) &&
             llvm::is_contained(run, dims.pixel);
    });
  };
  linalg::LinalgOp last = epilogue.op ? epilogue.op : op;
  bool joined = joins(maps, kinds);
  if (joined && epilogue.op)
    joined = joins(last.getIndexingMapsArray(), last.getIteratorTypesArray());
  int64_t rows = size(dims.row);
  pixels = size(dims.pixel);
  if (joined) {
    pixels *= rows;
    rows = 1;
  }
  auto xType = cast<RankedTensorType>(op.getDpsInputs()[0].getType());
  auto wType = cast<RankedTensorType>(op.getDpsInputs()[1].getType());
  xAt = addressOf(maps[0], xType);
  wAt = addressOf(maps[1], wType);
  // The innermost loop counts groups of terms.
  AffineExpr k = b.getAffineDimExpr(dims.taps.back());
  for (AffineExpr *at : {&xAt, &wAt})
    *at =
        simplifyAffineExpr(at->replace(k, k * dims.terms), op.getNumLoops(), 0);
  perRow = *growth(xAt, dims.row, op.getNumLoops());
  perPixel = *growth(xAt, dims.pixel, op.getNumLoops());
  perBlock = *growth(wAt, dims.block, op.getNumLoops());
  int64_t shared = sharedBlocks(xAt, dims.block, size(dims.block));
  Type element = xType.getElementType();
  tile = chooseTile(rows, pixels, shared, element);
  vec = vectorOf(initial.getType(), size(dims.lane));
  start = vector::BroadcastOp::create(b, loc, vec, initial);
  X = flat(op.getDpsInputs()[0]);
  W = flat(op.getDpsInputs()[1]);
  Y = tb.memoryOf(last->getResult(0));
  if (joined) {
    AffineMap out = maps[2];
    unsigned parallel = out.getNumResults();
    for (unsigned d = 0; d + 3 < parallel; ++d)
      runs.push_back({d});
    runs.push_back({parallel - 3, parallel - 2});
    runs.push_back({parallel - 1});
    AffineMap identity = b.getMultiDimIdentityMap(parallel);
    Y = mergeOperand(tb, Y, identity, runs).first;
  }

  int64_t work = tile.rows * pixels * tile.blocks * vec.getNumElements();
  for (unsigned d : dims.taps)
    work *= size(d);
  work /= dims.terms;
  // A workgroup has whole rows, or a part of a long one.
  tilesPerGroup = llvm::divideCeil(pixels, tile.pixels);
  int64_t strips = llvm::divideCeil(rows, tile.rows), stripsPerGroup = 1;
  if (work > kWorkPerGroup)
    tilesPerGroup = std::max<int64_t>(
        1, tilesPerGroup / llvm::divideCeil(work, kWorkPerGroup));
  else
    stripsPerGroup = std::clamp<int64_t>(
        kWorkPerGroup / std::max<int64_t>(work, 1), 1, strips);
  SmallVector<OpFoldResult> extents;
  for (unsigned d : dims.outer)
    extents.push_back(sizes[d]);
  extents.push_back(b.getIndexAttr(size(dims.block) / tile.blocks));
  extents.push_back(b.getIndexAttr(llvm::divideCeil(strips, stripsPerGroup)));
  extents.push_back(b.getIndexAttr(
      llvm::divideCeil(llvm::divideCeil(pixels, tile.pixels), tilesPerGroup)));
  SmallVector<Value> at = tb.makeGrid(extents);
  ivs.assign(op.getNumLoops(), tb.index(0));
  for (auto [d, v] : llvm::zip(dims.outer, at))
    ivs[d] = v;
  ArrayRef<Value> inner = ArrayRef(at).take_back(3);
  ivs[dims.block] = times(inner[0], tile.blocks);
  Value firstTile = times(inner[2], tilesPerGroup);
  Value begin = times(inner[1], stripsPerGroup);
  Value end = offset(begin, stripsPerGroup);
  int64_t whole = rows / tile.rows, rest = rows % tile.rows;
  OpBuilder::InsertionGuard guard(b);
  if (whole) {
    Value last = arith::MinUIOp::create(b, loc, end, tb.index(whole));
    auto loop =
        scf::ForOp::create(b, loc, begin, last, tb.index(1), ValueRange());
    OpBuilder::InsertionGuard inLoop(b);
    b.setInsertionPointToStart(loop.getBody());
    ivs[dims.row] =
        joined ? tb.index(0) : times(loop.getInductionVar(), tile.rows);
    emitRows(firstTile, tile.rows);
  }
  if (rest) {
    Value here = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ugt, end,
                                       tb.index(whole));
    auto branch = scf::IfOp::create(b, loc, here, false);
    b.setInsertionPointToStart(&branch.getThenRegion().front());
    ivs[dims.row] = tb.index(whole * tile.rows);
    emitRows(firstTile, rest);
  }
}

std::string kernel::planBlocked(FuncOp kernel, const TargetInfo &info) {
  BlockedDims dims;
  VectorAnchor anchor;
  std::string why = findVectorAnchor(
      kernel, [&](linalg::LinalgOp op) { return classifyBlocked(op, dims); },
      anchor,
      /*anyType=*/true);
  if (!why.empty())
    return why;
  auto type = cast<RankedTensorType>(anchor.op.getDpsInits()[0].getType());
  if (type.getShape().back() * 4 > int64_t(info.vectorBytes))
    return "a block is longer than a vector";
  const MatrixUnit *unit = nullptr;
  if (auto p = smallProductOf(anchor.op)) {
    unit = unitFor(info, p->a, p->unsignedA, p->b, p->unsignedB,
                   IntegerType::get(kernel.getContext(), 32));
    if (!unit || unit->k != dims.terms || unit->n != type.getShape().back())
      return "no unit of the target's multiplies these integers";
  }
  TileBuilder tb(kernel);
  {
    Emitter emitter(tb, anchor.op, dims, anchor.epilogue, unit, info);
    emitter.run(tb.scalar(anchor.start));
  }
  tb.finish(unit ? std::string("blocked ") + unit->name : "blocked");
  return "";
}
