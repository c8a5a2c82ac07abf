//===- ProgramWriter.cpp - host functions to programs ---------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Pipelines/ProgramWriter.h"

#include "dialects/Graph/Graph.h"
#include "dialects/Hal/Hal.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/AffineExpr.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace isthmus;

static fb::DType dtypeOf(Type type) {
  if (type.isF32())
    return fb::DType::f32;
  if (type.isF64())
    return fb::DType::f64;
  if (type.isF16())
    return fb::DType::f16;
  if (type.isBF16())
    return fb::DType::bf16;
  switch (type.getIntOrFloatBitWidth()) {
  case 1:
    return fb::DType::i1;
  case 8:
    return fb::DType::i8;
  case 16:
    return fb::DType::i16;
  case 32:
    return fb::DType::i32;
  default:
    return fb::DType::i64;
  }
}

static fb::DType dtypeNamed(StringRef name, Type type) {
  for (fb::DType d : fb::EnumValuesDType())
    if (name == fb::EnumNameDType(d))
      return d;
  return dtypeOf(type);
}

static int64_t elementBytes(Type type) {
  return (type.getIntOrFloatBitWidth() + 7) / 8;
}

static void collectNodes(Location loc, llvm::SetVector<StringRef> &names) {
  if (auto name = dyn_cast<NameLoc>(loc)) {
    names.insert(name.getName().getValue());
  } else if (auto fused = dyn_cast<FusedLoc>(loc)) {
    for (Location part : fused.getLocations())
      collectNodes(part, names);
  } else if (auto call = dyn_cast<CallSiteLoc>(loc)) {
    collectNodes(call.getCallee(), names);
  }
}

std::vector<std::string> isthmus::nodesOf(Location loc) {
  llvm::SetVector<StringRef> names;
  collectNodes(loc, names);
  return std::vector<std::string>(names.begin(), names.end());
}

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

uint32_t WeightTable::add(Operation *op) {
  Entry entry;
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  entry.dtype = dtypeOf(type.getElementType());
  entry.dims.assign(type.getShape().begin(), type.getShape().end());
  std::string key;
  if (auto weight = dyn_cast<graph::WeightOp>(op)) {
    entry.name = weight.getName().str();
    entry.file = weight.getFile().str();
    entry.offset = weight.getOffset();
    entry.bytes = weight.getBytes();
    key = "f" + entry.file + ":" + std::to_string(entry.offset) + ":" +
          std::to_string(entry.bytes);
  } else {
    auto constant =
        cast<DenseElementsAttr>(cast<arith::ConstantOp>(op).getValue());
    int64_t each = elementBytes(type.getElementType());
    entry.name = "constant" + std::to_string(list.size());
    bool isBool = type.getElementType().isInteger(1);
    ArrayRef<char> raw = constant.getRawData();
    if (isBool) {
      for (bool v : constant.getValues<bool>())
        entry.data.push_back(v);
    } else if (constant.isSplat()) {
      for (int64_t i = 0; i < type.getNumElements(); ++i)
        entry.data.insert(entry.data.end(), raw.begin(), raw.begin() + each);
    } else {
      entry.data.assign(raw.begin(), raw.end());
    }
    entry.bytes = entry.data.size();
    key = "d" + std::string(entry.data.begin(), entry.data.end());
  }
  for (int64_t d : entry.dims)
    key += "x" + std::to_string(d);
  key += fb::EnumNameDType(entry.dtype);
  auto [it, fresh] = byKey.try_emplace(key, list.size());
  if (fresh)
    list.push_back(std::move(entry));
  return it->second;
}

//===----------------------------------------------------------------------===//
// Functions
//===----------------------------------------------------------------------===//

namespace {

class Writer {
public:
  Writer(fb::ProgramT &program, const TargetInfo &info,
         const llvm::StringMap<KernelFacts> &facts, WeightTable &weights)
      : program(program), facts(facts), weights(weights) {}

