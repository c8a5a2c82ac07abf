//===- Outline.cpp - from graph functions to kernels and launches ---------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Graph/Transforms/Outline.h"

#include "dialects/Graph/Graph.h"
#include "dialects/Graph/Transforms/Fuse.h"
#include "dialects/Graph/Transforms/Groups.h"
#include "dialects/Hal/Hal.h"
#include "dialects/Kernel/Kernel.h"
#include "dialects/Kernel/Transforms/Plans.h"
#include "mlir/Analysis/TopologicalSortUtils.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/MD5.h"

using namespace mlir;
using namespace isthmus;

static constexpr char kCompareAttr[] = "graph.compare";
static constexpr char kReferencePrefix[] = "reference_";

//===----------------------------------------------------------------------===//
// What becomes a kernel
//===----------------------------------------------------------------------===//

/// Cheap producers that are cloned into a kernel instead of bound.
static bool isCloned(Value v) {
  Operation *op = v.getDefiningOp();
  if (!op)
    return false;
  if (isa<tensor::EmptyOp>(op) || graph::isInitFill(op))
    return true;
  if (isa<RankedTensorType>(v.getType()) || v.getType().isIndex())
    return isa<arith::ConstantOp>(op) && v.getType().isIndex();
  return isa<arith::ArithDialect>(op->getDialect());
}

/// Cloned and replaced producers are left without users.
void graph::eraseDead(func::FuncOp func) {
  SmallVector<Block *> blocks = hostBlocks(func);
  for (Block *block : llvm::reverse(blocks))
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(*block)))
      if (isOpTriviallyDead(&op))
        op.erase();
}

/// What others than the group read of its results; those of its last operation
/// in any case.
static SmallVector<Value> resultsOf(ArrayRef<Operation *> group) {
  SmallVector<Value> results;
  auto inside = [&](Operation *user) {
    return llvm::any_of(group,
                        [&](Operation *op) { return op->isAncestor(user); });
  };
  for (Operation *op : group)
    for (Value v : op->getResults())
      if (op == group.back() || !llvm::all_of(v.getUsers(), inside))
        results.push_back(v);
  return results;
}

namespace {

class Outliner {
public:
  Outliner(ModuleOp module, const TargetInfo &info, bool fuse)
      : module(module), info(info), fuse(fuse) {}

  LogicalResult run(func::FuncOp func) {
    SmallVector<Block *> blocks = graph::hostBlocks(func);
    // Sizes first: they are read off ops that outlining replaces.
    for (Block *block : blocks) {
      for (BlockArgument arg : block->getArguments())
        remember(arg);
      for (Operation &op : *block)
        for (Value v : op.getResults())
          remember(v);
    }
    references.clear();
    for (Block *block : blocks)
      if (failed(
              run(*block, block == blocks[0] && func->hasAttr(kCompareAttr))))
        return failure();
    if (func->hasAttr(kCompareAttr))
      returnReferences(func);
    return success();
  }

private:
  /// With `compare`, each launch gets its reference behind it.
  LogicalResult run(Block &block, bool compare);

  /// Values without known sizes have no kernel among their users, see
  /// graph::verifySizes.
  void remember(Value v) {
    if (!isa<RankedTensorType>(v.getType()))
      return;
    if (auto found = graph::getSizes(v); succeeded(found))
      sizes[v] = *found;
  }

  SmallVector<OpFoldResult> sizesOf(Value v) {
    auto it = sizes.find(v);
    if (it != sizes.end())
      return it->second;
    SmallVector<OpFoldResult> fixed;
    Builder b(v.getContext());
    for (int64_t d : cast<RankedTensorType>(v.getType()).getShape())
      fixed.push_back(b.getIndexAttr(d));
    return fixed;
  }

  void collect(ArrayRef<Operation *> group);
  void collectValue(Value v, ArrayRef<Operation *> group);
  FailureOr<hal::LaunchOp> outline(ArrayRef<Operation *> group, bool reference);
  kernel::FuncOp uniqueKernel(kernel::FuncOp candidate, StringRef label);
  SmallVector<Operation *> cloneBehind(ArrayRef<Operation *> group);
  void returnReferences(func::FuncOp func);

  ModuleOp module;
  const TargetInfo &info;
  bool fuse;
  DenseMap<Value, SmallVector<OpFoldResult>> sizes;
  llvm::StringMap<kernel::FuncOp> byText; // label and text
  /// Each launch of a function that compares, with what it should result in.
  SmallVector<std::pair<hal::LaunchOp, SmallVector<Value>>> references;

