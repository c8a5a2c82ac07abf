//===- TileBuilder.cpp - what plans build form(tiled) with ----------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/TileBuilder.h"

#include "dialects/Graph/Graph.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Affine/Utils.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

/// Memory holds a bool as a byte.
static MemRefType inMemory(MemRefType type) {
  if (!type.getElementType().isInteger(1))
    return type;
  return MemRefType::get(type.getShape(),
                         IntegerType::get(type.getContext(), 8));
}

TileBuilder::TileBuilder(FuncOp kernel, int64_t lanes)
    : b(kernel), loc(kernel.getLoc()), source(kernel), lanes(lanes) {
  SmallVector<SizeRange> sizes;
  for (unsigned i = 0; i < kernel.getNumSizes(); ++i)
    sizes.push_back({kernel.getSizeMin()[i], kernel.getSizeMax()[i]});
  SmallVector<Binding> bindings;
  for (unsigned i = 0; i < kernel.getNumBindings(); ++i)
    bindings.push_back(
        {kernel.getAccessOf(i),
         inMemory(cast<MemRefType>(kernel.getBinding(i).getType())),
         SmallVector<int64_t>(kernel.getDimsOf(i)), kernel.getAlign()[i]});
  result =
      FuncOp::create(b, loc, kernel.getSymName(), Form::tiled, sizes, bindings);
  b.setInsertionPointToStart(&result.getBody().front());
  for (unsigned i = 0; i < kernel.getNumSizes(); ++i) {
    scalars.map(kernel.getSize(i), result.getSize(i));
    exprs[result.getSize(i)] = b.getAffineSymbolExpr(i);
  }
  for (Operation &op : kernel.getBody().front()) {
    if (auto in = dyn_cast<bufferization::ToTensorOp>(op)) {
      auto arg = cast<BlockArgument>(in.getBuffer());
      memory[in.getResult()] = result.getBody().getArgument(arg.getArgNumber());
    }
    if (auto out = dyn_cast<bufferization::MaterializeInDestinationOp>(op)) {
      auto arg = cast<BlockArgument>(out.getDest());
      memory[out.getSource()] =
          result.getBody().getArgument(arg.getArgNumber());
    }
  }
}

Value TileBuilder::scalar(Value v) {
  if (Value mapped = scalars.lookupOrNull(v))
    return mapped;
  Operation *op = v.getDefiningOp();
  assert(op && "a scalar of a kernel is a size or computed from sizes");
  for (Value operand : op->getOperands())
    scalar(operand);
  OpBuilder::InsertionGuard guard(b);
  if (scalarEnd)
    b.setInsertionPointAfter(scalarEnd);
  else
    b.setInsertionPointToStart(&result.getBody().front());
  scalarEnd = b.clone(*op, scalars);
  return scalars.lookup(v);
}

Value TileBuilder::index(int64_t v) {
  return arith::ConstantIndexOp::create(b, loc, v);
}

Value TileBuilder::toValue(OpFoldResult v) {
  if (auto attr = dyn_cast<Attribute>(v))
    return index(cast<IntegerAttr>(attr).getInt());
  return cast<Value>(v);
}

AffineExpr TileBuilder::sizeExpr(OpFoldResult v) {
  if (auto attr = dyn_cast<Attribute>(v))
    return b.getAffineConstantExpr(cast<IntegerAttr>(attr).getInt());
  if (AffineExpr e = exprs.lookup(cast<Value>(v)))
    return e;
  if (auto c = getConstantIntValue(v))
    return b.getAffineConstantExpr(*c);
  return {};
}

OpFoldResult TileBuilder::mul(OpFoldResult x, OpFoldResult y) {
  auto cx = getConstantIntValue(x), cy = getConstantIntValue(y);
  if (cx && cy)
    return b.getIndexAttr(*cx * *cy);
  if (cx && *cx == 1)
    return y;
  if (cy && *cy == 1)
    return x;
  Value v = arith::MulIOp::create(b, loc, toValue(x), toValue(y));
  AffineExpr ex = sizeExpr(x), ey = sizeExpr(y);
  if (ex && ey)
    exprs[v] = ex * ey;
  return v;
}

