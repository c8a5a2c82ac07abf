//===- verify.cpp - checks an artifact before anything believes it --------===//
//
// FlatBuffers' verifier makes reading the tables safe; what the tables mean is
// checked here, in the order in which program.fbs says it.
//
//===----------------------------------------------------------------------===//
#include "verify.h"

#include <cstdarg>
#include <cstdio>

using namespace isthmus;

const OpRoles &isthmus::rolesOf(fb::Op op) {
  using R = Role;
  static const OpRoles binary = {R::IntDst, R::IntSrc, R::IntSrc, R::None};
  static const OpRoles none = {R::None, R::None, R::None, R::None};
  static const struct {
    fb::Op op;
    OpRoles roles;
  } table[] = {
      {fb::Op::const_, {R::IntDst, R::Const, R::None, R::None}},
      {fb::Op::move, {R::IntDst, R::IntSrc, R::None, R::None}},
      {fb::Op::select, {R::IntDst, R::IntSrc, R::IntSrc, R::IntSrc}},
      {fb::Op::check, {R::None, R::IntSrc, R::String, R::None}},
      {fb::Op::if_, {R::None, R::IntSrc, R::Target, R::None}},
      {fb::Op::else_, {R::None, R::None, R::Target, R::None}},
      {fb::Op::end_if, {R::None, R::None, R::None, R::None}},
      {fb::Op::loop, {R::IntDst, R::IntSrc, R::Target, R::None}},
      {fb::Op::end_loop, {R::None, R::None, R::Target, R::None}},
      {fb::Op::break_if, {R::None, R::IntSrc, R::Target, R::None}},
      {fb::Op::input, {R::BufDst, R::Input, R::None, R::None}},
      {fb::Op::weight, {R::BufDst, R::Weight, R::None, R::None}},
      {fb::Op::derived, {R::BufDst, R::Derived, R::None, R::None}},
      {fb::Op::alloc, {R::BufDst, R::Transient, R::None, R::None}},
      {fb::Op::alloc_output, {R::BufDst, R::Output, R::IntSrc, R::None}},
      {fb::Op::alloc_derived, {R::BufDst, R::Derived, R::IntSrc, R::None}},
      {fb::Op::view, {R::BufDst, R::BufSrc, R::IntSrc, R::IntSrc}},
      {fb::Op::bmove, {R::BufDst, R::BufSrc, R::None, R::None}},
      {fb::Op::set_output, {R::Output, R::BufSrc, R::None, R::None}},
      {fb::Op::launch, {R::None, R::Launch, R::None, R::None}},
      {fb::Op::copy, {R::BufSrc, R::BufSrc, R::IntSrc, R::None}},
      {fb::Op::fill, {R::BufSrc, R::IntSrc, R::IntSrc, R::None}},
      {fb::Op::read, {R::IntDst, R::BufSrc, R::IntSrc, R::Dtype}},
  };
  if (op == fb::Op::nop)
    return none;
  for (const auto &row : table)
    if (row.op == op)
      return row.roles;
  return binary; // add .. xor_
}

namespace {

class Checker {
public:
  Checker(const fb::Manifest &manifest, const Zip &zip, ist_error *error)
      : manifest(manifest), zip(zip), error(error) {}

  ist_status run();

private:
  __attribute__((format(printf, 2, 3))) ist_status broken(const char *fmt, ...);
  ist_status weights();
  ist_status variant(const fb::Variant &v);
  ist_status kernels();
  ist_status work(uint32_t kernel, const fb::Work &w);
  ist_status function(const fb::Function &f);
  ist_status tensors(const fb::Function &f);
  ist_status tensor(const fb::Function &f, const fb::Tensor &t, bool output);
  ist_status inout(const fb::Function &f, uint32_t output);
  ist_status launches(const fb::Function &f);
  ist_status commands(const fb::Function &f);
  ist_status fields(const fb::Function &f, const fb::Instr &i);
  ist_status field(const fb::Function &f, Role role, uint32_t value);
  ist_status nesting(const fb::Function &f);

