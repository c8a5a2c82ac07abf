//===- ProgramPrinter.cpp - programs as text, for people ------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Pipelines/ProgramWriter.h"

#include "llvm/Support/Format.h"

using namespace isthmus;
using llvm::ArrayRef;

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

void printWork(llvm::raw_ostream &out, const fb::WorkT &work) {
  printTerms(out, "flops", work.flops);
  printTerms(out, "reads", work.reads);
  printTerms(out, "writes", work.writes);
}

/// Nothing where it depends on sizes or is not known.
std::optional<double> constantOf(ArrayRef<fb::Term> terms) {
  double sum = 0;
  for (const fb::Term &t : terms) {
    if (llvm::any_of(*t.scalars(), [](uint8_t scalar) { return scalar; }))
      return std::nullopt;
    sum += double(std::min(t.coefficient(), t.most()));
  }
  return terms.empty() ? std::nullopt : std::optional(sum);
}

} // namespace

void isthmus::remarkKernels(const fb::ProgramT &program,
                            llvm::raw_ostream &out) {
  for (uint32_t index = 0; index < program.kernels.size(); ++index) {
    const auto &k = program.kernels[index];
    auto remark = [&]() -> llvm::raw_ostream & {
      return out << "remark: " << k->name << ": ";
    };
    remark() << "work:";
    printWork(out, *k->work);
    auto flops = constantOf(k->work->flops), reads = constantOf(k->work->reads),
         writes = constantOf(k->work->writes);
    if (flops && reads && writes && *reads + *writes > 0)
      out << ", " << llvm::format("%.2f", *flops / (*reads + *writes))
          << " flops a byte";
    out << "\n";
    if (k->workgroup > 1) {
      remark() << "code: " << k->workgroup << " lanes a workgroup, "
               << k->shared_bytes << " bytes of workgroup memory, ";
      if (k->vector_registers < 0)
        out << "registers by the driver\n";
      else
        out << k->vector_registers << " vector and " << k->scalar_registers
            << " scalar registers, " << k->spilled_registers << " spilled\n";
    }
    for (const auto &f : program.functions)
      for (const auto &l : f->launches) {
        if (l->kernel != index)
          continue;
        remark() << "launched by " << f->name << ": ";
        llvm::interleaveComma(l->nodes, out, [&](uint32_t node) {
          out << program.strings[node];
        });
        out << "\n";
      }
  }
}

void isthmus::printProgram(const fb::ProgramT &program,
                           llvm::raw_ostream &out) {
  for (const auto &k : program.kernels) {
    out << "kernel " << k->name << ":";
    printWork(out, *k->work);
    out << "\n";
  }
  for (const auto &f : program.functions)
    print(out, program, *f);
}
