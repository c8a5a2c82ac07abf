//===- LaneMma.cpp - products by a matrix unit ----------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The accumulator lies over a grid of subgroups, each of which has some rows
// and columns of the unit's shape; within these, lanes hold what the unit's row
// of facts says. A kernel.mma is the anchor of that layout: what is computed of
// its sums element by element, or carried by loops, lies in the same way.
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/Lanes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

//===----------------------------------------------------------------------===//
// Which tiles lie alike
//===----------------------------------------------------------------------===//

LogicalResult LaneBuilder::findAnchors(Region &tiled) {
  auto join = [&](Value x, Value y) {
    auto tx = dyn_cast<VectorType>(x.getType()),
         ty = dyn_cast<VectorType>(y.getType());
    if (tx && ty && tx.getRank() == 2 && tx.getShape() == ty.getShape())
      alike.unionSets(x.getAsOpaquePointer(), y.getAsOpaquePointer());
  };
  SmallVector<MmaOp> products;
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
        products.push_back(mma);
    } else if (OpTrait::hasElementwiseMappableTraits(op) &&
               op->getNumResults() == 1) {
      for (Value v : op->getOperands())
        join(op->getResult(0), v);
    }
  });
  for (MmaOp op : products) {
    const MatrixUnit *unit = findUnit(info.units, *op.getUnit());
    if (!unit)
      return op.emitError("names a matrix unit that ")
             << (info.name.empty() ? "no target" : info.name)
             << " does not have: " << *op.getUnit();
    void *leader =
        alike.getOrInsertLeaderValue(op.getResult().getAsOpaquePointer());
    auto [it, fresh] = anchors.try_emplace(leader, unit);
    if (it->second != unit)
      return op.emitError("needs its sums in another layout than ")
             << it->second->name << ": a relayout that is not made yet";
  }
  return success();
}

const MatrixUnit *LaneBuilder::unitOf(Value tile) {
  if (anchors.empty())
    return nullptr;
  auto it = alike.findLeader(tile.getAsOpaquePointer());
  return it == alike.member_end() ? nullptr : anchors.lookup(*it);
}

//===----------------------------------------------------------------------===//
// Fragments
//===----------------------------------------------------------------------===//

namespace {
struct Place {
  int64_t row, column;
};
/// What the bits of a register's and of a lane's number mean in a tile.
struct Bits {
  SmallVector<Place> registers, lanes;
};
/// How many parts of the unit's shape a subgroup has either way, and how many
/// subgroups there are.
struct Parts {
  int64_t m, n, subgroupsM, subgroupsN;
};
} // namespace

static Bits bitsOf(const Fragment &fragment, int64_t columns) {
  Bits bits;
  for (int64_t at : fragment.registers)
    bits.registers.push_back({at / columns, at % columns});
  for (int64_t at : fragment.lanes)
    bits.lanes.push_back({at / columns, at % columns});
  return bits;
}

/// The element that register `r` holds, the lane's part aside.
static Place placeOf(const Bits &bits, int64_t r) {
  Place place = {0, 0};
  for (auto [i, bit] : llvm::enumerate(bits.registers))
    if (r >> i & 1)
      place.row += bit.row, place.column += bit.column;
  return place;
}

/// The subgroups as square as they go, so that each loads little of A and B.
static std::optional<Parts> partsOf(int64_t m, int64_t n,
                                    const MatrixUnit &unit, int64_t subgroups) {
  std::optional<Parts> best;
  for (int64_t s = 1; s <= subgroups; s *= 2) {
    int64_t t = subgroups / s;
    if (m % (s * unit.m) || n % (t * unit.n))
      continue;
    Parts parts = {m / (s * unit.m), n / (t * unit.n), s, t};
    if (!best || m / s + n / t < m / best->subgroupsM + n / best->subgroupsN)
      best = parts;
  }
  return best;
}

