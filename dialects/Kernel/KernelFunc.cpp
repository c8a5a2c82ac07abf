//===- KernelFunc.cpp - kernel.func: assembly and the three verifiers -----===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "dialects/Kernel/Kernel.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/AffineMap.h"
#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace isthmus::kernel;

static constexpr int64_t kNoMax = std::numeric_limits<int64_t>::max();

void FuncOp::build(OpBuilder &b, OperationState &state, StringRef name,
                   Form form, ArrayRef<SizeRange> sizes,
                   ArrayRef<Binding> bindings) {
  auto &props = state.getOrAddProperties<Properties>();
  props.sym_name = b.getStringAttr(name);
  props.form = FormAttr::get(b.getContext(), form);
  SmallVector<int64_t> min, max, align;
  SmallVector<int32_t> access;
  SmallVector<Attribute> dims;
  Region *body = state.addRegion();
  Block &block = body->emplaceBlock();
  for (SizeRange r : sizes) {
    min.push_back(r.min);
    max.push_back(r.max);
    block.addArgument(b.getIndexType(), state.location);
  }
  for (const Binding &binding : bindings) {
    access.push_back(static_cast<int32_t>(binding.access));
    dims.push_back(b.getDenseI64ArrayAttr(binding.dims));
    align.push_back(binding.align);
    block.addArgument(binding.type, state.location);
  }
  props.size_min = b.getDenseI64ArrayAttr(min);
  props.size_max = b.getDenseI64ArrayAttr(max);
  props.access = b.getDenseI32ArrayAttr(access);
  props.binding_dims = b.getArrayAttr(dims);
  props.align = b.getDenseI64ArrayAttr(align);
}

ArrayRef<int64_t> FuncOp::getDimsOf(unsigned i) {
  return cast<DenseI64ArrayAttr>(getBindingDims()[i]).asArrayRef();
}

SmallVector<OpFoldResult> FuncOp::getMixedSizesOf(unsigned i) {
  auto type = cast<MemRefType>(getBinding(i).getType());
  Builder b(getContext());
  SmallVector<OpFoldResult> sizes;
  unsigned next = 0;
  for (int64_t dim : type.getShape())
    if (ShapedType::isDynamic(dim))
      sizes.push_back(getSize(getDimsOf(i)[next++]));
    else
      sizes.push_back(b.getIndexAttr(dim));
  return sizes;
}

//===----------------------------------------------------------------------===//
// Assembly
//===----------------------------------------------------------------------===//

