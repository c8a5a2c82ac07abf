//===- Dequantized.cpp - products of dequantized integers -----------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Graph/Transforms/Dequantized.h"

#include "dialects/Graph/Graph.h"
#include "dialects/Graph/Transforms/Blocked.h"
#include "dialects/Graph/Transforms/Packing.h"
#include "dialects/Graph/Transforms/QuantizedOps.h"
#include "dialects/Kernel/Transforms/Plans.h"
#include "dialects/Kernel/Transforms/Product.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace isthmus;
using graph::Dequantized, graph::matchDequantized;
using utils::IteratorType;

/// So many products of two bytes less zero points are below 2^31.
static constexpr int64_t kMostTerms = 33025;

static Value integer(OpBuilder &b, Location loc, int64_t v) {
  return arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(v));
}

static Value widen(OpBuilder &b, Location loc, Value v, bool isUnsigned) {
  if (isUnsigned)
    return arith::ExtUIOp::create(b, loc, b.getI32Type(), v);
  return arith::ExtSIOp::create(b, loc, b.getI32Type(), v);
}

/// source - zero as i32.
static Value centeredIntegers(OpBuilder &b, Dequantized &d) {
  SmallVector<Value> inputs = {d.source->get()};
  SmallVector<AffineMap> maps = {d.map(d.source)};
  if (d.zero) {
    inputs.push_back(d.zero->get());
    maps.push_back(d.map(d.zero));
  }
  maps.push_back(d.op.getIndexingMapsArray().back());
  Location loc = d.op.getLoc();
  Value empty = tensor::EmptyOp::create(
      b, loc, *graph::getSizes(d.op->getResult(0)), b.getI32Type());
  return linalg::GenericOp::create(
             b, loc, empty.getType(), inputs, empty, maps,
             d.op.getIteratorTypesArray(),
             [&](OpBuilder &n, Location at, ValueRange args) {
               Value v = widen(n, at, args[0], d.isUnsigned);
               if (d.zero)
                 v = arith::SubIOp::create(n, at, v,
                                           widen(n, at, args[1], d.isUnsigned));
               else if (d.constantZero)
                 v = arith::SubIOp::create(n, at, v,
                                           integer(n, at, d.constantZero));
               linalg::YieldOp::create(n, at, v);
             })
      .getResult(0);
}

namespace {
/// Elementwise over a product's result: what turns its sums to floats.
struct Finish {
  SmallVector<Value> inputs;
  SmallVector<AffineMap> maps;

  unsigned add(Value v, AffineMap map) {
    inputs.push_back(v);
    maps.push_back(map);
    return inputs.size() - 1;
  }
  Value build(OpBuilder &b, Location loc, RankedTensorType type,
              function_ref<Value(OpBuilder &, Location, ValueRange)> body) {
    Value empty = tensor::EmptyOp::create(b, loc, *graph::getSizes(inputs[0]),
                                          type.getElementType());
    maps.push_back(b.getMultiDimIdentityMap(type.getRank()));
    return linalg::GenericOp::create(
               b, loc, type, inputs, empty, maps,
               SmallVector<IteratorType>(type.getRank(),
                                         IteratorType::parallel),
               [&](OpBuilder &n, Location at, ValueRange args) {
                 linalg::YieldOp::create(n, at, body(n, at, args));
               })
        .getResult(0);
  }
};
} // namespace

/// `v` times the scale of `d`; `args[at]` where that is a tensor.
static Value scaled(OpBuilder &b, Location loc, Value v, const Dequantized &d,
                    ValueRange args, unsigned at) {
  Value by;
  if (d.scale)
    by = args[at];
  else if (d.constantScale)
    by = arith::ConstantOp::create(b, loc, d.constantScale);
  else
    return v;
  return arith::MulFOp::create(b, loc, v, by);
}

/// Whether the target multiplies 8-bit integers or what they can become.
static bool hasUnit(const TargetInfo &info, OpBuilder &b, bool words) {
  Type i8 = b.getI8Type(), i16 = b.getI16Type(), i32 = b.getI32Type();
  for (int signs = 0; signs < 4; ++signs)
    if (kernel::unitFor(info, i8, signs & 1, i8, signs & 2, i32))
      return true;
  return words && kernel::unitFor(info, i16, false, i16, false, i32);
}

