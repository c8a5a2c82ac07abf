//===- LaneLayouts.cpp - which lane holds what of a tile ------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Anchors say it: a kernel.mma with a unit of its sums and of operands in
// registers, a kernel.relayout of its two tiles. What is computed of a tile
// element by element, or carried by loops, lies in the same way.
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/LaneLayouts.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

//===----------------------------------------------------------------------===//
// Bits
//===----------------------------------------------------------------------===//

SmallVector<TilePlace> kernel::placesOf(ArrayRef<int64_t> offsets,
                                        int64_t columns) {
  SmallVector<TilePlace> places;
  for (int64_t at : offsets)
    places.push_back({at / columns, at % columns});
  return places;
}

TilePlace kernel::placeOf(const LaneBits &bits, int64_t r) {
  TilePlace place = {0, 0};
  for (auto [i, bit] : llvm::enumerate(bits.registers))
    if (r >> i & 1)
      place.row += bit.row, place.column += bit.column;
  return place;
}

/// The sum of to[i] over the set bits i of `v`, which has no others.
static Value scatter(OpBuilder &b, Location loc, Value v,
                     ArrayRef<int64_t> to) {
  auto index = [&](int64_t c) -> Value {
    return arith::ConstantIndexOp::create(b, loc, c);
  };
  Value sum;
  for (unsigned i = 0; i < to.size();) {
    unsigned end = i + 1;
    while (to[i] && end < to.size() && to[end] == 2 * to[end - 1])
      ++end;
    if (to[i]) {
      Value part = v;
      if (i)
        part = arith::ShRUIOp::create(b, loc, part, index(i));
      if (end < to.size())
        part = arith::AndIOp::create(b, loc, part,
                                     index((int64_t(1) << (end - i)) - 1));
      if (to[i] > 1)
        part = arith::MulIOp::create(b, loc, part, index(to[i]));
      sum = sum ? Value(arith::AddIOp::create(b, loc, sum, part)) : part;
    }
    i = end;
  }
  return sum ? sum : index(0);
}

std::pair<Value, Value> kernel::placeOfLane(OpBuilder &b, Location loc, Value v,
                                            ArrayRef<TilePlace> bits) {
  SmallVector<int64_t> rows, columns;
  for (TilePlace bit : bits)
    rows.push_back(bit.row), columns.push_back(bit.column);
  return {scatter(b, loc, v, rows), scatter(b, loc, v, columns)};
}

Value kernel::laneInSubgroup(LaneBuilder &lb, Location loc) {
  return arith::RemUIOp::create(lb.b, loc, lb.lane, lb.index(loc, lb.subgroup));
}

//===----------------------------------------------------------------------===//
// Subgroups
//===----------------------------------------------------------------------===//

std::optional<SubgroupParts> kernel::partsOf(int64_t m, int64_t n,
                                             const MatrixUnit &unit,
                                             int64_t subgroups) {
  std::optional<SubgroupParts> best;
  for (int64_t s = 1; s <= subgroups; s *= 2) {
    int64_t t = subgroups / s;
    if (m % (s * unit.m) || n % (t * unit.n))
      continue;
    SubgroupParts parts = {m / (s * unit.m), n / (t * unit.n), s, t};
    if (!best || m / s + n / t < m / best->subgroupsM + n / best->subgroupsN)
      best = parts;
  }
  return best;
}

bool kernel::canDeal(int64_t m, int64_t n, const MatrixUnit &unit,
                     int64_t subgroups) {
  return partsOf(m, n, unit, subgroups).has_value();
}

std::pair<Value, Value> kernel::originOf(LaneBuilder &lb, Location loc,
                                         const SubgroupParts &parts,
                                         const MatrixUnit &unit) {
  OpBuilder &b = lb.b;
  if (lb.group == int64_t(lb.subgroup))
    return {lb.index(loc, 0), lb.index(loc, 0)};
  Value number =
      arith::DivUIOp::create(b, loc, lb.lane, lb.index(loc, lb.subgroup));
  Value across = lb.index(loc, parts.subgroupsN);
  auto times = [&](Value v, int64_t n) -> Value {
    return arith::MulIOp::create(b, loc, v, lb.index(loc, n));
  };
  return {
      times(arith::DivUIOp::create(b, loc, number, across), parts.m * unit.m),
      times(arith::RemUIOp::create(b, loc, number, across), parts.n * unit.n)};
}

