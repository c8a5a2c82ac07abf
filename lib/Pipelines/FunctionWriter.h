//===- FunctionWriter.h - one host function's commands ---------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_LIB_PIPELINES_FUNCTIONWRITER_H
#define ISTHMUS_LIB_PIPELINES_FUNCTIONWRITER_H

#include "lib/Pipelines/ProgramWriter.h"

#include "dialects/Graph/Graph.h"
#include "dialects/Hal/Hal.h"
#include "dialects/Kernel/Kernel.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <map>
#include <set>

namespace isthmus {

/// The type of elements in memory; `name` tells u8 from i8.
fb::DType dtypeOf(mlir::Type type);
fb::DType dtypeNamed(llvm::StringRef name, mlir::Type type);
int64_t elementBytes(mlir::Type type);

/// The tensor whose memory `v` is, through reshapes.
mlir::Value rootOf(mlir::Value v);

/// What the functions of a program share.
struct ProgramTables {
  fb::ProgramT &program;
  const llvm::StringMap<KernelFacts> &facts;
  WeightTable &weights;
  llvm::StringMap<uint32_t> strings, kernels;
  llvm::StringMap<kernel::FuncOp> kernelOps;

  const KernelFacts &factsOf(llvm::StringRef kernel) const {
    static const KernelFacts none;
    auto it = facts.find(kernel);
    return it == facts.end() ? none : it->second;
  }
  uint32_t addString(llvm::StringRef text);
  void addKernel(kernel::FuncOp k);
};

/// Writes one function: integers (ProgramIntegers.cpp) and tensors
/// (ProgramBuffers.cpp, ProgramOutputs.cpp) get registers, scf operations
/// become structured commands (ProgramControl.cpp).
class FunctionWriter {
public:
  FunctionWriter(ProgramTables &tables, mlir::func::FuncOp func)
      : tables(tables), func(func) {}

  mlir::FailureOr<std::unique_ptr<fb::FunctionT>> write();

private:
  using I = fb::Op;
  uint32_t emit(I op, uint32_t dst = 0, uint32_t a = 0, uint32_t b = 0,
                uint32_t c = 0) {
    fn->code.push_back(fb::Instr(op, dst, a, b, c));
    return fn->code.size() - 1;
  }
  void setTarget(uint32_t at, uint32_t target) {
    const fb::Instr &i = fn->code[at];
    fn->code[at] = fb::Instr(i.op(), i.dst(), i.a(), target, i.c());
  }
  /// Before everything else: what is used in several branches.
  void emitFirst(I op, uint32_t dst, uint32_t a) {
    prologue.push_back(fb::Instr(op, dst, a, 0, 0));
  }
  mlir::LogicalResult emitOp(mlir::Operation *op);
  mlir::LogicalResult emitBlock(mlir::Block &block);
  mlir::LogicalResult signature();
  void results();
  void resultTensors();
  void placePrologue();

  // Integers.
  uint32_t constant(int64_t v);
  uint32_t binary(I op, uint32_t a, uint32_t b);
  uint32_t reg(mlir::Value v);
  uint32_t expr(mlir::AffineExpr e, mlir::ArrayRef<uint32_t> symbols);
  mlir::FailureOr<uint32_t> integerOp(mlir::Operation *op);

  // Tensors.
  uint32_t buffer(mlir::Value v);
  uint32_t byteSize(mlir::Value v);
  uint32_t rowBytes(mlir::Value v);
  uint32_t transient(uint32_t size);
  mlir::SmallVector<mlir::OpFoldResult> sizesOf(mlir::Value v);
  uint32_t product(int64_t fixed, mlir::ArrayRef<mlir::OpFoldResult> sizes);
  uint32_t size(mlir::OpFoldResult v);
  mlir::LogicalResult launch(hal::LaunchOp op);
  uint32_t result(mlir::OpResult v);
  bool canBeMadeNow(unsigned output, mlir::Operation *op);
  mlir::BlockArgument placeOf(unsigned output);
  mlir::LogicalResult insert(mlir::tensor::InsertSliceOp op);
  void extract(mlir::tensor::ExtractSliceOp op);
  void read(graph::ReadOp op);
  llvm::DenseSet<uint32_t> partsOfBuffers();
  mlir::DenseMap<uint32_t, std::set<uint32_t>> placesInBuffers();
  void deliver();

  // Control flow.
  mlir::LogicalResult branch(mlir::scf::IfOp op);
  mlir::LogicalResult loop(mlir::scf::ForOp op);
  mlir::LogicalResult loop(mlir::scf::WhileOp op);
  mlir::LogicalResult enter(mlir::Operation *op);
  void leave() { --depth; }
  /// New registers for values that several places set.
  mlir::SmallVector<uint32_t> registersFor(mlir::ValueRange values);
  void name(mlir::ValueRange values, mlir::ArrayRef<uint32_t> registers);
  /// Sets registers to the values of `values`, all at once.
  void assign(mlir::ArrayRef<uint32_t> registers, mlir::ValueRange values);

  ProgramTables &tables;
  mlir::func::FuncOp func;
  mlir::func::ReturnOp ret;
  std::unique_ptr<fb::FunctionT> fn;
  std::vector<fb::Instr> prologue;
  bool isInit = false;
  int depth = 0, loops = 0;
  mlir::DenseMap<mlir::Value, uint32_t> regs, buffers;
  std::map<int64_t, uint32_t> constants; // a DenseMap takes no INT64_MAX
  llvm::DenseSet<uint32_t> afterRead;    // registers that the device decides
  mlir::SmallVector<bool> outputDone;
};

} // namespace isthmus

#endif // ISTHMUS_LIB_PIPELINES_FUNCTIONWRITER_H
