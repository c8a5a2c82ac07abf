//===- RowsPlan.cpp - softmax, norms and reductions, row by row -----------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A workgroup takes some rows of a row group (RowGroup.h) and goes over each
// in passes. In a pass every reduction whose inputs are there is accumulated
// and every result that can be had is stored. Vectors run along the innermost
// dim: along the columns, with a row's reductions joined across lanes at its
// end; or, if that dim is one of the rows', across rows, each lane a row.
//
// What a later pass needs of an earlier one is computed again if that is
// cheap. Otherwise it is kept: in workgroup memory if a row fits there, or
// where a result of the group will lie, which is written only later.
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/MergeDims.h"
#include "dialects/Kernel/Transforms/Plans.h"
#include "dialects/Kernel/Transforms/RowBody.h"
#include "dialects/Kernel/Transforms/RowGroup.h"
#include "dialects/Kernel/Transforms/VectorBody.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

/// How much a body costs: ops, expensive ones counted ten.
static int64_t bodyCost(linalg::GenericOp op) {
  int64_t cost = 0;
  for (Operation &inner : op.getBody()->without_terminator())
    cost +=
        isa<math::MathDialect>(inner.getDialect()) || isa<arith::DivFOp>(inner)
            ? 10
            : 1;
  return cost;
}

/// From this cost on a value is kept rather than computed again.
static constexpr int64_t kKeepCost = 8;
/// What a workgroup should do at least, in the units of bodyCost.
static constexpr int64_t kGroupCost = 65536;
/// Assumed of dims that are not known.
static constexpr int64_t kTypicalSize = 256;

namespace {

class RowEmitter {
public:
  /// `lane` is the dim of the space that vectors run along; without `info`
  /// everything is on scalars.
  RowEmitter(TileBuilder &tb, const RowGroup &group, const TargetInfo *info,
             unsigned lane);
  void run(bool serial);

private:
  void chooseWidths(const TargetInfo &info);
  void chooseKept(int64_t bytes);
  bool keep(const RowPart &part, unsigned last, int64_t &bytes);
  std::vector<unsigned> passesOf(Value v);
  int64_t costOf(const RowPart &part);

  Value read(const RowPart &part, OpOperand &operand);
  Value valueOf(const RowPart &part);
  Value apply(const RowPart &part, Value acc);

  void emitRow();
  void emitPass(unsigned number);
  SmallVector<Value> columns(unsigned from, ValueRange accs);
  SmallVector<Value> sweep(ValueRange accs);
  SmallVector<Value> point(ValueRange accs);
  SmallVector<Value> loop(Value from, Value to, int64_t step, unsigned dim,
                          ValueRange accs,
                          function_ref<SmallVector<Value>(ValueRange)> body);
  SmallVector<Value> columnsSideBySide(unsigned run, ValueRange accs);
  Value neutralOf(const RowPart &part, int64_t width);
  Value maskFrom(Value at);

  TileBuilder &tb;
  OpBuilder &b;
  Location loc;
  const RowGroup &group;

  // The space with neighbouring dims merged.
  SmallVector<SmallVector<unsigned>> runs;
  SmallVector<utils::IteratorType> kinds;
  SmallVector<OpFoldResult> sizes;
  unsigned laneRun = 0;
  bool vectors, along;
  int64_t lanes = 0, unroll = 1;

  DenseMap<OpOperand *, RowPlace> inputs;
  DenseMap<Value, RowPlace> outputs;
  struct Kept {
    RowPlace place;
    unsigned pass; // that stores it
  };
  DenseMap<Value, Kept> kept;

  // While a row is emitted.
  SmallVector<Value> ivs;
  DenseMap<Value, Value> ofRow;   // results of reductions, values of rows
  DenseMap<Value, Value> ofPoint; // values at the columns being emitted
  unsigned pass = 0;
  int64_t width = 0; // of values at these columns, 0: scalars
  Value mask;        // lanes that are inside, null: all
  SmallVector<const RowPart *> reductions, stores; // of this pass
};

} // namespace

