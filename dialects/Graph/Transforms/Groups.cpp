//===- Groups.cpp - which operations become one kernel --------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Graph/Transforms/Groups.h"

#include "dialects/Graph/Graph.h"
#include "dialects/Graph/Transforms/Fuse.h"
#include "dialects/Graph/Transforms/SplitReductions.h"
#include "dialects/Kernel/Transforms/AttentionGroup.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::graph;

/// A kernel of more operations takes longer to compile than it saves.
static constexpr size_t kLargestGroup = 24;

bool graph::isInitFill(Operation *op) {
  if (!isa<linalg::FillOp>(op))
    return false;
  return llvm::all_of(op->getUses(), [](OpOperand &use) {
    auto user = dyn_cast<linalg::LinalgOp>(use.getOwner());
    return user && user.isDpsInit(&use);
  });
}

bool graph::isKernelOp(Operation *op) {
  if (isa<linalg::FillOp>(op))
    return !isInitFill(op);
  return isa<linalg::LinalgOp, ConvOp, ParallelOp>(op);
}

static bool rowsAccept(ArrayRef<linalg::GenericOp> ops, const TargetInfo &info,
                       kernel::SizesOf sizesOf) {
  kernel::RowGroup group;
  unsigned lane;
  if (!kernel::findRows(ops, sizesOf, group).empty() ||
      !kernel::rowLanes(group, info, lane).empty())
    return false;
  if (ops.size() == 1)
    return true;
  int64_t rows = 1, columns = 1;
  for (unsigned d = 0; d < group.rank(); ++d) {
    int64_t &extent = group.isColumn(d) ? columns : rows;
    for (OpFoldResult size : group.sizes[d])
      if (auto n = getConstantIntValue(size)) {
        extent *= *n;
        break;
      } else if (!group.isColumn(d)) {
        return true; // not known to be few
      }
  }
  // Several kernels share such rows among the workgroups.
  return !hasFewLongRows(rows, columns);
}

namespace {

class Former {
public:
  Former(Block &block, const TargetInfo &info, kernel::SizesOf sizesOf)
      : block(block), info(info), sizesOf(sizesOf) {
    for (auto [i, op] : llvm::enumerate(block))
      position[&op] = i;
  }
  SmallVector<Group> run(bool fuse);

private:
  void take(Group group);
  void growRows(linalg::GenericOp seed);
  bool takeAttention(linalg::GenericOp output);
  bool comesBack(ArrayRef<linalg::GenericOp> group);
  bool isFree(Operation *op) const {
    return op && op->getBlock() == &block && isKernelOp(op) &&
           !groupOf.contains(op);
  }

  Block &block;
  const TargetInfo &info;
  kernel::SizesOf sizesOf;
  DenseMap<Operation *, unsigned> position;
  DenseMap<Operation *, unsigned> groupOf;
  SmallVector<Group> groups;
};

} // namespace

void Former::take(Group group) {
  for (Operation *op : group)
    groupOf[op] = groups.size();
  groups.push_back(std::move(group));
}

/// Whether something outside of `group` needs a result of it and is needed by
/// it: then it cannot be one kernel. The groups there are count as one op each.
bool Former::comesBack(ArrayRef<linalg::GenericOp> group) {
  DenseSet<Operation *> inside, seen;
  unsigned last = 0;
  for (linalg::GenericOp op : group) {
    inside.insert(op);
    last = std::max(last, position.lookup(op));
  }
  SmallVector<Operation *> work(group.begin(), group.end());
  while (!work.empty()) {
    Operation *op = work.pop_back_val();
    bool outside = !inside.contains(op);
    for (Operation *user : op->getUsers()) {
      user = block.findAncestorOpInBlock(*user);
      if (inside.contains(user)) {
        if (outside)
          return true;
        continue;
      }
      if (!seen.insert(user).second)
        continue;
      auto it = groupOf.find(user);
      if (it != groupOf.end()) {
        for (Operation *other : groups[it->second]) {
          seen.insert(other);
          work.push_back(other);
        }
      } else if (position.lookup(user) < last) {
        work.push_back(user);
      }
    }
  }
  return false;
}

