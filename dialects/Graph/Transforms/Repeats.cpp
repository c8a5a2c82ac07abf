//===- Repeats.cpp - operands that some loops repeat ----------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Graph/Transforms/Repeats.h"

#include "dialects/Graph/Graph.h"
#include "dialects/Graph/Transforms/Outline.h"
#include "dialects/Graph/Transforms/Packing.h"
#include "dialects/Graph/Transforms/SplitLoop.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace isthmus;

namespace {
/// A loop, and the sizes of the loops that it shall be.
struct Parts {
  unsigned loop;
  SmallVector<int64_t> sizes;
};
} // namespace

static bool isProduct(linalg::GenericOp op) {
  return op.getNumDpsInputs() == 2 && op->getNumResults() == 1 &&
         linalg::isaContractionOpInterface(op);
}

/// The loop of `op` over a dim of operand `i` that a reshape joined of several,
/// where the operand is the same all along one of these.
static std::optional<Parts> findRepeat(linalg::GenericOp op, unsigned i) {
  auto reshape = op.getDpsInputs()[i].getDefiningOp<graph::ReshapeOp>();
  if (!reshape || graph::isWeight(reshape))
    return std::nullopt;
  auto from = graph::getSizes(reshape.getSource()),
       to = graph::getSizes(reshape.getResult());
  if (failed(from) || failed(to))
    return std::nullopt;
  AffineMap map = op.getIndexingMapsArray()[i];
  unsigned next = 0;
  for (auto [d, size] : llvm::enumerate(*to)) {
    while (next < from->size() && isOneInteger((*from)[next]) &&
           !isOneInteger(size))
      ++next;
    if (next < from->size() && isEqualConstantIntOrValue((*from)[next], size)) {
      ++next;
      continue;
    }
    auto known = getConstantIntValue(size);
    Parts parts;
    bool repeated = false;
    int64_t product = 1;
    while (known && next < from->size() && product < *known) {
      auto part = getConstantIntValue((*from)[next]);
      if (!part || *part < 1)
        return std::nullopt;
      repeated |=
          *part > 1 && graph::isRepeatedAlong(reshape.getSource(), next);
      parts.sizes.push_back(*part);
      product *= *part;
      ++next;
    }
    if (!known || product != *known)
      return std::nullopt;
    auto loop = dyn_cast<AffineDimExpr>(map.getResult(d));
    if (!repeated || !loop ||
        op.getIteratorTypesArray()[loop.getPosition()] !=
            utils::IteratorType::parallel)
      continue;
    parts.loop = loop.getPosition();
    if (graph::canSplitLoop(op, parts.loop))
      return parts;
  }
  return std::nullopt;
}

namespace {
/// Products that are still to be looked at; `done` were replaced by others.
struct Work {
  SmallVector<linalg::GenericOp> products;
  DenseSet<Operation *> done;
};
} // namespace

/// Splits that loop of `op`, and of what reads its results element by element,
/// up to the next product and, for writeThrough, a copy behind that.
static void splitForward(linalg::GenericOp op, const Parts &parts, Work &work) {
  struct Item {
    linalg::GenericOp op;
    unsigned loop;
    bool behind; // the other product
  };
  SmallVector<Item> next = {{op, parts.loop, false}};
  while (!next.empty()) {
    Item now = next.pop_back_val();
    if (work.done.contains(now.op))
      continue;
    bool isFirst = now.op == op, product = isProduct(now.op),
         last = product && !isFirst;
    if (product && now.behind)
      continue;
    // Of a product that reads them, all three share a loop over heads.
    if (!graph::canSplitLoop(now.op, now.loop) ||
        (last &&
         !llvm::all_of(now.op.getIndexingMapsArray(), [&](AffineMap map) {
           return map.isFunctionOfDim(now.loop);
         })))
      continue;
    SmallVector<AffineMap> maps = now.op.getIndexingMapsArray();
    auto outs = ArrayRef(maps).drop_front(now.op.getNumDpsInputs());
    linalg::GenericOp split = graph::splitLoop(now.op, now.loop, parts.sizes);
    work.done.insert(now.op);
    if (product)
      work.products.push_back(split);
    if (now.behind && graph::isPermutingCopy(split))
      continue;
    for (auto [v, out] : llvm::zip_equal(split.getResults(), outs)) {
      auto dim =
          out.getResultPosition(getAffineDimExpr(now.loop, op.getContext()));
      if (!dim)
        continue;
      for (Operation *joined : v.getUsers())
        for (OpOperand &use : joined->getUses()) {
          auto reader = dyn_cast<linalg::GenericOp>(use.getOwner());
          if (!reader || reader.isDpsInit(&use) ||
              reader->getBlock() != split->getBlock())
            continue;
          if (auto e = dyn_cast<AffineDimExpr>(
                  reader.getMatchingIndexingMap(&use).getResult(*dim)))
            next.push_back({reader, e.getPosition(), now.behind || last});
        }
    }
  }
}

