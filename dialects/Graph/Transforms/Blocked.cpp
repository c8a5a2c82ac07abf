//===- Blocked.cpp - channels in blocks of a vector -----------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Graph/Transforms/Blocked.h"

#include "dialects/Graph/Graph.h"
#include "dialects/Graph/Transforms/Packing.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::graph;

using Iterator = utils::IteratorType;

/// Images of f32 whose sizes are known, but for their number.
static bool areImages(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && tensor.getRank() == 4 && tensor.getElementType().isF32() &&
         llvm::none_of(tensor.getShape().drop_front(), [](int64_t d) {
           return ShapedType::isDynamic(d) || d == 0;
         });
}

namespace {
class Blocker {
public:
  explicit Blocker(int64_t width) : width(width) {}

  void visit(Operation *op) {
    bool done = false;
    if (auto conv = dyn_cast<ConvOp>(op))
      done = convolution(conv);
    else if (auto generic = dyn_cast<linalg::GenericOp>(op))
      done = generic.getNumReductionLoops() ? reduction(generic)
                                            : elementwise(generic);
    else if (auto parallel = dyn_cast<ParallelOp>(op))
      done = parallel.getOp() == "Concat" ? concat(parallel)
                                          : channelwise(parallel);
    if (done)
      replaced.insert(op);
  }
  void finish();

private:
  bool convolution(ConvOp op);
  bool elementwise(linalg::GenericOp op);
  bool reduction(linalg::GenericOp op);
  bool channelwise(ParallelOp op);
  bool concat(ParallelOp op);

  Value find(Value v) const { return blocked.lookup(v); }
  bool divides(int64_t channels) const { return channels % width == 0; }
  RankedTensorType typeOf(RankedTensorType type) const {
    ArrayRef<int64_t> s = type.getShape();
    return RankedTensorType::get({s[0], s[1] / width, s[2], s[3], width},
                                 type.getElementType());
  }
  Value empty(OpBuilder &b, Location loc, RankedTensorType type, Value images) {
    SmallVector<Value> dynamic;
    if (type.isDynamicDim(0))
      dynamic.push_back(cast<Value>((*getSizes(images))[0]));
    return tensor::EmptyOp::create(b, loc, type.getShape(),
                                   type.getElementType(), dynamic);
  }
  SmallVector<Value> numberOf(Value images) {
    if (!cast<RankedTensorType>(images.getType()).isDynamicDim(0))
      return {};
    return {cast<Value>((*getSizes(images))[0])};
  }
  Value pack(OpBuilder &b, Value v);
  Value unpack(OpBuilder &b, Location loc, Value v, RankedTensorType type);
  Value packFilter(OpBuilder &b, Location loc, Value filter, bool blockedInput,
                   bool depthwise);
  Value pad(OpBuilder &b, Location loc, Value x, ArrayRef<int64_t> pads);
  Value addBias(OpBuilder &b, Location loc, Value y, Value bias);

  int64_t width;
  DenseMap<Value, Value> blocked; // channels first to blocked
  llvm::SetVector<Operation *> replaced;
};
} // namespace

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

Value Blocker::pack(OpBuilder &b, Value v) {
  Location loc = v.getLoc();
  RankedTensorType type = typeOf(cast<RankedTensorType>(v.getType()));
  SmallVector<AffineExpr> d(5);
  bindDimsList(b.getContext(), MutableArrayRef(d));
  return copy(b, loc, v, empty(b, loc, type, v),
              {d[0], d[1] * width + d[4], d[2], d[3]});
}

Value Blocker::unpack(OpBuilder &b, Location loc, Value v,
                      RankedTensorType type) {
  // One pixel: the channels lie as they should.
  if (type.getDimSize(2) == 1 && type.getDimSize(3) == 1)
    return ReshapeOp::create(b, loc, type, v, numberOf(v));
  SmallVector<AffineExpr> d(4);
  bindDimsList(b.getContext(), MutableArrayRef(d));
  return copy(b, loc, v, empty(b, loc, type, v),
              {d[0], d[1].floorDiv(width), d[2], d[3], d[1] % width});
}

