//===- query.cpp - loading and asking, as the public API says it ----------===//
#include "program.h"
#include "work.h"

using namespace isthmus;

namespace {

template <typename Open>
ist_status loadProgram(Open open, ist_device *device, int32_t variant,
                       ist_program **out, ist_error *error) {
  if (!out)
    return fail(error, IST_INVALID_ARGUMENT, "ist_program_load: out is NULL");
  *out = nullptr;
  ist_program *p = make<ist_program>();
  if (!p)
    return outOfMemory(error, sizeof(ist_program), "a program");
  ist_status s = open(p->zip);
  if (!s)
    s = p->load(device, variant, error);
  if (s) {
    destroy(p);
    return s;
  }
  *out = p;
  return IST_OK;
}

ist_status tooLarge(ist_error *error, const char *what, uint32_t index,
                    uint32_t n) {
  return fail(error, IST_NOT_FOUND, "there is no %s %u; there are %u", what,
              index, n);
}

ist_status findFunction(const ist_program *p, uint32_t index,
                        const fb::Function **out, ist_error *error) {
  if (index >= p->functionCount())
    return tooLarge(error, "function", index, p->functionCount());
  *out = p->function(index);
  return IST_OK;
}

/// The symbol that a register holds to the end, or -1.
int32_t symbolIn(const fb::Function &f, int32_t reg) {
  if (reg < 0 || static_cast<uint32_t>(reg) >= count(f.symbols()))
    return -1;
  for (const fb::Instr *i : *f.code())
    if (rolesOf(i->op()).dst == Role::IntDst &&
        i->dst() == static_cast<uint32_t>(reg))
      return -1;
  return reg;
}

void describe(const fb::Function &f, const fb::Tensor &t,
              ist_tensor_info *out) {
  *out = {};
  out->inout = t.inout();
  out->name = t.name()->c_str();
  out->dtype = static_cast<ist_dtype>(t.dtype());
  out->rank = static_cast<int32_t>(count(t.dims()));
  for (int32_t d = 0; d < out->rank; ++d) {
    const fb::Dim &dim = *t.dims()->Get(d);
    out->dims[d].size = dim.size() >= 0 ? dim.size() : -1;
    out->dims[d].symbol =
        dim.symbol() >= 0 ? dim.symbol() : symbolIn(f, dim.reg());
  }
}

ist_status planFor(const ist_program *p, uint32_t function,
                   const ist_tensor *inputs, size_t n, Plan *plan,
                   const fb::Function **f, ist_error *error) {
  if (ist_status s = findFunction(p, function, f, error))
    return s;
  Array<int64_t> symbols;
  if (!symbols.resize(count((*f)->symbols())))
    return outOfMemory(error, count((*f)->symbols()) * 8ull, "symbols");
  if (ist_status s = bindInputs(**f, inputs, n, symbols.data(), error))
    return s;
  return makePlan(*p->program, **f, symbols.data(), plan, error);
}

uint64_t derivedBytes(const ist_program *p) {
  uint64_t sum = 0;
  for (uint64_t bytes : p->derivedSizes)
    sum += bytes;
  return sum;
}

uint64_t weightBytes(const ist_program *p) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < count(p->manifest->weights()); ++i)
    sum += p->manifest->weights()->Get(i)->bytes();
  return sum;
}

} // namespace

