//===- Model.h - an ONNX file in memory ---------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_LIB_IMPORT_MODEL_H
#define ISTHMUS_LIB_IMPORT_MODEL_H

#include "lib/Import/DType.h"
#include "onnx.pb.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/MemoryBuffer.h"

#include <memory>
#include <string>
#include <vector>

namespace isthmus {

/// Where a tensor's bytes lie, little-endian and row-major.
struct FileRange {
  std::string file;
  int64_t offset = 0;
  int64_t bytes = 0;
};

/// The parsed model, and the file it came from.
class Model {
public:
  static llvm::Expected<std::unique_ptr<Model>> open(llvm::StringRef path);

  const onnx::ModelProto &proto() const { return model; }

  /// The tensor's dims; refuses negative and overflowing ones.
  static llvm::Expected<llvm::SmallVector<int64_t>>
  dims(const onnx::TensorProto &tensor);

  /// The bytes by reference, when the file has them as they are in memory;
  /// nothing for those stored as varints. An error for external data that is
  /// missing, outside its file or outside the model's folder.
  llvm::Expected<std::optional<FileRange>>
  locate(const onnx::TensorProto &tensor) const;

  /// The bytes, decoded; bools are one byte each.
  llvm::Expected<std::vector<char>>
  bytes(const onnx::TensorProto &tensor) const;

private:
  llvm::Expected<FileRange> external(const onnx::TensorProto &tensor) const;

  std::string path;
  std::unique_ptr<llvm::MemoryBuffer> buffer;
  onnx::ModelProto model;
  /// Offsets in the model's file, of raw_data and packed floats and doubles.
  llvm::DenseMap<const onnx::TensorProto *, std::pair<int64_t, int64_t>>
      offsets;
  /// Those whose bytes were dropped from the message after parsing.
  llvm::DenseSet<const onnx::TensorProto *> onlyInFile;
  friend class OffsetFinder;
};

} // namespace isthmus

#endif // ISTHMUS_LIB_IMPORT_MODEL_H