ParseResult FuncOp::parse(OpAsmParser &parser, OperationState &result) {
  Builder &b = parser.getBuilder();
  auto &props = result.getOrAddProperties<Properties>();
  StringRef formName;
  SMLoc loc;
  if (parser.parseSymbolName(props.sym_name) || parser.parseKeyword("form") ||
      parser.parseLParen() || (loc = parser.getCurrentLocation(), false) ||
      parser.parseKeyword(&formName) || parser.parseRParen())
    return failure();
  std::optional<Form> form = symbolizeForm(formName);
  if (!form)
    return parser.emitError(loc, "expected tensor, tiled or lanes");
  props.form = FormAttr::get(b.getContext(), *form);

  SmallVector<OpAsmParser::Argument> args;
  SmallVector<int64_t> min, max, align;
  llvm::StringMap<int64_t> sizeIndex;
  if (succeeded(parser.parseOptionalKeyword("sizes"))) {
    auto parseSize = [&]() -> ParseResult {
      OpAsmParser::Argument arg;
      if (parser.parseArgument(arg))
        return failure();
      arg.type = b.getIndexType();
      int64_t lo = 0, hi = kNoMax;
      if (succeeded(parser.parseOptionalKeyword("in"))) {
        if (parser.parseInteger(lo) || parser.parseKeyword("to") ||
            parser.parseInteger(hi))
          return failure();
      }
      sizeIndex[arg.ssaName.name] = args.size();
      args.push_back(arg);
      min.push_back(lo);
      max.push_back(hi);
      return success();
    };
    if (parser.parseCommaSeparatedList(AsmParser::Delimiter::Paren, parseSize))
      return failure();
  }

  // `{%m, %n}`: which sizes; names are looked up, never defined here.
  auto parseNames = [&](SmallVectorImpl<int64_t> &out,
                        AsmParser::Delimiter delimiter) {
    return parser.parseCommaSeparatedList(delimiter, [&]() -> ParseResult {
      OpAsmParser::UnresolvedOperand name;
      SMLoc at = parser.getCurrentLocation();
      if (parser.parseOperand(name))
        return failure();
      auto it = sizeIndex.find(name.name);
      if (it == sizeIndex.end())
        return parser.emitError(at, "is not one of the kernel's sizes");
      out.push_back(it->second);
      return success();
    });
  };

  SmallVector<int32_t> access;
  SmallVector<Attribute> dims;
  while (true) {
    StringRef kind;
    if (failed(parser.parseOptionalKeyword(&kind, {"in", "out", "inout"})))
      break;
    OpAsmParser::Argument arg;
    MemRefType type;
    SmallVector<int64_t> names;
    int64_t bytes = 0;
    if (parser.parseArgument(arg) || parser.parseColonType(type))
      return failure();
    if (type.getNumDynamicDims() &&
        parseNames(names, AsmParser::Delimiter::Braces))
      return failure();
    if (succeeded(parser.parseOptionalKeyword("align")) &&
        parser.parseInteger(bytes))
      return failure();
    arg.type = type;
    args.push_back(arg);
    access.push_back(kind == "in" ? 0 : kind == "out" ? 1 : 2);
    dims.push_back(b.getDenseI64ArrayAttr(names));
    align.push_back(bytes);
    if (failed(parser.parseOptionalComma()))
      break;
  }
  if (succeeded(parser.parseOptionalKeyword("grid"))) {
    if (parser.parseLParen() || parser.parseAttribute(props.grid) ||
        parser.parseRParen())
      return failure();
  }
  if (succeeded(parser.parseOptionalKeyword("group"))) {
    int64_t lanes;
    if (parser.parseInteger(lanes))
      return failure();
    props.group = b.getI64IntegerAttr(lanes);
  }
  if (succeeded(parser.parseOptionalKeyword("plan"))) {
    if (parser.parseAttribute(props.plan))
      return failure();
  }
  if (parser.parseOptionalAttrDictWithKeyword(result.attributes))
    return failure();
  props.size_min = b.getDenseI64ArrayAttr(min);
  props.size_max = b.getDenseI64ArrayAttr(max);
  props.access = b.getDenseI32ArrayAttr(access);
  props.binding_dims = b.getArrayAttr(dims);
  props.align = b.getDenseI64ArrayAttr(align);
  Region *body = result.addRegion();
  return parser.parseRegion(*body, args);
}

void FuncOp::print(OpAsmPrinter &p) {
  p << ' ';
  p.printSymbolName(getSymName());
  p << " form(" << stringifyForm(getForm()) << ")";
  if (unsigned n = getNumSizes()) {
    p << " sizes(";
    for (unsigned i = 0; i < n; ++i) {
      p << (i ? ", " : "") << getSize(i);
      if (getSizeMin()[i] != 0 || getSizeMax()[i] != kNoMax)
        p << " in " << getSizeMin()[i] << " to " << getSizeMax()[i];
    }
    p << ")";
  }
  for (unsigned i = 0, e = getNumBindings(); i < e; ++i) {
    static constexpr StringLiteral names[] = {"in", "out", "inout"};
    p << (i ? ", " : " ") << names[getAccess()[i]] << " ";
    p << getBinding(i) << ": " << getBinding(i).getType();
    if (!getDimsOf(i).empty()) {
      p << "{";
      llvm::interleaveComma(getDimsOf(i), p,
                            [&](int64_t d) { p << getSize(d); });
      p << "}";
    }
    if (getAlign()[i])
      p << " align " << getAlign()[i];
  }
  if (getGrid())
    p << " grid(" << getGridAttr() << ")";
  if (getGroup())
    p << " group " << *getGroup();
  if (getPlan())
    p << " plan " << getPlanAttr();
  p.printOptionalAttrDictWithKeyword(
      (*this)->getDiscardableAttrs().empty()
          ? ArrayRef<NamedAttribute>()
          : to_vector((*this)->getDiscardableAttrs()));
  p << ' ';
  p.printRegion(getBody(), /*printEntryBlockArgs=*/false);
}

//===----------------------------------------------------------------------===//
// The three forms
//===----------------------------------------------------------------------===//

/// Dialects whose ops a form may hold; the kernel dialect's own are checked
/// one by one below.
static bool dialectAllowed(Form form, StringRef dialect) {
  if (llvm::is_contained({"arith", "math", "scf", "affine", "memref", "vector",
                          "index", "kernel"},
                         dialect))
    return true;
  if (form == Form::tensor)
    return llvm::is_contained({"linalg", "tensor", "graph", "bufferization"},
                              dialect);
  return false;
}

