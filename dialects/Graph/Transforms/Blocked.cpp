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

/// From so many channels on, an input is packed for a single convolution.
static constexpr int64_t kManyChannels = 64;

/// N x C x .. of f32 whose sizes are known, but for their number.
static bool areImages(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && tensor.getRank() >= 3 && tensor.getElementType().isF32() &&
         llvm::none_of(tensor.getShape().drop_front(), [](int64_t d) {
           return ShapedType::isDynamic(d) || d == 0;
         });
}

namespace {
/// A convolution over rows and pixels; one over pixels alone has one row.
struct Window {
  RankedTensorType filter, result;
  SmallVector<int64_t, 2> strides, dilations;
};

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
    else if (auto shape = dyn_cast<ReshapeOp>(op))
      done = reshape(shape);
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
  bool reshape(ReshapeOp op);

  Value find(Value v) const { return blocked.lookup(v); }
  int64_t blocksOf(int64_t channels) const {
    return llvm::divideCeil(channels, width);
  }
  bool divides(int64_t channels) const { return channels % width == 0; }
  RankedTensorType typeOf(RankedTensorType type) const {
    SmallVector<int64_t> shape(type.getShape());
    shape[1] = blocksOf(shape[1]);
    shape.push_back(width);
    return RankedTensorType::get(shape, type.getElementType());
  }
  SmallVector<Value> numberOf(Value images) {
    if (!cast<RankedTensorType>(images.getType()).isDynamicDim(0))
      return {};
    return {cast<Value>((*getSizes(images))[0])};
  }
  Value empty(OpBuilder &b, Location loc, RankedTensorType type, Value images) {
    return tensor::EmptyOp::create(b, loc, type.getShape(),
                                   type.getElementType(), numberOf(images));
  }
  SmallVector<Value> spaceOf(OpBuilder &b, Location loc, RankedTensorType type,
                             Value images) {
    SmallVector<Value> number = numberOf(images), space;
    for (int64_t size : type.getShape())
      space.push_back(ShapedType::isDynamic(size) ? number[0]
                                                  : constant(b, loc, size));
    return space;
  }
  Value pack(OpBuilder &b, Value v);
  Value unpack(OpBuilder &b, Location loc, Value v, RankedTensorType type);
  Value packFilter(OpBuilder &b, Location loc, Value filter, bool blockedInput,
                   bool depthwise);
  Value packVector(OpBuilder &b, Location loc, Value weight);
  Value pad(OpBuilder &b, Location loc, Value x, ArrayRef<int64_t> pads);
  Value addBias(OpBuilder &b, Location loc, Value y, Value bias);
  Value convolve(OpBuilder &b, ConvOp op, const Window &w, Value x,
                 Value filter, bool isBlocked);

  int64_t width;
  DenseMap<Value, Value> blocked; // channels first to blocked
  /// Blocked values whose last block has more lanes than channels, and may hold
  /// anything there; in the others such lanes are finite.
  DenseSet<Value> dirty;
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

/// [OC][IC][KH][KW] to [OC / B]([IC][KH][KW] or [IC / B][KH][KW][B])[B], zeros
/// past the channels.
Value Blocker::packFilter(OpBuilder &b, Location loc, Value filter,
                          bool blockedInput, bool depthwise) {
  auto type = cast<RankedTensorType>(filter.getType());
  ArrayRef<int64_t> from = type.getShape();
  bool lanes = blockedInput && !depthwise;
  SmallVector<int64_t> shape = {
      blocksOf(from[0]), lanes ? blocksOf(from[1]) : from[1], from[2], from[3]};
  if (lanes)
    shape.push_back(width);
  shape.push_back(width);
  auto to = RankedTensorType::get(shape, type.getElementType());
  ParallelOp op = makeParallel(b, loc, "Pack", spaceOf(b, loc, to, filter),
                               filter, {}, {}, to);
  OpBuilder::InsertionGuard guard(b);
  PackBody body(b, loc, op);
  Value oc =
      body.channel(body.at(0), body.at(shape.size() - 1), width, from[0]);
  Value ic =
      lanes ? body.channel(body.at(1), body.at(4), width, from[1]) : body.at(1);
  return body.finish({oc, ic, body.at(2), body.at(3)});
}

/// [C] to [C / B][B], zeros past the channels.
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

/// Zeros around images of rank 5.
Value Blocker::pad(OpBuilder &b, Location loc, Value x,
                   ArrayRef<int64_t> pads) {
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
  auto branch = scf::IfOp::create(b, loc, b.getF32Type(), inside, true);
  {
    OpBuilder::InsertionGuard inBranch(b);
    b.setInsertionPointToStart(&branch.getThenRegion().front());
    Value v = memref::LoadOp::create(b, loc, block.getArgument(5), from);
    scf::YieldOp::create(b, loc, v);
    b.setInsertionPointToStart(&branch.getElseRegion().front());
    v = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(0));
    scf::YieldOp::create(b, loc, v);
  }
  memref::StoreOp::create(b, loc, branch.getResult(0), block.getArgument(6),
                          at);
  YieldOp::create(b, loc);
  return op.getResult(0);
}

