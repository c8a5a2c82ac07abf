//===- decode_memory.cpp - instructions that are no rows of tables --------===//
//
// Memory, moves of vectors and addresses, special registers, branches.
//
//===----------------------------------------------------------------------===//
#include "decode.h"
#include "memory.h"
#include "warp.h"

#include <algorithm>

using namespace isthmus::simgpu::ptx;

static bool has(const std::vector<std::string> &parts, const char *part) {
  return std::find(parts.begin(), parts.end(), part) != parts.end();
}

static Space spaceOf(const std::vector<std::string> &parts) {
  if (has(parts, "global") || has(parts, "const"))
    return Space::global;
  if (has(parts, "shared") || has(parts, "shared::cta"))
    return Space::shared;
  return has(parts, "local") ? Space::local : Space::generic;
}

bool Decoder::symbolSpace(const std::string &name, Space &space,
                          uint64_t &address) {
  if (auto at = shared.find(name); at != shared.end()) {
    space = Space::shared;
    address = at->second;
    return true;
  }
  if (auto at = locals.find(name); at != locals.end()) {
    space = Space::local;
    address = at->second;
    return true;
  }
  if (auto at = params.find(name); at != params.end()) {
    space = Space::param;
    address = at->second;
    return true;
  }
  for (const Static &v : program.statics)
    if (v.name == name) {
      space = Space::global;
      address = v.address;
      return true;
    }
  return false;
}

/// Becomes source number `source`, which must be the next, and the offset.
bool Decoder::address(const Operand &o, unsigned source) {
  if (o.kind != Operand::address || inst.sources != source)
    return fail("an address is expected");
  if (source == 0)
    inst.offset = o.offset;
  else if (o.offset)
    inst.target = static_cast<uint32_t>(o.offset); // copyAsync's second
  Space space;
  uint64_t base = 0;
  if (o.text.empty() || symbolSpace(o.text, space, base)) {
    inst.s[inst.sources++] = constant(base, 8);
    inst.sourceBytes = 8;
    return true;
  }
  Operand r;
  r.text = o.text;
  uint32_t bytes = 0;
  int32_t row;
  if (!reg(r, bytes, row))
    return false;
  if (bytes < 4)
    return fail("an address of 16 bits");
  inst.sourceBytes = static_cast<uint8_t>(bytes);
  inst.s[inst.sources++] = row;
  return true;
}

bool Decoder::specialRegister(const std::string &name, uint32_t bytes) {
  static const std::pair<const char *, SpecialRegister> all[] = {
      {"%tid.x", SpecialRegister::tid},
      {"%ntid.x", SpecialRegister::ntid},
      {"%ctaid.x", SpecialRegister::ctaid},
      {"%nctaid.x", SpecialRegister::nctaid},
      {"%laneid", SpecialRegister::laneid},
      {"%warpid", SpecialRegister::warpid},
      {"%nwarpid", SpecialRegister::nwarpid},
      {"%tid.y", SpecialRegister::zero},
      {"%tid.z", SpecialRegister::zero},
      {"%ctaid.y", SpecialRegister::zero},
      {"%ctaid.z", SpecialRegister::zero},
      {"%ntid.y", SpecialRegister::one},
      {"%ntid.z", SpecialRegister::one},
      {"%nctaid.y", SpecialRegister::one},
      {"%nctaid.z", SpecialRegister::one},
      {"%lanemask_eq", SpecialRegister::maskEq},
      {"%lanemask_le", SpecialRegister::maskLe},
      {"%lanemask_lt", SpecialRegister::maskLt},
      {"%lanemask_ge", SpecialRegister::maskGe},
      {"%lanemask_gt", SpecialRegister::maskGt}};
  for (const auto &[text, which] : all)
    if (name == text) {
      if (bytes != 4)
        return fail("special registers have 32 bits");
      inst.run = readSpecial;
      inst.target = static_cast<uint32_t>(which);
      return true;
    }
  return fail("it does not know '" + name + "'");
}

