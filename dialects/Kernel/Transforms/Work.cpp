//===- Work.cpp - what a kernel computes and moves ------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Regular operations read their operands whole. Bodies that load for
// themselves (graph.parallel, tensor.extract) are looked at load by load: one
// whose indices are loops of their own touches as many elements as these loops
// have steps; of others only the number of loads is known, and that none reads
// more than there is.
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/Work.h"

#include "dialects/Graph/Graph.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

//===----------------------------------------------------------------------===//
// Terms
//===----------------------------------------------------------------------===//

/// Nothing: not a product of sizes.
using Count = std::optional<WorkTerm>;

static WorkTerm constant(uint64_t v) { return {v, WorkTerm::kNoMost, {}}; }

static Count multiply(const Count &a, const Count &b) {
  if (!a || !b || a->most != WorkTerm::kNoMost || b->most != WorkTerm::kNoMost)
    return std::nullopt;
  WorkTerm t = *a;
  t.coefficient = llvm::SaturatingMultiply(a->coefficient, b->coefficient);
  t.sizes.append(b->sizes);
  llvm::sort(t.sizes);
  return t;
}

/// Is `x` at most `y`? Sizes are at least one: with an empty tensor there is no
/// work.
static bool divides(const WorkTerm &x, const WorkTerm &y) {
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

static void add(WorkSum &sum, const Count &term) {
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

namespace {

/// What a kernel does with one of its bindings.
struct Use {
  bool whole = false;
  SmallVector<std::pair<SmallVector<Value>, Count>> loads; // by their indices
  SmallVector<Count> stores; // of a binding that is changed in part
};

class Worker {
public:
  explicit Worker(FuncOp k) : k(k) {}
  Work run();

private:
  /// How an index of a load comes about.
  struct Index {
    enum { fixed, loop, broadcast, other } kind;
    Value of = {}; // the loop's variable
  };

  Count count(OpFoldResult size);
  Count elements(ArrayRef<OpFoldResult> sizes);
  SmallVector<OpFoldResult> sizesOf(Value tensor);
  std::optional<unsigned> bindingOf(Value v);
  Value outer(Value v);

  void visit(linalg::LinalgOp op);
  void visit(graph::ConvOp op);
  void visit(graph::ParallelOp op);
  bool visit(Operation *op);
  void body(Block &block, const Count &times, WorkSum &sum);
  std::pair<Value, int64_t> split(Value v);
  Count trips(scf::ForOp op);
  bool dependsOnData(Value v);
  void load(Value from, ValueRange indices, const Count &times);
  Index indexOf(Value v);
  Count touched(Value from, ValueRange indices, const Count &times);
  Count bytes(unsigned binding, ArrayRef<Count> parts);

  FuncOp k;
  Work work;
  std::vector<Use> uses;            // of each binding
  DenseMap<Value, Value> arguments; // of bodies to what they stand for
  DenseMap<Value, Count> steps;     // of loops, by their variables
  linalg::LinalgOp generic;         // whose body is gone through
  SmallVector<Count> genericLoops;
};

} // namespace

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

Value Worker::outer(Value v) {
  for (auto it = arguments.find(v); it != arguments.end();
       it = arguments.find(v))
    v = it->second;
  return v;
}

Count Worker::count(OpFoldResult size) {
  if (auto v = dyn_cast<Value>(size))
    size = OpFoldResult(outer(v));
  if (std::optional<int64_t> fixed = getConstantIntValue(size))
    return constant(std::max<int64_t>(*fixed, 0));
  auto arg = dyn_cast<BlockArgument>(cast<Value>(size));
  if (!arg || arg.getOwner() != &k.getBody().front() ||
      arg.getArgNumber() >= k.getNumSizes())
    return std::nullopt;
  return WorkTerm{1, WorkTerm::kNoMost, {arg.getArgNumber()}};
}

Count Worker::elements(ArrayRef<OpFoldResult> sizes) {
  Count n = constant(1);
  for (OpFoldResult size : sizes)
    n = multiply(n, count(size));
  return n;
}

std::optional<unsigned> Worker::bindingOf(Value v) {
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
SmallVector<OpFoldResult> Worker::sizesOf(Value tensor) {
  tensor = outer(tensor);
  if (std::optional<unsigned> binding = bindingOf(tensor))
    return k.getMixedSizesOf(*binding);
  auto op = tensor.getDefiningOp<linalg::LinalgOp>();
  if (op)
    return sizesOf(op.getDpsInits()[cast<OpResult>(tensor).getResultNumber()]);
  auto sizes = graph::getSizes(tensor);
  return succeeded(sizes) ? *sizes : SmallVector<OpFoldResult>();
}

//===----------------------------------------------------------------------===//
// Loads
//===----------------------------------------------------------------------===//

Worker::Index Worker::indexOf(Value v) {
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
Count Worker::touched(Value from, ValueRange indices, const Count &times) {
  SmallVector<OpFoldResult> sizes = sizesOf(from);
  DenseSet<Value> loops;
  Count n = constant(1);
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

void Worker::load(Value from, ValueRange indices, const Count &times) {
  std::optional<unsigned> binding = bindingOf(from);
  if (!binding)
    return; // memory of the body's own, or what the kernel has computed
  SmallVector<Value> of(indices.begin(), indices.end());
  for (auto &known : uses[*binding].loads)
    if (known.first == of)
      return;
  uses[*binding].loads.push_back({of, touched(from, indices, times)});
}

/// The bytes of accesses to a binding: each element once.
Count Worker::bytes(unsigned binding, ArrayRef<Count> parts) {
  auto type = k.getBinding(binding).getType();
  Count whole = elements(k.getMixedSizesOf(binding)), sum = constant(0);
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
// Bodies
//===----------------------------------------------------------------------===//

/// `v` as a value that is no constant (or null) plus a constant.
std::pair<Value, int64_t> Worker::split(Value v) {
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

Count Worker::trips(scf::ForOp op) {
  auto [from, first] = split(op.getLowerBound());
  auto [to, end] = split(op.getUpperBound());
  std::optional<int64_t> step = getConstantIntValue(outer(op.getStep()));
  if (!step || *step <= 0)
    return std::nullopt;
  if (from == to)
    return constant(end > first ? llvm::divideCeil(end - first, *step) : 0);
  return !from && first == end && *step == 1 ? count(to) : std::nullopt;
}

/// Is it computed from elements of tensors, and not from sizes and loops alone?
bool Worker::dependsOnData(Value v) {
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
void Worker::body(Block &block, const Count &times, WorkSum &sum) {
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
      add(sum, multiply(times, constant(n)));
    }
  }
}

void Worker::visit(linalg::LinalgOp op) {
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
  Count times = constant(1);
  for (const Count &loop : loops)
    times = multiply(times, loop);
  generic = op;
  genericLoops = loops;
  body(*op.getBlock(), times, work.flops);
}

void Worker::visit(graph::ConvOp op) {
  SmallVector<OpFoldResult> out = sizesOf(op.getResult()),
                            filter = sizesOf(op.getFilter());
  Count points = elements(out);
  Count n =
      filter.empty() ? std::nullopt : elements(ArrayRef(filter).drop_front());
  add(work.flops, multiply(constant(2), multiply(points, n)));
  if (op.getBias())
    add(work.flops, points);
  for (Value v : op->getOperands())
    if (isa<RankedTensorType>(v.getType()))
      if (std::optional<unsigned> binding = bindingOf(v))
        uses[*binding].whole = true;
}

void Worker::visit(graph::ParallelOp op) {
  Block &block = op.getBody().front();
  unsigned next = 0;
  Count times = constant(1);
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
bool Worker::visit(Operation *op) {
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

Work Worker::run() {
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

Work kernel::workOf(FuncOp kernel) { return Worker(kernel).run(); }
