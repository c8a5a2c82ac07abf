//===- LowerToLLVM.cpp - form(tiled) to the LLVM dialect, for CPUs --------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A kernel becomes two functions: `body`, one workgroup with its pointers as
// noalias arguments (so that LLVM may vectorize), and the entry point, which
// reads the argument blob and runs workgroups [begin, end).
//
//===----------------------------------------------------------------------===//
#include "targets/cpu/CPU.h"

#include "lib/Pipelines/KernelToLLVM.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Pass/PassManager.h"

using namespace mlir;
using namespace isthmus;

/// kernel.func @k -> func @k.body (one workgroup) and func @k (the entry).
static LogicalResult makeFunctions(ModuleOp module, const TargetInfo &info,
                                   KernelObject &object) {
  auto kernels = llvm::to_vector(module.getOps<kernel::FuncOp>());
  if (kernels.size() != 1)
    return module.emitError("expected one kernel, found ") << kernels.size();
  kernel::FuncOp k = kernels.front();
  if (k.getForm() != kernel::Form::tiled)
    return k.emitError("the cpu target takes form(tiled)");
  Location loc = k.getLoc();
  MLIRContext *ctx = k.getContext();
  OpBuilder b(k);
  Type ptr = LLVM::LLVMPointerType::get(ctx), i64 = b.getI64Type();
  object.name = k.getSymName().str();

  unsigned sizes = k.getNumSizes(), bindings = k.getNumBindings();
  SmallVector<Type> types(sizes, b.getIndexType());
  types.append(bindings, ptr);
  types.push_back(ptr);              // error word
  types.push_back(b.getIndexType()); // workgroup
  auto body = func::FuncOp::create(b, loc, object.name + ".body",
                                   b.getFunctionType(types, {}));
  body.setPrivate();
  body->setAttr("passthrough", b.getStrArrayAttr({"noinline", "nounwind"}));
  for (unsigned i = 0; i <= bindings; ++i)
    body.setArgAttr(sizes + i, "llvm.noalias", b.getUnitAttr());
  for (unsigned i = 0; i < bindings; ++i)
    if (int64_t align = k.getAlign()[i])
      body.setArgAttr(sizes + i, "llvm.align", b.getI64IntegerAttr(align));

  Block *entry = body.addEntryBlock();
  b.setInsertionPointToStart(entry);
  IRMapping map;
  mapArguments(b, k, entry->getArguments(), map);
  Value errorWord = entry->getArgument(sizes + bindings);
  Value group = entry->getArgument(sizes + bindings + 1);
  for (Operation &op : k.getBody().front().without_terminator())
    b.clone(op, map);
  func::ReturnOp::create(b, loc);

  // The kernel dialect's own ops, and workgroup memory as stack memory.
  SmallVector<Operation *> own;
  body.walk([&](Operation *op) {
    if (isa<kernel::KernelDialect>(op->getDialect()))
      own.push_back(op);
  });
  for (Operation *op : own) {
    b.setInsertionPoint(op);
    if (isa<kernel::GroupIdOp>(op)) {
      op->getResult(0).replaceAllUsesWith(group);
    } else if (auto fail = dyn_cast<kernel::FailIfOp>(op)) {
      lowerFailIf(fail, errorWord, object);
      continue;
    } else if (auto mma = dyn_cast<kernel::MmaOp>(op)) {
      if (failed(cpu::lowerMma(mma, info)))
        return failure();
    } else if (isa<kernel::AllocOp>(op)) {
      auto type = cast<MemRefType>(op->getResult(0).getType());
      b.setInsertionPointToStart(entry);
      Value memory = memref::AllocaOp::create(
          b, op->getLoc(),
          MemRefType::get(type.getShape(), type.getElementType()),
          b.getI64IntegerAttr(64));
      op->getResult(0).replaceAllUsesWith(memory);
    } else {
      return op->emitError("the cpu target cannot lower this yet; use a plan "
                           "without it");
    }
    op->erase();
  }
  body.walk([&](Operation *op) {
    for (Value v : op->getResults())
      if (auto type = dyn_cast<MemRefType>(v.getType()))
        if (type.getMemorySpaceAsInt() == kernel::kWorkgroupSpace)
          v.setType(MemRefType::get(type.getShape(), type.getElementType(),
                                    type.getLayout()));
  });

  b.setInsertionPoint(k);
  auto start = func::FuncOp::create(b, loc, object.name,
                                    b.getFunctionType({ptr, i64, i64}, {}));
  start->setAttr("passthrough", b.getStrArrayAttr({"nounwind"}));
  entry = start.addEntryBlock();
  b.setInsertionPointToStart(entry);
  SmallVector<Value> args;
  auto argument = [&](unsigned i, Type type) {
    Value at = LLVM::GEPOp::create(b, loc, ptr, i64, entry->getArgument(0),
                                   ArrayRef<LLVM::GEPArg>{int32_t(i)});
    return LLVM::LoadOp::create(b, loc, type, at);
  };
  for (unsigned i = 0; i < sizes; ++i)
    args.push_back(
        arith::IndexCastOp::create(b, loc, b.getIndexType(), argument(i, i64)));
  for (unsigned i = 0; i < bindings; ++i)
    args.push_back(argument(sizes + i, ptr));
  args.push_back(object.usesErrorWord
                     ? Value(argument(sizes + bindings, ptr))
                     : Value(LLVM::ZeroOp::create(b, loc, ptr)));
  auto index = [&](Value v) {
    return arith::IndexCastOp::create(b, loc, b.getIndexType(), v).getResult();
  };
  Value one = arith::ConstantIndexOp::create(b, loc, 1);
  auto loop = scf::ForOp::create(b, loc, index(entry->getArgument(1)),
                                 index(entry->getArgument(2)), one);
  func::ReturnOp::create(b, loc);
  b.setInsertionPointToStart(loop.getBody());
  args.push_back(loop.getInductionVar());
  func::CallOp::create(b, loc, body, args);
  k.erase();
  return success();
}

LogicalResult cpu::lowerToLLVM(ModuleOp module, const TargetInfo &info,
                               KernelObject &object) {
  if (failed(makeFunctions(module, info, object)))
    return failure();
  PassManager pm(module.getContext());
  // No CPU row has arithmetic on bf16, and some cannot convert to it: without
  // this, LLVM would call a library.
  arith::ArithEmulateUnsupportedFloatsOptions emulate;
  emulate.sourceTypeStrs = {"bf16"};
  if (!info.half)
    emulate.sourceTypeStrs.push_back("f16");
  emulate.targetTypeStr = "f32";
  pm.addPass(arith::createArithEmulateUnsupportedFloats(emulate));
  pm.enableVerifier(false); // the translation that follows checks the result
  addPassesToLLVM(pm, info);
  if (failed(pm.run(module)))
    return failure();
  for (auto f : module.getOps<LLVM::LLVMFuncOp>()) {
    carryBF16(f);
    if (f.getName().ends_with(".body"))
      f.setLinkage(LLVM::Linkage::Internal);
  }
  return success();
}
