//===- decode.cpp - text to program ---------------------------------------===//
#include "decode.h"
#include "numbers.h"
#include "warp.h"

#include <algorithm>

using namespace isthmus::simgpu::ptx;

namespace isthmus::simgpu::ptx::any {
Table integerRows();
Table floatRows();
Table convertRows();
} // namespace isthmus::simgpu::ptx::any
namespace isthmus::simgpu::ptx::wide {
Table integerRows();
Table floatRows();
Table convertRows();
} // namespace isthmus::simgpu::ptx::wide

static bool processorIsWide() {
#ifdef ISTHMUS_PTX_WIDE
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("bmi2");
#else
  return false;
#endif
}

Functions::Functions() {
  std::vector<Table> tables = {otherRows(), matrixRows()};
#ifdef ISTHMUS_PTX_WIDE
  if (processorIsWide())
    tables.insert(tables.end(), {wide::integerRows(), wide::floatRows(),
                                 wide::convertRows()});
#endif
  if (!processorIsWide())
    tables.insert(tables.end(),
                  {any::integerRows(), any::floatRows(), any::convertRows()});
  for (const Table &t : tables)
    for (size_t i = 0; i < t.count; ++i)
      rows[t.rows[i].name].push_back(&t.rows[i]);
}

const Functions &Functions::get() {
  static const Functions all;
  return all;
}

const std::vector<const Row *> *Functions::find(const std::string &name) const {
  auto at = rows.find(name);
  return at == rows.end() ? nullptr : &at->second;
}

std::vector<std::string>
isthmus::simgpu::ptx::splitDots(const std::string &opcode) {
  std::vector<std::string> parts;
  size_t begin = 0;
  for (size_t dot; (dot = opcode.find('.', begin)) != std::string::npos;
       begin = dot + 1)
    parts.push_back(opcode.substr(begin, dot - begin));
  parts.push_back(opcode.substr(begin));
  return parts;
}

bool Decoder::fail(const std::string &why) {
  error = "kernel '" + entry.name + "'";
  if (current)
    error += ", line " + std::to_string(current->line) + " (" +
             current->opcode + ")";
  error += ": " + why;
  return false;
}

// --- operands ---

bool Decoder::reg(const Operand &o, uint32_t &bytes, int32_t &row) {
  const Register *r =
      o.kind == Operand::name ? entry.findRegister(o.text) : nullptr;
  if (!r || r->type == "pred")
    return fail("'" + o.text + "' is not a register" +
                (r ? " of bits" : " that it knows"));
  uint32_t size = typeBytes(r->type);
  if (size == 1)
    size = 2;
  if (size > 8)
    return fail("registers of 128 bits are not executed");
  if (bytes && size != bytes)
    return fail("register " + o.text + " has " + std::to_string(size * 8) +
                " bits and " + std::to_string(bytes * 8) + " are expected");
  bytes = size;
  auto [at, fresh] = rows.insert({o.text, static_cast<int32_t>(program.rows)});
  if (fresh)
    program.rows += size == 8 ? 2 : 1;
  row = at->second;
  return true;
}

bool Decoder::predicate(const Operand &o, int32_t &out, bool &negated) {
  negated = o.negated;
  if (o.kind == Operand::sink) {
    out = -2;
    return true;
  }
  if (o.kind == Operand::immediate) {
    out = o.bits ? -1 : -2;
    return true;
  }
  const Register *r = entry.findRegister(o.text);
  if (!r || r->type != "pred")
    return fail("'" + o.text + "' is not a predicate");
  auto [at, fresh] =
      predicates.insert({o.text, static_cast<int32_t>(program.predicates)});
  program.predicates += fresh;
  out = at->second;
  return true;
}

int32_t Decoder::constant(uint64_t bits, uint32_t bytes) {
  auto key = std::make_pair(bits, bytes);
  if (auto at = constants.find(key); at != constants.end())
    return at->second;
  auto row = static_cast<int32_t>(program.immediates.size() / kRowBytes);
  size_t begin = program.immediates.size();
  program.immediates.resize(begin + (bytes == 8 ? 2 : 1) * kRowBytes);
  for (uint32_t l = 0; l < kLanes; ++l)
    std::memcpy(program.immediates.data() + begin + l * bytes, &bits, bytes);
  return constants[key] = ~row;
}

