//===- Signature.cpp - a model's inputs and outputs -----------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Import/Importer.h"

#include "dialects/Graph/Graph.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;
using namespace isthmus;

static StringRef kindOf(const onnx::TypeProto &type) {
  if (type.has_sequence_type())
    return "a sequence";
  if (type.has_optional_type())
    return "optional";
  if (type.has_map_type())
    return "a map";
  if (type.has_sparse_tensor_type())
    return "a sparse tensor";
  return "of an unknown kind";
}

LogicalResult Importer::importInputs(const onnx::GraphProto &graph,
                                     Scope &scope) {
  struct Input {
    const onnx::ValueInfoProto *info;
    DType dtype;
    SmallVector<Attribute> dims; // IntegerAttr or StringAttr
  };
  SmallVector<Input> inputs;
  llvm::MapVector<StringAttr, DimRange> symbols;
  llvm::SetVector<StringAttr> symbolNames; // with those that are fixed
  llvm::StringMap<bool> named;
  bool ok = true;
  for (const onnx::ValueInfoProto &info : graph.input()) {
    StringRef name = info.name();
    if (scope.values.count(name))
      continue; // the initializer wins
    auto bad = [&](StringRef code, const Twine &reason, StringRef step = "") {
      modelError(code, "input '" + name + "' " + reason, step);
      ImportValue *v = newValue(DType::undefined, {});
      v->poisoned = true;
      scope.values[name] = v;
      ok = false;
    };
    if (!named.try_emplace(name, true).second) {
      bad("IST-I0003", "is given twice");
      continue;
    }
    if (!info.type().has_tensor_type()) {
      bad("IST-I0103", "is " + kindOf(info.type()) + ", not a tensor");
      continue;
    }
    const auto &type = info.type().tensor_type();
    Input in{&info, DType(type.elem_type()), {}};
    if (!elementType(b.getContext(), in.dtype)) {
      bad("IST-I0103",
          "has the unsupported element type " + dtypeName(in.dtype));
      continue;
    }
    if (!type.has_shape()) {
      bad("IST-I0103", "has no shape",
          "export the model with at least the input's rank");
      continue;
    }
    bool good = true;
    Sizes known;
    for (auto [i, dim] : llvm::enumerate(type.shape().dim())) {
      if (dim.has_dim_value()) {
        if (dim.dim_value() < 0) {
          bad("IST-I0003", "has the negative dim " + Twine(dim.dim_value()));
          good = false;
          break;
        }
        in.dims.push_back(b.getI64IntegerAttr(dim.dim_value()));
        continue;
      }
      std::string symbol = dim.dim_param();
      if (symbol.empty())
        symbol = (name + "_dim" + Twine(i)).str();
      symbolNames.insert(b.getStringAttr(symbol));
      auto it = options.shapes.find(symbol);
      DimRange range = it == options.shapes.end() ? DimRange() : it->second;
      if (range.min == range.max) {
        in.dims.push_back(b.getI64IntegerAttr(range.min));
        continue;
      }
      symbols.insert({b.getStringAttr(symbol), range});
      in.dims.push_back(b.getStringAttr(symbol));
    }
    for (Attribute dim : in.dims)
      if (auto size = dyn_cast<IntegerAttr>(dim))
        known.push_back(idx.constant(size.getInt()));
    std::string large = tooLarge(in.dtype, known);
    if (good && !large.empty()) {
      bad("IST-I0003", large, "give it smaller dims");
      good = false;
    }
    if (good)
      inputs.push_back(std::move(in));
  }
  for (auto &[name, range] : options.shapes)
    if (range.min < 0 || range.max < range.min) {
      modelError("IST-I0006", "the range of '" + name + "' is empty");
      return failure();
    }
  for (auto &[name, range] : options.shapes)
    if (!symbolNames.contains(b.getStringAttr(name))) {
      std::string known;
      for (StringAttr symbol : symbolNames)
        known += (known.empty() ? "" : ", ") + symbol.str();
      modelError("IST-I0006", "no input has a dim called '" + name + "'",
                 known.empty() ? "the model has no symbolic dims"
                               : "it has " + known);
      ok = false;
    }

  auto func = cast<func::FuncOp>(mainFunc);
  Block *entry = func.addEntryBlock();
  b.setInsertionPointToStart(entry);
  SmallVector<Attribute> attrs;
  llvm::DenseMap<StringAttr, Value> symbolArgs;
  for (auto &[symbol, range] : symbols) {
    symbolArgs[symbol] = entry->addArgument(b.getIndexType(), loc);
    attrs.push_back(b.getDictionaryAttr(
        {b.getNamedAttr(graph::kSymbolAttr, symbol),
         b.getNamedAttr(graph::kMinAttr, b.getI64IntegerAttr(range.min)),
         b.getNamedAttr(graph::kMaxAttr, b.getI64IntegerAttr(range.max))}));
  }
  for (Input &in : inputs) {
    Sizes sizes;
    for (Attribute dim : in.dims)
      if (auto symbol = dyn_cast<StringAttr>(dim))
        sizes.push_back(symbolArgs[symbol]);
      else
        sizes.push_back(idx.constant(cast<IntegerAttr>(dim).getInt()));
    StringAttr name = b.getStringAttr(in.info->name());
    Value arg =
        entry->addArgument(tensorType(in.dtype, sizes), NameLoc::get(name));
    attrs.push_back(b.getDictionaryAttr(
        {b.getNamedAttr(graph::kNameAttr, name),
         b.getNamedAttr(graph::kDTypeAttr,
                        b.getStringAttr(dtypeName(in.dtype))),
         b.getNamedAttr(graph::kDimsAttr, b.getArrayAttr(in.dims))}));
    ImportValue *v = newValue(in.dtype, sizes, arg);
    v->name = in.info->name();
    scope.values[v->name] = v;
  }
  func.setType(b.getFunctionType(entry->getArgumentTypes(), {}));
  func.setAllArgAttrs(attrs);
  return success(ok);
}

