//===- Ops/Control.cpp - If -----------------------------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A condition that the importer knows chooses a branch. For any other the
// program has both, and the host reads the condition when it comes there.
//
//===----------------------------------------------------------------------===//
#include "lib/Import/Emit.h"
#include "lib/Import/Subgraph.h"

using namespace mlir;
using namespace isthmus;

namespace {
/// What both branches give for one output.
struct Joined {
  ImportValue *sides[2];
  bool scalars = false;     // integers of the host
  SmallVector<bool> varies; // sizes that differ
};
} // namespace

/// Whether the two values fit one output of the node, and how.
static LogicalResult join(NodeContext &c, int64_t i, Joined &out) {
  ImportValue *l = out.sides[0], *r = out.sides[1];
  if (!isTensor(l) || !isTensor(r))
    return c.unsupported("output " + Twine(i) +
                         " is a sequence or optional, and the condition is "
                         "known only at run time");
  if (l->dtype != r->dtype)
    return c.invalid("the branches give output " + Twine(i) +
                     " different types");
  if (l->rank() != r->rank())
    return c.unsupported("the branches give output " + Twine(i) +
                         " different ranks, and the condition is known only "
                         "at run time");
  out.scalars = l->scalars && r->scalars && !l->scalars->empty() &&
                l->scalars->size() == r->scalars->size();
  for (auto [a, b] : llvm::zip_equal(l->sizes, r->sizes))
    out.varies.push_back(!IndexMath::same(a, b));
  return success();
}

static Sizes joinedSizes(const Joined &j, function_ref<OpFoldResult()> next) {
  Sizes sizes;
  for (auto [size, varies] : llvm::zip_equal(j.sides[0]->sizes, j.varies))
    sizes.push_back(varies ? next() : size);
  return sizes;
}

/// An scf.if whose results are the integers and sizes that differ, and the
/// tensors.
static LogicalResult branch(NodeContext &c, OpFoldResult condition,
                            const onnx::GraphProto *const graphs[2]) {
  Trial then(c);
  auto left = importSubgraph(c, *graphs[0], {}, "then/");
  then.end();
  Trial otherwise(c);
  auto right = importSubgraph(c, *graphs[1], {}, "else/");
  if (failed(left) || failed(right))
    return failure();
  if (left->size() != right->size())
    return c.invalid("the branches have different numbers of outputs");
  SmallVector<std::pair<int64_t, Joined>> joined;
  for (int64_t i = 0; i < c.numOutputs() && i < int64_t(left->size()); ++i) {
    if (!c.wants(i))
      continue;
    if ((*left)[i] == (*right)[i]) {
      (void)c.result((*left)[i], i); // of the graph around
      continue;
    }
    Joined j;
    j.sides[0] = (*left)[i];
    j.sides[1] = (*right)[i];
    if (failed(join(c, i, j)))
      return failure();
    joined.push_back({i, std::move(j)});
  }

  SmallVector<Type> types;
  for (auto &[i, j] : joined) {
    if (j.scalars) {
      types.append(j.sides[0]->scalars->size(), c.b.getIndexType());
      continue;
    }
    types.append(llvm::count(j.varies, true), c.b.getIndexType());
    SmallVector<int64_t> shape;
    for (auto [size, varies] : llvm::zip_equal(j.sides[0]->sizes, j.varies))
      shape.push_back(
          varies ? ShapedType::kDynamic
                 : IndexMath::known(size).value_or(ShapedType::kDynamic));
    types.push_back(RankedTensorType::get(
        shape, elementType(c.b.getContext(), j.sides[0]->dtype)));
  }
  SmallVector<Value> yields[2];
  for (int side : {0, 1}) {
    c.b.setInsertionPointToEnd(side ? otherwise.block() : then.block());
    for (auto &[i, j] : joined) {
      ImportValue &v = *j.sides[side];
      SmallVector<Value> &to = yields[side];
      if (j.scalars) {
        llvm::append_range(to, c.idx.values(*v.scalars));
        continue;
      }
      for (auto [size, varies] : llvm::zip_equal(v.sizes, j.varies))
        if (varies)
          to.push_back(c.idx.value(size));
      to.push_back(asType(c, c.tensor(v),
                          cast<RankedTensorType>(types[to.size()]), v.sizes));
    }
  }
  c.b.setInsertionPointAfter(otherwise.place);
  Value flag = c.idx.condition(condition);
  auto op = scf::IfOp::create(c.b, c.loc, types, flag, true);
  // Without results its blocks have terminators already.
  for (Block *block : {op.thenBlock(), op.elseBlock()})
    if (!block->empty())
      block->back().erase();
  then.moveTo(op.thenBlock());
  otherwise.moveTo(op.elseBlock());
  for (int side : {0, 1}) {
    c.b.setInsertionPointToEnd(side ? op.elseBlock() : op.thenBlock());
    scf::YieldOp::create(c.b, c.loc, yields[side]);
  }
  c.b.setInsertionPointAfter(op);

  unsigned n = 0;
  auto next = [&]() -> OpFoldResult { return op.getResult(n++); };
  for (auto &[i, j] : joined) {
    ImportValue &v = *j.sides[0];
    if (j.scalars) {
      Sizes elements;
      for (size_t k = 0; k < v.scalars->size(); ++k)
        c.importer.markInRange(elements.emplace_back(next()), v.dtype);
      (void)c.result(c.importer.newScalars(v.dtype, elements, v.rank()), i);
      continue;
    }
    Sizes sizes = joinedSizes(j, next);
    (void)c.result(bindSizes(c, v.dtype, sizes, op.getResult(n++)), i);
  }
  return success();
}

static LogicalResult ifOp(NodeContext &c) {
  ImportValue &condition = c.in(0);
  const onnx::GraphProto *branches[] = {c.graphAttr("then_branch"),
                                        c.graphAttr("else_branch")};
  if (!branches[0] || !branches[1])
    return c.failed ? failure() : c.invalid("needs two branches");
  if (condition.dtype != DType::i1 || condition.count() != 1)
    return c.invalid("the condition must be one bool");
  auto host = hostCondition(c, condition);
  if (failed(host))
    return failure();
  auto known = IndexMath::known(*host);
  if (!known)
    return branch(c, *host, branches);
  auto r =
      importSubgraph(c, *branches[*known == 0], {}, *known ? "then/" : "else/");
  if (failed(r))
    return failure();
  for (auto [i, v] : llvm::enumerate(*r))
    (void)c.result(v, i);
  return success();
}

namespace isthmus {
void registerControlOps(Registry &r) { r.add("If", 1, ifOp); }
} // namespace isthmus