extern "C" {

ist_status ist_program_load(const char *path, ist_device *device,
                            int32_t variant, ist_program **out,
                            ist_error *error) {
  if (!path)
    return fail(error, IST_INVALID_ARGUMENT, "ist_program_load: path is NULL");
  return loadProgram([&](Zip &zip) { return zip.openFile(path, error); },
                     device, variant, out, error);
}

ist_status ist_program_load_memory(const void *data, size_t size,
                                   ist_device *device, int32_t variant,
                                   ist_program **out, ist_error *error) {
  if (!data)
    return fail(error, IST_INVALID_ARGUMENT,
                "ist_program_load_memory: data is NULL");
  return loadProgram(
      [&](Zip &zip) { return zip.openMemory(data, size, error); }, device,
      variant, out, error);
}

void ist_program_release(ist_program *p) {
  if (p && __atomic_sub_fetch(&p->references, 1, __ATOMIC_ACQ_REL) == 0)
    destroy(p);
}

size_t ist_program_remark_count(const ist_program *p) {
  return p->remarks.size();
}

const char *ist_program_remark(const ist_program *p, size_t index) {
  return index < p->remarks.size() ? p->remarks[index] : nullptr;
}

void ist_program_info(const ist_program *p, ist_artifact_info *out) {
  const fb::Manifest &m = *p->manifest;
  *out = {text(m.producer()), text(m.model()),
          m.version(),        m.variants()->size(),
          p->variant,         count(m.weights()),
          p->functionCount(), count(p->program->kernels()),
          weightBytes(p),     derivedBytes(p)};
}

ist_status ist_program_variant(const ist_program *p, uint32_t variant,
                               ist_variant_info *out, ist_error *error) {
  const auto &all = *p->manifest->variants();
  if (variant >= all.size())
    return tooLarge(error, "variant", variant, all.size());
  const fb::Variant &v = *all[variant];
  *out = {v.target()->c_str(), v.format()->c_str(), v.code()->c_str(),
          count(v.facts())};
  return IST_OK;
}

ist_status ist_program_variant_fact(const ist_program *p, uint32_t variant,
                                    uint32_t index, const char **key,
                                    const char **value, ist_error *error) {
  const auto &all = *p->manifest->variants();
  if (variant >= all.size())
    return tooLarge(error, "variant", variant, all.size());
  const auto *facts = all[variant]->facts();
  if (index >= count(facts))
    return tooLarge(error, "fact", index, count(facts));
  *key = facts->Get(index)->key()->c_str();
  *value = facts->Get(index)->value()->c_str();
  return IST_OK;
}

ist_status ist_program_weight(const ist_program *p, uint32_t index,
                              ist_weight_info *out, ist_error *error) {
  const auto *all = p->manifest->weights();
  if (index >= count(all))
    return tooLarge(error, "weight", index, count(all));
  const fb::Weight &w = *all->Get(index);
  *out = {text(w.name()),
          w.member()->c_str(),
          w.offset(),
          w.bytes(),
          w.hash(),
          static_cast<ist_dtype>(w.dtype()),
          static_cast<int32_t>(count(w.dims())),
          w.dims() ? w.dims()->data() : nullptr};
  return IST_OK;
}

ist_status ist_program_kernel(const ist_program *p, uint32_t index,
                              ist_kernel_info *out, ist_error *error) {
  const auto *all = p->program->kernels();
  if (index >= count(all))
    return tooLarge(error, "kernel", index, count(all));
  const fb::Kernel &k = *all->Get(index);
  *out = {k.name()->c_str(), text(k.family()), k.params()->size(),
          k.workgroup(), k.shared_bytes()};
  return IST_OK;
}

ist_status ist_program_kernel_code(const ist_program *p, uint32_t index,
                                   ist_kernel_code *out, ist_error *error) {
  const auto *all = p->program->kernels();
  if (index >= count(all))
    return tooLarge(error, "kernel", index, count(all));
  const fb::Kernel &k = *all->Get(index);
  auto known = [](int32_t n) { return n < 0 ? -1 : n; };
  *out = {known(k.vector_registers()), known(k.scalar_registers()),
          known(k.spilled_registers()), count(k.declined())};
  return IST_OK;
}

ist_status ist_program_kernel_declined(const ist_program *p, uint32_t kernel,
                                       uint32_t index, const char **plan,
                                       ist_error *error) {
  ist_kernel_code k;
  if (ist_status s = ist_program_kernel_code(p, kernel, &k, error))
    return s;
  if (index >= k.declined_count)
    return tooLarge(error, "declined plan", index, k.declined_count);
  *plan = text(p->program->strings()->Get(
      p->program->kernels()->Get(kernel)->declined()->Get(index)));
  return IST_OK;
}

ist_status ist_program_kernel_param(const ist_program *p, uint32_t kernel,
                                    uint32_t index, ist_param_info *out,
                                    ist_error *error) {
  const auto *all = p->program->kernels();
  if (kernel >= count(all))
    return tooLarge(error, "kernel", kernel, count(all));
  const auto &params = *all->Get(kernel)->params();
  if (index >= params.size())
    return tooLarge(error, "param", index, params.size());
  *out = {static_cast<ist_param_kind>(params[index]->kind()),
          static_cast<ist_access>(params[index]->access()),
          params[index]->align()};
  return IST_OK;
}

ist_status ist_program_find_function(const ist_program *p, const char *name,
                                     uint32_t *index, ist_error *error) {
  int64_t i = name ? p->find(name) : -1;
  if (i < 0)
    return fail(error, IST_NOT_FOUND,
                "the program has no function '%.100s'; ist-info lists them",
                name ? name : "");
  *index = static_cast<uint32_t>(i);
  return IST_OK;
}

ist_status ist_program_function(const ist_program *p, uint32_t function,
                                ist_function_info *out, ist_error *error) {
  const fb::Function *f;
  if (ist_status s = findFunction(p, function, &f, error))
    return s;
  *out = {f->name()->c_str(),  count(f->symbols()),  count(f->inputs()),
          count(f->outputs()), count(f->launches()), count(f->transients()),
          f->code()->size(),   f->host_waits()};
  return IST_OK;
}

ist_status ist_program_symbol(const ist_program *p, uint32_t function,
                              uint32_t index, ist_symbol_info *out,
                              ist_error *error) {
  const fb::Function *f;
  if (ist_status s = findFunction(p, function, &f, error))
    return s;
  if (index >= count(f->symbols()))
    return tooLarge(error, "symbol", index, count(f->symbols()));
  const fb::Symbol &symbol = *f->symbols()->Get(index);
  *out = {symbol.name()->c_str(), symbol.min(), symbol.max(),
          symbol.multiple()};
  return IST_OK;
}

ist_status ist_program_input(const ist_program *p, uint32_t function,
                             uint32_t index, ist_tensor_info *out,
                             ist_error *error) {
  const fb::Function *f;
  if (ist_status s = findFunction(p, function, &f, error))
    return s;
  if (index >= count(f->inputs()))
    return tooLarge(error, "input", index, count(f->inputs()));
  describe(*f, *f->inputs()->Get(index), out);
  for (uint32_t i = 0; i < count(f->outputs()); ++i)
    if (f->outputs()->Get(i)->inout() == static_cast<int64_t>(index))
      out->inout = static_cast<int32_t>(i);
  return IST_OK;
}

ist_status ist_program_output(const ist_program *p, uint32_t function,
                              uint32_t index, ist_tensor_info *out,
                              ist_error *error) {
  const fb::Function *f;
  if (ist_status s = findFunction(p, function, &f, error))
    return s;
  if (index >= count(f->outputs()))
    return tooLarge(error, "output", index, count(f->outputs()));
  describe(*f, *f->outputs()->Get(index), out);
  return IST_OK;
}

ist_status ist_program_launch(const ist_program *p, uint32_t function,
                              uint32_t index, ist_launch_info *out,
                              ist_error *error) {
  const fb::Function *f;
  if (ist_status s = findFunction(p, function, &f, error))
    return s;
  if (index >= count(f->launches()))
    return tooLarge(error, "launch", index, count(f->launches()));
  const fb::Launch &l = *f->launches()->Get(index);
  *out = {l.kernel(), count(l.nodes())};
  return IST_OK;
}

ist_status ist_program_launch_node(const ist_program *p, uint32_t function,
                                   uint32_t launch, uint32_t index,
                                   const char **node, ist_error *error) {
  ist_launch_info l;
  if (ist_status s = ist_program_launch(p, function, launch, &l, error))
    return s;
  if (index >= l.node_count)
    return tooLarge(error, "node", index, l.node_count);
  *node = text(p->program->strings()->Get(
      p->function(function)->launches()->Get(launch)->nodes()->Get(index)));
  return IST_OK;
}

ist_status ist_program_launch_work(const ist_program *p, uint32_t function,
                                   uint32_t launch, const ist_tensor *inputs,
                                   size_t inputCount, ist_work *out,
                                   ist_error *error) {
  ist_launch_info info;
  if (ist_status s = ist_program_launch(p, function, launch, &info, error))
    return s;
  Plan plan;
  const fb::Function *f;
  if (ist_status s = planFor(p, function, inputs, inputCount, &plan, &f, error))
    return s;
  const fb::Launch &l = *f->launches()->Get(launch);
  *out = {};
  for (uint32_t i = 0; i < count(l.scalars()); ++i) {
    uint32_t reg = l.scalars()->Get(i);
    if (!plan.known[reg] || !isSettled(*f, reg))
      return IST_OK; // decided by data, or not the same each time
  }
  *out = workOf(*p->program->kernels()->Get(l.kernel()), l, plan.regs.data());
  return IST_OK;
}

ist_status ist_program_output_shapes(const ist_program *p, uint32_t function,
                                     const ist_tensor *inputs,
                                     size_t inputCount, ist_tensor *outputs,
                                     size_t outputCount, ist_error *error) {
  Plan plan;
  const fb::Function *f;
  if (ist_status s = planFor(p, function, inputs, inputCount, &plan, &f, error))
    return s;
  if (outputCount != count(f->outputs()) || (outputCount && !outputs))
    return fail(error, IST_INVALID_ARGUMENT,
                "function '%s' gives %u outputs and got room for %zu",
                f->name()->c_str(), count(f->outputs()), outputCount);
  for (uint32_t i = 0; i < outputCount; ++i) {
    const fb::Tensor &t = *f->outputs()->Get(i);
    for (uint32_t d = 0; d < count(t.dims()); ++d) {
      int32_t reg = t.dims()->Get(d)->reg();
      if (reg >= 0 && !plan.known[reg])
        return fail(error, IST_UNAVAILABLE,
                    "dim %u of output '%s' depends on the inputs' values; call "
                    "the function and let the runtime allocate",
                    d, t.name()->c_str());
    }
    if (ist_status s = fillOutput(t, plan.regs.data(), &outputs[i], error))
      return s;
  }
  return IST_OK;
}

ist_status ist_program_memory_need(const ist_program *p, uint32_t function,
                                   const ist_tensor *inputs, size_t inputCount,
                                   ist_memory_need *out, ist_error *error) {
  Plan plan;
  const fb::Function *f;
  if (ist_status s = planFor(p, function, inputs, inputCount, &plan, &f, error))
    return s;
  *out = {plan.arenaBytes, plan.outputBytes, weightBytes(p), derivedBytes(p),
          plan.exact};
  return IST_OK;
}
}
