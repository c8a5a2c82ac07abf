//===- WorkBody.cpp - arithmetic, loads and stores of a body --------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Bodies that load for themselves (graph.parallel, tensor.extract) are looked
// at load by load: one whose indices are loops of their own touches as many
// elements as these loops have steps; of others only the number of loads is
// known, and that none reads more than there is.
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/WorkReader.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

/// One, of an operation on one point of a tensor.
static uint64_t flopsOf(Operation *op) {
  if (op->getNumResults() != 1 || op->use_empty())
    return 0;
  Type type = op->getResult(0).getType();
  if (!type.isFloat() && (!isa<IntegerType>(type) || type.isInteger(1)))
    return 0;
  if (isa<math::FmaOp>(op))
    return 2;
  if (isa<math::MathDialect>(op->getDialect()))
    return 1;
  return isa<arith::AddFOp, arith::SubFOp, arith::MulFOp, arith::DivFOp,
             arith::RemFOp, arith::NegFOp, arith::MaximumFOp, arith::MinimumFOp,
             arith::MaxNumFOp, arith::MinNumFOp, arith::AddIOp, arith::SubIOp,
             arith::MulIOp, arith::DivSIOp, arith::DivUIOp, arith::RemSIOp,
             arith::RemUIOp, arith::FloorDivSIOp, arith::CeilDivSIOp,
             arith::CeilDivUIOp, arith::MaxSIOp, arith::MaxUIOp, arith::MinSIOp,
             arith::MinUIOp>(op);
}

//===----------------------------------------------------------------------===//
// Loads
//===----------------------------------------------------------------------===//

WorkReader::Index WorkReader::indexOf(Value v) {
  v = outer(v);
  if (steps.contains(v))
    return {Index::loop, v};
  Operation *op = v.getDefiningOp();
  if (!op) // a size of the kernel's, or what a loop carries
    return {count(v) ? Index::fixed : Index::other};
  if (isa<arith::ConstantOp>(op))
    return {Index::fixed};
  if (isa<linalg::IndexOp>(op))
    return {Index::loop, v};
  if (isa<arith::IndexCastOp, arith::IndexCastUIOp, arith::ExtSIOp,
          arith::ExtUIOp>(op))
    return indexOf(op->getOperand(0));
  if (isa<arith::CmpIOp>(op)) {
    bool fixed = indexOf(op->getOperand(0)).kind == Index::fixed &&
                 indexOf(op->getOperand(1)).kind == Index::fixed;
    return {fixed ? Index::fixed : Index::other};
  }
  if (isa<arith::AddIOp, arith::SubIOp, arith::MulIOp>(op)) {
    Index a = indexOf(op->getOperand(0)), b = indexOf(op->getOperand(1));
    if (a.kind == Index::fixed)
      std::swap(a, b);
    if (b.kind != Index::fixed || a.kind == Index::broadcast)
      return {Index::other};
    return a;
  }
  if (auto select = dyn_cast<arith::SelectOp>(op)) {
    // 0 where the dim is one, else the loop's own step.
    Index a = indexOf(select.getTrueValue()),
          b = indexOf(select.getFalseValue());
    bool fixed = indexOf(select.getCondition()).kind == Index::fixed;
    if (fixed && a.kind == Index::fixed && b.kind == Index::fixed)
      return {Index::fixed};
    if (fixed && (a.kind == Index::fixed || b.kind == Index::fixed))
      return {Index::broadcast};
  }
  return {Index::other};
}

/// How many elements of `from` a load touches that runs so often.
Count WorkReader::touched(Value from, ValueRange indices, const Count &times) {
  SmallVector<OpFoldResult> sizes = sizesOf(from);
  DenseSet<Value> loops;
  Count n = constantCount(1);
  for (auto [i, v] : llvm::enumerate(indices)) {
    Index index = indexOf(v);
    if (index.kind == Index::other || i >= sizes.size())
      return times;
    if (index.kind == Index::fixed)
      continue;
    if (index.kind == Index::broadcast) {
      n = multiply(n, count(sizes[i]));
      continue;
    }
    if (auto op = index.of.getDefiningOp<linalg::IndexOp>()) {
      // Each use of a loop has an operation of its own: they are equal.
      for (Value known : loops)
        if (auto other = known.getDefiningOp<linalg::IndexOp>();
            other && other.getDim() == op.getDim())
          return times;
      n = multiply(n, genericLoops[op.getDim()]);
    } else {
      n = multiply(n, steps.lookup(index.of));
    }
    if (!loops.insert(index.of).second)
      return times;
  }
  return n;
}