OpFoldResult TileBuilder::ceilDiv(OpFoldResult x, int64_t y) {
  if (auto cx = getConstantIntValue(x))
    return b.getIndexAttr(llvm::divideCeil(*cx, y));
  if (y == 1)
    return x;
  Value up = arith::AddIOp::create(b, loc, toValue(x), index(y - 1));
  Value v = arith::DivUIOp::create(b, loc, up, index(y));
  if (AffineExpr ex = sizeExpr(x))
    exprs[v] = ex.ceilDiv(y);
  return v;
}

Value TileBuilder::load(Value memref, ValueRange indices) {
  return memref::LoadOp::create(b, loc, memref, indices);
}

void TileBuilder::store(Value v, Value memref, ValueRange indices) {
  if (v.getType().isInteger(1))
    v = arith::ExtUIOp::create(b, loc, b.getI8Type(), v);
  memref::StoreOp::create(b, loc, v, memref, indices);
}

SmallVector<Value> TileBuilder::apply(AffineMap map, ValueRange dims) {
  SmallVector<Value> values;
  for (AffineExpr e : map.getResults())
    values.push_back(affine::expandAffineExpr(b, loc, e, dims, {}));
  return values;
}

void TileBuilder::fixTensorOps(Operation *root, ValueRange ivs) {
  SmallVector<Operation *> ops;
  root->walk([&](Operation *op) {
    if (isa<linalg::IndexOp, tensor::ExtractOp, memref::LoadOp,
            memref::StoreOp>(op))
      ops.push_back(op);
  });
  OpBuilder::InsertionGuard guard(b);
  for (Operation *op : ops) {
    b.setInsertionPoint(op);
    auto replaceLoad = [&](Value memref, ValueRange indices) {
      Value v = load(memref, indices);
      if (op->getResult(0).getType().isInteger(1) && !v.getType().isInteger(1))
        v = arith::TruncIOp::create(b, loc, b.getI1Type(), v);
      op->getResult(0).replaceAllUsesWith(v);
      op->erase();
    };
    if (auto i = dyn_cast<linalg::IndexOp>(op)) {
      i.getResult().replaceAllUsesWith(ivs[i.getDim()]);
      i.erase();
    } else if (auto extract = dyn_cast<tensor::ExtractOp>(op)) {
      // The clone still names the source body's tensor.
      replaceLoad(memoryOf(extract.getTensor()), extract.getIndices());
    } else if (auto l = dyn_cast<memref::LoadOp>(op)) {
      if (l.getResult().getType() !=
          cast<MemRefType>(l.getMemref().getType()).getElementType())
        replaceLoad(l.getMemref(), l.getIndices());
    } else if (auto s = dyn_cast<memref::StoreOp>(op)) {
      if (s.getValueToStore().getType().isInteger(1)) {
        store(s.getValueToStore(), s.getMemref(), s.getIndices());
        s.erase();
      }
    }
  }
}

SmallVector<Value> TileBuilder::inlineBody(linalg::LinalgOp op, ValueRange args,
                                           ValueRange ivs) {
  Block &block = op->getRegion(0).front();
  IRMapping map;
  for (auto [from, to] : llvm::zip_equal(block.getArguments(), args)) {
    Value v = to;
    if (from.getType().isInteger(1) && v.getType().isInteger(8))
      v = arith::TruncIOp::create(b, loc, b.getI1Type(), v);
    map.map(from, v);
  }
  // Scalars from outside the region, wherever they are used within.
  op->getRegion(0).walk([&](Operation *inner) {
    for (Value v : inner->getOperands())
      if (!isa<ShapedType>(v.getType()) && !map.contains(v) &&
          !op->getRegion(0).isAncestor(v.getParentRegion()))
        map.map(v, scalar(v));
  });
  SmallVector<Value> ivList(ivs);
  // A placeholder carries the yielded values through the rewriting of ops.
  Operation *yield = block.getTerminator();
  SmallVector<Operation *> clones;
  for (Operation &inner : block.without_terminator())
    clones.push_back(b.clone(inner, map));
  SmallVector<Value> yielded;
  for (Value v : yield->getOperands())
    yielded.push_back(map.lookupOrDefault(v));
  for (Value &v : yielded)
    if (Value mapped = scalars.lookupOrNull(v))
      v = mapped;
    else if (!isa<BlockArgument>(v) &&
             v.getDefiningOp()->getBlock() == &source.getBody().front())
      v = scalar(v);
  if (clones.empty())
    return yielded;
  // Values that fixTensorOps replaces must be found again: keep them alive in
  // a temporary op's operands.
  OperationState state(loc, "builtin.unrealized_conversion_cast");
  state.addOperands(yielded);
  SmallVector<Type> types(ValueRange(yielded).getTypes());
  state.addTypes(types);
  Operation *keeper = b.create(state);
  for (Operation *clone : clones)
    fixTensorOps(clone, ivList);
  yielded.assign(keeper->operand_begin(), keeper->operand_end());
  keeper->erase();
  return yielded;
}