/// mov of vectors, symbols and special registers.
bool Decoder::move(const Statement &s, const Parts &parts, bool &done) {
  if (s.operands.size() != 2)
    return fail("it has two operands");
  const Operand &to = s.operands[0], &from = s.operands[1];
  uint32_t bytes = typeBytes(parts.back());
  done = false;
  if (parts.back() == "pred" ||
      (to.kind != Operand::vector && from.kind == Operand::immediate))
    return true;
  done = true;
  if (to.kind == Operand::vector || from.kind == Operand::vector) {
    bool pack = from.kind == Operand::vector;
    const std::vector<Operand> &vector = pack ? from.parts : to.parts;
    if (to.kind == from.kind || !bytes || vector.empty() ||
        bytes % vector.size())
      return fail("it does not fit its vector");
    auto part = static_cast<uint32_t>(bytes / vector.size());
    if (part < 2)
      return fail("vectors of bytes are not executed");
    for (const Operand &o : vector)
      if (!(pack ? source(o, part) : result(o, part)))
        return false;
    inst.run = pack ? packVector : unpackVector;
    inst.bytes = static_cast<uint8_t>(part);
    bool ok = pack ? result(to, bytes) : source(from, bytes);
    inst.sourceBytes = static_cast<uint8_t>(pack ? part : bytes);
    inst.resultBytes = static_cast<uint8_t>(pack ? bytes : part);
    return ok;
  }
  if (from.kind == Operand::name && from.text[0] == '%' &&
      !entry.findRegister(from.text))
    return result(to, 4) && specialRegister(from.text, bytes);
  Space space;
  uint64_t base;
  if (symbolSpace(from.text, space, base)) {
    Operand o;
    o.kind = Operand::immediate;
    o.bits = base;
    inst.run = bytes == 8 ? copy8 : copy4;
    return bytes >= 4 ? result(to, bytes) && source(o, bytes)
                      : fail("an address of 16 bits");
  }
  done = false;
  return true;
}

bool Decoder::loadStore(const Statement &s, const Parts &parts) {
  bool load = parts[0] == "ld" || parts[0] == "ldu";
  uint32_t bytes = typeBytes(parts.back()), count = has(parts, "v2")   ? 2
                                                    : has(parts, "v4") ? 4
                                                    : has(parts, "v8") ? 8
                                                                       : 1;
  if (s.operands.size() != 2 || !bytes || bytes > 8)
    return unknown();
  const Operand &data = s.operands[load ? 0 : 1],
                &where = s.operands[load ? 1 : 0];
  std::vector<const Operand *> elements;
  if (data.kind == Operand::vector)
    for (const Operand &o : data.parts)
      elements.push_back(&o);
  else
    elements.push_back(&data);
  if (elements.size() != count)
    return fail("it does not fit its vector");
  inst.kind = Kind::memory;
  inst.cost = Cost::memory;
  inst.bytes = static_cast<uint8_t>(bytes);
  // A parameter by its name is the same for all lanes.
  if (has(parts, "param") && (!load || !entry.findRegister(where.text))) {
    auto at = params.find(where.text);
    int64_t offset = at == params.end() ? -1 : at->second + where.offset;
    if (!load || where.kind != Operand::address || offset < 0 ||
        uint64_t(offset) + bytes * count > program.paramBytes)
      return fail("it is not within a parameter");
    for (const Operand *o : elements)
      if (!result(*o, 0))
        return false;
    inst.kind = Kind::plain;
    inst.offset = offset;
    inst.run = loadParam;
    inst.target = parts.back()[0] == 's';
    return inst.resultBytes >= bytes || fail("its register is too narrow");
  }
  inst.space = has(parts, "param") ? Space::param : spaceOf(parts);
  if (!address(where, 0))
    return false;
  uint8_t addressBytes = inst.sourceBytes;
  for (const Operand *o : elements) {
    uint32_t any = 0;
    int32_t ignored;
    // Immediates are stored as they are.
    bool ok = load ? result(*o, 0)
              : o->kind == Operand::immediate
                  ? source(*o, bytes < 2 ? 2 : bytes)
                  : reg(*o, any, ignored) && source(*o, 0);
    if (!ok)
      return false;
    if (!load)
      inst.resultBytes = inst.sourceBytes; // of the data
  }
  inst.sourceBytes = addressBytes;
  if (inst.resultBytes < bytes)
    return fail("its register is too narrow");
  inst.target = parts.back()[0] == 's'; // extended with the sign
  inst.run = load ? ptx::load : ptx::store;
  return true;
}

