//===- ProgramControl.cpp - loops and branches of the host ----------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Pipelines/FunctionWriter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace isthmus;

/// What the runtime takes, see kMaxNesting.
static constexpr int kMaxNesting = 64;

LogicalResult FunctionWriter::enter(Operation *op) {
  if (++depth > kMaxNesting)
    return op->emitError("loops and branches are nested more than ")
           << kMaxNesting << " deep";
  return success();
}

SmallVector<uint32_t> FunctionWriter::registersFor(ValueRange values) {
  SmallVector<uint32_t> out;
  for (Value v : values)
    if (isa<TensorType>(v.getType())) {
      out.push_back(fn->buffer_regs++);
    } else {
      out.push_back(fn->int_regs++);
      afterRead.insert(out.back());
    }
  return out;
}

void FunctionWriter::name(ValueRange values, ArrayRef<uint32_t> registers) {
  for (auto [v, r] : llvm::zip_equal(values, registers))
    (isa<TensorType>(v.getType()) ? buffers : regs)[v] = r;
}

void FunctionWriter::assign(ArrayRef<uint32_t> registers, ValueRange values) {
  struct Move {
    bool tensor;
    uint32_t to, from;
  };
  SmallVector<Move> moves;
  for (auto [to, v] : llvm::zip_equal(registers, values)) {
    bool tensor = isa<TensorType>(v.getType());
    uint32_t from = tensor ? buffer(v) : reg(v);
    if (from != to)
      moves.push_back({tensor, to, from});
  }
  // One that is read after it was set: through another register.
  for (auto [i, m] : llvm::enumerate(moves))
    for (const Move &before : ArrayRef(moves).take_front(i))
      if (before.tensor == m.tensor && before.to == m.from) {
        uint32_t saved = m.tensor ? fn->buffer_regs++ : fn->int_regs++;
        emit(m.tensor ? I::bmove : I::move, saved, m.from);
        m.from = saved;
        break;
      }
  for (const Move &m : moves)
    emit(m.tensor ? I::bmove : I::move, m.to, m.from);
}

LogicalResult FunctionWriter::branch(scf::IfOp op) {
  if (failed(enter(op)))
    return failure();
  SmallVector<uint32_t> results = registersFor(op.getResults());
  uint32_t from = emit(I::if_, 0, reg(op.getCondition()));
  auto side = [&](Block &block) -> LogicalResult {
    if (failed(emitBlock(block)))
      return failure();
    assign(results, block.getTerminator()->getOperands());
    return success();
  };
  if (failed(side(*op.thenBlock())))
    return failure();
  if (op.elseBlock()) {
    uint32_t middle = emit(I::else_);
    setTarget(from, middle);
    from = middle;
    if (failed(side(*op.elseBlock())))
      return failure();
  }
  setTarget(from, emit(I::end_if));
  emit(I::nop);
  name(op.getResults(), results);
  leave();
  return success();
}

LogicalResult FunctionWriter::loop(scf::ForOp op) {
  if (failed(enter(op)))
    return failure();
  SmallVector<uint32_t> carried = registersFor(op.getResults());
  assign(carried, op.getInitArgs());
  auto first = getConstantIntValue(op.getLowerBound()),
       step = getConstantIntValue(op.getStep());
  uint32_t count = reg(op.getUpperBound());
  if (first != 0)
    count = binary(I::sub, count, reg(op.getLowerBound()));
  if (step != 1)
    count = binary(I::ceildiv, count, reg(op.getStep()));
  uint32_t i = fn->int_regs++;
  uint32_t begin = emit(I::loop, i, count);
  ++loops;
  if (step != 1)
    i = binary(I::mul, i, reg(op.getStep()));
  if (first != 0)
    i = binary(I::add, i, reg(op.getLowerBound()));
  regs[op.getInductionVar()] = i;
  name(op.getRegionIterArgs(), carried);
  if (failed(emitBlock(*op.getBody())))
    return failure();
  assign(carried, op.getBody()->getTerminator()->getOperands());
  setTarget(begin, emit(I::end_loop, 0, 0, begin));
  --loops;
  emit(I::nop);
  name(op.getResults(), carried);
  leave();
  return success();
}

LogicalResult FunctionWriter::loop(scf::WhileOp op) {
  if (failed(enter(op)))
    return failure();
  // What the condition's block takes, and what it passes to the body and, at
  // the end, to the results.
  SmallVector<uint32_t> carried = registersFor(op.getInits()),
                        passed = registersFor(op.getResults());
  assign(carried, op.getInits());
  uint32_t begin = emit(I::loop, fn->int_regs++,
                        constant(std::numeric_limits<int64_t>::max()));
  ++loops;
  name(op.getBeforeArguments(), carried);
  if (failed(emitBlock(*op.getBeforeBody())))
    return failure();
  scf::ConditionOp condition = op.getConditionOp();
  assign(passed, condition.getArgs());
  uint32_t leaves =
      emit(I::break_if, 0,
           binary(I::xor_, reg(condition.getCondition()), constant(1)));
  name(op.getAfterArguments(), passed);
  if (failed(emitBlock(*op.getAfterBody())))
    return failure();
  assign(carried, op.getYieldOp().getOperands());
  uint32_t end = emit(I::end_loop, 0, 0, begin);
  setTarget(begin, end);
  setTarget(leaves, end);
  --loops;
  emit(I::nop);
  name(op.getResults(), passed);
  leave();
  return success();
}