RowEmitter::RowEmitter(TileBuilder &tb, const RowGroup &group,
                       const TargetInfo *info, unsigned lane)
    : tb(tb), b(tb.b), loc(tb.loc), group(group), vectors(info),
      along(info && group.isColumn(lane)) {
  // What lies in memory, and how.
  unsigned rank = group.rank();
  SmallVector<AffineMap> maps;
  SmallVector<OpFoldResult> dimSizes(rank);
  bool named = false; // loops are named one by one
  for (const RowPart &part : group.parts) {
    linalg::GenericOp op = part.op;
    named |= op.hasIndexSemantics();
    for (OpOperand *operand : op.getDpsInputOperands())
      if (!group.partOf(operand->get()) &&
          isa<RankedTensorType>(operand->get().getType()))
        maps.push_back(part.mapOf(*operand, rank));
    if (tb.memoryOf(part.result()))
      maps.push_back(part.resultMap(rank));
    for (auto [dim, size] : llvm::zip_equal(part.dims, loopSizes(tb, op)))
      if (dim != kUnitDim && (!dimSizes[dim] || isa<Value>(dimSizes[dim])))
        dimSizes[dim] = size;
  }
  if (named)
    for (unsigned d = 0; d < rank; ++d)
      runs.push_back({d});
  else
    runs = mergeDims(maps, group.kinds);
  for (ArrayRef<unsigned> run : runs) {
    OpFoldResult size = b.getIndexAttr(1);
    for (unsigned d : run)
      size = tb.mul(size, dimSizes[d]);
    sizes.push_back(size);
    kinds.push_back(group.kinds[run[0]]);
    if (llvm::is_contained(run, lane))
      laneRun = sizes.size() - 1;
  }
  auto place = [&](Value tensor, Value memref, AffineMap map) {
    RowPlace place;
    std::tie(place.memref, place.map) = mergeOperand(tb, memref, map, runs);
    place.varies = place.map.isFunctionOfDim(laneRun);
    place.isBool =
        cast<RankedTensorType>(tensor.getType()).getElementType().isInteger(1);
    return place;
  };
  for (const RowPart &part : group.parts) {
    linalg::GenericOp op = part.op;
    for (OpOperand *operand : op.getDpsInputOperands())
      if (!group.partOf(operand->get()) &&
          isa<RankedTensorType>(operand->get().getType()))
        inputs[operand] = place(operand->get(), tb.memoryOf(operand->get()),
                                part.mapOf(*operand, rank));
    if (Value memref = tb.memoryOf(part.result()))
      outputs[part.result()] =
          place(part.result(), memref, part.resultMap(rank));
  }
  if (!info)
    return;
  chooseWidths(*info);
  chooseKept(info->workgroupBytes ? info->workgroupBytes : info->l1Bytes / 2);
}

/// As many registers in flight as there are to hide latencies, and no more than
/// the innermost dim can fill.
void RowEmitter::chooseWidths(const TargetInfo &info) {
  int64_t most = 0;
  for (const RowPart &part : group.parts)
    if (part.full)
      most = std::max(most, bodyCost(part.op));
  lanes = std::max<int64_t>(info.vectorBytes / 4, 4);
  unroll = most >= 10 && info.vectorRegisters < 32 ? 2 : 4;
  if (auto n = getConstantIntValue(sizes[laneRun])) {
    while (along && unroll > 1 && *n < lanes * unroll)
      unroll /= 2;
    while (lanes > 4 && *n <= lanes / 2)
      lanes /= 2;
  }
}

//===----------------------------------------------------------------------===//
// What is kept from pass to pass
//===----------------------------------------------------------------------===//

