//===- programs.cpp - artifacts over the suite's kernels ------------------===//
#include "programs.h"
#include "ArtifactWriter.h"
#include "harness.h"
#include "program_generated.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <sstream>
#include <unistd.h>

using namespace isthmus;
using namespace isthmus::cts;
using fb::Op;

Straight::Straight(uint32_t commands, uint32_t seed) {
  std::mt19937 random(seed);
  auto below = [&](uint32_t n) { return static_cast<uint32_t>(random() % n); };
  for (uint32_t i = 0; i < commands; ++i) {
    uint32_t made = i + 4;
    // Mostly what is new, so that much has ended early and memory is reused.
    auto value = [&] {
      return below(3) && made > 4 ? made - 1 - below(made > 6 ? 3 : 1)
                                  : below(made);
    };
    uint32_t kind = below(16);
    Step s = {kind < 7    ? Step::add
              : kind < 14 ? Step::scale
              : kind < 15 ? Step::copy
                          : Step::fill,
              value(), value(), below(1000)};
    // The first reads x and the last the one before, so that all matter.
    if (i == 0)
      s = {Step::add, 0, 1, 0};
    else if (i + 1 == commands)
      s = {Step::add, made - 1, value(), 0};
    steps.push_back(s);
  }
}

Values Straight::run(const Values &x, const Values &y,
                     const Values &weight) const {
  std::vector<Values> v = {x, y, weight, weight};
  for (uint32_t &e : v[3])
    e = 3 * e + 1;
  for (const Step &s : steps) {
    Values z(x.size());
    for (size_t i = 0; i < z.size(); ++i)
      switch (s.op) {
      case Step::add:
        z[i] = v[s.a][i] + v[s.b][i];
        break;
      case Step::scale:
        z[i] = v[s.a][i] * s.k + 1;
        break;
      case Step::copy:
        z[i] = v[s.a][i];
        break;
      case Step::fill:
        z[i] = (s.k & 0xff) * 0x01010101u;
        break;
      }
    v.push_back(z);
  }
  return v.back();
}

Values isthmus::cts::loopOf(const Values &x) {
  Values z = x;
  for (uint32_t i = 0; i < x[0] % 5; ++i)
    for (uint32_t &e : z)
      e = 3 * e + 1;
  return z;
}

