//===- ContractionPlan.cpp - register-blocked matrix products -------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// C[.., m, n] = epilogue(sum over k of A[.., m, k] * B[.., k, n]) in f32, of
// operands in f32, f16 or bf16 that are widened when they are read, with
// vectors along n: a tile of `rows` x `vectors` accumulators lives in registers
// over the whole of k. B is read as it lies (n contiguous) or packed in panels
// [n / P][k][P], which the indexing map says.
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
/// Which loop dims a contraction has.
struct Dims {
  unsigned m = 0, n = 0, k = 0;
  bool hasM = false;
  SmallVector<unsigned> outer; // the other parallel dims
};
} // namespace

bool kernel::isMultiplyAdd(linalg::LinalgOp op, bool widening) {
  Block &block = op->getRegion(0).front();
  if (block.getNumArguments() != 3 || !block.getArgument(2).getType().isF32())
    return false;
  auto inputOf = [&](Value v) -> Value {
    auto wide = v.getDefiningOp<arith::ExtFOp>();
    return wide && widening ? wide.getIn() : v;
  };
  auto add =
      block.getTerminator()->getOperand(0).getDefiningOp<arith::AddFOp>();
  if (!add)
    return false;
  for (unsigned i = 0; i < 2; ++i) {
    auto mul = add->getOperand(i).getDefiningOp<arith::MulFOp>();
    if (!mul || add->getOperand(1 - i) != block.getArgument(2))
      continue;
    Value a = inputOf(mul.getLhs()), b = inputOf(mul.getRhs());
    if ((a == block.getArgument(0) && b == block.getArgument(1)) ||
        (a == block.getArgument(1) && b == block.getArgument(0)))
      return true;
  }
  return false;
}

int64_t kernel::rowsFor(int64_t vectors, RegisterTile tile) {
  if (vectors <= tile.vectors)
    return tile.rows;
  return std::max<int64_t>(1, tile.rows * tile.vectors / vectors);
}

std::string kernel::sizeText(std::optional<int64_t> size) {
  return size ? std::to_string(*size) : "?";
}

RegisterTile kernel::tunedTile(RegisterTile guess, const std::string &what,
                               std::optional<int64_t> m, int64_t mostVectors,
                               const TargetInfo &info) {
  SmallVector<RegisterTile> tiles = {guess};
  int64_t all = m ? std::max<int64_t>(*m, 1) : 24;
  int64_t most = std::min<int64_t>(mostVectors, info.vectorRegisters / 5);
  for (int64_t vectors = 1; vectors <= most; ++vectors) {
    // Beside the sums a row of B and an element of A.
    int64_t rows = (info.vectorRegisters - vectors - 1) / vectors;
    rows = std::min<int64_t>(rows, 24);
    rows = llvm::divideCeil(all, llvm::divideCeil(all, rows));
    if (rows != guess.rows || vectors != guess.vectors)
      tiles.push_back({rows, vectors});
  }
  std::vector<std::string> names;
  for (RegisterTile tile : tiles)
    names.push_back(std::to_string(tile.rows) + "x" +
                    std::to_string(tile.vectors));
  return tiles[chooseTuned(info, what, names)];
}

