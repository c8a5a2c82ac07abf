//===- NodeContext.h - what an operator's handler sees -------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_LIB_IMPORT_NODECONTEXT_H
#define ISTHMUS_LIB_IMPORT_NODECONTEXT_H

#include "lib/Import/Importer.h"
#include "lib/Import/Registry.h"

namespace isthmus {

/// One node being imported. Everything in it comes from an untrusted file: a
/// handler checks ranks, types and lengths before it builds, and ends with
/// `return c.invalid(..)` (the node breaks the ONNX rules) or
/// `return c.unsupported(..)` (we cannot do this form of it).
class NodeContext {
public:
  NodeContext(Importer &importer, const onnx::NodeProto &node, std::string name,
              int64_t opset, Scope &scope,
              llvm::SmallVector<ImportValue *> inputs)
      : importer(importer), b(importer.b), loc(importer.loc), idx(importer.idx),
        opset(opset), node(node), scope(scope), name(std::move(name)),
        inputs(std::move(inputs)), results(node.output_size(), nullptr) {}

  // Inputs. `in` and `tensor` need has(i), which the registry's minInputs
  // promises for the first ones.
  int numInputs() const { return inputs.size(); }
  bool has(int i) const { return i < numInputs() && inputs[i]; }
  ImportValue &in(int i) const { return *inputs[i]; }
  llvm::ArrayRef<ImportValue *> ins() const { return inputs; }
  mlir::Value tensor(int i) { return importer.tensor(in(i)); }
  mlir::Value tensor(ImportValue &v) { return importer.tensor(v); }
  /// The elements of a constant input, or null.
  mlir::DenseElementsAttr constant(int i) { return importer.constant(in(i)); }

  /// The integers of input `i` on the host: known, or read from the device
  /// (a wait). Fails, with a diagnostic, when their number is not static.
  mlir::FailureOr<Sizes> hostInts(int i);
  /// The same of a value that the handler made.
  mlir::FailureOr<Sizes> hostInts(ImportValue &v, const llvm::Twine &what);
  /// The integers of input `i`; a diagnostic when they are not constant.
  mlir::FailureOr<llvm::SmallVector<int64_t>> constInts(int i);
  /// The same for floats.
  mlir::FailureOr<llvm::SmallVector<double>> constFloats(int i);
  /// Integers that newer opsets take as input `i`, and older ones as an
  /// attribute. Nothing when neither is there.
  mlir::FailureOr<std::optional<llvm::SmallVector<int64_t>>>
  constIntsOrAttr(int i, llvm::StringRef attr);

  // Attributes. One of a wrong type fails the node when the handler returns.
  bool hasAttr(llvm::StringRef name) const { return findAttr(name); }
  int64_t intAttr(llvm::StringRef name, int64_t otherwise);
  double floatAttr(llvm::StringRef name, double otherwise);
  std::string stringAttr(llvm::StringRef name, llvm::StringRef otherwise);
  std::optional<llvm::SmallVector<int64_t>> intsAttr(llvm::StringRef name);
  std::optional<llvm::SmallVector<double>> floatsAttr(llvm::StringRef name);
  const onnx::TensorProto *tensorAttr(llvm::StringRef name);
  const onnx::GraphProto *graphAttr(llvm::StringRef name);
  const onnx::AttributeProto *findAttr(llvm::StringRef name) const;

  /// 0 <= axis < rank, from a possibly negative one; a diagnostic otherwise.
  mlir::FailureOr<int64_t> axis(int64_t axis, int64_t rank);
  /// The same for a list, sorted; refuses repeats.
  mlir::FailureOr<llvm::SmallVector<int64_t>> axes(llvm::ArrayRef<int64_t> list,
                                                   int64_t rank);

  // Results.
  int numOutputs() const { return results.size(); }
  bool wants(int i) const {
    return i < numOutputs() && !node.output(i).empty();
  }
  mlir::LogicalResult result(ImportValue *value, int i = 0);
  mlir::LogicalResult result(mlir::FailureOr<ImportValue *> value, int i = 0);
  llvm::ArrayRef<ImportValue *> all() const { return results; }

  // Diagnostics; each returns failure().
  mlir::LogicalResult invalid(const llvm::Twine &reason);
  mlir::LogicalResult unsupported(const llvm::Twine &reason,
                                  llvm::StringRef nextStep = "");
  mlir::LogicalResult error(llvm::StringRef code, const llvm::Twine &reason,
                            llvm::StringRef nextStep);
  /// Diagnoses and fails unless the input's type is a float (an integer).
  mlir::LogicalResult requireFloat(int i);
  mlir::LogicalResult requireSameType(int i, int j);
  /// Stops the call at run time when `condition` is 0; diagnoses now when that
  /// is known.
  mlir::LogicalResult check(OpFoldResult condition, const llvm::Twine &message);

  llvm::StringRef op() const { return node.op_type(); }

  Importer &importer;
  mlir::OpBuilder &b;
  mlir::Location &loc;
  IndexMath &idx;
  const int64_t opset;
  const onnx::NodeProto &node;
  Scope &scope;
  const std::string name;
  bool failed = false;

private:
  const onnx::AttributeProto *typed(llvm::StringRef name,
                                    onnx::AttributeProto::Kind kind);

  llvm::SmallVector<ImportValue *> inputs;
  llvm::SmallVector<ImportValue *> results;
};

} // namespace isthmus

#endif // ISTHMUS_LIB_IMPORT_NODECONTEXT_H
