//===- BlockedConv.cpp - convolutions with channels in blocks -------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Graph/Transforms/Blocked.h"
#include "dialects/Graph/Transforms/Blocker.h"

#include "dialects/Graph/Transforms/Packing.h"
#include "dialects/Kernel/Transforms/Product.h"
#include "dialects/Kernel/Transforms/VectorBody.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::graph;

using Iterator = utils::IteratorType;

/// From so many channels on, an input is packed for a single convolution.
static constexpr int64_t kManyChannels = 64;

Value Blocker::finishSums(OpBuilder &b, Location loc, Value y, Value bias,
                          Type element) {
  auto sums = cast<RankedTensorType>(y.getType());
  Type sumType = sums.getElementType();
  if (!bias && element == sumType)
    return y;
  auto type = RankedTensorType::get(sums.getShape(), element);
  AffineMap identity = b.getMultiDimIdentityMap(5);
  SmallVector<Value> inputs = {y};
  SmallVector<AffineMap> maps = {identity};
  if (bias) {
    inputs.push_back(packVector(b, loc, bias));
    maps.push_back(identity.getSubMap({1, 4}));
  }
  maps.push_back(identity);
  return linalg::GenericOp::create(
             b, loc, type, inputs, empty(b, loc, type, y), maps,
             SmallVector<Iterator>(5, Iterator::parallel),
             [&](OpBuilder &nested, Location at, ValueRange args) {
               Value v = args[0];
               if (bias)
                 v = arith::AddFOp::create(
                     nested, at, v,
                     kernel::widened(nested, at, args[1], sumType));
               if (element != sumType)
                 v = arith::TruncFOp::create(nested, at, element, v);
               linalg::YieldOp::create(nested, at, v);
             })
      .getResult(0);
}

Value Blocker::convolve(OpBuilder &b, ConvOp op, const Window &w, Value x,
                        Value filter, int64_t inputBlock, int64_t terms) {
  Location loc = op.getLoc();
  bool isBlocked = inputBlock;
  int64_t group = op.getGroup(), channels = w.filter.getDimSize(1);
  int64_t outputs = w.filter.getDimSize(0);
  bool depthwise = isBlocked && group == outputs && group > 1;
  // n, block, row, pixel, lane, then what is summed.
  SmallVector<AffineExpr> d;
  SmallVector<Iterator> kinds;
  auto loop = [&](Iterator kind) {
    kinds.push_back(kind);
    d.push_back(b.getAffineDimExpr(d.size()));
    return d.back();
  };
  for (int i = 0; i < 5; ++i)
    loop(Iterator::parallel);
  AffineExpr zero = b.getAffineConstantExpr(0);
  SmallVector<AffineExpr> xAt = {d[0]}, wAt = {d[1]};
  int64_t blocks = depthwise   ? 1
                   : isBlocked ? llvm::divideCeil(channels, inputBlock)
                               : channels;
  bool taps = w.filter.getDimSize(2) * w.filter.getDimSize(3) > 1;
  // There is always something to sum over, if only one element.
  bool single = blocks == 1 && (taps || (isBlocked && !depthwise));
  AffineExpr channel = single ? zero : loop(Iterator::reduction);
  wAt.push_back(channel);
  if (depthwise)
    channel = channel + d[1];
  else if (group > 1)
    channel = channel + d[1].floorDiv(outputs / group / width) * blocks;
  xAt.push_back(channel);
  for (unsigned i : {0, 1}) {
    AffineExpr at = d[2 + i] * w.strides[i];
    bool one = w.filter.getDimSize(2 + i) == 1;
    AffineExpr tap = one ? zero : loop(Iterator::reduction);
    xAt.push_back(one ? at : at + tap * w.dilations[i]);
    wAt.push_back(tap);
  }
  if (depthwise) {
    xAt.push_back(d[4]);
  } else if (isBlocked) {
    AffineExpr lane = loop(Iterator::reduction);
    xAt.push_back(lane);
    wAt.push_back(lane.floorDiv(terms));
    wAt.push_back(d[4] * terms + lane % terms);
  }
  if (depthwise || !isBlocked)
    wAt.push_back(d[4]);
  // Sums of f16 and bf16 are in f32 until the bias is in them, of bytes in i32.
  Type sumType = kernel::accumulatorOf(op);
  auto type = RankedTensorType::get(typeOf(w.result).getShape(), sumType);
  Value nothing = arith::ConstantOp::create(b, loc, b.getZeroAttr(sumType));
  Value init = linalg::FillOp::create(b, loc, nothing,
                                      empty(b, loc, type, op.getResult()))
                   .getResult(0);
  unsigned loops = d.size();
  MLIRContext *context = b.getContext();
  return linalg::GenericOp::create(
             b, loc, type, ValueRange{x, filter}, init,
             ArrayRef<AffineMap>{
                 AffineMap::get(loops, 0, xAt, context),
                 AffineMap::get(loops, 0, wAt, context),
                 AffineMap::get(loops, 0, ArrayRef(d).take_front(5), context)},
             kinds,
             [&](OpBuilder &nested, Location at, ValueRange args) {
               Value x = kernel::widened(nested, at, args[0], sumType,
                                         op.getInputUnsigned()),
                     w = kernel::widened(nested, at, args[1], sumType,
                                         op.getFilterUnsigned()),
                     sum;
               if (isa<FloatType>(sumType)) {
                 auto contract = arith::FastMathFlags::contract;
                 x = arith::MulFOp::create(nested, at, x, w, contract);
                 sum = arith::AddFOp::create(nested, at, args[2], x, contract);
               } else {
                 x = arith::MulIOp::create(nested, at, x, w);
                 sum = arith::AddIOp::create(nested, at, args[2], x);
               }
               linalg::YieldOp::create(nested, at, sum);
             })
      .getResult(0);
}

