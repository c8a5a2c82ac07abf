//===- npy.h - reads and writes .npy files ----------------------*- C++ -*-===//
#ifndef ISTHMUS_TOOLS_NPY_H
#define ISTHMUS_TOOLS_NPY_H

#include "isthmus/runtime.h"

#include <string>

namespace isthmus::tools {

/// A tensor and its memory, aligned so that the runtime need not copy it.
class OwnedTensor {
public:
  OwnedTensor() = default;
  OwnedTensor(OwnedTensor &&other) noexcept { *this = std::move(other); }
  OwnedTensor &operator=(OwnedTensor &&other) noexcept;
  ~OwnedTensor();
  /// Of `tensor`'s dtype, rank and dims. False: no memory.
  bool allocate();

  ist_tensor tensor = {};
};

/// Reads `path` as `dtype`. NumPy has no bfloat16: for bf16 any 2-byte type
/// that is unsigned or opaque will do. False: `err` says why.
bool readNpy(const std::string &path, ist_dtype dtype, OwnedTensor *out,
             std::string &err);

/// bf16 is written as uint16.
bool writeNpy(const std::string &path, const ist_tensor &tensor,
              std::string &err);

} // namespace isthmus::tools

#endif // ISTHMUS_TOOLS_NPY_H
