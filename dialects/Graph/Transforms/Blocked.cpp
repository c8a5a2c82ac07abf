//===- Blocked.cpp - channels in blocks of a vector -----------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Graph/Transforms/Blocked.h"
#include "dialects/Graph/Transforms/Blocker.h"
#include "dialects/Graph/Transforms/Packing.h"
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

/// Channels of a block: the lanes of a vector of f32.
int64_t graph::blockWidth(const TargetInfo &info) {
  return std::clamp<int64_t>(info.vectorBytes / 4, 4, 16);
}

bool graph::areImages(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor || tensor.getRank() < 3)
    return false;
  Type element = tensor.getElementType();
  return (kernel::isSummedInF32(element) || element.isF64() ||
          element.isInteger(8) || element.isInteger(32)) &&
         llvm::none_of(tensor.getShape().drop_front(), [](int64_t d) {
           return ShapedType::isDynamic(d) || d == 0;
         });
}

void Blocker::visit(Operation *op) {
  bool done = false;
  if (auto conv = dyn_cast<ConvOp>(op))
    done = convolution(conv);
  else if (auto generic = dyn_cast<linalg::GenericOp>(op))
    done = generic.getNumReductionLoops() ? reduction(generic)
                                          : elementwise(generic);
  else if (auto parallel = dyn_cast<ParallelOp>(op))
    done =
        parallel.getOp() == "Concat" ? concat(parallel) : channelwise(parallel);
  else if (auto shape = dyn_cast<ReshapeOp>(op))
    done = reshape(shape);
  if (done)
    replaced.insert(op);
}

/// Whether finite operands give finite results, as f32 has room enough for what
/// models compute; zeros that a constant is added to in f16 may not.
static bool staysFinite(linalg::GenericOp op) {
  bool narrow = getElementTypeOrSelf(op->getResult(0).getType()).isF16();
  return llvm::all_of(op.getRegion().front(), [&](Operation &inner) {
    if (isa<arith::AddFOp, arith::SubFOp>(inner) && narrow &&
        llvm::any_of(inner.getOperands(), [](Value v) {
          return isa_and_nonnull<arith::ConstantOp>(v.getDefiningOp());
        }))
      return false;
    return isa<arith::ConstantOp, arith::AddFOp, arith::SubFOp, arith::MulFOp,
               arith::MaximumFOp, arith::MinimumFOp, arith::NegFOp,
               arith::CmpFOp, arith::SelectOp, arith::ExtFOp, arith::TruncFOp,
               linalg::YieldOp>(inner);
  });
}