/// As the instruction's last type reads it.
bool Decoder::immediateBits(const Operand &o, uint32_t bytes, uint64_t &bits) {
  bits = o.bits;
  if (o.number == 'i') {
    if (bytes < 8)
      bits &= (uint64_t(1) << (8 * bytes)) - 1;
    return true;
  }
  double value = bitsAs<double>(o.bits);
  if (o.number == 'f')
    value = static_cast<double>(bitsAs<float>(static_cast<uint32_t>(o.bits)));
  if (bytes == 8)
    bits = bitsAs<uint64_t>(value);
  else if (bytes == 4 && o.number == 'f')
    bits = o.bits; // the bits of what is not a number, too
  else if (bytes == 4)
    bits = bitsAs<uint32_t>(static_cast<float>(value));
  else
    return fail("an immediate float of 16 bits");
  return true;
}

bool Decoder::result(const Operand &o, uint32_t bytes) {
  if (inst.results == sizeof inst.d / sizeof *inst.d)
    return fail("too many results");
  int32_t row = kNone;
  if (o.kind == Operand::sink) {
    // Written and never read.
    row = static_cast<int32_t>(program.rows);
    program.rows += 2;
    if (!bytes)
      bytes = 4;
  } else if (!reg(o, bytes, row)) {
    return false;
  }
  inst.resultBytes = static_cast<uint8_t>(bytes);
  inst.d[inst.results++] = row;
  return true;
}

bool Decoder::source(const Operand &o, uint32_t bytes) {
  if (inst.sources == sizeof inst.s / sizeof *inst.s)
    return fail("too many operands");
  int32_t row;
  if (o.kind == Operand::immediate) {
    uint64_t bits;
    if (!bytes)
      bytes = 8;
    if (!immediateBits(o, bytes, bits))
      return false;
    row = constant(bits, bytes);
  } else if (o.kind == Operand::name && o.text == "WARP_SZ") {
    bytes = bytes ? bytes : 4;
    row = constant(kLanes, bytes);
  } else if (!reg(o, bytes, row)) {
    return false;
  }
  inst.sourceBytes = static_cast<uint8_t>(bytes);
  inst.s[inst.sources++] = row;
  return true;
}

bool Decoder::predicateSource(const Operand &o) {
  int32_t p;
  bool negated;
  if (!predicate(o, p, negated))
    return false;
  if (negated)
    inst.negatedSources |= static_cast<uint8_t>(1 << inst.sources);
  inst.predicateSources |= static_cast<uint8_t>(1 << inst.sources);
  inst.s[inst.sources++] = p;
  return true;
}

// --- instructions that are rows of tables ---

static Cost costOf(Kind kind) {
  switch (kind) {
  case Kind::memory:
    return Cost::memory;
  case Kind::matrix:
    return Cost::matrix;
  case Kind::branch:
  case Kind::branchTable:
  case Kind::exit:
  case Kind::trap:
    return Cost::control;
  case Kind::barrier:
    return Cost::barrier;
  default:
    return Cost::arithmetic;
  }
}

/// Operands of vectors one by one, as the row's shape counts them.
static void flatten(const Operand &o, std::vector<const Operand *> &out) {
  if (o.kind == Operand::vector)
    for (const Operand &part : o.parts)
      flatten(part, out);
  else
    out.push_back(&o);
}

bool Decoder::shaped(const Statement &s, const Row &row) {
  std::vector<const Operand *> flat;
  for (const Operand &o : s.operands)
    flatten(o, flat);
  inst.run = row.run;
  inst.kind = row.kind;
  inst.cost = costOf(row.kind);
  if (!inst.target)
    inst.target = row.detail;
  size_t n = 0;
  bool results = true;
  for (const char *c = row.shape; *c; ++c) {
    if (*c == '=') {
      results = false;
      continue;
    }
    if (n == flat.size())
      return fail("it has too few operands");
    const Operand &o = *flat[n++];
    uint32_t bytes = *c == '*' ? 0 : static_cast<uint32_t>(*c - '0');
    bool ok;
    if (results && *c == 'p') {
      bool negated;
      inst.predicateResult = true;
      ok = predicate(o, inst.d[inst.results++], negated);
      if (ok && !o.other.empty()) {
        Operand q;
        q.text = o.other;
        ok = predicate(q, inst.d[inst.results++], negated);
      }
    } else if (results) {
      ok = result(o, bytes);
      if (ok && !o.other.empty()) { // shfl's predicate
        Operand p;
        p.text = o.other;
        bool negated;
        ok = predicate(p, inst.d[inst.results++], negated);
      }
    } else if (*c == 'p') {
      ok = predicateSource(o);
    } else {
      ok = source(o, bytes);
    }
    if (!ok)
      return false;
  }
  // setp with a third source.
  if (n + 1 == flat.size() && inst.target && inst.predicateResult)
    return predicateSource(*flat[n]);
  return n == flat.size() || fail("it has too many operands");
}

