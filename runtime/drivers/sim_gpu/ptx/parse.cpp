//===- parse.cpp - PTX text to statements ---------------------------------===//
#include "lexer.h"
#include "text.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>

using namespace isthmus::simgpu::ptx;

const Register *Entry::findRegister(const std::string &name) const {
  if (auto r = registers.find(name); r != registers.end())
    return &r->second;
  size_t digits = name.find_last_not_of("0123456789") + 1;
  if (digits == 0 || digits == name.size() || name.size() - digits > 9)
    return nullptr;
  auto r = ranges.find(name.substr(0, digits));
  if (r == ranges.end())
    return nullptr;
  auto n = std::strtoul(name.c_str() + digits, nullptr, 10);
  return n < r->second.second ? &r->second.first : nullptr;
}

uint32_t isthmus::simgpu::ptx::typeBytes(const std::string &type) {
  if (type.size() < 2 || !std::strchr("busf", type[0]))
    return 0;
  std::string bits = type.substr(1);
  for (uint32_t n : {8u, 16u, 32u, 64u, 128u})
    if (bits == std::to_string(n) || bits == std::to_string(n / 2) + "x2")
      return n / 8;
  return 0;
}

namespace {

constexpr uint64_t kMostBytes = uint64_t(1) << 32;

class Parser {
public:
  Parser(const char *text, size_t bytes, Text &out, std::string &error)
      : lex(text, bytes), out(out), error(error) {}
  bool module();

private:
  bool fail(const std::string &why) {
    if (error.empty())
      error = "line " + std::to_string(lex.line) + ": " + why +
              (lex.kind == Lexer::finished ? " at the end"
                                           : " at '" + lex.token + "'");
    return false;
  }
  bool expect(const char *text) {
    return lex.take(text) || fail(std::string("expected '") + text + "'");
  }
  bool unsignedNumber(uint64_t &value);
  bool immediate(Operand &o);
  bool variable(Variable &v);
  bool initial(Variable &v, uint32_t element);
  bool entry();
  bool registers(Entry &e);
  bool body(Entry &e);
  bool statement(Entry &e);
  bool operand(Operand &o);
  bool addressOperand(Operand &o);