/// Operands and maps of an operation over (n, c, ..), over (n, block, ..,
/// lane).
bool Blocker::elementwise(linalg::GenericOp op) {
  if (op->getNumResults() != 1 || op.hasIndexSemantics() ||
      !areImages(op->getResult(0).getType()) ||
      !op.getIndexingMapsArray().back().isIdentity() ||
      op.payloadUsesValueFromOperand(op.getDpsInitOperand(0)))
    return false;
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  unsigned rank = type.getRank();
  int64_t channels = type.getDimSize(1);
  bool extracts = false;
  op->getRegion(0).walk([&](tensor::ExtractOp) { extracts = true; });
  if (extracts)
    return false;
  OpBuilder b(op);
  Location loc = op.getLoc();
  AffineExpr channel = b.getAffineDimExpr(1), lane = b.getAffineDimExpr(rank);
  AffineMap identity = b.getMultiDimIdentityMap(rank + 1);
  SmallVector<Value> inputs;
  SmallVector<AffineMap> maps;
  SmallVector<unsigned> vectors; // inputs with an element a channel
  SmallVector<std::pair<unsigned, RankedTensorType>> reshapes;
  bool any = false, isDirty = false;
  for (OpOperand *operand : op.getDpsInputOperands()) {
    Value v = operand->get();
    AffineMap map = op.getMatchingIndexingMap(operand);
    if (map.isIdentity()) {
      Value found = find(v);
      if (!found)
        return false;
      any = true;
      isDirty |= dirty.contains(found);
      inputs.push_back(found);
      maps.push_back(identity);
      continue;
    }
    SmallVector<AffineExpr> exprs(map.getResults());
    if (map.isFunctionOfDim(1)) {
      auto from = cast<RankedTensorType>(v.getType());
      if (!from.hasStaticShape() || llvm::count(exprs, channel) != 1)
        return false;
      if (from.getNumElements() == channels && isWeight(v)) {
        vectors.push_back(inputs.size());
        exprs = {channel, lane};
      } else {
        // .., c, then dims of one element: .., block, lane.
        while (isa<AffineConstantExpr>(exprs.back()))
          exprs.pop_back();
        if (exprs.back() != channel || !divides(channels) ||
            from.getDimSize(exprs.size() - 1) != channels ||
            llvm::any_of(from.getShape().drop_front(exprs.size()),
                         [](int64_t d) { return d != 1; }))
          return false;
        SmallVector<int64_t> shape(from.getShape().take_front(exprs.size()));
        shape.back() /= width;
        shape.push_back(width);
        exprs.push_back(lane);
        reshapes.push_back({inputs.size(), RankedTensorType::get(
                                               shape, from.getElementType())});
      }
    }
    inputs.push_back(v);
    maps.push_back(AffineMap::get(rank + 1, 0, exprs, b.getContext()));
  }
  if (!any)
    return false;
  for (unsigned i : vectors)
    inputs[i] = packVector(b, loc, inputs[i]);
  for (auto [i, shape] : reshapes)
    inputs[i] = ReshapeOp::create(b, loc, shape, inputs[i], ValueRange());
  RankedTensorType result = typeOf(type);
  maps.push_back(identity);
  auto generic = linalg::GenericOp::create(
      b, loc, result, inputs, empty(b, loc, result, op->getResult(0)), maps,
      SmallVector<Iterator>(rank + 1, Iterator::parallel));
  IRMapping mapping;
  op.getRegion().cloneInto(&generic.getRegion(), mapping);
  blocked[op->getResult(0)] = generic.getResult(0);
  if (!divides(channels) && (isDirty || !staysFinite(op)) &&
      isa<FloatType>(type.getElementType()))
    dirty.insert(generic.getResult(0));
  return true;
}

/// Over the pixels of images: a vector a block.
bool Blocker::reduction(linalg::GenericOp op) {
  if (op.getNumDpsInputs() != 1 || op->getNumResults() != 1 ||
      op.hasIndexSemantics())
    return false;
  Value in = find(op.getDpsInputs()[0]);
  auto fill = op.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
  auto kinds = op.getIteratorTypesArray();
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  OpBuilder b(op);
  Location loc = op.getLoc();
  if (!in || !fill || !maps[0].isIdentity() ||
      maps[1] != maps[0].getSubMap({0, 1}) || kinds[0] != Iterator::parallel ||
      kinds[1] != Iterator::parallel)
    return false;
  unsigned rank = op.getNumLoops();
  auto from = cast<RankedTensorType>(in.getType());
  auto to = cast<RankedTensorType>(op->getResult(0).getType());
  auto type = RankedTensorType::get(
      {from.getDimSize(0), from.getDimSize(1), width}, to.getElementType());
  Value init =
      linalg::FillOp::create(b, loc, fill.value(), empty(b, loc, type, in))
          .getResult(0);
  AffineMap identity = b.getMultiDimIdentityMap(rank + 1);
  kinds.push_back(Iterator::parallel);
  auto generic = linalg::GenericOp::create(
      b, loc, type, in, init,
      ArrayRef<AffineMap>{identity, identity.getSubMap({0, 1, rank})}, kinds);
  IRMapping mapping;
  op.getRegion().cloneInto(&generic.getRegion(), mapping);
  op->getResult(0).replaceAllUsesWith(unpack(b, loc, generic.getResult(0), to));
  return true;
}