  uint32_t addString(StringRef text) {
    auto [it, fresh] = strings.try_emplace(text, program.strings.size());
    if (fresh)
      program.strings.push_back(text.str());
    return it->second;
  }
  void addKernel(kernel::FuncOp k);
  LogicalResult addFunction(func::FuncOp func);

private:
  using I = fb::Op;
  void emit(I op, uint32_t dst = 0, uint32_t a = 0, uint32_t b = 0,
            uint32_t c = 0) {
    fn->code.push_back(fb::Instr(op, dst, a, b, c));
  }
  uint32_t constant(int64_t v);
  uint32_t binary(I op, uint32_t a, uint32_t b);
  uint32_t reg(Value v);
  uint32_t expr(AffineExpr e, ArrayRef<uint32_t> symbols);
  FailureOr<uint32_t> integerOp(Operation *op);
  uint32_t buffer(Value v);
  void use(uint32_t buffer);
  SmallVector<OpFoldResult> sizesOf(Value v);
  uint32_t byteSize(Value v);
  LogicalResult launch(hal::LaunchOp op);
  LogicalResult emitOp(Operation *op);

  fb::ProgramT &program;
  const llvm::StringMap<KernelFacts> &facts;
  WeightTable &weights;
  llvm::StringMap<uint32_t> strings, kernels;
  llvm::StringMap<kernel::FuncOp> kernelOps;

  // Per function.
  fb::FunctionT *fn = nullptr;
  bool isInit = false;
  func::ReturnOp ret;
  DenseMap<Value, uint32_t> regs, buffers;
  DenseMap<int64_t, uint32_t> constants;
  DenseMap<uint32_t, uint32_t> transientOf; // by buffer register
  llvm::DenseSet<uint32_t> afterRead;       // registers that a read decides
  SmallVector<bool> outputDone;
};

} // namespace

void Writer::addKernel(kernel::FuncOp k) {
  auto out = std::make_unique<fb::KernelT>();
  out->name = k.getSymName().str();
  out->family = k.getPlan().value_or("").str();
  out->workgroup = k.getGroup().value_or(1);
  out->shared_bytes = facts.lookup(k.getSymName()).workgroupBytes;
  auto param = [&](fb::ParamKind kind, fb::Access access, uint32_t align) {
    auto p = std::make_unique<fb::ParamT>();
    p->kind = kind;
    p->access = access;
    p->align = align;
    out->params.push_back(std::move(p));
  };
  for (unsigned i = 0; i < k.getNumSizes(); ++i)
    param(fb::ParamKind::scalar, fb::Access::none, 1);
  for (unsigned i = 0; i < k.getNumBindings(); ++i) {
    static constexpr fb::Access access[] = {fb::Access::read, fb::Access::write,
                                            fb::Access::readwrite};
    auto type = cast<MemRefType>(k.getBinding(i).getType());
    param(fb::ParamKind::address, access[k.getAccess()[i]],
          std::max<int64_t>(k.getAlign()[i],
                            elementBytes(type.getElementType())));
  }
  if (facts.lookup(k.getSymName()).usesErrorWord)
    param(fb::ParamKind::error_word, fb::Access::none, 4);
  kernels[k.getSymName()] = program.kernels.size();
  kernelOps[k.getSymName()] = k;
  program.kernels.push_back(std::move(out));
}

uint32_t Writer::constant(int64_t v) {
  auto it = constants.find(v);
  if (it != constants.end())
    return it->second;
  uint32_t r = fn->int_regs++;
  fn->consts.push_back(v);
  emit(I::const_, r, fn->consts.size() - 1);
  return constants[v] = r;
}

uint32_t Writer::binary(I op, uint32_t a, uint32_t b) {
  uint32_t r = fn->int_regs++;
  emit(op, r, a, b);
  if (afterRead.contains(a) || afterRead.contains(b))
    afterRead.insert(r);
  return r;
}