/// [OC][IC][KH][KW] to [OC / B]([IC][KH][KW] or [IC / B][KH][KW][B])[B].
Value Blocker::packFilter(OpBuilder &b, Location loc, Value filter,
                          bool blockedInput, bool depthwise) {
  auto type = cast<RankedTensorType>(filter.getType());
  SmallVector<int64_t> shape = {type.getDimSize(0) / width};
  SmallVector<AffineExpr> from(4);
  auto next = [&](int64_t size) {
    shape.push_back(size);
    return b.getAffineDimExpr(shape.size() - 1);
  };
  from[0] = b.getAffineDimExpr(0) * width;
  int64_t channels = type.getDimSize(1);
  from[1] = next(blockedInput && !depthwise ? channels / width : channels);
  for (int64_t d : {2, 3})
    from[d] = next(type.getDimSize(d));
  if (blockedInput && !depthwise)
    from[1] = from[1] * width + next(width);
  from[0] = from[0] + next(width);
  Value to = tensor::EmptyOp::create(b, loc, shape, type.getElementType());
  return copy(b, loc, filter, to, from);
}

Value Blocker::pad(OpBuilder &b, Location loc, Value x,
                   ArrayRef<int64_t> pads) {
  auto type = cast<RankedTensorType>(x.getType());
  SmallVector<int64_t> shape(type.getShape());
  for (unsigned d : {0, 1})
    shape[d + 2] += pads[d] + pads[d + 2];
  auto padded = RankedTensorType::get(shape, type.getElementType());
  SmallVector<Value> number = numberOf(x), space;
  for (int64_t size : shape)
    space.push_back(ShapedType::isDynamic(size) ? number[0]
                                                : constant(b, loc, size));
  auto op = makeParallel(b, loc, "Pad", space, x, {}, number, padded);
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
  auto branch = scf::IfOp::create(b, loc, b.getF32Type(), inside, true);
  {
    OpBuilder::InsertionGuard inBranch(b);
    b.setInsertionPointToStart(&branch.getThenRegion().front());
    scf::YieldOp::create(
        b, loc,
        Value(memref::LoadOp::create(b, loc, block.getArgument(5), from)));
    b.setInsertionPointToStart(&branch.getElseRegion().front());
    scf::YieldOp::create(
        b, loc, Value(arith::ConstantOp::create(b, loc, b.getF32FloatAttr(0))));
  }
  memref::StoreOp::create(b, loc, branch.getResult(0), block.getArgument(6),
                          at);
  YieldOp::create(b, loc);
  return op.getResult(0);
}

Value Blocker::addBias(OpBuilder &b, Location loc, Value y, Value bias) {
  auto type = cast<RankedTensorType>(y.getType());
  Value blocks = ReshapeOp::create(
      b, loc,
      RankedTensorType::get({type.getDimSize(1), width}, b.getF32Type()), bias,
      ValueRange());
  AffineMap identity = b.getMultiDimIdentityMap(5);
  return linalg::GenericOp::create(
             b, loc, type, ValueRange{y, blocks}, empty(b, loc, type, y),
             ArrayRef<AffineMap>{identity, identity.getSubMap({1, 4}),
                                 identity},
             SmallVector<Iterator>(5, Iterator::parallel),
             [](OpBuilder &nested, Location at, ValueRange args) {
               Value sum = arith::AddFOp::create(nested, at, args[0], args[1]);
               linalg::YieldOp::create(nested, at, sum);
             })
      .getResult(0);
}

