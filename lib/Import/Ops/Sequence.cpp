//===- Ops/Sequence.cpp - sequences and optionals --------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The importer follows sequences itself: none exists at run time, and so their
// lengths and the positions in them must be known.
//
//===----------------------------------------------------------------------===//
#include "lib/Import/Emit.h"
#include "lib/Import/Subgraph.h"

using namespace mlir;
using namespace isthmus;

using List = SmallVector<ImportValue *>;

static ImportValue *newList(NodeContext &c, List list) {
  ImportValue *v = c.importer.newValue(DType::undefined, {});
  v->list = std::move(list);
  return v;
}

static FailureOr<List> listOf(NodeContext &c, int i) {
  if (!c.in(i).list)
    return c.invalid("input " + Twine(i) + " must be a sequence");
  return *c.in(i).list;
}

static LogicalResult requireTensor(NodeContext &c, int i) {
  if (c.in(i).list || c.in(i).absent)
    return c.invalid("input " + Twine(i) + " must be a tensor");
  return success();
}

/// The position that input `i` gives, below `end`.
static FailureOr<int64_t> positionAt(NodeContext &c, int i, int64_t size,
                                     int64_t end) {
  if (failed(requireTensor(c, i)))
    return failure();
  auto ints = c.constInts(i);
  if (failed(ints))
    return failure();
  if (ints->size() != 1)
    return c.invalid("the position must be a scalar");
  int64_t at = (*ints)[0];
  if (at < 0 && at >= -size)
    at += size;
  if (at < 0 || at >= end)
    return c.invalid("position " + Twine((*ints)[0]) +
                     " is outside the sequence of " + Twine(size));
  return at;
}

static LogicalResult sequenceConstruct(NodeContext &c) {
  List list;
  for (int i = 0; i < c.numInputs(); ++i) {
    if (!c.has(i))
      return c.invalid("input " + Twine(i) + " is missing");
    list.push_back(&c.in(i));
  }
  return c.result(newList(c, list));
}

static LogicalResult sequenceAt(NodeContext &c) {
  auto list = listOf(c, 0);
  if (failed(list))
    return failure();
  auto at = positionAt(c, 1, list->size(), list->size());
  if (failed(at))
    return failure();
  return c.result((*list)[*at]);
}

static LogicalResult sequenceLength(NodeContext &c) {
  auto list = listOf(c, 0);
  if (failed(list))
    return failure();
  return c.result(
      c.importer.newScalars(DType::i64, {c.idx.constant(list->size())}, 0));
}

static LogicalResult sequenceInsert(NodeContext &c) {
  auto list = listOf(c, 0);
  if (failed(list) || failed(requireTensor(c, 1)))
    return failure();
  int64_t at = list->size();
  if (c.has(2)) {
    auto given = positionAt(c, 2, list->size(), list->size() + 1);
    if (failed(given))
      return failure();
    at = *given;
  }
  list->insert(list->begin() + at, &c.in(1));
  return c.result(newList(c, *list));
}

static LogicalResult sequenceErase(NodeContext &c) {
  auto list = listOf(c, 0);
  if (failed(list))
    return failure();
  if (list->empty())
    return c.invalid("the sequence is empty");
  int64_t at = list->size() - 1;
  if (c.has(1)) {
    auto given = positionAt(c, 1, list->size(), list->size());
    if (failed(given))
      return failure();
    at = *given;
  }
  list->erase(list->begin() + at);
  return c.result(newList(c, *list));
}

static LogicalResult concatFromSequence(NodeContext &c) {
  auto list = listOf(c, 0);
  if (failed(list))
    return failure();
  if (list->empty())
    return c.invalid("the sequence is empty");
  for (ImportValue *v : *list)
    if (v->list || v->absent || v->dtype != list->front()->dtype ||
        v->rank() != list->front()->rank())
      return c.invalid("the elements must be tensors of one type and rank");
  bool fresh = c.intAttr("new_axis", 0);
  if (!c.hasAttr("axis"))
    return c.invalid("has no axis");
  auto axis = c.axis(c.intAttr("axis", 0), list->front()->rank() + fresh);
  if (failed(axis))
    return failure();
  return c.result(fresh ? stack(c, *list, *axis) : concat(c, *list, *axis));
}