int64_t RowEmitter::costOf(const RowPart &part) {
  int64_t cost = bodyCost(part.op);
  for (OpOperand *operand : linalg::GenericOp(part.op).getDpsInputOperands()) {
    const RowPart *from = group.partOf(operand->get());
    bool again =
        from && from->full && !from->reduces && !kept.contains(from->result());
    cost += again ? costOf(*from) : 1;
  }
  return cost;
}

/// The passes that compute or read `v`, a full part's.
std::vector<unsigned> RowEmitter::passesOf(Value v) {
  std::vector<unsigned> found;
  auto add = [&](unsigned p) {
    if (!llvm::is_contained(found, p))
      found.push_back(p);
  };
  if (outputs.contains(v))
    add(group.partOf(v)->pass);
  for (const RowPart &part : group.parts) {
    if (!part.full || !llvm::is_contained(part.op->getOperands(), v))
      continue;
    auto it = kept.find(part.result());
    if (part.reduces)
      add(part.pass);
    else if (it != kept.end())
      add(it->second.pass);
    else
      for (unsigned p : passesOf(part.result()))
        add(p);
  }
  llvm::sort(found);
  return found;
}

bool RowEmitter::keep(const RowPart &part, unsigned last, int64_t &bytes) {
  Type element =
      cast<RankedTensorType>(part.result().getType()).getElementType();
  if (element.isInteger(1))
    return false;
  // Workgroup memory for the columns of as many rows as there are at a time.
  SmallVector<int64_t> shape;
  SmallVector<AffineExpr> at;
  int64_t need = llvm::divideCeil(element.getIntOrFloatBitWidth(), 8);
  bool fits = true;
  for (auto [i, size] : llvm::enumerate(sizes)) {
    if (kinds[i] != utils::IteratorType::reduction)
      continue;
    auto n = getConstantIntValue(size);
    fits &= n && *n <= bytes;
    if (!fits)
      break;
    shape.push_back(*n);
    need *= *n;
    at.push_back(b.getAffineDimExpr(i));
  }
  if (!along) {
    shape.push_back(lanes);
    need *= lanes;
    at.push_back(b.getAffineConstantExpr(0));
  }
  Kept how{{}, part.pass};
  if (fits && need <= bytes) {
    bytes -= need;
    how.place.memref = AllocOp::create(
        b, loc, MemRefType::get(shape, element, AffineMap(), kWorkgroupSpace));
    how.place.map = AffineMap::get(sizes.size(), 0, at, b.getContext());
    how.place.varies = true;
    kept[part.result()] = how;
    return true;
  }
  // Where a result will lie that is written when this is read for the last
  // time, and that nothing else borrows.
  for (const RowPart &result : group.parts) {
    auto it = outputs.find(result.result());
    if (it == outputs.end() || !result.full || result.reduces ||
        result.pass < last || result.pass <= part.pass ||
        result.result().getType() != part.result().getType() ||
        result.resultMap(group.rank()) != part.resultMap(group.rank()))
      continue;
    if (llvm::any_of(kept, [&](auto &other) {
          return other.second.place.memref == it->second.memref;
        }))
      continue;
    how.place = it->second;
    kept[part.result()] = how;
    return true;
  }
  return false;
}

