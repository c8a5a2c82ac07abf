//===- program.cpp - loading a program ------------------------------------===//
#include "program.h"
#include "session.h"
#include "trace.h"
#include "transfer.h"
#include "variant.h"
#include "verify.h"

#include <cstdio>

using namespace isthmus;

ist_program::~ist_program() {
  if (device) {
    for (Imported &m : mapped)
      device->free(&m);
    for (Stored *x : stored)
      device->store.release(x);
    device->store.release(derivedStored);
    device->moduleUnload(module);
    device->release();
  }
  for (char *line : remarks)
    std::free(line);
  for (char *line : nodes)
    std::free(line);
  std::free(manifestCopy);
}

int64_t ist_program::find(const char *name) const {
  for (uint32_t i = 0; i < functionCount(); ++i)
    if (std::strcmp(function(i)->name()->c_str(), name) == 0)
      return i;
  return -1;
}

void ist_program::remark(const char *line) {
  // Remarks are for people: without memory for one, there is none.
  if (char *copy = ::strdup(line))
    if (!remarks.push(copy))
      std::free(copy);
}

namespace {
class Opened final : public DeviceFacts {
public:
  explicit Opened(const ist_device &d) : d(d) {}
  const char *vendor() const override { return d.driver->vendor; }
  const char *formats() const override { return d.driver->formats; }
  const char *fact(const char *key) const override { return d.fact(key); }

private:
  const ist_device &d;
};
} // namespace

ist_status ist_program::choose(int32_t wanted, ist_error *error) {
  const auto &variants = *manifest->variants();
  if (wanted != IST_BEST_VARIANT &&
      (wanted < 0 || static_cast<uint32_t>(wanted) >= variants.size()))
    return fail(error, IST_NOT_FOUND,
                "there is no variant %d; the artifact has %u", wanted,
                variants.size());
  int64_t best = wanted == IST_BEST_VARIANT ? 0 : wanted;
  if (device) {
    char all[700] = "";
    best = chooseVariant(
        *manifest, Opened(*device), wanted, [&](uint32_t i, const char *why) {
          char line[320];
          std::snprintf(line, sizeof line,
                        "variant %u (%.60s) was passed over: %s", i,
                        variants[i]->target()->c_str(), why);
          remark(line);
          size_t used = std::strlen(all);
          std::snprintf(all + used, sizeof all - used, "; %s", line);
        });
    if (best < 0)
      return fail(error, IST_UNAVAILABLE,
                  "no variant fits device %s%s; compile the model for it with "
                  "--target=%s:native",
                  device->name, all, device->driver->vendor);
  }
  variant = static_cast<uint32_t>(best);
  program = variants[variant]->program();
  return IST_OK;
}

ist_status ist_program::load(ist_device *d, int32_t wanted, ist_error *error) {
  if (d) {
    d->retain();
    device = d;
  }
  Span bytes;
  if (!zip.find("manifest", &bytes))
    return fail(error, IST_DATA_LOSS,
                "not an artifact: the zip has no member 'manifest'; make one "
                "with istc");
  if (bytes.size && reinterpret_cast<uintptr_t>(bytes.data) % 8 != 0) {
    manifestCopy = std::malloc(bytes.size);
    if (!manifestCopy)
      return outOfMemory(error, bytes.size, "the manifest");
    std::memcpy(manifestCopy, bytes.data, bytes.size);
    bytes.data = static_cast<const uint8_t *>(manifestCopy);
  }
  if (ist_status s = verifyManifest(bytes, zip, &manifest, error))
    return s;
  if (ist_status s = choose(wanted, error))
    return s;
  if (!device)
    return IST_OK;
  if (ist_status s = findFacts(error))
    return s;
  if (ist_status s = loadCode(error))
    return s;
  if (ist_status s = loadWeights(error))
    return s;
  return makeDerived(error);
}