//===----------------------------------------------------------------------===//
// Anchors
//===----------------------------------------------------------------------===//

LogicalResult LaneBuilder::anchor(Value tile, Anchor anchor, Operation *op) {
  void *leader = alike.getOrInsertLeaderValue(tile.getAsOpaquePointer());
  const Anchor *&held = anchors[leader];
  if (held && !(*held == anchor))
    return op->emitError("needs a tile in another layout than it has: a "
                         "kernel.relayout is missing");
  for (const Anchor &known : knownAnchors)
    if (known == anchor)
      held = &known;
  if (!held)
    held = &knownAnchors.emplace_back(anchor);
  return success();
}

LogicalResult LaneBuilder::findAnchors(Region &tiled) {
  auto join = [&](Value x, Value y) {
    auto tx = dyn_cast<VectorType>(x.getType()),
         ty = dyn_cast<VectorType>(y.getType());
    if (tx && ty && tx.getRank() == 2 && tx.getShape() == ty.getShape())
      alike.unionSets(x.getAsOpaquePointer(), y.getAsOpaquePointer());
  };
  SmallVector<Operation *> sources;
  tiled.walk([&](Operation *op) {
    if (auto loop = dyn_cast<scf::ForOp>(op)) {
      for (unsigned i = 0; i < loop.getNumResults(); ++i) {
        join(loop.getResult(i), loop.getInitArgs()[i]);
        join(loop.getResult(i), loop.getRegionIterArg(i));
        join(loop.getResult(i), loop.getBody()->getTerminator()->getOperand(i));
      }
    } else if (auto branch = dyn_cast<scf::IfOp>(op)) {
      for (unsigned i = 0; i < branch.getNumResults(); ++i)
        for (Block *block : {branch.thenBlock(), branch.elseBlock()})
          join(branch.getResult(i), block->getTerminator()->getOperand(i));
    } else if (auto mma = dyn_cast<MmaOp>(op)) {
      join(mma.getResult(), mma.getAcc());
      if (mma.getUnit())
        sources.push_back(op);
    } else if (isa<RelayoutOp>(op)) {
      sources.push_back(op);
    } else if (OpTrait::hasElementwiseMappableTraits(op) &&
               op->getNumResults() == 1) {
      for (Value v : op->getOperands())
        join(op->getResult(0), v);
    }
  });
  // What is said comes before what follows from a unit.
  for (Operation *op : sources)
    if (auto relayout = dyn_cast<RelayoutOp>(op))
      if (failed(anchor(relayout.getSource(), {relayout.getFrom()}, op)) ||
          failed(anchor(relayout.getResult(), {relayout.getTo()}, op)))
        return failure();
  for (Operation *op : sources) {
    auto mma = dyn_cast<MmaOp>(op);
    if (!mma)
      continue;
    const MatrixUnit *unit = findUnit(info.units, *mma.getUnit());
    if (!unit)
      return op->emitError("names a matrix unit that ")
             << (info.name.empty() ? "no target" : info.name)
             << " does not have: " << *mma.getUnit();
    auto sums = cast<VectorType>(mma.getAcc().getType());
    Anchor of = {
        {}, unit, Anchor::sums, sums.getDimSize(0), sums.getDimSize(1)};
    if (failed(anchor(mma.getResult(), of, op)))
      return failure();
    for (auto [operand, role] :
         {std::pair(mma.getA(), Anchor::a), std::pair(mma.getB(), Anchor::b)}) {
      if (!isa<VectorType>(operand.getType()))
        continue;
      const Anchor *said = anchorOf(operand);
      of.role = role;
      if ((!said || !said->layout) && failed(anchor(operand, of, op)))
        return failure();
    }
  }
  return success();
}

const Anchor *LaneBuilder::anchorOf(Value tile) {
  if (anchors.empty())
    return nullptr;
  auto it = alike.findLeader(tile.getAsOpaquePointer());
  return it == alike.member_end() ? nullptr : anchors.lookup(*it);
}

