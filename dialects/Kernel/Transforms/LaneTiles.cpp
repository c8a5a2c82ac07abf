//===- LaneTiles.cpp - a workgroup's tiles as lanes' registers ------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A tile of rank 1 lies across the lanes, element e in lane e % group, so that
// the lanes read memory side by side. A tile of rank 2, the accumulator of a
// product, lies across a grid of lanes in both dims. Every op on tiles is then
// one op a register.
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/Lanes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

/// How many lanes lie along the columns of a `rows` x `columns` tile: about as
/// many registers either way, and no more than there are columns.
static int64_t lanesAlong(int64_t rows, int64_t columns, int64_t group) {
  int64_t along = 1;
  while (
      along * 2 <= columns && along * 2 <= group &&
      (group / (along * 2) >= rows || columns / along > rows * along / group))
    along *= 2;
  return along;
}

const LaneLayout *LaneBuilder::layoutOf(Value tile) {
  auto type = cast<VectorType>(tile.getType());
  const Anchor *anchor = anchorOf(tile);
  if (type.getRank() < 1 || type.getRank() > 2 || type.isScalable() ||
      (!anchor && type.getNumElements() % group))
    return nullptr;
  auto key = VectorType::get(type.getShape(), b.getI1Type());
  auto [it, fresh] = layouts.try_emplace({key, anchor});
  LaneLayout &layout = it->second;
  if (!fresh)
    return layout.base.empty() ? nullptr : &layout;
  Location loc = kernel.getLoc();
  // Of the lane alone: computed once, where every use can see it.
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointAfterValue(lane);
  if (anchor && anchor->layout)
    return givenLayout(type, anchor->layout, layout) ? &layout : nullptr;
  if (anchor)
    return unitLayout(type, *anchor, layout) ? &layout : nullptr;
  if (type.getRank() == 1) {
    layout.base = {lane};
    for (int64_t e = 0; e < type.getNumElements(); e += group)
      layout.offsets.push_back({e});
    return &layout;
  }
  int64_t rows = type.getDimSize(0), columns = type.getDimSize(1);
  int64_t x = lanesAlong(rows, columns, group), y = group / x;
  if (rows % y || columns % x)
    return nullptr;
  Value width = index(loc, x);
  layout.base = {arith::DivUIOp::create(b, loc, lane, width),
                 arith::RemUIOp::create(b, loc, lane, width)};
  for (int64_t i = 0; i < rows; i += y)
    for (int64_t j = 0; j < columns; j += x)
      layout.offsets.push_back({i, j});
  return &layout;
}

SmallVector<Value> LaneBuilder::at(Location loc, const LaneLayout &layout,
                                   unsigned r, ValueRange indices) {
  SmallVector<Value> found(indices);
  unsigned rank = layout.base.size(), first = found.size() - rank;
  for (unsigned d = 0; d < rank; ++d) {
    Value &v = found[first + d];
    v = arith::AddIOp::create(b, loc, v, layout.base[d]);
    if (int64_t offset = layout.offsets[r][d])
      v = arith::AddIOp::create(b, loc, v, index(loc, offset));
  }
  return found;
}