/// A tile's shape by the register file: accumulators, one row of B, one of A.
/// Fewer rows get longer ones, so that sums do not wait for each other, short
/// rows are more; rows that are no multiple of a tile's share it out evenly.
ContractionTile kernel::contractionTile(std::optional<int64_t> m,
                                        std::optional<int64_t> n,
                                        std::optional<int64_t> k,
                                        const TargetInfo &info) {
  // Caches of the first level find a line by its address within so many bytes:
  // elements that far apart share one set, of 8 to 12 lines.
  constexpr int64_t wayBytes = 4096;
  ContractionTile tile;
  tile.lanes = std::max<int64_t>(info.vectorBytes / 4, 4);
  bool many = info.vectorRegisters >= 32;
  tile.vectors = 2;
  tile.rows = many ? 12 : 6;
  if (n) {
    while (tile.lanes > 4 && tile.lanes >= 2 * *n)
      tile.lanes /= 2;
    tile.vectors = std::min<int64_t>(
        tile.vectors, std::max<int64_t>(llvm::divideCeil(*n, tile.lanes), 1));
  }
  bool wide = tile.vectors == 2 && (!n || *n > 2 * tile.lanes);
  if (tile.vectors == 1) {
    tile.rows *= 2;
  } else if (wide && many && k && *k * 4 % wayBytes == 0) {
    tile.rows = 6;
    tile.vectors = 4;
  }
  int64_t most = n ? llvm::divideCeil(std::max<int64_t>(*n, 1), tile.lanes) : 8;
  if (m) {
    int64_t rows = std::max<int64_t>(*m, 1);
    if (wide && rows <= (many ? 6 : 2))
      tile.vectors = 4;
    else if (wide && tile.vectors == 2 && rows <= (many ? 9 : 4))
      tile.vectors = 3;
    tile.vectors = std::min(tile.vectors, most);
    tile.rows = llvm::divideCeil(rows, llvm::divideCeil(rows, tile.rows));
  }
  std::string what =
      "contraction:m" + sizeText(m) + ",n" + sizeText(n) + ",k" + sizeText(k);
  RegisterTile tuned =
      tunedTile({tile.rows, tile.vectors}, what, m, most, info);
  return {tuned.rows, tuned.vectors, tile.lanes};
}

static std::string classify(linalg::LinalgOp op, Dims &dims) {
  if (op.getNumDpsInputs() != 2 || op.getNumDpsInits() != 1 ||
      !isMultiplyAdd(op, /*widening=*/true))
    return "not a multiply-add of two tensors of floats, in f32";
  AffineMap a = op.getIndexingMapsArray()[0], b = op.getIndexingMapsArray()[1],
            c = op.getIndexingMapsArray()[2];
  auto kinds = op.getIteratorTypesArray();
  if (c.getNumResults() == 0)
    return "has no n dim";
  auto last = dyn_cast<AffineDimExpr>(c.getResults().back());
  if (!last)
    return "has no n dim";
  dims.n = last.getPosition();
  if (a.isFunctionOfDim(dims.n) || !b.isFunctionOfDim(dims.n))
    return "the last dim of the result is not B's alone";
  unsigned reductions = 0;
  for (unsigned d = 0; d < op.getNumLoops(); ++d) {
    if (kinds[d] == utils::IteratorType::reduction) {
      dims.k = d;
      ++reductions;
    } else if (d != dims.n) {
      dims.outer.push_back(d);
    }
  }
  if (reductions != 1)
    return "does not have one reduction dim";
  // m: the innermost dim of the result that B does not have.
  for (unsigned d : llvm::reverse(dims.outer))
    if (a.isFunctionOfDim(d) && !b.isFunctionOfDim(d)) {
      dims.m = d;
      dims.hasM = true;
      llvm::erase(dims.outer, d);
      break;
    }
  for (AffineMap map : {a, c})
    for (AffineExpr e : map.getResults())
      if (!isa<AffineDimExpr, AffineConstantExpr>(e))
        return "A or C has a computed index";
  // B: n must run along its last dim, whole or inside a panel. What is the same
  // for a whole tile may be computed (a head that several share).
  for (auto [i, e] : llvm::enumerate(b.getResults())) {
    if (!e.isFunctionOfDim(dims.n)) {
      if (!isa<AffineDimExpr, AffineConstantExpr>(e) &&
          e.isFunctionOfDim(dims.k))
        return "B has a computed index";
      continue;
    }
    bool isLast = i + 1 == b.getNumResults();
    if (isLast && isa<AffineDimExpr>(e))
      continue;
    auto pair = dyn_cast<AffineBinaryOpExpr>(e);
    if (!pair || !isa<AffineDimExpr>(pair.getLHS()) ||
        pair.getKind() !=
            (isLast ? AffineExprKind::Mod : AffineExprKind::FloorDiv))
      return "B is not contiguous along n";
  }
  return "";
}

bool kernel::isMatrixProduct(linalg::LinalgOp op) {
  Dims dims;
  return classify(op, dims).empty();
}

/// The panel width of a packed B, or 0.
static int64_t panelOf(linalg::LinalgOp op) {
  auto pair = dyn_cast<AffineBinaryOpExpr>(
      op.getIndexingMapsArray()[1].getResults().back());
  return pair ? cast<AffineConstantExpr>(pair.getRHS()).getValue() : 0;
}

