//===- NodeContext.cpp - what an operator's handler sees ---------- ---===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/NodeContext.h"

#include "dialects/Graph/Graph.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace isthmus;

//===----------------------------------------------------------------------===//
// Inputs
//===----------------------------------------------------------------------===//

FailureOr<Sizes> NodeContext::hostInts(int i) {
  return hostInts(in(i), "input " + Twine(i) + " ('" + in(i).name + "')");
}

FailureOr<Sizes> NodeContext::hostInts(ImportValue &v, const Twine &what) {
  if (v.scalars)
    return *v.scalars;
  if (!isInteger(v.dtype) && v.dtype != DType::i1)
    return invalid(what + " must hold integers, it has type " +
                   dtypeName(v.dtype));
  auto count = v.count();
  if (v.rank() > 1 || !count || *count > kMaxScalars)
    return unsupported(
        what +
            " gives sizes or axes; it must be a vector of static length up "
            "to " +
            Twine(kMaxScalars),
        "give its length a fixed size with --shape");
  Value source = tensor(v);
  Sizes out;
  for (int64_t k = 0; k < *count; ++k)
    out.push_back(Value(graph::ReadOp::create(b, loc, b.getIndexType(), source,
                                              idx.value(idx.constant(k)))));
  for (OpFoldResult e : out)
    importer.markInRange(e, v.dtype);
  if (v.home == b.getInsertionBlock())
    v.scalars = out;
  return out;
}

FailureOr<SmallVector<int64_t>> NodeContext::constInts(int i) {
  ImportValue &v = in(i);
  SmallVector<int64_t> out;
  bool known = true;
  if (v.scalars) {
    for (OpFoldResult s : *v.scalars)
      if (auto c = IndexMath::known(s))
        out.push_back(*c);
      else
        known = false;
  } else if (DenseElementsAttr c = constant(i);
             c && isa<IntegerType>(c.getElementType())) {
    for (const APInt &e : c.getValues<APInt>())
      out.push_back(isUnsigned(v.dtype) ? e.getZExtValue() : e.getSExtValue());
  } else {
    known = false;
  }
  if (!known)
    return unsupported("input " + Twine(i) + " ('" + v.name +
                           "') must be a constant of integers",
                       "fold constants when exporting the model");
  return out;
}

FailureOr<SmallVector<double>> NodeContext::constFloats(int i) {
  ImportValue &v = in(i);
  DenseElementsAttr c = constant(i);
  if (!c || !isa<FloatType>(c.getElementType()))
    return unsupported("input " + Twine(i) + " ('" + v.name +
                           "') must be a constant of floats",
                       "fold constants when exporting the model");
  SmallVector<double> out;
  for (APFloat e : c.getValues<APFloat>()) {
    bool lossy;
    e.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &lossy);
    out.push_back(e.convertToDouble());
  }
  return out;
}

FailureOr<std::optional<SmallVector<int64_t>>>
NodeContext::constIntsOrAttr(int i, StringRef attr) {
  if (has(i)) {
    auto ints = constInts(i);
    if (mlir::failed(ints))
      return failure();
    return std::optional<SmallVector<int64_t>>(*ints);
  }
  return intsAttr(attr);
}

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

const onnx::AttributeProto *NodeContext::findAttr(StringRef name) const {
  for (const onnx::AttributeProto &a : node.attribute())
    if (a.name() == name)
      return &a;
  return nullptr;
}

const onnx::AttributeProto *
NodeContext::typed(StringRef name, onnx::AttributeProto::Kind kind) {
  const onnx::AttributeProto *a = findAttr(name);
  // Very old files leave the type out.
  if (a && a->type() != kind && a->type() != onnx::AttributeProto::UNDEFINED) {
    (void)invalid("attribute '" + name + "' has the wrong type");
    return nullptr;
  }
  return a;
}

int64_t NodeContext::intAttr(StringRef name, int64_t otherwise) {
  auto *a = typed(name, onnx::AttributeProto::INT);
  return a ? a->i() : otherwise;
}

