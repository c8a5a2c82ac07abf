//===- ConvPlan.cpp - direct convolution, channels first ------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The product's rows are output channels, its vectors run along a row of
// output pixels: weights are broadcast, inputs loaded as they lie. Takes
// unpadded convolutions in f32, of f32, f16 or bf16 (padding is an operation of
// its own before), of one or two spatial dims, stride 1 or 2 along the row. A 1
// x 1 convolution of stride 1 sees the whole image as one row; so does one over
// a single column.
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/Plans.h"
#include "dialects/Kernel/Transforms/VectorBody.h"

#include "dialects/Graph/Graph.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

/// Lanes of a vector along a row of `width` pixels: all that there are, fewer
/// only where half of them would be idle in the only vector.
static int64_t chooseLanes(std::optional<int64_t> width,
                           const TargetInfo &info) {
  int64_t lanes = std::max<int64_t>(info.vectorBytes / 4, 4);
  while (width && lanes > 4 && *width <= lanes / 2)
    lanes /= 2;
  return lanes;
}

std::string kernel::planConv(FuncOp kernel, const TargetInfo &info) {
  Operation *anchor = nullptr;
  Epilogue epilogue;
  std::string why = findAnchor(kernel, anchor, epilogue);
  if (!why.empty())
    return why;
  auto op = dyn_cast<graph::ConvOp>(anchor);
  if (!op)
    return "not a convolution";
  auto xType = cast<RankedTensorType>(op.getInput().getType());
  auto wType = cast<RankedTensorType>(op.getFilter().getType());
  Type element = xType.getElementType();
  if (!isSummedInF32(element))
    return "not of floats that are summed in f32";
  int64_t rank = op.getStrides().size();
  if (rank > 2)
    return "more than two spatial dims";
  if (!wType.hasStaticShape())
    return "the filter's shape is not static";
  if (llvm::any_of(op.getPads(), [](int64_t p) { return p != 0; }))
    return "has padding";
  int64_t stride = op.getStrides().back(), dilation = op.getDilations().back();
  if (epilogue.op) {
    why = canVectorize(epilogue.op, epilogue.op.getNumLoops() - 1,
                       /*anyType=*/true);
    if (!why.empty())
      return "epilogue: " + why;
    for (OpOperand &operand : epilogue.op->getOpOperands()) {
      AffineMap map = epilogue.op.getMatchingIndexingMap(&operand);
      for (AffineExpr e : map.getResults())
        if (!isa<AffineDimExpr>(e) && !isa<AffineConstantExpr>(e))
          return "epilogue: computed index";
    }
  }
  ArrayRef<int64_t> filter = wType.getShape();
  bool pointwise =
      llvm::all_of(filter.drop_front(2), [](int64_t k) { return k == 1; }) &&
      llvm::all_of(op.getStrides(), [](int64_t s) { return s == 1; });
  // An image one pixel wide is a row of its height.
  auto yType = cast<RankedTensorType>(op.getResult().getType());
  bool column = rank == 2 && filter[3] == 1 && xType.getDimSize(3) == 1 &&
                yType.getDimSize(3) == 1 && op.getStrides()[0] <= 2;
  if (column) {
    stride = op.getStrides()[0];
    dilation = op.getDilations()[0];
  }
  // Rows can be joined when every operand of the epilogue has whole images.
  bool joined = rank == 2 && (pointwise || column);
  if (joined && epilogue.op)
    for (OpOperand &operand : epilogue.op->getOpOperands()) {
      AffineMap map = epilogue.op.getMatchingIndexingMap(&operand);
      bool h = map.isFunctionOfDim(2), w = map.isFunctionOfDim(3);
      if (h != w)
        joined = false;
      unsigned n = map.getNumResults();
      if (h && w &&
          (n < 2 ||
           map.getResult(n - 2) != getAffineDimExpr(2, op.getContext()) ||
           map.getResult(n - 1) != getAffineDimExpr(3, op.getContext())))
        joined = false;
    }
  column &= joined;
  if (!column) {
    stride = op.getStrides().back();
    dilation = op.getDilations().back();
    if (stride > 2)
      return "stride above 2 along the row";
  }

  TileBuilder tb(kernel);
  OpBuilder &b = tb.b;
  Location loc = tb.loc;
  Operation *last = epilogue.op ? epilogue.op.getOperation() : anchor;
  SmallVector<OpFoldResult> out = sizesOf(tb, op.getResult());
  SmallVector<OpFoldResult> in = sizesOf(tb, op.getInput());
  const int64_t groups = op.getGroup();
  const int64_t perGroup = filter[0] / groups; // output channels a group
  const int64_t channels = filter[1];          // input channels a group
  OpFoldResult rowPixels = out.back();
  OpFoldResult rowsOut = rank == 2 ? out[2] : OpFoldResult(b.getIndexAttr(1));
  if (joined) {
    rowPixels = tb.mul(out[2], out[3]);
    rowsOut = b.getIndexAttr(1);
  }
  auto staticPixels = getConstantIntValue(rowPixels);
  const int64_t lanes = chooseLanes(staticPixels, info);
  const int64_t registers = info.vectorRegisters;
  int64_t rows = std::min<int64_t>(perGroup, registers >= 32 ? 8 : 6);
  while (perGroup % rows) // no edge rows: channels are round numbers
    --rows;
  int64_t vectors = std::max<int64_t>(1, (registers - 4) / (rows + 1));
  vectors = std::min<int64_t>(vectors, 4);
  if (staticPixels) {
    int64_t all = std::max<int64_t>(1, llvm::divideCeil(*staticPixels, lanes));
    vectors = llvm::divideCeil(all, llvm::divideCeil(all, vectors));
  }
  const int64_t width = lanes * vectors;
  // Several tiles of a long row share the weights they read.
  const int64_t tiles =
      staticPixels
          ? std::min<int64_t>(4, llvm::divideCeil(*staticPixels, width))
          : 4;

  SmallVector<Value> at = tb.makeGrid({out[0], b.getIndexAttr(groups),
                                       b.getIndexAttr(perGroup / rows), rowsOut,
                                       tb.ceilDiv(rowPixels, width * tiles)});
  Value image = at[0], group = at[1], outRow = at[3];
  auto add = [&](Value x, Value y) -> Value {
    return arith::AddIOp::create(b, loc, x, y);
  };
  auto mul = [&](Value x, int64_t y) -> Value {
    return y == 1 ? x : Value(arith::MulIOp::create(b, loc, x, tb.index(y)));
  };
  Value firstOut = add(mul(group, perGroup), mul(at[2], rows));
  Value firstIn = mul(group, channels);

  Value X = tb.memoryOf(op.getInput()), W = tb.memoryOf(op.getFilter()),
        Y = tb.memoryOf(last->getResult(0));
  SmallVector<ReassociationIndices> join = {{0}, {1}, {2, 3}};
  SmallVector<SmallVector<unsigned>> runs;
  if (joined) {
    runs = {{0}, {1}, {2, 3}};
    X = memref::CollapseShapeOp::create(b, loc, X, join);
    Y = memref::CollapseShapeOp::create(b, loc, Y, join);
  }
  Value bias = op.getBias() ? tb.memoryOf(op.getBias()) : Value();
  Value inWidth = tb.toValue(column ? in[2] : in.back());
  Value pixels = tb.toValue(rowPixels);
  bool exact = staticPixels && *staticPixels % width == 0;

  // Loops over input channels and filter taps, accumulators carried along.
  SmallVector<int64_t> trip = {channels};
  if (column)
    trip.push_back(filter[2]);
  else if (!joined)
    trip.append(filter.begin() + 2, filter.end());

  auto emitTile = [&](Value p0, bool masked) {
    // Of the row's last tile only the vectors that have pixels, and of the last
    // of these no more lanes than it needs.
    int64_t filled = vectors;
    if (masked && staticPixels)
      filled = llvm::divideCeil(*staticPixels % width, lanes);
    SmallVector<Value> pAt, masks(filled);
    SmallVector<int64_t> widths(filled, lanes);
    for (int64_t j = 0; j < filled; ++j) {
      pAt.push_back(add(p0, tb.index(j * lanes)));
      if (!masked)
        continue;
      Value left;
      if (staticPixels) {
        int64_t count = *staticPixels % width - j * lanes;
        while (widths[j] > 4 && count <= widths[j] / 2)
          widths[j] /= 2;
        if (count >= widths[j])
          continue;
        left = tb.index(count);
      } else {
        left = arith::SubIOp::create(b, loc, pixels, pAt[j]);
        left = arith::MaxSIOp::create(b, loc, left, tb.index(0));
      }
      masks[j] = vector::CreateMaskOp::create(
          b, loc, vectorOf(b.getI1Type(), widths[j]), left);
    }
    auto splat = [&](Value v, int64_t j) -> Value {
      return vector::BroadcastOp::create(
          b, loc, vectorOf(b.getF32Type(), widths[j]), v);
    };
    SmallVector<Value> acc;
    for (int64_t i = 0; i < rows; ++i) {
      Value start =
          bias ? toF32(tb, tb.load(bias, add(firstOut, tb.index(i))))
               : Value(arith::ConstantOp::create(b, loc, b.getF32FloatAttr(0)));
      for (int64_t j = 0; j < filled; ++j)
        acc.push_back(splat(start, j));
    }
    SmallVector<Value> taps;
    std::function<SmallVector<Value>(unsigned, ValueRange)> nest =
        [&](unsigned depth, ValueRange carried) -> SmallVector<Value> {
      if (depth < trip.size()) {
        auto loop = scf::ForOp::create(
            b, loc, tb.index(0), tb.index(trip[depth]), tb.index(1), carried);
        OpBuilder::InsertionGuard guard(b);
        b.setInsertionPointToStart(loop.getBody());
        taps.push_back(loop.getInductionVar());
        SmallVector<Value> next = nest(depth + 1, loop.getRegionIterArgs());
        taps.pop_back();
        scf::YieldOp::create(b, loc, next);
        return SmallVector<Value>(loop.getResults());
      }
      SmallVector<Value> xRow;
      for (int64_t j = 0; j < filled; ++j) {
        SmallVector<Value> index = {image, add(firstIn, taps[0])};
        if (joined && !column) {
          index.push_back(pAt[j]);
        } else {
          if (rank == 2 && !column)
            index.push_back(add(mul(outRow, op.getStrides()[0]),
                                mul(taps[1], op.getDilations()[0])));
          index.push_back(add(mul(pAt[j], stride), mul(taps.back(), dilation)));
        }
        if (stride == 1) {
          xRow.push_back(
              toF32(tb, loadVector(tb, X, index, widths[j], masks[j])));
          continue;
        }
        // Twice the lanes, then every second one. The row of the last pixels
        // may end before that many.
        Value left = arith::SubIOp::create(b, loc, inWidth, index.back());
        left = arith::MaxSIOp::create(b, loc, left, tb.index(0));
        Value mask = vector::CreateMaskOp::create(
            b, loc, vectorOf(b.getI1Type(), 2 * widths[j]), left);
        Value both = loadVector(tb, X, index, 2 * widths[j], mask);
        xRow.push_back(
            toF32(tb, vector::DeinterleaveOp::create(b, loc, both).getRes1()));
      }
      SmallVector<Value> next;
      for (int64_t i = 0; i < rows; ++i) {
        SmallVector<Value> index = {add(firstOut, tb.index(i)), taps[0]};
        if (column)
          index.append({taps[1], tb.index(0)});
        else if (joined)
          index.append(2, tb.index(0));
        else
          index.append(taps.begin() + 1, taps.end());
        Value w = toF32(tb, tb.load(W, index));
        for (int64_t j = 0; j < filled; ++j)
          next.push_back(vector::FMAOp::create(b, loc, splat(w, j), xRow[j],
                                               carried[i * filled + j]));
      }
      return next;
    };
    SmallVector<Value> sums = nest(0, acc);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < filled; ++j) {
        SmallVector<Value> point = {image, add(firstOut, tb.index(i))};
        if (joined) {
          point.push_back(pAt[j]);
        } else {
          if (rank == 2)
            point.push_back(outRow);
          point.push_back(pAt[j]);
        }
        Value v = fromF32(tb, sums[i * filled + j], element);
        v = applyEpilogue(tb, epilogue, v, point, widths[j], masks[j], runs);
        storeVector(tb, v, Y, point, masks[j]);
      }
  };
  Value blockBegin = mul(at[4], width * tiles);
  Value left = arith::SubIOp::create(b, loc, pixels, blockBegin);
  Value count = arith::MinUIOp::create(b, loc, left, tb.index(width * tiles));
  auto loop = scf::ForOp::create(b, loc, tb.index(0), count, tb.index(width));
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value p0 = add(blockBegin, loop.getInductionVar());
    if (exact) {
      emitTile(p0, false);
    } else if (staticPixels && *staticPixels < width) {
      emitTile(p0, true);
    } else {
      Value full = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ule,
                                         add(p0, tb.index(width)), pixels);
      auto branch = scf::IfOp::create(b, loc, full, true);
      b.setInsertionPointToStart(&branch.getThenRegion().front());
      emitTile(p0, false);
      b.setInsertionPointToStart(&branch.getElseRegion().front());
      emitTile(p0, true);
    }
  }
  tb.finish("conv");
  return "";
}
