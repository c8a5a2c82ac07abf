//===- MergeDims.cpp - fewer, longer loops --------------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Transforms/MergeDims.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace isthmus;
using namespace isthmus::kernel;

/// Whether dims d - 1 and d stand side by side in `map`, or neither does.
static bool sideBySide(AffineMap map, unsigned d) {
  int64_t first = -1, second = -1;
  for (auto [i, e] : llvm::enumerate(map.getResults())) {
    auto dim = dyn_cast<AffineDimExpr>(e);
    if (!dim) {
      if (e.isFunctionOfDim(d) || e.isFunctionOfDim(d - 1))
        return false;
      continue;
    }
    int64_t &at = dim.getPosition() == d ? second : first;
    if (dim.getPosition() != d && dim.getPosition() != d - 1)
      continue;
    if (at >= 0)
      return false;
    at = i;
  }
  return first < 0 ? second < 0 : second == first + 1;
}

SmallVector<SmallVector<unsigned>>
kernel::mergeDims(ArrayRef<AffineMap> maps,
                  ArrayRef<utils::IteratorType> kinds) {
  SmallVector<SmallVector<unsigned>> runs;
  for (unsigned d = 0; d < kinds.size(); ++d)
    if (d && kinds[d] == kinds[d - 1] &&
        llvm::all_of(maps, [&](AffineMap map) { return sideBySide(map, d); }))
      runs.back().push_back(d);
    else
      runs.push_back({d});
  return runs;
}

std::pair<Value, AffineMap>
kernel::mergeOperand(TileBuilder &tb, Value memref, AffineMap map,
                     ArrayRef<SmallVector<unsigned>> runs) {
  SmallVector<unsigned> runOf(map.getNumDims());
  for (auto [r, dims] : llvm::enumerate(runs))
    for (unsigned d : dims)
      runOf[d] = r;
  SmallVector<AffineExpr> replace;
  for (unsigned r : runOf)
    replace.push_back(tb.b.getAffineDimExpr(r));
  SmallVector<ReassociationIndices> reassociation;
  SmallVector<AffineExpr> exprs;
  auto results = map.getResults();
  for (unsigned i = 0; i < results.size(); ++i) {
    auto dim = dyn_cast<AffineDimExpr>(results[i]);
    auto before = dyn_cast<AffineDimExpr>(results[i ? i - 1 : 0]);
    if (i && dim && before && before.getPosition() + 1 == dim.getPosition() &&
        runOf[before.getPosition()] == runOf[dim.getPosition()]) {
      reassociation.back().push_back(i);
      continue;
    }
    reassociation.push_back({int64_t(i)});
    exprs.push_back(results[i].replaceDims(replace));
  }
  if (exprs.size() < results.size()) {
    // Joined with a dynamic dim, even a dim of size 0 is dynamic.
    auto type = cast<MemRefType>(memref.getType());
    SmallVector<int64_t> shape;
    for (const ReassociationIndices &dims : reassociation) {
      int64_t size = 1;
      for (int64_t d : dims)
        size = size == ShapedType::kDynamic || type.isDynamicDim(d)
                   ? ShapedType::kDynamic
                   : size * type.getDimSize(d);
      shape.push_back(size);
    }
    if (type.getLayout().isIdentity())
      memref = memref::CollapseShapeOp::create(
          tb.b, tb.loc,
          MemRefType::get(shape, type.getElementType(), AffineMap(),
                          type.getMemorySpace()),
          memref, reassociation);
    else
      memref =
          memref::CollapseShapeOp::create(tb.b, tb.loc, memref, reassociation);
  }
  return {memref, AffineMap::get(runs.size(), 0, exprs, tb.b.getContext())};
}
