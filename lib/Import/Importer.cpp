//===- Importer.cpp - values, scopes and the walk over a model ----- ---===//
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
static constexpr int kMaxFunctionDepth = 64;

std::optional<int64_t> ImportValue::count() const {
  int64_t count = 1;
  for (int64_t i = 0; i < rank(); ++i) {
    auto d = dim(i);
    if (!d || llvm::MulOverflow(count, *d, count))
      return std::nullopt;
  }
  return count;
}

/// Why a tensor of this type cannot exist, whatever its dynamic sizes are; ""
/// when it can. Below the limit, counts and byte offsets do not overflow.
static std::string tooLarge(DType dtype, ArrayRef<OpFoldResult> sizes) {
  constexpr int64_t kMaxTensorBytes = int64_t(1) << 62;
  int64_t bytes = std::max<int64_t>(byteSize(dtype), 1);
  std::string shape;
  bool bad = false;
  for (OpFoldResult size : sizes) {
    auto d = IndexMath::known(size);
    shape += (shape.empty() ? "" : ", ") + (d ? std::to_string(*d) : "?");
    // A size that has wrapped around is negative.
    bad |= d && (*d < 0 ||
                 llvm::MulOverflow(bytes, std::max<int64_t>(*d, 1), bytes) ||
                 bytes > kMaxTensorBytes);
  }
  if (!bad)
    return "";
  return "has the shape [" + shape + "], which is larger than an address space";
}

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
// Values
//===----------------------------------------------------------------------===//

ImportValue *Importer::newValue(DType dtype, Sizes sizes, Value tensor) {
  ImportValue &v = arena.emplace_back();
  v.dtype = dtype;
  v.tensor = tensor;
  v.home = b.getInsertionBlock();
  for (OpFoldResult size : sizes)
    v.sizes.push_back(isa<Value>(size) ? idx.fold(cast<Value>(size)) : size);
  return &v;
}

ImportValue *Importer::newScalars(DType dtype, Sizes elements, int64_t rank) {
  Sizes sizes;
  if (rank == 1)
    sizes.push_back(idx.constant(elements.size()));
  ImportValue *v = newValue(dtype, sizes);
  // Constants wrap to the width of the type, as a kernel would.
  unsigned width = elementType(b.getContext(), dtype).getIntOrFloatBitWidth();
  for (OpFoldResult &e : elements)
    if (auto c = IndexMath::known(e)) {
      APInt bits = APInt(64, uint64_t(*c)).trunc(width);
      e = idx.constant(isUnsigned(dtype) ? bits.getZExtValue()
                                         : bits.getSExtValue());
    }
  v->scalars = std::move(elements);
  return v;
}

ImportValue *Importer::newConstant(const onnx::TensorProto &proto,
                                   StringRef name) {
  DType dtype = DType(proto.data_type());
  auto bad = [&](StringRef code, const Twine &reason) {
    modelError(code, "tensor '" + name + "' " + reason);
    return nullptr;
  };
  if (!elementType(b.getContext(), dtype))
    return bad("IST-I0103",
               "has the unsupported element type " + dtypeName(dtype));
  auto dims = Model::dims(proto);
  if (!dims)
    return bad("IST-I0005", toString(dims.takeError()));
  auto where = model.locate(proto);
  if (!where)
    return bad("IST-I0004", toString(where.takeError()));
  Sizes sizes;
  for (int64_t d : *dims)
    sizes.push_back(idx.constant(d));
  ImportValue *v = newValue(dtype, sizes);
  v->name = name.str();
  v->proto = &proto;
  v->home = nullptr; // valid everywhere
  int64_t count = *v->count();
  if (!*where || count <= kMaxScalars) {
    v->constant = decode(proto, tensorType(dtype, sizes));
    if (!v->constant)
      return nullptr;
  }
  if (!isFloat(dtype) && dims->size() <= 1 && count <= kMaxScalars) {
    Sizes scalars;
    for (const APInt &e : v->constant.getValues<APInt>())
      scalars.push_back(idx.constant(isUnsigned(dtype) ? e.getZExtValue()
                                                       : e.getSExtValue()));
    v->scalars = scalars;
  }
  return v;
}

DenseElementsAttr Importer::decode(const onnx::TensorProto &proto,
                                   RankedTensorType type) {
  auto bytes = model.bytes(proto);
  if (!bytes) {
    modelError("IST-I0005",
               "tensor '" + proto.name() + "' " + toString(bytes.takeError()));
    return {};
  }
  if (type.getElementType().isInteger(1)) {
    SmallVector<bool> bools;
    for (char c : *bytes)
      bools.push_back(c != 0);
    return DenseElementsAttr::get(type, bools);
  }
  if (bytes->empty())
    return DenseElementsAttr::get(type, ArrayRef<Attribute>());
  return DenseElementsAttr::getFromRawBuffer(type, *bytes);
}