bool Decoder::atomic(const Statement &s, const Parts &parts) {
  bool returns = parts[0] == "atom";
  static const char *const names[] = {"add", "min", "max", "and",  "or",
                                      "xor", "inc", "dec", "exch", "cas"};
  int op = -1;
  for (int n = 0; n < 10; ++n)
    if (has(parts, names[n]))
      op = n;
  uint32_t bytes = typeBytes(parts.back());
  size_t given = s.operands.size() - returns;
  if (op < 0 || bytes < 4 || bytes > 8 || has(parts, "f16x2") ||
      has(parts, "bf16x2") || s.operands.empty() ||
      given != (op == 9 ? 3u : 2u))
    return unknown();
  inst.run = atomicFunction(static_cast<AtomicOp>(op), parts.back());
  if (!inst.run)
    return unknown();
  inst.kind = Kind::memory;
  inst.cost = Cost::memory;
  inst.space = spaceOf(parts);
  inst.bytes = static_cast<uint8_t>(bytes);
  size_t n = 0;
  if (returns && !result(s.operands[n++], bytes))
    return false;
  if (!address(s.operands[n++], 0))
    return false;
  uint8_t addressBytes = inst.sourceBytes;
  for (; n < s.operands.size(); ++n)
    if (!source(s.operands[n], bytes))
      return false;
  inst.sourceBytes = addressBytes;
  return true;
}

/// cp.async: PTX ISA 9.7.9.25. [to], [from], bytes {, bytes to read}.
bool Decoder::copyAsync(const Statement &s, const Parts &parts) {
  if (has(parts, "commit_group") || has(parts, "wait_group") ||
      has(parts, "wait_all")) {
    inst.kind = Kind::memory;
    inst.cost = Cost::memory;
    inst.run = has(parts, "commit_group") ? commitCopies : waitCopies;
    inst.target = 0;
    if (has(parts, "wait_all"))
      inst.offset = -1;
    else if (has(parts, "wait_group")) {
      if (s.operands.size() != 1 || s.operands[0].kind != Operand::immediate ||
          s.operands[0].bits > 1u << 20)
        return fail("how many groups?");
      inst.offset = static_cast<int64_t>(s.operands[0].bits);
    }
    return true;
  }
  if (!(has(parts, "ca") || has(parts, "cg")) || !has(parts, "global") ||
      s.operands.size() < 3 || s.operands.size() > 4 ||
      s.operands[2].kind != Operand::immediate)
    return unknown();
  uint64_t bytes = s.operands[2].bits;
  if (bytes != 4 && bytes != 8 && bytes != 16)
    return fail("it copies 4, 8 or 16 bytes");
  inst.kind = Kind::memory;
  inst.cost = Cost::memory;
  inst.run = copyToShared;
  inst.bytes = static_cast<uint8_t>(bytes);
  if (!address(s.operands[0], 0))
    return false;
  uint8_t toBytes = inst.sourceBytes;
  if (!address(s.operands[1], 1))
    return false;
  if (inst.sourceBytes != 8)
    return fail("global addresses have 64 bits");
  if (s.operands.size() == 4 && !source(s.operands[3], 4))
    return false;
  inst.sourceBytes = toBytes;
  return true;
}

/// ldmatrix: PTX ISA 9.7.14.5.15.
bool Decoder::matrixLoad(const Statement &s, const Parts &parts) {
  uint32_t count = has(parts, "x1") ? 1 : has(parts, "x2") ? 2 : 4;
  if (s.operands.size() != 2 || !has(parts, "m8n8") ||
      (count == 4 && !has(parts, "x4")) || parts.back() != "b16" ||
      spaceOf(parts) == Space::global)
    return unknown();
  std::vector<const Operand *> elements;
  for (const Operand &o : s.operands[0].parts)
    elements.push_back(&o);
  if (s.operands[0].kind != Operand::vector)
    elements.push_back(&s.operands[0]);
  if (elements.size() != count)
    return fail("it does not fit its vector");
  for (const Operand *o : elements)
    if (!result(*o, 4))
      return false;
  inst.kind = Kind::matrix;
  inst.cost = Cost::memory;
  inst.space = spaceOf(parts);
  inst.run = loadMatrix;
  inst.bytes = 16;
  bool ok = address(s.operands[1], 0);
  inst.target = has(parts, "trans");
  return ok;
}

