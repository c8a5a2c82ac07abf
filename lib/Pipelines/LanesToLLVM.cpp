//===- LanesToLLVM.cpp - form(lanes) to the LLVM dialect ------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Pipelines/LanesToLLVM.h"
#include "lib/Pipelines/KernelToLLVM.h"
#include "lib/Pipelines/LaneUnits.h"

#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/AttrTypeSubElements.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace isthmus;

static constexpr unsigned kGlobalSpace = 1;
// A vector load of 16 bytes may read any of it.
static constexpr int64_t kWorkgroupAlign = 16;
// Of a grid: no driver takes more.
static constexpr int64_t kMostGroups = std::numeric_limits<int32_t>::max();

/// `v`, which is at most `most`, so that passes see that: LLVM, which knows,
/// drops it.
static Value bounded(OpBuilder &b, Location loc, Value v, int64_t most) {
  if (most > std::numeric_limits<int32_t>::max())
    return v;
  Value mask = arith::ConstantIndexOp::create(
      b, loc, int64_t(llvm::NextPowerOf2(most)) - 1);
  return arith::AndIOp::create(b, loc, v, mask);
}

/// Calls what `call` names, before `op`, and replaces `op` by the result, which
/// is at most `most`.
static void lowerCall(Operation *op, const LanesCall &call,
                      const LanesFacts &facts, int64_t most = 0) {
  OpBuilder b(op);
  Location loc = op->getLoc();
  MLIRContext *ctx = b.getContext();
  Type result = call.bits ? Type(b.getIntegerType(call.bits))
                          : Type(LLVM::LLVMVoidType::get(ctx));
  SmallVector<Value> operands;
  if (call.argument)
    operands.push_back(LLVM::ConstantOp::create(
        b, loc, b.getI32Type(), b.getI32IntegerAttr(*call.argument)));
  Value value;
  if (StringRef(call.name).starts_with("llvm.")) {
    auto name = b.getStringAttr(call.name);
    if (call.bits)
      value = LLVM::CallIntrinsicOp::create(b, loc, result, name, operands)
                  .getResult(0);
    else
      LLVM::CallIntrinsicOp::create(b, loc, name, operands);
  } else {
    auto module = op->getParentOfType<ModuleOp>();
    auto callee = module.lookupSymbol<LLVM::LLVMFuncOp>(call.name);
    bool convergent = isa<kernel::BarrierOp>(op);
    if (!callee) {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(module.getBody());
      auto type = LLVM::LLVMFunctionType::get(
          result, SmallVector<Type>(ValueRange(operands).getTypes()));
      callee = LLVM::LLVMFuncOp::create(b, loc, call.name, type,
                                        LLVM::Linkage::External, false,
                                        facts.callConvention);
      callee.setConvergent(convergent);
      callee.setNoUnwind(true);
      callee.setWillReturn(true);
      if (call.bits) // Ids: always the same for this lane.
        callee.setMemoryEffectsAttr(LLVM::MemoryEffectsAttr::get(
            ctx, {LLVM::ModRefInfo::NoModRef, LLVM::ModRefInfo::NoModRef,
                  LLVM::ModRefInfo::NoModRef, LLVM::ModRefInfo::NoModRef,
                  LLVM::ModRefInfo::NoModRef, LLVM::ModRefInfo::NoModRef}));
    }
    auto made = LLVM::CallOp::create(b, loc, callee, operands);
    made.setCConv(facts.callConvention);
    made.setConvergent(convergent);
    if (call.bits)
      value = made.getResult();
  }
  if (value)
    op->getResult(0).replaceAllUsesWith(bounded(
        b, loc, arith::IndexCastUIOp::create(b, loc, b.getIndexType(), value),
        most));
  op->erase();
}