/// The loop of a product over a dim of its result that a reshape makes several
/// of, whose places a copy then changes; what is in between, element by
/// element, has the loop as well. Columns become heads so.
static std::optional<Parts> findHeads(linalg::GenericOp op) {
  Value v = op->getResult(0);
  auto reader = [&]() -> Operation * {
    return v.hasOneUse() ? *v.user_begin() : nullptr;
  };
  while (auto next = dyn_cast_or_null<linalg::GenericOp>(reader())) {
    if (next->getNumResults() != 1 || next.getNumReductionLoops() ||
        next.isDpsInit(&*v.use_begin()) ||
        !next.getMatchingIndexingMap(&*v.use_begin()).isIdentity() ||
        !next.getIndexingMapsArray().back().isIdentity())
      return std::nullopt;
    v = next->getResult(0);
  }
  auto reshape = dyn_cast_or_null<graph::ReshapeOp>(reader());
  auto copy = reshape && reshape->hasOneUse()
                  ? dyn_cast<linalg::GenericOp>(*reshape->user_begin())
                  : linalg::GenericOp();
  auto from = graph::getSizes(v);
  if (!copy || !graph::isPermutingCopy(copy) || failed(from))
    return std::nullopt;
  auto to = graph::getSizes(reshape.getResult());
  if (failed(to))
    return std::nullopt;
  std::optional<Parts> found;
  unsigned next = 0;
  for (auto [d, size] : llvm::enumerate(*from)) {
    if (next < to->size() && isEqualConstantIntOrValue((*to)[next], size)) {
      ++next;
      continue;
    }
    auto known = getConstantIntValue(size);
    int64_t product = 1;
    Parts parts;
    while (known && next < to->size() && product < *known) {
      auto part = getConstantIntValue((*to)[next++]);
      if (!part || *part < 1)
        return std::nullopt;
      parts.sizes.push_back(*part);
      product *= *part;
    }
    auto loop =
        dyn_cast<AffineDimExpr>(op.getIndexingMapsArray().back().getResult(d));
    // A dim of 1 that is dropped has no parts.
    if (!known || product != *known || found || !loop || parts.sizes.size() < 2)
      return std::nullopt;
    parts.loop = loop.getPosition();
    found = parts;
  }
  return found && next == to->size() && graph::canSplitLoop(op, found->loop)
             ? found
             : std::nullopt;
}

/// Reshapes of reshapes, which splitting leaves where one operand of an
/// operation was split before the other.
static void joinReshapes(func::FuncOp func) {
  func.walk([](graph::ReshapeOp op) {
    auto sizes = graph::getSizes(op.getResult());
    if (failed(sizes) || !op.getSource().getDefiningOp<graph::ReshapeOp>())
      return;
    OpBuilder b(op);
    Value v = graph::reshapeTo(b, op.getLoc(), op.getSource(), *sizes);
    op.getResult().replaceAllUsesWith(v);
  });
}

/// Leaves neither the operations that were replaced nor what only they read.
static void clean(func::FuncOp func, Work &work) {
  joinReshapes(func);
  for (Operation *op : work.done)
    op->erase();
  work.done.clear();
  graph::eraseDead(func);
}

static void findProducts(func::FuncOp func, Work &work) {
  work.products.clear();
  func.walk([&](linalg::GenericOp op) {
    if (isProduct(op))
      work.products.push_back(op);
  });
}

void graph::readRepeatsOnce(ModuleOp module) {
  for (auto func : module.getOps<func::FuncOp>()) {
    Work work;
    findProducts(func, work);
    for (unsigned next = 0; next < work.products.size(); ++next) {
      linalg::GenericOp op = work.products[next];
      if (work.done.contains(op))
        continue;
      readThroughForLanes(op);
      for (unsigned i : {0, 1})
        if (std::optional<Parts> parts = findRepeat(op, i)) {
          splitForward(op, *parts, work);
          break;
        }
    }
    clean(func, work);
    findProducts(func, work);
    for (linalg::GenericOp op : llvm::to_vector(work.products))
      if (std::optional<Parts> parts = findHeads(op))
        splitForward(op, *parts, work);
    clean(func, work);
    findProducts(func, work);
    for (linalg::GenericOp op : work.products)
      writeThrough(op);
  }
}