namespace {

constexpr uint32_t kAdd = 0, kScale = 1;

std::unique_ptr<fb::KernelT> kernel(const char *name, uint32_t scalars,
                                    uint32_t reads, uint32_t lanes) {
  auto k = std::make_unique<fb::KernelT>();
  k->name = name;
  k->workgroup = lanes;
  auto param = [&](fb::ParamKind kind, fb::Access access, uint32_t align) {
    k->params.push_back(std::make_unique<fb::ParamT>());
    k->params.back()->kind = kind;
    k->params.back()->access = access;
    k->params.back()->align = align;
  };
  for (uint32_t i = 0; i < scalars; ++i)
    param(fb::ParamKind::scalar, fb::Access::none, 1);
  for (uint32_t i = 0; i < reads; ++i)
    param(fb::ParamKind::address, fb::Access::read, 16);
  param(fb::ParamKind::address, fb::Access::write, 16);
  return k;
}

/// Collects one function of u32[n].
class Function {
public:
  Function(fb::ProgramT &program, const std::string &name) : program(program) {
    program.functions.push_back(std::make_unique<fb::FunctionT>());
    f = program.functions.back().get();
    f->name = name;
    f->symbols.push_back(std::make_unique<fb::SymbolT>());
    f->symbols[0]->name = "n";
    f->symbols[0]->min = 1;
    f->symbols[0]->max = kMostElements;
    f->int_regs = 1; // n
    groups = integer(Op::ceildiv, 0, constant(256));
    bytes = integer(Op::mul, 0, constant(4));
  }
  uint32_t emit(Op op, uint32_t dst = 0, uint32_t a = 0, uint32_t b = 0,
                uint32_t c = 0) {
    f->code.emplace_back(op, dst, a, b, c);
    return static_cast<uint32_t>(f->code.size() - 1);
  }
  uint32_t integer(Op op, uint32_t a, uint32_t b) {
    emit(op, f->int_regs, a, b);
    return f->int_regs++;
  }
  uint32_t constant(int64_t v) {
    f->consts.push_back(v);
    emit(Op::const_, f->int_regs, static_cast<uint32_t>(f->consts.size() - 1));
    return f->int_regs++;
  }
  uint32_t buffer(Op op, uint32_t a, uint32_t b = 0) {
    emit(op, f->buffer_regs, a, b);
    return f->buffer_regs++;
  }
  uint32_t input(const char *name) {
    f->inputs.push_back(tensor(name));
    f->inputs.back()->dims[0]->symbol = 0;
    return buffer(Op::input, static_cast<uint32_t>(f->inputs.size() - 1));
  }
  uint32_t output(const char *name, int32_t inout = -1) {
    f->outputs.push_back(tensor(name));
    f->outputs.back()->dims[0]->reg = 0;
    f->outputs.back()->inout = inout;
    return static_cast<uint32_t>(f->outputs.size() - 1);
  }
  /// Lives until command endAt() says, or to the end.
  uint32_t alloc() {
    auto t = std::make_unique<fb::TransientT>();
    t->size = bytes;
    t->first = static_cast<uint32_t>(f->code.size());
    t->last = UINT32_MAX;
    f->transients.push_back(std::move(t));
    return buffer(Op::alloc, static_cast<uint32_t>(f->transients.size() - 1));
  }
  void launch(uint32_t kernel, std::vector<uint32_t> scalars,
              std::vector<uint32_t> buffers) {
    auto l = std::make_unique<fb::LaunchT>();
    l->kernel = kernel;
    l->grid = groups;
    l->scalars = std::move(scalars);
    l->buffers = std::move(buffers);
    program.strings.push_back(f->name + "_" +
                              std::to_string(f->launches.size()));
    l->nodes = {static_cast<uint32_t>(program.strings.size() - 1)};
    f->launches.push_back(std::move(l));
    emit(Op::launch, 0, static_cast<uint32_t>(f->launches.size() - 1));
  }
  void end() {
    for (auto &t : f->transients)
      if (t->last == UINT32_MAX)
        t->last = static_cast<uint32_t>(f->code.size() - 1);
  }
  fb::FunctionT *f;
  uint32_t groups, bytes;

private:
  std::unique_ptr<fb::TensorT> tensor(const char *name) {
    auto t = std::make_unique<fb::TensorT>();
    t->name = name;
    t->dtype = fb::DType::u32;
    t->dims.push_back(std::make_unique<fb::DimT>());
    return t;
  }
  fb::ProgramT &program;
};

void straight(fb::ProgramT &program, const std::string &name,
              const Straight &s) {
  Function f(program, name);
  std::vector<uint32_t> values = {f.input("x"), f.input("y"),
                                  f.buffer(Op::weight, 0),
                                  f.buffer(Op::derived, 0)};
  std::vector<int64_t> transient(4, -1); // of each value
  for (const Step &step : s.steps) {
    bool last = &step == &s.steps.back();
    uint32_t to, a = values[step.a], b = values[step.b];
    transient.push_back(-1);
    if (last) {
      to = f.buffer(Op::alloc_output, f.output("z"), f.bytes);
    } else {
      transient.back() = static_cast<int64_t>(f.f->transients.size());
      to = f.alloc();
    }
    values.push_back(to);
    uint32_t k = f.constant(step.k);
    switch (step.op) {
    case Step::add:
      f.launch(kAdd, {0}, {a, b, to});
      break;
    case Step::scale:
      f.launch(kScale, {0, k}, {a, to});
      break;
    case Step::copy:
      f.emit(Op::copy, to, a, f.bytes);
      break;
    case Step::fill:
      f.emit(Op::fill, to, k, f.bytes);
      break;
    }
    // Whoever is used here lives until here, at least.
    uint32_t now = static_cast<uint32_t>(f.f->code.size() - 1);
    for (int64_t t : {transient[step.a], transient[step.b], transient.back()})
      if (t >= 0)
        f.f->transients[static_cast<size_t>(t)]->last = now;
  }
  f.end();
}

void init(fb::ProgramT &program) {
  program.derived = 1;
  program.functions.push_back(std::make_unique<fb::FunctionT>());
  fb::FunctionT &f = *program.functions.back();
  f.name = "init";
  f.consts = {kMostElements, 4 * kMostElements, kMostElements / 256, 3};
  f.int_regs = 4;
  for (uint32_t i = 0; i < 4; ++i)
    f.code.emplace_back(Op::const_, i, i, 0, 0);
  f.buffer_regs = 2;
  f.code.emplace_back(Op::weight, 0, 0, 0, 0);
  f.code.emplace_back(Op::alloc_derived, 1, 0, 1, 0);
  f.launches.push_back(std::make_unique<fb::LaunchT>());
  f.launches[0]->kernel = kScale;
  f.launches[0]->grid = 2;
  f.launches[0]->scalars = {0, 3};
  f.launches[0]->buffers = {0, 1};
  f.code.emplace_back(Op::launch, 0, 0, 0, 0);
}

void state(fb::ProgramT &program) {
  Function f(program, "state");
  uint32_t s = f.input("s"), x = f.input("x");
  uint32_t t = f.alloc();
  f.launch(kAdd, {0}, {s, x, t});
  uint32_t to = f.buffer(Op::alloc_output, f.output("s_next", 0), f.bytes);
  f.emit(Op::copy, to, t, f.bytes);
  f.end();
}

void loop(fb::ProgramT &program) {
  Function f(program, "loop");
  uint32_t x = f.input("x");
  uint32_t zero = f.constant(0), three = f.constant(3), five = f.constant(5);
  uint32_t first = f.f->int_regs++;
  f.emit(Op::read, first, x, zero, static_cast<uint32_t>(fb::DType::u32));
  f.f->host_waits = 1;
  uint32_t rounds = f.integer(Op::mod, first, five);
  uint32_t t = f.alloc(), u = f.alloc();
  f.emit(Op::copy, t, x, f.bytes);
  uint32_t begin = f.emit(Op::loop, f.f->int_regs++, rounds);
  f.launch(kScale, {0, three}, {t, u});
  f.emit(Op::copy, t, u, f.bytes);
  uint32_t end = f.emit(Op::end_loop, 0, 0, begin);
  const fb::Instr &i = f.f->code[begin];
  f.f->code[begin] = fb::Instr(i.op(), i.dst(), i.a(), end, 0);
  uint32_t z = f.buffer(Op::alloc_output, f.output("z"), f.bytes);
  f.emit(Op::copy, z, t, f.bytes);
  f.end();
}

} // namespace