  llvm::SetVector<Value> inputs, scalars, clones;
};

} // namespace

LogicalResult Outliner::run(Block &block, bool compare) {
  SmallVector<Operation *> done;
  auto known = [this](Value v) { return sizesOf(v); };
  for (ArrayRef<Operation *> group :
       graph::formGroups(block, info, known, fuse)) {
    SmallVector<Operation *> again;
    if (compare)
      again = cloneBehind(group);
    // Which of the clones' results stand for the launch's.
    SmallVector<std::pair<unsigned, unsigned>> wanted;
    for (Value v : resultsOf(group))
      wanted.push_back({llvm::find(group, v.getDefiningOp()) - group.begin(),
                        cast<OpResult>(v).getResultNumber()});
    auto launch = outline(group, /*reference=*/false);
    if (failed(launch))
      return failure();
    done.append(group.begin(), group.end());
    SmallVector<hal::LaunchOp> parts;
    for (Operation *part : again) {
      auto one = outline(part, /*reference=*/true);
      if (failed(one))
        return failure();
      parts.push_back(*one);
      done.push_back(part);
    }
    if (compare) {
      references.push_back({*launch, {}});
      for (auto [part, result] : wanted)
        references.back().second.push_back(parts[part].getResult(result));
    }
  }
  // An anchor may stand before ops that its epilogue's kernel reads.
  for (Operation *op : done)
    op->dropAllUses();
  for (Operation *op : done)
    op->erase();
  // What reads one of a group's results may stand before the group's launch.
  sortTopologically(&block);
  return success();
}

void Outliner::collectValue(Value v, ArrayRef<Operation *> group) {
  for (Operation *op : group)
    if (op->isAncestor(v.getParentRegion()->getParentOp()) ||
        v.getDefiningOp() == op)
      return;
  if (isCloned(v)) {
    for (Value operand : v.getDefiningOp()->getOperands())
      collectValue(operand, group);
    clones.insert(v);
  } else if (isa<RankedTensorType>(v.getType())) {
    inputs.insert(v);
  } else {
    scalars.insert(v);
  }
}

void Outliner::collect(ArrayRef<Operation *> group) {
  for (Operation *op : group)
    op->walk([&](Operation *inner) {
      for (Value v : inner->getOperands())
        collectValue(v, group);
    });
}

/// The group's operations once more, behind it.
SmallVector<Operation *> Outliner::cloneBehind(ArrayRef<Operation *> group) {
  OpBuilder b(group.back()->getContext());
  b.setInsertionPointAfter(group.back());
  IRMapping map;
  SmallVector<Operation *> clones;
  for (Operation *op : group) {
    Operation *clone = b.clone(*op, map);
    for (auto [from, to] :
         llvm::zip_equal(op->getResults(), clone->getResults()))
      sizes[to] = sizesOf(from);
    clones.push_back(clone);
  }
  return clones;
}

void Outliner::returnReferences(func::FuncOp func) {
  auto ret = cast<func::ReturnOp>(func.getBody().front().getTerminator());
  SmallVector<Value> returned(ret.getOperands());
  SmallVector<DictionaryAttr> attrs;
  func.getAllResultAttrs(attrs);
  attrs.resize(returned.size(), DictionaryAttr::get(func.getContext()));
  Builder b(func.getContext());
  auto add = [&](const std::string &name, Value v) {
    returned.push_back(v);
    attrs.push_back(b.getDictionaryAttr(
        b.getNamedAttr(graph::kNameAttr, b.getStringAttr(name))));
  };
  // A program counts a function's launches in this order.
  DenseMap<Operation *, unsigned> index;
  func.walk([&](hal::LaunchOp op) { index.try_emplace(op, index.size()); });
  for (auto &[launch, reference] : references) {
    std::string prefix = "launch." + std::to_string(index[launch]);
    for (auto [j, v] : llvm::enumerate(launch.getInputs()))
      add(prefix + ".in." + std::to_string(j), v);
    for (auto [j, v] : llvm::enumerate(launch.getResults()))
      add(prefix + ".out." + std::to_string(j), v);
    for (auto [j, v] : llvm::enumerate(reference))
      add(prefix + ".ref." + std::to_string(j), v);
  }
  ret->setOperands(returned);
  func.setType(b.getFunctionType(func.getArgumentTypes(),
                                 ValueRange(returned).getTypes()));
  SmallVector<Attribute> all(attrs.begin(), attrs.end());
  func.setResAttrsAttr(b.getArrayAttr(all));
}

