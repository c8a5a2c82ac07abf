//===- ThinPlan.cpp - products of few rows or columns ---------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// For targets that run lanes. Where one factor has few rows, the other is read
// once and that is the time it takes. Lanes lie along what is contiguous of
// the long factor: over its columns, each lane going down some of k, or over k,
// in runs of 16 bytes. Each has a sum for every row of the short factor; those
// of one column are added in workgroup memory.
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/Plans.h"
#include "dialects/Kernel/Transforms/Product.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

/// Rows that a lane has sums for. With a matrix unit more are better off there.
static constexpr int64_t kMostRows = 16, kMostRowsBesideUnit = 7;
static constexpr int64_t kLanes = 256, kSubgroup = 32;

namespace {
class Emitter {
public:
  Emitter(TileBuilder &tb, const Product &p, bool shortIsM, int64_t rows)
      : tb(tb), b(tb.b), loc(tb.loc), p(p), shortIsM(shortIsM), rows(rows),
        brief(shortIsM ? p.a : p.b), full(shortIsM ? p.b : p.a),
        briefDims(shortIsM ? p.m : p.n), fullDims(shortIsM ? p.n : p.m) {}
  void run(const TargetInfo &info);

private:
  void accumulate(int64_t run);
  SmallVector<Value> step(Value column, Value k, int64_t run, ValueRange sums);
  void join();
  Value add(Value x, Value y) { return arith::AddIOp::create(b, loc, x, y); }
  Value mul(Value x, int64_t y) {
    return y == 1 ? x : Value(arith::MulIOp::create(b, loc, x, tb.index(y)));
  }
  Value plus(Value x, Value y) {
    return isa<FloatType>(p.sum)
               ? arith::AddFOp::create(b, loc, x, y).getResult()
               : add(x, y);
  }

  TileBuilder &tb;
  OpBuilder &b;
  Location loc;
  const Product &p;
  const bool shortIsM;
  const int64_t rows;
  const Factor &brief, &full;
  ArrayRef<OpFoldResult> briefDims, fullDims;
  int64_t columns, parts; // of a workgroup
  SmallVector<Value> batch;
  Value first, size, sizeK, memory;
};
} // namespace

/// What one or `run` neighbouring elements of k add to the sums.
SmallVector<Value> Emitter::step(Value column, Value k, int64_t run,
                                 ValueRange sums) {
  SmallVector<Value> ks = tb.coordinatesOf(k, p.k),
                     cs = tb.coordinatesOf(column, fullDims);
  auto elementsOf = [&](const Factor &f, ArrayRef<Value> outer) {
    if (run == 1)
      return SmallVector<Value>{f.element(batch, outer, ks, /*narrow=*/false)};
    auto [memref, indices] = f.at(batch, outer, ks);
    auto type = VectorType::get({run}, f.narrow);
    Value v = vector::LoadOp::create(b, loc, type, memref, indices);
    v.getDefiningOp()->setAttr(
        "alignment",
        b.getI64IntegerAttr(run * f.narrow.getIntOrFloatBitWidth() / 8));
    SmallVector<Value> elements;
    for (int64_t i = 0; i < run; ++i) {
      Value e = vector::ExtractOp::create(b, loc, v, i);
      if (f.narrow == p.type)
        ;
      else if (isa<FloatType>(p.type))
        e = arith::ExtFOp::create(b, loc, p.type, e);
      else if (f.isUnsigned)
        e = arith::ExtUIOp::create(b, loc, p.type, e);
      else
        e = arith::ExtSIOp::create(b, loc, p.type, e);
      elements.push_back(e);
    }
    return elements;
  };
  SmallVector<Value> next(sums), ys = elementsOf(full, cs);
  for (int64_t row = 0; row < rows; ++row) {
    SmallVector<Value> xs =
        elementsOf(brief, tb.coordinatesOf(tb.index(row), briefDims));
    for (auto [x, y] : llvm::zip_equal(xs, ys))
      next[row] = isa<FloatType>(p.sum)
                      ? math::FmaOp::create(b, loc, x, y, next[row]).getResult()
                      : add(next[row], arith::MulIOp::create(b, loc, x, y));
  }
  return next;
}

void Emitter::accumulate(int64_t run) {
  bool overColumns = full.alongOuter;
  SmallVector<OpFoldResult> space = {b.getIndexAttr(parts),
                                     b.getIndexAttr(columns)};
  if (!overColumns)
    std::swap(space[0], space[1]);
  auto forall =
      scf::ForallOp::create(b, loc, space, ValueRange(), std::nullopt);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(forall.getBody());
  Value part = forall.getInductionVar(!overColumns),
        column = forall.getInductionVar(overColumns);
  // What is past the end reads the last one, and is not stored.
  Value last = arith::SubIOp::create(b, loc, size, tb.index(1));
  Value at = arith::MinUIOp::create(b, loc, add(first, column), last);
  Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(p.sum));
  auto loop =
      scf::ForOp::create(b, loc, mul(part, run), sizeK, tb.index(parts * run),
                         SmallVector<Value>(rows, zero));
  {
    OpBuilder::InsertionGuard inner(b);
    b.setInsertionPointToStart(loop.getBody());
    scf::YieldOp::create(
        b, loc,
        step(at, loop.getInductionVar(), run, loop.getRegionIterArgs()));
  }
  for (int64_t row = 0; row < rows; ++row)
    memref::StoreOp::create(b, loc, loop.getResult(row), memory,
                            ValueRange{tb.index(row), part, column});
}