LogicalResult Importer::importOutputs(const onnx::GraphProto &graph,
                                      Scope &scope) {
  SmallVector<Value> values;
  SmallVector<Attribute> attrs;
  bool ok = true;
  if (graph.output().empty()) {
    modelError("IST-I0003", "the model has no outputs",
               "name the values to compute in its graph's outputs");
    return failure();
  }
  for (const onnx::ValueInfoProto &info : graph.output()) {
    ImportValue *v = scope.find(info.name());
    if (!v) {
      modelError("IST-I0003",
                 "output '" + info.name() + "' is made by no node");
      ok = false;
      continue;
    }
    if (v->poisoned) {
      ok = false;
      continue;
    }
    if (v->list || v->absent) {
      modelError("IST-I0103", "output '" + info.name() + "' is " +
                                  (v->list ? "a sequence" : "optional") +
                                  ", not a tensor");
      ok = false;
      continue;
    }
    DType declared = DType(info.type().tensor_type().elem_type());
    if (info.type().has_tensor_type() && declared != DType::undefined &&
        declared != v->dtype) {
      modelError("IST-I0003", "output '" + info.name() + "' is declared " +
                                  dtypeName(declared) + " but is " +
                                  dtypeName(v->dtype));
      ok = false;
      continue;
    }
    const auto &type = info.type().tensor_type();
    if (info.type().has_tensor_type() && type.has_shape() &&
        type.shape().dim_size() != v->rank()) {
      modelError("IST-I0105",
                 "output '" + info.name() + "' is declared with rank " +
                     Twine(type.shape().dim_size()) + " but has rank " +
                     Twine(v->rank()),
                 "correct or remove the output's shape in the model");
      ok = false;
      continue;
    }
    values.push_back(tensor(*v));
    attrs.push_back(b.getDictionaryAttr(
        {b.getNamedAttr(graph::kNameAttr, b.getStringAttr(info.name())),
         b.getNamedAttr(graph::kDTypeAttr,
                        b.getStringAttr(dtypeName(v->dtype)))}));
  }
  loc = UnknownLoc::get(b.getContext());
  func::ReturnOp::create(b, loc, values);
  auto func = cast<func::FuncOp>(mainFunc);
  func.setType(b.getFunctionType(func.getArgumentTypes(),
                                 ValueRange(values).getTypes()));
  func.setAllResultAttrs(attrs);
  return success(ok);
}