/// Between shapes of the same images.
bool Blocker::reshape(ReshapeOp op) {
  Value in = find(op.getSource());
  auto to = cast<RankedTensorType>(op.getResult().getType());
  auto from = cast<RankedTensorType>(op.getSource().getType());
  if (!in || !areImages(to) || to.getDimSize(0) != from.getDimSize(0) ||
      to.getDimSize(1) != from.getDimSize(1))
    return false;
  OpBuilder b(op);
  Value y = ReshapeOp::create(b, op.getLoc(), typeOf(to), in, op.getSizes());
  if (dirty.contains(in))
    dirty.insert(y);
  blocked[op.getResult()] = y;
  return true;
}

/// Which operand of a load or a store is the memory; the indices follow.
static std::optional<unsigned> memoryOperand(Operation *op) {
  if (isa<memref::LoadOp>(op))
    return 0;
  if (isa<memref::StoreOp>(op))
    return 1;
  return std::nullopt;
}

/// An irregular operation in which each channel is on its own (pools, resizing
/// of images): the same with a lane more.
bool Blocker::channelwise(ParallelOp op) {
  if (op->getNumResults() != 1 || op.getInputs().size() != 1 ||
      op.getInPlace() || !areImages(op->getResult(0).getType()))
    return false;
  Value in = find(op.getInputs()[0]);
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  unsigned rank = type.getRank();
  if (!in || op.getSpace().size() != rank ||
      getConstantIntValue(op.getSpace()[1]) != type.getDimSize(1) ||
      cast<RankedTensorType>(op.getInputs()[0].getType()).getDimSize(1) !=
          type.getDimSize(1))
    return false;
  Block &body = op.getBody().front();
  BlockArgument channel = body.getArgument(1), x = body.getArgument(rank),
                y = body.getArguments().back();
  // The channel is the second index of every access, and nothing else.
  for (OpOperand &use : channel.getUses()) {
    auto memory = memoryOperand(use.getOwner());
    if (!memory || use.getOperandNumber() != *memory + 2)
      return false;
    Value of = use.getOwner()->getOperand(*memory);
    if (of != x && of != y)
      return false;
  }
  for (BlockArgument of : {x, y})
    for (OpOperand &use : of.getUses()) {
      auto memory = memoryOperand(use.getOwner());
      if (!memory || use.getOwner()->getOperand(*memory + 2) != channel)
        return false;
    }
  OpBuilder b(op);
  Location loc = op.getLoc();
  SmallVector<Value> space(op.getSpace());
  space[1] = constant(b, loc, blocksOf(type.getDimSize(1)));
  space.push_back(constant(b, loc, width));
  auto result = makeParallel(b, loc, op.getOp(), space, in, op.getScalars(),
                             op.getSizes(), typeOf(type));
  Block &block = result.getBody().front();
  IRMapping map;
  for (auto [i, arg] : llvm::enumerate(body.getArguments()))
    map.map(arg, block.getArgument(i < rank ? i : i + 1));
  b.setInsertionPointToStart(&block);
  for (Operation &inner : body)
    b.clone(inner, map);
  Value lane = block.getArgument(rank);
  block.walk([&](Operation *inner) {
    auto memory = memoryOperand(inner);
    if (memory &&
        llvm::is_contained({map.lookup(Value(x)), map.lookup(Value(y))},
                           inner->getOperand(*memory)))
      inner->insertOperands(inner->getNumOperands(), lane);
  });
  blocked[op->getResult(0)] = result.getResult(0);
  // A window may hold nothing but padding.
  if (!divides(type.getDimSize(1)) && isa<FloatType>(type.getElementType()))
    dirty.insert(result.getResult(0));
  return true;
}

/// [N][C / B][..][B] to [N][C / B][..]: a block is a row.
static RankedTensorType asRows(RankedTensorType blocked) {
  ArrayRef<int64_t> shape = blocked.getShape();
  int64_t row = 1;
  for (int64_t size : shape.drop_front(2))
    row *= size;
  return RankedTensorType::get({shape[0], shape[1], row},
                               blocked.getElementType());
}