void Former::growRows(linalg::GenericOp seed) {
  SmallVector<linalg::GenericOp> group = {seed};
  if (!rowsAccept(group, info, sizesOf))
    return;
  llvm::SetVector<Operation *> tried;
  auto next = [&]() -> linalg::GenericOp {
    for (linalg::GenericOp op : group) {
      auto candidate = [&](Operation *other) {
        return isFree(other) && isa<linalg::GenericOp>(other) &&
               !isContraction(other) && !llvm::is_contained(group, other) &&
               !tried.contains(other);
      };
      for (Value v : op->getOperands())
        if (candidate(v.getDefiningOp()))
          return cast<linalg::GenericOp>(v.getDefiningOp());
      // In the order of the block, whatever the order of the uses.
      Operation *first = nullptr;
      for (Operation *user : op->getUsers())
        if (candidate(user) &&
            (!first || position.lookup(user) < position.lookup(first)))
          first = user;
      if (first)
        return cast<linalg::GenericOp>(first);
    }
    return nullptr;
  };
  while (group.size() < kLargestGroup) {
    linalg::GenericOp op = next();
    if (!op)
      break;
    SmallVector<linalg::GenericOp> larger = group;
    larger.insert(llvm::upper_bound(larger, op,
                                    [&](Operation *x, Operation *y) {
                                      return position.lookup(x) <
                                             position.lookup(y);
                                    }),
                  op);
    tried.insert(op);
    if (!rowsAccept(larger, info, sizesOf) || comesBack(larger))
      continue;
    group = larger;
    tried.clear(); // what did not fit may fit now
  }
  take(Group(group.begin(), group.end()));
}

bool Former::takeAttention(linalg::GenericOp output) {
  kernel::AttentionGroup attention;
  kernel::AttentionTile tile;
  if (!kernel::findAttention(output, attention).empty() ||
      !kernel::chooseAttentionTile(attention, info, tile).empty())
    return false;
  SmallVector<linalg::GenericOp> ops = attention.ops();
  for (linalg::GenericOp op : ops) {
    if (!isFree(op))
      return false;
    for (Operation *user : op->getUsers())
      if (op != output && !llvm::is_contained(ops, user))
        return false;
  }
  llvm::sort(ops, [&](Operation *x, Operation *y) {
    return position.lookup(x) < position.lookup(y);
  });
  if (comesBack(ops))
    return false;
  Group group(ops.begin(), ops.end());
  if (linalg::GenericOp epilogue = findEpilogue(output, info))
    if (isFree(epilogue))
      group.push_back(epilogue);
  take(group);
  return true;
}

SmallVector<Group> Former::run(bool fuse) {
  auto withEpilogue = [&](Operation *op) {
    Group group = {op};
    if (linalg::GenericOp epilogue = findEpilogue(op, info))
      if (isFree(epilogue))
        group.push_back(epilogue);
    take(group);
  };
  if (fuse) {
    for (Operation &op : block)
      if (auto generic = dyn_cast<linalg::GenericOp>(op);
          generic && isFree(&op) && isContraction(&op))
        takeAttention(generic);
    for (Operation &op : block)
      if (isFree(&op) && isContraction(&op))
        withEpilogue(&op);
    for (Operation &op : block)
      if (auto generic = dyn_cast<linalg::GenericOp>(op))
        if (isFree(generic) && generic.getNumReductionLoops())
          growRows(generic);
  }
  for (Operation &op : block)
    if (isFree(&op)) {
      if (fuse)
        withEpilogue(&op);
      else
        take({&op});
    }
  llvm::sort(groups, [&](const Group &x, const Group &y) {
    return position.lookup(x.back()) < position.lookup(y.back());
  });
  return std::move(groups);
}

SmallVector<Group> graph::formGroups(Block &block, const TargetInfo &info,
                                     kernel::SizesOf sizesOf, bool fuse) {
  return Former(block, info, sizesOf).run(fuse);
}