bool kernel::canDeal(int64_t m, int64_t n, const MatrixUnit &unit,
                     int64_t subgroups) {
  return partsOf(m, n, unit, subgroups).has_value();
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

static std::pair<Value, Value> laneParts(OpBuilder &b, Location loc, Value v,
                                         ArrayRef<Place> bits) {
  SmallVector<int64_t> rows, columns;
  for (Place bit : bits)
    rows.push_back(bit.row), columns.push_back(bit.column);
  return {scatter(b, loc, v, rows), scatter(b, loc, v, columns)};
}

/// Where the tile part of this lane's subgroup begins.
static std::pair<Value, Value> originOf(LaneBuilder &lb, Location loc,
                                        const Parts &parts,
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

static Value inSubgroup(LaneBuilder &lb, Location loc) {
  return arith::RemUIOp::create(lb.b, loc, lb.lane, lb.index(loc, lb.subgroup));
}

bool LaneBuilder::unitLayout(VectorType type, const MatrixUnit &unit,
                             LaneLayout &layout) {
  std::optional<Parts> parts;
  if (subgroup && type.getRank() == 2 && group % subgroup == 0)
    parts =
        partsOf(type.getDimSize(0), type.getDimSize(1), unit, group / subgroup);
  if (!parts)
    return false;
  Location loc = kernel.getLoc();
  Bits bits = bitsOf(unit.fragmentC, unit.n);
  auto [row, column] = originOf(*this, loc, *parts, unit);
  auto [laneRow, laneColumn] =
      laneParts(b, loc, inSubgroup(*this, loc), bits.lanes);
  layout.base = {arith::AddIOp::create(b, loc, row, laneRow),
                 arith::AddIOp::create(b, loc, column, laneColumn)};
  for (int64_t i = 0; i < parts->m; ++i)
    for (int64_t j = 0; j < parts->n; ++j)
      for (int64_t r = 0; r < int64_t(1) << bits.registers.size(); ++r) {
        Place place = placeOf(bits, r);
        layout.offsets.push_back(
            {i * unit.m + place.row, j * unit.n + place.column});
      }
  return true;
}

//===----------------------------------------------------------------------===//
// Loads
//===----------------------------------------------------------------------===//

namespace {
/// An operand in workgroup memory: rows and columns as they lie there.
class OperandLoader {
public:
  /// `row`, `column`: where the subgroup's part begins.
  OperandLoader(LaneBuilder &lb, Location loc, Value memref, bool transposed,
                Value row, Value column)
      : lb(lb), b(lb.b), loc(loc), memref(memref), transposed(transposed),
        row(row), column(column) {
    if (transposed)
      std::swap(this->row, this->column);
    type = cast<MemRefType>(memref.getType());
    auto [strides, offset] = type.getStridesAndOffset();
    pitch = strides[0];
    bytes = type.getElementTypeBitWidth() / 8;
  }

  /// This lane's part of the fragment at `at`, both in the operand's own rows
  /// and columns.
  Value load(Bits bits, Place at) {
    if (transposed) {
      for (auto *list : {&bits.registers, &bits.lanes})
        for (Place &bit : *list)
          std::swap(bit.row, bit.column);
      std::swap(at.row, at.column);
    }
    bool turned;
    return areMatrices(bits, turned) ? loadMatrices(bits, at, turned)
                                     : loadRuns(bits, at);
  }
  /// Whether `load` brings whole matrices, up to four at once.
  bool byMatrices(Bits bits) {
    if (transposed)
      for (auto *list : {&bits.registers, &bits.lanes})
        for (Place &bit : *list)
          std::swap(bit.row, bit.column);
    bool turned;
    return areMatrices(bits, turned);
  }

private:
  Value plus(Value v, int64_t n) {
    return n ? arith::AddIOp::create(b, loc, v, lb.index(loc, n)).getResult()
             : v;
  }
  Value plus(Value v, Value w) { return arith::AddIOp::create(b, loc, v, w); }
  /// Registers of a word: elements side by side, or of one column.
  unsigned wordBits() const { return llvm::Log2_64(4 / bytes); }

  bool areMatrices(const Bits &bits, bool &turned) const {
    if (!lb.info.matrixLoads || lb.subgroup != 32 || bits.lanes.size() != 5 ||
        pitch * bytes % 16 || bytes > 4)
      return false;
    unsigned word = wordBits();
    if (bits.registers.size() < word || bits.registers.size() > word + 2)
      return false;
    // The bits that walk along 16 bytes, then those that walk over 8 rows.
    SmallVector<Place> along(ArrayRef(bits.registers).take_front(word));
    along.append({bits.lanes[0], bits.lanes[1]});
    auto walks = [&](ArrayRef<Place> list, bool rows) {
      for (auto [i, bit] : llvm::enumerate(list)) {
        int64_t step = int64_t(1) << i;
        if (bit.row != (rows ? step : 0) || bit.column != (rows ? 0 : step))
          return false;
      }
      return true;
    };
    ArrayRef<Place> over = ArrayRef(bits.lanes).drop_front(2);
    turned = false;
    if (walks(along, false) && walks(over, true))
      return true;
    turned = true;
    return bytes == 2 && walks(along, true) && walks(over, false);
  }

  Value loadMatrices(const Bits &bits, Place at, bool turned) {
    // Lane 8 * i + r: row r of matrix i.
    SmallVector<Place> lanes = {{1, 0}, {2, 0}, {4, 0}};
    llvm::append_range(lanes, ArrayRef(bits.registers).drop_front(wordBits()));
    lanes.resize(5, {0, 0});
    auto [r, c] = laneParts(b, loc, inSubgroup(lb, loc), lanes);
    Value i = plus(plus(row, r), at.row), j = plus(plus(column, c), at.column);
    auto result = VectorType::get({int64_t(1) << bits.registers.size()},
                                  type.getElementType());
    return LoadMatricesOp::create(b, loc, result, memref, ValueRange{i, j},
                                  turned);
  }

  Value loadRuns(const Bits &bits, Place at) {
    auto [r, c] = laneParts(b, loc, inSubgroup(lb, loc), bits.lanes);
    Value i0 = plus(plus(row, r), at.row),
          j0 = plus(plus(column, c), at.column);
    unsigned runBits = 0;
    while (runBits < bits.registers.size() &&
           bits.registers[runBits].row == 0 &&
           bits.registers[runBits].column == int64_t(1) << runBits)
      ++runBits;
    int64_t run = int64_t(1) << runBits, count = int64_t(1)
                                                 << bits.registers.size();
    SmallVector<Value> elements;
    for (int64_t first = 0; first < count; first += run) {
      Place place = placeOf(bits, first);
      Value i = plus(i0, place.row), j = plus(j0, place.column);
      if (run == 1) {
        elements.push_back(
            memref::LoadOp::create(b, loc, memref, ValueRange{i, j}));
        continue;
      }
      auto part = VectorType::get({run}, type.getElementType());
      Value v = vector::LoadOp::create(b, loc, part, memref, ValueRange{i, j});
      // A run begins where its length divides, and so do rows.
      if (pitch % run == 0)
        v.getDefiningOp()->setAttr("alignment",
                                   b.getI64IntegerAttr(run * bytes));
      for (int64_t e = 0; e < run; ++e)
        elements.push_back(vector::ExtractOp::create(b, loc, v, e));
    }
    return vector::FromElementsOp::create(
        b, loc, VectorType::get({count}, type.getElementType()), elements);
  }

  LaneBuilder &lb;
  OpBuilder &b;
  Location loc;
  Value memref;
  bool transposed;
  Value row, column;
  MemRefType type;
  int64_t pitch, bytes;
};
} // namespace

//===----------------------------------------------------------------------===//
// The product
//===----------------------------------------------------------------------===//

LogicalResult LaneBuilder::emitUnitMma(MmaOp op) {
  Location loc = op.getLoc();
  const MatrixUnit &unit = *findUnit(info.units, *op.getUnit());
  auto sums = cast<VectorType>(op.getAcc().getType());
  if (!layoutOf(op.getAcc()))
    return op.emitError("has a tile that cannot be dealt to ")
           << group << " lanes for " << unit.name;
  Parts parts =
      *partsOf(sums.getDimSize(0), sums.getDimSize(1), unit, group / subgroup);
  auto loaderOf = [&](Value v, Value row,
                      Value column) -> std::optional<OperandLoader> {
    auto view = v.getDefiningOp<memref::TransposeOp>();
    Value memref = uniform(view ? view.getIn() : v);
    auto type = dyn_cast<MemRefType>(memref.getType());
    if (!type || type.getRank() != 2 ||
        type.getStridesAndOffset().first.back() != 1)
      return std::nullopt;
    return OperandLoader(*this, loc, memref, bool(view), row, column);
  };
  int64_t K = cast<ShapedType>(op.getA().getType()).getDimSize(1);
  auto [row, column] = originOf(*this, loc, parts, unit);
  Value zero = index(loc, 0);
  auto loadA = loaderOf(op.getA(), row, zero),
       loadB = loaderOf(op.getB(), zero, column);
  if (!loadA || !loadB || K % unit.k)
    return op.emitError("wants A and B in workgroup memory, row-major or "
                        "turned, and K a multiple of ")
           << unit.k;

  Bits a = bitsOf(unit.fragmentA, unit.k), w = bitsOf(unit.fragmentB, unit.n);
  // Two of B's fragments by one load, where that takes four matrices.
  Bits pair = w;
  pair.registers.push_back({0, unit.n});
  bool paired = parts.n % 2 == 0 && loadB->byMatrices(pair);
  int64_t perFragment = int64_t(1) << w.registers.size(),
          perSum = int64_t(1) << unit.fragmentC.registers.size();

  Type element = sums.getElementType();
  auto part = VectorType::get({perSum}, element);
  SmallVector<Value> registersOfSum(registers(op.getAcc())), acc;
  for (int64_t i = 0; i < parts.m * parts.n; ++i)
    acc.push_back(vector::FromElementsOp::create(
        b, loc, part, ArrayRef(registersOfSum).slice(i * perSum, perSum)));
  for (int64_t k = 0; k < K; k += unit.k) {
    SmallVector<Value> as, bs;
    for (int64_t i = 0; i < parts.m; ++i)
      as.push_back(loadA->load(a, {i * unit.m, k}));
    for (int64_t j = 0; j < parts.n; j += 1 + paired) {
      if (!paired) {
        bs.push_back(loadB->load(w, {k, j * unit.n}));
        continue;
      }
      Value both = loadB->load(pair, {k, j * unit.n});
      for (int64_t half : {0, 1})
        bs.push_back(vector::ExtractStridedSliceOp::create(
            b, loc, both, ArrayRef<int64_t>{half * perFragment},
            ArrayRef<int64_t>{perFragment}, ArrayRef<int64_t>{1}));
    }
    for (int64_t i = 0; i < parts.m; ++i)
      for (int64_t j = 0; j < parts.n; ++j) {
        Value &sum = acc[i * parts.n + j];
        sum = LaneMmaOp::create(b, loc, part, as[i], bs[j], sum, *op.getUnit());
      }
  }
  SmallVector<Value> &result = tiles[op.getResult()];
  for (Value sum : acc)
    for (int64_t r = 0; r < perSum; ++r)
      result.push_back(vector::ExtractOp::create(b, loc, sum, r));
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
