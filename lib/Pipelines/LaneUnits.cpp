//===- LaneUnits.cpp - matrix units and copies to LLVM --------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Pipelines/LaneUnits.h"

#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace isthmus;

static constexpr unsigned kWordBits = 32;

/// The address of an element.
static Value pointerTo(OpBuilder &b, Location loc, Value memref,
                       ValueRange indices) {
  auto type = cast<MemRefType>(memref.getType());
  LLVMTypeConverter converter(b.getContext());
  Value d = UnrealizedConversionCastOp::create(
                b, loc, converter.convertType(type), memref)
                .getResult(0);
  auto field = [&](ArrayRef<int64_t> at) -> Value {
    return LLVM::ExtractValueOp::create(b, loc, d, at);
  };
  Type i64 = b.getI64Type();
  Value offset = field({2});
  auto [strides, unused] = type.getStridesAndOffset();
  for (auto [i, v] : llvm::enumerate(indices)) {
    Value at = arith::IndexCastOp::create(b, loc, i64, v);
    if (strides[i] != 1) {
      Value stride = ShapedType::isDynamic(strides[i])
                         ? field({4, int64_t(i)})
                         : LLVM::ConstantOp::create(
                               b, loc, i64, b.getI64IntegerAttr(strides[i]))
                               .getResult();
      at = LLVM::MulOp::create(b, loc, at, stride);
    }
    offset = LLVM::AddOp::create(b, loc, offset, at);
  }
  Value base = field({1});
  return LLVM::GEPOp::create(b, loc, base.getType(),
                             converter.convertType(type.getElementType()), base,
                             ArrayRef<LLVM::GEPArg>{offset});
}

static Value constantOf(OpBuilder &b, Location loc, unsigned bits, int64_t v) {
  Type type = b.getIntegerType(bits);
  return LLVM::ConstantOp::create(b, loc, type, b.getIntegerAttr(type, v));
}

/// The elements of a vector.
static SmallVector<Value> elementsOf(OpBuilder &b, Location loc, Value v) {
  SmallVector<Value> elements;
  for (int64_t i = 0; i < cast<VectorType>(v.getType()).getNumElements(); ++i)
    elements.push_back(
        LLVM::ExtractElementOp::create(b, loc, v, constantOf(b, loc, 32, i)));
  return elements;
}

/// A vector of what a fragment is made of, as the call takes it.
static Value wordsOf(OpBuilder &b, Location loc, Value v,
                     const UnitCall &call) {
  auto type = cast<VectorType>(v.getType());
  if (call.convert) {
    Type word = b.getI32Type();
    Value words =
        LLVM::PoisonOp::create(b, loc, VectorType::get(type.getShape(), word));
    for (auto [i, element] : llvm::enumerate(elementsOf(b, loc, v)))
      words = LLVM::InsertElementOp::create(
          b, loc, words,
          LLVM::CallIntrinsicOp::create(b, loc, word,
                                        b.getStringAttr(call.convert), element)
              .getResult(0),
          constantOf(b, loc, 32, i));
    return words;
  }
  unsigned bits = 0;
  switch (call.word) {
  case UnitWord::element:
    return v;
  case UnitWord::i16:
    bits = 16;
    break;
  case UnitWord::half2: // of pairs' bits, until they are operands
  case UnitWord::i32:
    bits = 32;
    break;
  case UnitWord::i64:
    bits = 64;
    break;
  }
  int64_t count = type.getNumElements() * type.getElementTypeBitWidth() / bits;
  return LLVM::BitcastOp::create(
      b, loc, VectorType::get({count}, b.getIntegerType(bits)), v);
}

/// Adds a fragment to a call's operands.
static void pass(OpBuilder &b, Location loc, Value words, const UnitCall &call,
                 SmallVectorImpl<Value> &operands) {
  if (call.apart || cast<VectorType>(words.getType()).getNumElements() == 1)
    llvm::append_range(operands, elementsOf(b, loc, words));
  else
    operands.push_back(words);
}