bool Blocker::convolution(ConvOp op) {
  auto yType = cast<RankedTensorType>(op.getResult().getType());
  auto wType = cast<RankedTensorType>(op.getFilter().getType());
  if (!areImages(op.getInput().getType()) || !areImages(yType) ||
      !wType.hasStaticShape() || wType.getNumElements() == 0 ||
      !isWeight(op.getFilter()) ||
      llvm::any_of(op.getPads(), [](int64_t p) { return p < 0; }))
    return false;
  int64_t group = op.getGroup(), channels = wType.getDimSize(1);
  int64_t outputs = wType.getDimSize(0);
  Value in = find(op.getInput());
  bool depthwise = group > 1 && channels == 1 && outputs == group;
  if (depthwise ? !in || !divides(outputs) : !divides(outputs / group))
    return false;
  if (!depthwise && !divides(channels))
    in = Value();
  OpBuilder b(op);
  Location loc = op.getLoc();
  bool padded = llvm::any_of(op.getPads(), [](int64_t p) { return p != 0; });
  if (!in) {
    padConvolution(op, std::numeric_limits<int64_t>::max());
  } else if (padded) {
    in = pad(b, loc, in, op.getPads());
  }
  Value x = in ? in : op.getInput();
  Value filter = packFilter(b, loc, op.getFilter(), bool(in), depthwise);

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
  int64_t blocks = depthwise ? 1 : in ? channels / width : channels;
  AffineExpr channel = blocks == 1 ? zero : loop(Iterator::reduction);
  wAt.push_back(channel);
  if (depthwise)
    channel = d[1];
  else if (group > 1)
    channel = channel + d[1].floorDiv(outputs / group / width) * blocks;
  xAt.push_back(channel);
  for (unsigned i : {0, 1}) {
    AffineExpr at = d[2 + i] * op.getStrides()[i];
    bool one = wType.getDimSize(2 + i) == 1;
    AffineExpr tap = one ? zero : loop(Iterator::reduction);
    xAt.push_back(one ? at : at + tap * op.getDilations()[i]);
    wAt.push_back(tap);
  }
  if (depthwise) {
    xAt.push_back(d[4]);
  } else if (in) {
    AffineExpr lane = loop(Iterator::reduction);
    xAt.push_back(lane);
    wAt.push_back(lane);
  }
  wAt.push_back(d[4]);
  // A sum over nothing but one element is a sum too.
  if (d.size() == 5)
    return false;
  RankedTensorType type = typeOf(yType);
  Value init = empty(b, loc, type, op.getResult());
  Value nothing = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(0));
  init = linalg::FillOp::create(b, loc, nothing, init).getResult(0);
  unsigned loops = d.size();
  Value y =
      linalg::GenericOp::create(
          b, loc, type, ValueRange{x, filter}, init,
          ArrayRef<AffineMap>{AffineMap::get(loops, 0, xAt, b.getContext()),
                              AffineMap::get(loops, 0, wAt, b.getContext()),
                              AffineMap::get(loops, 0,
                                             ArrayRef(d).take_front(5),
                                             b.getContext())},
          kinds,
          [](OpBuilder &nested, Location at, ValueRange args) {
            Value product = arith::MulFOp::create(
                nested, at, args[0], args[1], arith::FastMathFlags::contract);
            Value sum = arith::AddFOp::create(nested, at, args[2], product,
                                              arith::FastMathFlags::contract);
            linalg::YieldOp::create(nested, at, sum);
          })
          .getResult(0);
  if (op.getBias())
    y = addBias(b, loc, y, op.getBias());
  blocked[op.getResult()] = y;
  return true;
}