Artifact::Artifact(const Context &c, const std::vector<Straight> &functions,
                   uint32_t weightSeed)
    : weight(noise(kMostElements, weightSeed)) {
  fb::ManifestT manifest;
  manifest.producer = "ist-cts";
  manifest.weights.push_back(std::make_unique<fb::WeightT>());
  fb::WeightT &w = *manifest.weights[0];
  w.name = "w";
  w.member = "weights";
  w.bytes = 4 * kMostElements;
  w.dtype = fb::DType::u32;
  w.dims = {kMostElements};
  manifest.variants.push_back(std::make_unique<fb::VariantT>());
  fb::VariantT &v = *manifest.variants[0];
  v.target = std::string(c.driver->vendor) + ":cts";
  v.code = "code";
  v.format = c.format;
  v.program = std::make_unique<fb::ProgramT>();
  v.program->target = v.target;
  v.program->kernels.push_back(kernel("add", 1, 2, c.block));
  v.program->kernels.push_back(kernel("scale", 2, 1, c.block));
  for (size_t i = 0; i < functions.size(); ++i)
    straight(*v.program, "f" + std::to_string(i), functions[i]);
  init(*v.program);
  state(*v.program);
  loop(*v.program);
  flatbuffers::FlatBufferBuilder builder;
  fb::FinishManifestBuffer(builder, fb::Manifest::Pack(builder, &manifest));

  const char *tmp = std::getenv("TMPDIR");
  std::string folder =
                  std::string(tmp && *tmp ? tmp : "/tmp") + "/ist-cts-XXXXXX",
              error;
  CTS_THAT(::mkdtemp(folder.data()), "cannot make a folder in %s: %s",
           folder.c_str(), std::strerror(errno));
  std::string path = folder + "/cts.ist";
  ArtifactWriter writer;
  auto member = [&](const char *name, const void *data, size_t size) {
    return writer.beginMember(name, error) && writer.append(data, size, error);
  };
  bool ok = writer.open(path, error) &&
            member("manifest", builder.GetBufferPointer(), builder.GetSize()) &&
            member("code", c.code.data(), c.code.size()) &&
            member("weights", weight.data(), 4 * weight.size()) &&
            writer.finish(error);
  std::ifstream in(path, std::ios::binary);
  std::stringstream s;
  s << in.rdbuf();
  bytes = s.str();
  ::unlink(path.c_str());
  ::rmdir(folder.c_str());
  CTS_THAT(ok, "%s", error.c_str());
}
