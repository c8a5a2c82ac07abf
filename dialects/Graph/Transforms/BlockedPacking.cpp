//===- BlockedPacking.cpp - into blocks and out of them -------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Graph/Transforms/Blocker.h"

#include "dialects/Graph/Transforms/Packing.h"
#include "dialects/Kernel/Transforms/Product.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::graph;

using Iterator = utils::IteratorType;

RankedTensorType Blocker::typeOf(RankedTensorType type) const {
  SmallVector<int64_t> shape(type.getShape());
  shape[1] = blocksOf(shape[1]);
  shape.push_back(width);
  return RankedTensorType::get(shape, type.getElementType());
}

SmallVector<Value> Blocker::numberOf(Value images) {
  if (!cast<RankedTensorType>(images.getType()).isDynamicDim(0))
    return {};
  return {cast<Value>((*getSizes(images))[0])};
}

Value Blocker::empty(OpBuilder &b, Location loc, RankedTensorType type,
                     Value images) {
  return tensor::EmptyOp::create(b, loc, type.getShape(), type.getElementType(),
                                 numberOf(images));
}

SmallVector<Value> Blocker::spaceOf(OpBuilder &b, Location loc,
                                    RankedTensorType type, Value images) {
  SmallVector<Value> number = numberOf(images), space;
  for (int64_t size : type.getShape())
    space.push_back(ShapedType::isDynamic(size) ? number[0]
                                                : constant(b, loc, size));
  return space;
}

/// A copy: result element at `at` is the source's element at `from`.
static Value copy(OpBuilder &b, Location loc, Value source, Value empty,
                  ArrayRef<AffineExpr> from) {
  auto type = cast<RankedTensorType>(empty.getType());
  unsigned rank = type.getRank();
  return linalg::GenericOp::create(
             b, loc, type, source, empty,
             ArrayRef<AffineMap>{AffineMap::get(rank, 0, from, b.getContext()),
                                 b.getMultiDimIdentityMap(rank)},
             SmallVector<Iterator>(rank, Iterator::parallel),
             [](OpBuilder &nested, Location at, ValueRange args) {
               linalg::YieldOp::create(nested, at, args[0]);
             })
      .getResult(0);
}

static SmallVector<AffineExpr> dimsOf(OpBuilder &b, unsigned rank) {
  SmallVector<AffineExpr> d;
  for (unsigned i = 0; i < rank; ++i)
    d.push_back(b.getAffineDimExpr(i));
  return d;
}

Value Blocker::pack(OpBuilder &b, Value v) {
  Location loc = v.getLoc();
  RankedTensorType type = typeOf(cast<RankedTensorType>(v.getType()));
  SmallVector<AffineExpr> d = dimsOf(b, type.getRank());
  AffineExpr lane = d.pop_back_val();
  d[1] = d[1] * width + lane;
  return copy(b, loc, v, empty(b, loc, type, v), d);
}

Value Blocker::unpack(OpBuilder &b, Location loc, Value v,
                      RankedTensorType type) {
  // One pixel: the channels lie as they should.
  int64_t pixels = 1;
  for (int64_t d : type.getShape().drop_front(2))
    pixels *= d;
  if (pixels == 1 && divides(type.getDimSize(1)))
    return ReshapeOp::create(b, loc, type, v, numberOf(v));
  SmallVector<AffineExpr> d = dimsOf(b, type.getRank());
  d.push_back(d[1] % width);
  d[1] = d[1].floorDiv(width);
  return copy(b, loc, v, empty(b, loc, type, v), d);
}

namespace {
/// The body of a packing: which element comes to a point, and where none does.
class PackBody {
public:
  PackBody(OpBuilder &b, Location loc, ParallelOp op) : b(b), loc(loc), op(op) {
    b.setInsertionPointToStart(&op.getBody().front());
  }
  Value at(unsigned dim) { return op.getBody().front().getArgument(dim); }
  /// Channel `block` * width + `lane` of `count`.
  Value channel(Value block, Value lane, int64_t width, int64_t count) {
    Value c = arith::AddIOp::create(
        b, loc, arith::MulIOp::create(b, loc, block, constant(b, loc, width)),
        lane);
    if (count % width == 0)
      return c;
    Value last = constant(b, loc, count - 1);
    Value here =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ule, c, last);
    inside = inside ? Value(arith::AndIOp::create(b, loc, inside, here)) : here;
    return arith::MinUIOp::create(b, loc, c, last);
  }
  /// Stores the element `from`, or zero outside.
  Value finish(ValueRange from) {
    Block &block = op.getBody().front();
    unsigned rank = op.getSpace().size();
    Value v = memref::LoadOp::create(b, loc, at(rank), from);
    if (inside)
      v = arith::SelectOp::create(
          b, loc, inside, v,
          arith::ConstantOp::create(b, loc, b.getZeroAttr(v.getType())));
    memref::StoreOp::create(b, loc, v, at(rank + 1),
                            block.getArguments().take_front(rank));
    YieldOp::create(b, loc);
    return op.getResult(0);
  }

private:
  OpBuilder &b;
  Location loc;
  ParallelOp op;
  Value inside;
};
} // namespace

