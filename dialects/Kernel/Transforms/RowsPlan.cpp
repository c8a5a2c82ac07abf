//===- RowsPlan.cpp - softmax, norms and reductions, row by row -----------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A workgroup takes some rows of a row group (RowGroup.h) and goes over each,
// or two short ones in step, in passes. In a pass every reduction whose inputs
// are there is accumulated and every result that can be had is stored. Vectors
// run along the innermost dim: along the columns, with a row's reductions
// joined across lanes at its end; or, if that dim is one of the rows', across
// rows, each lane a row.
//
// What a later pass needs of an earlier one is computed again if that is
// cheap. Otherwise it is kept: in workgroup memory if a row fits there, or
// where a result of the group will lie, which is written only later.
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/Plans.h"
#include "dialects/Kernel/Transforms/RowEmitter.h"
#include "dialects/Kernel/Transforms/VectorBody.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

/// What a workgroup should do at least, in the units of bodyCost.
static constexpr int64_t kGroupCost = 65536;
/// Assumed of dims that are not known.
static constexpr int64_t kTypicalSize = 256;

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
  auto begin = [&](RowEmitter::Row &row, ValueRange at) {
    row.ivs.assign(sizes.size(), zero);
    for (auto [i, iv] : llvm::zip_equal(rowRuns, at))
      row.ivs[i] = iv;
  };
  if (!vectors) {
    tb.forEachPoint(space, perGroup, [&](ValueRange at) {
      begin(rows[0], at);
      emitRows();
    });
    return;
  }
  // The workgroup's rows one after the other: tiles belong to all its lanes.
  OpFoldResult all = b.getIndexAttr(1);
  for (OpFoldResult size : space)
    all = tb.mul(all, size);
  int64_t inStep = rows.size();
  perGroup = llvm::alignTo(perGroup, inStep);
  if (auto n = getConstantIntValue(all))
    perGroup = std::min<int64_t>(
        perGroup, llvm::alignTo(std::max<int64_t>(*n, 1), inStep));
  Value block = tb.makeGrid({tb.ceilDiv(all, perGroup)})[0];
  Value first = arith::MulIOp::create(b, loc, block, tb.index(perGroup));
  Value left = arith::SubIOp::create(b, loc, tb.toValue(all), first);
  Value count = arith::MinUIOp::create(b, loc, left, tb.index(perGroup));
  auto each = scf::ForOp::create(b, loc, zero, count, tb.index(inStep));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(each.getBody());
  Value number = arith::AddIOp::create(b, loc, first, each.getInductionVar());
  for (auto [i, row] : llvm::enumerate(rows)) {
    Value rest = number;
    if (i) {
      // Past the end the last row is done again.
      rest = arith::AddIOp::create(b, loc, number, tb.index(i));
      rest = arith::MinUIOp::create(
          b, loc, rest,
          arith::SubIOp::create(b, loc, tb.toValue(all), tb.index(1)));
    }
    SmallVector<Value> at(space.size());
    for (int64_t d = int64_t(space.size()) - 1; d > 0; --d) {
      Value extent = tb.toValue(space[d]);
      at[d] = arith::RemUIOp::create(b, loc, rest, extent);
      rest = arith::DivUIOp::create(b, loc, rest, extent);
    }
    if (!space.empty())
      at[0] = rest;
    begin(row, at);
  }
  if (along) {
    emitRows();
    return;
  }
  // Lanes are rows, masked where the innermost dim ends.
  Value lane0 =
      arith::MulIOp::create(b, loc, rows[0].ivs[laneRun], tb.index(lanes));
  setIv(laneRun, lane0);
  auto fixed = getConstantIntValue(sizes[laneRun]);
  if (fixed && (*fixed % lanes == 0 || *fixed < lanes)) {
    mask = *fixed < lanes ? maskFrom(lane0) : Value();
    emitRows();
    return;
  }
  Value last = arith::AddIOp::create(b, loc, lane0, tb.index(lanes));
  Value full = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ule, last,
                                     tb.toValue(sizes[laneRun]));
  auto branch = scf::IfOp::create(b, loc, full, /*withElseRegion=*/true);
  b.setInsertionPointToStart(&branch.getThenRegion().front());
  emitRows();
  b.setInsertionPointToStart(&branch.getElseRegion().front());
  mask = maskFrom(lane0);
  emitRows();
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