/// Operands and maps of an operation over (n, c, h, w), over (n, block, h, w,
/// lane).
bool Blocker::elementwise(linalg::GenericOp op) {
  if (op->getNumResults() != 1 || op.hasIndexSemantics() ||
      !areImages(op->getResult(0).getType()) ||
      !op.getIndexingMapsArray().back().isIdentity() ||
      op.payloadUsesValueFromOperand(op.getDpsInitOperand(0)))
    return false;
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  int64_t channels = type.getDimSize(1);
  if (!divides(channels))
    return false;
  bool extracts = false;
  op->getRegion(0).walk([&](tensor::ExtractOp) { extracts = true; });
  if (extracts)
    return false;
  OpBuilder b(op);
  Location loc = op.getLoc();
  AffineExpr channel = b.getAffineDimExpr(1), lane = b.getAffineDimExpr(4);
  SmallVector<Value> inputs;
  SmallVector<AffineMap> maps;
  SmallVector<std::pair<unsigned, RankedTensorType>> reshapes;
  bool any = false;
  for (OpOperand *operand : op.getDpsInputOperands()) {
    Value v = operand->get();
    AffineMap map = op.getMatchingIndexingMap(operand);
    if (map.isIdentity()) {
      Value found = find(v);
      if (!found)
        return false;
      any = true;
      inputs.push_back(found);
      maps.push_back(b.getMultiDimIdentityMap(5));
      continue;
    }
    SmallVector<AffineExpr> exprs(map.getResults());
    if (map.isFunctionOfDim(1)) {
      auto from = cast<RankedTensorType>(v.getType());
      // .., c, then dims of one element: .., block, lane.
      while (isa<AffineConstantExpr>(exprs.back()))
        exprs.pop_back();
      if (exprs.back() != channel || !from.hasStaticShape() ||
          from.getDimSize(exprs.size() - 1) != channels ||
          llvm::any_of(from.getShape().drop_front(exprs.size()),
                       [](int64_t d) { return d != 1; }))
        return false;
      SmallVector<int64_t> shape(from.getShape().take_front(exprs.size()));
      shape.back() /= width;
      shape.push_back(width);
      exprs.push_back(lane);
      if (llvm::count(exprs, channel) != 1)
        return false;
      reshapes.push_back(
          {inputs.size(), RankedTensorType::get(shape, from.getElementType())});
    }
    inputs.push_back(v);
    maps.push_back(AffineMap::get(5, 0, exprs, b.getContext()));
  }
  if (!any)
    return false;
  for (auto [i, shape] : reshapes)
    inputs[i] = ReshapeOp::create(b, loc, shape, inputs[i], ValueRange());
  RankedTensorType result = typeOf(type);
  maps.push_back(b.getMultiDimIdentityMap(5));
  auto generic = linalg::GenericOp::create(
      b, loc, result, inputs, empty(b, loc, result, op->getResult(0)), maps,
      SmallVector<Iterator>(5, Iterator::parallel));
  IRMapping mapping;
  op.getRegion().cloneInto(&generic.getRegion(), mapping);
  blocked[op->getResult(0)] = generic.getResult(0);
  return true;
}

/// Over the pixels of images: the channels of the result lie as they should.
bool Blocker::reduction(linalg::GenericOp op) {
  if (op.getNumDpsInputs() != 1 || op->getNumResults() != 1 ||
      op.getNumLoops() != 4 || op.hasIndexSemantics())
    return false;
  Value in = find(op.getDpsInputs()[0]);
  auto fill = op.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
  auto kinds = op.getIteratorTypesArray();
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  OpBuilder b(op);
  Location loc = op.getLoc();
  if (!in || !fill || !maps[0].isIdentity() ||
      maps[1] != b.getMultiDimIdentityMap(4).getSubMap({0, 1}) ||
      kinds[0] != Iterator::parallel || kinds[1] != Iterator::parallel)
    return false;
  auto from = cast<RankedTensorType>(in.getType());
  auto to = cast<RankedTensorType>(op->getResult(0).getType());
  auto type = RankedTensorType::get(
      {from.getDimSize(0), from.getDimSize(1), width}, to.getElementType());
  Value init =
      linalg::FillOp::create(b, loc, fill.value(), empty(b, loc, type, in))
          .getResult(0);
  AffineMap identity = b.getMultiDimIdentityMap(5);
  kinds.push_back(Iterator::parallel);
  auto generic = linalg::GenericOp::create(
      b, loc, type, in, init,
      ArrayRef<AffineMap>{identity, identity.getSubMap({0, 1, 4})}, kinds);
  IRMapping mapping;
  op.getRegion().cloneInto(&generic.getRegion(), mapping);
  Value plain =
      ReshapeOp::create(b, loc, to, generic.getResult(0), numberOf(in));
  op->getResult(0).replaceAllUsesWith(plain);
  return true;
}

