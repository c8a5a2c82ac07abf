//===- SplitLoop.cpp - one loop of an operation as several ----------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Graph/Transforms/SplitLoop.h"

#include "dialects/Graph/Graph.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace isthmus;

static bool areSame(ArrayRef<OpFoldResult> x, ArrayRef<OpFoldResult> y) {
  return x.size() == y.size() &&
         llvm::all_of(llvm::zip_equal(x, y), [](auto pair) {
           return isEqualConstantIntOrValue(std::get<0>(pair),
                                            std::get<1>(pair));
         });
}

Value graph::reshapeTo(OpBuilder &b, Location loc, Value v,
                       ArrayRef<OpFoldResult> sizes) {
  while (true) {
    auto now = getSizes(v);
    if (succeeded(now) && areSame(*now, sizes))
      return v;
    auto reshape = v.getDefiningOp<ReshapeOp>();
    if (!reshape)
      break;
    v = reshape.getSource();
  }
  SmallVector<int64_t> shape;
  SmallVector<Value> dynamic;
  dispatchIndexOpFoldResults(sizes, dynamic, shape);
  return ReshapeOp::create(
      b, loc, RankedTensorType::get(shape, getElementTypeOrSelf(v.getType())),
      v, dynamic);
}

bool graph::canSplitLoop(linalg::GenericOp op, unsigned loop) {
  AffineExpr dim = getAffineDimExpr(loop, op.getContext());
  for (OpOperand &operand : op->getOpOperands()) {
    for (AffineExpr e : op.getMatchingIndexingMap(&operand).getResults())
      if (e != dim && e.isFunctionOfDim(loop))
        return false;
    if (!isa<RankedTensorType>(operand.get().getType()) ||
        failed(getSizes(operand.get())))
      return false;
  }
  return true;
}

namespace {
/// One loop is several in all that names it.
struct Split {
  unsigned loop;
  ArrayRef<int64_t> parts;

  /// Of maps' results or tensors' dims, those that are the loop are its parts.
  template <typename T>
  SmallVector<T> replace(ArrayRef<T> items, AffineMap map,
                         function_ref<T(int64_t part)> partOf) const {
    SmallVector<T> out;
    for (auto [item, e] : llvm::zip_equal(items, map.getResults())) {
      if (!e.isFunctionOfDim(loop)) {
        out.push_back(item);
        continue;
      }
      for (unsigned i = 0; i < parts.size(); ++i)
        out.push_back(partOf(i));
    }
    return out;
  }

  AffineMap mapOf(AffineMap map) const {
    MLIRContext *context = map.getContext();
    unsigned more = parts.size() - 1;
    SmallVector<AffineExpr> dims;
    for (unsigned d = 0; d < map.getNumDims(); ++d)
      dims.push_back(getAffineDimExpr(d > loop ? d + more : d, context));
    SmallVector<AffineExpr> exprs;
    for (AffineExpr e : map.getResults())
      exprs.push_back(e.replaceDims(dims));
    exprs = replace<AffineExpr>(exprs, map, [&](int64_t i) {
      return getAffineDimExpr(loop + i, context);
    });
    return AffineMap::get(map.getNumDims() + more, 0, exprs, context);
  }

  SmallVector<OpFoldResult> sizesOf(Value v, AffineMap map) const {
    Builder b(v.getContext());
    return replace<OpFoldResult>(*graph::getSizes(v), map, [&](int64_t i) {
      return OpFoldResult(b.getIndexAttr(parts[i]));
    });
  }

  /// What a result starts from stays a constant, not a tensor of it.
  Value initOf(OpBuilder &b, Location loc, Value v, AffineMap map) const {
    if (!map.isFunctionOfDim(loop))
      return v;
    SmallVector<OpFoldResult> sizes = sizesOf(v, map);
    auto fill = v.getDefiningOp<linalg::FillOp>();
    if (!fill && !v.getDefiningOp<tensor::EmptyOp>())
      return graph::reshapeTo(b, loc, v, sizes);
    Value empty =
        tensor::EmptyOp::create(b, loc, sizes, getElementTypeOrSelf(v));
    return fill ? linalg::FillOp::create(b, loc, fill.value(), empty).result()
                : empty;
  }

  void fixIndices(linalg::GenericOp op) const {
    unsigned more = parts.size() - 1;
    op->walk([&](linalg::IndexOp index) {
      if (index->getParentOp() != op || index.getDim() < loop)
        return;
      if (index.getDim() > loop) {
        index.setDim(index.getDim() + more);
        return;
      }
      OpBuilder b(index);
      Location loc = index.getLoc();
      Value all = linalg::IndexOp::create(b, loc, loop);
      for (unsigned i = 1; i < parts.size(); ++i) {
        Value size = arith::ConstantIndexOp::create(b, loc, parts[i]);
        all = arith::AddIOp::create(b, loc,
                                    arith::MulIOp::create(b, loc, all, size),
                                    linalg::IndexOp::create(b, loc, loop + i));
      }
      index.getResult().replaceAllUsesWith(all);
      index.erase();
    });
  }
};
} // namespace

linalg::GenericOp graph::splitLoop(linalg::GenericOp op, unsigned loop,
                                   ArrayRef<int64_t> parts) {
  Split split{loop, parts};
  OpBuilder b(op);
  Location loc = op.getLoc();
  SmallVector<AffineMap> maps;
  SmallVector<Value> inputs, inits;
  for (OpOperand &operand : op->getOpOperands()) {
    AffineMap map = op.getMatchingIndexingMap(&operand);
    Value v = operand.get();
    maps.push_back(split.mapOf(map));
    if (op.isDpsInit(&operand))
      inits.push_back(split.initOf(b, loc, v, map));
    else
      inputs.push_back(reshapeTo(b, loc, v, split.sizesOf(v, map)));
  }
  SmallVector<utils::IteratorType> kinds = op.getIteratorTypesArray();
  kinds.insert(kinds.begin() + loop, parts.size() - 1, kinds[loop]);
  auto result = linalg::GenericOp::create(b, loc, ValueRange(inits).getTypes(),
                                          inputs, inits, maps, kinds);
  for (NamedAttribute attr : op->getDiscardableAttrs())
    result->setDiscardableAttr(attr.getName(), attr.getValue());
  result.getRegion().takeBody(op.getRegion());
  split.fixIndices(result);
  for (auto [from, to] : llvm::zip_equal(op->getResults(), result.getResults()))
    from.replaceAllUsesWith(reshapeTo(b, loc, to, *getSizes(from)));
  op->dropAllReferences();
  return result;
}