Value Blocker::addBias(OpBuilder &b, Location loc, Value y, Value bias) {
  auto type = cast<RankedTensorType>(y.getType());
  AffineMap identity = b.getMultiDimIdentityMap(5);
  return linalg::GenericOp::create(
             b, loc, type, ValueRange{y, packVector(b, loc, bias)},
             empty(b, loc, type, y),
             ArrayRef<AffineMap>{identity, identity.getSubMap({1, 4}),
                                 identity},
             SmallVector<Iterator>(5, Iterator::parallel),
             [](OpBuilder &nested, Location at, ValueRange args) {
               Value sum = arith::AddFOp::create(nested, at, args[0], args[1]);
               linalg::YieldOp::create(nested, at, sum);
             })
      .getResult(0);
}

/// The sum itself, over unpadded images of two spatial dims.
Value Blocker::convolve(OpBuilder &b, ConvOp op, const Window &w, Value x,
                        Value filter, bool isBlocked) {
  Location loc = op.getLoc();
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
  int64_t blocks = depthwise ? 1 : isBlocked ? blocksOf(channels) : channels;
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
    wAt.push_back(lane);
  }
  wAt.push_back(d[4]);
  RankedTensorType type = typeOf(w.result);
  Value nothing = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(0));
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
             [](OpBuilder &nested, Location at, ValueRange args) {
               Value product =
                   arith::MulFOp::create(nested, at, args[0], args[1],
                                         arith::FastMathFlags::contract);
               Value sum =
                   arith::AddFOp::create(nested, at, args[2], product,
                                         arith::FastMathFlags::contract);
               linalg::YieldOp::create(nested, at, sum);
             })
      .getResult(0);
}

bool Blocker::convolution(ConvOp op) {
  auto xType = cast<RankedTensorType>(op.getInput().getType());
  auto yType = cast<RankedTensorType>(op.getResult().getType());
  auto wType = cast<RankedTensorType>(op.getFilter().getType());
  if (!areImages(xType) || !areImages(yType) || xType.getRank() > 4 ||
      !wType.hasStaticShape() || wType.getNumElements() == 0 ||
      !isWeight(op.getFilter()) || (op.getBias() && !isWeight(op.getBias())) ||
      llvm::any_of(op.getPads(), [](int64_t p) { return p < 0; }))
    return false;
  int64_t group = op.getGroup(), channels = wType.getDimSize(1);
  int64_t outputs = wType.getDimSize(0);
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
    // At most a quarter of the lanes for nothing.
    if (4 * outputs < 3 * width * blocksOf(outputs))
      return false;
    if (dirty.contains(in)) // what is not a channel is times zero
      in = Value();
  }
  OpBuilder b(op);
  Location loc = op.getLoc();
  // Many channels are read many times: from planes of their own they would
  // come from as many pages.
  if (!in && !depthwise && divides(channels) && channels >= kManyChannels) {
    in = pack(b, op.getInput());
    // Not for other blocks: they may not be dominated by this one.
    if (op.getInput().getParentBlock() == op->getBlock())
      blocked[op.getInput()] = in;
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
    x = pad(b, loc, x, pads);
  filter = packFilter(b, loc, filter, bool(in), depthwise);
  Value y = convolve(b, op, w, x, filter, bool(in));
  if (op.getBias())
    y = addBias(b, loc, y, op.getBias());
  if (flat)
    y = ReshapeOp::create(b, loc, typeOf(yType), y, numberOf(y));
  if (depthwise && dirty.contains(in))
    dirty.insert(y);
  blocked[op.getResult()] = y;
  return true;
}

/// Whether finite operands give finite results.
static bool staysFinite(linalg::GenericOp op) {
  return llvm::all_of(op.getRegion().front(), [](Operation &inner) {
    return isa<arith::ConstantOp, arith::AddFOp, arith::SubFOp, arith::MulFOp,
               arith::MaximumFOp, arith::MinimumFOp, arith::NegFOp,
               arith::CmpFOp, arith::SelectOp, linalg::YieldOp>(inner);
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
  if (!divides(channels) && (isDirty || !staysFinite(op)))
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
  if (!divides(type.getDimSize(1)))
    dirty.insert(result.getResult(0));
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
  unsigned rank = type.getRank() + 1;
  SmallVector<Value> inputs;
  SmallVector<int64_t> ends;
  for (Value v : op.getInputs()) {
    Value found = find(v);
    inputs.push_back(found ? found : pack(b, v));
    ends.push_back((ends.empty() ? 0 : ends.back()) +
                   cast<RankedTensorType>(v.getType()).getDimSize(1) / width);
  }
  RankedTensorType to = typeOf(type);
  Value y = op->getResult(0);
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
  blocked[y] = result.getResult(0);
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