static void multiplyIntegers(linalg::GenericOp op, const TargetInfo &info) {
  OpBuilder b(op);
  Location loc = op.getLoc();
  if (!linalg::isaContractionOpInterface(op) || !kernel::isMultiplyAdd(op) ||
      !hasUnit(info, b, /*words=*/true))
    return;
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  if (info.form == kernel::Form::tiled &&
      !graph::canPackSmallProduct(op, op.getDpsInputs()[1], maps[1]))
    return;
  auto fill = op.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
  if (!fill || !matchPattern(fill.value(), m_AnyZeroFloat()))
    return;
  std::optional<Dequantized> sides[2];
  auto kinds = op.getIteratorTypesArray();
  int64_t terms = 1;
  for (unsigned i = 0; i < 2; ++i) {
    if (!(sides[i] = matchDequantized(op.getDpsInputs()[i])))
      return;
    for (OpOperand *operand : {sides[i]->zero, sides[i]->scale})
      for (unsigned d = 0; operand && d < kinds.size(); ++d)
        if (kinds[d] == IteratorType::reduction &&
            sides[i]->map(operand).compose(maps[i]).isFunctionOfDim(d))
          return;
  }
  auto type = cast<RankedTensorType>(op.getDpsInputs()[0].getType());
  for (auto [e, size] : llvm::zip_equal(maps[0].getResults(), type.getShape()))
    if (auto d = dyn_cast<AffineDimExpr>(e);
        d && kinds[d.getPosition()] == IteratorType::reduction)
      terms = ShapedType::isDynamic(size) ? kMostTerms + 1 : terms * size;
  if (terms > kMostTerms)
    return;

  Value factors[] = {centeredIntegers(b, *sides[0]),
                     centeredIntegers(b, *sides[1])};
  auto result = cast<RankedTensorType>(op->getResult(0).getType());
  Value empty = tensor::EmptyOp::create(
      b, loc, *graph::getSizes(op->getResult(0)), b.getI32Type());
  Value none =
      linalg::FillOp::create(b, loc, integer(b, loc, 0), empty).getResult(0);
  Value sums = linalg::GenericOp::create(
                   b, loc, empty.getType(), factors, none, maps, kinds,
                   [](OpBuilder &n, Location at, ValueRange args) {
                     Value v = arith::MulIOp::create(n, at, args[0], args[1]);
                     v = arith::AddIOp::create(n, at, args[2], v);
                     linalg::YieldOp::create(n, at, v);
                   })
                   .getResult(0);
  // The result's dims are the loops of the rest.
  unsigned rank = result.getRank();
  SmallVector<AffineExpr> to(kinds.size(), b.getAffineConstantExpr(0));
  for (auto [i, e] : llvm::enumerate(maps[2].getResults()))
    to[cast<AffineDimExpr>(e).getPosition()] = b.getAffineDimExpr(i);
  Finish finish;
  finish.add(sums, b.getMultiDimIdentityMap(rank));
  unsigned at[2] = {0, 0};
  for (unsigned i = 0; i < 2; ++i)
    if (OpOperand *scale = sides[i]->scale)
      at[i] = finish.add(
          scale->get(),
          sides[i]->map(scale).compose(maps[i]).replaceDimsAndSymbols(to, {},
                                                                      rank, 0));
  Value y = finish.build(
      b, loc, result, [&](OpBuilder &n, Location where, ValueRange args) {
        Value v = arith::SIToFPOp::create(n, where, n.getF32Type(), args[0]);
        for (unsigned i = 0; i < 2; ++i)
          v = scaled(n, where, v, *sides[i], args, at[i]);
        return v;
      });
  op->getResult(0).replaceAllUsesWith(y);
  op.erase();
}