uint32_t Writer::reg(Value v) {
  auto it = regs.find(v);
  if (it != regs.end())
    return it->second;
  // Only constants are reached before their definition was emitted.
  auto attr =
      cast<IntegerAttr>(v.getDefiningOp<arith::ConstantOp>().getValue());
  return constant(attr.getValue().getBitWidth() == 1
                      ? attr.getValue().getZExtValue()
                      : attr.getValue().getSExtValue());
}

uint32_t Writer::expr(AffineExpr e, ArrayRef<uint32_t> symbols) {
  if (auto c = dyn_cast<AffineConstantExpr>(e))
    return constant(c.getValue());
  if (auto s = dyn_cast<AffineSymbolExpr>(e))
    return symbols[s.getPosition()];
  auto pair = cast<AffineBinaryOpExpr>(e);
  uint32_t a = expr(pair.getLHS(), symbols), b = expr(pair.getRHS(), symbols);
  switch (e.getKind()) {
  case AffineExprKind::Add:
    return binary(I::add, a, b);
  case AffineExprKind::Mul:
    return binary(I::mul, a, b);
  case AffineExprKind::FloorDiv:
    return binary(I::floordiv, a, b);
  case AffineExprKind::CeilDiv:
    return binary(I::ceildiv, a, b);
  default:
    return binary(I::mod, a, b);
  }
}

/// Division that rounds to zero, from the two that do not.
static bool isTruncating(Operation *op) {
  return isa<arith::DivSIOp, arith::RemSIOp>(op);
}

FailureOr<uint32_t> Writer::integerOp(Operation *op) {
  auto operand = [&](unsigned i) { return reg(op->getOperand(i)); };
  if (isa<arith::IndexCastOp, arith::IndexCastUIOp, arith::ExtUIOp,
          arith::ExtSIOp, arith::TruncIOp>(op)) {
    if (isa<arith::TruncIOp>(op) && op->getResult(0).getType().isInteger(1))
      return binary(I::and_, operand(0), constant(1));
    // A bool is 0 or 1 here and -1 when sign-extended.
    if (isa<arith::ExtSIOp, arith::IndexCastOp>(op) &&
        op->getOperand(0).getType().isInteger(1))
      return binary(I::sub, constant(0), operand(0));
    return operand(0);
  }
  if (auto cmp = dyn_cast<arith::CmpIOp>(op)) {
    using P = arith::CmpIPredicate;
    uint32_t a = operand(0), b = operand(1);
    switch (cmp.getPredicate()) {
    case P::eq:
      return binary(I::cmp_eq, a, b);
    case P::ne:
      return binary(I::cmp_ne, a, b);
    case P::slt:
    case P::ult:
      return binary(I::cmp_lt, a, b);
    case P::sle:
    case P::ule:
      return binary(I::cmp_le, a, b);
    case P::sgt:
    case P::ugt:
      return binary(I::cmp_lt, b, a);
    case P::sge:
    case P::uge:
      return binary(I::cmp_le, b, a);
    }
  }
  if (isa<arith::SelectOp>(op)) {
    uint32_t c = operand(0), a = operand(1), b = operand(2);
    uint32_t r = fn->int_regs++;
    emit(I::select, r, c, a, b);
    if (afterRead.contains(a) || afterRead.contains(b) || afterRead.contains(c))
      afterRead.insert(r);
    return r;
  }
  if (isTruncating(op)) {
    uint32_t a = operand(0), b = operand(1), zero = constant(0);
    uint32_t differ = binary(I::cmp_ne, binary(I::cmp_lt, a, zero),
                             binary(I::cmp_lt, b, zero));
    uint32_t down = binary(I::floordiv, a, b), up = binary(I::ceildiv, a, b);
    uint32_t q = fn->int_regs++;
    emit(I::select, q, differ, up, down);
    if (afterRead.contains(a) || afterRead.contains(b))
      afterRead.insert(q);
    if (isa<arith::DivSIOp>(op))
      return q;
    return binary(I::sub, a, binary(I::mul, q, b));
  }
  std::optional<I> simple =
      llvm::TypeSwitch<Operation *, std::optional<I>>(op)
          .Case<arith::AddIOp>([](auto) { return I::add; })
          .Case<arith::SubIOp>([](auto) { return I::sub; })
          .Case<arith::MulIOp>([](auto) { return I::mul; })
          .Case<arith::FloorDivSIOp, arith::DivUIOp>(
              [](auto) { return I::floordiv; })
          .Case<arith::CeilDivSIOp, arith::CeilDivUIOp>(
              [](auto) { return I::ceildiv; })
          .Case<arith::RemUIOp>([](auto) { return I::mod; })
          .Case<arith::MinSIOp, arith::MinUIOp>([](auto) { return I::min; })
          .Case<arith::MaxSIOp, arith::MaxUIOp>([](auto) { return I::max; })
          .Case<arith::AndIOp>([](auto) { return I::and_; })
          .Case<arith::OrIOp>([](auto) { return I::or_; })
          .Case<arith::XOrIOp>([](auto) { return I::xor_; })
          .Default([](auto) { return std::nullopt; });
  if (!simple)
    return op->emitError("cannot run on the host");
  return binary(*simple, operand(0), operand(1));
}

