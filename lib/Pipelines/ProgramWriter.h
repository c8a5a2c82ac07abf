//===- ProgramWriter.h - host functions to programs ------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_LIB_PIPELINES_PROGRAMWRITER_H
#define ISTHMUS_LIB_PIPELINES_PROGRAMWRITER_H

#include "dialects/Kernel/Transforms/Work.h"
#include "targets/Target.h"

#include "lib/Artifact/program_generated.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/raw_ostream.h"

namespace isthmus {

/// The weights of an artifact, each once, shared by all its variants.
class WeightTable {
public:
  struct Entry {
    std::string name;
    std::string file; // empty: `data` holds the bytes
    uint64_t offset = 0, bytes = 0;
    std::vector<char> data;
    fb::DType dtype;
    std::vector<int64_t> dims;
  };
  /// The index of the weight that a graph.weight or a constant tensor is.
  uint32_t add(mlir::Operation *op);
  const std::vector<Entry> &entries() const { return list; }

private:
  std::vector<Entry> list;
  llvm::StringMap<uint32_t> byKey;
};

/// What the writer must know of a compiled kernel.
struct KernelFacts {
  std::vector<std::string> errors;
  bool usesErrorWord = false;
  int64_t workgroupBytes = 0;
  kernel::Work work;
  Registers registers;
  std::vector<std::string> declined; // plans, and why not
};

/// Turns the functions of `module` (after outlining and planning: the kernels
/// are in the target's form) into a program. Diagnostics go on the ops.
mlir::FailureOr<std::unique_ptr<fb::ProgramT>>
writeProgram(mlir::ModuleOp module, const TargetInfo &info,
             const llvm::StringMap<KernelFacts> &facts, WeightTable &weights);

/// What people may want to know of each kernel but its plans, a remark a line.
void remarkKernels(const fb::ProgramT &program, llvm::raw_ostream &out);

/// The program's commands as text, for people and tests.
void printProgram(const fb::ProgramT &program, llvm::raw_ostream &out);

/// The model's nodes that a location names, in order.
std::vector<std::string> nodesOf(mlir::Location loc);

} // namespace isthmus

#endif // ISTHMUS_LIB_PIPELINES_PROGRAMWRITER_H
