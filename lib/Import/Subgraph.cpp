//===- Subgraph.cpp - graphs inside nodes ---------------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/Subgraph.h"

#include "dialects/Graph/Graph.h"
#include "lib/Import/Emit.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace isthmus;

FailureOr<SmallVector<ImportValue *>>
isthmus::importSubgraph(NodeContext &c, const onnx::GraphProto &graph,
                        ArrayRef<ImportValue *> inputs, const Twine &suffix) {
  if (graph.input_size() != int(inputs.size()))
    return c.invalid("graph '" + graph.name() + "' takes " +
                     Twine(graph.input_size()) + " inputs, not " +
                     Twine(inputs.size()));
  c.importer.unrolledNodes += graph.node_size() + 1;
  if (c.importer.outOfNodes())
    return c.unsupported(
        "unrolled loops and inlined functions have more than " +
            Twine(kMaxUnrolledNodes) + " nodes",
        "export the model with fewer iterations or calls");
  Scope inner;
  inner.parent = &c.scope;
  inner.opsets = c.scope.opsets;
  inner.functionDepth = c.scope.functionDepth;
  inner.prefix = (c.name + "/" + suffix).str();
  for (auto [info, value] : llvm::zip_equal(graph.input(), inputs))
    inner.values[info.name()] = value;
  SmallVector<ImportValue *> outputs;
  Location outer = c.loc;
  LogicalResult done = c.importer.importBody(graph, inner, outputs);
  c.loc = outer;
  if (failed(done)) {
    c.failed = true; // the nodes inside have their own diagnostics
    return failure();
  }
  return outputs;
}

//===----------------------------------------------------------------------===//
// Trials
//===----------------------------------------------------------------------===//

Trial::Trial(NodeContext &c)
    : place(scf::ExecuteRegionOp::create(c.b, c.loc, TypeRange())), c(c),
      diagnostics(c.importer.numDiagnostics()) {
  c.b.setInsertionPointToStart(&place.getRegion().emplaceBlock());
}

void Trial::end() {
  if (open)
    c.b.setInsertionPointAfter(place);
  open = false;
}

void Trial::moveTo(Block *target) {
  end();
  c.b.setInsertionPointAfter(place);
  target->getOperations().splice(target->end(), block()->getOperations());
  c.importer.putAside(place);
}

void Trial::keep() {
  end();
  c.b.setInsertionPointAfter(place);
  place->getBlock()->getOperations().splice(place->getIterator(),
                                            block()->getOperations());
  c.importer.putAside(place);
}

void Trial::discard() {
  end();
  c.b.setInsertionPointAfter(place);
  c.importer.putAside(place);
  c.importer.forgetDiagnostics(diagnostics);
  c.failed = false;
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

std::optional<int64_t> isthmus::knownScalar(const ImportValue &v) {
  if (v.scalars && v.scalars->size() == 1)
    return IndexMath::known((*v.scalars)[0]);
  return std::nullopt;
}

FailureOr<OpFoldResult> isthmus::hostCondition(NodeContext &c, ImportValue &v) {
  if (!isTensor(&v) || v.dtype != DType::i1 || v.count() != 1)
    return failure(failed(c.invalid("the condition must be one bool")));
  ImportValue *flat = v.scalars ? &v : reshape(c, v, {});
  auto host = c.hostInts(*flat, "the condition");
  if (failed(host))
    return failure();
  return (*host)[0];
}

Value isthmus::asType(NodeContext &c, Value tensor, RankedTensorType type,
                      ArrayRef<OpFoldResult> sizes) {
  if (tensor.getType() == type)
    return tensor;
  SmallVector<Value> dynamic;
  for (auto [dim, size] : llvm::zip_equal(type.getShape(), sizes))
    if (ShapedType::isDynamic(dim))
      dynamic.push_back(c.idx.value(size));
  return graph::ReshapeOp::create(c.b, c.loc, type, tensor, dynamic);
}

ImportValue *isthmus::bindSizes(NodeContext &c, DType dtype, Sizes sizes,
                                Value tensor) {
  auto type = cast<RankedTensorType>(tensor.getType());
  if (!type.hasStaticShape()) {
    SmallVector<Value> dynamic;
    for (auto [dim, size] : llvm::zip_equal(type.getShape(), sizes))
      if (ShapedType::isDynamic(dim))
        dynamic.push_back(c.idx.value(size));
    tensor = graph::ReshapeOp::create(c.b, c.loc, type, tensor, dynamic);
  }
  return c.importer.newValue(dtype, sizes, tensor);
}

ImportValue *isthmus::sliceAlong(NodeContext &c, ImportValue &x, int64_t axis,
                                 OpFoldResult start, OpFoldResult length) {
  if (IndexMath::known(start) == 0 && IndexMath::same(length, x.sizes[axis]))
    return &x;
  Sizes sizes = x.sizes;
  sizes[axis] = length;
  auto isEmpty = [](OpFoldResult size) { return IndexMath::known(size) == 0; };
  if (axis == 0 && llvm::none_of(sizes, isEmpty)) {
    // Rows are a part of the memory as it is. (An extract_slice cannot begin at
    // the end, and so not in a dim of size 0.)
    Sizes offsets(x.rank(), c.idx.constant(0)),
        strides(x.rank(), c.idx.constant(1));
    offsets[0] = start;
    return c.importer.newValue(
        x.dtype, sizes,
        tensor::ExtractSliceOp::create(c.b, c.loc, c.tensor(x), offsets, sizes,
                                       strides));
  }
  return buildParallel(c, "Slice", sizes, &x, start,
                       ParallelOut{x.dtype, sizes}, [&](ParallelBody &p) {
                         SmallVector<Value> at = p.ivs;
                         at[axis] = p.add(at[axis], p.scalars[0]);
                         p.store(p.load(0, at), p.ivs);
                       })[0];
}

ImportValue *isthmus::elementAlong(NodeContext &c, ImportValue &x, int64_t axis,
                                   OpFoldResult at) {
  ImportValue *v = sliceAlong(c, x, axis, at, c.idx.constant(1));
  Sizes sizes = v->sizes;
  sizes.erase(sizes.begin() + axis);
  return reshape(c, *v, sizes);
}

FailureOr<ImportValue *>
isthmus::stack(NodeContext &c, ArrayRef<ImportValue *> values, int64_t axis) {
  SmallVector<ImportValue *> wide;
  for (ImportValue *v : values) {
    if (v->list || v->absent)
      return c.unsupported("a sequence of sequences");
    if (v->rank() + 1 <= axis)
      return c.invalid("axis is out of range");
    Sizes sizes = v->sizes;
    sizes.insert(sizes.begin() + axis, c.idx.constant(1));
    wide.push_back(reshape(c, *v, sizes));
  }
  return concat(c, wide, axis);
}