static void lowerBarrier(kernel::BarrierOp op, const LanesFacts &facts) {
  OpBuilder b(op);
  auto fence = [&](LLVM::AtomicOrdering order) {
    if (!facts.fenceScope)
      return;
    auto made = LLVM::FenceOp::create(b, op->getLoc(), order, facts.fenceScope);
    if (!op.getBindings())
      made->setAttr(LLVM::LLVMDialect::getMmraAttrName(),
                    LLVM::MMRATagAttr::get(b.getContext(),
                                           "amdgpu-synchronize-as",
                                           facts.fenceMemory));
  };
  fence(LLVM::AtomicOrdering::release);
  if (const char *wait = op.getBindings() ? facts.wideWait : facts.wait)
    LLVM::InlineAsmOp::create(
        b, op->getLoc(), /*res=*/Type(), ValueRange(), wait,
        /*constraints=*/"~{memory}", /*has_side_effects=*/true,
        /*is_align_stack=*/false, LLVM::tailcallkind::TailCallKind::None,
        /*asm_dialect=*/LLVM::AsmDialectAttr(), /*operand_attrs=*/ArrayAttr());
  b.setInsertionPointAfter(op);
  fence(LLVM::AtomicOrdering::acquire);
  lowerCall(op, op.getBindings() ? facts.wideBarrier : facts.barrier, facts);
}

static LogicalResult lowerShuffle(kernel::ShuffleOp op, const TargetInfo &info,
                                  const LanesFacts &facts) {
  OpBuilder b(op);
  Location loc = op.getLoc();
  Type i32 = b.getI32Type();
  auto constant = [&](int64_t v) -> Value {
    return LLVM::ConstantOp::create(b, loc, i32, b.getI32IntegerAttr(v));
  };
  int64_t distance = op.getDistance();
  if (distance >= int64_t(info.subgroup))
    return op.emitError("leaves the subgroup of ") << info.subgroup << " lanes";
  SmallVector<Value> operands;
  switch (facts.shuffle) {
  case LanesFacts::Shuffle::none:
    return op.emitError(info.name) << " has no subgroups that are known";
  case LanesFacts::Shuffle::xorMask: // of all lanes, within 32
    operands = {constant(-1), op.getSource(), constant(distance),
                constant(0x1f)};
    break;
  case LanesFacts::Shuffle::byAddress: { // four times the lane
    Value id = kernel::LaneIdOp::create(b, loc, b.getIndexType());
    id = arith::IndexCastOp::create(b, loc, i32, id);
    Value other = arith::XOrIOp::create(
        b, loc, id,
        arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(distance)));
    Value inside = arith::AndIOp::create(
        b, loc, other,
        arith::ConstantOp::create(b, loc,
                                  b.getI32IntegerAttr(info.subgroup - 1)));
    Value address = arith::ShLIOp::create(
        b, loc, inside,
        arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(2)));
    operands = {address, op.getSource()};
    break;
  }
  }
  Value made = LLVM::CallIntrinsicOp::create(
                   b, loc, i32, b.getStringAttr(facts.shuffleName), operands)
                   .getResult(0);
  op.getResult().replaceAllUsesWith(made);
  op.erase();
  return success();
}

/// A global in workgroup memory in place of `op`; adds its bytes to `total`.
static LogicalResult lowerAlloc(kernel::AllocOp op, StringRef name,
                                int64_t &total) {
  auto type = cast<MemRefType>(op.getResult().getType());
  LLVMTypeConverter converter(op.getContext());
  Type element = converter.convertType(type.getElementType());
  if (!element || !element.isIntOrFloat())
    return op.emitError("workgroup memory of ")
           << type.getElementType() << " cannot be laid out";
  // To the last element: rows may be padded.
  int64_t elements = type.getNumElements() ? 1 : 0;
  for (auto [size, stride] :
       llvm::zip_equal(type.getShape(), type.getStridesAndOffset().first))
    if (elements)
      elements += (size - 1) * stride;
  int64_t bytes =
      llvm::divideCeil(element.getIntOrFloatBitWidth(), 8) * elements;
  total = llvm::alignTo(total, kWorkgroupAlign) + bytes;
  OpBuilder b(op);
  auto module = op->getParentOfType<ModuleOp>();
  b.setInsertionPointToStart(module.getBody());
  auto global = LLVM::GlobalOp::create(
      b, op.getLoc(), LLVM::LLVMArrayType::get(element, elements),
      /*isConstant=*/false, LLVM::Linkage::Internal, name, Attribute(),
      kWorkgroupAlign, kernel::kWorkgroupSpace);
  b.setInsertionPoint(op);
  Value pointer = LLVM::AddressOfOp::create(b, op.getLoc(), global);
  SmallVector<OpFoldResult> sizes;
  for (int64_t dim : type.getShape())
    sizes.push_back(b.getIndexAttr(dim));
  op.getResult().replaceAllUsesWith(
      makeMemRef(b, op.getLoc(), type, pointer, sizes));
  op.erase();
  return success();
}