static std::string labelOf(ArrayRef<Operation *> group) {
  Operation *op = group.front();
  if (group.size() > 2 && graph::isContraction(op))
    return "attention";
  // An anchor with its epilogue has the anchor's name.
  if (group.size() > 1 && !graph::isContraction(op))
    return "rows";
  if (auto parallel = dyn_cast<graph::ParallelOp>(op))
    return parallel.getOp().str();
  if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op)) {
    if (linalg::isaContractionOpInterface(linalgOp) ||
        kernel::isMatrixProduct(linalgOp) || kernel::isInnerProduct(linalgOp) ||
        kernel::smallProductOf(linalgOp))
      return "contraction";
    return linalgOp.getNumReductionLoops() ? "reduction" : "elementwise";
  }
  return op->getName().stripDialect().str();
}

/// Memory of ours starts at a multiple of 64 bytes, and so do rows of so many.
/// Callers' is aligned as its elements are; loops and branches may pass on
/// either.
static bool isAligned(Value v) {
  while (true) {
    if (auto reshape = v.getDefiningOp<graph::ReshapeOp>()) {
      v = reshape.getSource();
    } else if (auto rows = v.getDefiningOp<tensor::ExtractSliceOp>()) {
      int64_t bytes =
          llvm::divideCeil(rows.getType().getElementTypeBitWidth(), 8);
      for (int64_t size : rows.getSourceType().getShape().drop_front())
        bytes *= ShapedType::isDynamic(size) ? 1 : size;
      if (bytes % 64)
        return false;
      v = rows.getSource();
    } else {
      break;
    }
  }
  Operation *op = v.getDefiningOp();
  return op && !isa<scf::SCFDialect>(op->getDialect());
}

kernel::FuncOp Outliner::uniqueKernel(kernel::FuncOp candidate,
                                      StringRef label) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  candidate.setSymName("k");
  // Verified as a whole later, not once per kernel.
  candidate->print(stream, OpPrintingFlags().assumeVerified().useLocalScope());
  auto [it, fresh] = byText.try_emplace((label + "\n" + text).str(), candidate);
  if (!fresh) {
    candidate.erase();
    return it->second;
  }
  llvm::MD5 hash;
  hash.update(text);
  llvm::MD5::MD5Result digest;
  hash.final(digest);
  std::string name;
  for (char c : label)
    name += llvm::isAlnum(c) ? llvm::toLower(c) : '_';
  candidate.setSymName(name + "_" + digest.digest().substr(0, 12).str());
  return candidate;
}

