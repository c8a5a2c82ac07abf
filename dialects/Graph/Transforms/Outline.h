//===- Outline.h - from graph functions to kernels and launches -*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_OUTLINE_H
#define ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_OUTLINE_H

#include "targets/Target.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"

namespace isthmus::graph {

/// Every tensor operation of the module's functions becomes a kernel.func in
/// form(tensor) and a hal.launch. Equal kernels are made once; a kernel's name
/// is a hash of its canonical text.
/// With `fuse`, operations share kernels as formGroups says (Groups.h); what
/// others read of a group becomes results of its launch.
/// After: functions hold hal, arith, graph.weight, reshape, read and check, and
/// with loops or branches scf, tensor.empty and tensor.insert_slice and
/// extract_slice of rows.
///
/// A function made by addCompareFunctions gets, behind each launch outside of
/// loops and branches, launches of its reference: the same operations on the
/// same operands, one a kernel, to be planned as simply as can be
/// (isReferenceKernel). It returns, after its own results and for each launch
/// `i`, its operands "launch.i.in.j", its results "launch.i.out.j" and what
/// they should be, "launch.i.ref.j".
mlir::LogicalResult outlineKernels(mlir::ModuleOp module,
                                   const TargetInfo &info, bool fuse);

/// Clones @main and @init to @main.compare and @init.compare, before outlining.
void addCompareFunctions(mlir::ModuleOp module);
bool isReferenceKernel(llvm::StringRef name);

/// Erases unused operations, in loops and branches too.
void eraseDead(mlir::func::FuncOp func);

} // namespace isthmus::graph

#endif // ISTHMUS_DIALECTS_GRAPH_TRANSFORMS_OUTLINE_H
