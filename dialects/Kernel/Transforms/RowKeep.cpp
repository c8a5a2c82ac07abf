//===- RowKeep.cpp - widths, and what is kept from pass to pass -----------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/RowEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

int64_t kernel::bodyCost(linalg::GenericOp op) {
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
/// A row of at most so many vectors waits for its reductions longer than it
/// works, if it is alone.
static constexpr int64_t kShortRow = 64;

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
  // The product of the columns, and of the rows; 0 if it is not known.
  int64_t columns = 1, lines = 1;
  for (auto [kind, size] : llvm::zip_equal(kinds, sizes))
    (kind == utils::IteratorType::reduction ? columns : lines) *=
        getConstantIntValue(size).value_or(0);
  bool brief = along && columns && columns <= kShortRow * lanes;
  rows.resize(brief && lines != 1 ? 2 : 1);
}

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

/// In workgroup memory: the columns of the rows that are emitted in step.
bool RowEmitter::keepLocally(const RowPart &part, unsigned first,
                             int64_t &bytes) {
  Type element =
      cast<RankedTensorType>(part.result().getType()).getElementType();
  SmallVector<int64_t> shape;
  SmallVector<AffineExpr> at;
  int64_t need =
      rows.size() * llvm::divideCeil(element.getIntOrFloatBitWidth(), 8);
  for (auto [i, size] : llvm::enumerate(sizes)) {
    if (kinds[i] != utils::IteratorType::reduction)
      continue;
    auto n = getConstantIntValue(size);
    if (!n || *n > bytes)
      return false;
    shape.push_back(*n);
    need *= *n;
    if (need > bytes)
      return false;
    at.push_back(b.getAffineDimExpr(i));
  }
  if (!along) {
    shape.push_back(lanes);
    need *= lanes;
    at.push_back(b.getAffineConstantExpr(0));
  }
  if (need > bytes)
    return false;
  bytes -= need;
  Kept &how = kept[part.result()];
  how.pass = first;
  for (size_t i = 0; i < rows.size(); ++i)
    how.places.push_back(
        {AllocOp::create(
             b, loc,
             MemRefType::get(shape, element, AffineMap(), kWorkgroupSpace)),
         AffineMap::get(sizes.size(), 0, at, b.getContext()),
         /*varies=*/true});
  return true;
}

/// Where a result will lie that is written when this is read for the last time,
/// and where nothing else is kept.
bool RowEmitter::keepInResult(const RowPart &part, unsigned first,
                              unsigned last) {
  for (const RowPart &result : group.parts) {
    auto it = outputs.find(result.result());
    if (it == outputs.end() || !result.full || result.reduces ||
        result.pass < last || result.pass <= first ||
        result.result().getType() != part.result().getType() ||
        result.resultMap(group.rank()) != part.resultMap(group.rank()))
      continue;
    if (llvm::any_of(kept, [&](auto &other) {
          return other.second.places[0].memref == it->second.memref;
        }))
      continue;
    kept[part.result()] = {{rows.size(), it->second}, first};
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
    unsigned first = passes.front();
    auto out = outputs.find(part.result());
    if (out != outputs.end())
      kept[part.result()] = {{rows.size(), out->second}, first};
    else if (costOf(part) >= kKeepCost && !keepLocally(part, first, bytes))
      (void)keepInResult(part, first, passes.back());
  }
}
