//===- AttentionGroup.h - scores, softmax, weighted sum --------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Attention as the operations that it is made of: a product of queries and
// keys, an elementwise operation over the scores (scale, mask, cap; may be
// missing), softmax along the keys, and a product with the values. As one
// kernel the scores are never in memory.
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_ATTENTIONGROUP_H
#define ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_ATTENTIONGROUP_H

#include "dialects/Kernel/Kernel.h"
#include "dialects/Kernel/Transforms/VectorBody.h"
#include "targets/Target.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace isthmus::kernel {

struct AttentionGroup {
  mlir::linalg::GenericOp scores, bias, max, exp, sum, weights, output;
  unsigned biasOperand = 0; // of `bias`: the scores
  /// Operand numbers, of `scores` and of `output`.
  unsigned query = 0, key = 0, weight = 0, value = 0;
  /// Dims of the scores' tensor, whose last one is the key's: those that keys
  /// and values have as well, and those that name a query among them.
  llvm::SmallVector<unsigned> batch, queries;
  llvm::SmallVector<unsigned> depth; // loops of `scores` that it sums over
  /// Of `output`: the loop of each dim of the scores, and the other loops.
  llvm::SmallVector<unsigned> outputLoop, width;

  unsigned rank() const { return outputLoop.size(); }
  /// In memory: keys are contiguous from key to key, values along the width.
  bool keysLieAlong() const;
  bool valuesLieAlong() const;
  /// In order.
  llvm::SmallVector<mlir::linalg::GenericOp> ops() const;
};

/// The attention that `output` ends; "", or why it is none.
std::string findAttention(mlir::linalg::GenericOp output,
                          AttentionGroup &group);
/// The attention that a form(tensor) kernel is, and what its epilogue is.
std::string findAttention(FuncOp kernel, AttentionGroup &group,
                          Epilogue &epilogue);

/// How a workgroup takes it: so many queries and keys at a time, the head's
/// sizes rounded up.
struct AttentionTile {
  int64_t queries, keys, depth, width, lanes;
  const MatrixUnit *unit; // or null: by multiply-add in f32
  mlir::Type type;        // of what is multiplied
  int64_t slots = 1;      // of keys and values
  /// Of a unit: how keys and values lie, depth x keys and keys x width or
  /// turned.
  bool alongKeys = false, alongWidth = false;
  /// Elements from row to row of a tile that is multiplied: padded for a unit,
  /// so that its fragments come from different banks.
  int64_t pitch(int64_t columns) const {
    return unit ? columns + 128 / type.getIntOrFloatBitWidth() : columns;
  }
  /// Of keys as depth x keys: those of multiply-add are padded, too.
  int64_t keyPitch() const { return unit ? pitch(keys) : keys + 1; }
};
/// "", or why the target is better served by several kernels.
std::string chooseAttentionTile(const AttentionGroup &group,
                                const TargetInfo &info, AttentionTile &tile);

} // namespace isthmus::kernel

#endif // ISTHMUS_DIALECTS_KERNEL_TRANSFORMS_ATTENTIONGROUP_H
