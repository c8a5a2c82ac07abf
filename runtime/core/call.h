//===- call.h - one call of a program's function --------------------------===//
//
// A call binds its arguments (arguments.cpp), gives the device its commands,
// which come from the interpreter (interpret.cpp, commands.cpp) or from a
// recording (replay.cpp), and finishes its outputs (finish.cpp). The
// interpreter also makes the recordings: then it runs without giving the device
// anything.
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_RUNTIME_CORE_CALL_H
#define ISTHMUS_RUNTIME_CORE_CALL_H

#include "session.h"

namespace isthmus {

/// Checks that there is memory behind tensors whose sizes were bound, and gives
/// inout outputs theirs.
ist_status checkTensors(const fb::Function &f, const ist_tensor *inputs,
                        ist_tensor *outputs, size_t outputCount,
                        ist_error *error);

class Call {
public:
  Call(ist_session &session, uint32_t index, Frame &frame, ist_error *error);

  /// Checks the arguments and gives the device the commands.
  ist_status begin(const ist_tensor *inputs, size_t inputCount,
                   ist_tensor *outputs, size_t outputCount);
  /// Waits, and gives the caller what he gets: that is publish and observe.
  ist_status complete();
  /// Outputs that the runtime allocates are the session's from now on.
  ist_status publish();
  /// The commands have ended. Uses nothing of the session's that changes.
  ist_status observe();
  /// Is nothing left to be done by the host when they have?
  bool isPure() const;
  /// What the first calls with such inputs would do late.
  ist_status prepare(const ist_tensor *inputs, size_t inputCount, bool record);

private:
  // arguments.cpp
  ist_status bindSizes(const ist_tensor *inputs, size_t inputCount,
                       ist_session::Shape **shape);
  ist_status bindOperands(const ist_tensor *inputs, ist_tensor *outputs,
                          size_t outputCount);
  void classify();
  ist_status placeInputs();
  /// Gives an output memory of `bytes` that kernels can write.
  ist_status placeOutput(uint32_t output, uint64_t bytes);
  /// Gives an indirect output the memory that it is copied to.
  ist_status placeOuter(uint32_t output, uint64_t bytes);
  ist_status tooSmall(uint32_t output, uint64_t bytes);
  ist_status acquire(Pool &pool, uint64_t bytes, uint32_t *block);

  // interpret.cpp
  ist_status interpret();
  ist_status step(uint32_t *next);
  ist_status integer(const fb::Instr &i);
  ist_status alloc(const fb::Instr &i);
  ist_status allocOutput(const fb::Instr &i);
  ist_status allocDerived(const fb::Instr &i);
  ist_status poison(const Buffer &x);
  ist_status view(const fb::Instr &i);
  ist_status setOutput(const fb::Instr &i);
  ist_status launch(const fb::Instr &i);
  ist_status copy(const fb::Instr &i);
  ist_status fill(const fb::Instr &i);
  ist_status read(const fb::Instr &i);
  ist_status profiled(const ist_launch &launch, const char *name,
                      uint32_t index);
  /// Takes over `value`'s reference.
  void assign(Buffer &place, const Buffer &value);
  void retain(const Buffer &x);
  void drop(Buffer &x);
  void endTransients();
  ist_status unset(uint32_t reg);
  ist_status size(uint32_t reg, const char *what, uint64_t *out);
  /// To the device, or to the recording that is being made.
  ist_status giveCopy(Place to, Place from, uint64_t bytes);
  ist_status tooLong();

  // replay.cpp
  ist_status record(ist_session::Recorded &recorded);
  ist_status replay(Recording &recording);
  /// Gives the recording's slots this call's addresses.
  void patchAll(Recording &recording);

  // finish.cpp
  ist_status finishOutputs();
  ist_status finishOutput(uint32_t i, ist_tensor *out);
  ist_status checkErrorWords();
  ist_status interrupted();
  ist_status late();
  /// A wait ended with `status`: says what was in flight.
  ist_status waited(ist_status status);

  uint32_t inputs() const { return count(f.inputs()); }
  uint32_t outputs() const { return count(f.outputs()); }
  /// Of an output: the operand that it is.
  uint32_t operandOf(uint32_t output) const {
    int32_t inout = f.outputs()->Get(output)->inout();
    return inout >= 0 ? static_cast<uint32_t>(inout) : inputs() + output;
  }
  uint32_t operands() const { return inputs() + outputs(); }
  Place inner(uint32_t operand) const {
    return recording ? Place{kEmptyAddress, operand}
                     : Place{frame.operands[operand].inner, kNoSlot};
  }
  Place outer(uint32_t operand) const {
    return recording ? Place{kEmptyAddress, operands() + operand}
                     : Place{frame.operands[operand].outer, kNoSlot};
  }

  ist_session &session;
  ist_device &device;
  ist_program &program;
  const fb::Function &f;
  const FunctionFacts &facts;
  Frame &frame;
  ist_error *error;

  Array<int64_t> &r;
  Array<Buffer> &b;
  const Plan *plan = nullptr;
  Recording *recording = nullptr; // that is being made
  bool unfit = false;             // it cannot be
  uint32_t pc = 0;
  uint32_t nextEnd = 0;
  struct Loop {
    uint32_t begin;
    int64_t i, n;
  };
  Loop loops[kMaxNesting];
  uint32_t depth = 0;
};

/// Adds to `error` what may have failed with `status` on the device.
ist_status nameInFlight(const InFlight &inFlight, ist_program &program,
                        uint32_t function, ist_status status, ist_error *error);

} // namespace isthmus

#endif // ISTHMUS_RUNTIME_CORE_CALL_H