/// cvta: windows of the generic space. PTX ISA 9.7.9.20.
bool Decoder::convertAddress(const Statement &s, const Parts &parts) {
  if (s.operands.size() != 2 || parts.back() != "u64")
    return unknown();
  Space space = spaceOf(parts);
  inst.run = has(parts, "to") ? fromGeneric : toGeneric;
  inst.space = space;
  Operand from = s.operands[1];
  Space symbol;
  uint64_t base;
  if (from.kind == Operand::name && symbolSpace(from.text, symbol, base)) {
    from.kind = Operand::immediate;
    from.bits = base;
  }
  return result(s.operands[0], 8) && source(from, 8);
}

bool Decoder::special(const Statement &s, const Parts &parts, bool &done) {
  const std::string &op = parts[0];
  done = true;
  if (op == "ld" || op == "ldu" || op == "st")
    return loadStore(s, parts);
  if (op == "atom" || op == "red")
    return atomic(s, parts);
  if (op == "ldmatrix")
    return matrixLoad(s, parts);
  if (op == "cvta")
    return convertAddress(s, parts);
  if (op == "cp" && parts.size() > 1 && parts[1] == "async")
    return copyAsync(s, parts);
  if (op == "mov")
    return move(s, parts, done);
  if (op == "ret" || op == "exit" || op == "trap") {
    inst.kind = op == "trap" ? Kind::trap : Kind::exit;
    inst.cost = Cost::control;
    return true;
  }
  if (op == "membar" || op == "fence" || op == "prefetch" || op == "discard" ||
      op == "nanosleep" || op == "griddepcontrol") {
    inst.run = nothing; // one host thread runs a workgroup in order
    inst.cost = Cost::memory;
    return op != "griddepcontrol" || unknown();
  }
  if (op == "bra") {
    auto label = s.operands.size() == 1 ? entry.labels.find(s.operands[0].text)
                                        : entry.labels.end();
    if (label == entry.labels.end())
      return fail("there is no such label");
    inst.kind = Kind::branch;
    inst.cost = Cost::control;
    inst.target = label->second;
    return true;
  }
  if (op == "brx") {
    auto list = s.operands.size() == 2 ? entry.targets.find(s.operands[1].text)
                                       : entry.targets.end();
    if (list == entry.targets.end())
      return fail("there is no such list of labels");
    inst.kind = Kind::branchTable;
    inst.cost = Cost::control;
    inst.target = static_cast<uint32_t>(program.targets.size());
    program.targets.emplace_back();
    for (const std::string &name : list->second) {
      auto label = entry.labels.find(name);
      if (label == entry.labels.end())
        return fail("there is no label '" + name + "'");
      program.targets.back().push_back(label->second);
    }
    return source(s.operands[0], 4);
  }
  if ((op == "bar" || op == "barrier") && !has(parts, "warp")) {
    if (has(parts, "red") || has(parts, "arrive") || has(parts, "cluster") ||
        s.operands.empty() || s.operands.size() > 2)
      return unknown();
    for (const Operand &o : s.operands)
      if (o.kind != Operand::immediate)
        return fail("barriers are numbers here");
    inst.kind = Kind::barrier;
    inst.cost = Cost::barrier;
    inst.target = static_cast<uint32_t>(s.operands[0].bits);
    inst.offset =
        s.operands.size() > 1 ? static_cast<int64_t>(s.operands[1].bits) : 0;
    if (inst.target > 15 || inst.offset % kLanes)
      return fail("there are barriers 0 to 15, for whole warps");
    return true;
  }
  done = false;
  return true;
}
