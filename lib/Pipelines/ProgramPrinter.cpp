//===- ProgramPrinter.cpp - programs as text, for people ------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Pipelines/ProgramWriter.h"

using namespace isthmus;

namespace {

/// What an operand is: an integer register, a buffer register, an index into
/// the code, or an index into the table that the letter names.
struct Shape {
  const char *dst, *a, *b, *c;
};

Shape shapeOf(fb::Op op) {
  switch (op) {
  case fb::Op::move:
    return {"r", "r", "", ""};
  case fb::Op::select:
    return {"r", "r", "r", "r"};
  case fb::Op::check:
    return {"", "r", "string ", ""};
  case fb::Op::if_:
  case fb::Op::break_if:
    return {"", "r", "@", ""};
  case fb::Op::else_:
  case fb::Op::end_loop:
    return {"", "", "@", ""};
  case fb::Op::loop:
    return {"r", "r", "@", ""};
  case fb::Op::nop:
  case fb::Op::end_if:
    return {"", "", "", ""};
  case fb::Op::input:
    return {"b", "input ", "", ""};
  case fb::Op::weight:
    return {"b", "weight ", "", ""};
  case fb::Op::derived:
    return {"b", "derived ", "", ""};
  case fb::Op::alloc:
    return {"b", "transient ", "", ""};
  case fb::Op::alloc_output:
    return {"b", "output ", "r", ""};
  case fb::Op::alloc_derived:
    return {"b", "derived ", "r", ""};
  case fb::Op::view:
    return {"b", "b", "r", "r"};
  case fb::Op::bmove:
    return {"b", "b", "", ""};
  case fb::Op::set_output:
    return {"output ", "b", "", ""};
  case fb::Op::launch:
    return {"", "launch ", "", ""};
  case fb::Op::copy:
    return {"b", "b", "r", ""};
  case fb::Op::fill:
    return {"b", "r", "r", ""};
  case fb::Op::read:
    return {"r", "b", "r", "type "};
  default:
    return {"r", "r", "r", ""}; // add .. xor_
  }
}

void printList(llvm::raw_ostream &out, const std::vector<uint32_t> &list,
               const char *letter) {
  for (uint32_t v : list)
    out << " " << letter << v;
}

void print(llvm::raw_ostream &out, const fb::ProgramT &program,
           const fb::FunctionT &f) {
  out << "function " << f.name << " host_waits " << f.host_waits << "\n";
  for (auto [i, t] : llvm::enumerate(f.transients))
    out << "  transient " << i << ": r" << t->size << " bytes, @" << t->first
        << "..@" << t->last << (t->pool ? ", pool" : "") << "\n";
  int depth = 0;
  for (auto [pc, i] : llvm::enumerate(f.code)) {
    fb::Op op = i.op();
    if (op == fb::Op::end_if || op == fb::Op::end_loop || op == fb::Op::else_)
      --depth;
    out << "  @" << pc << ": ";
    out.indent(2 * depth) << fb::EnumNameOp(op);
    if (op == fb::Op::const_) {
      out << " r" << i.dst() << " = " << f.consts[i.a()];
    } else if (op == fb::Op::launch) {
      const fb::LaunchT &l = *f.launches[i.a()];
      out << " " << program.kernels[l.kernel]->name << " grid r" << l.grid;
      printList(out, l.scalars, "r");
      printList(out, l.buffers, "b");
    } else {
      Shape s = shapeOf(op);
      if (*s.dst)
        out << " " << s.dst << i.dst();
      if (*s.a)
        out << " " << s.a << i.a();
      if (*s.b)
        out << " " << s.b << i.b();
      if (*s.c)
        out << " " << s.c << i.c();
    }
    out << "\n";
    if (op == fb::Op::if_ || op == fb::Op::loop || op == fb::Op::else_)
      ++depth;
  }
}

/// "2048*s0 + min(4*s0*s1, 4096)", or "-" where nothing is said.
void printTerms(llvm::raw_ostream &out, const char *what,
                const std::vector<fb::Term> &terms) {
  out << " " << what << " ";
  if (terms.empty())
    out << "-";
  llvm::ListSeparator plus(" + ");
  for (const fb::Term &t : terms) {
    bool bounded = t.most() != UINT64_MAX;
    out << plus << (bounded ? "min(" : "") << t.coefficient();
    for (uint8_t scalar : *t.scalars())
      if (scalar)
        out << "*s" << scalar - 1;
    if (bounded)
      out << ", " << t.most() << ")";
  }
}

} // namespace

void isthmus::printProgram(const fb::ProgramT &program,
                           llvm::raw_ostream &out) {
  for (const auto &k : program.kernels) {
    out << "kernel " << k->name << ":";
    printTerms(out, "flops", k->work->flops);
    printTerms(out, "reads", k->work->reads);
    printTerms(out, "writes", k->work->writes);
    out << "\n";
  }
  for (const auto &f : program.functions)
    print(out, program, *f);
}