/// Of each operand, from the parameters of kernels that its buffer reaches.
ist_status ist_program::findAlignments(uint32_t index, ist_error *error) {
  const fb::Function &f = *function(index);
  FunctionFacts &x = facts[index];
  uint32_t inputs = count(f.inputs()), operands = inputs + count(f.outputs());
  x.operands = static_cast<uint32_t>(alignments.size());
  Array<uint32_t> wanted; // of each buffer register
  if (!alignments.resize(x.operands + operands) ||
      !wanted.resize(f.buffer_regs()))
    return outOfMemory(error, 4ull * f.buffer_regs(), "alignments");
  auto atLeast = [](uint32_t &v, uint32_t least) {
    bool less = v < least;
    v = less ? least : v;
    return less;
  };
  for (uint32_t j = 0; j < count(f.launches()); ++j) {
    const fb::Launch &l = *f.launches()->Get(j);
    uint32_t buffer = 0;
    for (const fb::Param *p : *program->kernels()->Get(l.kernel())->params()) {
      x.errorWords |= p->kind() == fb::ParamKind::error_word;
      if (p->kind() == fb::ParamKind::address)
        atLeast(wanted[l.buffers()->Get(buffer++)], p->align());
    }
  }
  // Against the flow: what is made of a buffer wants as much of it. Code that
  // goes round in circles for long gets more than it needs.
  const auto &code = *f.code();
  bool changed = true;
  for (int pass = 0; changed && pass < 8; ++pass) {
    changed = false;
    for (uint32_t at = code.size(); at-- > 0;) {
      const fb::Instr &i = *code.Get(at);
      if (i.op() == fb::Op::view || i.op() == fb::Op::bmove)
        changed |= atLeast(wanted[i.a()], wanted[i.dst()]);
    }
  }
  for (uint32_t j = 0; j < operands; ++j)
    alignments[x.operands + j] = changed ? uint32_t{kAlignment} : 1;
  for (const fb::Instr *i : code)
    if (i->op() == fb::Op::input)
      atLeast(alignments[x.operands + i->a()], wanted[i->dst()]);
    else if (i->op() == fb::Op::alloc_output)
      atLeast(alignments[x.operands + inputs + i->a()], wanted[i->dst()]);
  // An output in the place of an input is that input's memory.
  for (uint32_t j = inputs; j < operands; ++j) {
    int32_t inout = f.outputs()->Get(j - inputs)->inout();
    if (inout >= 0)
      atLeast(alignments[x.operands + inout], alignments[x.operands + j]);
  }
  return IST_OK;
}

ist_status ist_program::findFacts(ist_error *error) {
  if (!facts.resize(functionCount()))
    return outOfMemory(error, functionCount() * sizeof(FunctionFacts),
                       "functions");
  uint32_t launches = 0;
  for (uint32_t i = 0; i < functionCount(); ++i) {
    const fb::Function &f = *function(i);
    FunctionFacts &x = facts[i];
    if (ist_status s = findAlignments(i, error))
      return s;
    x.nodes = launches;
    launches += count(f.launches());
    x.recordable = f.host_waits() == 0;
    for (uint32_t j = 0; j < count(f.transients()); ++j)
      x.recordable &= !f.transients()->Get(j)->pool();
  }
  if (!tracing())
    return IST_OK;
  for (uint32_t i = 0; i < functionCount(); ++i)
    for (uint32_t j = 0; j < count(function(i)->launches()); ++j) {
      char line[1000];
      nodesText(*function(i)->launches()->Get(j), line, sizeof line);
      char *copy = ::strdup(line);
      if (!copy || !nodes.push(copy)) {
        std::free(copy);
        return outOfMemory(error, sizeof line, "the names of nodes");
      }
    }
  return IST_OK;
}

void ist_program::nodesText(const fb::Launch &l, char *out, size_t size) const {
  size_t used = 0;
  *out = 0;
  for (uint32_t i = 0; i < count(l.nodes()); ++i) {
    const char *name = text(program->strings()->Get(l.nodes()->Get(i)));
    if (used + std::strlen(name) + 3 > size)
      break;
    used += static_cast<size_t>(
        std::snprintf(out + used, size - used, "%s%s", used ? ", " : "", name));
  }
}

