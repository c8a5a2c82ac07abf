//===- Work.cpp - what a kernel computes and moves ------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/WorkReader.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

//===----------------------------------------------------------------------===//
// Terms
//===----------------------------------------------------------------------===//

WorkTerm kernel::constantCount(uint64_t v) {
  return {v, WorkTerm::kNoMost, {}};
}

Count kernel::multiply(const Count &a, const Count &b) {
  if (!a || !b || a->most != WorkTerm::kNoMost || b->most != WorkTerm::kNoMost)
    return std::nullopt;
  WorkTerm t = *a;
  t.coefficient = llvm::SaturatingMultiply(a->coefficient, b->coefficient);
  t.sizes.append(b->sizes);
  llvm::sort(t.sizes);
  return t;
}

bool kernel::divides(const WorkTerm &x, const WorkTerm &y) {
  return x.coefficient <= y.coefficient &&
         std::includes(y.sizes.begin(), y.sizes.end(), x.sizes.begin(),
                       x.sizes.end());
}

/// The lesser of two products, where it is known which that is, or one is a
/// constant.
static Count least(const WorkTerm &a, const WorkTerm &b) {
  if (divides(a, b))
    return a;
  if (divides(b, a))
    return b;
  if (b.sizes.empty())
    return WorkTerm{a.coefficient, b.coefficient, a.sizes};
  if (a.sizes.empty())
    return WorkTerm{b.coefficient, a.coefficient, b.sizes};
  return std::nullopt;
}

void kernel::add(WorkSum &sum, const Count &term) {
  if (!term)
    sum.reset();
  if (!sum || term->coefficient == 0)
    return;
  for (WorkTerm &t : *sum)
    if (t.sizes == term->sizes && t.most == WorkTerm::kNoMost &&
        term->most == WorkTerm::kNoMost) {
      t.coefficient = llvm::SaturatingAdd(t.coefficient, term->coefficient);
      return;
    }
  sum->push_back(*term);
}

static uint64_t elementBytes(Type type) {
  return llvm::divideCeil(cast<ShapedType>(type).getElementTypeBitWidth(), 8);
}

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

Value WorkReader::outer(Value v) {
  for (auto it = arguments.find(v); it != arguments.end();
       it = arguments.find(v))
    v = it->second;
  return v;
}

Count WorkReader::count(OpFoldResult size) {
  if (auto v = dyn_cast<Value>(size))
    size = OpFoldResult(outer(v));
  if (std::optional<int64_t> fixed = getConstantIntValue(size))
    return constantCount(std::max<int64_t>(*fixed, 0));
  auto arg = dyn_cast<BlockArgument>(cast<Value>(size));
  if (!arg || arg.getOwner() != &k.getBody().front() ||
      arg.getArgNumber() >= k.getNumSizes())
    return std::nullopt;
  return WorkTerm{1, WorkTerm::kNoMost, {arg.getArgNumber()}};
}

Count WorkReader::elements(ArrayRef<OpFoldResult> sizes) {
  Count n = constantCount(1);
  for (OpFoldResult size : sizes)
    n = multiply(n, count(size));
  return n;
}

std::optional<unsigned> WorkReader::bindingOf(Value v) {
  v = outer(v);
  if (auto to = v.getDefiningOp<bufferization::ToTensorOp>())
    v = to.getBuffer();
  auto arg = dyn_cast<BlockArgument>(v);
  if (!arg || arg.getOwner() != &k.getBody().front() ||
      arg.getArgNumber() < k.getNumSizes())
    return std::nullopt;
  return arg.getArgNumber() - k.getNumSizes();
}

/// Empty where they are not known.
SmallVector<OpFoldResult> WorkReader::sizesOf(Value tensor) {
  tensor = outer(tensor);
  if (std::optional<unsigned> binding = bindingOf(tensor))
    return k.getMixedSizesOf(*binding);
  auto op = tensor.getDefiningOp<linalg::LinalgOp>();
  if (op)
    return sizesOf(op.getDpsInits()[cast<OpResult>(tensor).getResultNumber()]);
  auto sizes = graph::getSizes(tensor);
  return succeeded(sizes) ? *sizes : SmallVector<OpFoldResult>();
}

/// The bytes of accesses to a binding: each element once.
Count WorkReader::bytes(unsigned binding, ArrayRef<Count> parts) {
  auto type = k.getBinding(binding).getType();
  Count whole = elements(k.getMixedSizesOf(binding)), sum = constantCount(0);
  for (const Count &part : parts) {
    if (!part || !sum)
      return std::nullopt;
    if (sum->coefficient == 0)
      sum = part;
    else if (sum->sizes == part->sizes)
      sum->coefficient =
          llvm::SaturatingAdd(sum->coefficient, part->coefficient);
    else if (divides(*sum, *part)) // the larger touches what the other does
      sum = part;
    else if (!divides(*part, *sum))
      return std::nullopt;
  }
  if (whole && sum)
    sum = least(*sum, *whole);
  else
    sum.reset();
  if (!sum)
    return std::nullopt;
  uint64_t size = elementBytes(type);
  sum->coefficient = llvm::SaturatingMultiply(sum->coefficient, size);
  if (sum->most != WorkTerm::kNoMost)
    sum->most = llvm::SaturatingMultiply(sum->most, size);
  return sum;
}