FailureOr<hal::LaunchOp> Outliner::outline(ArrayRef<Operation *> group,
                                           bool reference) {
  inputs.clear(), scalars.clear(), clones.clear();
  collect(group);
  Operation *op = group.back();
  SmallVector<Location> locations;
  for (Operation *part : group)
    locations.push_back(part->getLoc());
  Location loc = FusedLoc::get(op->getContext(), locations);
  for (Value v : scalars)
    if (!v.getType().isIndex())
      return op->emitError("uses a host value of type ") << v.getType();

  // The sizes of a kernel: host integers its body uses, then the dims of its
  // bindings. One SSA value is one size, which is how dims are seen to agree.
  SmallVector<Value> operands(inputs.begin(), inputs.end());
  SmallVector<Value> results = resultsOf(group);
  auto addDims = [&](Value v) {
    for (OpFoldResult size : sizesOf(v))
      if (auto value = dyn_cast<Value>(size))
        scalars.insert(value);
  };
  for (Value v : operands)
    addDims(v);
  for (Value v : results)
    addDims(v);

  auto bindingOf = [&](Value v, kernel::Access access) {
    auto type = cast<RankedTensorType>(v.getType());
    kernel::Binding binding{
        access,
        MemRefType::get(type.getShape(), type.getElementType()),
        {},
        64};
    SmallVector<OpFoldResult> dims = sizesOf(v);
    for (auto [i, dim] : llvm::enumerate(type.getShape()))
      if (ShapedType::isDynamic(dim))
        binding.dims.push_back(llvm::find(scalars, cast<Value>(dims[i])) -
                               scalars.begin());
    return binding;
  };
  // The operand that each result takes the place of, and its binding.
  SmallVector<int64_t> inPlace(results.size(), -1), place;
  if (auto parallel = dyn_cast<graph::ParallelOp>(op))
    for (unsigned i = 0; i < results.size(); ++i)
      if (int64_t start =
              parallel.getStart(cast<OpResult>(results[i]).getResultNumber());
          start >= 0)
        inPlace[i] = llvm::find(operands, parallel.getInputs()[start]) -
                     operands.begin();
  SmallVector<kernel::Binding> bindings;
  for (auto [i, v] : llvm::enumerate(operands)) {
    bool written = llvm::is_contained(inPlace, int64_t(i));
    kernel::Binding binding =
        bindingOf(v, written ? kernel::Access::inout : kernel::Access::in);
    if (written || !isAligned(v))
      binding.align = 0;
    bindings.push_back(binding);
  }
  for (auto [v, start] : llvm::zip_equal(results, inPlace)) {
    place.push_back(start >= 0 ? start : int64_t(bindings.size()));
    if (start >= 0)
      continue;
    kernel::Binding binding = bindingOf(v, kernel::Access::out);
    binding.align = 0; // may be the caller's
    bindings.push_back(binding);
  }
  SmallVector<kernel::SizeRange> ranges;
  for (Value v : scalars) {
    kernel::SizeRange range;
    if (auto arg = dyn_cast<BlockArgument>(v))
      if (auto func = dyn_cast<func::FuncOp>(arg.getOwner()->getParentOp())) {
        if (auto min = func.getArgAttrOfType<IntegerAttr>(arg.getArgNumber(),
                                                          graph::kMinAttr))
          range.min = min.getInt();
        if (auto max = func.getArgAttrOfType<IntegerAttr>(arg.getArgNumber(),
                                                          graph::kMaxAttr))
          range.max = max.getInt();
      }
    ranges.push_back(range);
  }

  OpBuilder b(module.getBody(), module.getBody()->end());
  auto k = kernel::FuncOp::create(b, loc, "k", kernel::Form::tensor, ranges,
                                  bindings);
  b.setInsertionPointToStart(&k.getBody().front());
  IRMapping map;
  for (auto [i, v] : llvm::enumerate(scalars))
    map.map(v, k.getSize(i));
  for (auto [i, v] : llvm::enumerate(operands))
    map.map(v, bufferization::ToTensorOp::create(b, loc, v.getType(),
                                                 k.getBinding(i),
                                                 /*restrict=*/true));
  for (Value v : clones)
    b.clone(*v.getDefiningOp(), map);
  for (Operation *part : group)
    b.clone(*part, map);
  for (auto [i, v] : llvm::enumerate(results)) {
    auto out = bufferization::MaterializeInDestinationOp::create(
        b, loc, Type(), map.lookup(v), k.getBinding(place[i]));
    out.setRestrict(true);
    out.setWritable(true);
  }
  kernel::ReturnOp::create(b, loc);
  k = uniqueKernel(k, (reference ? kReferencePrefix : "k_") + labelOf(group));

  b.setInsertionPoint(op);
  SmallVector<Value> resultSizes;
  for (Value v : results)
    for (OpFoldResult size : sizesOf(v))
      if (auto value = dyn_cast<Value>(size))
        resultSizes.push_back(value);
  auto launch = hal::LaunchOp::create(
      b, loc, TypeRange(ValueRange(results)), k.getSymName(),
      SmallVector<Value>(scalars.begin(), scalars.end()), operands, resultSizes,
      DenseI64ArrayAttr());
  if (llvm::any_of(inPlace, [](int64_t start) { return start >= 0; }))
    launch.setInPlace(inPlace);
  for (auto [from, to] : llvm::zip_equal(results, launch.getResults())) {
    sizes[to] = sizesOf(from);
    from.replaceAllUsesWith(to);
  }
  return launch;
}

void graph::addCompareFunctions(ModuleOp module) {
  for (auto func : llvm::to_vector(module.getOps<func::FuncOp>())) {
    func::FuncOp clone = func.clone();
    clone.setSymName((func.getSymName() + ".compare").str());
    clone->setAttr(kCompareAttr, UnitAttr::get(module.getContext()));
    module.push_back(clone);
  }
}

bool graph::isReferenceKernel(StringRef name) {
  return name.starts_with(kReferencePrefix);
}

LogicalResult graph::outlineKernels(ModuleOp module, const TargetInfo &info,
                                    bool fuse) {
  Outliner outliner(module, info, fuse);
  for (auto func : llvm::to_vector(module.getOps<func::FuncOp>()))
    if (failed(outliner.run(func)))
      return failure();
  for (auto func : module.getOps<func::FuncOp>())
    eraseDead(func);
  return success();
}