LogicalResult FuncOp::verifyRegions() {
  unsigned sizes = getNumSizes(), bindings = getNumBindings();
  if (getSizeMax().size() != sizes || getBindingDims().size() != bindings ||
      getAlign().size() != bindings)
    return emitOpError("attribute lists differ in length");
  if (getBody().getNumArguments() != sizes + bindings)
    return emitOpError("body takes ")
           << getBody().getNumArguments() << " arguments, needs "
           << sizes + bindings;
  for (unsigned i = 0; i < sizes; ++i) {
    if (!getSize(i).getType().isIndex())
      return emitOpError("size ") << i << " must be an index";
    if (getSizeMin()[i] < 0 || getSizeMin()[i] > getSizeMax()[i])
      return emitOpError("size ") << i << " has an empty range";
  }
  for (unsigned i = 0; i < bindings; ++i) {
    auto type = dyn_cast<MemRefType>(getBinding(i).getType());
    if (!type)
      return emitOpError("binding ") << i << " must be a memref";
    // Drivers pass an address and nothing else.
    if (type.getMemorySpace() || !type.getLayout().isIdentity())
      return emitOpError("binding ")
             << i << " must be row-major and in no memory space";
    if (getAccess()[i] < 0 || getAccess()[i] > 2)
      return emitOpError("binding ") << i << " has an unknown access";
    if (int64_t(getDimsOf(i).size()) != int64_t(type.getNumDynamicDims()))
      return emitOpError("binding ")
             << i << " names " << getDimsOf(i).size() << " sizes, has "
             << type.getNumDynamicDims() << " dynamic dims";
    for (int64_t d : getDimsOf(i))
      if (d < 0 || d >= int64_t(sizes))
        return emitOpError("binding ") << i << " names a size that is not";
    int64_t align = getAlign()[i];
    if (align < 0 || (align && !llvm::isPowerOf2_64(align)))
      return emitOpError("binding ")
             << i << " align must be a power of two, got " << align;
  }
  Form form = getForm();
  if (form == Form::tensor) {
    if (getGrid() || getGroup())
      return emitOpError("form(tensor) has no grid and no group");
  } else {
    if (!getGrid())
      return emitOpError("form(") << stringifyForm(form) << ") needs a grid";
    if (getGrid()->getNumResults() != 1 || getGrid()->getNumDims() != 0 ||
        getGrid()->getNumSymbols() != sizes)
      return emitOpError("grid must map the ")
             << sizes << " sizes, as symbols, to one number";
    // form(tiled) may say how many lanes it was planned for: roles and the
    // distribution of tiles depend on it. CPU plans leave it out.
    if (form == Form::lanes && !getGroup())
      return emitOpError("form(lanes) needs a group size");
    if (getGroup() && *getGroup() < 1)
      return emitOpError("group must be at least 1, got ")
             << int64_t(*getGroup());
  }
  WalkResult walk = getBody().walk([&](Operation *op) {
    if (!dialectAllowed(form, op->getName().getDialectNamespace())) {
      op->emitOpError("is not allowed in form(") << stringifyForm(form) << ")";
      return WalkResult::interrupt();
    }
    bool lanesOnly = isa<LaneIdOp, BarrierOp, ShuffleOp, LaneMmaOp,
                         LoadMatricesOp, AsyncCommitOp, AsyncWaitOp>(op);
    bool tiledOnly =
        isa<MmaOp, EachOp, RelayoutOp, RingOp, RingAcquireOp, RingWaitOp,
            RingCommitOp, RingReleaseOp, AsyncCopyOp, RolesOp>(op);
    bool gridOnly = tiledOnly || isa<GroupIdOp, AllocOp, AsyncRunOp>(op);
    if ((lanesOnly && form != Form::lanes) ||
        (tiledOnly && form == Form::lanes && !isa<RelayoutOp>(op)) ||
        (gridOnly && form == Form::tensor)) {
      op->emitOpError("is not allowed in form(") << stringifyForm(form) << ")";
      return WalkResult::interrupt();
    }
    if (form == Form::lanes &&
        isa<memref::AllocOp, memref::DeallocOp, memref::GetGlobalOp>(op)) {
      op->emitOpError("is not allowed in form(lanes)");
      return WalkResult::interrupt();
    }
    if (auto own = dyn_cast<memref::AllocaOp>(op);
        own && form == Form::lanes &&
        own.getType().getMemorySpaceAsInt() != kPrivateSpace) {
      own.emitOpError("must be in memory space 5, a lane's own memory");
      return WalkResult::interrupt();
    }
    return WalkResult::advance();
  });
  return failure(walk.wasInterrupted());
}