Value Blocker::packChannels(OpBuilder &b, Value v, int64_t block) {
  auto type = cast<RankedTensorType>(v.getType());
  Location loc = v.getLoc();
  SmallVector<int64_t> shape(type.getShape());
  shape[1] = llvm::divideCeil(shape[1], block);
  shape.push_back(block);
  auto to = RankedTensorType::get(shape, type.getElementType());
  ParallelOp op = makeParallel(b, loc, "Pack", spaceOf(b, loc, to, v), v, {},
                               numberOf(v), to);
  OpBuilder::InsertionGuard guard(b);
  PackBody body(b, loc, op);
  unsigned rank = shape.size();
  SmallVector<Value> from;
  for (unsigned d = 0; d + 1 < rank; ++d)
    from.push_back(body.at(d));
  from[1] =
      body.channel(body.at(1), body.at(rank - 1), block, type.getDimSize(1));
  return body.finish(from);
}

Value Blocker::packFilter(OpBuilder &b, Location loc, Value filter,
                          int64_t inputBlock, int64_t terms) {
  auto type = cast<RankedTensorType>(filter.getType());
  ArrayRef<int64_t> from = type.getShape();
  SmallVector<int64_t> shape = {
      blocksOf(from[0]),
      inputBlock ? int64_t(llvm::divideCeil(from[1], inputBlock)) : from[1],
      from[2], from[3]};
  if (inputBlock)
    shape.push_back(inputBlock / terms);
  shape.push_back(width * terms);
  auto to = RankedTensorType::get(shape, type.getElementType());
  ParallelOp op = makeParallel(b, loc, "Pack", spaceOf(b, loc, to, filter),
                               filter, {}, {}, to);
  OpBuilder::InsertionGuard guard(b);
  PackBody body(b, loc, op);
  Value lane = body.at(shape.size() - 1), term;
  if (terms > 1) {
    Value by = constant(b, loc, terms);
    term = arith::RemUIOp::create(b, loc, lane, by);
    lane = arith::DivUIOp::create(b, loc, lane, by);
  }
  Value oc = body.channel(body.at(0), lane, width, from[0]), ic = body.at(1);
  if (inputBlock) {
    Value within = body.at(4);
    if (terms > 1)
      within = arith::AddIOp::create(
          b, loc,
          arith::MulIOp::create(b, loc, within, constant(b, loc, terms)), term);
    ic = body.channel(ic, within, inputBlock, from[1]);
  }
  return body.finish({oc, ic, body.at(2), body.at(3)});
}

Value Blocker::packVector(OpBuilder &b, Location loc, Value weight) {
  auto type = cast<RankedTensorType>(weight.getType());
  int64_t channels = type.getNumElements();
  auto to =
      RankedTensorType::get({blocksOf(channels), width}, type.getElementType());
  if (divides(channels))
    return ReshapeOp::create(b, loc, to, weight, ValueRange());
  Value vector = ReshapeOp::create(
      b, loc, RankedTensorType::get({channels}, type.getElementType()), weight,
      ValueRange());
  ParallelOp op = makeParallel(b, loc, "Pack", spaceOf(b, loc, to, weight),
                               vector, {}, {}, to);
  OpBuilder::InsertionGuard guard(b);
  PackBody body(b, loc, op);
  return body.finish(body.channel(body.at(0), body.at(1), width, channels));
}

Value Blocker::pad(OpBuilder &b, Value x, ArrayRef<int64_t> pads, ConvOp conv) {
  Location loc = conv.getLoc();
  auto type = cast<RankedTensorType>(x.getType());
  SmallVector<int64_t> shape(type.getShape());
  for (unsigned d : {0, 1})
    shape[d + 2] += pads[d] + pads[d + 2];
  auto padded = RankedTensorType::get(shape, type.getElementType());
  ParallelOp op = makeParallel(b, loc, "Pad", spaceOf(b, loc, padded, x), x, {},
                               numberOf(x), padded);
  OpBuilder::InsertionGuard guard(b);
  Block &block = op.getBody().front();
  b.setInsertionPointToStart(&block);
  SmallVector<Value> at(block.getArguments().take_front(5));
  SmallVector<Value> from = at;
  Value inside;
  for (unsigned d : {2, 3}) {
    from[d] =
        arith::SubIOp::create(b, loc, at[d], constant(b, loc, pads[d - 2]));
    Value ok = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, from[d],
                                     constant(b, loc, type.getDimSize(d)));
    inside = inside ? Value(arith::AndIOp::create(b, loc, inside, ok)) : ok;
  }
  auto branch = scf::IfOp::create(b, loc, type.getElementType(), inside, true);
  {
    OpBuilder::InsertionGuard inBranch(b);
    b.setInsertionPointToStart(&branch.getThenRegion().front());
    Value v = memref::LoadOp::create(b, loc, block.getArgument(5), from);
    scf::YieldOp::create(b, loc, v);
    b.setInsertionPointToStart(&branch.getElseRegion().front());
    v = kernel::paddingOf(b, loc, conv, type.getElementType());
    scf::YieldOp::create(b, loc, v);
  }
  memref::StoreOp::create(b, loc, branch.getResult(0), block.getArgument(6),
                          at);
  YieldOp::create(b, loc);
  return op.getResult(0);
}
