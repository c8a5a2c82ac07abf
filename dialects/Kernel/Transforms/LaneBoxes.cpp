//===- LaneBoxes.cpp - boxes of memory and tiles' ways to lie
//--------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Tiles that are read from and written to memory where they may lie across its
// edge; tiles that are handed from one layout to another, by way of workgroup
// memory; copies of boxes as copies of runs.
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/Lanes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

/// The most bytes of a copy.
static constexpr int64_t kRunBytes = 16;

/// The sizes of a memref in form(tiled) or form(lanes), null where a dim that
/// is not constant is no binding's.
static SmallVector<OpFoldResult> sizesOf(FuncOp kernel, Value memref) {
  if (auto arg = dyn_cast<BlockArgument>(memref);
      arg && arg.getOwner() == &kernel.getBody().front())
    return kernel.getMixedSizesOf(arg.getArgNumber() - kernel.getNumSizes());
  SmallVector<OpFoldResult> sizes;
  for (int64_t n : cast<MemRefType>(memref.getType()).getShape())
    sizes.push_back(ShapedType::isDynamic(n)
                        ? OpFoldResult()
                        : OpFoldResult(IntegerAttr::get(
                              IndexType::get(memref.getContext()), n)));
  return sizes;
}

//===----------------------------------------------------------------------===//
// Reads and writes
//===----------------------------------------------------------------------===//

/// Whether the element at `indices` is inside in the dims that may not be; null
/// if none is. Nothing where a size is not known.
static std::optional<Value> insideOf(OpBuilder &b, Location loc,
                                     ArrayRef<OpFoldResult> sizes,
                                     ArrayRef<bool> inBounds,
                                     ValueRange indices) {
  Value inside;
  unsigned first = indices.size() - inBounds.size();
  for (auto [d, in] : llvm::enumerate(inBounds)) {
    if (in)
      continue;
    OpFoldResult size = sizes[first + d];
    if (!size)
      return std::nullopt;
    Value below = arith::CmpIOp::create(
        b, loc, arith::CmpIPredicate::ult, indices[first + d],
        getValueOrCreateConstantIndexOp(b, loc, size));
    inside = inside ? arith::AndIOp::create(b, loc, inside, below).getResult()
                    : below;
  }
  return inside;
}

/// How many registers from `r` on hold elements side by side along the last
/// dim, from a multiple of their number on.
static int64_t runAt(const LaneLayout &layout, unsigned r, Type element) {
  int64_t bits = element.getIntOrFloatBitWidth(), run = 1;
  ArrayRef<int64_t> first = layout.offsets[r];
  auto follows = [&](int64_t i) {
    ArrayRef<int64_t> at = layout.offsets[r + i];
    return at.drop_back() == first.drop_back() && at.back() == first.back() + i;
  };
  while (bits * run * 2 <= kRunBytes * 8 &&
         r + run * 2 <= int64_t(layout.offsets.size()) &&
         first.back() % (run * 2) == 0 &&
         llvm::all_of(llvm::seq(run, run * 2), follows))
    run *= 2;
  return run;
}

/// The elements from `place` on.
static void loadRun(OpBuilder &b, Location loc, Value memref, ValueRange place,
                    int64_t run, SmallVectorImpl<Value> &elements) {
  if (run == 1)
    return elements.push_back(memref::LoadOp::create(b, loc, memref, place));
  Type element = cast<MemRefType>(memref.getType()).getElementType();
  Value v = vector::LoadOp::create(b, loc, VectorType::get({run}, element),
                                   memref, place);
  for (int64_t e = 0; e < run; ++e)
    elements.push_back(vector::ExtractOp::create(b, loc, v, e));
}

static void storeRun(OpBuilder &b, Location loc, Value memref, ValueRange place,
                     ArrayRef<Value> elements) {
  if (elements.size() == 1) {
    memref::StoreOp::create(b, loc, elements[0], memref, place);
    return;
  }
  auto type =
      VectorType::get({int64_t(elements.size())}, elements[0].getType());
  Value v = vector::FromElementsOp::create(b, loc, type, elements);
  vector::StoreOp::create(b, loc, v, memref, place);
}

/// Whether runs may be taken: the last dim is contiguous, and all of a run is
/// inside.
static bool hasRuns(Value memref, ArrayRef<bool> inBounds) {
  SmallVector<int64_t> strides;
  int64_t offset;
  return inBounds.back() &&
         succeeded(cast<MemRefType>(memref.getType())
                       .getStridesAndOffset(strides, offset)) &&
         strides.back() == 1;
}

template <typename Op> static bool isPlain(Op op) {
  return op.getPermutationMap().isMinorIdentity() && !op.getMask() &&
         isa<MemRefType>(op.getBase().getType());
}