void TileBuilder::forTile(ArrayRef<OpFoldResult> shape,
                          function_ref<void(ValueRange)> body) {
  auto forall =
      scf::ForallOp::create(b, loc, shape, ValueRange(), std::nullopt);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(forall.getBody());
  body(forall.getInductionVars());
}

SmallVector<Value> TileBuilder::makeGrid(ArrayRef<OpFoldResult> extents) {
  OpFoldResult total = b.getIndexAttr(1);
  AffineExpr expr = b.getAffineConstantExpr(1);
  for (OpFoldResult e : extents) {
    total = mul(total, e);
    AffineExpr part = sizeExpr(e);
    assert(part && "a grid extent must be an expression on the sizes");
    expr = expr * part;
  }
  result.setGridAttr(AffineMapAttr::get(
      AffineMap::get(0, result.getNumSizes(), expr, b.getContext())));
  return coordinatesOf(GroupIdOp::create(b, loc, b.getIndexType()), extents);
}

SmallVector<Value> TileBuilder::coordinatesOf(Value number,
                                              ArrayRef<OpFoldResult> extents) {
  SmallVector<Value> coordinates(extents.size());
  for (int64_t i = int64_t(extents.size()) - 1; i >= 0; --i) {
    if (isOneInteger(extents[i])) {
      coordinates[i] = index(0);
    } else if (i == 0) {
      coordinates[i] = number;
    } else {
      Value extent = toValue(extents[i]);
      coordinates[i] = arith::RemUIOp::create(b, loc, number, extent);
      number = arith::DivUIOp::create(b, loc, number, extent);
    }
  }
  return coordinates;
}

/// Where part `block` of a dim of `size` cut in parts of `step` begins, and its
/// length.
std::pair<Value, OpFoldResult> TileBuilder::part(Value block, OpFoldResult size,
                                                 int64_t step) {
  auto n = getConstantIntValue(size);
  if (n && *n == step)
    return {index(0), size};
  Value begin = step == 1
                    ? block
                    : Value(arith::MulIOp::create(b, loc, block, index(step)));
  if (step == 1)
    return {begin, b.getIndexAttr(1)};
  if (n && *n % step == 0)
    return {begin, b.getIndexAttr(step)};
  Value left = arith::SubIOp::create(b, loc, toValue(size), begin);
  return {begin, arith::MinUIOp::create(b, loc, left, index(step)).getResult()};
}

/// One point a lane, the points numbered through; one lane has them all.
void TileBuilder::forEachLane(ArrayRef<OpFoldResult> space,
                              function_ref<void(ValueRange)> body) {
  OpFoldResult total = b.getIndexAttr(1);
  for (OpFoldResult extent : space)
    total = mul(total, extent);
  int64_t group = lanes;
  if (auto n = getConstantIntValue(total)) // no more lanes than points
    group =
        std::min<int64_t>(group, std::max<int64_t>(32, llvm::PowerOf2Ceil(*n)));
  result.setGroup(group);
  int64_t chunk = group == 1 ? std::numeric_limits<int32_t>::max() : group;
  Value at = makeGrid({ceilDiv(total, chunk)})[0];
  auto [begin, count] = part(at, total, chunk);
  auto forall = scf::ForallOp::create(b, loc, ArrayRef<OpFoldResult>{count},
                                      ValueRange(), std::nullopt);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(forall.getBody());
  Value point = arith::AddIOp::create(b, loc, begin, forall.getInductionVar(0));
  body(coordinatesOf(point, space));
}