LogicalResult LaneBuilder::emitTile(Operation *op) {
  Location loc = op->getLoc();
  Value tile;
  for (Value v : op->getOperands())
    if (isa<VectorType>(v.getType()))
      tile = v;
  for (Value v : op->getResults())
    if (isa<VectorType>(v.getType()))
      tile = v;
  auto type = cast<VectorType>(tile.getType());
  if (auto relayout = dyn_cast<RelayoutOp>(op))
    return emitRelayout(relayout);
  const LaneLayout *layout = layoutOf(tile);
  if (!layout)
    return op->emitError("has a tile that cannot be dealt to ")
           << group << " lanes";
  if (auto read = dyn_cast<vector::TransferReadOp>(op))
    return emitBoundedRead(read);
  if (auto write = dyn_cast<vector::TransferWriteOp>(op))
    return emitBoundedWrite(write);
  unsigned count = layout->offsets.size();
  SmallVector<Value> result;
  auto each = [&](function_ref<Value(unsigned)> make) {
    for (unsigned r = 0; r < count; ++r)
      result.push_back(make(r));
  };
  auto guarded = [&](Value condition, Value otherwise,
                     function_ref<Value()> make) {
    auto branch = scf::IfOp::create(
        b, loc, otherwise ? TypeRange(otherwise.getType()) : TypeRange(),
        condition, /*withElseRegion=*/bool(otherwise));
    OpBuilder::InsertionGuard guard(b);
    Block &then = branch.getThenRegion().front();
    if (!otherwise) {
      b.setInsertionPoint(then.getTerminator());
      make();
      return Value();
    }
    b.setInsertionPointToStart(&then);
    scf::YieldOp::create(b, loc, make());
    b.setInsertionPointToStart(&branch.getElseRegion().front());
    scf::YieldOp::create(b, loc, otherwise);
    return branch.getResult(0);
  };

  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    auto dense = dyn_cast<DenseElementsAttr>(constant.getValue());
    if (!dense || !dense.isSplat())
      return op->emitError("is no constant of one value");
    Value v = arith::ConstantOp::create(
        b, loc, cast<TypedAttr>(dense.getSplatValue<Attribute>()));
    each([&](unsigned) { return v; });
  } else if (auto broadcast = dyn_cast<vector::BroadcastOp>(op)) {
    if (isa<VectorType>(broadcast.getSource().getType()))
      return op->emitError("of a tile to a tile is not dealt to lanes yet");
    Value v = uniform(broadcast.getSource());
    each([&](unsigned) { return v; });
  } else if (auto mask = dyn_cast<vector::CreateMaskOp>(op);
             mask && type.getRank() == 1) {
    Value n = uniform(mask.getOperands()[0]), zero = index(loc, 0);
    each([&](unsigned r) {
      return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt,
                                   at(loc, *layout, r, zero)[0], n);
    });
  } else if (auto slice = dyn_cast<vector::ExtractStridedSliceOp>(op)) {
    // Its source has the type that counts here; its result was taken above.
    int64_t offset = cast<IntegerAttr>(slice.getOffsets()[0]).getInt();
    if (type.getRank() != 1 || offset % group)
      return op->emitError("cuts a tile between lanes");
    result.assign(registers(slice.getSource())
                      .slice(offset / group, type.getNumElements() / group));
  } else if (auto load = dyn_cast<vector::LoadOp>(op)) {
    Value memref = uniform(load.getBase());
    SmallVector<Value> indices = uniform(load.getIndices());
    each([&](unsigned r) {
      return memref::LoadOp::create(b, loc, memref,
                                    at(loc, *layout, r, indices));
    });
  } else if (auto load = dyn_cast<vector::MaskedLoadOp>(op)) {
    Value memref = uniform(load.getBase());
    SmallVector<Value> indices = uniform(load.getIndices()),
                       masks(registers(load.getMask())),
                       otherwise(registers(load.getPassThru()));
    each([&](unsigned r) {
      return guarded(masks[r], otherwise[r], [&] {
        return memref::LoadOp::create(b, loc, memref,
                                      at(loc, *layout, r, indices));
      });
    });
  } else if (auto store = dyn_cast<vector::StoreOp>(op)) {
    SmallVector<Value> indices = uniform(store.getIndices());
    for (auto [r, v] : llvm::enumerate(registers(store.getValueToStore())))
      memref::StoreOp::create(b, loc, v, uniform(store.getBase()),
                              at(loc, *layout, r, indices));
  } else if (auto store = dyn_cast<vector::MaskedStoreOp>(op)) {
    SmallVector<Value> indices = uniform(store.getIndices()),
                       masks(registers(store.getMask()));
    for (auto [r, v] : llvm::enumerate(registers(store.getValueToStore())))
      guarded(masks[r], Value(), [&, r = r, v = v] {
        memref::StoreOp::create(b, loc, v, uniform(store.getBase()),
                                at(loc, *layout, r, indices));
        return Value();
      });
  } else if (auto reduction = dyn_cast<vector::ReductionOp>(op)) {
    arith::FastMathFlagsAttr flags = reduction.getFastmathAttr();
    SmallVector<Value> parts(registers(reduction.getVector()));
    Value v = parts[0];
    for (Value part : ArrayRef(parts).drop_front())
      v = vector::makeArithReduction(b, loc, reduction.getKind(), v, part,
                                     flags);
    v = reduceGroup(loc, reduction.getKind(), v);
    if (reduction.getAcc())
      v = vector::makeArithReduction(b, loc, reduction.getKind(), v,
                                     uniform(reduction.getAcc()), flags);
    map.map(reduction.getResult(), v);
    return success();
  } else if (op->getNumRegions() == 0 && op->getNumResults() == 1 &&
             (OpTrait::hasElementwiseMappableTraits(op) ||
              isa<vector::FMAOp>(op))) {
    Type element =
        cast<VectorType>(op->getResult(0).getType()).getElementType();
    each([&](unsigned r) -> Value {
      SmallVector<Value> operands;
      for (Value v : op->getOperands())
        operands.push_back(isa<VectorType>(v.getType()) ? registers(v)[r]
                                                        : uniform(v));
      if (isa<vector::FMAOp>(op))
        return math::FmaOp::create(b, loc, operands[0], operands[1],
                                   operands[2])
            .getResult();
      OperationState state(loc, op->getName(), operands, {element},
                           op->getAttrs());
      return b.create(state)->getResult(0);
    });
  } else {
    return op->emitError("on tiles has no lowering to form(lanes) yet");
  }
  if (op->getNumResults())
    tiles[op->getResult(0)] = std::move(result);
  return success();
}

