//===- Outline.cpp - from graph functions to kernels and launches ---------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Graph/Transforms/Outline.h"

#include "dialects/Graph/Graph.h"
#include "dialects/Graph/Transforms/Fuse.h"
#include "dialects/Hal/Hal.h"
#include "dialects/Kernel/Kernel.h"
#include "dialects/Kernel/Transforms/Plans.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
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

/// A fill that is only ever the start of a computation is made again inside
/// each kernel that needs it.
static bool isInitFill(Operation *op) {
  if (!isa<linalg::FillOp>(op))
    return false;
  return llvm::all_of(op->getUses(), [](OpOperand &use) {
    auto user = dyn_cast<linalg::LinalgOp>(use.getOwner());
    return user && user.isDpsInit(&use);
  });
}

/// Cheap producers that are cloned into a kernel instead of bound.
static bool isCloned(Value v) {
  Operation *op = v.getDefiningOp();
  if (!op)
    return false;
  if (isa<tensor::EmptyOp>(op) || isInitFill(op))
    return true;
  if (isa<RankedTensorType>(v.getType()) || v.getType().isIndex())
    return isa<arith::ConstantOp>(op) && v.getType().isIndex();
  return isa<arith::ArithDialect>(op->getDialect());
}

static bool isKernelOp(Operation *op) {
  if (isa<linalg::FillOp>(op))
    return !isInitFill(op);
  return isa<linalg::LinalgOp, graph::ConvOp, graph::ParallelOp>(op);
}

namespace {

class Outliner {
public:
  Outliner(ModuleOp module, bool epilogues)
      : module(module), epilogues(epilogues) {}

  LogicalResult run(func::FuncOp func) {
    // Sizes first: they are read off ops that outlining replaces.
    for (Operation &op : func.getBody().front())
      for (Value v : op.getResults())
        if (isa<RankedTensorType>(v.getType()))
          if (failed(remember(v)))
            return op.emitError("has a result whose sizes are not known");
    for (BlockArgument arg : func.getArguments())
      if (isa<RankedTensorType>(arg.getType()) && failed(remember(arg)))
        return func.emitError("argument ")
               << arg.getArgNumber() << " has no graph.dims";
    SmallVector<Operation *> done;
    llvm::DenseSet<Operation *> taken;
    SmallVector<SmallVector<Operation *>> groups;
    for (Operation &op : func.getBody().front()) {
      if (!isKernelOp(&op) || taken.contains(&op))
        continue;
      groups.push_back({&op});
      if (epilogues)
        if (linalg::GenericOp epilogue = graph::findEpilogue(&op))
          if (taken.insert(epilogue).second)
            groups.back().push_back(epilogue);
    }
    references.clear();
    bool compare = func->hasAttr(kCompareAttr);
    for (ArrayRef<Operation *> group : groups) {
      SmallVector<Operation *> again;
      if (compare)
        again = cloneBehind(group);
      auto launch = outline(group, /*reference=*/false);
      if (failed(launch))
        return failure();
      done.append(group.begin(), group.end());
      FailureOr<hal::LaunchOp> last = failure();
      for (Operation *part : again) {
        if (failed(last = outline(part, /*reference=*/true)))
          return failure();
        done.push_back(part);
      }
      if (compare)
        references.push_back({*launch, *last});
    }
    // An anchor may stand before ops that its epilogue's kernel reads.
    for (Operation *op : done)
      op->dropAllUses();
    for (Operation *op : done)
      op->erase();
    if (compare)
      returnReferences(func);
    return success();
  }

private:
  LogicalResult remember(Value v) {
    auto found = graph::getSizes(v);
    if (failed(found)) {
      if (auto derived = v.getDefiningOp<hal::DerivedOp>())
        return success();
      return failure();
    }
    sizes[v] = *found;
    return success();
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
  bool epilogues;
  DenseMap<Value, SmallVector<OpFoldResult>> sizes;
  llvm::StringMap<kernel::FuncOp> byText; // label and text
  /// Each launch of a function that compares, with the last of its reference.
  SmallVector<std::pair<hal::LaunchOp, hal::LaunchOp>> references;

  llvm::SetVector<Value> inputs, scalars, clones;
};

} // namespace

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
  for (auto [launch, reference] : references) {
    std::string prefix = "launch." + std::to_string(index[launch]);
    for (auto [j, v] : llvm::enumerate(launch.getInputs()))
      add(prefix + ".in." + std::to_string(j), v);
    for (auto [j, v] : llvm::enumerate(launch.getResults()))
      add(prefix + ".out." + std::to_string(j), v);
    for (auto [j, v] : llvm::enumerate(reference.getResults()))
      add(prefix + ".ref." + std::to_string(j), v);
  }
  ret->setOperands(returned);
  func.setType(b.getFunctionType(func.getArgumentTypes(),
                                 ValueRange(returned).getTypes()));
  SmallVector<Attribute> all(attrs.begin(), attrs.end());
  func.setResAttrsAttr(b.getArrayAttr(all));
}