//===----------------------------------------------------------------------===//
// Buffers
//===----------------------------------------------------------------------===//

void Writer::use(uint32_t buffer) {
  auto it = transientOf.find(buffer);
  if (it != transientOf.end())
    fn->transients[it->second]->last = fn->code.size();
}

uint32_t Writer::buffer(Value v) {
  while (auto reshape = v.getDefiningOp<graph::ReshapeOp>())
    v = reshape.getSource();
  auto it = buffers.find(v);
  if (it != buffers.end())
    return it->second;
  // Weights and constants, on first use.
  uint32_t b = fn->buffer_regs++;
  Operation *op = v.getDefiningOp();
  if (auto derived = dyn_cast<hal::DerivedOp>(op))
    emit(I::derived, b, derived.getIndex());
  else
    emit(I::weight, b, weights.add(op));
  return buffers[v] = b;
}

SmallVector<OpFoldResult> Writer::sizesOf(Value v) {
  auto type = cast<RankedTensorType>(v.getType());
  if (auto op = v.getDefiningOp<hal::LaunchOp>()) {
    ValueRange dynamic = op.getSizesOf(cast<OpResult>(v).getResultNumber());
    SmallVector<OpFoldResult> sizes;
    Builder b(v.getContext());
    unsigned next = 0;
    for (int64_t d : type.getShape())
      sizes.push_back(ShapedType::isDynamic(d)
                          ? OpFoldResult(dynamic[next++])
                          : OpFoldResult(b.getIndexAttr(d)));
    return sizes;
  }
  if (auto sizes = graph::getSizes(v); succeeded(sizes))
    return *sizes;
  return getAsIndexOpFoldResult(v.getContext(), type.getShape()); // static
}

uint32_t Writer::byteSize(Value v) {
  auto type = cast<RankedTensorType>(v.getType());
  int64_t fixed = elementBytes(type.getElementType());
  SmallVector<uint32_t> dynamic;
  for (OpFoldResult size : sizesOf(v)) {
    if (auto attr = dyn_cast<Attribute>(size))
      fixed *= cast<IntegerAttr>(attr).getInt();
    else
      dynamic.push_back(reg(cast<Value>(size)));
  }
  uint32_t r = constant(fixed);
  for (uint32_t d : dynamic)
    r = binary(I::mul, r, d);
  return r;
}

