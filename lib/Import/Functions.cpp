//===- Functions.cpp - calls of a model's own functions -------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/Importer.h"

using namespace mlir;
using namespace isthmus;

static constexpr int kMaxFunctionDepth = 64;

const onnx::FunctionProto *
Importer::findFunction(const onnx::NodeProto &node) const {
  auto plain = [](StringRef domain) {
    return domain == "ai.onnx" ? StringRef() : domain;
  };
  for (const onnx::FunctionProto &f : model.proto().functions())
    if (f.name() == node.op_type() && f.overload() == node.overload() &&
        plain(f.domain()) == plain(node.domain()))
      return &f;
  return nullptr;
}

using AttrMap = llvm::StringMap<const onnx::AttributeProto *>;

static bool hasReferences(const onnx::NodeProto &node) {
  for (const onnx::AttributeProto &a : node.attribute()) {
    if (!a.ref_attr_name().empty())
      return true;
    for (const onnx::NodeProto &inner : a.g().node())
      if (hasReferences(inner))
        return true;
  }
  return false;
}

/// Replaces attributes that name one of the function's by its value.
static void bindReferences(onnx::NodeProto &node, const AttrMap &attrs) {
  onnx::NodeProto source = node;
  node.clear_attribute();
  for (const onnx::AttributeProto &a : source.attribute()) {
    const onnx::AttributeProto *value = &a;
    if (!a.ref_attr_name().empty()) {
      value = attrs.lookup(a.ref_attr_name());
      if (!value)
        continue; // optional, and not given
    }
    onnx::AttributeProto *bound = node.add_attribute();
    *bound = *value;
    bound->set_name(a.name());
    if (bound->has_g())
      for (onnx::NodeProto &inner : *bound->mutable_g()->mutable_node())
        bindReferences(inner, attrs);
  }
}

LogicalResult Importer::callFunction(const onnx::FunctionProto &function,
                                     const onnx::NodeProto &node, Scope &scope,
                                     ArrayRef<ImportValue *> inputs,
                                     SmallVectorImpl<ImportValue *> &results) {
  Scope inner;
  inner.functionDepth = scope.functionDepth + 1;
  inner.prefix =
      scope.prefix + (node.name().empty() ? node.op_type() : node.name()) + "/";
  if (inner.functionDepth > kMaxFunctionDepth) {
    modelError("IST-I0003", "function '" + function.name() + "' calls itself");
    return failure();
  }
  unrolledNodes += function.node_size() + 1;
  if (outOfNodes()) {
    modelError("IST-I0104",
               "function '" + function.name() +
                   "' cannot be inlined: unrolled loops and inlined functions "
                   "have more than " +
                   Twine(kMaxUnrolledNodes) + " nodes",
               "export the model with fewer iterations or calls");
    return failure();
  }
  for (const onnx::OperatorSetIdProto &o : function.opset_import())
    inner.opsets[o.domain() == "ai.onnx" ? "" : o.domain()] = o.version();
  for (int i = 0; i < function.input_size() && i < int(inputs.size()); ++i)
    if (inputs[i])
      inner.values[function.input(i)] = inputs[i];
  // An optional input that is not given is an empty name inside.
  AttrMap attrs;
  for (const onnx::AttributeProto &a : function.attribute_proto())
    attrs[a.name()] = &a;
  for (const onnx::AttributeProto &a : node.attribute())
    attrs[a.name()] = &a;

  size_t before = diags.size();
  Location outer = loc;
  for (int i = 0; i < function.node_size(); ++i) {
    const onnx::NodeProto *n = &function.node(i);
    bool absent = false;
    for (const std::string &input : n->input())
      for (int k = 0; k < function.input_size(); ++k)
        absent |= input == function.input(k) && !inner.values.count(input);
    if (absent || hasReferences(*n)) {
      onnx::NodeProto &copy = boundNodes.emplace_back(*n);
      for (std::string &input : *copy.mutable_input())
        for (int k = 0; k < function.input_size(); ++k)
          if (input == function.input(k) && !inner.values.count(input))
            input.clear();
      bindReferences(copy, attrs);
      n = &copy;
    }
    importNode(*n, i, inner);
    loc = outer;
    if (outOfNodes())
      return failure(); // with a diagnostic
  }
  for (int i = 0; i < node.output_size() && i < function.output_size(); ++i) {
    results[i] = inner.values.lookup(function.output(i));
    if (!results[i] && !node.output(i).empty()) {
      modelError("IST-I0003", "function '" + function.name() +
                                  "' does not make its output '" +
                                  function.output(i) + "'");
      return failure();
    }
  }
  return success(diags.size() == before);
}
