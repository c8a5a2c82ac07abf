//===- decode.h - text to program -----------------------------------------===//
#ifndef ISTHMUS_SIM_GPU_PTX_DECODE_H
#define ISTHMUS_SIM_GPU_PTX_DECODE_H

#include "program.h"
#include "text.h"

#include <unordered_map>

namespace isthmus::simgpu::ptx {

/// The functions of this processor, by name; several shapes may have one.
class Functions {
public:
  Functions();
  /// Null: no such instruction.
  const std::vector<const Row *> *find(const std::string &name) const;
  static const Functions &get();

private:
  std::unordered_map<std::string, std::vector<const Row *>> rows;
};

/// One kernel's decoding. Instructions that need more than a row of a table are
/// in decode_memory.cpp.
class Decoder {
public:
  Decoder(const Entry &entry, const std::vector<Variable> &variables,
          Program &program, std::string &error)
      : entry(entry), variables(variables), program(program), error(error) {}
  /// `statics` are the module's .global and .const variables.
  bool decode(const std::vector<Static> &statics);

private:
  using Parts = std::vector<std::string>;

  bool fail(const std::string &why);
  bool unknown() { return fail("it does not know the instruction"); }
  bool layOut(const std::vector<Static> &statics);
  bool statement(const Statement &s);
  bool byTable(const Statement &s, const std::string &name);
  bool shaped(const Statement &s, const Row &row);

  // decode_memory.cpp
  bool special(const Statement &s, const Parts &parts, bool &done);
  bool move(const Statement &s, const Parts &parts, bool &done);
  bool loadStore(const Statement &s, const Parts &parts);
  bool atomic(const Statement &s, const Parts &parts);
  bool copyAsync(const Statement &s, const Parts &parts);
  bool matrixLoad(const Statement &s, const Parts &parts);
  bool convertAddress(const Statement &s, const Parts &parts);
  bool address(const Operand &o, unsigned source);
  bool symbolSpace(const std::string &name, Space &space, uint64_t &address);

  // Operands. Bytes of 0: any width, which is then written there.
  bool reg(const Operand &o, uint32_t &bytes, int32_t &row);
  bool predicate(const Operand &o, int32_t &out, bool &negated);
  bool result(const Operand &o, uint32_t bytes);
  bool source(const Operand &o, uint32_t bytes);
  bool predicateSource(const Operand &o);
  int32_t constant(uint64_t bits, uint32_t bytes);
  bool immediateBits(const Operand &o, uint32_t bytes, uint64_t &bits);
  bool specialRegister(const std::string &name, uint32_t bytes);

  const Entry &entry;
  const std::vector<Variable> &variables;
  Program &program;
  std::string &error;

  const Statement *current = nullptr;
  Inst inst;
  std::unordered_map<std::string, int32_t> rows;
  std::unordered_map<std::string, int32_t> predicates;
  std::map<std::pair<uint64_t, uint32_t>, int32_t> constants;
  std::unordered_map<std::string, uint32_t> params, shared, locals;
};

std::vector<std::string> splitDots(const std::string &opcode);

} // namespace isthmus::simgpu::ptx

#endif // ISTHMUS_SIM_GPU_PTX_DECODE_H