/// x with its top bit turned over, if `turn`.
static Value turned(OpBuilder &b, Location loc, Value x, bool turn) {
  if (!turn)
    return x;
  auto type = cast<RankedTensorType>(x.getType());
  Value empty =
      tensor::EmptyOp::create(b, loc, *graph::getSizes(x), b.getI8Type());
  return linalg::GenericOp::create(
             b, loc, type, x, empty,
             SmallVector<AffineMap>(2,
                                    b.getMultiDimIdentityMap(type.getRank())),
             SmallVector<IteratorType>(type.getRank(), IteratorType::parallel),
             [](OpBuilder &n, Location at, ValueRange args) {
               Value top =
                   arith::ConstantOp::create(n, at, n.getI8IntegerAttr(-128));
               linalg::YieldOp::create(
                   n, at,
                   arith::XOrIOp::create(n, at, args[0], top).getResult());
             })
      .getResult(0);
}

/// Sums of a filter for each channel of the result.
static Value filterSums(OpBuilder &b, Location loc, Value filter,
                        bool isUnsigned) {
  auto type = cast<RankedTensorType>(filter.getType());
  unsigned rank = type.getRank();
  Value empty = tensor::EmptyOp::create(
      b, loc, ArrayRef(*graph::getSizes(filter)).take_front(1), b.getI32Type());
  Value none =
      linalg::FillOp::create(b, loc, integer(b, loc, 0), empty).getResult(0);
  SmallVector<IteratorType> kinds(rank, IteratorType::reduction);
  kinds[0] = IteratorType::parallel;
  return linalg::GenericOp::create(
             b, loc, empty.getType(), filter, none,
             ArrayRef<AffineMap>{
                 b.getMultiDimIdentityMap(rank),
                 AffineMap::get(rank, 0, b.getAffineDimExpr(0))},
             kinds,
             [&](OpBuilder &n, Location at, ValueRange args) {
               Value v = arith::AddIOp::create(
                   n, at, args[1], widen(n, at, args[0], isUnsigned));
               linalg::YieldOp::create(n, at, v);
             })
      .getResult(0);
}

/// Makes i32 of its one operand, element by element.
static bool isToInteger(Operation *op) {
  auto generic = dyn_cast<linalg::GenericOp>(op);
  if (!generic || generic.getNumDpsInputs() != 1 ||
      generic->getNumResults() != 1 || generic.getNumReductionLoops() ||
      !llvm::all_of(generic.getIndexingMapsArray(),
                    [](AffineMap map) { return map.isIdentity(); }))
    return false;
  Block &block = generic.getRegion().front();
  auto made =
      block.getTerminator()->getOperand(0).getDefiningOp<arith::FPToSIOp>();
  return made && made.getType().isInteger(32) &&
         made.getIn() == block.getArgument(0);
}