/// Images whose sizes are known by a filter of weights.
static bool canBlock(ConvOp op) {
  auto xType = cast<RankedTensorType>(op.getInput().getType());
  auto wType = cast<RankedTensorType>(op.getFilter().getType());
  return areImages(xType) && areImages(op.getResult().getType()) &&
         xType.getRank() <= 4 && wType.hasStaticShape() &&
         wType.getNumElements() != 0 && isWeight(op.getFilter()) &&
         (!op.getBias() || isWeight(op.getBias())) &&
         llvm::none_of(op.getPads(), [](int64_t p) { return p < 0; });
}

/// At most a quarter of the lanes for nothing.
static bool fillsLanes(int64_t outputs, int64_t width) {
  return 4 * outputs >= 3 * width * int64_t(llvm::divideCeil(outputs, width));
}

bool graph::canBlockBytes(ConvOp op, int64_t terms, const TargetInfo &info) {
  if (!canBlock(op))
    return false;
  auto type = cast<RankedTensorType>(op.getFilter().getType());
  int64_t group = op.getGroup(), outputs = type.getDimSize(0),
          channels = type.getDimSize(1), width = blockWidth(info);
  return group == 1 ? fillsLanes(outputs, width)
                    : outputs / group % width == 0 && channels % terms == 0;
}

bool Blocker::convolution(ConvOp op) {
  auto xType = cast<RankedTensorType>(op.getInput().getType());
  auto yType = cast<RankedTensorType>(op.getResult().getType());
  auto wType = cast<RankedTensorType>(op.getFilter().getType());
  int64_t group = op.getGroup(), channels = wType.getDimSize(1);
  int64_t outputs = wType.getDimSize(0), terms = 1, inputBlock = width;
  Type element = xType.getElementType();
  bool bytes = element.isInteger(8);
  if (bytes) {
    const MatrixUnit *unit =
        kernel::unitFor(info, element, op.getInputUnsigned(), element,
                        op.getFilterUnsigned(), yType.getElementType());
    if (!unit || unit->n != width || width % unit->k ||
        !canBlockBytes(op, unit->k, info))
      return false;
    terms = unit->k;
  } else if (!canBlock(op) || !kernel::isSummedInF32(element)) {
    return false;
  }
  Value in = find(op.getInput());
  bool depthwise = group > 1 && channels == 1 && outputs == group;
  if (depthwise) {
    if (!in)
      return false;
  } else if (group > 1) {
    if (!divides(outputs / group))
      return false;
    if (!divides(channels))
      in = Value();
  } else {
    if (!fillsLanes(outputs, width))
      return false;
    if (dirty.contains(in)) // what is not a channel is times zero
      in = Value();
  }
  OpBuilder b(op);
  Location loc = op.getLoc();
  // Many channels are read many times: from planes of their own they would
  // come from as many pages. Bytes are read by several channels at once.
  if (!in && !depthwise && divides(channels) &&
      (bytes || channels >= kManyChannels)) {
    in = pack(b, op.getInput());
    // Not for other blocks: they may not be dominated by this one.
    if (op.getInput().getParentBlock() == op->getBlock())
      blocked[op.getInput()] = in;
  } else if (!in && bytes) {
    inputBlock = terms;
    in = packChannels(b, op.getInput(), inputBlock);
  }
  bool padded = llvm::any_of(op.getPads(), [](int64_t p) { return p != 0; });
  if (!in && padded)
    padConvolution(op, std::numeric_limits<int64_t>::max());
  Value x = in ? in : op.getInput(), filter = op.getFilter();
  Window w = {wType, yType, SmallVector<int64_t, 2>(op.getStrides()),
              SmallVector<int64_t, 2>(op.getDilations())};
  SmallVector<int64_t> pads(op.getPads());
  bool flat = xType.getRank() == 3;
  if (flat) {
    auto withRow = [&](RankedTensorType type) {
      SmallVector<int64_t> shape(type.getShape());
      shape.insert(shape.begin() + 2, 1);
      return RankedTensorType::get(shape, type.getElementType());
    };
    x = ReshapeOp::create(b, loc, withRow(cast<RankedTensorType>(x.getType())),
                          x, numberOf(x));
    w.filter = withRow(wType);
    w.result = withRow(yType);
    filter = ReshapeOp::create(b, loc, w.filter, filter, ValueRange());
    w.strides.insert(w.strides.begin(), 1);
    w.dilations.insert(w.dilations.begin(), 1);
    pads = {0, pads[0], 0, pads[1]};
  }
  if (in && padded)
    x = pad(b, x, pads, op);
  filter = packFilter(b, loc, filter, in && !depthwise ? inputBlock : 0, terms);
  Value y = convolve(b, op, w, x, filter, in ? inputBlock : 0, terms);
  y = finishSums(b, loc, y, op.getBias(), yType.getElementType());
  if (flat)
    y = ReshapeOp::create(b, loc, typeOf(yType), y, numberOf(y));
  if (depthwise && dirty.contains(in))
    dirty.insert(y);
  blocked[op.getResult()] = y;
  return true;
}
