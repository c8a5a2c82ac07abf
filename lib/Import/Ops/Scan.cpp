//===- Ops/Scan.cpp - Scan ------------------------------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/Emit.h"
#include "lib/Import/LoopForm.h"

using namespace mlir;
using namespace isthmus;

namespace {
struct Scan {
  const onnx::GraphProto *body;
  SmallVector<ImportValue *> carried, scanned;
  SmallVector<int64_t> inAxes, inBack, outAxes, outBack;
  OpFoldResult length;
  int64_t collects() const { return outAxes.size(); }
};
} // namespace

/// The body for iteration `at`.
static FailureOr<SmallVector<ImportValue *>>
iterate(NodeContext &c, const Scan &s, OpFoldResult at,
        ArrayRef<ImportValue *> carried, const Twine &suffix) {
  SmallVector<ImportValue *> inputs(carried);
  for (auto [x, axis, back] : llvm::zip_equal(s.scanned, s.inAxes, s.inBack)) {
    OpFoldResult from =
        back ? c.idx.sub(c.idx.sub(s.length, c.idx.constant(1)), at) : at;
    inputs.push_back(elementAlong(c, *x, axis, from));
  }
  return importSubgraph(c, *s.body, inputs, suffix);
}

static LogicalResult unroll(NodeContext &c, const Scan &s, int64_t length) {
  int64_t n = s.carried.size();
  SmallVector<ImportValue *> carried = s.carried;
  SmallVector<SmallVector<ImportValue *>> collected(s.collects());
  for (int64_t t = 0; t < length; ++t) {
    auto r = iterate(c, s, c.idx.constant(t), carried, Twine(t) + "/");
    if (failed(r))
      return failure();
    for (int64_t i = 0; i < n; ++i)
      carried[i] = (*r)[i];
    for (int64_t i = 0; i < s.collects(); ++i)
      collected[i].push_back((*r)[n + i]);
  }
  for (int64_t i = 0; i < n; ++i)
    (void)c.result(carried[i], i);
  for (int64_t i = 0; i < s.collects(); ++i) {
    if (!c.wants(n + i))
      continue;
    auto &values = collected[i];
    if (s.outBack[i])
      std::reverse(values.begin(), values.end());
    int64_t rank = values.empty() ? 0 : values[0]->rank();
    int64_t axis = s.outAxes[i] + (s.outAxes[i] < 0 ? rank + 1 : 0);
    if (axis < 0)
      return c.invalid("scan_output_axes is out of range");
    auto all = length ? stack(c, values, axis)
                      : nothing(c, s.body->output(n + i), axis);
    if (failed(all))
      return failure();
    (void)c.result(*all, n + i);
  }
  return success();
}

/// What a loop has collected in rows, the other way round or along another
/// axis.
static FailureOr<ImportValue *> arrange(NodeContext &c, ImportValue *x,
                                        int64_t axis, bool back) {
  if (axis < 0)
    axis += x->rank();
  if (axis < 0 || axis >= x->rank())
    return failure(failed(c.invalid("scan_output_axes is out of range")));
  if (back)
    x = buildParallel(c, "Reverse", x->sizes, x, x->sizes[0],
                      ParallelOut{x->dtype, x->sizes}, [&](ParallelBody &p) {
                        SmallVector<Value> from = p.ivs;
                        from[0] =
                            p.sub(p.sub(p.scalars[0], p.index(1)), p.ivs[0]);
                        p.store(p.load(0, from), p.ivs);
                      })[0];
  if (axis == 0)
    return x;
  SmallVector<int64_t> order;
  for (int64_t i = 1; i < x->rank(); ++i)
    order.push_back(i);
  order.insert(order.begin() + axis, 0);
  return transpose(c, *x, order);
}

static LogicalResult runAsLoop(NodeContext &c, const Scan &s) {
  LoopSpec spec;
  spec.trips = s.length;
  spec.going = c.idx.constant(1);
  spec.carried = s.carried;
  spec.collects = s.collects();
  auto body = [&](OpFoldResult at, ArrayRef<ImportValue *> carried)
      -> FailureOr<SmallVector<ImportValue *>> {
    auto r = iterate(c, s, at, carried, "body/");
    if (succeeded(r))
      r->insert(r->begin(), nullptr);
    return r;
  };
  spec.body = body;
  auto r = buildLoop(c, spec);
  if (failed(r))
    return failure();
  int64_t n = s.carried.size();
  for (int64_t i = 0; i < n; ++i)
    (void)c.result((*r)[i], i);
  for (int64_t i = 0; i < s.collects(); ++i) {
    if (!c.wants(n + i))
      continue;
    auto all = arrange(c, (*r)[n + i], s.outAxes[i], s.outBack[i]);
    if (failed(all))
      return failure();
    (void)c.result(*all, n + i);
  }
  return success();
}

static LogicalResult scanOp(NodeContext &c) {
  Scan s;
  s.body = c.graphAttr("body");
  int64_t scanned = c.intAttr("num_scan_inputs", 0);
  if (!s.body || scanned < 1 || scanned > c.numInputs())
    return c.failed ? failure() : c.invalid("needs a body and num_scan_inputs");
  int64_t n = c.numInputs() - scanned, collects = s.body->output_size() - n;
  if (s.body->input_size() != c.numInputs() || collects < 0)
    return c.invalid("the body has the wrong number of inputs or outputs");
  for (int i = 0; i < c.numInputs(); ++i) {
    if (!c.has(i))
      return c.invalid("input " + Twine(i) + " is missing");
    (i < n ? s.carried : s.scanned).push_back(&c.in(i));
  }
  auto list = [&](StringRef name, int64_t size, SmallVector<int64_t> &out) {
    auto v = c.intsAttr(name);
    if (v && int64_t(v->size()) != size)
      return c.invalid(name + " has the wrong length");
    out = v.value_or(SmallVector<int64_t>(size, 0));
    return success();
  };
  if (failed(list("scan_input_axes", scanned, s.inAxes)) ||
      failed(list("scan_input_directions", scanned, s.inBack)) ||
      failed(list("scan_output_axes", collects, s.outAxes)) ||
      failed(list("scan_output_directions", collects, s.outBack)))
    return failure();
  for (auto [x, axis] : llvm::zip_equal(s.scanned, s.inAxes)) {
    auto normal = c.axis(axis, x->rank());
    if (failed(normal))
      return failure();
    axis = *normal;
    OpFoldResult size = x->sizes[axis];
    if (!s.length || !IndexMath::known(s.length)) {
      if (s.length && failed(c.check(c.idx.eq(s.length, size),
                                     "the scanned axes differ in length")))
        return failure();
      s.length = size;
    } else if (failed(c.check(c.idx.eq(s.length, size),
                              "the scanned axes differ in length"))) {
      return failure();
    }
  }
  auto length = IndexMath::known(s.length);
  if (length && worthUnrolling(*length, *s.body))
    return unroll(c, s, *length);
  return runAsLoop(c, s);
}

namespace isthmus {
void registerScanOps(Registry &r) { r.add("Scan", 1, scanOp, 9); }
} // namespace isthmus