static LogicalResult splitToSequence(NodeContext &c) {
  if (failed(requireTensor(c, 0)))
    return failure();
  ImportValue &x = c.in(0);
  auto axis = c.axis(c.intAttr("axis", 0), x.rank());
  if (failed(axis))
    return failure();
  auto size = x.dim(*axis);
  bool keep = c.intAttr("keepdims", 1) || c.has(1);
  SmallVector<int64_t> lengths;
  int64_t each = 1;
  if (c.has(1)) {
    if (failed(requireTensor(c, 1)))
      return failure();
    auto split = c.constInts(1);
    if (failed(split))
      return failure();
    if (c.in(1).rank() == 0)
      each = (*split)[0];
    else
      lengths = *split;
  }
  if (each < 1)
    return c.invalid("split is not positive");
  if (!size)
    return c.unsupported("the axis is symbolic",
                         "give it a fixed size with --shape");
  if (!c.has(1) || c.in(1).rank() == 0) {
    if (*size / each > 4096)
      return c.unsupported("splits into more than 4096 tensors");
    for (int64_t i = 0; i < *size; i += each)
      lengths.push_back(std::min(each, *size - i));
  }
  int64_t total = 0;
  for (int64_t n : lengths) {
    if (n < 0 || n > *size)
      return c.invalid("split is out of range");
    total += n;
  }
  if (total != *size)
    return c.invalid("split does not add up to the axis");
  List list;
  int64_t at = 0;
  for (int64_t n : lengths) {
    list.push_back(
        keep ? sliceAlong(c, x, *axis, c.idx.constant(at), c.idx.constant(n))
             : elementAlong(c, x, *axis, c.idx.constant(at)));
    at += n;
  }
  return c.result(newList(c, list));
}

static LogicalResult sequenceMap(NodeContext &c) {
  const onnx::GraphProto *body = c.graphAttr("body");
  if (!body)
    return c.failed ? failure() : c.invalid("has no body");
  auto list = listOf(c, 0);
  if (failed(list))
    return failure();
  SmallVector<List> results(body->output_size());
  for (size_t k = 0; k < list->size(); ++k) {
    List inputs;
    for (int i = 0; i < c.numInputs(); ++i) {
      if (!c.has(i))
        return c.invalid("input " + Twine(i) + " is missing");
      if (c.in(i).list && c.in(i).list->size() != list->size())
        return c.invalid("the sequences differ in length");
      inputs.push_back(c.in(i).list ? (*c.in(i).list)[k] : &c.in(i));
    }
    auto r = importSubgraph(c, *body, inputs, Twine(k) + "/");
    if (failed(r))
      return failure();
    for (auto [all, v] : llvm::zip_equal(results, *r))
      all.push_back(v);
  }
  for (auto [i, all] : llvm::enumerate(results))
    (void)c.result(newList(c, all), i);
  return success();
}

//===----------------------------------------------------------------------===//
// Optionals
//===----------------------------------------------------------------------===//

static LogicalResult optional(NodeContext &c) {
  if (c.has(0))
    return c.result(&c.in(0));
  ImportValue *v = c.importer.newValue(DType::undefined, {});
  v->absent = true;
  return c.result(v);
}

static LogicalResult optionalHasElement(NodeContext &c) {
  bool has = c.has(0) && !c.in(0).absent;
  return c.result(c.importer.newScalars(DType::i1, {c.idx.constant(has)}, 0));
}

static LogicalResult optionalGetElement(NodeContext &c) {
  if (c.in(0).absent)
    return c.invalid("the optional is empty");
  return c.result(&c.in(0));
}

namespace isthmus {
void registerSequenceOps(Registry &r) {
  r.add("SequenceConstruct", 1, sequenceConstruct, 11);
  r.add(
      "SequenceEmpty", 0,
      [](NodeContext &c) { return c.result(newList(c, {})); }, 11);
  r.add("SequenceAt", 2, sequenceAt, 11);
  r.add("SequenceLength", 1, sequenceLength, 11);
  r.add("SequenceInsert", 2, sequenceInsert, 11);
  r.add("SequenceErase", 1, sequenceErase, 11);
  r.add("ConcatFromSequence", 1, concatFromSequence, 11);
  r.add("SplitToSequence", 1, splitToSequence, 11);
  r.add("SequenceMap", 1, sequenceMap, 17);
  r.add("Optional", 0, optional, 15);
  r.add("OptionalHasElement", 0, optionalHasElement, 15);
  r.add("OptionalGetElement", 1, optionalGetElement, 15);
  for (StringRef op :
       {"SequenceConstruct", "SequenceAt", "SequenceLength", "SequenceInsert",
        "SequenceErase", "ConcatFromSequence", "SplitToSequence", "SequenceMap",
        "Optional", "OptionalHasElement", "OptionalGetElement", "Identity"})
    r.takesLists(op);
}
} // namespace isthmus
