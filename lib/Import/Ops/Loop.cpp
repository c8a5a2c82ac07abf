//===- Ops/Loop.cpp - Loop ------------------------------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A loop whose iterations the importer can count, and which are few, is
// unrolled: its sizes and trip counts become constants. Any other is a loop of
// the program.
//
//===----------------------------------------------------------------------===//
#include "lib/Import/Emit.h"
#include "lib/Import/LoopForm.h"

using namespace mlir;
using namespace isthmus;

/// The collected results of no iteration at all.
FailureOr<ImportValue *> isthmus::nothing(NodeContext &c,
                                          const onnx::ValueInfoProto &info,
                                          int64_t axis) {
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

bool isthmus::worthUnrolling(int64_t iterations, const onnx::GraphProto &body) {
  return iterations <= kMaxUnrolled &&
         iterations * (body.node_size() + 1) <= kMaxUnrolledBodies;
}

namespace {
/// A node's inputs, checked.
struct Loop {
  const onnx::GraphProto *body;
  ImportValue *trips = nullptr; // null: no limit
  ImportValue *going;
  SmallVector<ImportValue *> carried;
  int64_t collects;
};
} // namespace

/// False when the importer cannot count the iterations, or they are too many:
/// what was built is to be discarded then. With `force`, only kMaxUnrolled is
/// too many.
static FailureOr<bool> unroll(NodeContext &c, Loop loop, bool force) {
  int64_t n = loop.carried.size();
  std::optional<int64_t> most;
  if (loop.trips && !(most = knownScalar(*loop.trips)))
    return false;
  auto fits = [&](int64_t iterations) {
    return force ? iterations <= kMaxUnrolled
                 : worthUnrolling(iterations, *loop.body);
  };
  SmallVector<SmallVector<ImportValue *>> collected(loop.collects);
  int64_t t = 0;
  for (; !most || t < *most; ++t) {
    auto goOn = isTensor(loop.going) ? knownScalar(*loop.going) : std::nullopt;
    if (!goOn)
      return false;
    if (!*goOn)
      break;
    if (!fits(t + 1))
      return false;
    SmallVector<ImportValue *> inputs{
        c.importer.newScalars(DType::i64, {c.idx.constant(t)}, 0), loop.going};
    llvm::append_range(inputs, loop.carried);
    auto r = importSubgraph(c, *loop.body, inputs, Twine(t) + "/");
    if (failed(r))
      return failure();
    // A condition that the body does not change: all iterations will come.
    bool stays = (*r)[0] == loop.going || (*r)[0]->proto;
    loop.going = (*r)[0];
    if (stays && knownScalar(*loop.going) != 0 && !(most && fits(*most)))
      return false;
    for (int64_t i = 0; i < n; ++i)
      loop.carried[i] = (*r)[1 + i];
    for (int64_t i = 0; i < loop.collects; ++i)
      collected[i].push_back((*r)[1 + n + i]);
  }
  for (int64_t i = 0; i < n; ++i)
    (void)c.result(loop.carried[i], i);
  for (int64_t i = 0; i < loop.collects; ++i) {
    if (!c.wants(n + i))
      continue;
    auto all = t ? stack(c, collected[i], 0)
                 : nothing(c, loop.body->output(1 + n + i), 0);
    if (failed(all))
      return failure();
    (void)c.result(*all, n + i);
  }
  return true;
}

static LogicalResult runAsLoop(NodeContext &c, const Loop &loop) {
  LoopSpec spec;
  spec.carried = loop.carried;
  spec.collects = loop.collects;
  if (loop.trips) {
    ImportValue *flat =
        loop.trips->scalars ? loop.trips : reshape(c, *loop.trips, {});
    auto trips = c.hostInts(*flat, "the trip count");
    if (failed(trips))
      return failure();
    spec.trips = (*trips)[0];
  }
  auto going = hostCondition(c, *loop.going);
  if (failed(going))
    return failure();
  spec.going = *going;
  auto body = [&](OpFoldResult at, ArrayRef<ImportValue *> carried)
      -> FailureOr<SmallVector<ImportValue *>> {
    // An iteration runs only when its condition holds.
    c.importer.markSize(at);
    SmallVector<ImportValue *> inputs{
        c.importer.newScalars(DType::i64, {at}, 0),
        c.importer.newScalars(DType::i1, {c.idx.constant(1)}, 0)};
    llvm::append_range(inputs, carried);
    return importSubgraph(c, *loop.body, inputs, "body/");
  };
  spec.body = body;
  auto r = buildLoop(c, spec);
  if (failed(r))
    return failure();
  for (auto [i, v] : llvm::enumerate(*r))
    (void)c.result(v, i);
  return success();
}

static LogicalResult loopOp(NodeContext &c) {
  Loop loop;
  loop.body = c.graphAttr("body");
  if (!loop.body)
    return c.failed ? failure() : c.invalid("has no body");
  if (c.has(0)) {
    loop.trips = &c.in(0);
    if (!isTensor(loop.trips) || loop.trips->dtype != DType::i64 ||
        loop.trips->count() != 1)
      return c.invalid("the trip count must be one i64");
  }
  loop.going = c.importer.newScalars(DType::i1, {c.idx.constant(1)}, 0);
  if (c.has(1))
    loop.going = &c.in(1);
  if (!isTensor(loop.going) || loop.going->dtype != DType::i1 ||
      loop.going->count() != 1)
    return c.invalid("the condition must be one bool");
  bool lists = false;
  for (int i = 2; i < c.numInputs(); ++i) {
    if (!c.has(i))
      return c.invalid("input " + Twine(i) + " is missing");
    loop.carried.push_back(&c.in(i));
    lists |= !isTensor(&c.in(i));
  }
  loop.collects = loop.body->output_size() - 1 - int64_t(loop.carried.size());
  if (loop.body->input_size() != int64_t(loop.carried.size()) + 2 ||
      loop.collects < 0)
    return c.invalid("the body has the wrong number of inputs or outputs");
  Trial trial(c);
  auto unrolled = unroll(c, loop, lists);
  if (failed(unrolled))
    return failure();
  if (*unrolled) {
    trial.keep();
    return success();
  }
  trial.discard();
  return runAsLoop(c, loop);
}

namespace isthmus {
void registerLoopOps(Registry &r) {
  r.add("Loop", 0, loopOp);
  r.takesLists("Loop");
}
} // namespace isthmus