//===----------------------------------------------------------------------===//
// Layouts
//===----------------------------------------------------------------------===//

bool LaneBuilder::givenLayout(VectorType type, LayoutAttr attr,
                              LaneLayout &layout) {
  Location loc = kernel.getLoc();
  if (!subgroup || int64_t(1) << attr.getLaneBits().size() != subgroup ||
      (int64_t(subgroup) << attr.getSubgroupBits().size()) != group)
    return false;
  int64_t columns = type.getDimSize(1);
  LaneBits bits = {placesOf(attr.getRegisterBits(), columns),
                   placesOf(attr.getLaneBits(), columns)};
  llvm::append_range(bits.lanes, placesOf(attr.getSubgroupBits(), columns));
  auto [row, column] = placeOfLane(b, loc, lane, bits.lanes);
  layout.base = {row, column};
  for (int64_t r = 0; r < int64_t(1) << bits.registers.size(); ++r) {
    TilePlace place = placeOf(bits, r);
    layout.offsets.push_back({place.row, place.column});
  }
  return true;
}

bool LaneBuilder::unitLayout(VectorType type, const Anchor &anchor,
                             LaneLayout &layout) {
  if (!subgroup || group % subgroup)
    return false;
  const MatrixUnit &unit = *anchor.unit;
  std::optional<SubgroupParts> parts =
      partsOf(anchor.m, anchor.n, unit, group / subgroup);
  bool isA = anchor.role == Anchor::a, isB = anchor.role == Anchor::b;
  int64_t k = isA ? type.getDimSize(1) : isB ? type.getDimSize(0) : unit.k;
  if (!parts || k % unit.k)
    return false;
  Location loc = kernel.getLoc();
  LaneBits bits = isA   ? bitsOf(unit.fragmentA, unit.k)
                  : isB ? bitsOf(unit.fragmentB, unit.n)
                        : bitsOf(unit.fragmentC, unit.n);
  auto [row, column] = originOf(*this, loc, *parts, unit);
  auto [laneRow, laneColumn] =
      placeOfLane(b, loc, laneInSubgroup(*this, loc), bits.lanes);
  auto add = [&](Value x, Value y) -> Value {
    return arith::AddIOp::create(b, loc, x, y);
  };
  layout.base = {isB ? laneRow : add(row, laneRow),
                 isA ? laneColumn : add(column, laneColumn)};
  // Parts of the unit's shape, one after the other.
  int64_t rows = isB ? k / unit.k : parts->m, stepM = isB ? unit.k : unit.m,
          columns = isA ? k / unit.k : parts->n, stepN = isA ? unit.k : unit.n;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j)
      for (int64_t r = 0; r < int64_t(1) << bits.registers.size(); ++r) {
        TilePlace place = placeOf(bits, r);
        layout.offsets.push_back(
            {i * stepM + place.row, j * stepN + place.column});
      }
  return true;
}

bool LaneBuilder::liesFor(Value tile, const Anchor &wanted) {
  const Anchor *held = anchorOf(tile);
  if (!held || !held->layout)
    return held && *held == wanted;
  // Lanes must mean the same; registers are looked up.
  const MatrixUnit &unit = *wanted.unit;
  std::optional<SubgroupParts> parts =
      partsOf(wanted.m, wanted.n, unit, group / subgroup);
  int64_t columns = cast<VectorType>(tile.getType()).getDimSize(1);
  bool isA = wanted.role == Anchor::a;
  LaneBits bits =
      isA ? bitsOf(unit.fragmentA, unit.k) : bitsOf(unit.fragmentB, unit.n);
  if (!parts)
    return false;
  for (int64_t t = 1; t < parts->subgroupsN; t *= 2)
    bits.lanes.push_back({0, isA ? 0 : t * parts->n * unit.n});
  for (int64_t s = 1; s < parts->subgroupsM; s *= 2)
    bits.lanes.push_back({isA ? s * parts->m * unit.m : 0, 0});
  SmallVector<TilePlace> given = placesOf(held->layout.getLaneBits(), columns);
  llvm::append_range(given, placesOf(held->layout.getSubgroupBits(), columns));
  return llvm::equal(given, bits.lanes);
}
