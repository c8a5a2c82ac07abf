//===- Ops/Control.cpp - If, Loop, Scan --------------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A program has no branches. A condition that the importer knows chooses a
// branch; for one that only the device knows both are computed. Loops are
// unrolled.
//
//===----------------------------------------------------------------------===//
#include "lib/Import/Emit.h"
#include "lib/Import/Subgraph.h"

using namespace mlir;
using namespace isthmus;

static constexpr int64_t kMaxIterations = 64;

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

ImportValue *isthmus::sliceAlong(NodeContext &c, ImportValue &x, int64_t axis,
                                 OpFoldResult start, OpFoldResult length) {
  if (IndexMath::known(start) == 0 && IndexMath::same(length, x.sizes[axis]))
    return &x;
  Sizes sizes = x.sizes;
  sizes[axis] = length;
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

static bool isTensor(ImportValue *v) { return !v->list && !v->absent; }

static std::optional<int64_t> knownScalar(NodeContext &c, ImportValue &v) {
  if (v.scalars && v.scalars->size() == 1)
    return IndexMath::known((*v.scalars)[0]);
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// If
//===----------------------------------------------------------------------===//

static LogicalResult ifOp(NodeContext &c) {
  ImportValue &condition = c.in(0);
  const onnx::GraphProto *branches[] = {c.graphAttr("then_branch"),
                                        c.graphAttr("else_branch")};
  if (!branches[0] || !branches[1])
    return c.failed ? failure() : c.invalid("needs two branches");
  if (condition.dtype != DType::i1 || condition.count() != 1)
    return c.invalid("the condition must be one bool");
  if (auto known = knownScalar(c, condition)) {
    auto r = importSubgraph(c, *branches[*known == 0], {},
                            *known ? "then/" : "else/");
    if (failed(r))
      return failure();
    for (auto [i, v] : llvm::enumerate(*r))
      (void)c.result(v, i);
    return success();
  }
  auto then = importSubgraph(c, *branches[0], {}, "then/");
  auto otherwise = importSubgraph(c, *branches[1], {}, "else/");
  if (failed(then) || failed(otherwise))
    return failure();
  if (then->size() != otherwise->size())
    return c.invalid("the branches have different numbers of outputs");
  ImportValue *flag = reshape(c, condition, {});
  for (int i = 0; i < c.numOutputs() && i < int(then->size()); ++i) {
    ImportValue *l = (*then)[i], *r = (*otherwise)[i];
    if (l == r) {
      (void)c.result(l, i);
      continue;
    }
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
    bool same = llvm::equal(l->sizes, r->sizes, IndexMath::same);
    ImportValue *ins[] = {flag, l, r};
    if (same) {
      (void)c.result(
          elementwiseTo(c, ins, l->sizes, l->dtype,
                        [](OpBuilder &b, Location loc, ValueRange a) {
                          return BodyMath{b, loc}.select(a[0], a[1], a[2]);
                        }),
          i);
      continue;
    }
    // The host needs the condition for the sizes.
    auto host = c.hostInts(*flag, "the condition");
    if (failed(host))
      return failure();
    Sizes sizes;
    for (auto [a, b] : llvm::zip_equal(l->sizes, r->sizes))
      sizes.push_back(c.idx.select((*host)[0], a, b));
    (void)c.result(
        buildParallel(c, "If", sizes, ins, {}, ParallelOut{l->dtype, sizes},
                      [&](ParallelBody &p) {
                        p.store(p.ifElse(
                                    p.load(0, {}),
                                    [&] { return p.load(1, p.ivs); },
                                    [&] { return p.load(2, p.ivs); }),
                                p.ivs);
                      })[0],
        i);
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Loop
//===----------------------------------------------------------------------===//

/// The collected results of no iteration at all.
static FailureOr<ImportValue *>
nothing(NodeContext &c, const onnx::ValueInfoProto &info, int64_t axis) {
  const auto &type = info.type().tensor_type();
  Sizes sizes;
  for (const auto &dim : type.shape().dim())
    if (dim.has_dim_value() && dim.dim_value() >= 0)
      sizes.push_back(c.idx.constant(dim.dim_value()));
    else
      sizes.clear(), axis = -1;
  DType dtype = DType(type.elem_type());
  if (axis < 0 || axis > int64_t(sizes.size()) || !type.has_shape() ||
      !elementType(c.b.getContext(), dtype))
    return c.unsupported("there is no iteration, and the shape of output '" +
                         info.name() + "' is not known");
  sizes.insert(sizes.begin() + axis, c.idx.constant(0));
  return fromIndices(
      c, sizes, dtype, [&](OpBuilder &b, Location loc, ValueRange) {
        return BodyMath{b, loc}.constant(elementType(b.getContext(), dtype), 0);
      });
}

static LogicalResult loopOp(NodeContext &c) {
  const onnx::GraphProto *body = c.graphAttr("body");
  if (!body)
    return c.failed ? failure() : c.invalid("has no body");
  StringRef step = "export the model with a constant trip count";
  int64_t most = std::numeric_limits<int64_t>::max();
  if (c.has(0)) {
    if (!isTensor(&c.in(0)) || c.in(0).dtype != DType::i64)
      return c.invalid("the trip count must be i64");
    auto known = knownScalar(c, c.in(0));
    if (!known)
      return c.unsupported("the trip count is known only at run time", step);
    most = *known;
  }
  ImportValue *going = c.importer.newScalars(DType::i1, {c.idx.constant(1)}, 0);
  if (c.has(1))
    going = &c.in(1);
  SmallVector<ImportValue *> carried;
  for (int i = 2; i < c.numInputs(); ++i) {
    if (!c.has(i))
      return c.invalid("input " + Twine(i) + " is missing");
    carried.push_back(&c.in(i));
  }
  int64_t n = carried.size(), collects = body->output_size() - 1 - n;
  if (body->input_size() != n + 2 || collects < 0)
    return c.invalid("the body has the wrong number of inputs or outputs");
  SmallVector<SmallVector<ImportValue *>> collected(collects);
  int64_t t = 0;
  for (;; ++t) {
    if (t >= most)
      break;
    auto goOn = isTensor(going) ? knownScalar(c, *going) : std::nullopt;
    if (!goOn)
      return c.unsupported("the condition is known only at run time", step);
    if (!*goOn)
      break;
    if (t >= kMaxIterations)
      return c.unsupported(
          "has more than " + Twine(kMaxIterations) + " iterations", step);
    SmallVector<ImportValue *> inputs{
        c.importer.newScalars(DType::i64, {c.idx.constant(t)}, 0), going};
    llvm::append_range(inputs, carried);
    auto r = importSubgraph(c, *body, inputs, Twine(t) + "/");
    if (failed(r))
      return failure();
    going = (*r)[0];
    for (int64_t i = 0; i < n; ++i)
      carried[i] = (*r)[1 + i];
    for (int64_t i = 0; i < collects; ++i)
      collected[i].push_back((*r)[1 + n + i]);
  }
  for (int64_t i = 0; i < n; ++i)
    (void)c.result(carried[i], i);
  for (int64_t i = 0; i < collects; ++i) {
    if (!c.wants(n + i))
      continue;
    auto all =
        t ? stack(c, collected[i], 0) : nothing(c, body->output(1 + n + i), 0);
    if (failed(all))
      return failure();
    (void)c.result(*all, n + i);
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Scan
//===----------------------------------------------------------------------===//

static LogicalResult scanOp(NodeContext &c) {
  const onnx::GraphProto *body = c.graphAttr("body");
  int64_t scanned = c.intAttr("num_scan_inputs", 0);
  if (!body || scanned < 1 || scanned > c.numInputs())
    return c.failed ? failure() : c.invalid("needs a body and num_scan_inputs");
  int64_t n = c.numInputs() - scanned, collects = body->output_size() - n;
  if (body->input_size() != c.numInputs() || collects < 0)
    return c.invalid("the body has the wrong number of inputs or outputs");
  for (int i = 0; i < c.numInputs(); ++i)
    if (!c.has(i))
      return c.invalid("input " + Twine(i) + " is missing");
  auto list = [&](StringRef name,
                  int64_t size) -> FailureOr<SmallVector<int64_t>> {
    auto v = c.intsAttr(name);
    if (v && int64_t(v->size()) != size)
      return c.invalid(name + " has the wrong length");
    return v.value_or(SmallVector<int64_t>(size, 0));
  };
  auto inAxes = list("scan_input_axes", scanned);
  auto inBack = list("scan_input_directions", scanned);
  auto outAxes = list("scan_output_axes", collects);
  auto outBack = list("scan_output_directions", collects);
  if (failed(inAxes) || failed(inBack) || failed(outAxes) || failed(outBack))
    return failure();
  std::optional<int64_t> length;
  for (int64_t i = 0; i < scanned; ++i) {
    ImportValue &x = c.in(n + i);
    auto axis = c.axis((*inAxes)[i], x.rank());
    if (failed(axis))
      return failure();
    (*inAxes)[i] = *axis;
    auto size = x.dim(*axis);
    if (!size)
      return c.unsupported("the scanned axis of input " + Twine(n + i) +
                               " is symbolic",
                           "give it a fixed size with --shape");
    if (length && *length != *size)
      return c.invalid("the scanned axes differ in length");
    length = size;
  }
  if (*length > kMaxIterations)
    return c.unsupported("has more than " + Twine(kMaxIterations) +
                         " iterations");
  SmallVector<ImportValue *> carried;
  for (int i = 0; i < n; ++i)
    carried.push_back(&c.in(i));
  SmallVector<SmallVector<ImportValue *>> collected(collects);
  for (int64_t t = 0; t < *length; ++t) {
    SmallVector<ImportValue *> inputs = carried;
    for (int64_t i = 0; i < scanned; ++i)
      inputs.push_back(
          elementAlong(c, c.in(n + i), (*inAxes)[i],
                       c.idx.constant((*inBack)[i] ? *length - 1 - t : t)));
    auto r = importSubgraph(c, *body, inputs, Twine(t) + "/");
    if (failed(r))
      return failure();
    for (int64_t i = 0; i < n; ++i)
      carried[i] = (*r)[i];
    for (int64_t i = 0; i < collects; ++i)
      collected[i].push_back((*r)[n + i]);
  }
  for (int64_t i = 0; i < n; ++i)
    (void)c.result(carried[i], i);
  for (int64_t i = 0; i < collects; ++i) {
    if (!c.wants(n + i))
      continue;
    auto &values = collected[i];
    if ((*outBack)[i])
      std::reverse(values.begin(), values.end());
    int64_t rank = values.empty() ? 0 : values[0]->rank();
    int64_t axis = (*outAxes)[i];
    if (axis < 0)
      axis += rank + 1;
    if (axis < 0)
      return c.invalid("scan_output_axes is out of range");
    auto all = *length ? stack(c, values, axis)
                       : nothing(c, body->output(n + i), axis);
    if (failed(all))
      return failure();
    (void)c.result(*all, n + i);
  }
  return success();
}

namespace isthmus {
void registerControlOps(Registry &r) {
  r.add("If", 1, ifOp);
  r.add("Loop", 0, loopOp);
  r.add("Scan", 1, scanOp, 9);
  r.takesLists("Loop");
}
} // namespace isthmus
