//===- Importer.cpp - the walk over a model -------------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/Importer.h"

#include "dialects/Graph/Graph.h"
#include "dialects/Kernel/Kernel.h"
#include "lib/Import/NodeContext.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Verifier.h"

using namespace mlir;
using namespace isthmus;

static constexpr int64_t kNewestOpset = 27;

ImportValue *Scope::find(StringRef name) const {
  for (const Scope *s = this; s; s = s->parent)
    if (ImportValue *v = s->values.lookup(name))
      return v;
  return nullptr;
}

std::string ImportDiagnostic::str() const {
  std::string out = code + ": ";
  if (!node.empty() || !op.empty()) {
    out += "node '" + node + "'";
    if (!op.empty())
      out +=
          " (" + op + (opset ? ", opset " + std::to_string(opset) : "") + ")";
    out += ": ";
  }
  out += reason;
  if (!nextStep.empty())
    out += "; " + nextStep;
  return out;
}

Importer::Importer(const Model &model, MLIRContext &context,
                   const OnnxImportOptions &options,
                   SmallVectorImpl<ImportDiagnostic> &diags)
    : b(&context), loc(UnknownLoc::get(&context)), idx(b, loc), model(model),
      options(options), diags(diags), registry(Registry::get()) {}

Importer::~Importer() { eraseAside(); }

void Importer::putAside(Operation *op) {
  op->remove();
  aside.push_back(op);
}

void Importer::eraseAside() {
  for (Operation *op : aside)
    op->walk([](Operation *inner) { inner->dropAllReferences(); });
  for (Operation *op : aside)
    op->erase();
  aside.clear();
}

void Importer::modelError(StringRef code, const Twine &reason,
                          StringRef nextStep) {
  report({code.str(), "", "", 0, reason.str(), nextStep.str()});
}

//===----------------------------------------------------------------------===//
// The graph
//===----------------------------------------------------------------------===//

LogicalResult Importer::importInitializers(const onnx::GraphProto &graph,
                                           Scope &scope) {
  bool ok = true;
  for (const onnx::TensorProto &t : graph.initializer()) {
    ImportValue *v = newConstant(t, t.name());
    if (!v) {
      v = newValue(DType::undefined, {});
      v->poisoned = true;
      ok = false;
    }
    if (!scope.values.try_emplace(t.name(), v).second) {
      modelError("IST-I0003", "initializer '" + t.name() + "' is given twice");
      ok = false;
    }
  }
  for (const onnx::SparseTensorProto &t : graph.sparse_initializer()) {
    modelError("IST-I0103",
               "sparse initializer '" + t.values().name() +
                   "' is not supported",
               "store it densely");
    ImportValue *v = newValue(DType::undefined, {});
    v->poisoned = true;
    scope.values.try_emplace(t.values().name(), v);
    ok = false;
  }
  return success(ok);
}

LogicalResult Importer::importBody(const onnx::GraphProto &graph, Scope &scope,
                                   SmallVectorImpl<ImportValue *> &outputs) {
  bool ok = succeeded(importInitializers(graph, scope));
  ok &= succeeded(importNodes(graph.node(), scope));
  if (outOfNodes())
    return failure();
  for (const onnx::ValueInfoProto &info : graph.output()) {
    ImportValue *v = scope.find(info.name());
    if (!v)
      modelError("IST-I0003", "output '" + info.name() + "' of graph '" +
                                  graph.name() + "' is made by no node");
    ok &= v && !v->poisoned;
    outputs.push_back(v);
  }
  return success(ok);
}

LogicalResult Importer::importNodes(
    const google::protobuf::RepeatedPtrField<onnx::NodeProto> &nodes,
    Scope &scope) {
  size_t before = diags.size();
  for (int i = 0; i < nodes.size() && !outOfNodes(); ++i) {
    Location outer = loc;
    importNode(nodes.Get(i), i, scope);
    loc = outer;
  }
  return success(diags.size() == before);
}

