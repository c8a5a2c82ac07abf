//===- KernelToLLVM.cpp - what every LLVM target's lowering shares --------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Pipelines/KernelToLLVM.h"
#include "lib/Pipelines/ExpandMath.h"

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
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/Passes.h"
#include "mlir/IR/AttrTypeSubElements.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace isthmus;

Value isthmus::makeMemRef(OpBuilder &b, Location loc, MemRefType type,
                          Value pointer, ArrayRef<OpFoldResult> sizes) {
  Type i64 = b.getI64Type(), ptr = pointer.getType();
  int64_t rank = type.getRank();
  SmallVector<Type> fields = {ptr, ptr, i64};
  if (rank) {
    Type list = LLVM::LLVMArrayType::get(i64, rank);
    fields.append({list, list});
  }
  Type structType = LLVM::LLVMStructType::getLiteral(b.getContext(), fields);
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

void isthmus::mapArguments(OpBuilder &b, kernel::FuncOp k, ValueRange arguments,
                           IRMapping &map) {
  unsigned sizes = k.getNumSizes();
  for (unsigned i = 0; i < sizes; ++i)
    map.map(k.getSize(i), arguments[i]);
  for (unsigned i = 0, e = k.getNumBindings(); i < e; ++i) {
    SmallVector<OpFoldResult> dims = k.getMixedSizesOf(i);
    for (OpFoldResult &dim : dims)
      if (auto v = dyn_cast<Value>(dim))
        dim = map.lookup(v);
    auto type = cast<MemRefType>(k.getBinding(i).getType());
    map.map(k.getBinding(i),
            makeMemRef(b, k.getLoc(), type, arguments[sizes + i], dims));
  }
}

void isthmus::lowerFailIf(kernel::FailIfOp fail, Value errorWord,
                          KernelObject &object) {
  OpBuilder b(fail);
  Location loc = fail.getLoc();
  std::string message = fail.getMessage().str();
  auto it = llvm::find(object.errors, message);
  int64_t code = it - object.errors.begin() + 1;
  if (it == object.errors.end())
    object.errors.push_back(message);
  object.usesErrorWord = true;
  auto branch = scf::IfOp::create(b, loc, fail.getCondition(),
                                  /*withElseRegion=*/false);
  b.setInsertionPointToStart(&branch.getThenRegion().front());
  Value value = LLVM::ConstantOp::create(b, loc, b.getI32Type(),
                                         b.getI32IntegerAttr(code));
  LLVM::StoreOp::create(b, loc, value, errorWord);
  fail.erase();
}

void isthmus::addPassesToLLVM(OpPassManager &pm, const TargetInfo &info) {
  pm.addNestedPass<func::FuncOp>(createForallToForLoopPass());
  pm.addPass(createExpandMathPass({info.fma, info.half}));
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addPass(memref::createExpandStridedMetadataPass());
  pm.addPass(createLowerAffinePass());
  pm.addPass(createConvertVectorToLLVMPass());
  pm.addPass(createSCFToControlFlowPass());
  pm.addPass(createConvertMathToLLVMPass());
  pm.addPass(createSplitBF16Pass());
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
}

void isthmus::carryBF16(LLVM::LLVMFuncOp f) {
  Builder b(f.getContext());
  Type bf16 = b.getBF16Type(), i16 = b.getI16Type();
  AttrTypeReplacer replacer;
  replacer.addReplacement(
      [&](BFloat16Type) -> std::optional<Type> { return i16; });
  replacer.addReplacement([&](FloatAttr a) -> std::optional<Attribute> {
    if (a.getType() != bf16)
      return std::nullopt;
    return IntegerAttr::get(i16, a.getValue().bitcastToAPInt());
  });
  replacer.addReplacement([&](DenseElementsAttr a) -> std::optional<Attribute> {
    if (a.getElementType() != bf16)
      return std::nullopt;
    return a.bitcast(i16);
  });
  replacer.recursivelyReplaceElementsIn(f, /*replaceAttrs=*/true,
                                        /*replaceLocs=*/false,
                                        /*replaceTypes=*/true);
}