static void convolveIntegers(graph::ConvOp op, const TargetInfo &info) {
  auto result = cast<RankedTensorType>(op.getResult().getType());
  auto filterType = cast<RankedTensorType>(op.getFilter().getType());
  Type element = result.getElementType();
  auto x = matchDequantized(op.getInput()),
       w = matchDequantized(op.getFilter());
  OpBuilder b(op);
  Location loc = op.getLoc();
  if (!x || !w || !(element.isF32() || element.isF64()) || x->zero || w->zero ||
      !x->map(x->source).isIdentity() || !w->map(w->source).isIdentity() ||
      ShapedType::isDynamicShape(filterType.getShape().drop_front()))
    return;
  // A scale for all of the input, one for each channel of the filter.
  AffineMap scaleW = w->scale ? w->map(w->scale) : AffineMap();
  if (x->scale && !x->map(x->scale).isConstant() &&
      x->map(x->scale).getNumResults())
    return;
  for (int64_t d = 1; scaleW && d < result.getRank(); ++d)
    if (scaleW.isFunctionOfDim(d) && filterType.getDimSize(d) != 1)
      return;
  int64_t terms = 1;
  for (int64_t size : filterType.getShape().drop_front())
    terms *= size;
  if (terms > kMostTerms)
    return;
  // Signs that there is a unit for; the filter's is changed in `init`, and by
  // that must lose its zero point. Vectors have the filter on their right.
  Type i8 = b.getI8Type(), i32 = b.getI32Type();
  bool turnW = !w->onlyZero(0), turnX = false;
  if (turnW && !w->onlyZero(w->isUnsigned ? 128 : -128))
    return;
  bool vectors = info.form == kernel::Form::tiled;
  auto unit = [&] {
    bool ofX = x->isUnsigned != turnX, ofW = w->isUnsigned != turnW;
    return kernel::unitFor(info, i8, vectors ? ofX : ofW, i8,
                           vectors ? ofW : ofX, i32);
  };
  const MatrixUnit *found = unit();
  if (!found) {
    turnX = true;
    if (!(found = unit()))
      return;
  }
  if (vectors && !graph::canBlockBytes(op, found->k, info))
    return;
  int64_t zero = x->constantZero - (turnX ? (x->isUnsigned ? 128 : -128) : 0);
  bool unsignedX = x->isUnsigned != turnX, unsignedW = w->isUnsigned != turnW;
  Value input = turned(b, loc, x->source->get(), turnX),
        filter = turned(b, loc, w->source->get(), turnW);
  auto flag = [&](bool is) { return is ? b.getUnitAttr() : UnitAttr(); };
  auto sums = graph::ConvOp::create(
      b, loc, RankedTensorType::get(result.getShape(), i32), input, filter,
      Value(), op.getSizes(), op.getStridesAttr(), op.getDilationsAttr(),
      op.getPadsAttr(), op.getGroupAttr(), flag(unsignedX), flag(unsignedW),
      b.getI64IntegerAttr(zero));

  unsigned rank = result.getRank();
  auto channel = AffineMap::get(rank, 0, b.getAffineDimExpr(1));
  Finish finish;
  finish.add(sums, b.getMultiDimIdentityMap(rank));
  unsigned atSums = 0, atX = 0, atW = 0, atBias = 0;
  if (zero)
    atSums = finish.add(filterSums(b, loc, filter, unsignedW), channel);
  if (x->scale)
    atX = finish.add(
        x->scale->get(),
        AffineMap::get(rank, 0, x->map(x->scale).getResults(), b.getContext()));
  if (w->scale) {
    // Of the filter's first dim, which is the result's second.
    SmallVector<AffineExpr> to(rank, b.getAffineConstantExpr(0));
    to[0] = b.getAffineDimExpr(1);
    atW = finish.add(w->scale->get(),
                     scaleW.replaceDimsAndSymbols(to, {}, rank, 0));
  }
  if (op.getBias())
    atBias = finish.add(op.getBias(), channel);
  // What only becomes integers again need not become floats.
  bool staysInteger = !x->scaled() && !w->scaled() && !op.getBias() &&
                      llvm::all_of(op->getUsers(), isToInteger);
  auto type = staysInteger ? cast<RankedTensorType>(sums.getType()) : result;
  Value y = finish.build(
      b, loc, type, [&](OpBuilder &n, Location at, ValueRange args) {
        Value v = args[0];
        if (zero)
          v = arith::SubIOp::create(
              n, at, v,
              arith::MulIOp::create(n, at, integer(n, at, zero), args[atSums]));
        if (staysInteger)
          return v;
        v = arith::SIToFPOp::create(n, at, element, v);
        v = scaled(n, at, v, *x, args, atX);
        v = scaled(n, at, v, *w, args, atW);
        return op.getBias()
                   ? arith::AddFOp::create(n, at, v, args[atBias]).getResult()
                   : v;
      });
  if (staysInteger)
    for (Operation *user : llvm::make_early_inc_range(op->getUsers())) {
      user->getResult(0).replaceAllUsesWith(y);
      user->erase();
    }
  op.getResult().replaceAllUsesWith(y);
  op.erase();
}

void graph::multiplyBeforeDequantizing(ModuleOp module,
                                       const TargetInfo &info) {
  SmallVector<Operation *> products;
  module.walk([&](Operation *op) {
    auto generic = dyn_cast<linalg::GenericOp>(op);
    if (isa<ConvOp>(op) || (generic && generic.getNumReductionLoops()))
      products.push_back(op);
  });
  for (Operation *op : products)
    if (auto generic = dyn_cast<linalg::GenericOp>(op))
      multiplyIntegers(generic, info);
    else
      convolveIntegers(cast<ConvOp>(op), info);
}