void Importer::importNode(const onnx::NodeProto &node, int index,
                          Scope &scope) {
  std::string name =
      scope.prefix + (node.name().empty()
                          ? node.op_type() + "_" + std::to_string(index)
                          : node.name());
  StringRef domain = node.domain();
  if (domain == "ai.onnx")
    domain = "";
  int64_t opset = scope.opsets.count(domain) ? scope.opsets.lookup(domain) : 1;
  loc = NameLoc::get(b.getStringAttr(name + " (" + node.op_type() + ")"));

  SmallVector<ImportValue *> inputs;
  bool skip = false;
  SmallVector<std::string> missing;
  for (const std::string &input : node.input()) {
    ImportValue *v = input.empty() ? nullptr : scope.find(input);
    if (!v && !input.empty())
      missing.push_back(input);
    inputs.push_back(v);
    skip |= v && v->poisoned;
  }
  NodeContext c(*this, node, name, opset, scope, inputs);
  for (const std::string &input : missing)
    (void)c.error("IST-I0003",
                  "input '" + input + "' is made by no earlier node",
                  "sort the nodes topologically; a cycle cannot be compiled");

  SmallVector<ImportValue *> results(node.output_size(), nullptr);
  const onnx::FunctionProto *function = findFunction(node);
  bool otherOpset = false;
  const OpEntry *entry =
      registry.find(domain, node.op_type(), opset, otherOpset);
  if (function) {
    if (!c.failed && !skip)
      c.failed |= failed(callFunction(*function, node, scope, inputs, results));
  } else if (!entry) {
    (void)c.error(otherOpset ? "IST-I0102" : "IST-I0101",
                  otherOpset ? "operator is not supported at this opset"
                             : "unsupported operator",
                  otherOpset ? "convert the model to opset 17 or newer"
                             : "istc --list-ops shows what is supported");
  } else if (!c.failed && !skip) {
    for (int i = 0; i < entry->minInputs && !c.failed; ++i)
      if (!c.has(i))
        (void)c.invalid("needs " + Twine(entry->minInputs) + " inputs");
    for (int i = entry->maxInputs; i < c.numInputs() && !c.failed; ++i)
      if (c.has(i))
        (void)c.invalid("takes at most " + Twine(entry->maxInputs) +
                        " inputs, but has " + Twine(i + 1));
    for (ImportValue *v : inputs)
      if (v && (v->list || v->absent) && !entry->takesLists && !c.failed)
        (void)c.unsupported("an input is a sequence or an empty optional");
    if (!c.failed) {
      LogicalResult done = entry->handler(c);
      if (failed(done) && !c.failed)
        (void)c.error("IST-I0900", "the importer failed without a reason",
                      "please report this model");
      results.assign(c.all().begin(), c.all().end());
      for (auto [i, v] : llvm::enumerate(results))
        if (v && !v->list && !v->absent && !v->poisoned && !c.failed)
          if (std::string large = tooLarge(v->dtype, v->sizes); !large.empty())
            (void)c.error("IST-I0105", "output " + Twine(i) + " " + large,
                          "give the model smaller shapes");
    }
  }
  for (int i = 0; i < node.output_size(); ++i) {
    const std::string &output = node.output(i);
    if (output.empty())
      continue;
    ImportValue *v = results[i];
    if (!v && !c.failed && !skip)
      (void)c.unsupported("output " + Twine(i) + " ('" + output +
                          "') is not supported");
    if (!v || c.failed || skip) {
      v = newValue(DType::undefined, {});
      v->poisoned = true;
    }
    if (v->name.empty())
      v->name = output;
    if (!scope.values.try_emplace(output, v).second)
      (void)c.error("IST-I0003", "value '" + output + "' is made twice", "");
  }
}

//===----------------------------------------------------------------------===//
// The model
//===----------------------------------------------------------------------===//

OwningOpRef<ModuleOp> Importer::run() {
  const onnx::ModelProto &proto = model.proto();
  if (!proto.has_graph()) {
    modelError("IST-I0002", "the model has no graph");
    return {};
  }
  // Before version 3 of the format there was only one opset.
  if (proto.opset_import().empty() &&
      (!proto.has_ir_version() || proto.ir_version() >= 3)) {
    modelError("IST-I0003", "the model has no opset_import",
               "export it again, or set the opset that its nodes are of");
    return {};
  }
  Scope scope;
  scope.opsets[""] = 1;
  for (const onnx::OperatorSetIdProto &o : proto.opset_import())
    scope.opsets[o.domain() == "ai.onnx" ? "" : o.domain()] = o.version();
  int64_t opset = scope.opsets.lookup("");
  if (opset < 1 || opset > kNewestOpset) {
    modelError(
        "IST-I0102", "opset " + Twine(opset) + " is not supported",
        ("export the model with an opset from 6 to " + Twine(kNewestOpset))
            .str());
    return {};
  }
  module = ModuleOp::create(loc);
  b.setInsertionPointToStart(module->getBody());
  mainFunc = func::FuncOp::create(b, loc, "main", b.getFunctionType({}, {}));

  const onnx::GraphProto &graph = proto.graph();
  bool ok = succeeded(importInitializers(graph, scope));
  ok &= succeeded(importInputs(graph, scope));
  if (mainFunc->getRegion(0).empty())
    return {};
  ok &= succeeded(importNodes(graph.node(), scope));
  if (outOfNodes())
    return {};
  ok &= succeeded(importOutputs(graph, scope));
  if (!ok || !diags.empty()) {
    if (diags.empty())
      modelError("IST-I0900", "the importer failed without a reason",
                 "please report this model");
    return {};
  }
  eraseAside();
  if (options.verify) {
    ScopedDiagnosticHandler handler(b.getContext(), [&](Diagnostic &d) {
      std::string where;
      llvm::raw_string_ostream os(where);
      os << d.getLocation();
      modelError("IST-I0900", where + ": " + d.str(),
                 "please report this model");
      return success();
    });
    if (failed(mlir::verify(*module)))
      return {};
  }
  return std::move(module);
}

OwningOpRef<ModuleOp>
isthmus::importOnnx(StringRef path, MLIRContext &context,
                    const OnnxImportOptions &options,
                    SmallVectorImpl<ImportDiagnostic> &diags) {
  context.loadDialect<graph::GraphDialect, kernel::KernelDialect,
                      func::FuncDialect, linalg::LinalgDialect,
                      math::MathDialect, memref::MemRefDialect, scf::SCFDialect,
                      tensor::TensorDialect, arith::ArithDialect>();
  auto model = Model::open(path);
  if (!model) {
    diags.push_back({"IST-I0001", "", "", 0, toString(model.takeError()),
                     "check the file"});
    return {};
  }
  return Importer(**model, context, options, diags).run();
}
