//===- text.h - PTX as it is written --------------------------------------===//
//
// The syntax of PTX ISA 8.x, section 4, without what a compiler's output has no
// use for (macros, debug sections). Names are resolved by decode.
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_SIM_GPU_PTX_TEXT_H
#define ISTHMUS_SIM_GPU_PTX_TEXT_H

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace isthmus::simgpu::ptx {

struct Operand {
  enum Kind : uint8_t {
    name,      // a register, a special register, a symbol or a label
    immediate, // `bits`
    address,   // [name + offset] or [offset]
    vector,    // {parts}
    sink       // _
  };
  Kind kind = name;
  std::string text;     // name; base of an address, or ""
  std::string other;    // q of p|q
  uint64_t bits = 0;    // immediate
  char number = 'i';    // 'i' integer, 'f' 0f..., 'd' 0d..., 'r' 1.5
  int64_t offset = 0;   // address
  bool negated = false; // !p
  std::vector<Operand> parts;
};

struct Statement {
  std::string opcode; // "ld.global.v4.b32"
  std::string guard;  // a predicate, or ""
  bool guardNegated = false;
  std::vector<Operand> operands;
  uint32_t line = 0;
};

/// Memory with a name: .shared, .global, .const, .local or .param.
struct Variable {
  std::string name, space;
  uint64_t bytes = 0, align = 1;
  bool external = false; // .extern .shared x[]: sized by the launch
  std::vector<uint8_t> init;
};

struct Register {
  std::string type; // "pred", "b32"
};

struct Entry {
  std::string name;
  std::vector<Variable> params, locals; // .local and .shared of the body
  std::map<std::string, Register> registers;
  /// `.reg .b32 %r<10>`: %r and what follows it are numbers below 10.
  std::map<std::string, std::pair<Register, uint32_t>> ranges;
  std::map<std::string, uint32_t> labels; // index of the statement
  /// Of .branchtargets, by their label.
  std::map<std::string, std::vector<std::string>> targets;
  std::vector<Statement> statements;
  uint32_t threads = 0; // .reqntid; 0: not said

  const Register *findRegister(const std::string &name) const;
};

struct Text {
  std::vector<Variable> variables;
  std::vector<Entry> entries;
};

/// False: `error` says where and why.
bool parse(const char *text, size_t bytes, Text &out, std::string &error);

/// Bytes of a type such as "b32"; 0: not one.
uint32_t typeBytes(const std::string &type);

} // namespace isthmus::simgpu::ptx

#endif // ISTHMUS_SIM_GPU_PTX_TEXT_H
