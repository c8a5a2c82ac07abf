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

#include "mlir/Conversion/AffineToStandard/AffineToStandard.h"
#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/FuncToLLVM/ConvertFuncToLLVMPass.h"
#include "mlir/Conversion/IndexToLLVM/IndexToLLVM.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/MemRefToLLVM/MemRefToLLVM.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/UBToLLVM/UBToLLVM.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVMPass.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/Passes.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "mlir/Transforms/Passes.h"
#include "lib/Pipelines/ExpandMath.h"

using namespace mlir;
using namespace isthmus;

/// The memref descriptor of a contiguous row-major buffer at `pointer`.
static Value makeDescriptor(OpBuilder &b, Location loc, MemRefType type,
                            Value pointer, ArrayRef<OpFoldResult> sizes) {
  MLIRContext *ctx = b.getContext();
  Type i64 = b.getI64Type(), ptr = LLVM::LLVMPointerType::get(ctx);
  int64_t rank = type.getRank();
  SmallVector<Type> fields = {ptr, ptr, i64};
  if (rank) {
    Type list = LLVM::LLVMArrayType::get(i64, rank);
    fields.append({list, list});
  }
  Type structType = LLVM::LLVMStructType::getLiteral(ctx, fields);
  Value d = LLVM::PoisonOp::create(b, loc, structType);
  auto set = [&](Value v, ArrayRef<int64_t> at) {
    d = LLVM::InsertValueOp::create(b, loc, d, v, at);
  };
  auto constant = [&](int64_t v) -> Value {
    return LLVM::ConstantOp::create(b, loc, i64, b.getI64IntegerAttr(v));
  };
  set(pointer, {0});
  set(pointer, {1});
  set(constant(0), {2});
  Value stride = constant(1);
  for (int64_t i = rank - 1; i >= 0; --i) {
    Value size;
    if (auto attr = dyn_cast<Attribute>(sizes[i]))
      size = constant(cast<IntegerAttr>(attr).getInt());
    else
      size = arith::IndexCastOp::create(b, loc, i64, cast<Value>(sizes[i]));
    set(size, {3, i});
    set(stride, {4, i});
    if (i)
      stride = LLVM::MulOp::create(b, loc, stride, size);
  }
  return UnrealizedConversionCastOp::create(b, loc, type, d).getResult(0);
}

/// kernel.func @k -> func @k.body (one workgroup) and func @k (the entry).
static LogicalResult makeFunctions(ModuleOp module, KernelObject &object) {
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
  for (unsigned i = 0; i < sizes; ++i)
    map.map(k.getSize(i), entry->getArgument(i));
  for (unsigned i = 0; i < bindings; ++i) {
    SmallVector<OpFoldResult> dims = k.getMixedSizesOf(i);
    for (OpFoldResult &dim : dims)
      if (auto v = dyn_cast<Value>(dim))
        dim = map.lookup(v);
    map.map(k.getBinding(i),
            makeDescriptor(b, loc, cast<MemRefType>(k.getBinding(i).getType()),
                           entry->getArgument(sizes + i), dims));
  }
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
      std::string message = fail.getMessage().str();
      auto it = llvm::find(object.errors, message);
      int64_t code = it - object.errors.begin() + 1;
      if (it == object.errors.end())
        object.errors.push_back(message);
      object.usesErrorWord = true;
      auto branch = scf::IfOp::create(b, op->getLoc(), fail.getCondition(),
                                      /*withElseRegion=*/false);
      b.setInsertionPointToStart(&branch.getThenRegion().front());
      Value value = LLVM::ConstantOp::create(b, op->getLoc(), b.getI32Type(),
                                             b.getI32IntegerAttr(code));
      LLVM::StoreOp::create(b, op->getLoc(), value, errorWord);
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
    args.push_back(arith::IndexCastOp::create(b, loc, b.getIndexType(),
                                              argument(i, i64)));
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
  if (failed(makeFunctions(module, object)))
    return failure();
  PassManager pm(module.getContext());
  pm.addNestedPass<func::FuncOp>(createForallToForLoopPass());
  pm.addPass(createExpandMathPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addPass(memref::createExpandStridedMetadataPass());
  pm.addPass(createLowerAffinePass());
  pm.addPass(createConvertVectorToLLVMPass());
  pm.addPass(createSCFToControlFlowPass());
  pm.addPass(createConvertMathToLLVMPass());
  arith::ArithExpandOpsPassOptions expand;
  expand.includeBf16 = true;
  pm.addPass(arith::createArithExpandOpsPass(expand));
  pm.addPass(createArithToLLVMConversionPass());
  pm.addPass(createConvertIndexToLLVMPass());
  pm.addPass(createFinalizeMemRefToLLVMConversionPass());
  pm.addPass(createConvertFuncToLLVMPass());
  pm.addPass(createConvertControlFlowToLLVMPass());
  pm.addPass(createUBToLLVMConversionPass());
  pm.addPass(createReconcileUnrealizedCastsPass());
  if (failed(pm.run(module)))
    return failure();
  for (auto f : module.getOps<LLVM::LLVMFuncOp>())
    if (f.getName().ends_with(".body"))
      f.setLinkage(LLVM::Linkage::Internal);
  return success();
}