  const fb::Manifest &manifest;
  const Zip &zip;
  ist_error *error;
  // Where we are, for messages.
  const fb::Program *program = nullptr;
  uint32_t variantIndex = 0;
  const char *functionName = nullptr;
  int64_t command = -1;
  fb::Op op = fb::Op::nop;
};

ist_status Checker::broken(const char *fmt, ...) {
  char what[512], where[512] = "";
  va_list args;
  va_start(args, fmt);
  std::vsnprintf(what, sizeof what, fmt, args);
  va_end(args);
  int n = 0;
  auto add = [&](int written) {
    n += written;
    if (n > static_cast<int>(sizeof where) - 1)
      n = sizeof where - 1;
  };
  if (program)
    add(std::snprintf(where, sizeof where, "variant %u: ", variantIndex));
  if (functionName)
    add(std::snprintf(where + n, sizeof where - n,
                      "function '%.64s': ", functionName));
  if (command >= 0)
    add(std::snprintf(where + n, sizeof where - n, "command %lld (%s): ",
                      static_cast<long long>(command), fb::EnumNameOp(op)));
  return fail(error, IST_DATA_LOSS,
              "broken artifact: %s%s; compile the model again", where, what);
}

#define CHECK_OK(expression)                                                   \
  do {                                                                         \
    if (ist_status s = (expression))                                           \
      return s;                                                                \
  } while (false)

bool isDtype(fb::DType t) { return t <= fb::DType::i1; }

ist_status Checker::run() {
  if (manifest.version() != 1)
    return fail(error, IST_UNIMPLEMENTED,
                "the artifact has format version %u and this runtime reads "
                "version 1; use a matching runtime",
                manifest.version());
  CHECK_OK(weights());
  if (manifest.variants()->size() == 0)
    return broken("it has no variants");
  for (const fb::Variant *v : *manifest.variants()) {
    CHECK_OK(variant(*v));
    ++variantIndex;
  }
  return IST_OK;
}

ist_status Checker::weights() {
  for (uint32_t i = 0; i < count(manifest.weights()); ++i) {
    const fb::Weight &w = *manifest.weights()->Get(i);
    Span member;
    if (!zip.find(w.member()->c_str(), &member))
      return broken("weight %u is in member '%.100s', which is missing", i,
                    w.member()->c_str());
    if (w.bytes() > member.size || w.offset() > member.size - w.bytes())
      return broken("weight %u reaches outside member '%.100s'", i,
                    w.member()->c_str());
    if (!isDtype(w.dtype()))
      return broken("weight %u has dtype %u, which there is not", i,
                    static_cast<unsigned>(w.dtype()));
    // FlatBuffers' verifier looks at the alignment of a vector's length only.
    if (w.dims() && reinterpret_cast<uintptr_t>(w.dims()->data()) % 8 != 0)
      return broken("the dims of weight %u are not aligned", i);
    uint64_t bytes;
    if (w.dims() &&
        (!tensorBytes(static_cast<ist_dtype>(w.dtype()), w.dims()->data(),
                      static_cast<int32_t>(count(w.dims())), &bytes) ||
         bytes != w.bytes()))
      return broken("weight %u has %llu bytes, which is not what its dims and "
                    "dtype need",
                    i, ull(w.bytes()));
  }
  return IST_OK;
}

ist_status Checker::variant(const fb::Variant &v) {
  program = v.program();
  functionName = nullptr;
  command = -1;
  Span code;
  if (!zip.find(v.code()->c_str(), &code))
    return broken("its code is in member '%.100s', which is missing",
                  v.code()->c_str());
  CHECK_OK(kernels());
  const auto &functions = *program->functions();
  bool init = false;
  for (uint32_t i = 0; i < functions.size(); ++i) {
    functionName = functions[i]->name()->c_str();
    init |= std::strcmp(functionName, "init") == 0;
    for (uint32_t j = 0; j < i; ++j)
      if (std::strcmp(functions[j]->name()->c_str(), functionName) == 0)
        return broken("there are two of that name");
    CHECK_OK(function(*functions[i]));
  }
  functionName = nullptr;
  if (functions.size() == 0)
    return broken("it has no functions");
  if (program->derived() > kMaxRegisters)
    return broken("%u derived weights are too many", program->derived());
  if (program->derived() && !init)
    return broken("it has derived weights but no 'init' to make them");
  return IST_OK;
}

ist_status Checker::kernels() {
  for (uint32_t i = 0; i < count(program->kernels()); ++i) {
    const fb::Kernel &k = *program->kernels()->Get(i);
    if (k.name()->size() == 0)
      return broken("kernel %u has no name", i);
    if (k.params()->size() > kMaxParams)
      return broken("kernel %u has more than %u params", i, kMaxParams);
    if (k.workgroup() == 0)
      return broken("kernel %u has an empty workgroup", i);
    uint32_t errorWords = 0;
    for (const fb::Param *p : *k.params()) {
      if (p->kind() > fb::ParamKind::error_word ||
          p->access() > fb::Access::readwrite)
        return broken("kernel %u has a param of unknown kind or access", i);
      if (p->align() == 0 || (p->align() & (p->align() - 1)) ||
          p->align() > kAlignment)
        return broken("kernel %u has a param aligned to %u, which is no power "
                      "of two up to %u",
                      i, p->align(), kAlignment);
      errorWords += p->kind() == fb::ParamKind::error_word;
    }
    if (errorWords > 1)
      return broken("kernel %u has %u error words; there is one a launch", i,
                    errorWords);
    if (k.work())
      CHECK_OK(work(i, *k.work()));
    for (uint32_t j = 0; j < count(k.declined()); ++j)
      if (k.declined()->Get(j) >= count(program->strings()))
        return broken("kernel %u names a string that there is not", i);
  }
  return IST_OK;
}

ist_status Checker::work(uint32_t kernel, const fb::Work &w) {
  uint32_t scalars = 0;
  for (const fb::Param *p : *program->kernels()->Get(kernel)->params())
    scalars += p->kind() == fb::ParamKind::scalar;
  for (const auto *terms : {w.flops(), w.reads(), w.writes()}) {
    if (!terms)
      continue;
    // FlatBuffers' verifier looks at the alignment of a vector's length only.
    if (reinterpret_cast<uintptr_t>(terms->Data()) % 8 != 0)
      return broken("the work of kernel %u is not aligned", kernel);
    for (const fb::Term *t : *terms)
      for (uint8_t scalar : *t->scalars())
        if (scalar > scalars)
          return broken("the work of kernel %u depends on its scalar %u of %u",
                        kernel, scalar - 1u, scalars);
  }
  return IST_OK;
}

ist_status Checker::function(const fb::Function &f) {
  command = -1;
  if (f.int_regs() > kMaxRegisters || f.buffer_regs() > kMaxRegisters)
    return broken("%u integer and %u buffer registers are too many",
                  f.int_regs(), f.buffer_regs());
  if (count(f.symbols()) > f.int_regs())
    return broken("%u symbols do not fit %u integer registers",
                  count(f.symbols()), f.int_regs());
  if (std::strcmp(functionName, "init") == 0 &&
      (count(f.symbols()) || count(f.inputs()) || count(f.outputs())))
    return broken("'init' has symbols, inputs or outputs");
  CHECK_OK(tensors(f));
  CHECK_OK(launches(f));
  for (uint32_t i = 0; i < count(f.transients()); ++i) {
    const fb::Transient &t = *f.transients()->Get(i);
    if (t.size() >= f.int_regs())
      return broken("transient %u has its size in integer register %u of %u", i,
                    t.size(), f.int_regs());
    if (t.first() > t.last() || t.last() >= f.code()->size())
      return broken("transient %u lives from command %u to %u of %u", i,
                    t.first(), t.last(), f.code()->size());
  }
  CHECK_OK(commands(f));
  CHECK_OK(nesting(f));
  command = -1;
  return IST_OK;
}

ist_status Checker::tensors(const fb::Function &f) {
  for (uint32_t i = 0; i < count(f.symbols()); ++i) {
    const fb::Symbol &s = *f.symbols()->Get(i);
    if (s.min() < 0 || s.min() > s.max() || s.multiple() < 1)
      return broken("symbol '%.64s' has no possible value", s.name()->c_str());
    bool bound = false;
    for (uint32_t j = 0; j < count(f.inputs()); ++j)
      for (uint32_t d = 0; d < count(f.inputs()->Get(j)->dims()); ++d)
        bound |= f.inputs()->Get(j)->dims()->Get(d)->symbol() ==
                 static_cast<int64_t>(i);
    if (!bound)
      return broken("symbol '%.64s' is no input's dim", s.name()->c_str());
  }
  for (uint32_t i = 0; i < count(f.inputs()); ++i)
    CHECK_OK(tensor(f, *f.inputs()->Get(i), false));
  for (uint32_t i = 0; i < count(f.outputs()); ++i)
    CHECK_OK(tensor(f, *f.outputs()->Get(i), true));
  for (uint32_t i = 0; i < count(f.outputs()); ++i)
    CHECK_OK(inout(f, i));
  return IST_OK;
}

ist_status Checker::inout(const fb::Function &f, uint32_t output) {
  const fb::Tensor &t = *f.outputs()->Get(output);
  const char *name = t.name()->c_str();
  if (t.inout() == -1)
    return IST_OK;
  if (t.inout() < 0 || static_cast<uint32_t>(t.inout()) >= count(f.inputs()))
    return broken("'%.64s' is written in the place of input %d of %u", name,
                  t.inout(), count(f.inputs()));
  const fb::Tensor &in = *f.inputs()->Get(static_cast<uint32_t>(t.inout()));
  if (in.dtype() != t.dtype())
    return broken("'%.64s' is written in the place of '%.64s', which has "
                  "another dtype",
                  name, in.name()->c_str());
  for (uint32_t i = 0; i < output; ++i)
    if (f.outputs()->Get(i)->inout() == t.inout())
      return broken("'%.64s' and '%.64s' are both written in the place of "
                    "'%.64s'",
                    f.outputs()->Get(i)->name()->c_str(), name,
                    in.name()->c_str());
  return IST_OK;
}

ist_status Checker::tensor(const fb::Function &f, const fb::Tensor &t,
                           bool output) {
  const char *name = t.name()->c_str();
  if (!isDtype(t.dtype()))
    return broken("'%.64s' has dtype %u, which there is not", name,
                  static_cast<unsigned>(t.dtype()));
  if (count(t.dims()) > IST_MAX_RANK)
    return broken("'%.64s' has more than %d dims", name, IST_MAX_RANK);
  if (!output && t.inout() != -1)
    return broken("'%.64s' is an input with an inout of its own", name);
  for (uint32_t d = 0; d < count(t.dims()); ++d) {
    const fb::Dim &dim = *t.dims()->Get(d);
    bool fixed = dim.size() >= 0 && dim.symbol() == -1 && dim.reg() == -1;
    bool symbol = !output && dim.size() == -1 && dim.reg() == -1 &&
                  dim.symbol() >= 0 &&
                  static_cast<uint32_t>(dim.symbol()) < count(f.symbols());
    bool reg = output && dim.size() == -1 && dim.symbol() == -1 &&
               dim.reg() >= 0 &&
               static_cast<uint32_t>(dim.reg()) < f.int_regs();
    if (!fixed && !symbol && !reg)
      return broken("dim %u of '%.64s' is not one of: a size, %s", d, name,
                    output ? "an integer register" : "a symbol");
  }
  return IST_OK;
}

ist_status Checker::launches(const fb::Function &f) {
  for (uint32_t i = 0; i < count(f.launches()); ++i) {
    const fb::Launch &l = *f.launches()->Get(i);
    if (l.kernel() >= count(program->kernels()))
      return broken("launch %u is of kernel %u of %u", i, l.kernel(),
                    count(program->kernels()));
    const fb::Kernel &k = *program->kernels()->Get(l.kernel());
    uint32_t addresses = 0, scalars = 0;
    for (const fb::Param *p : *k.params()) {
      addresses += p->kind() == fb::ParamKind::address;
      scalars += p->kind() == fb::ParamKind::scalar;
    }
    if (addresses != count(l.buffers()) || scalars != count(l.scalars()))
      return broken("launch %u gives %u buffers and %u scalars to kernel "
                    "'%.64s', which takes %u and %u",
                    i, count(l.buffers()), count(l.scalars()),
                    k.name()->c_str(), addresses, scalars);
    bool ok = l.grid() < f.int_regs();
    for (uint32_t j = 0; j < count(l.scalars()); ++j)
      ok &= l.scalars()->Get(j) < f.int_regs();
    for (uint32_t j = 0; j < count(l.buffers()); ++j)
      ok &= l.buffers()->Get(j) < f.buffer_regs();
    if (!ok)
      return broken("launch %u names a register that there is not", i);
    for (uint32_t j = 0; j < count(l.nodes()); ++j)
      ok &= l.nodes()->Get(j) < count(program->strings());
    for (uint32_t j = 0; j < count(l.errors()); ++j)
      ok &= l.errors()->Get(j) < count(program->strings());
    if (!ok)
      return broken("launch %u names a string that there is not", i);
  }
  return IST_OK;
}

ist_status Checker::commands(const fb::Function &f) {
  bool init = std::strcmp(functionName, "init") == 0;
  for (uint32_t i = 0; i < f.code()->size(); ++i) {
    const fb::Instr &instr = *f.code()->Get(i);
    command = i;
    op = instr.op();
    if (op > fb::Op::read)
      return broken("there is no operation %u", static_cast<unsigned>(op));
    CHECK_OK(fields(f, instr));
    if (op == fb::Op::alloc_derived && !init)
      return broken("only 'init' makes derived weights");
  }
  return IST_OK;
}

ist_status Checker::fields(const fb::Function &f, const fb::Instr &i) {
  const OpRoles &roles = rolesOf(i.op());
  CHECK_OK(field(f, roles.dst, i.dst()));
  CHECK_OK(field(f, roles.a, i.a()));
  CHECK_OK(field(f, roles.b, i.b()));
  return field(f, roles.c, i.c());
}

ist_status Checker::field(const fb::Function &f, Role role, uint32_t value) {
  const char *what = nullptr;
  uint32_t limit = 0;
  switch (role) {
  case Role::None:
    return IST_OK;
  case Role::IntDst:
  case Role::IntSrc:
    what = "integer register";
    limit = f.int_regs();
    break;
  case Role::BufDst:
  case Role::BufSrc:
    what = "buffer register";
    limit = f.buffer_regs();
    break;
  case Role::Const:
    what = "constant";
    limit = count(f.consts());
    break;
  case Role::String:
    what = "string";
    limit = count(program->strings());
    break;
  case Role::Input:
    what = "input";
    limit = count(f.inputs());
    break;
  case Role::Output:
    what = "output";
    limit = count(f.outputs());
    break;
  case Role::Weight:
    what = "weight";
    limit = count(manifest.weights());
    break;
  case Role::Derived:
    what = "derived weight";
    limit = program->derived();
    break;
  case Role::Transient:
    what = "transient";
    limit = count(f.transients());
    break;
  case Role::Launch:
    what = "launch";
    limit = count(f.launches());
    break;
  case Role::Target:
    what = "command";
    limit = f.code()->size();
    break;
  case Role::Dtype:
    what = "dtype";
    limit = static_cast<uint32_t>(fb::DType::i1) + 1;
    break;
  }
  if (value >= limit)
    return broken("%s %u of %u", what, value, limit);
  return IST_OK;
}

/// Each if_, else_ and loop names its partner and the partners nest.
ist_status Checker::nesting(const fb::Function &f) {
  uint32_t open[kMaxNesting];
  uint32_t depth = 0, loops = 0;
  int32_t waits = 0;
  const auto &code = *f.code();
  for (uint32_t i = 0; i < code.size(); ++i) {
    const fb::Instr &instr = *code.Get(i);
    command = i;
    op = instr.op();
    const fb::Instr *top = depth ? code.Get(open[depth - 1]) : nullptr;
    switch (op) {
    case fb::Op::if_:
    case fb::Op::loop:
      if (depth == kMaxNesting)
        return broken("nested more than %u deep", kMaxNesting);
      open[depth++] = i;
      loops += op == fb::Op::loop;
      break;
    case fb::Op::else_:
      if (!top || top->op() != fb::Op::if_ || top->b() != i)
        return broken("it is not where its if_ says");
      open[depth - 1] = i;
      break;
    case fb::Op::end_if:
      if (!top || (top->op() != fb::Op::if_ && top->op() != fb::Op::else_) ||
          top->b() != i)
        return broken("it is not where its if_ or else_ says");
      --depth;
      break;
    case fb::Op::end_loop:
      if (!top || top->op() != fb::Op::loop || top->b() != i ||
          instr.b() != open[depth - 1])
        return broken("it is not where its loop says");
      --depth;
      --loops;
      break;
    case fb::Op::break_if: {
      uint32_t d = depth;
      while (d && code.Get(open[d - 1])->op() != fb::Op::loop)
        --d;
      if (!d || code.Get(open[d - 1])->b() != instr.b())
        return broken("it does not name the end of the innermost loop");
      break;
    }
    case fb::Op::read:
      waits = loops || waits < 0 ? -1 : waits + 1;
      break;
    default:
      break;
    }
  }
  if (depth) {
    command = open[depth - 1];
    op = code.Get(open[depth - 1])->op();
    return broken("it is never closed");
  }
  command = -1;
  if (f.host_waits() != waits)
    return broken("host_waits is %d where the code has %d", f.host_waits(),
                  waits);
  return IST_OK;
}

} // namespace

ist_status isthmus::verifyManifest(Span span, const Zip &zip,
                                   const fb::Manifest **out, ist_error *error) {
  // The limit is FlatBuffers' own.
  if (span.size >= FLATBUFFERS_MAX_BUFFER_SIZE)
    return fail(error, IST_DATA_LOSS,
                "broken artifact: a manifest of %llu bytes", ull(span.size));
  flatbuffers::Verifier verifier(span.data, span.size, /*max_depth=*/64,
                                 /*max_tables=*/16 * 1000 * 1000);
  if (!fb::VerifyManifestBuffer(verifier))
    return fail(error, IST_DATA_LOSS,
                "broken artifact: its manifest is malformed; compile the "
                "model again");
  const fb::Manifest *manifest = fb::GetManifest(span.data);
  if (ist_status s = Checker(*manifest, zip, error).run())
    return s;
  *out = manifest;
  return IST_OK;
}