static LogicalResult lowerMma(kernel::LaneMmaOp op, const TargetInfo &info) {
  const MatrixUnit *unit = findUnit(info.units, op.getUnit());
  if (!unit)
    return op.emitError(info.name) << " has no matrix unit " << op.getUnit();
  const UnitCall &call = unit->call;
  OpBuilder b(op);
  Location loc = op.getLoc();
  SmallVector<Value> operands;
  for (auto [fragment, type] :
       {std::pair(op.getA(), unit->a), std::pair(op.getB(), unit->b)}) {
    if (call.signs)
      operands.push_back(constantOf(b, loc, 1, type != UnitType::u8));
    SmallVector<Value> words;
    pass(b, loc, wordsOf(b, loc, fragment, call), call, words);
    if (call.word == UnitWord::half2)
      for (Value &word : words)
        word = LLVM::BitcastOp::create(
            b, loc, VectorType::get({2}, b.getF16Type()), word);
    llvm::append_range(operands, words);
  }
  pass(b, loc, op.getC(), call, operands);
  for (unsigned bits : call.zeros)
    operands.push_back(constantOf(b, loc, bits, 0));
  auto sums = cast<VectorType>(op.getC().getType());
  int64_t count = sums.getNumElements();
  Type result = sums;
  if (call.apart)
    result = LLVM::LLVMStructType::getLiteral(
        b.getContext(), SmallVector<Type>(count, sums.getElementType()));
  Value made = LLVM::CallIntrinsicOp::create(
                   b, loc, result, b.getStringAttr(call.intrinsic), operands)
                   .getResult(0);
  if (call.apart) {
    Value d = LLVM::PoisonOp::create(b, loc, sums);
    for (int64_t i = 0; i < count; ++i)
      d = LLVM::InsertElementOp::create(
          b, loc, d, LLVM::ExtractValueOp::create(b, loc, made, i),
          constantOf(b, loc, 32, i));
    made = d;
  }
  // What sums of it wait for is where it stands.
  bool isLast = llvm::any_of(op->getUsers(), [&](Operation *user) {
    return !isa<kernel::LaneMmaOp>(user) || user->getBlock() != op->getBlock();
  });
  if (call.pinned && isLast)
    made = LLVM::InlineAsmOp::create(
               b, loc, TypeRange(sums), ValueRange(made), /*asm_string=*/"",
               /*constraints=*/"=v,0", /*has_side_effects=*/true,
               /*is_align_stack=*/false, LLVM::tailcallkind::TailCallKind::None,
               /*asm_dialect=*/LLVM::AsmDialectAttr(),
               /*operand_attrs=*/ArrayAttr())
               .getResult(0);
  op.getResult().replaceAllUsesWith(made);
  op.erase();
  return success();
}

static LogicalResult lowerLoadMatrices(kernel::LoadMatricesOp op,
                                       const TargetInfo &info,
                                       const LanesFacts &facts) {
  if (!info.matrixLoads)
    return op.emitError(info.name) << " does not load matrices";
  OpBuilder b(op);
  Location loc = op.getLoc();
  auto type = cast<VectorType>(op.getResult().getType());
  int64_t count =
      type.getNumElements() * type.getElementTypeBitWidth() / kWordBits;
  std::string name = facts.loadMatrices + (".x" + std::to_string(count)) +
                     (op.getTransposed() ? ".trans" : "") + ".b16.p3";
  Type i32 = b.getI32Type();
  Type result = count == 1
                    ? i32
                    : Type(LLVM::LLVMStructType::getLiteral(
                          b.getContext(), SmallVector<Type>(count, i32)));
  Value made = LLVM::CallIntrinsicOp::create(
                   b, loc, result, b.getStringAttr(name),
                   pointerTo(b, loc, op.getMemref(), op.getIndices()))
                   .getResult(0);
  Value words = LLVM::PoisonOp::create(b, loc, VectorType::get({count}, i32));
  for (int64_t i = 0; i < count; ++i)
    words = LLVM::InsertElementOp::create(
        b, loc, words,
        count == 1 ? made
                   : LLVM::ExtractValueOp::create(b, loc, made, i).getResult(),
        constantOf(b, loc, 32, i));
  op.getResult().replaceAllUsesWith(
      LLVM::BitcastOp::create(b, loc, type, words).getResult());
  op.erase();
  return success();
}

/// A load and a store.
static void copyAtOnce(kernel::AsyncRunOp op, int64_t bytes) {
  OpBuilder b(op);
  Location loc = op.getLoc();
  auto type = VectorType::get(
      {int64_t(op.getCount())},
      cast<MemRefType>(op.getSource().getType()).getElementType());
  auto aligned = [&](Operation *access) {
    access->setAttr("alignment", b.getI64IntegerAttr(bytes));
  };
  auto branch = scf::IfOp::create(b, loc, type, op.getValid(), true);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(&branch.getThenRegion().front());
    auto load =
        vector::LoadOp::create(b, loc, type, op.getSource(), op.getIndices());
    aligned(load);
    scf::YieldOp::create(b, loc, load.getResult());
    b.setInsertionPointToStart(&branch.getElseRegion().front());
    scf::YieldOp::create(
        b, loc,
        arith::ConstantOp::create(b, loc, b.getZeroAttr(type)).getResult());
  }
  aligned(vector::StoreOp::create(b, loc, branch.getResult(0), op.getTile(),
                                  op.getTileIndices()));
  op.erase();
}