ist_status ist_program::loadCode(ist_error *error) {
  uint32_t n = count(program->kernels());
  if (!kernels.resize(n))
    return outOfMemory(error, n * sizeof(void *), "kernels");
  Span code;
  zip.find(manifest->variants()->Get(variant)->code()->c_str(), &code);
  if (n == 0)
    return IST_OK;
  if (ist_status s = device->moduleLoad(
          code.data, code.size,
          manifest->variants()->Get(variant)->format()->c_str(), &module,
          error))
    return s;
  Array<ist_arg> args;
  for (uint32_t i = 0; i < n; ++i) {
    const fb::Kernel &k = *program->kernels()->Get(i);
    args.clear();
    uint32_t bytes = 0;
    for (const fb::Param *p : *k.params()) {
      bool scalar = p->kind() == fb::ParamKind::scalar;
      if (!args.push({scalar ? IST_ARG_SCALAR : IST_ARG_ADDRESS, bytes, 8}))
        return outOfMemory(error, sizeof(ist_arg), "a kernel's parameters");
      bytes += 8;
    }
    ist_kernel_desc desc = {
        sizeof desc, k.name()->c_str(), args.data(),      args.size(),
        bytes,       k.workgroup(),     k.shared_bytes(), 0};
    if (ist_status s = device->kernelGet(module, desc, &kernels[i], error))
      return s;
  }
  return IST_OK;
}

/// Says what the bytes are, for a key; the artifact's own hash where it has
/// one.
static void addContent(Hash *hash, const fb::Weight &w, const uint8_t *p) {
  hash->add(w.bytes());
  if (w.hash())
    hash->add(w.hash());
  else
    hash->add(p, w.bytes());
}

const uint8_t *ist_program::weightData(uint32_t i) const {
  const fb::Weight &w = *manifest->weights()->Get(i);
  Span member;
  zip.find(w.member()->c_str(), &member);
  return member.data + w.offset();
}

ist_status ist_program::loadWeights(ist_error *error) {
  uint32_t n = count(manifest->weights());
  Array<uint8_t> used;
  if (!weights.resize(n) || !mapped.resize(n) || !stored.resize(n) ||
      !used.resize(n))
    return outOfMemory(error, n * sizeof(ist_driver_memory), "weights");
  for (uint32_t f = 0; f < functionCount(); ++f)
    for (const fb::Instr *i : *function(f)->code())
      if (i->op() == fb::Op::weight)
        used[i->a()] = 1;

  Transfer transfer;
  bool open = false;
  for (uint32_t i = 0; i < n; ++i) {
    const fb::Weight &w = *manifest->weights()->Get(i);
    if (!used[i] || w.bytes() == 0)
      continue;
    const uint8_t *p = weightData(i);
    // In place where it is aligned and the device takes it, else in a copy.
    ist_status s = IST_UNAVAILABLE;
    if (reinterpret_cast<uintptr_t>(p) % kAlignment == 0)
      s = device->import(p, w.bytes(), &mapped[i], error);
    if (!s) {
      weights[i] = mapped[i];
      continue;
    }
    if (s != IST_UNAVAILABLE)
      return s;
    Hash hash;
    hash.add("weight");
    addContent(&hash, w, p);
    stored[i] = device->store.find(hash.value());
    if (!stored[i]) {
      s = open ? IST_OK : transfer.open(device, error);
      open = true;
      if (!s)
        s = device->store.begin(hash.value(), text(manifest->model()), 1,
                                &stored[i], error);
      if (!s)
        s = device->store.alloc(stored[i], 0, w.bytes(), error);
      if (!s)
        s = transfer.toDevice(stored[i]->parts[0].memory.address, p, w.bytes(),
                              error);
      if (s)
        return s;
      stored[i] = device->store.publish(stored[i]);
    }
    weights[i] = stored[i]->parts[0].memory;
  }
  return IST_OK;
}