  Lexer lex;
  Text &out;
  std::string &error;
};

bool Parser::unsignedNumber(uint64_t &value) {
  if (lex.kind != Lexer::number)
    return fail("expected a number");
  char *end;
  errno = 0;
  value = std::strtoull(lex.token.c_str(), &end, 0);
  if (errno || (*end && std::strcmp(end, "U") != 0))
    return fail("not a number");
  lex.next();
  return true;
}

bool Parser::immediate(Operand &o) {
  o.kind = Operand::immediate;
  bool negative = lex.take("-");
  const std::string &t = lex.token;
  if (lex.kind != Lexer::number)
    return fail("expected a number");
  bool bits = t.size() > 2 && t[0] == '0' && std::strchr("fFdD", t[1]);
  if (bits) {
    o.number = t[1] == 'f' || t[1] == 'F' ? 'f' : 'd';
    char *end;
    o.bits = std::strtoull(t.c_str() + 2, &end, 16);
    if (*end || t.size() != (o.number == 'f' ? 10u : 18u))
      return fail("not a number");
    if (negative)
      o.bits ^= uint64_t(1) << (o.number == 'f' ? 31 : 63);
    lex.next();
    return true;
  }
  if (t.find('.') != std::string::npos) {
    o.number = 'r';
    double v = std::strtod(t.c_str(), nullptr) * (negative ? -1 : 1);
    std::memcpy(&o.bits, &v, 8);
    lex.next();
    return true;
  }
  if (!unsignedNumber(o.bits))
    return false;
  if (negative)
    o.bits = 0 - o.bits;
  return true;
}

/// Behind the space: `.align 16 .b8 name[2048] = {...}`; for parameters with
/// `.ptr .global` between.
bool Parser::variable(Variable &v) {
  uint32_t element = 0;
  for (; lex.kind == Lexer::word && lex.token[0] == '.';) {
    std::string t = lex.token.substr(1);
    lex.next();
    if (t == "align") {
      uint64_t n;
      if (!unsignedNumber(n))
        return false;
      if (n == 0 || n > 4096 || (n & (n - 1)))
        return fail("not an alignment");
      if (!v.bytes) // `.ptr .align 4` is about what it points to
        v.align = n;
    } else if (uint32_t bytes = typeBytes(t)) {
      element = bytes;
      v.bytes = bytes;
      v.align = v.align > bytes ? v.align : bytes;
    } else if (t != "ptr" && t != "global" && t != "shared" && t != "const" &&
               t != "local") {
      return fail("unknown attribute ." + t);
    }
  }
  if (!element || lex.kind != Lexer::word)
    return fail("expected a type and a name");
  v.name = lex.token;
  lex.next();
  while (lex.take("[")) {
    uint64_t n = 0;
    if (!lex.is("]") && !unsignedNumber(n)) // x[]: 0 bytes
      return false;
    if (n > kMostBytes || v.bytes * n > kMostBytes)
      return fail("too large");
    v.bytes *= n;
    if (!expect("]"))
      return false;
  }
  return !lex.take("=") || initial(v, element);
}

bool Parser::initial(Variable &v, uint32_t element) {
  bool list = lex.take("{");
  uint64_t size = 0;
  std::vector<uint8_t> bytes;
  do {
    if (list && lex.is("}"))
      break;
    Operand o;
    if (!immediate(o))
      return false;
    if (o.number == 'r')
      return fail("decimal fractions are not read here");
    for (uint32_t i = 0; i < element; ++i)
      bytes.push_back(i < 8 ? static_cast<uint8_t>(o.bits >> (8 * i)) : 0);
    size += element;
    if (size > kMostBytes)
      return fail("too large");
  } while (list && lex.take(","));
  if (list && !expect("}"))
    return false;
  if (v.bytes == 0) { // `x[] = {...}`
    v.bytes = size;
  }
  if (size > v.bytes)
    return fail("more values than '" + v.name + "' has room for");
  v.init = std::move(bytes);
  return true;
}

bool Parser::registers(Entry &e) {
  if (lex.kind != Lexer::word)
    return fail("expected a type");
  Register r{lex.token.substr(1)};
  if (r.type != "pred" && !typeBytes(r.type))
    return fail("unknown type of registers");
  lex.next();
  do {
    std::string name = lex.token;
    if (lex.kind != Lexer::word)
      return fail("expected a register's name");
    lex.next();
    if (lex.take("<")) {
      uint64_t n;
      if (!unsignedNumber(n) || !expect(">"))
        return false;
      if (n > 1u << 20)
        return fail("too many registers");
      e.ranges[name] = {r, static_cast<uint32_t>(n)};
    } else {
      e.registers[name] = r;
    }
  } while (lex.take(","));
  return expect(";");
}

bool Parser::addressOperand(Operand &o) {
  o.kind = Operand::address;
  auto number = [&](bool negative) {
    uint64_t n;
    if (!unsignedNumber(n))
      return false;
    o.offset = static_cast<int64_t>(negative ? 0 - n : n);
    return true;
  };
  if (lex.kind == Lexer::word) {
    o.text = lex.token;
    lex.next();
    bool plus = lex.take("+"), minus = lex.take("-");
    if ((plus || minus) && !number(minus))
      return false;
  } else if (!number(lex.take("-"))) {
    return false;
  }
  return expect("]");
}

bool Parser::operand(Operand &o) {
  if (lex.take("["))
    return addressOperand(o);
  if (lex.take("{")) {
    o.kind = Operand::vector;
    do {
      o.parts.emplace_back();
      if (!operand(o.parts.back()))
        return false;
    } while (lex.take(","));
    return expect("}");
  }
  o.negated = lex.take("!");
  if (lex.kind != Lexer::word)
    return immediate(o);
  o.text = lex.token;
  lex.next();
  if (o.text == "_")
    o.kind = Operand::sink;
  if (lex.take("|")) {
    o.other = lex.token;
    if (lex.kind != Lexer::word)
      return fail("expected a predicate");
    lex.next();
  }
  return true;
}

bool Parser::statement(Entry &e) {
  Statement s;
  s.line = lex.line;
  if (lex.take("@")) {
    s.guardNegated = lex.take("!");
    s.guard = lex.token;
    if (lex.kind != Lexer::word)
      return fail("expected a predicate");
    lex.next();
  }
  if (lex.kind != Lexer::word)
    return fail("expected an instruction");
  s.opcode = lex.token;
  lex.next();
  if (lex.take(":")) {
    e.labels[s.opcode] = static_cast<uint32_t>(e.statements.size());
    if (!lex.take(".branchtargets"))
      return true;
    std::vector<std::string> &targets = e.targets[s.opcode];
    do {
      targets.push_back(lex.token);
      lex.next();
    } while (lex.take(","));
    return expect(";");
  }
  while (!lex.is(";")) {
    s.operands.emplace_back();
    if (!operand(s.operands.back()))
      return false;
    if (!lex.take(",") && !lex.is(";"))
      return fail("expected ',' or ';'");
  }
  lex.next();
  e.statements.push_back(std::move(s));
  return true;
}

bool Parser::body(Entry &e) {
  for (int depth = 1; depth;) {
    bool ok = true;
    if (lex.kind == Lexer::finished)
      return fail("a body does not end");
    if (lex.take("}"))
      --depth;
    else if (lex.take("{"))
      ++depth;
    else if (lex.take(".reg"))
      ok = registers(e);
    else if (lex.is(".local") || lex.is(".shared")) {
      e.locals.emplace_back();
      e.locals.back().space = lex.token.substr(1);
      lex.next();
      ok = variable(e.locals.back()) && expect(";");
    } else if (lex.take(".pragma")) {
      lex.next();
      ok = expect(";");
    } else if (lex.is(".loc") || lex.is(".file"))
      lex.skipLine();
    else
      ok = statement(e);
    if (!ok)
      return false;
  }
  return true;
}

bool Parser::entry() {
  out.entries.emplace_back();
  Entry &e = out.entries.back();
  e.name = lex.token;
  if (lex.kind != Lexer::word)
    return fail("expected a kernel's name");
  lex.next();
  if (lex.take("(")) {
    while (lex.take(".param")) {
      e.params.emplace_back();
      e.params.back().space = "param";
      if (!variable(e.params.back()))
        return false;
      lex.take(",");
    }
    if (!expect(")"))
      return false;
  }
  while (!lex.is("{")) {
    bool exact = lex.is(".reqntid");
    if (lex.kind != Lexer::word)
      return fail("expected a kernel's body");
    lex.next();
    uint64_t product = 1, n;
    while (lex.kind == Lexer::number) {
      if (!unsignedNumber(n))
        return false;
      product *= n;
      lex.take(",");
    }
    if (exact)
      e.threads = static_cast<uint32_t>(product);
  }
  lex.next();
  return body(e);
}

bool Parser::module() {
  if (!lex.is(".version"))
    return fail("this is not PTX: it does not begin with .version");
  bool external = false;
  while (lex.kind != Lexer::finished) {
    if (lex.is(".version") || lex.is(".target") || lex.is(".address_size") ||
        lex.is(".loc") || lex.is(".file")) {
      lex.skipLine();
    } else if (lex.take(".visible") || lex.take(".weak")) {
    } else if (lex.take(".extern")) {
      external = true;
    } else if (lex.take(".entry")) {
      if (!entry())
        return false;
    } else if (lex.is(".shared") || lex.is(".global") || lex.is(".const")) {
      out.variables.emplace_back();
      Variable &v = out.variables.back();
      v.space = lex.token.substr(1);
      lex.next();
      if (!variable(v) || !expect(";"))
        return false;
      v.external = external && v.space == "shared" && v.bytes == 0;
      if (external && !v.external)
        return fail("'" + v.name + "' is defined elsewhere");
      external = false;
    } else {
      return fail("cannot be executed here: a directive");
    }
  }
  return true;
}

} // namespace

bool isthmus::simgpu::ptx::parse(const char *text, size_t bytes, Text &out,
                                 std::string &error) {
  return Parser(text, bytes, out, error).module();
}