static std::string labelOf(Operation *op) {
  if (auto parallel = dyn_cast<graph::ParallelOp>(op))
    return parallel.getOp().str();
  if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op)) {
    if (linalg::isaContractionOpInterface(linalgOp) ||
        kernel::isMatrixProduct(linalgOp))
      return "contraction";
    return linalgOp.getNumReductionLoops() ? "reduction" : "elementwise";
  }
  return op->getName().stripDialect().str();
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
  SmallVector<Value> operands, results(op->getResults());
  operands.assign(inputs.begin(), inputs.end());
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
  SmallVector<kernel::Binding> bindings;
  for (Value v : operands) {
    kernel::Binding binding = bindingOf(v, kernel::Access::in);
    // Callers' memory is aligned as its elements are; ours to 64 bytes.
    Value root = v;
    while (auto reshape = root.getDefiningOp<graph::ReshapeOp>())
      root = reshape.getSource();
    if (isa<BlockArgument>(root))
      binding.align = 0;
    bindings.push_back(binding);
  }
  for (Value v : results) {
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
  Operation *inner = nullptr;
  for (Operation *part : group)
    inner = b.clone(*part, map);
  for (auto [i, v] : llvm::enumerate(inner->getResults())) {
    auto out = bufferization::MaterializeInDestinationOp::create(
        b, loc, Type(), v, k.getBinding(operands.size() + i));
    out.setRestrict(true);
    out.setWritable(true);
  }
  kernel::ReturnOp::create(b, loc);
  k = uniqueKernel(k, (reference ? kReferencePrefix : "k_") +
                          labelOf(group.front()));

  b.setInsertionPoint(op);
  SmallVector<Value> resultSizes;
  for (Value v : results)
    for (OpFoldResult size : sizesOf(v))
      if (auto value = dyn_cast<Value>(size))
        resultSizes.push_back(value);
  auto launch =
      hal::LaunchOp::create(b, loc, op->getResultTypes(), k.getSymName(),
                            SmallVector<Value>(scalars.begin(), scalars.end()),
                            operands, resultSizes);
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

LogicalResult graph::outlineKernels(ModuleOp module, bool epilogues) {
  Outliner outliner(module, epilogues);
  for (auto func : llvm::to_vector(module.getOps<func::FuncOp>()))
    if (failed(outliner.run(func)))
      return failure();
  // Cloned producers are left without users.
  for (auto func : module.getOps<func::FuncOp>())
    for (Operation &op :
         llvm::make_early_inc_range(llvm::reverse(func.getBody().front())))
      if (isOpTriviallyDead(&op))
        op.erase();
  return success();
}

//===----------------------------------------------------------------------===//
// init
//===----------------------------------------------------------------------===//

LogicalResult graph::hoistInit(ModuleOp module) {
  auto main = module.lookupSymbol<func::FuncOp>("main");
  if (!main)
    return module.emitError("has no function @main");
  Block &body = main.getBody().front();
  llvm::SetVector<Operation *> constant;
  bool work = false;
  auto known = [&](Value v) {
    Operation *op = v.getDefiningOp();
    return op && constant.contains(op);
  };
  for (Operation &op : body) {
    if (op.hasTrait<OpTrait::IsTerminator>() || isa<graph::ReadOp>(op) ||
        !isMemoryEffectFree(&op))
      continue;
    bool all = true;
    op.walk([&](Operation *inner) {
      for (Value v : inner->getOperands())
        if (!op.isAncestor(v.getParentRegion()->getParentOp()))
          all &= known(v);
    });
    if (llvm::any_of(op.getResultTypes(), [](Type type) {
          auto tensor = dyn_cast<RankedTensorType>(type);
          return tensor && !tensor.hasStaticShape();
        }))
      all = false;
    if (all) {
      constant.insert(&op);
      work |= isKernelOp(&op);
    }
  }
  if (!work)
    return success();

  // What @main still uses of the constant ops' kernels is derived. Reshapes
  // cost nothing and stay.
  std::function<bool(Value)> usedByMain = [&](Value v) {
    return llvm::any_of(v.getUsers(), [&](Operation *user) {
      while (user->getBlock() != &body)
        user = user->getParentOp();
      if (!constant.contains(user))
        return true;
      return isa<graph::ReshapeOp>(user) && usedByMain(user->getResult(0));
    });
  };
  SmallVector<Value> derived;
  for (Operation *op : constant)
    if (isKernelOp(op))
      for (Value v : op->getResults())
        if (usedByMain(v))
          derived.push_back(v);
  if (derived.empty())
    return success();
  OpBuilder b(main);
  auto init = func::FuncOp::create(
      b, main.getLoc(), "init",
      b.getFunctionType({}, SmallVector<Type>(ValueRange(derived).getTypes())));
  b.setInsertionPointToStart(init.addEntryBlock());
  IRMapping map;
  for (Operation *op : constant)
    b.clone(*op, map);
  SmallVector<Value> returned;
  for (Value v : derived)
    returned.push_back(map.lookup(v));
  func::ReturnOp::create(b, main.getLoc(), returned);
  for (auto [i, v] : llvm::enumerate(derived)) {
    b.setInsertionPointAfterValue(v);
    v.replaceAllUsesWith(hal::DerivedOp::create(b, v.getLoc(), v.getType(), i));
  }
  for (func::FuncOp func : {main, init})
    for (Operation &op :
         llvm::make_early_inc_range(llvm::reverse(func.getBody().front())))
      if (isOpTriviallyDead(&op))
        op.erase();
  return success();
}