std::string kernel::planContraction(FuncOp kernel, const TargetInfo &info) {
  Dims dims;
  VectorAnchor anchor;
  std::string why = findVectorAnchor(
      kernel, [&](linalg::LinalgOp op) { return classify(op, dims); }, anchor,
      /*anyType=*/true);
  if (!why.empty())
    return why;
  linalg::LinalgOp op = anchor.op;
  const Epilogue &epilogue = anchor.epilogue;

  TileBuilder tb(kernel);
  OpBuilder &b = tb.b;
  Location loc = tb.loc;
  SmallVector<OpFoldResult> sizes = loopSizes(tb, op);
  OpFoldResult one = b.getIndexAttr(1);
  OpFoldResult M = dims.hasM ? sizes[dims.m] : one, N = sizes[dims.n];
  auto staticM = getConstantIntValue(M), staticN = getConstantIntValue(N);
  ContractionTile tile = contractionTile(
      staticM, staticN, getConstantIntValue(sizes[dims.k]), info);
  int64_t panel = panelOf(op);
  int64_t lanes = tile.lanes, vectors = tile.vectors;
  if (panel) {
    lanes = std::min<int64_t>(lanes, panel);
    vectors = std::max<int64_t>(1, panel / lanes);
    if (panel % lanes) {
      tb.abandon();
      return "the panel is no multiple of the vector";
    }
  }
  const int64_t width = lanes * vectors;
  const int64_t rows = rowsFor(vectors, {tile.rows, tile.vectors});
  // Enough rows in a workgroup to use its panel of B more than once.
  int64_t blocks = staticM ? llvm::divideCeil(*staticM, rows) : 16;
  // Not so many that few workgroups are left.
  bool manyPanels = staticN && *staticN >= 16 * width;
  blocks = std::clamp<int64_t>(blocks, 1, manyPanels ? 16 : 8);

  SmallVector<OpFoldResult> extents;
  for (unsigned d : dims.outer)
    extents.push_back(sizes[d]);
  extents.push_back(tb.ceilDiv(M, rows * blocks));
  extents.push_back(tb.ceilDiv(N, width));
  SmallVector<Value> at = tb.makeGrid(extents);
  SmallVector<Value> ivs(op.getNumLoops());
  for (auto [d, v] : llvm::zip(dims.outer, at))
    ivs[d] = v;
  Value nBegin = arith::MulIOp::create(b, loc, at.back(), tb.index(width));
  Value mBlock =
      arith::MulIOp::create(b, loc, at[at.size() - 2], tb.index(rows * blocks));
  Value sizeM = tb.toValue(M), sizeN = tb.toValue(N),
        sizeK = tb.toValue(sizes[dims.k]);
  Value A = tb.memoryOf(op.getDpsInputs()[0]),
        B = tb.memoryOf(op.getDpsInputs()[1]);
  Operation *last = epilogue.op ? epilogue.op : op;
  Value C = tb.memoryOf(last->getResult(0));
  AffineMap mapA = op.getIndexingMapsArray()[0],
            mapB = op.getIndexingMapsArray()[1],
            mapC = op.getIndexingMapsArray()[2];
  // Where the epilogue's loops stand among the contraction's.
  SmallVector<unsigned> outDims;
  for (AffineExpr e : mapC.getResults())
    outDims.push_back(
        isa<AffineDimExpr>(e) ? cast<AffineDimExpr>(e).getPosition() : ~0u);
  bool exactN = staticN && *staticN % width == 0;

  // `rows` x `vectors` of the result from (m0, nBegin) on.
  auto emitTile = [&](Value m0, int64_t rows, int64_t vectors, bool masked) {
    SmallVector<Value> mAt, nAt, masks(vectors);
    SmallVector<int64_t> widths(vectors, lanes);
    for (int64_t i = 0; i < rows; ++i)
      mAt.push_back(i ? arith::AddIOp::create(b, loc, m0, tb.index(i)) : m0);
    for (int64_t j = 0; j < vectors; ++j) {
      nAt.push_back(arith::AddIOp::create(b, loc, nBegin, tb.index(j * lanes)));
      if (!masked)
        continue;
      Value left;
      if (staticN) {
        // Only the last vector is not full; a shorter one may do for it.
        if (j + 1 < vectors)
          continue;
        int64_t count = *staticN % width - j * lanes;
        while (widths[j] > 4 && count <= widths[j] / 2)
          widths[j] /= 2;
        if (count == widths[j])
          continue;
        left = tb.index(count);
      } else {
        // Past the end the count would be negative: no lanes.
        left = arith::MaxSIOp::create(
            b, loc, arith::SubIOp::create(b, loc, sizeN, nAt[j]), tb.index(0));
      }
      masks[j] = vector::CreateMaskOp::create(
          b, loc, vectorOf(b.getI1Type(), widths[j]), left);
    }
    auto splat = [&](Value v, int64_t j) -> Value {
      return vector::BroadcastOp::create(b, loc,
                                         vectorOf(v.getType(), widths[j]), v);
    };
    SmallVector<Value> acc;
    for (int64_t i = 0; i < rows * vectors; ++i)
      acc.push_back(splat(tb.scalar(anchor.start), i % vectors));
    auto loop =
        scf::ForOp::create(b, loc, tb.index(0), sizeK, tb.index(1), acc);
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(loop.getBody());
      ivs[dims.k] = loop.getInductionVar();
      SmallVector<Value> bRow;
      if (dims.hasM)
        ivs[dims.m] = mAt[0];
      for (int64_t j = 0; j < vectors; ++j) {
        // Panels are padded with zeros to their full width.
        ivs[dims.n] = panel ? nBegin : nAt[j];
        SmallVector<Value> index = tb.apply(mapB, ivs);
        if (panel)
          index.back() = tb.index(j * lanes);
        bRow.push_back(toF32(tb, loadVector(tb, B, index, widths[j],
                                            panel ? Value() : masks[j])));
      }
      SmallVector<Value> next;
      for (int64_t i = 0; i < rows; ++i) {
        if (dims.hasM)
          ivs[dims.m] = mAt[i];
        ivs[dims.n] = nBegin; // A does not depend on it
        Value a = tb.load(A, tb.apply(mapA, ivs));
        for (int64_t j = 0; j < vectors; ++j)
          next.push_back(
              vector::FMAOp::create(b, loc, toF32(tb, splat(a, j)), bRow[j],
                                    loop.getRegionIterArgs()[i * vectors + j]));
      }
      scf::YieldOp::create(b, loc, next);
    }
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < vectors; ++j) {
        SmallVector<Value> point;
        for (unsigned d : outDims)
          point.push_back(d == ~0u                   ? tb.index(0)
                          : d == dims.n              ? nAt[j]
                          : dims.hasM && d == dims.m ? mAt[i]
                                                     : ivs[d]);
        Value v = applyEpilogue(tb, epilogue, loop.getResult(i * vectors + j),
                                point, widths[j], masks[j]);
        storeVector(tb, v, C, point, masks[j]);
      }
  };
  auto emitRows = [&](bool masked) {
    // Of the last panel only the vectors that have columns.
    int64_t filled = vectors;
    if (masked && staticN)
      filled = llvm::divideCeil(*staticN % width, lanes);
    Value left = arith::SubIOp::create(b, loc, sizeM, mBlock);
    left = arith::MinUIOp::create(b, loc, left, tb.index(rows * blocks));
    Value end = arith::AddIOp::create(b, loc, mBlock, left);
    forRowTiles(tb, mBlock, end, staticM, rows, [&](Value at, int64_t count) {
      emitTile(at, count, filled, masked);
    });
  };
  if (exactN) {
    emitRows(false);
  } else if (staticN && *staticN < width) {
    emitRows(true);
  } else {
    Value end = arith::AddIOp::create(b, loc, nBegin, tb.index(width));
    Value full =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ule, end, sizeN);
    auto branch = scf::IfOp::create(b, loc, full, true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(&branch.getThenRegion().front());
    emitRows(false);
    b.setInsertionPointToStart(&branch.getElseRegion().front());
    emitRows(true);
  }
  tb.finish("contraction");
  return "";
}