void TileBuilder::forEachPoint(ArrayRef<OpFoldResult> space, int64_t perGroup,
                               function_ref<void(ValueRange)> body) {
  if (lanes)
    return forEachLane(space, body);
  OpFoldResult one = b.getIndexAttr(1);
  OpFoldResult inner = space.empty() ? one : space.back();
  OpFoldResult rows = one;
  for (OpFoldResult e : space.empty() ? space : space.drop_back())
    rows = mul(rows, e);
  perGroup = std::max<int64_t>(perGroup, 1);
  int64_t chunk = perGroup, rowsPerGroup = 1;
  if (auto n = getConstantIntValue(inner)) {
    chunk = std::min(*n, perGroup);
    rowsPerGroup = std::max<int64_t>(1, perGroup / std::max<int64_t>(*n, 1));
    if (auto r = getConstantIntValue(rows))
      rowsPerGroup = std::min(rowsPerGroup, std::max<int64_t>(*r, 1));
  }
  chunk = std::max<int64_t>(chunk, 1);
  SmallVector<Value> at =
      makeGrid({ceilDiv(rows, rowsPerGroup), ceilDiv(inner, chunk)});

  auto [rowBegin, rowCount] = part(at[0], rows, rowsPerGroup);
  auto [innerBegin, innerCount] = part(at[1], inner, chunk);
  auto forall = scf::ForallOp::create(
      b, loc, ArrayRef<OpFoldResult>{rowCount, innerCount}, ValueRange(),
      std::nullopt);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(forall.getBody());
  Value rest =
      arith::AddIOp::create(b, loc, rowBegin, forall.getInductionVar(0));
  SmallVector<Value> ivs;
  if (!space.empty()) {
    ivs = coordinatesOf(rest, space.drop_back());
    ivs.push_back(
        arith::AddIOp::create(b, loc, innerBegin, forall.getInductionVar(1)));
  }
  body(ivs);
}

RingWaitOp TileBuilder::takeSlot(Value ring, Value step, Value ahead,
                                 function_ref<void(Value)> bring) {
  if (!ahead)
    bring(step);
  auto slot = RingWaitOp::create(
      b, loc, cast<RingType>(ring.getType()).getTiles(), ring, step);
  if (ahead)
    bring(arith::AddIOp::create(b, loc, step, ahead));
  return slot;
}

FuncOp TileBuilder::finish(StringRef plan) {
  b.setInsertionPointToEnd(&result.getBody().front());
  ReturnOp::create(b, loc);
  result.setPlan(plan);
  source.erase();
  return result;
}

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

SmallVector<OpFoldResult> kernel::sizesOf(TileBuilder &tb, Value tensor) {
  auto type = cast<RankedTensorType>(tensor.getType());
  SmallVector<OpFoldResult> sizes;
  auto mix = [&](ValueRange dynamic) {
    unsigned next = 0;
    for (int64_t dim : type.getShape())
      if (ShapedType::isDynamic(dim))
        sizes.push_back(tb.scalar(dynamic[next++]));
      else
        sizes.push_back(tb.b.getIndexAttr(dim));
    return sizes;
  };
  Operation *op = tensor.getDefiningOp();
  if (auto in = dyn_cast<bufferization::ToTensorOp>(op)) {
    auto arg = cast<BlockArgument>(in.getBuffer());
    sizes =
        tb.result.getMixedSizesOf(arg.getArgNumber() - tb.source.getNumSizes());
    return sizes;
  }
  if (auto empty = dyn_cast<tensor::EmptyOp>(op))
    return mix(empty.getDynamicSizes());
  if (auto generic = dyn_cast<linalg::LinalgOp>(op))
    return sizesOf(
        tb, generic.getDpsInits()[cast<OpResult>(tensor).getResultNumber()]);
  if (auto conv = dyn_cast<graph::ConvOp>(op))
    return mix(conv.getSizes());
  auto parallel = cast<graph::ParallelOp>(op);
  return mix(parallel.getSizesOf(cast<OpResult>(tensor).getResultNumber()));
}

SmallVector<OpFoldResult> kernel::loopSizes(TileBuilder &tb,
                                            linalg::LinalgOp op) {
  SmallVector<OpFoldResult> sizes(op.getNumLoops());
  for (OpOperand &operand : op->getOpOperands()) {
    if (!isa<RankedTensorType>(operand.get().getType()))
      continue;
    AffineMap map = op.getMatchingIndexingMap(&operand);
    SmallVector<OpFoldResult> dims;
    for (auto [i, e] : llvm::enumerate(map.getResults())) {
      auto d = dyn_cast<AffineDimExpr>(e);
      if (!d)
        continue;
      if (dims.empty())
        dims = sizesOf(tb, operand.get());
      OpFoldResult &size = sizes[d.getPosition()];
      if (!size || isa<Value>(size))
        size = dims[i];
    }
  }
  return sizes;
}
