//===- ProgramWriter.cpp - host functions to programs ---------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Pipelines/FunctionWriter.h"

#include "dialects/Graph/Graph.h"
#include "lib/Pipelines/InPlace.h"
#include "lib/Pipelines/Lifetimes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace isthmus;

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
// Tables
//===----------------------------------------------------------------------===//

uint32_t ProgramTables::addString(StringRef text) {
  auto [it, fresh] = strings.try_emplace(text, program.strings.size());
  if (fresh)
    program.strings.push_back(text.str());
  return it->second;
}

/// Nothing where a term has too many sizes or a size too high a number.
static std::vector<fb::Term> termsOf(const kernel::WorkSum &sum) {
  std::vector<fb::Term> terms;
  if (!sum)
    return terms;
  for (const kernel::WorkTerm &t : *sum) {
    uint8_t scalars[8] = {};
    if (t.sizes.size() > std::size(scalars))
      return {};
    for (auto [place, size] : llvm::zip(scalars, t.sizes)) {
      if (size >= UINT8_MAX)
        return {};
      place = size + 1;
    }
    terms.push_back(fb::Term(t.coefficient, t.most, scalars));
  }
  if (terms.empty())
    terms.push_back(fb::Term(0, kernel::WorkTerm::kNoMost));
  return terms;
}

void ProgramTables::addKernel(kernel::FuncOp k) {
  auto out = std::make_unique<fb::KernelT>();
  out->name = k.getSymName().str();
  out->family = k.getPlan().value_or("").str();
  out->workgroup = k.getGroup().value_or(1);
  const KernelFacts &of = factsOf(k.getSymName());
  out->shared_bytes = of.workgroupBytes;
  out->vector_registers = of.registers.vector;
  out->scalar_registers = of.registers.scalar;
  out->spilled_registers = of.registers.spilled;
  for (const std::string &text : of.declined)
    out->declined.push_back(addString(text));
  out->work = std::make_unique<fb::WorkT>();
  out->work->flops = termsOf(of.work.flops);
  out->work->reads = termsOf(of.work.reads);
  out->work->writes = termsOf(of.work.writes);
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
  if (of.usesErrorWord)
    param(fb::ParamKind::error_word, fb::Access::none, 4);
  kernels[k.getSymName()] = program.kernels.size();
  kernelOps[k.getSymName()] = k;
  program.kernels.push_back(std::move(out));
}

//===----------------------------------------------------------------------===//
// Functions
//===----------------------------------------------------------------------===//

LogicalResult FunctionWriter::emitOp(Operation *op) {
  if (isa<graph::WeightOp, graph::ReshapeOp, hal::DerivedOp, arith::ConstantOp>(
          op) ||
      op->hasTrait<OpTrait::IsTerminator>())
    return success(); // on use
  if (auto l = dyn_cast<hal::LaunchOp>(op))
    return launch(l);
  if (auto branchOp = dyn_cast<scf::IfOp>(op))
    return branch(branchOp);
  if (auto forOp = dyn_cast<scf::ForOp>(op))
    return loop(forOp);
  if (auto whileOp = dyn_cast<scf::WhileOp>(op))
    return loop(whileOp);
  if (auto rows = dyn_cast<tensor::InsertSliceOp>(op))
    return insert(rows);
  if (auto rows = dyn_cast<tensor::ExtractSliceOp>(op)) {
    extract(rows);
    return success();
  }
  if (isa<tensor::EmptyOp>(op)) {
    Value v = op->getResult(0);
    buffers[v] = transient(byteSize(v));
    return success();
  }
  if (auto readOp = dyn_cast<graph::ReadOp>(op)) {
    read(readOp);
    return success();
  }
  if (auto check = dyn_cast<graph::CheckOp>(op)) {
    uint32_t r = reg(check.getCondition());
    emit(I::check, 0, r, tables.addString(check.getMessage()));
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

LogicalResult FunctionWriter::emitBlock(Block &block) {
  for (Operation &op : block)
    if (failed(emitOp(&op)))
      return failure();
  return success();
}

LogicalResult FunctionWriter::signature() {
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
    emitFirst(I::input, b, fn->inputs.size());
    fn->inputs.push_back(std::move(tensor));
  }
  return success();
}

/// Constants, inputs and weights were collected while the code was written.
void FunctionWriter::placePrologue() {
  uint32_t shift = prologue.size();
  for (uint32_t at = 0; at < fn->code.size(); ++at)
    switch (fn->code[at].op()) {
    case I::if_:
    case I::else_:
    case I::loop:
    case I::end_loop:
    case I::break_if:
      setTarget(at, fn->code[at].b() + shift);
      break;
    default:
      break;
    }
  fn->code.insert(fn->code.begin(), prologue.begin(), prologue.end());
}

FailureOr<std::unique_ptr<fb::FunctionT>> FunctionWriter::write() {
  fn = std::make_unique<fb::FunctionT>();
  fn->name = func.getSymName().str();
  isInit = fn->name == "init";
  Block &body = func.getBody().front();
  ret = cast<func::ReturnOp>(body.getTerminator());
  outputDone.assign(ret.getNumOperands(), false);
  if (failed(signature()) || failed(emitBlock(body)))
    return failure();
  results();
  placePrologue();
  setLifetimes(*fn);
  return std::move(fn);
}

FailureOr<std::unique_ptr<fb::ProgramT>>
isthmus::writeProgram(ModuleOp module, const TargetInfo &info,
                      const llvm::StringMap<KernelFacts> &facts,
                      WeightTable &weights) {
  auto program = std::make_unique<fb::ProgramT>();
  program->target = info.name;
  ProgramTables tables{*program, facts, weights, {}, {}, {}};
  for (auto k : module.getOps<kernel::FuncOp>())
    tables.addKernel(k);
  for (auto func : module.getOps<func::FuncOp>()) {
    unshareBuffers(func);
    auto function = FunctionWriter(tables, func).write();
    if (failed(function))
      return failure();
    program->functions.push_back(std::move(*function));
  }
  return program;
}
