//===- ReadThrough.cpp - products read operands where they were -----------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A decoder turns its keys and repeats those that several heads share before
// one row is multiplied with them: copies that cost more than the product. An
// operand's index is composed with that of copies and reshapes before it for as
// long as a plan reads the result as well. Those for vectors read a right
// operand that repeats by divisions of its index; those for lanes want indices
// that are loops, and get loops for it (Repeats.h).
//
//===----------------------------------------------------------------------===//
#include "dialects/Graph/Transforms/Packing.h"
#include "dialects/Kernel/Transforms/Plans.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

using namespace mlir;
using namespace isthmus;

namespace {
/// An operand and what indexes it.
struct Access {
  Value value;
  AffineMap map;
};
} // namespace

/// Through an operation that only copies elements to other places.
static std::optional<Access> throughCopy(const Access &a) {
  auto op = a.value.getDefiningOp<linalg::GenericOp>();
  if (!op || !graph::isCopy(op))
    return std::nullopt;
  return Access{op.getInputs()[0], op.getIndexingMapsArray()[0].compose(a.map)};
}

/// Through a reshape that keeps dims or joins neighbours of known size.
static std::optional<Access> throughReshape(const Access &a) {
  auto op = a.value.getDefiningOp<graph::ReshapeOp>();
  if (!op)
    return std::nullopt;
  auto from = graph::getSizes(op.getSource()),
       to = graph::getSizes(op.getResult());
  if (failed(from) || failed(to))
    return std::nullopt;
  MLIRContext *context = op.getContext();
  SmallVector<AffineExpr> exprs;
  unsigned next = 0;
  for (auto [i, size] : llvm::enumerate(*to)) {
    AffineExpr e = a.map.getResult(i);
    if (next < from->size() && isEqualConstantIntOrValue((*from)[next], size)) {
      exprs.push_back(e);
      ++next;
      continue;
    }
    auto known = getConstantIntValue(size);
    int64_t product = 1;
    unsigned begin = next;
    while (known && next < from->size() && product < *known) {
      auto part = getConstantIntValue((*from)[next]);
      if (!part || *part < 1)
        return std::nullopt;
      product *= *part;
      ++next;
    }
    if (!known || product != *known)
      return std::nullopt;
    for (unsigned d = begin; d < next; ++d) {
      int64_t part = *getConstantIntValue((*from)[d]);
      product /= part;
      AffineExpr at = e.floorDiv(product);
      exprs.push_back(d == begin ? at : at % part);
    }
  }
  for (; next < from->size(); ++next) {
    if (!isOneInteger((*from)[next]))
      return std::nullopt;
    exprs.push_back(getAffineConstantExpr(0, context));
  }
  return Access{op.getSource(),
                AffineMap::get(a.map.getNumDims(), 0, exprs, context)};
}

/// `accept` sees `op` with the operand read from another place, `pass` what it
/// would be read in front of.
static void readBack(linalg::GenericOp op, unsigned operand,
                     function_ref<bool()> accept,
                     function_ref<bool(Value)> pass) {
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  Access at = {op.getInputs()[operand], maps[operand]}, best = at;
  OpBuilder b(op);
  auto read = [&](const Access &from) {
    op.getInputsMutable()[operand].set(from.value);
    maps[operand] = from.map;
    op.setIndexingMapsAttr(b.getAffineMapArrayAttr(maps));
  };
  while (!graph::isWeight(at.value) && pass(at.value)) {
    std::optional<Access> next = throughCopy(at);
    if (!next)
      next = throughReshape(at);
    if (!next)
      break;
    at = *next;
    maps[operand] = at.map;
    // Every loop's extent must still be seen in some operand.
    if (!inversePermutation(concatAffineMaps(maps, op.getContext())))
      continue;
    read(at);
    if (accept())
      best = at;
  }
  read(best);
}

void graph::readThrough(linalg::GenericOp op) {
  if (op.getNumDpsInputs() != 2 || op->getNumResults() != 1 ||
      !linalg::isaContractionOpInterface(op) || !kernel::isMultiplyAdd(op))
    return;
  readBack(
      op, 1,
      [&] { return kernel::isMatrixProduct(op) || kernel::isInnerProduct(op); },
      [](Value) { return true; });
}

/// Plans for lanes read an operand along what is summed, or along rows or
/// columns, whichever is innermost.
static bool lanesRead(linalg::GenericOp op, unsigned operand) {
  AffineMap map = op.getIndexingMapsArray()[operand],
            other = op.getIndexingMapsArray()[1 - operand];
  if (!map.getNumResults() || !map.isProjectedPermutation())
    return false;
  auto kinds = op.getIteratorTypesArray();
  for (auto [d, kind] : llvm::enumerate(kinds))
    if (kind == utils::IteratorType::reduction && !map.isFunctionOfDim(d))
      return false;
  unsigned last = cast<AffineDimExpr>(map.getResults().back()).getPosition();
  return kinds[last] == utils::IteratorType::reduction ||
         !other.isFunctionOfDim(last);
}

/// An access of all elements.
static Access wholeOf(Value v) {
  auto type = cast<RankedTensorType>(v.getType());
  return {v, AffineMap::getMultiDimIdentityMap(type.getRank(), v.getContext())};
}

/// Whether others than products and copies need `v`.
static bool staysAnyway(Value v) {
  return llvm::any_of(v.getUsers(), [](Operation *user) {
    auto op = dyn_cast<linalg::GenericOp>(user);
    if (op && linalg::isaContractionOpInterface(op))
      return false;
    bool copies = isa<graph::ReshapeOp>(user) || (op && graph::isCopy(op));
    return !copies || staysAnyway(user->getResult(0));
  });
}

void graph::readThroughForLanes(linalg::GenericOp op) {
  if (op.getNumDpsInputs() == 2 && op->getNumResults() == 1 &&
      linalg::isaContractionOpInterface(op))
    for (unsigned operand : {0, 1})
      readBack(
          op, operand, [&] { return lanesRead(op, operand); },
          // What is turned for others, too, is read as they have it: then what
          // makes it may write it so, see writeThrough.
          [](Value v) {
            auto copy = v.getDefiningOp<linalg::GenericOp>();
            return !copy || !isPermutingCopy(copy) || !staysAnyway(v);
          });
}

bool graph::isRepeatedAlong(Value v, unsigned dim) {
  Access at = wholeOf(v);
  while (at.map.isFunctionOfDim(dim)) {
    std::optional<Access> next = throughCopy(at);
    if (!next)
      next = throughReshape(at);
    if (!next)
      return false;
    at = *next;
  }
  return true;
}