void RowEmitter::chooseKept(int64_t bytes) {
  // A part's readers first: what they keep need not be there for them.
  for (const RowPart &part : llvm::reverse(group.parts)) {
    if (!part.full || part.reduces)
      continue;
    std::vector<unsigned> passes = passesOf(part.result());
    if (passes.size() < 2)
      continue;
    auto out = outputs.find(part.result());
    if (out != outputs.end())
      kept[part.result()] = {out->second, part.pass};
    else if (costOf(part) >= kKeepCost)
      keep(part, passes.back(), bytes);
  }
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

Value RowEmitter::read(const RowPart &part, OpOperand &operand) {
  if (const RowPart *from = group.partOf(operand.get()))
    return from->full && !from->reduces ? valueOf(*from)
                                        : ofRow.lookup(from->result());
  if (!isa<RankedTensorType>(operand.get().getType()))
    return tb.scalar(operand.get());
  return loadPlace(tb, inputs.lookup(&operand), ivs, width, mask);
}

/// A full part's value at the columns being emitted.
Value RowEmitter::valueOf(const RowPart &part) {
  Value v = part.result();
  if (Value known = ofPoint.lookup(v))
    return known;
  auto it = kept.find(v);
  Value made = it != kept.end() && it->second.pass < pass
                   ? loadPlace(tb, it->second.place, ivs, width, mask)
                   : apply(part, Value());
  ofPoint[v] = made;
  return made;
}

Value RowEmitter::apply(const RowPart &part, Value acc) {
  linalg::GenericOp op = part.op;
  SmallVector<Value> args;
  for (OpOperand *operand : op.getDpsInputOperands()) {
    bool used = !op.getMatchingBlockArgument(operand).use_empty();
    args.push_back(used || !vectors ? read(part, *operand) : Value());
  }
  if (vectors) {
    args.push_back(acc);
    return runBody(tb, op, args, width);
  }
  if (!acc) // not used
    acc = arith::ConstantOp::create(
        b, loc, b.getZeroAttr(op.getBody()->getArguments().back().getType()));
  args.push_back(acc);
  SmallVector<Value> loops;
  for (unsigned d : part.dims) {
    Value iv = tb.index(0);
    for (auto [i, run] : llvm::enumerate(runs))
      if (d != kUnitDim && run[0] == d)
        iv = ivs[i]; // runs are single dims if the body asks for one
    loops.push_back(iv);
  }
  return tb.inlineBody(op, args, loops)[0];
}

//===----------------------------------------------------------------------===//
// Passes over a row's columns
//===----------------------------------------------------------------------===//

SmallVector<Value>
RowEmitter::loop(Value from, Value to, int64_t step, unsigned dim,
                 ValueRange accs,
                 function_ref<SmallVector<Value>(ValueRange)> body) {
  auto loop = scf::ForOp::create(b, loc, from, to, tb.index(step), accs);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  ivs[dim] = loop.getInductionVar();
  SmallVector<Value> next = body(loop.getRegionIterArgs());
  // A loop without accumulators has its yield already.
  if (!accs.empty())
    scf::YieldOp::create(b, loc, next);
  return SmallVector<Value>(loop.getResults());
}

/// What changes nothing in the reduction that `part` is.
Value RowEmitter::neutralOf(const RowPart &part, int64_t width) {
  return splatTo(tb,
                 arith::ConstantOp::create(
                     b, loc, *arith::getNeutralElement(combinerOf(part.op))),
                 width);
}

Value RowEmitter::maskFrom(Value at) {
  Value left = arith::SubIOp::create(b, loc, tb.toValue(sizes[laneRun]), at);
  return vector::CreateMaskOp::create(b, loc, vectorOf(b.getI1Type(), lanes),
                                      left);
}

/// All that this pass does at one point, or vector of points.
SmallVector<Value> RowEmitter::point(ValueRange accs) {
  ofPoint.clear();
  SmallVector<Value> next, values;
  for (auto [part, acc] : llvm::zip_equal(reductions, accs)) {
    Value v = splatTo(tb, apply(*part, acc), width);
    if (mask && along)
      v = arith::SelectOp::create(b, loc, mask, v, acc);
    next.push_back(v);
  }
  // Results may lie where something that others need is kept: values first.
  for (const RowPart *part : stores)
    values.push_back(valueOf(*part));
  for (auto [part, v] : llvm::zip_equal(stores, values)) {
    auto it = kept.find(part->result());
    if (it != kept.end())
      storePlace(tb, v, it->second.place, ivs, width, mask);
    else
      storePlace(tb, v, outputs.lookup(part->result()), ivs, width, mask);
  }
  return next;
}

/// The columns of the innermost dim: vectors side by side, then what is left,
/// one vector at a time and masked.
SmallVector<Value> RowEmitter::sweep(ValueRange accs) {
  auto fixed = getConstantIntValue(sizes[laneRun]);
  Value end = tb.toValue(sizes[laneRun]), middle;
  int64_t wide = lanes * unroll;
  if (fixed)
    middle = tb.index(*fixed - *fixed % wide);
  else
    middle = arith::SubIOp::create(
        b, loc, end, arith::RemUIOp::create(b, loc, end, tb.index(wide)));
  SmallVector<Value> result(accs);
  if (!fixed || *fixed >= wide) {
    SmallVector<Value> start;
    for (auto [part, acc] : llvm::zip_equal(reductions, accs)) {
      if (unroll == 1) {
        start.push_back(acc);
        continue;
      }
      start.push_back(neutralOf(*part, wide));
    }
    width = wide;
    result = loop(tb.index(0), middle, wide, laneRun, start,
                  [&](ValueRange in) { return point(in); });
    width = lanes;
    for (auto [part, acc, v] : llvm::zip_equal(reductions, accs, result)) {
      if (unroll == 1)
        continue;
      Value sum = acc, all = v;
      for (int64_t i = 0; i < unroll; ++i)
        sum = applyLike(tb, combinerOf(part->op), sum,
                        vector::ExtractStridedSliceOp::create(
                            b, loc, all, {i * lanes}, {lanes}, {1}));
      v = sum;
    }
  }
  if (fixed && *fixed % wide == 0)
    return result;
  width = lanes;
  bool masked = !fixed || *fixed % lanes;
  result = loop(middle, end, lanes, laneRun, result, [&](ValueRange in) {
    mask = masked ? maskFrom(ivs[laneRun]) : Value();
    SmallVector<Value> next = point(in);
    mask = Value();
    return next;
  });
  return result;
}

SmallVector<Value> RowEmitter::columns(unsigned from, ValueRange accs) {
  for (unsigned i = from; i < runs.size(); ++i) {
    if (kinds[i] != utils::IteratorType::reduction)
      continue;
    if (along && i == laneRun)
      return sweep(accs);
    bool innermost = llvm::all_of(
        llvm::drop_begin(kinds, i + 1), [](utils::IteratorType kind) {
          return kind == utils::IteratorType::parallel;
        });
    if (innermost && vectors)
      return columnsSideBySide(i, accs);
    return loop(tb.index(0), tb.toValue(sizes[i]), 1, i, accs,
                [&](ValueRange in) { return columns(i + 1, in); });
  }
  return point(accs);
}

/// The innermost columns where lanes are rows: `unroll` of them at a time, each
/// with accumulators of its own, for speed and since shorter sums round less.
SmallVector<Value> RowEmitter::columnsSideBySide(unsigned run,
                                                 ValueRange accs) {
  auto fixed = getConstantIntValue(sizes[run]);
  Value end = tb.toValue(sizes[run]), middle = tb.index(0);
  SmallVector<Value> result(accs);
  size_t each = accs.size();
  if (each && (!fixed || *fixed >= unroll)) {
    middle = fixed
                 ? tb.index(*fixed - *fixed % unroll)
                 : Value(arith::SubIOp::create(
                       b, loc, end,
                       arith::RemUIOp::create(b, loc, end, tb.index(unroll))));
    for (int64_t i = 1; i < unroll; ++i)
      for (const RowPart *part : reductions)
        result.push_back(neutralOf(*part, lanes));
    result = loop(tb.index(0), middle, unroll, run, result, [&](ValueRange in) {
      SmallVector<Value> next;
      Value first = ivs[run];
      for (int64_t i = 0; i < unroll; ++i) {
        ivs[run] = arith::AddIOp::create(b, loc, first, tb.index(i));
        llvm::append_range(next, point(in.slice(i * each, each)));
      }
      return next;
    });
    for (; result.size() > each; result.resize(result.size() / 2))
      for (size_t i = 0, half = result.size() / 2; i < half; ++i)
        result[i] = applyLike(tb, combinerOf(reductions[i % each]->op),
                              result[i], result[i + half]);
  }
  if (fixed && each && *fixed % unroll == 0)
    return result;
  return loop(middle, end, 1, run, result,
              [&](ValueRange in) { return point(in); });
}

void RowEmitter::emitPass(unsigned number) {
  pass = number;
  reductions.clear(), stores.clear();
  for (const RowPart &part : group.parts) {
    if (part.pass != pass)
      continue;
    if (!part.full) {
      // Over rows: on scalars, or lane by lane where lanes are rows.
      width = along ? 0 : lanes;
      Value v = apply(part, Value());
      ofRow[part.result()] = v;
    } else if (part.reduces) {
      reductions.push_back(&part);
    } else if (outputs.contains(part.result()) ||
               kept.contains(part.result())) {
      stores.push_back(&part);
    }
  }
  if (reductions.empty() && stores.empty())
    return;
  width = lanes;
  SmallVector<Value> accs, inits;
  for (const RowPart *part : reductions) {
    linalg::GenericOp op = part->op;
    Value init =
        tb.scalar(op.getDpsInits()[0].getDefiningOp<linalg::FillOp>().value());
    if (!vectors) {
      accs.push_back(init);
      continue;
    }
    TypedAttr neutral = *arith::getNeutralElement(combinerOf(op));
    Attribute known;
    if (matchPattern(init, m_Constant(&known)) && known == neutral)
      init = Value();
    inits.push_back(init);
    accs.push_back(neutralOf(*part, lanes));
  }
  accs = columns(0, accs);
  ofPoint.clear();
  if (!vectors) {
    for (auto [part, acc] : llvm::zip_equal(reductions, accs))
      ofRow[part->result()] = acc;
    return;
  }
  for (auto [part, acc, init] : llvm::zip_equal(reductions, accs, inits)) {
    Value v = acc;
    Operation *combiner = combinerOf(part->op);
    if (along) {
      auto flags = arith::FastMathFlags::none;
      if (auto fast = dyn_cast<arith::ArithFastMathInterface>(combiner))
        flags = fast.getFastMathFlagsAttr().getValue();
      auto type = cast<VectorType>(v.getType());
      Type element = type.getElementType();
      // Across lanes, narrow floats in f32 as well.
      bool narrow =
          isa<FloatType>(element) && element.getIntOrFloatBitWidth() < 32;
      if (narrow)
        v = arith::ExtFOp::create(b, loc, type.clone(b.getF32Type()), v);
      v = vector::ReductionOp::create(
          b, loc, *linalg::getCombinerOpKind(combiner), v, flags);
      if (narrow)
        v = arith::TruncFOp::create(b, loc, element, v);
    }
    if (init)
      v = applyLike(tb, combiner, splatTo(tb, init, along ? 0 : lanes), v);
    ofRow[part->result()] = v;
  }
}

void RowEmitter::emitRow() {
  ofRow.clear(), ofPoint.clear();
  for (unsigned p = 0; p < group.passes; ++p)
    emitPass(p);
  width = along ? 0 : lanes;
  for (const RowPart &part : group.parts) {
    auto it = outputs.find(part.result());
    if (it != outputs.end() && (!part.full || part.reduces))
      storePlace(tb, ofRow.lookup(part.result()), it->second, ivs, width, mask);
  }
}

//===----------------------------------------------------------------------===//
// Rows of a workgroup
//===----------------------------------------------------------------------===//

void RowEmitter::run(bool serial) {
  SmallVector<unsigned> rowRuns;
  SmallVector<OpFoldResult> space;
  int64_t cost = 0, columns = 1;
  for (const RowPart &part : group.parts)
    cost += bodyCost(part.op) + 1;
  for (auto [i, size] : llvm::enumerate(sizes)) {
    bool acrossLanes = vectors && !along && i == laneRun;
    if (kinds[i] == utils::IteratorType::reduction) {
      columns *= getConstantIntValue(size).value_or(kTypicalSize);
    } else {
      rowRuns.push_back(i);
      space.push_back(acrossLanes ? tb.ceilDiv(size, lanes) : size);
    }
  }
  if (vectors && !along)
    cost *= lanes;
  int64_t perGroup = std::max<int64_t>(
      1,
      kGroupCost / std::max<int64_t>(cost * std::max<int64_t>(columns, 1), 1));
  if (serial)
    perGroup = std::numeric_limits<int32_t>::max();
  Value zero = tb.index(0);
  auto begin = [&](ValueRange at) {
    ivs.assign(sizes.size(), zero);
    for (auto [i, iv] : llvm::zip_equal(rowRuns, at))
      ivs[i] = iv;
  };
  if (!vectors) {
    tb.forEachPoint(space, perGroup, [&](ValueRange at) {
      begin(at);
      emitRow();
    });
    return;
  }
  // The workgroup's rows one after the other: tiles belong to all its lanes.
  OpFoldResult rows = b.getIndexAttr(1);
  for (OpFoldResult size : space)
    rows = tb.mul(rows, size);
  if (auto n = getConstantIntValue(rows))
    perGroup = std::min(perGroup, std::max<int64_t>(*n, 1));
  Value block = tb.makeGrid({tb.ceilDiv(rows, perGroup)})[0];
  Value first = arith::MulIOp::create(b, loc, block, tb.index(perGroup));
  Value left = arith::SubIOp::create(b, loc, tb.toValue(rows), first);
  Value count = arith::MinUIOp::create(b, loc, left, tb.index(perGroup));
  auto each = scf::ForOp::create(b, loc, zero, count, tb.index(1));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(each.getBody());
  Value rest = arith::AddIOp::create(b, loc, first, each.getInductionVar());
  SmallVector<Value> at(space.size());
  for (int64_t i = int64_t(space.size()) - 1; i >= 0; --i) {
    if (i == 0) {
      at[i] = rest;
      break;
    }
    Value extent = tb.toValue(space[i]);
    at[i] = arith::RemUIOp::create(b, loc, rest, extent);
    rest = arith::DivUIOp::create(b, loc, rest, extent);
  }
  begin(at);
  if (along) {
    emitRow();
    return;
  }
  ivs[laneRun] = arith::MulIOp::create(b, loc, ivs[laneRun], tb.index(lanes));
  auto fixed = getConstantIntValue(sizes[laneRun]);
  if (fixed && *fixed % lanes == 0) {
    emitRow();
    return;
  }
  if (fixed && *fixed < lanes) {
    mask = maskFrom(ivs[laneRun]);
    emitRow();
    return;
  }
  Value last = arith::AddIOp::create(b, loc, ivs[laneRun], tb.index(lanes));
  Value full = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ule, last,
                                     tb.toValue(sizes[laneRun]));
  auto branch = scf::IfOp::create(b, loc, full, /*withElseRegion=*/true);
  b.setInsertionPointToStart(&branch.getThenRegion().front());
  SmallVector<Value> saved = ivs;
  emitRow();
  ivs = saved;
  b.setInsertionPointToStart(&branch.getElseRegion().front());
  mask = maskFrom(ivs[laneRun]);
  emitRow();
}

std::string kernel::planRows(FuncOp kernel, const TargetInfo &info) {
  RowGroup group;
  unsigned lane = 0;
  if (std::string why = findRows(kernel, group); !why.empty())
    return why;
  if (std::string why = rowLanes(group, info, lane); !why.empty())
    return why;
  TileBuilder tb(kernel);
  RowEmitter(tb, group, &info, lane).run(/*serial=*/false);
  tb.finish("rows");
  return "";
}

void kernel::emitRowsOnScalars(TileBuilder &tb, const RowGroup &group,
                               bool serial) {
  RowEmitter(tb, group, nullptr, group.rank() - 1).run(serial);
}