/// The parts of each result, and its epilogue.
void Emitter::join() {
  SmallVector<OpFoldResult> space = {b.getIndexAttr(rows),
                                     b.getIndexAttr(columns)};
  if (!shortIsM) // n is innermost
    std::swap(space[0], space[1]);
  auto forall =
      scf::ForallOp::create(b, loc, space, ValueRange(), std::nullopt);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(forall.getBody());
  Value row = forall.getInductionVar(!shortIsM),
        column = forall.getInductionVar(shortIsM);
  Value at = add(first, column);
  Value inside =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, at, size);
  auto branch = scf::IfOp::create(b, loc, inside, /*withElseRegion=*/false);
  b.setInsertionPoint(branch.thenBlock()->getTerminator());
  auto loop = scf::ForOp::create(b, loc, tb.index(0), tb.index(parts),
                                 tb.index(1), p.start());
  {
    OpBuilder::InsertionGuard inner(b);
    b.setInsertionPointToStart(loop.getBody());
    Value v = memref::LoadOp::create(
        b, loc, memory, ValueRange{row, loop.getInductionVar(), column});
    scf::YieldOp::create(b, loc, plus(loop.getRegionIterArg(0), v));
  }
  SmallVector<Value> briefs = tb.coordinatesOf(row, briefDims),
                     fulls = tb.coordinatesOf(at, fullDims);
  p.store(batch, shortIsM ? briefs : fulls, shortIsM ? fulls : briefs,
          loop.getResult(0));
}

void Emitter::run(const TargetInfo &info) {
  OpFoldResult extent = productOf(tb, fullDims), K = productOf(tb, p.k);
  int64_t lanes = std::min<int64_t>(kLanes, info.maxGroup);
  Way way;
  if (!full.alongOuter && !brief.alongOuter) {
    Way x = wayOf(tb, p, brief), y = wayOf(tb, p, full);
    way.run = std::min(x.run, y.run);
    way.aligned =
        x.aligned && y.aligned
            ? arith::AndIOp::create(b, loc, x.aligned, y.aligned).getResult()
            : (x.aligned ? x.aligned : y.aligned);
  }
  // A subgroup along what is contiguous, and the rest the other way.
  if (full.alongOuter) {
    columns = fitTile(getConstantIntValue(extent), kSubgroup, 1);
    parts = fitTile(getConstantIntValue(K), lanes / columns, 1);
  } else {
    auto runs = getConstantIntValue(tb.ceilDiv(K, way.run));
    parts = fitTile(runs, kSubgroup, 1);
    columns = fitTile(getConstantIntValue(extent), lanes / parts, 1);
  }
  SmallVector<OpFoldResult> extents = p.batch;
  extents.push_back(tb.ceilDiv(extent, columns));
  SmallVector<Value> at = tb.makeGrid(extents);
  batch.assign(at.begin(), at.end() - 1);
  first = mul(at.back(), columns);
  size = tb.toValue(extent), sizeK = tb.toValue(K);
  // One column more, for other banks.
  memory = AllocOp::create(b, loc,
                           MemRefType::get({rows, parts, columns + 1}, p.sum,
                                           AffineMap(), kWorkgroupSpace));
  if (way.run == 1 || !way.aligned) {
    accumulate(way.run);
  } else {
    auto branch = scf::IfOp::create(b, loc, way.aligned, true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(branch.thenBlock()->getTerminator());
    accumulate(way.run);
    b.setInsertionPoint(branch.elseBlock()->getTerminator());
    accumulate(1);
  }
  join();
  tb.result.setGroup(std::max<int64_t>(parts * columns, kSubgroup));
}

std::string kernel::planThin(FuncOp kernel, const TargetInfo &info) {
  if (info.form != Form::lanes)
    return "for targets that run lanes";
  return planAsProduct(
      kernel, info,
      [&](TileBuilder &tb, const Product &p, std::string &plan) -> std::string {
        if (p.isConvolution)
          return "a convolution reads its input many times";
        auto M = getConstantIntValue(productOf(tb, p.m)),
             N = getConstantIntValue(productOf(tb, p.n));
        bool unit = unitFor(info, p.a.narrow, p.a.isUnsigned, p.b.narrow,
                            p.b.isUnsigned, p.sum);
        int64_t most = unit ? kMostRowsBesideUnit : kMostRows;
        bool shortIsM = M && (!N || *M <= *N);
        auto rows = shortIsM ? M : N;
        if (!rows || *rows > most)
          return "has more than " + std::to_string(most) +
                 " rows and columns, or an unknown number";
        if (*rows == 0)
          return "has no results";
        Emitter(tb, p, shortIsM, *rows).run(info);
        plan = "thin " + std::to_string(*rows);
        return "";
      });
}