void WorkReader::load(Value from, ValueRange indices, const Count &times) {
  std::optional<unsigned> binding = bindingOf(from);
  if (!binding)
    return; // memory of the body's own, or what the kernel has computed
  SmallVector<Value> of(indices.begin(), indices.end());
  for (auto &known : uses[*binding].loads)
    if (known.first == of)
      return;
  uses[*binding].loads.push_back({of, touched(from, indices, times)});
}

//===----------------------------------------------------------------------===//
// Bodies
//===----------------------------------------------------------------------===//

/// `v` as a value that is no constant (or null) plus a constant.
std::pair<Value, int64_t> WorkReader::split(Value v) {
  v = outer(v);
  if (std::optional<int64_t> fixed = getConstantIntValue(v))
    return {Value(), *fixed};
  Operation *op = v.getDefiningOp();
  if (isa_and_nonnull<arith::AddIOp, arith::SubIOp>(op)) {
    auto [a, x] = split(op->getOperand(0));
    auto [b, y] = split(op->getOperand(1));
    if (!b)
      return {a, isa<arith::AddIOp>(op) ? x + y : x - y};
    if (!a && isa<arith::AddIOp>(op))
      return {b, x + y};
  }
  return {v, 0};
}

Count WorkReader::trips(scf::ForOp op) {
  auto [from, first] = split(op.getLowerBound());
  auto [to, end] = split(op.getUpperBound());
  std::optional<int64_t> step = getConstantIntValue(outer(op.getStep()));
  if (!step || *step <= 0)
    return std::nullopt;
  if (from == to)
    return constantCount(end > first ? llvm::divideCeil(end - first, *step)
                                     : 0);
  return !from && first == end && *step == 1 ? count(to) : std::nullopt;
}

/// Is it computed from elements of tensors, and not from sizes and loops alone?
bool WorkReader::dependsOnData(Value v) {
  v = outer(v);
  if (steps.contains(v) || count(v))
    return false;
  Operation *op = v.getDefiningOp();
  if (!op)
    return true;
  if (isa<arith::ConstantOp, linalg::IndexOp>(op))
    return false;
  return !isa<arith::ArithDialect>(op->getDialect()) ||
         llvm::any_of(op->getOperands(),
                      [&](Value x) { return dependsOnData(x); });
}

/// Adds the arithmetic of `block`, which runs so often, to `sum`.
void WorkReader::body(Block &block, const Count &times, WorkSum &sum) {
  for (Operation &op : block) {
    if (auto l = dyn_cast<memref::LoadOp>(op)) {
      load(l.getMemRef(), l.getIndices(), times);
    } else if (auto l = dyn_cast<tensor::ExtractOp>(op)) {
      load(l.getTensor(), l.getIndices(), times);
    } else if (auto s = dyn_cast<memref::StoreOp>(op)) {
      if (std::optional<unsigned> binding = bindingOf(s.getMemRef()))
        uses[*binding].stores.push_back(times);
    } else if (auto loop = dyn_cast<scf::ForOp>(op)) {
      Count n = trips(loop);
      if (n)
        steps[loop.getInductionVar()] = n;
      body(*loop.getBody(), multiply(times, n), sum);
    } else if (auto branch = dyn_cast<scf::IfOp>(op)) {
      WorkSum sides[2] = {SmallVector<WorkTerm>(), SmallVector<WorkTerm>()};
      body(*branch.thenBlock(), times, sides[0]);
      if (branch.elseBlock())
        body(*branch.elseBlock(), times, sides[1]);
      bool idle[2] = {sides[0] && sides[0]->empty(),
                      sides[1] && sides[1]->empty()};
      // A side that masks another is counted as if it never did.
      if (idle[0] && idle[1])
        continue;
      if ((!idle[0] && !idle[1]) || dependsOnData(branch.getCondition())) {
        sum.reset();
        continue;
      }
      const WorkSum &side = sides[idle[0] ? 1 : 0];
      if (!side)
        sum.reset();
      else
        for (const WorkTerm &t : *side)
          add(sum, t);
    } else if (op.getNumRegions()) {
      for (Region &region : op.getRegions())
        for (Block &inner : region)
          body(inner, std::nullopt, sum);
    } else if (uint64_t n = flopsOf(&op)) {
      add(sum, multiply(times, constantCount(n)));
    }
  }
}
