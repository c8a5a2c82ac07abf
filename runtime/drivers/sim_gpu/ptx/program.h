//===- program.h - decoded PTX --------------------------------------------===//
//
// What the text becomes once, at load: an array of instructions, each a
// function with its operands' places.
//
// A register is one or two rows of 128 bytes, 32 lanes of it: 4 bytes a lane, 2
// for 16-bit registers, and 8 in two rows. Immediates are rows too, in an area
// that all warps share, so that functions need not know the difference. A
// predicate is a word of bits.
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_SIM_GPU_PTX_PROGRAM_H
#define ISTHMUS_SIM_GPU_PTX_PROGRAM_H

#include "machine.h"

#include <map>

namespace isthmus::simgpu::ptx {

struct Warp;
struct Inst;

constexpr uint32_t kLanes = 32;
constexpr uint32_t kRowBytes = 128;
constexpr int32_t kNone = INT32_MIN;

using Function = void (*)(Warp &, const Inst &, uint32_t mask);

enum class Space : uint8_t { global, shared, local, param, generic };

/// What the loop over instructions has to know.
enum class Kind : uint8_t {
  plain,
  select,   // selp: a lane takes one of its sources
  memory,   // may fault
  matrix,   // may fault; all lanes together
  exchange, // between lanes that must all be there
  branch,
  branchTable, // brx.idx
  barrier,     // of the workgroup
  exit,
  trap
};

enum class Cost : uint8_t { arithmetic, memory, control, matrix, barrier };

struct Inst {
  Function run = nullptr;
  Kind kind = Kind::plain;
  Cost cost = Cost::arithmetic;
  Space space = Space::global;
  bool guardNegated = false;
  bool predicateResult = false; // d[0] (and d[1]) are predicates
  uint8_t predicateSources = 0; // a bit for each source
  uint8_t negatedSources = 0;   // of predicates, likewise
  uint8_t results = 0, sources = 0;
  uint8_t bytes = 0;       // of one element in memory
  uint8_t resultBytes = 0; // of one result's register
  uint8_t sourceBytes = 0; // of addresses in registers
  int32_t guard = kNone;   // a predicate
  // Rows: >= 0 the warp's, < 0 ~row of the immediates. Predicates: >= 0 the
  // warp's, -1 true, -2 false.
  int32_t d[8];
  int32_t s[12];
  int64_t offset = 0;  // of addresses
  uint32_t target = 0; // of branches; a number that `run` knows
  uint32_t line = 0;
  const char *name = nullptr; // as it is written, for messages
};

/// Memory that a kernel's text declares.
struct Static {
  std::string name;
  uint64_t address, bytes;
  bool writable;
};

struct Program {
  std::string name;
  std::vector<Inst> code;
  std::vector<uint8_t> immediates;            // rows
  std::vector<std::string> opcodes;           // what Inst::name points to
  std::vector<std::vector<uint32_t>> targets; // of brx.idx
  uint32_t rows = 0, predicates = 0;
  uint32_t sharedBytes = 0; // static
  uint32_t localBytes = 0;  // of a thread
  uint32_t paramBytes = 0, threads = 0;
  std::vector<Static> statics; // .global and .const
};

/// A row of the tables of functions. `shape` is what its operands are:
/// results, '=', sources; p a predicate, 2 4 8 a register's bytes, a bracket
/// with a count several registers of one vector, i an immediate, * 2, 4 or 8.
struct Row {
  const char *name; // "add.s32"
  const char *shape;
  Function run;
  Kind kind = Kind::plain;
  uint32_t detail = 0; // becomes Inst::target
};

struct Table {
  const Row *rows;
  size_t count;
};
/// Of this file's processor, or of any.
Table integerRows(), floatRows(), convertRows(), otherRows(), matrixRows();

} // namespace isthmus::simgpu::ptx

#endif // ISTHMUS_SIM_GPU_PTX_PROGRAM_H