LogicalResult Writer::launch(hal::LaunchOp op) {
  kernel::FuncOp k = kernelOps.lookup(op.getKernel());
  if (!k)
    return op.emitError("launches an unknown kernel");
  auto out = std::make_unique<fb::LaunchT>();
  out->kernel = kernels[op.getKernel()];
  for (Value v : op.getScalars())
    out->scalars.push_back(reg(v));
  for (Value v : op.getInputs())
    out->buffers.push_back(buffer(v));
  out->grid = expr(k.getGrid()->getResult(0), out->scalars);
  for (Value v : op.getResults()) {
    uint32_t size = byteSize(v);
    uint32_t b = fn->buffer_regs++;
    buffers[v] = b;
    out->buffers.push_back(b);
    // A result that leaves the function is made where the caller wants it.
    int64_t output = -1;
    for (auto [i, returned] : llvm::enumerate(ret.getOperands())) {
      Value root = returned;
      while (auto reshape = root.getDefiningOp<graph::ReshapeOp>())
        root = reshape.getSource();
      if (root == v && !outputDone[i]) {
        output = i;
        break;
      }
    }
    if (output >= 0) {
      outputDone[output] = true;
      emit(isInit ? I::alloc_derived : I::alloc_output, b, output, size);
      continue;
    }
    auto t = std::make_unique<fb::TransientT>();
    t->size = size;
    t->first = t->last = fn->code.size();
    t->pool = afterRead.contains(size);
    transientOf[b] = fn->transients.size();
    emit(I::alloc, b, fn->transients.size());
    fn->transients.push_back(std::move(t));
  }
  for (uint32_t b : out->buffers)
    use(b);
  for (const std::string &node : nodesOf(op.getLoc()))
    out->nodes.push_back(addString(node));
  for (const std::string &error : facts.lookup(op.getKernel()).errors)
    out->errors.push_back(addString(error));
  emit(I::launch, 0, fn->launches.size());
  fn->launches.push_back(std::move(out));
  return success();
}

LogicalResult Writer::emitOp(Operation *op) {
  if (isa<graph::WeightOp, graph::ReshapeOp, hal::DerivedOp, arith::ConstantOp,
          func::ReturnOp>(op))
    return success(); // on use
  if (auto l = dyn_cast<hal::LaunchOp>(op))
    return launch(l);
  if (auto read = dyn_cast<graph::ReadOp>(op)) {
    uint32_t b = buffer(read.getSource()), at = reg(read.getIndex());
    uint32_t r = fn->int_regs++;
    auto type = cast<RankedTensorType>(read.getSource().getType());
    use(b);
    emit(I::read, r, b, at, uint32_t(dtypeOf(type.getElementType())));
    afterRead.insert(r);
    regs[read.getResult()] = r;
    ++fn->host_waits;
    return success();
  }
  if (auto check = dyn_cast<graph::CheckOp>(op)) {
    uint32_t r = reg(check.getCondition());
    emit(I::check, 0, r, addString(check.getMessage()));
    return success();
  }
  if (isa<arith::ArithDialect>(op->getDialect())) {
    FailureOr<uint32_t> r = integerOp(op);
    if (failed(r))
      return failure();
    regs[op->getResult(0)] = *r;
    return success();
  }
  return op->emitError("has no place in a host program");
}