RankedTensorType Importer::tensorType(DType dtype,
                                      ArrayRef<OpFoldResult> sizes) {
  SmallVector<int64_t> shape;
  for (OpFoldResult size : sizes)
    shape.push_back(IndexMath::known(size).value_or(ShapedType::kDynamic));
  return RankedTensorType::get(shape, elementType(b.getContext(), dtype));
}

DenseElementsAttr Importer::constant(ImportValue &v) {
  if (v.constant)
    return v.constant;
  RankedTensorType type = tensorType(v.dtype, v.sizes);
  if (v.proto)
    return v.constant = decode(*v.proto, type);
  if (!v.scalars)
    return {};
  SmallVector<APInt> elements;
  unsigned width = type.getElementTypeBitWidth();
  for (OpFoldResult s : *v.scalars) {
    auto c = IndexMath::known(s);
    if (!c)
      return {};
    elements.push_back(APInt(64, uint64_t(*c)).trunc(width));
  }
  return v.constant = DenseElementsAttr::get(type, elements);
}

/// A tensor of integers that the host knows but that are not constant.
static Value fromScalars(OpBuilder &b, Location loc, RankedTensorType type,
                         ArrayRef<Value> scalars) {
  auto op = graph::ParallelOp::create(
      b, loc, TypeRange{type}, b.getStringAttr("FromScalars"), ValueRange{},
      ValueRange{}, scalars, ValueRange{}, DenseI64ArrayAttr());
  Block *body = b.createBlock(&op.getBody());
  for (size_t i = 0; i < scalars.size(); ++i)
    body->addArgument(b.getIndexType(), loc);
  Type element = type.getElementType();
  Value out = body->addArgument(MemRefType::get(type.getShape(), element), loc);
  for (size_t i = 0; i < scalars.size(); ++i) {
    Value v = body->getArgument(i);
    if (element.isInteger(1)) {
      Value zero = arith::ConstantIndexOp::create(b, loc, 0);
      v = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, v, zero);
    } else {
      v = arith::IndexCastOp::create(b, loc, element, v);
    }
    SmallVector<Value> at;
    if (type.getRank() == 1)
      at.push_back(arith::ConstantIndexOp::create(b, loc, i));
    memref::StoreOp::create(b, loc, v, out, at);
  }
  graph::YieldOp::create(b, loc);
  b.setInsertionPointAfter(op);
  return op.getResult(0);
}

Value Importer::tensor(ImportValue &v) {
  if (v.tensor)
    return v.tensor;
  RankedTensorType type = tensorType(v.dtype, v.sizes);
  Location where =
      v.name.empty() ? loc : Location(NameLoc::get(b.getStringAttr(v.name)));
  auto range = std::optional<FileRange>();
  if (v.proto && *v.count() > kMaxInlineConstant) {
    auto found = model.locate(*v.proto);
    if (found)
      range = *found;
    else
      consumeError(found.takeError()); // newConstant has checked it
  }
  DenseElementsAttr data = range ? DenseElementsAttr() : constant(v);
  if (range || data) {
    OpBuilder::InsertionGuard guard(b);
    if (mainFunc)
      b.setInsertionPointToStart(&mainFunc->getRegion(0).front());
    if (range)
      v.tensor = graph::WeightOp::create(
          b, where, type, b.getStringAttr(v.name), b.getStringAttr(range->file),
          b.getI64IntegerAttr(range->offset),
          b.getI64IntegerAttr(range->bytes));
    else
      v.tensor = arith::ConstantOp::create(b, where, data);
    return v.tensor;
  }
  if (v.scalars) {
    Value t = fromScalars(b, loc, type, idx.values(*v.scalars));
    if (v.home == b.getInsertionBlock())
      v.tensor = t;
    return t;
  }
  // Nothing is known of it: only after a diagnostic.
  return tensor::EmptyOp::create(b, loc, v.sizes, type.getElementType());
}

int64_t Importer::lowerBound(OpFoldResult size) {
  if (auto known = IndexMath::known(size))
    return *known;
  auto arg = dyn_cast<BlockArgument>(cast<Value>(size));
  if (!arg || arg.getOwner()->getParentOp() != mainFunc)
    return std::numeric_limits<int64_t>::min();
  auto min = cast<func::FuncOp>(mainFunc).getArgAttrOfType<IntegerAttr>(
      arg.getArgNumber(), graph::kMinAttr);
  return min ? min.getInt() : std::numeric_limits<int64_t>::min();
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
// Functions
//===----------------------------------------------------------------------===//

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
    modelError("IST-I0102", "opset " + Twine(opset) + " is not supported",
               "export the model with an opset from 6 to 27");
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
