//===- program.h - an artifact's variant made ready for a device ----------===//
#ifndef ISTHMUS_RUNTIME_CORE_PROGRAM_H
#define ISTHMUS_RUNTIME_CORE_PROGRAM_H

#include "device.h"
#include "plan.h"
#include "schema.h"
#include "zip.h"

namespace isthmus {
/// What calls want to know of a function, found once.
struct FunctionFacts {
  uint32_t operands; // index of its first input in ist_program::alignments
  bool errorWords;   // some kernel has one
  bool recordable;   // its commands follow from its sizes alone
  uint32_t nodes;    // index of its first launch in ist_program::nodes
};
} // namespace isthmus

/// Counted; immutable once load has returned.
struct ist_program {
  ~ist_program();
  /// After the container was opened.
  ist_status load(ist_device *device, int32_t variant, ist_error *error);

  const isthmus::fb::Function *function(uint32_t i) const {
    return program->functions()->Get(i);
  }
  uint32_t functionCount() const { return program->functions()->size(); }
  /// -1: none.
  int64_t find(const char *name) const;

  /// The model's nodes that a launch computes, as text, cut to `size`.
  void nodesText(const isthmus::fb::Launch &launch, char *out,
                 size_t size) const;
  /// The same, or null where no trace is written.
  const char *launchNodes(uint32_t function, uint32_t launch) const {
    return nodes.empty() ? nullptr : nodes[facts[function].nodes + launch];
  }
  /// For `init`.
  ist_status allocDerived(uint32_t index, uint64_t bytes, ist_error *error);

  int references = 1;
  isthmus::Zip zip;
  void *manifestCopy = nullptr; // when the one in the container is unaligned
  const isthmus::fb::Manifest *manifest = nullptr;
  const isthmus::fb::Program *program = nullptr;
  uint32_t variant = 0;
  isthmus::Array<char *> remarks;

  ist_device *device = nullptr; // null: for queries only
  ist_driver_module *module = nullptr;
  isthmus::Array<const ist_driver_kernel *> kernels;
  /// Where they are; no bytes: not used here. They belong to those below.
  isthmus::Array<ist_driver_memory> weights, derived;
  isthmus::Array<isthmus::Imported> mapped; // weights read in the artifact
  isthmus::Array<isthmus::Stored *> stored; // shared weights, by index
  isthmus::Stored *derivedStored = nullptr;
  isthmus::Array<isthmus::FunctionFacts> facts; // by function
  /// That kernels want of each input, then of each output, of every function.
  isthmus::Array<uint32_t> alignments;
  isthmus::Array<char *> nodes;                 // of all launches, for traces
  isthmus::Array<uint64_t> derivedSizes;
  isthmus::Array<uint8_t> derivedMade;

private:
  ist_status choose(int32_t wanted, ist_error *error);
  void remark(const char *line);
  ist_status findFacts(ist_error *error);
  ist_status findAlignments(uint32_t function, ist_error *error);
  ist_status loadCode(ist_error *error);
  ist_status loadWeights(ist_error *error);
  const uint8_t *weightData(uint32_t i) const;
  ist_status makeDerived(ist_error *error);
  ist_status runInit(ist_error *error);
  isthmus::Hash::Value derivedKey() const;
  void takeDerived();
};

namespace isthmus {

/// Checks inputs against the signature of `f` and gives its symbols their
/// values. Looks at no data.
ist_status bindInputs(const fb::Function &f, const ist_tensor *inputs,
                      size_t count, int64_t *symbols, ist_error *error);

/// Fills an output's dtype, rank, dims and bytes from final register values.
ist_status fillOutput(const fb::Tensor &t, const int64_t *regs,
                      ist_tensor *tensor, ist_error *error);

} // namespace isthmus

#endif // ISTHMUS_RUNTIME_CORE_PROGRAM_H