LogicalResult Writer::addFunction(func::FuncOp func) {
  auto out = std::make_unique<fb::FunctionT>();
  fn = out.get();
  fn->name = func.getSymName().str();
  isInit = fn->name == "init";
  regs.clear(), buffers.clear(), constants.clear(), transientOf.clear();
  afterRead.clear();
  Block &body = func.getBody().front();
  ret = cast<func::ReturnOp>(body.getTerminator());
  outputDone.assign(ret.getNumOperands(), false);

  llvm::StringMap<int32_t> symbols;
  for (BlockArgument arg : func.getArguments()) {
    unsigned i = arg.getArgNumber();
    auto text = [&](StringRef name) {
      auto attr = func.getArgAttrOfType<StringAttr>(i, name);
      return attr ? attr.str() : std::string();
    };
    if (arg.getType().isIndex()) {
      auto symbol = std::make_unique<fb::SymbolT>();
      symbol->name = text(graph::kSymbolAttr);
      if (auto min = func.getArgAttrOfType<IntegerAttr>(i, graph::kMinAttr))
        symbol->min = min.getInt();
      if (auto max = func.getArgAttrOfType<IntegerAttr>(i, graph::kMaxAttr))
        symbol->max = max.getInt();
      symbols[symbol->name] = fn->symbols.size();
      fn->symbols.push_back(std::move(symbol));
      regs[arg] = fn->int_regs++;
      continue;
    }
    auto type = cast<RankedTensorType>(arg.getType());
    auto tensor = std::make_unique<fb::TensorT>();
    tensor->name = text(graph::kNameAttr);
    tensor->dtype = dtypeNamed(text(graph::kDTypeAttr), type.getElementType());
    auto dims = func.getArgAttrOfType<ArrayAttr>(i, graph::kDimsAttr);
    for (auto [d, size] : llvm::enumerate(type.getShape())) {
      auto dim = std::make_unique<fb::DimT>();
      if (!ShapedType::isDynamic(size)) {
        dim->size = size;
      } else {
        auto name = dims ? dyn_cast<StringAttr>(dims[d]) : StringAttr();
        if (!name || !symbols.count(name.getValue()))
          return func.emitError("argument ") << i << " has an unknown dim";
        dim->symbol = symbols[name.getValue()];
      }
      tensor->dims.push_back(std::move(dim));
    }
    uint32_t b = fn->buffer_regs++;
    buffers[arg] = b;
    emit(I::input, b, fn->inputs.size());
    fn->inputs.push_back(std::move(tensor));
  }
  for (Operation &op : body)
    if (failed(emitOp(&op)))
      return failure();

  for (auto [i, v] : llvm::enumerate(ret.getOperands())) {
    if (isInit) {
      if (!outputDone[i]) // a weight passed through
        return ret.emitError("derived weight ")
               << i << " is no kernel's result";
      continue;
    }
    auto tensor = std::make_unique<fb::TensorT>();
    auto type = cast<RankedTensorType>(v.getType());
    auto name = func.getResultAttrOfType<StringAttr>(i, graph::kNameAttr);
    auto dtype = func.getResultAttrOfType<StringAttr>(i, graph::kDTypeAttr);
    tensor->name = name ? name.str() : "output" + std::to_string(i);
    tensor->dtype =
        dtypeNamed(dtype ? dtype.getValue() : "", type.getElementType());
    for (OpFoldResult size : sizesOf(v)) {
      auto dim = std::make_unique<fb::DimT>();
      if (auto attr = dyn_cast<Attribute>(size))
        dim->size = cast<IntegerAttr>(attr).getInt();
      else
        dim->reg = reg(cast<Value>(size));
      tensor->dims.push_back(std::move(dim));
    }
    fn->outputs.push_back(std::move(tensor));
    if (!outputDone[i]) {
      uint32_t b = buffer(v);
      use(b);
      emit(I::set_output, i, b);
    }
  }
  if (isInit)
    program.derived = ret.getNumOperands();
  program.functions.push_back(std::move(out));
  return success();
}

FailureOr<std::unique_ptr<fb::ProgramT>>
isthmus::writeProgram(ModuleOp module, const TargetInfo &info,
                      const llvm::StringMap<KernelFacts> &facts,
                      WeightTable &weights) {
  auto program = std::make_unique<fb::ProgramT>();
  program->target = info.name;
  Writer writer(*program, info, facts, weights);
  for (auto k : module.getOps<kernel::FuncOp>())
    writer.addKernel(k);
  for (auto func : module.getOps<func::FuncOp>())
    if (failed(writer.addFunction(func)))
      return failure();
  return program;
}