/// A tile all of whose columns are the memory's only dim: a value a row, which
/// a lane reads for the rows that it has.
static bool isValueARow(vector::TransferReadOp op) {
  MLIRContext *ctx = op.getContext();
  auto map = AffineMap::get(
      1, 0, {getAffineDimExpr(0, ctx), getAffineConstantExpr(0, ctx)}, ctx);
  return op.getPermutationMap() == map && !op.getMask() &&
         isa<MemRefType>(op.getBase().getType()) && !op.hasOutOfBoundsDim();
}

LogicalResult LaneBuilder::emitBoundedRead(vector::TransferReadOp op) {
  Location loc = op.getLoc();
  if (isValueARow(op)) {
    const LaneLayout &layout = *layoutOf(op.getResult());
    llvm::SmallDenseMap<int64_t, Value> rows;
    for (ArrayRef<int64_t> offset : layout.offsets) {
      Value &v = rows[offset[0]];
      if (!v) {
        Value row =
            arith::AddIOp::create(b, loc, uniform(op.getIndices()[0]),
                                  arith::AddIOp::create(b, loc, layout.base[0],
                                                        index(loc, offset[0])));
        v = memref::LoadOp::create(b, loc, uniform(op.getBase()), row);
      }
      tiles[op.getResult()].push_back(v);
    }
    return success();
  }
  if (!isPlain(op))
    return op.emitError("on tiles has no lowering to form(lanes) yet");
  const LaneLayout &layout = *layoutOf(op.getResult());
  Value memref = uniform(op.getBase()), padding = uniform(op.getPadding());
  SmallVector<Value> indices = uniform(op.getIndices());
  SmallVector<OpFoldResult> sizes = sizesOf(kernel, memref);
  SmallVector<bool> inBounds = op.getInBoundsValues();
  SmallVector<Value> &result = tiles[op.getResult()];
  bool runs = hasRuns(memref, inBounds);
  int64_t run;
  for (unsigned r = 0; r < layout.offsets.size(); r += run) {
    run = runs ? runAt(layout, r, padding.getType()) : 1;
    SmallVector<Value> place = at(loc, layout, r, indices);
    std::optional<Value> inside = insideOf(b, loc, sizes, inBounds, place);
    if (!inside)
      return op.emitError("may lie across an edge that is not known");
    if (!*inside) {
      loadRun(b, loc, memref, place, run, result);
      continue;
    }
    SmallVector<Type> types(run, padding.getType());
    auto branch = scf::IfOp::create(b, loc, types, *inside, true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(&branch.getThenRegion().front());
    SmallVector<Value> elements;
    loadRun(b, loc, memref, place, run, elements);
    scf::YieldOp::create(b, loc, elements);
    b.setInsertionPointToStart(&branch.getElseRegion().front());
    scf::YieldOp::create(b, loc, SmallVector<Value>(run, padding));
    llvm::append_range(result, branch.getResults());
  }
  return success();
}

LogicalResult LaneBuilder::emitBoundedWrite(vector::TransferWriteOp op) {
  Location loc = op.getLoc();
  if (!isPlain(op))
    return op.emitError("on tiles has no lowering to form(lanes) yet");
  const LaneLayout &layout = *layoutOf(op.getVector());
  Value memref = uniform(op.getBase());
  SmallVector<Value> indices = uniform(op.getIndices());
  SmallVector<OpFoldResult> sizes = sizesOf(kernel, memref);
  SmallVector<bool> inBounds = op.getInBoundsValues();
  SmallVector<Value> held(registers(op.getVector()));
  bool runs = hasRuns(memref, inBounds);
  int64_t run;
  for (unsigned r = 0; r < held.size(); r += run) {
    run = runs ? runAt(layout, r, held[r].getType()) : 1;
    SmallVector<Value> place = at(loc, layout, r, indices);
    std::optional<Value> inside = insideOf(b, loc, sizes, inBounds, place);
    if (!inside)
      return op.emitError("may lie across an edge that is not known");
    OpBuilder::InsertionGuard guard(b);
    if (*inside) {
      auto branch =
          scf::IfOp::create(b, loc, *inside, /*withElseRegion=*/false);
      b.setInsertionPoint(branch.thenBlock()->getTerminator());
    }
    storeRun(b, loc, memref, place, ArrayRef(held).slice(r, run));
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Relayouts
//===----------------------------------------------------------------------===//

LogicalResult LaneBuilder::emitRelayout(RelayoutOp op) {
  Location loc = op.getLoc();
  const LaneLayout *from = layoutOf(op.getSource()),
                   *to = layoutOf(op.getResult());
  if (!from || !to)
    return op.emitError("has a layout that is not one of ")
           << group << " lanes in subgroups of " << subgroup;
  auto type = cast<VectorType>(op.getSource().getType());
  Value memory;
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointAfterValue(lane);
    memory =
        AllocOp::create(b, loc,
                        MemRefType::get(type.getShape(), type.getElementType(),
                                        AffineMap(), kWorkgroupSpace));
  }
  SmallVector<Value> zeros(type.getRank(), index(loc, 0)),
      held(registers(op.getSource()));
  int64_t run;
  for (unsigned r = 0; r < held.size(); r += run) {
    run = runAt(*from, r, type.getElementType());
    storeRun(b, loc, memory, at(loc, *from, r, zeros),
             ArrayRef(held).slice(r, run));
  }
  barrier(loc);
  SmallVector<Value> &result = tiles[op.getResult()];
  for (unsigned r = 0; r < to->offsets.size(); r += run) {
    run = runAt(*to, r, type.getElementType());
    loadRun(b, loc, memory, at(loc, *to, r, zeros), run, result);
  }
  // The memory serves again when this statement is repeated.
  barrier(loc);
  return success();
}

//===----------------------------------------------------------------------===//
// Copies of boxes
//===----------------------------------------------------------------------===//

/// Elements that are copied at once: all inside or none, and aligned.
static int64_t runOf(FuncOp kernel, AsyncCopyOp op) {
  auto source = cast<MemRefType>(op.getSource().getType()),
       tile = cast<MemRefType>(op.getTile().getType());
  auto arg = dyn_cast<BlockArgument>(op.getSource());
  int64_t offset;
  SmallVector<int64_t> strides, tileStrides = tile.getStridesAndOffset().first;
  if (failed(source.getStridesAndOffset(strides, offset)))
    return 1;
  int64_t bytes = source.getElementTypeBitWidth() / 8;
  if (!arg || arg.getOwner() != &kernel.getBody().front() || offset ||
      strides.back() != 1 || tileStrides.back() != 1 || !bytes)
    return 1;
  int64_t align = kernel.getAlign()[arg.getArgNumber() - kernel.getNumSizes()],
          run = kRunBytes / bytes;
  auto fits = [&](int64_t n) {
    auto divides = [n](ArrayRef<int64_t> strides) {
      return llvm::all_of(strides.drop_back(), [n](int64_t s) {
        return !ShapedType::isDynamic(s) && s % n == 0;
      });
    };
    int64_t last = source.getShape().back();
    return align % (n * bytes) == 0 && align && divides(strides) &&
           divides(tileStrides) && !ShapedType::isDynamic(last) &&
           last % n == 0 && tile.getShape().back() % n == 0 &&
           isMultiple(op.getIndices().back(), n);
  };
  while (run > 1 && !fits(run))
    run /= 2;
  return run * bytes < 4 ? 1 : run;
}

/// An scf.forall over the runs of the tile. Outside of the source are zeros.
static void expand(FuncOp kernel, AsyncCopyOp op) {
  OpBuilder b(op);
  Location loc = op.getLoc();
  auto tile = cast<MemRefType>(op.getTile().getType());
  int64_t run = runOf(kernel, op);
  SmallVector<OpFoldResult> extents, sizes = sizesOf(kernel, op.getSource());
  for (int64_t n : tile.getShape())
    extents.push_back(b.getIndexAttr(n));
  extents.back() = b.getIndexAttr(tile.getShape().back() / run);
  auto forall =
      scf::ForallOp::create(b, loc, extents, ValueRange(), std::nullopt);
  b.setInsertionPoint(forall.getTerminator());
  SmallVector<Value> place(forall.getInductionVars()), from;
  if (run > 1)
    place.back() = arith::MulIOp::create(
        b, loc, place.back(), arith::ConstantIndexOp::create(b, loc, run));
  for (auto [at, i] : llvm::zip_equal(op.getIndices(), place))
    from.push_back(arith::AddIOp::create(b, loc, at, i));
  Value inside =
      *insideOf(b, loc, sizes, SmallVector<bool>(place.size(), false), from);
  if (run > 1) {
    AsyncRunOp::create(b, loc, op.getSource(), from, op.getTile(), place, run,
                       inside);
  } else {
    Type type = tile.getElementType();
    auto branch = scf::IfOp::create(b, loc, type, inside, true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(&branch.getThenRegion().front());
    Value v = memref::LoadOp::create(b, loc, op.getSource(), from);
    scf::YieldOp::create(b, loc, v);
    b.setInsertionPointToStart(&branch.getElseRegion().front());
    Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(type));
    scf::YieldOp::create(b, loc, zero);
    b.setInsertionPointAfter(branch);
    memref::StoreOp::create(b, loc, branch.getResult(0), op.getTile(), place);
  }
  op.erase();
}

void kernel::expandBoxCopies(FuncOp kernel) {
  SmallVector<AsyncCopyOp> copies;
  kernel.walk([&](AsyncCopyOp op) {
    // A binding's sizes are known, and boxes have its rank.
    bool known = llvm::all_of(sizesOf(kernel, op.getSource()),
                              [](OpFoldResult n) { return bool(n); });
    if (known && op.getIndices().size() ==
                     size_t(cast<MemRefType>(op.getTile().getType()).getRank()))
      copies.push_back(op);
  });
  for (AsyncCopyOp op : copies)
    expand(kernel, op);
}