/// All that decides what `init` makes. Kernels are named by what they compute,
/// not by how, so the code counts as a whole.
Hash::Value ist_program::derivedKey() const {
  Hash hash;
  hash.add("derived");
  hash.add(device->driver->name);
  for (size_t i = 0; i < device->description.fact_count; ++i) {
    const ist_fact &fact = device->description.facts[i];
    const char *dot = std::strrchr(fact.key, '.');
    if (dot && (!std::strcmp(dot, ".arch") || !std::strcmp(dot, ".features")))
      hash.add(fact.value);
  }
  const fb::Variant &v = *manifest->variants()->Get(variant);
  hash.add(v.target()->c_str());
  Span code;
  zip.find(v.code()->c_str(), &code);
  hash.add(code.data, code.size);
  const fb::Function &f = *function(static_cast<uint32_t>(find("init")));
  hash.add(f.code()->Data(), f.code()->size() * sizeof(fb::Instr));
  for (uint32_t i = 0; i < count(f.consts()); ++i)
    hash.add(static_cast<uint64_t>(f.consts()->Get(i)));
  for (uint32_t i = 0; i < count(f.launches()); ++i) {
    const fb::Launch &l = *f.launches()->Get(i);
    hash.add(program->kernels()->Get(l.kernel())->name()->c_str());
    hash.add(l.grid());
    for (const auto *list : {l.scalars(), l.buffers()})
      for (uint32_t k = 0; k < count(list); ++k)
        hash.add(list->Get(k));
  }
  for (const fb::Instr *i : *f.code())
    if (i->op() == fb::Op::weight)
      addContent(&hash, *manifest->weights()->Get(i->a()), weightData(i->a()));
  return hash.value();
}

ist_status ist_program::makeDerived(ist_error *error) {
  uint32_t n = program->derived();
  if (!derived.resize(n) || !derivedSizes.resize(n) || !derivedMade.resize(n))
    return outOfMemory(error, n * sizeof(ist_driver_memory), "derived weights");
  if (find("init") < 0)
    return IST_OK;
  Store &store = device->store;
  Hash::Value key = derivedKey();
  derivedStored = store.find(key);
  if (derivedStored) {
    takeDerived();
    return IST_OK;
  }
  const char *model = text(manifest->model());
  if (ist_status s = store.begin(key, model, n, &derivedStored, error))
    return s;
  char why[600];
  if (readCache(device, store, derivedStored, why, sizeof why)) {
    derivedStored = store.publish(derivedStored);
    takeDerived();
    return IST_OK;
  }
  if (*why) {
    remark(why);
    // What was read of it is gone.
    store.release(derivedStored);
    derivedStored = nullptr;
    if (ist_status s = store.begin(key, model, n, &derivedStored, error))
      return s;
  }
  if (ist_status s = runInit(error))
    return s;
  writeCache(device, derivedStored, why, sizeof why);
  if (*why)
    remark(why);
  derivedStored = store.publish(derivedStored);
  takeDerived();
  return IST_OK;
}

void ist_program::takeDerived() {
  for (uint32_t i = 0; i < derived.size(); ++i) {
    derived[i] = derivedStored->parts[i].memory;
    derivedSizes[i] = derivedStored->parts[i].bytes;
    derivedMade[i] = 1;
  }
}

ist_status ist_program::allocDerived(uint32_t i, uint64_t bytes,
                                     ist_error *error) {
  if (derivedMade[i])
    return fail(error, IST_DATA_LOSS,
                "broken artifact: 'init' makes derived weight %u twice", i);
  if (bytes)
    if (ist_status s = device->store.alloc(derivedStored, i, bytes, error))
      return s;
  derived[i] = derivedStored->parts[i].memory;
  derivedSizes[i] = bytes;
  derivedMade[i] = 1;
  return IST_OK;
}

ist_status ist_program::runInit(ist_error *error) {
  // A session retains its program; this one ends before the program is shared.
  ist_session session;
  ist_session_options options = IST_SESSION_OPTIONS_INIT;
  ist_status s = session.create(this, options, error);
  session.readsOnce = true;
  if (!s)
    s = session.call("init", nullptr, 0, nullptr, 0, error);
  if (s)
    return s;
  for (uint32_t i = 0; i < derived.size(); ++i)
    if (!derivedMade[i])
      return fail(error, IST_DATA_LOSS,
                  "broken artifact: 'init' did not make derived weight %u; "
                  "compile the model again",
                  i);
  return IST_OK;
}