//===----------------------------------------------------------------------===//
// Reductions over the group
//===----------------------------------------------------------------------===//

/// The value of the lane whose number differs in bit `distance`.
Value LaneBuilder::shuffle(Location loc, Value v, int64_t distance) {
  Type type = v.getType();
  unsigned bits = type.getIntOrFloatBitWidth();
  Type own = b.getIntegerType(bits), word = b.getI32Type();
  Value raw = type == own ? v : arith::BitcastOp::create(b, loc, own, v);
  auto swap = [&](Value part) -> Value {
    return ShuffleOp::create(b, loc, part, distance);
  };
  if (bits == 32) {
    raw = swap(raw);
  } else if (bits < 32) {
    raw = swap(arith::ExtUIOp::create(b, loc, word, raw));
    raw = arith::TruncIOp::create(b, loc, own, raw);
  } else {
    Value shift = arith::ConstantOp::create(b, loc, b.getI64IntegerAttr(32));
    Value low = swap(arith::TruncIOp::create(b, loc, word, raw));
    Value high = swap(arith::TruncIOp::create(
        b, loc, word, arith::ShRUIOp::create(b, loc, raw, shift)));
    low = arith::ExtUIOp::create(b, loc, own, low);
    high = arith::ShLIOp::create(
        b, loc, arith::ExtUIOp::create(b, loc, own, high), shift);
    raw = arith::OrIOp::create(b, loc, low, high);
  }
  return type == own ? raw : arith::BitcastOp::create(b, loc, type, raw);
}

/// Within subgroups by shuffles, as far as they are known; then one value a
/// subgroup through workgroup memory, which every lane reads and joins in the
/// same order.
Value LaneBuilder::reduceGroup(Location loc, vector::CombiningKind kind,
                               Value v) {
  auto combine = [&](Value x, Value y) {
    return vector::makeArithReduction(b, loc, kind, x, y);
  };
  int64_t joined = 1; // lanes whose values v holds
  for (; joined < std::min<int64_t>(subgroup, group); joined *= 2)
    v = combine(v, shuffle(loc, v, joined));
  int64_t parts = group / joined;
  if (parts == 1)
    return v;
  Type type = v.getType();
  bool isBool = type.isInteger(1); // a byte in memory
  Type held = isBool ? b.getI8Type() : type;
  Value memory;
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointAfterValue(lane);
    memory = AllocOp::create(
        b, loc, MemRefType::get({parts}, held, AffineMap(), kWorkgroupSpace));
  }
  auto store = [&](Value v, Value at) {
    if (isBool)
      v = arith::ExtUIOp::create(b, loc, held, v);
    memref::StoreOp::create(b, loc, v, memory, at);
  };
  auto load = [&](Value at) -> Value {
    Value v = memref::LoadOp::create(b, loc, memory, at);
    return isBool ? arith::TruncIOp::create(b, loc, type, v).getResult() : v;
  };
  auto when = [&](Value condition, function_ref<void()> make) {
    auto branch =
        scf::IfOp::create(b, loc, condition, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(branch.thenBlock()->getTerminator());
    make();
  };
  auto below = [&](Value x, int64_t n) -> Value {
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, x,
                                 index(loc, n));
  };
  if (joined == 1) {
    // No subgroups that are known: a tree.
    store(v, lane);
    for (int64_t half = parts / 2; half; half /= 2) {
      barrier(loc);
      when(below(lane, half), [&] {
        Value other = arith::AddIOp::create(b, loc, lane, index(loc, half));
        store(combine(load(lane), load(other)), lane);
      });
    }
    barrier(loc);
    v = load(index(loc, 0));
  } else {
    Value width = index(loc, joined);
    Value within = arith::RemUIOp::create(b, loc, lane, width);
    when(below(within, 1),
         [&] { store(v, arith::DivUIOp::create(b, loc, lane, width)); });
    barrier(loc);
    v = load(index(loc, 0));
    for (int64_t i = 1; i < parts; ++i)
      v = combine(v, load(index(loc, i)));
  }
  // The memory serves again when this statement is repeated.
  barrier(loc);
  return v;
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