static void lowerCopy(kernel::AsyncRunOp op, const TargetInfo &info,
                      const LanesFacts &facts) {
  int64_t bytes =
      int64_t(op.getCount()) *
      cast<MemRefType>(op.getTile().getType()).getElementTypeBitWidth() / 8;
  if (bytes > int64_t(info.asyncCopyBytes))
    return copyAtOnce(op, bytes);
  OpBuilder b(op);
  Location loc = op.getLoc();
  Value size = LLVM::SelectOp::create(b, loc, op.getValid(),
                                      constantOf(b, loc, 32, bytes),
                                      constantOf(b, loc, 32, 0));
  const char *name = bytes == 4   ? facts.async.copy4
                     : bytes == 8 ? facts.async.copy8
                                  : facts.async.copy16;
  LLVM::CallIntrinsicOp::create(
      b, loc, b.getStringAttr(name),
      ValueRange{pointerTo(b, loc, op.getTile(), op.getTileIndices()),
                 pointerTo(b, loc, op.getSource(), op.getIndices()), size});
  op.erase();
}

/// A call of what the vendor has for this, of whole elements or vectors.
static LogicalResult lowerPrefetch(memref::PrefetchOp op,
                                   const TargetInfo &info,
                                   const LanesFacts &facts) {
  int64_t bytes =
      llvm::divideCeil(op.getMemRefType().getElementTypeBitWidth(), 8);
  if (!info.prefetchesCaches || bytes > 16 || !llvm::isPowerOf2_64(bytes))
    return op.emitError(info.name)
           << " does not prefetch " << op.getMemRefType().getElementType();
  OpBuilder b(op);
  Location loc = op.getLoc();
  MLIRContext *ctx = b.getContext();
  Value pointer = pointerTo(b, loc, op.getMemref(), op.getIndices());
  Value one = constantOf(b, loc, 64, 1);
  const char *name = facts.prefetch[llvm::Log2_64(bytes)];
  auto module = op->getParentOfType<ModuleOp>();
  auto callee = module.lookupSymbol<LLVM::LLVMFuncOp>(name);
  if (!callee) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(module.getBody());
    callee = LLVM::LLVMFuncOp::create(
        b, loc, name,
        LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(ctx),
                                    {pointer.getType(), one.getType()}),
        LLVM::Linkage::External, false, facts.callConvention);
    callee.setNoUnwind(true);
    callee.setWillReturn(true);
    // It reads, and changes what nobody sees.
    auto none = LLVM::ModRefInfo::NoModRef;
    callee.setMemoryEffectsAttr(LLVM::MemoryEffectsAttr::get(
        ctx, {none, LLVM::ModRefInfo::Ref, LLVM::ModRefInfo::ModRef, none, none,
              none}));
  }
  LLVM::CallOp::create(b, loc, callee, ValueRange{pointer, one})
      .setCConv(facts.callConvention);
  op.erase();
  return success();
}

LogicalResult isthmus::lowerLaneUnits(Operation *f, const TargetInfo &info,
                                      const LanesFacts &facts) {
  SmallVector<Operation *> ops;
  f->walk([&](Operation *op) {
    if (isa<kernel::KernelDialect>(op->getDialect()) ||
        isa<memref::PrefetchOp>(op))
      ops.push_back(op);
  });
  for (Operation *op : ops) {
    OpBuilder b(op);
    Location loc = op->getLoc();
    if (auto prefetch = dyn_cast<memref::PrefetchOp>(op)) {
      if (failed(lowerPrefetch(prefetch, info, facts)))
        return failure();
    } else if (auto mma = dyn_cast<kernel::LaneMmaOp>(op)) {
      if (failed(lowerMma(mma, info)))
        return failure();
    } else if (auto load = dyn_cast<kernel::LoadMatricesOp>(op)) {
      if (failed(lowerLoadMatrices(load, info, facts)))
        return failure();
    } else if (auto run = dyn_cast<kernel::AsyncRunOp>(op)) {
      lowerCopy(run, info, facts);
    } else if (isa<kernel::AsyncCommitOp>(op)) {
      if (info.asyncCopyBytes)
        LLVM::CallIntrinsicOp::create(
            b, loc, b.getStringAttr(facts.async.commit), ValueRange());
      op->erase();
    } else if (auto wait = dyn_cast<kernel::AsyncWaitOp>(op)) {
      if (info.asyncCopyBytes)
        LLVM::CallIntrinsicOp::create(
            b, loc, b.getStringAttr(facts.async.wait),
            constantOf(b, loc, 32, wait.getPending()));
      op->erase();
    } else {
      return op->emitError("has no lowering from form(lanes) yet");
    }
  }
  return success();
}