/// An irregular operation in which each channel is on its own (pools, resizing
/// of images): the same with a lane more.
bool Blocker::channelwise(ParallelOp op) {
  if (op.getSpace().size() != 4 || op->getNumResults() != 1 ||
      op.getInputs().size() != 1 || op.getInPlace() ||
      !areImages(op->getResult(0).getType()))
    return false;
  Value in = find(op.getInputs()[0]);
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  auto channels = getConstantIntValue(op.getSpace()[1]);
  if (!in || !channels || *channels != type.getDimSize(1) ||
      !divides(*channels))
    return false;
  Block &body = op.getBody().front();
  BlockArgument channel = body.getArgument(1), x = body.getArgument(4),
                y = body.getArguments().back();
  for (OpOperand &use : channel.getUses()) {
    unsigned first = isa<memref::LoadOp>(use.getOwner())    ? 1
                     : isa<memref::StoreOp>(use.getOwner()) ? 2
                                                            : 0;
    if (!first || use.getOperandNumber() != first + 1 ||
        !llvm::is_contained({Value(x), Value(y)},
                            use.getOwner()->getOperand(first - 1)))
      return false;
  }
  for (BlockArgument memory : {x, y})
    for (OpOperand &use : memory.getUses()) {
      Operation *user = use.getOwner();
      unsigned first = isa<memref::LoadOp>(user)    ? 1
                       : isa<memref::StoreOp>(user) ? 2
                                                    : 0;
      if (!first || user->getOperand(first + 1) != channel)
        return false;
    }
  OpBuilder b(op);
  Location loc = op.getLoc();
  SmallVector<Value> space(op.getSpace());
  space[1] = constant(b, loc, *channels / width);
  space.push_back(constant(b, loc, width));
  auto result = makeParallel(b, loc, op.getOp(), space, in, op.getScalars(),
                             op.getSizes(), typeOf(type));
  Block &block = result.getBody().front();
  IRMapping map;
  for (auto [i, arg] : llvm::enumerate(body.getArguments()))
    map.map(arg, block.getArgument(i < 4 ? i : i + 1));
  b.setInsertionPointToStart(&block);
  for (Operation &inner : body)
    b.clone(inner, map);
  Value lane = block.getArgument(4);
  block.walk([&](Operation *inner) {
    if (isa<memref::LoadOp, memref::StoreOp>(inner))
      inner->insertOperands(inner->getNumOperands(), lane);
  });
  blocked[op->getResult(0)] = result.getResult(0);
  return true;
}

/// Of channels: of whole blocks.
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
  SmallVector<Value> inputs, space;
  SmallVector<int64_t> ends;
  for (Value v : op.getInputs()) {
    Value found = find(v);
    inputs.push_back(found ? found : pack(b, v));
    ends.push_back((ends.empty() ? 0 : ends.back()) +
                   cast<RankedTensorType>(v.getType()).getDimSize(1) / width);
  }
  RankedTensorType to = typeOf(type);
  SmallVector<Value> number = numberOf(op->getResult(0));
  for (int64_t size : to.getShape())
    space.push_back(ShapedType::isDynamic(size) ? number[0]
                                                : constant(b, loc, size));
  auto result = makeParallel(b, loc, "Concat", space, inputs, {}, number, to);
  Block &block = result.getBody().front();
  b.setInsertionPointToStart(&block);
  SmallVector<Value> at(block.getArguments().take_front(5));
  // A binary search over where the inputs end.
  std::function<Value(size_t, size_t)> pick = [&](size_t lo,
                                                  size_t hi) -> Value {
    if (lo + 1 == hi) {
      SmallVector<Value> from = at;
      if (lo)
        from[1] = arith::SubIOp::create(b, loc, at[1],
                                        constant(b, loc, ends[lo - 1]));
      return memref::LoadOp::create(b, loc, block.getArgument(5 + lo), from);
    }
    size_t middle = (lo + hi) / 2;
    Value before =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, at[1],
                              constant(b, loc, ends[middle - 1]));
    auto branch = scf::IfOp::create(b, loc, b.getF32Type(), before, true);
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
  blocked[op->getResult(0)] = result.getResult(0);
  return true;
}

/// Copies for who needs channels first; what was replaced goes.
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
  Blocker blocker(std::clamp<int64_t>(info.vectorBytes / 4, 4, 16));
  for (Block *block : hostBlocks(func)) {
    SmallVector<Operation *> ops;
    for (Operation &op : *block)
      ops.push_back(&op);
    for (Operation *op : ops)
      blocker.visit(op);
  }
  blocker.finish();
}
