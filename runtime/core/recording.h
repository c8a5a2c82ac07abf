//===- recording.h - a call's commands, kept to be given again ------------===//
#ifndef ISTHMUS_RUNTIME_CORE_RECORDING_H
#define ISTHMUS_RUNTIME_CORE_RECORDING_H

#include "frame.h"
#include "schema.h"

namespace isthmus {

/// The commands of a function for one set of sizes, flat: no integer code, no
/// registers. What changes from call to call are the addresses in *slots*: of
/// operand i, `inner` is slot i and `outer` slot n + i; slot 2n is that of the
/// frame's words.
class Recording {
public:
  /// Recordings of more commands than this are not made.
  static constexpr uint32_t kMostCommands = 1 << 16;

  ~Recording();

  // Making one.
  [[nodiscard]] bool copy(Place to, Place from, uint64_t bytes);
  [[nodiscard]] bool fill(Place to, uint8_t value, uint64_t bytes);
  /// `launch` has the frame's arguments and ranges, whose slots the frame has.
  [[nodiscard]] bool launch(const ist_launch &launch, uint32_t index,
                            const char *name, const char *nodes,
                            const Frame &frame);
  /// Slots get addresses; afterwards only replay.
  [[nodiscard]] bool finish(uint32_t slots);
  uint32_t size() const { return static_cast<uint32_t>(commands.size()); }
  void nameLaunches(InFlight &inFlight) const {
    if (!launches)
      return;
    inFlight.addLaunch(firstLaunch);
    inFlight.addLaunch(lastLaunch);
  }
  void cut(uint32_t command, uint64_t bytes) {
    if (commands[command].bytes > bytes)
      commands[command].bytes = bytes;
  }

  /// Makes the driver's own recording, where it has such, ahead of replay.
  ist_status recordByDriver(ist_device &device, ist_driver_queue *queue,
                            ist_error *error);
  /// Slot `slot` is at `address` from now on.
  void patch(uint32_t slot, uint64_t address) {
    if (current[slot] != address)
      apply(slot, address);
  }
  /// Gives the commands to `queue`, asking `goOn` before each that is given
  /// alone. With the driver's extension there is one for all.
  template <typename GoOn>
  ist_status replay(ist_device &device, ist_driver_queue *queue, GoOn goOn,
                    ist_error *error) {
    if (device.recording) {
      if (ist_status s = goOn())
        return s;
      bool done = false;
      if (ist_status s = replayByDriver(device, queue, &done, error))
        return s;
      if (done)
        return IST_OK;
    }
    for (const Command &c : commands) {
      ist_status s = goOn();
      if (!s)
        s = issue(device, queue, c, error);
      if (s)
        return s;
    }
    return IST_OK;
  }

  /// Of each output: bytes its memory must have, bytes it has, and dims one
  /// after another.
  struct Result {
    uint64_t need, bytes;
  };
  Array<Result> results;
  /// Copies that make an output, which are cut to its size when that is known.
  struct Set {
    uint32_t command, output;
  };
  Array<Set> sets;
  Array<int64_t> dims;
  uint32_t launches = 0;
  uint32_t firstLaunch = 0, lastLaunch = 0; // of the function

private:
  enum class Kind : uint8_t { Copy, Fill, Launch };
  struct Command {
    Kind kind;
    uint8_t value;
    uint32_t args, ranges; // where they begin
    uint64_t to, from, bytes;
    ist_launch launch;
    const char *name, *nodes;
    uint32_t number; // as the driver counts: empty copies are not given
  };
  enum class Field : uint8_t { Arg, Range, To, From };
  struct Use {
    uint32_t slot, command, index; // of an argument or range
    Field field;
    uint64_t offset; // from the slot's address
  };

  [[nodiscard]] bool use(Place p, Field field, uint32_t index);
  void apply(uint32_t slot, uint64_t address);
  ist_status issue(ist_device &device, ist_driver_queue *queue,
                   const Command &c, ist_error *error);
  ist_status replayByDriver(ist_device &device, ist_driver_queue *queue,
                            bool *done, ist_error *error);

  Array<Command> commands;
  Array<uint64_t> args;
  Array<ist_range> ranges;
  Array<Use> uses;        // by slot
  Array<uint32_t> begins; // of each slot's uses; one more than slots
  Array<uint64_t> current;

  ist_device *owner = nullptr; // of `driver`
  ist_driver_recording *driver = nullptr;
  bool refused = false; // the driver does not record this
  bool stale = false;   // `driver` must be made again
  Array<ist_patch> patches;
};

} // namespace isthmus

#endif // ISTHMUS_RUNTIME_CORE_RECORDING_H