/// kernel.func @k -> func.func @k without ops of the kernel dialect.
static LogicalResult makeFunction(kernel::FuncOp k, const TargetInfo &info,
                                  const LanesFacts &facts,
                                  KernelObject &object) {
  OpBuilder b(k);
  Location loc = k.getLoc();
  MLIRContext *ctx = b.getContext();
  object.name = k.getSymName().str();
  unsigned sizes = k.getNumSizes(), bindings = k.getNumBindings();
  object.usesErrorWord = false;
  k.walk([&](kernel::FailIfOp) { object.usesErrorWord = true; });

  Type i64 = b.getI64Type();
  Type global = LLVM::LLVMPointerType::get(ctx, kGlobalSpace);
  SmallVector<Type> types(sizes, i64);
  types.append(bindings + object.usesErrorWord, global);
  auto f =
      func::FuncOp::create(b, loc, object.name, b.getFunctionType(types, {}));
  for (unsigned i = 0; i < sizes; ++i) {
    APInt lo(64, k.getSizeMin()[i]), hi(64, k.getSizeMax()[i]);
    f.setArgAttr(i, "llvm.range",
                 LLVM::ConstantRangeAttr::get(ctx, lo, hi + 1));
  }
  for (unsigned i = 0; i < bindings; ++i) {
    f.setArgAttr(sizes + i, "llvm.noalias", b.getUnitAttr());
    f.setArgAttr(sizes + i, "llvm.nocapture", b.getUnitAttr());
    if (k.getAccessOf(i) == kernel::Access::in)
      f.setArgAttr(sizes + i, "llvm.readonly", b.getUnitAttr());
    Type element = cast<MemRefType>(k.getBinding(i).getType()).getElementType();
    int64_t align = k.getAlign()[i];
    if (!align && element.isIntOrFloat())
      align = llvm::PowerOf2Ceil(
          llvm::divideCeil(element.getIntOrFloatBitWidth(), 8));
    if (align)
      f.setArgAttr(sizes + i, "llvm.align", b.getI64IntegerAttr(align));
  }

  Block *entry = f.addEntryBlock();
  b.setInsertionPointToStart(entry);
  SmallVector<Value> arguments(entry->getArguments());
  for (unsigned i = 0; i < sizes; ++i)
    arguments[i] = bounded(
        b, loc,
        arith::IndexCastOp::create(b, loc, b.getIndexType(), arguments[i]),
        k.getSizeMax()[i]);
  IRMapping map;
  mapArguments(b, k, arguments, map);
  for (Operation &op : k.getBody().front().without_terminator())
    b.clone(op, map);
  func::ReturnOp::create(b, loc);
  std::optional<uint64_t> group = k.getGroup();
  k.erase();

  SmallVector<kernel::ShuffleOp> shuffles;
  f.walk([&](kernel::ShuffleOp op) { shuffles.push_back(op); });
  for (kernel::ShuffleOp op : shuffles)
    if (failed(lowerShuffle(op, info, facts)))
      return failure();
  SmallVector<Operation *> own;
  f.walk([&](Operation *op) {
    if (isa<kernel::KernelDialect>(op->getDialect()))
      own.push_back(op);
  });
  int64_t workgroup = 0;
  unsigned allocs = 0;
  for (Operation *op : own) {
    if (isa<kernel::GroupIdOp>(op)) {
      lowerCall(op, facts.groupId, facts, kMostGroups);
    } else if (isa<kernel::LaneIdOp>(op)) {
      lowerCall(op, facts.laneId, facts, *group - 1);
    } else if (auto barrier = dyn_cast<kernel::BarrierOp>(op)) {
      lowerBarrier(barrier, facts);
    } else if (auto fail = dyn_cast<kernel::FailIfOp>(op)) {
      lowerFailIf(fail, entry->getArguments().back(), object);
    } else if (auto alloc = dyn_cast<kernel::AllocOp>(op)) {
      std::string name = object.name + "_wg" + std::to_string(allocs++);
      if (failed(lowerAlloc(alloc, name, workgroup)))
        return failure();
    }
  }
  object.workgroupBytes = workgroup;
  if (workgroup > int64_t(info.workgroupBytes))
    return f.emitError("needs ") << workgroup << " bytes of workgroup memory, "
                                 << info.name << " has " << info.workgroupBytes;

  // Bindings lie in LLVM's address space 1 and a lane's own memory where the
  // vendor has it, before memrefs become pointers.
  AttrTypeReplacer spaces;
  spaces.addReplacement([&](MemRefType type) -> std::optional<Type> {
    unsigned space = type.getMemorySpaceAsInt();
    if (!type.getMemorySpace())
      space = kGlobalSpace;
    else if (space == kernel::kPrivateSpace)
      space = facts.privateSpace;
    else
      return std::nullopt;
    return MemRefType::get(type.getShape(), type.getElementType(),
                           type.getLayout(),
                           Builder(ctx).getI64IntegerAttr(space));
  });
  spaces.recursivelyReplaceElementsIn(f, /*replaceAttrs=*/true,
                                      /*replaceLocs=*/false,
                                      /*replaceTypes=*/true);
  return lowerLaneUnits(f, info, facts);
}