ist_status isthmus::bindInputs(const fb::Function &f, const ist_tensor *inputs,
                               size_t given, int64_t *symbols,
                               ist_error *error) {
  uint32_t n = count(f.inputs());
  if (given != n || (n && !inputs))
    return fail(error, IST_INVALID_ARGUMENT,
                "function '%s' takes %u inputs and got %zu", f.name()->c_str(),
                n, given);
  uint32_t symbolCount = count(f.symbols());
  for (uint32_t i = 0; i < symbolCount; ++i)
    symbols[i] = -1;
  for (uint32_t i = 0; i < n; ++i) {
    const fb::Tensor &t = *f.inputs()->Get(i);
    const ist_tensor &in = inputs[i];
    const char *name = t.name()->c_str();
    if (static_cast<uint32_t>(in.dtype) != static_cast<uint32_t>(t.dtype())) {
      const char *got = ist_dtype_name(in.dtype);
      return fail(error, IST_INVALID_ARGUMENT,
                  "input '%s' has type %s where %s is needed; convert it", name,
                  got ? got : "(unknown)", fb::EnumNameDType(t.dtype()));
    }
    if (in.rank < 0 || static_cast<uint32_t>(in.rank) != count(t.dims()))
      return fail(error, IST_INVALID_ARGUMENT,
                  "input '%s' has rank %d where %u is needed; reshape it", name,
                  in.rank, count(t.dims()));
    for (int32_t d = 0; d < in.rank; ++d) {
      const fb::Dim &dim = *t.dims()->Get(d);
      int64_t v = in.dims[d];
      if (dim.size() >= 0) {
        if (v != dim.size())
          return fail(error, IST_INVALID_ARGUMENT,
                      "input '%s' has size %lld in dim %d where %lld is needed",
                      name, static_cast<long long>(v), d,
                      static_cast<long long>(dim.size()));
        continue;
      }
      const fb::Symbol &s = *f.symbols()->Get(dim.symbol());
      int64_t &bound = symbols[dim.symbol()];
      if (v < s.min() || v > s.max() || v % s.multiple() != 0)
        return fail(
            error, IST_INVALID_ARGUMENT,
            "input '%s' has size %lld in dim %d, '%s', which must be "
            "in %lld..%lld and a multiple of %lld; compile with a wider "
            "--shape to allow it",
            name, static_cast<long long>(v), d, s.name()->c_str(),
            static_cast<long long>(s.min()), static_cast<long long>(s.max()),
            static_cast<long long>(s.multiple()));
      if (bound >= 0 && bound != v)
        return fail(error, IST_INVALID_ARGUMENT,
                    "input '%s' has size %lld in dim %d, '%s', which is %lld "
                    "in an input before it; they must agree",
                    name, static_cast<long long>(v), d, s.name()->c_str(),
                    static_cast<long long>(bound));
      bound = v;
    }
    uint64_t bytes;
    if (!tensorBytes(in.dtype, in.dims, in.rank, &bytes))
      return fail(error, IST_INVALID_ARGUMENT,
                  "input '%s' has more bytes than there are", name);
  }
  return IST_OK;
}

ist_status isthmus::fillOutput(const fb::Tensor &t, const int64_t *regs,
                               ist_tensor *tensor, ist_error *error) {
  tensor->dtype = static_cast<ist_dtype>(t.dtype());
  tensor->rank = static_cast<int32_t>(count(t.dims()));
  for (int32_t d = 0; d < tensor->rank; ++d) {
    const fb::Dim &dim = *t.dims()->Get(d);
    tensor->dims[d] = dim.size() >= 0 ? dim.size() : regs[dim.reg()];
  }
  uint64_t bytes;
  if (!tensorBytes(tensor->dtype, tensor->dims, tensor->rank, &bytes))
    return fail(error, IST_INVALID_ARGUMENT,
                "output '%s' would have a negative size, or more bytes than "
                "there are; use smaller inputs",
                t.name()->c_str());
  tensor->bytes = bytes;
  return IST_OK;
}
