//===- Importer.h - values, scopes and the walk over a model -*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_LIB_IMPORT_IMPORTER_H
#define ISTHMUS_LIB_IMPORT_IMPORTER_H

#include "lib/Import/IndexMath.h"
#include "lib/Import/Model.h"
#include "lib/Import/OnnxImporter.h"

#include "mlir/IR/BuiltinAttributes.h"

#include <deque>

namespace isthmus {

class Registry;

/// What the importer knows about one ONNX value.
struct ImportValue {
  std::string name;
  DType dtype = DType::undefined;
  /// One per dim: an index attribute, or the SSA index that is the size.
  Sizes sizes;
  /// Null until somebody needs it: see Importer::tensor.
  mlir::Value tensor;
  /// The elements, when the host knows them: integers and bools of rank <= 1
  /// and at most kMaxScalars elements. Unsigned ones are zero-extended.
  std::optional<Sizes> scalars;
  /// Data of the model's file, not turned into a tensor yet.
  const onnx::TensorProto *proto = nullptr;
  /// The elements, when they are constant and somebody asked.
  mlir::DenseElementsAttr constant;
  /// Where the value was made: what is derived lazily is kept only there.
  mlir::Block *home = nullptr;
  /// A sequence: its elements are known here, there are none at run time. An
  /// optional is its element, or `absent`.
  std::optional<llvm::SmallVector<ImportValue *>> list;
  bool absent = false;
  /// Made by a node that failed; its users are skipped without a diagnostic.
  bool poisoned = false;

  int64_t rank() const { return sizes.size(); }
  std::optional<int64_t> dim(int64_t i) const {
    return IndexMath::known(sizes[i]);
  }
  /// The number of elements when all sizes are known.
  std::optional<int64_t> count() const;
};

inline constexpr int64_t kMaxScalars = 64;
inline constexpr int64_t kMaxInlineConstant = 32;
inline constexpr int64_t kMaxUnrolledNodes = 200000;

/// Why a tensor of this type cannot exist, whatever its dynamic sizes are; ""
/// when it can. Below the limit, counts and byte offsets do not overflow.
std::string tooLarge(DType dtype, llvm::ArrayRef<OpFoldResult> sizes);

/// The names one graph or function body can see.
struct Scope {
  Scope *parent = nullptr; // null for the main graph and for functions
  llvm::StringMap<ImportValue *> values;
  llvm::StringMap<int64_t> opsets; // by domain, "" for ai.onnx
  std::string prefix;              // of node names, inside functions: "caller/"
  int functionDepth = 0;

  ImportValue *find(llvm::StringRef name) const;
};

/// Importer.cpp walks the graph; Values.cpp makes values, Signature.cpp the
/// inputs and outputs, Functions.cpp inlines the model's functions.
class Importer {
public:
  Importer(const Model &model, mlir::MLIRContext &context,
           const OnnxImportOptions &options,
           llvm::SmallVectorImpl<ImportDiagnostic> &diags);

  ~Importer();

  mlir::OwningOpRef<mlir::ModuleOp> run();

  /// Imports the nodes of a subgraph at the builder's insertion point. The
  /// caller has put the graph's inputs into `scope`. Gives the outputs.
  mlir::LogicalResult importBody(const onnx::GraphProto &graph, Scope &scope,
                                 llvm::SmallVectorImpl<ImportValue *> &outputs);

  ImportValue *newValue(DType dtype, Sizes sizes, mlir::Value tensor = {});
  ImportValue *newScalars(DType dtype, Sizes elements, int64_t rank);
  /// A tensor's size or an iteration's number, which no type cuts off.
  void markSize(OpFoldResult size);
  /// A value that `dtype` holds.
  void markInRange(OpFoldResult value, DType dtype);
  ImportValue *newConstant(const onnx::TensorProto &proto,
                           llvm::StringRef name); // null after a diagnostic
  /// The tensor of a value; makes it when needed.
  mlir::Value tensor(ImportValue &value);
  /// The elements of a constant, or null.
  mlir::DenseElementsAttr constant(ImportValue &value);
  mlir::RankedTensorType tensorType(DType dtype,
                                    llvm::ArrayRef<OpFoldResult> sizes);

  void report(ImportDiagnostic diag) { diags.push_back(std::move(diag)); }
  size_t numDiagnostics() const { return diags.size(); }
  /// Forgets all after the first `n`.
  void forgetDiagnostics(size_t n) { diags.truncate(n); }
  /// Takes an operation out of the module. It and what it holds stay valid
  /// until the importer ends.
  void putAside(mlir::Operation *op);
  void modelError(llvm::StringRef code, const llvm::Twine &reason,
                  llvm::StringRef nextStep = "");

  /// Nodes of subgraphs and functions imported so far: a small file must not
  /// unfold into more than anyone can compile.
  int64_t unrolledNodes = 0;
  bool outOfNodes() const { return unrolledNodes > kMaxUnrolledNodes; }

  mlir::OpBuilder b;
  mlir::Location loc;
  IndexMath idx;
  const Model &model;

private:
  mlir::LogicalResult
  importNodes(const google::protobuf::RepeatedPtrField<onnx::NodeProto> &nodes,
              Scope &scope);
  void importNode(const onnx::NodeProto &node, int index, Scope &scope);
  mlir::LogicalResult
  callFunction(const onnx::FunctionProto &function, const onnx::NodeProto &node,
               Scope &scope, llvm::ArrayRef<ImportValue *> inputs,
               llvm::SmallVectorImpl<ImportValue *> &results);
  mlir::LogicalResult importInitializers(const onnx::GraphProto &graph,
                                         Scope &scope);
  mlir::LogicalResult importInputs(const onnx::GraphProto &graph, Scope &scope);
  mlir::LogicalResult importOutputs(const onnx::GraphProto &graph,
                                    Scope &scope);
  /// By host arithmetic, of sizes and constants alone.
  bool madeOfSizes(OpFoldResult v);
  OpFoldResult wrapped(OpFoldResult element, DType dtype);
  const onnx::FunctionProto *findFunction(const onnx::NodeProto &node) const;
  mlir::DenseElementsAttr decode(const onnx::TensorProto &proto,
                                 mlir::RankedTensorType type);

  const OnnxImportOptions &options;
  llvm::SmallVectorImpl<ImportDiagnostic> &diags;
  const Registry &registry;
  std::deque<ImportValue> arena;
  std::deque<onnx::NodeProto> boundNodes; // with their function's attributes
  llvm::DenseSet<mlir::Value> knownSizes;
  llvm::DenseSet<std::pair<mlir::Value, DType>> inRange;
  void eraseAside();

  mlir::OwningOpRef<mlir::ModuleOp> module;
  llvm::SmallVector<mlir::Operation *> aside;
  mlir::Operation *mainFunc = nullptr;
};

} // namespace isthmus

#endif // ISTHMUS_LIB_IMPORT_IMPORTER_H