/// By multiply-add: each lane has some rows and columns of the accumulator and
/// reads them of A and B from workgroup memory.
LogicalResult LaneBuilder::emitMma(MmaOp op) {
  Location loc = op.getLoc();
  auto type = cast<VectorType>(op.getAcc().getType());
  auto a = dyn_cast<MemRefType>(op.getA().getType()),
       w = dyn_cast<MemRefType>(op.getB().getType());
  if (!a || !w || a.getElementType() != type.getElementType() ||
      w.getElementType() != type.getElementType())
    return op.emitError("has no lowering to form(lanes) yet: only products by "
                        "multiply-add of tiles in memory, in one type");
  const LaneLayout *layout = layoutOf(op.getAcc());
  if (!layout)
    return op.emitError("has a tile that cannot be dealt to ")
           << group << " lanes";
  SmallVector<Value> inits(registers(op.getAcc()));
  // Some steps side by side, to have loads in flight.
  int64_t steps = a.getDimSize(1) % 4 ? 1 : 4;
  auto loop =
      scf::ForOp::create(b, loc, index(loc, 0), index(loc, a.getDimSize(1)),
                         index(loc, steps), inits);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value zero = index(loc, 0);
    SmallVector<Value> sums(loop.getRegionIterArgs());
    for (int64_t step = 0; step < steps; ++step) {
      Value k = arith::AddIOp::create(b, loc, loop.getInductionVar(),
                                      index(loc, step));
      llvm::SmallDenseMap<int64_t, Value> rows, columns;
      for (auto [r, acc] : llvm::enumerate(sums)) {
        SmallVector<Value> place = at(loc, *layout, r, {zero, zero});
        Value &x = rows[layout->offsets[r][0]],
              &y = columns[layout->offsets[r][1]];
        if (!x)
          x = memref::LoadOp::create(b, loc, uniform(op.getA()),
                                     ValueRange{place[0], k});
        if (!y)
          y = memref::LoadOp::create(b, loc, uniform(op.getB()),
                                     ValueRange{k, place[1]});
        if (isa<FloatType>(type.getElementType()))
          acc = math::FmaOp::create(b, loc, x, y, acc);
        else
          acc = arith::AddIOp::create(b, loc, acc,
                                      arith::MulIOp::create(b, loc, x, y));
      }
    }
    scf::YieldOp::create(b, loc, sums);
  }
  tiles[op.getResult()] = SmallVector<Value>(loop.getResults());
  return success();
}

LogicalResult LaneBuilder::emitEach(EachOp op) {
  Location loc = op.getLoc();
  const LaneLayout *layout = layoutOf(op.getTile());
  if (!layout)
    return op.emitError("has a tile that cannot be dealt to ")
           << group << " lanes";
  Block &body = op.getBody().front();
  unsigned rank = body.getNumArguments() - 1;
  SmallVector<Value> zeros(rank, index(loc, 0)), held(registers(op.getTile()));
  for (auto [r, v] : llvm::enumerate(held)) {
    for (auto [arg, place] :
         llvm::zip(body.getArguments(), at(loc, *layout, r, zeros)))
      map.map(arg, place);
    map.map(body.getArgument(rank), v);
    for (Operation &inner : body)
      b.clone(inner, map);
  }
  return success();
}