double NodeContext::floatAttr(StringRef name, double otherwise) {
  auto *a = typed(name, onnx::AttributeProto::FLOAT);
  return a ? a->f() : otherwise;
}

std::string NodeContext::stringAttr(StringRef name, StringRef otherwise) {
  auto *a = typed(name, onnx::AttributeProto::STRING);
  return a ? a->s() : otherwise.str();
}

std::optional<SmallVector<int64_t>> NodeContext::intsAttr(StringRef name) {
  auto *a = typed(name, onnx::AttributeProto::INTS);
  if (!a)
    return std::nullopt;
  return SmallVector<int64_t>(a->ints().begin(), a->ints().end());
}

std::optional<SmallVector<double>> NodeContext::floatsAttr(StringRef name) {
  auto *a = typed(name, onnx::AttributeProto::FLOATS);
  if (!a)
    return std::nullopt;
  return SmallVector<double>(a->floats().begin(), a->floats().end());
}

const onnx::TensorProto *NodeContext::tensorAttr(StringRef name) {
  auto *a = typed(name, onnx::AttributeProto::TENSOR);
  return a ? &a->t() : nullptr;
}

const onnx::GraphProto *NodeContext::graphAttr(StringRef name) {
  auto *a = typed(name, onnx::AttributeProto::GRAPH);
  return a ? &a->g() : nullptr;
}

FailureOr<int64_t> NodeContext::axis(int64_t axis, int64_t rank) {
  if (axis < -rank || axis >= rank)
    return invalid("axis " + Twine(axis) + " is out of range for rank " +
                   Twine(rank));
  return axis < 0 ? axis + rank : axis;
}

FailureOr<SmallVector<int64_t>> NodeContext::axes(ArrayRef<int64_t> list,
                                                  int64_t rank) {
  SmallVector<int64_t> out;
  for (int64_t a : list) {
    auto normal = axis(a, rank);
    if (mlir::failed(normal))
      return failure();
    if (llvm::is_contained(out, *normal))
      return invalid("axis " + Twine(a) + " is given twice");
    out.push_back(*normal);
  }
  llvm::sort(out);
  return out;
}

//===----------------------------------------------------------------------===//
// Results and diagnostics
//===----------------------------------------------------------------------===//

LogicalResult NodeContext::result(ImportValue *value, int i) {
  if (i < numOutputs())
    results[i] = value;
  return success();
}

LogicalResult NodeContext::result(FailureOr<ImportValue *> value, int i) {
  if (mlir::failed(value))
    return failure();
  return result(*value, i);
}

LogicalResult NodeContext::error(StringRef code, const Twine &reason,
                                 StringRef nextStep) {
  failed = true;
  std::string op = node.op_type();
  if (!node.domain().empty() && node.domain() != "ai.onnx")
    op = node.domain() + "." + op;
  importer.report({code.str(), name, op, opset, reason.str(), nextStep.str()});
  return failure();
}

LogicalResult NodeContext::invalid(const Twine &reason) {
  return error("IST-I0105", reason,
               "the node breaks the ONNX rules: check the model with "
               "onnx.checker");
}

LogicalResult NodeContext::unsupported(const Twine &reason,
                                       StringRef nextStep) {
  return error("IST-I0104", reason, nextStep);
}

LogicalResult NodeContext::requireFloat(int i) {
  if (isFloat(in(i).dtype))
    return success();
  return invalid("input " + Twine(i) + " must be a float tensor, it has type " +
                 dtypeName(in(i).dtype));
}

LogicalResult NodeContext::requireSameType(int i, int j) {
  if (in(i).dtype == in(j).dtype)
    return success();
  return invalid("inputs " + Twine(i) + " and " + Twine(j) +
                 " must have one type, they have " + dtypeName(in(i).dtype) +
                 " and " + dtypeName(in(j).dtype));
}

LogicalResult NodeContext::check(OpFoldResult condition, const Twine &message) {
  if (auto known = IndexMath::known(condition))
    return *known ? success() : invalid(message);
  graph::CheckOp::create(
      b, loc, idx.condition(condition),
      b.getStringAttr(name + " (" + node.op_type() + "): " + message));
  return success();
}