//===----------------------------------------------------------------------===//
// Operations
//===----------------------------------------------------------------------===//

void WorkReader::visit(linalg::LinalgOp op) {
  SmallVector<Count> loops(op.getNumLoops());
  for (OpOperand &operand : op->getOpOperands()) {
    if (!isa<RankedTensorType>(operand.get().getType()))
      continue;
    SmallVector<OpFoldResult> sizes = sizesOf(operand.get());
    AffineMap map = op.getMatchingIndexingMap(&operand);
    for (auto [i, e] : llvm::enumerate(map.getResults()))
      if (auto dim = dyn_cast<AffineDimExpr>(e); dim && i < sizes.size())
        if (!loops[dim.getPosition()])
          loops[dim.getPosition()] = count(sizes[i]);
    if (std::optional<unsigned> binding = bindingOf(operand.get()))
      if (op.payloadUsesValueFromOperand(&operand))
        uses[*binding].whole = true;
  }
  Count times = constantCount(1);
  for (const Count &loop : loops)
    times = multiply(times, loop);
  genericLoops = loops;
  body(*op.getBlock(), times, work.flops);
}

void WorkReader::visit(graph::ConvOp op) {
  SmallVector<OpFoldResult> out = sizesOf(op.getResult()),
                            filter = sizesOf(op.getFilter());
  Count points = elements(out);
  Count n =
      filter.empty() ? std::nullopt : elements(ArrayRef(filter).drop_front());
  add(work.flops, multiply(constantCount(2), multiply(points, n)));
  if (op.getBias())
    add(work.flops, points);
  for (Value v : op->getOperands())
    if (isa<RankedTensorType>(v.getType()))
      if (std::optional<unsigned> binding = bindingOf(v))
        uses[*binding].whole = true;
}

void WorkReader::visit(graph::ParallelOp op) {
  Block &block = op.getBody().front();
  unsigned next = 0;
  Count times = constantCount(1);
  for (Value size : op.getSpace()) {
    Count n = count(size);
    steps[block.getArgument(next++)] = n;
    times = multiply(times, n);
  }
  for (Value v : op.getInputs())
    arguments[block.getArgument(next++)] = v;
  for (Value v : op.getScalars())
    arguments[block.getArgument(next++)] = v;
  // One that starts with an input is that input, and written in part.
  for (auto [i, v] : llvm::enumerate(op.getResults()))
    if (int64_t start = op.getStart(i); start >= 0)
      arguments[block.getArgument(next + i)] = op.getInputs()[start];
  body(block, times, work.flops);
}

/// False: not known what it does.
bool WorkReader::visit(Operation *op) {
  if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op))
    visit(linalgOp);
  else if (auto conv = dyn_cast<graph::ConvOp>(op))
    visit(conv);
  else if (auto parallel = dyn_cast<graph::ParallelOp>(op))
    visit(parallel);
  else if (auto out = dyn_cast<bufferization::MaterializeInDestinationOp>(op)) {
    unsigned binding = *bindingOf(out.getDest());
    auto from = out.getSource().getDefiningOp<graph::ParallelOp>();
    bool part =
        from &&
        from.getStart(cast<OpResult>(out.getSource()).getResultNumber()) >= 0;
    if (!part)
      uses[binding].stores = {elements(k.getMixedSizesOf(binding))};
    add(work.writes, bytes(binding, uses[binding].stores));
    uses[binding].stores.clear();
  } else
    return isa<arith::ArithDialect>(op->getDialect()) ||
           isa<tensor::EmptyOp, bufferization::ToTensorOp, ReturnOp>(op);
  return true;
}

Work WorkReader::run() {
  uses.resize(k.getNumBindings());
  work.flops = work.reads = work.writes = SmallVector<WorkTerm>();
  for (Operation &op : k.getBody().front())
    if (!visit(&op))
      return {};
  for (auto [i, use] : llvm::enumerate(uses)) {
    if (use.whole) {
      Count all = elements(k.getMixedSizesOf(i));
      add(work.reads, bytes(i, all));
      continue;
    }
    SmallVector<Count> loads;
    for (auto &[indices, n] : use.loads)
      loads.push_back(n);
    if (!loads.empty())
      add(work.reads, bytes(i, loads));
  }
  return work;
}

Work kernel::workOf(FuncOp kernel) { return WorkReader(kernel).run(); }