bool Decoder::byTable(const Statement &s, const std::string &name) {
  const std::vector<const Row *> *found = Functions::get().find(name);
  if (!found)
    return unknown();
  const Inst before = inst;
  for (const Row *row : *found) {
    inst = before;
    if (shaped(s, *row))
      return true;
  }
  return false;
}

bool Decoder::statement(const Statement &s) {
  current = &s;
  inst = Inst();
  for (int32_t &d : inst.d)
    d = kNone;
  for (int32_t &v : inst.s)
    v = kNone;
  inst.line = s.line;
  program.opcodes.push_back(s.opcode); // reserved: does not move
  inst.name = program.opcodes.back().c_str();
  if (!s.guard.empty()) {
    Operand o;
    o.text = s.guard;
    bool ignored;
    if (!predicate(o, inst.guard, ignored))
      return false;
    inst.guardNegated = s.guardNegated;
  }
  Parts parts = splitDots(s.opcode);
  bool done = false;
  if (!special(s, parts, done))
    return false;
  if (!done) {
    // setp.lt.and.f32: how it combines is no part of its name here.
    std::string name = s.opcode;
    if (parts[0] == "setp")
      for (const auto &[text, number] :
           {std::make_pair(".and.", 1u), {".or.", 2u}, {".xor.", 3u}})
        if (size_t at = name.find(text); at != std::string::npos) {
          name.replace(at, std::strlen(text), ".");
          inst.target = number;
        }
    if (!byTable(s, name))
      return false;
  }
  bool runs = inst.kind <= Kind::exchange;
  if (runs && !inst.run)
    return unknown();
  program.code.push_back(inst);
  return true;
}

// --- the kernel ---

bool Decoder::layOut(const std::vector<Static> &statics) {
  auto place = [&](std::unordered_map<std::string, uint32_t> &map,
                   const Variable &v, uint32_t &bytes) {
    uint64_t at = (bytes + v.align - 1) & ~(v.align - 1);
    if (at + v.bytes > UINT32_MAX / 2)
      return fail("'" + v.name + "' is too large");
    map[v.name] = static_cast<uint32_t>(at);
    bytes = static_cast<uint32_t>(at + v.bytes);
    return true;
  };
  for (const Variable &v : entry.params)
    if (!place(params, v, program.paramBytes))
      return false;
  // Of the module's variables those that the kernel names.
  std::map<std::string, bool> named;
  auto name = [&](const Operand &o, auto &self) -> void {
    named[o.text] = true;
    for (const Operand &part : o.parts)
      self(part, self);
  };
  for (const Statement &s : entry.statements)
    for (const Operand &o : s.operands)
      name(o, name);
  std::vector<const Variable *> external;
  auto own = [&](const Variable &v) {
    if (v.external) {
      external.push_back(&v);
      return true;
    }
    if (v.space == "local")
      return place(locals, v, program.localBytes);
    return v.space != "shared" || place(shared, v, program.sharedBytes);
  };
  for (const Variable &v : variables)
    if (named.count(v.name) && !own(v))
      return false;
  for (const Variable &v : entry.locals)
    if (!own(v))
      return false;
  // What the launch sizes lies behind the rest.
  program.sharedBytes = (program.sharedBytes + 15) & ~15u;
  for (const Variable *v : external)
    shared[v->name] = program.sharedBytes;
  program.localBytes = (program.localBytes + 15) & ~15u;
  for (const Static &v : statics)
    if (named.count(v.name))
      program.statics.push_back(v);
  return true;
}

bool Decoder::decode(const std::vector<Static> &statics) {
  program.name = entry.name;
  program.threads = entry.threads;
  if (!layOut(statics))
    return false;
  program.opcodes.reserve(entry.statements.size() + 1);
  program.code.reserve(entry.statements.size() + 1);
  for (const Statement &s : entry.statements)
    if (!statement(s))
      return false;
  // Falling off the end is returning.
  current = nullptr;
  program.opcodes.push_back("ret");
  inst = Inst();
  inst.kind = Kind::exit;
  inst.cost = Cost::control;
  inst.name = program.opcodes.back().c_str();
  program.code.push_back(inst);
  return true;
}