LogicalResult isthmus::lowerLanesToLLVM(ModuleOp module, const TargetInfo &info,
                                        const LanesFacts &facts,
                                        KernelObject &object) {
  auto kernels = llvm::to_vector(module.getOps<kernel::FuncOp>());
  if (kernels.size() != 1)
    return module.emitError("expected one kernel, found ") << kernels.size();
  kernel::FuncOp k = kernels.front();
  if (k.getForm() != kernel::Form::lanes)
    return k.emitError(info.name) << " takes form(lanes)";
  int32_t group = *k.getGroup();
  if (group > int64_t(info.maxGroup))
    return k.emitError("has ") << group << " lanes a workgroup, " << info.name
                               << " at most " << info.maxGroup;
  if (failed(makeFunction(k, info, facts, object)))
    return failure();
  PassManager pm(module.getContext());
  if (!facts.bf16) {
    arith::ArithEmulateUnsupportedFloatsOptions emulate;
    emulate.sourceTypeStrs = {"bf16"};
    emulate.targetTypeStr = "f32";
    pm.addPass(arith::createArithEmulateUnsupportedFloats(emulate));
  }
  // What is known to fit is computed in 32 bits.
  arith::ArithIntRangeNarrowingOptions narrow;
  narrow.bitwidthsSupported = {32};
  pm.addPass(createCanonicalizerPass());
  pm.addPass(arith::createArithIntRangeNarrowing(narrow));
  addPassesToLLVM(pm, info);
  if (failed(pm.run(module)))
    return failure();

  auto f = module.lookupSymbol<LLVM::LLVMFuncOp>(object.name);
  if (!facts.bf16)
    carryBF16(f);
  Builder b(module.getContext());
  f.setCConv(facts.kernelConvention);
  f.setNoUnwind(true);
  f.setReqdWorkGroupSize(SmallVector<int32_t>{group, 1, 1});
  SmallVector<Attribute> attributes;
  for (auto [name, value] : facts.attributes) {
    std::string text = value;
    for (size_t at; (at = text.find("{group}")) != std::string::npos;)
      text.replace(at, strlen("{group}"), std::to_string(group));
    attributes.push_back(b.getStrArrayAttr({name, text}));
  }
  f.setPassthroughAttr(b.getArrayAttr(attributes));
  return success();
}
