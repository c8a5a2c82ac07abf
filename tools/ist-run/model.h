//===- model.h - what the tools share: load, fill, show ---------*- C++ -*-===//
#ifndef ISTHMUS_TOOLS_MODEL_H
#define ISTHMUS_TOOLS_MODEL_H

#include "isthmus/runtime.hpp"
#include "npy.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace isthmus::tools {

/// Why something could not be done, for the user.
struct Failure {
  ist_status code = IST_OK;
  std::string message;
};

/// Sizes by symbol name, from --shape=batch=4,seq=128.
using Shapes = std::map<std::string, int64_t>;
bool parseShapes(const std::vector<std::string> &args, Shapes *out,
                 std::string &err);

/// A program, and one of its functions described.
struct Model {
  /// `device` may be empty for the default one; with `inspect` none is opened.
  bool load(const std::string &path, const std::string &device, int variant,
            bool inspect, Failure &failure);
  bool select(const std::string &function, Failure &failure);

  /// The sizes of all symbols of the function: those in `shapes`, else the
  /// smallest that is allowed and not 0. An unknown name is an error.
  bool sizes(const Shapes &shapes, std::vector<int64_t> *out,
             Failure &failure) const;
  /// Input `i` without data.
  ist_tensor shaped(size_t i, const std::vector<int64_t> &symbols) const;

  Device device;
  Program program;
  std::string name; // of the function
  uint32_t index = 0;
  ist_function_info info = {};
  std::vector<ist_symbol_info> symbols;
  std::vector<ist_tensor_info> inputs, outputs;
};

/// Floats are uniform in [-1, 1), integers and booleans 0 or 1, so that they
/// are good indices too. The same seed and shape give the same values.
bool randomTensor(const ist_tensor &shape, uint64_t seed, OwnedTensor *out);

/// A function of an artifact, ready to be called on random inputs.
struct RandomCall {
  bool prepare(const std::string &path, const std::string &device, int variant,
               const std::string &function,
               const std::vector<std::string> &shapes, uint64_t seed,
               Failure &failure);
  bool call(Failure &failure);

  Model model;
  Session session;
  std::vector<int64_t> symbols;

private:
  std::vector<OwnedTensor> owned;
  std::vector<ist_tensor> inputs, outputs;
};

/// Element `i`, row-major.
double element(const ist_tensor &tensor, size_t i);

/// "f32[4,batch]"
std::string typeText(const ist_tensor_info &info,
                     const std::vector<ist_symbol_info> &symbols);
/// "f32[4,3] min -1 max 2 mean 0.1: 0.5, 0.25, ..."
std::string summary(const ist_tensor &tensor);

} // namespace isthmus::tools

#endif // ISTHMUS_TOOLS_MODEL_H
