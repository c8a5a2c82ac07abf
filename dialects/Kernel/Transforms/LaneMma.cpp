//===- LaneMma.cpp - products by a matrix unit ----------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The accumulator lies over a grid of subgroups, each of which has some rows
// and columns of the unit's shape; within these, lanes hold what the unit's row
// of facts says (LaneLayouts.cpp). Operands lie in workgroup memory, from where
// each lane loads its part, or in registers as the unit wants them.
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/LaneLayouts.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

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
  Value load(LaneBits bits, TilePlace at) {
    if (transposed) {
      for (auto *list : {&bits.registers, &bits.lanes})
        for (TilePlace &bit : *list)
          std::swap(bit.row, bit.column);
      std::swap(at.row, at.column);
    }
    bool turned;
    return areMatrices(bits, turned) ? loadMatrices(bits, at, turned)
                                     : loadRuns(bits, at);
  }
  /// The columns (A) or rows (B) that are summed over lie side by side, and no
  /// matrices are loaded.
  bool liesAlong(bool isA) const {
    return !lb.info.matrixLoads && transposed != isA;
  }
  int64_t elementBytes() const { return bytes; }
  /// Whether `load` brings whole matrices, up to four at once.
  bool byMatrices(LaneBits bits) {
    if (transposed)
      for (auto *list : {&bits.registers, &bits.lanes})
        for (TilePlace &bit : *list)
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

  bool areMatrices(const LaneBits &bits, bool &turned) const {
    if (!lb.info.matrixLoads || lb.subgroup != 32 || bits.lanes.size() != 5 ||
        pitch * bytes % 16 || bytes > 4)
      return false;
    unsigned word = wordBits();
    if (bits.registers.size() < word || bits.registers.size() > word + 2)
      return false;
    // The bits that walk along 16 bytes, then those that walk over 8 rows.
    SmallVector<TilePlace> along(ArrayRef(bits.registers).take_front(word));
    along.append({bits.lanes[0], bits.lanes[1]});
    auto walks = [&](ArrayRef<TilePlace> list, bool rows) {
      for (auto [i, bit] : llvm::enumerate(list)) {
        int64_t step = int64_t(1) << i;
        if (bit.row != (rows ? step : 0) || bit.column != (rows ? 0 : step))
          return false;
      }
      return true;
    };
    ArrayRef<TilePlace> over = ArrayRef(bits.lanes).drop_front(2);
    turned = false;
    if (walks(along, false) && walks(over, true))
      return true;
    turned = true;
    return bytes == 2 && walks(along, true) && walks(over, false);
  }

  Value loadMatrices(const LaneBits &bits, TilePlace at, bool turned) {
    // Lane 8 * i + r: row r of matrix i.
    SmallVector<TilePlace> lanes = {{1, 0}, {2, 0}, {4, 0}};
    llvm::append_range(lanes, ArrayRef(bits.registers).drop_front(wordBits()));
    lanes.resize(5, {0, 0});
    auto [r, c] = placeOfLane(b, loc, laneInSubgroup(lb, loc), lanes);
    Value i = plus(plus(row, r), at.row), j = plus(plus(column, c), at.column);
    auto result = VectorType::get({int64_t(1) << bits.registers.size()},
                                  type.getElementType());
    return LoadMatricesOp::create(b, loc, result, memref, ValueRange{i, j},
                                  turned);
  }

  Value loadRuns(const LaneBits &bits, TilePlace at) {
    auto [r, c] = placeOfLane(b, loc, laneInSubgroup(lb, loc), bits.lanes);
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
      TilePlace place = placeOf(bits, first);
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

namespace {
/// A or B: in workgroup memory, or in registers.
struct UnitOperand {
  LaneBits bits;
  bool isA;
  std::optional<OperandLoader> memory;
  llvm::DenseMap<std::pair<int64_t, int64_t>, Value> registers; // by offset

  /// Elements along K that a lane has of one fragment are those from a multiple
  /// of their number on.
  bool isAlongK() const {
    auto k = [&](TilePlace p) { return isA ? p.column : p.row; };
    auto outer = [&](TilePlace p) { return isA ? p.row : p.column; };
    int64_t count = int64_t(1) << bits.registers.size();
    for (auto [i, bit] : llvm::enumerate(bits.registers))
      if (outer(bit) || k(bit) != int64_t(1) << i)
        return false;
    return llvm::all_of(bits.lanes,
                        [&](TilePlace bit) { return k(bit) % count == 0; });
  }

  /// The fragments of `steps` steps from `k` on, at row (column) `outer`.
  /// Several at once are of terms that are dealt to steps in another order, the
  /// same for A and B, so that a lane's lie side by side.
  SmallVector<Value> fragments(OpBuilder &b, Location loc, int64_t outer,
                               int64_t k, int64_t steps) {
    int64_t count = int64_t(1) << bits.registers.size();
    SmallVector<Value> found;
    if (memory) {
      LaneBits all = bits;
      if (steps > 1)
        for (TilePlace &bit : all.lanes)
          (isA ? bit.column : bit.row) *= steps;
      for (int64_t s = count; s < count * steps; s *= 2)
        all.registers.push_back(isA ? TilePlace{0, s} : TilePlace{s, 0});
      Value v =
          memory->load(all, isA ? TilePlace{outer, k} : TilePlace{k, outer});
      if (steps == 1)
        return {v};
      for (int64_t i = 0; i < steps; ++i)
        found.push_back(vector::ExtractStridedSliceOp::create(
            b, loc, v, ArrayRef<int64_t>{i * count}, ArrayRef<int64_t>{count},
            ArrayRef<int64_t>{1}));
      return found;
    }
    SmallVector<Value> elements;
    for (int64_t r = 0; r < count; ++r) {
      TilePlace at = placeOf(bits, r);
      elements.push_back(
          registers.lookup(isA ? std::pair(outer + at.row, k + at.column)
                               : std::pair(k + at.row, outer + at.column)));
    }
    return {vector::FromElementsOp::create(
        b, loc, VectorType::get({count}, elements[0].getType()), elements)};
  }
};
} // namespace

/// How many steps' fragments a lane loads at once: 16 bytes.
static int64_t stepsAtOnce(const UnitOperand &a, const UnitOperand &w,
                           int64_t steps) {
  if (!a.memory || !w.memory || !a.isAlongK() || !w.isAlongK() ||
      a.bits.registers.size() != w.bits.registers.size() ||
      !(a.memory->liesAlong(true) || w.memory->liesAlong(false)))
    return 1;
  int64_t at = 1;
  while ((a.memory->elementBytes() << a.bits.registers.size()) * at < 16 &&
         steps % (at * 2) == 0)
    at *= 2;
  return at;
}

LogicalResult LaneBuilder::emitUnitMma(MmaOp op) {
  Location loc = op.getLoc();
  const MatrixUnit &unit = *findUnit(info.units, *op.getUnit());
  auto sums = cast<VectorType>(op.getAcc().getType());
  if (!layoutOf(op.getAcc()))
    return op.emitError("has a tile that cannot be dealt to ")
           << group << " lanes for " << unit.name;
  int64_t M = sums.getDimSize(0), N = sums.getDimSize(1),
          K = cast<ShapedType>(op.getA().getType()).getDimSize(1);
  SubgroupParts parts = *partsOf(M, N, unit, group / subgroup);
  std::pair<Value, Value> origin = originOf(*this, loc, parts, unit);
  Value zero = index(loc, 0);
  auto operandOf = [&](Value v, Anchor::Role role, UnitOperand &operand) {
    operand.isA = role == Anchor::a;
    operand.bits = operand.isA ? bitsOf(unit.fragmentA, unit.k)
                               : bitsOf(unit.fragmentB, unit.n);
    if (isa<VectorType>(v.getType())) {
      const LaneLayout *layout = layoutOf(v);
      if (!layout || !liesFor(v, {{}, &unit, role, M, N}))
        return false;
      for (auto [at, element] : llvm::zip(layout->offsets, registers(v)))
        operand.registers[{at[0], at[1]}] = element;
      return true;
    }
    auto view = v.getDefiningOp<memref::TransposeOp>();
    Value memref = uniform(view ? view.getIn() : v);
    auto type = cast<MemRefType>(memref.getType());
    if (type.getRank() != 2 || type.getStridesAndOffset().first.back() != 1)
      return false;
    operand.memory.emplace(*this, loc, memref, bool(view),
                           operand.isA ? origin.first : zero,
                           operand.isA ? zero : origin.second);
    return true;
  };
  UnitOperand a, w;
  if (!operandOf(op.getA(), Anchor::a, a) ||
      !operandOf(op.getB(), Anchor::b, w) || K % unit.k)
    return op.emitError("wants A and B in workgroup memory, row-major or "
                        "turned, or in registers as ")
           << unit.name << " has them, and K a multiple of " << unit.k;

  // Two of B's fragments by one load, where that takes four matrices.
  LaneBits pair = w.bits;
  pair.registers.push_back({0, unit.n});
  bool paired = parts.n % 2 == 0 && w.memory && w.memory->byMatrices(pair);
  int64_t perFragment = int64_t(1) << w.bits.registers.size(),
          perSum = int64_t(1) << unit.fragmentC.registers.size();

  Type element = sums.getElementType();
  auto part = VectorType::get({perSum}, element);
  SmallVector<Value> registersOfSum(registers(op.getAcc())), acc;
  for (int64_t i = 0; i < parts.m * parts.n; ++i)
    acc.push_back(vector::FromElementsOp::create(
        b, loc, part, ArrayRef(registersOfSum).slice(i * perSum, perSum)));
  int64_t steps = stepsAtOnce(a, w, K / unit.k);
  for (int64_t k = 0; k < K; k += unit.k * steps) {
    SmallVector<SmallVector<Value>> as, bs; // by part and step
    for (int64_t i = 0; i < parts.m; ++i)
      as.push_back(a.fragments(b, loc, i * unit.m, k, steps));
    for (int64_t j = 0; j < parts.n; j += 1 + paired) {
      if (!paired) {
        bs.push_back(w.fragments(b, loc, j * unit.n, k, steps));
        continue;
      }
      Value both = w.memory->load(pair, {k, j * unit.n});
      for (int64_t half : {0, 1})
        bs.push_back({vector::ExtractStridedSliceOp::create(
            b, loc, both, ArrayRef<int64_t>{half * perFragment},
            ArrayRef<int64_t>{perFragment}, ArrayRef<int64_t>{1})});
    }
    for (int64_t step = 0; step < steps; ++step)
      for (int64_t i = 0; i < parts.m; ++i)
        for (int64_t j = 0; j < parts.n; ++j) {
          Value &sum = acc[i * parts.n + j];
          sum = LaneMmaOp::create(b, loc, part, as[i][step], bs[j][step], sum,
                                  *op.getUnit());
        }
  }
  SmallVector<Value> &result = tiles[op.getResult()];
  for (Value sum : acc)
    for (int64_t r = 0; r < perSum; ++r)
      result.push_back(vector::ExtractOp::create(b, loc, sum, r));
  return success();
}