/// Of channels: of whole blocks, which are copied as rows.
bool Blocker::concat(ParallelOp op) {
  if (op->getNumResults() != 1 || !areImages(op->getResult(0).getType()))
    return false;
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  int64_t channels = 0;
  bool any = false;
  for (Value v : op.getInputs()) {
    if (!areImages(v.getType()))
      return false;
    ArrayRef<int64_t> shape = cast<RankedTensorType>(v.getType()).getShape();
    if (shape.drop_front(2) != type.getShape().drop_front(2) ||
        shape[0] != type.getDimSize(0) || !divides(shape[1]))
      return false;
    channels += shape[1];
    any |= bool(find(v));
  }
  if (!any || channels != type.getDimSize(1))
    return false;
  OpBuilder b(op);
  Location loc = op.getLoc();
  SmallVector<Value> inputs;
  SmallVector<int64_t> ends;
  for (Value v : op.getInputs()) {
    Value found = find(v);
    if (!found)
      found = pack(b, v);
    inputs.push_back(ReshapeOp::create(
        b, loc, asRows(cast<RankedTensorType>(found.getType())), found,
        numberOf(v)));
    ends.push_back((ends.empty() ? 0 : ends.back()) +
                   cast<RankedTensorType>(v.getType()).getDimSize(1) / width);
  }
  Value y = op->getResult(0);
  RankedTensorType to = asRows(typeOf(type));
  unsigned rank = to.getRank();
  auto result = makeParallel(b, loc, "Concat", spaceOf(b, loc, to, y), inputs,
                             {}, numberOf(y), to);
  Block &block = result.getBody().front();
  b.setInsertionPointToStart(&block);
  SmallVector<Value> at(block.getArguments().take_front(rank));
  // A binary search over where the inputs end.
  std::function<Value(size_t, size_t)> pick = [&](size_t lo,
                                                  size_t hi) -> Value {
    if (lo + 1 == hi) {
      SmallVector<Value> from = at;
      if (lo)
        from[1] = arith::SubIOp::create(b, loc, at[1],
                                        constant(b, loc, ends[lo - 1]));
      return memref::LoadOp::create(b, loc, block.getArgument(rank + lo), from);
    }
    size_t middle = (lo + hi) / 2;
    Value before =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, at[1],
                              constant(b, loc, ends[middle - 1]));
    auto branch =
        scf::IfOp::create(b, loc, type.getElementType(), before, true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(&branch.getThenRegion().front());
    scf::YieldOp::create(b, loc, pick(lo, middle));
    b.setInsertionPointToStart(&branch.getElseRegion().front());
    scf::YieldOp::create(b, loc, pick(middle, hi));
    return branch.getResult(0);
  };
  Value v = pick(0, inputs.size());
  memref::StoreOp::create(b, loc, v, block.getArguments().back(), at);
  YieldOp::create(b, loc);
  b.setInsertionPointAfter(result);
  blocked[y] =
      ReshapeOp::create(b, loc, typeOf(type), result.getResult(0), numberOf(y));
  return true;
}

void Blocker::finish() {
  for (Operation *op : replaced)
    for (Value v : op->getResults()) {
      auto stays = [&](OpOperand &use) {
        return !replaced.contains(use.getOwner());
      };
      if (llvm::none_of(v.getUses(), stays))
        continue;
      OpBuilder b(op);
      Value plain =
          unpack(b, op->getLoc(), find(v), cast<RankedTensorType>(v.getType()));
      v.replaceUsesWithIf(plain, stays);
    }
  for (Operation *op : llvm::reverse(replaced))
    op->erase();
}

void graph::blockConvolutions(func::FuncOp func, const TargetInfo &info) {
  Blocker blocker(blockWidth(info), info);
  for (Block *block : hostBlocks(func)) {
    SmallVector<Operation *> ops;
    for (Operation &op : *block)
      ops.push_back(&op);
    for (Operation *op : ops)
      blocker.visit(op);
  }
  blocker.finish();
}
