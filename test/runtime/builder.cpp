//===- builder.cpp - writes programs by hand, for tests -------------------===//
#include "builder.h"
#include "ArtifactWriter.h"

#include <cstdlib>
#include <dlfcn.h>
#include <fstream>
#include <map>
#include <sstream>
#include <unistd.h>

using namespace isthmus;
using namespace isthmus::test;

namespace {

std::string slurp(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream s;
  s << in.rdbuf();
  return s.str();
}

using PK = fb::ParamKind;
using A = fb::Access;
struct P {
  PK kind;
  A access;
};
const P in = {PK::address, A::read}, out = {PK::address, A::write},
        scalar = {PK::scalar, A::none}, word = {PK::error_word, A::write};
// What kernels.c says.
const std::vector<std::pair<const char *, std::vector<P>>> kernels = {
    {"add_f32", {in, in, out, scalar}},
    {"scale_f32", {in, out, scalar, scalar}},
    {"inc_i64", {in, out, scalar}},
    {"nonzero_f32", {in, scalar, out, out}},
    {"gather_f32", {in, scalar, in, out, scalar, word}},
    {"constant_f32", {out, scalar}},
    {"mark_u32", {out}},
    {"slow", {out}},
    {"trap", {}},
};

} // namespace

FunctionBuilder::FunctionBuilder(fb::ProgramT &program, const std::string &name)
    : program(program) {
  program.functions.push_back(std::make_unique<fb::FunctionT>());
  f = program.functions.back().get();
  f->name = name;
}

uint32_t FunctionBuilder::symbol(const std::string &name, int64_t min,
                                 int64_t max, int64_t multiple) {
  auto s = std::make_unique<fb::SymbolT>();
  s->name = name;
  s->min = min;
  s->max = max;
  s->multiple = multiple;
  f->symbols.push_back(std::move(s));
  return intReg();
}

static std::unique_ptr<fb::TensorT> makeTensor(const std::string &name,
                                               fb::DType dtype,
                                               const std::vector<int64_t> &dims,
                                               bool output) {
  auto t = std::make_unique<fb::TensorT>();
  t->name = name;
  t->dtype = dtype;
  for (int64_t d : dims) {
    auto dim = std::make_unique<fb::DimT>();
    if (d >= 0)
      dim->size = d;
    else
      (output ? dim->reg : dim->symbol) = static_cast<int32_t>(-1 - d);
    t->dims.push_back(std::move(dim));
  }
  return t;
}

uint32_t FunctionBuilder::input(const std::string &name, fb::DType dtype,
                                const std::vector<int64_t> &dims) {
  f->inputs.push_back(makeTensor(name, dtype, dims, false));
  return buffer(Op::input, static_cast<uint32_t>(f->inputs.size() - 1));
}

uint32_t FunctionBuilder::output(const std::string &name, fb::DType dtype,
                                 const std::vector<int64_t> &dims,
                                 int32_t inout) {
  f->outputs.push_back(makeTensor(name, dtype, dims, true));
  f->outputs.back()->inout = inout;
  return static_cast<uint32_t>(f->outputs.size() - 1);
}

uint32_t FunctionBuilder::emit(Op op, uint32_t dst, uint32_t a, uint32_t b,
                               uint32_t c) {
  f->code.emplace_back(op, dst, a, b, c);
  return static_cast<uint32_t>(f->code.size() - 1);
}

uint32_t FunctionBuilder::constant(int64_t v) {
  f->consts.push_back(v);
  uint32_t r = intReg();
  emit(Op::const_, r, static_cast<uint32_t>(f->consts.size() - 1));
  return r;
}

uint32_t FunctionBuilder::binary(Op op, uint32_t a, uint32_t b) {
  uint32_t r = intReg();
  emit(op, r, a, b);
  return r;
}

uint32_t FunctionBuilder::buffer(Op op, uint32_t a, uint32_t b) {
  uint32_t r = bufReg();
  emit(op, r, a, b);
  return r;
}

uint32_t FunctionBuilder::alloc(uint32_t size, bool pool) {
  auto t = std::make_unique<fb::TransientT>();
  t->size = size;
  t->first = static_cast<uint32_t>(f->code.size());
  t->last = UINT32_MAX; // patched in packed()
  t->pool = pool;
  f->transients.push_back(std::move(t));
  return buffer(Op::alloc, static_cast<uint32_t>(f->transients.size() - 1));
}

void FunctionBuilder::launch(const std::string &kernel, uint32_t grid,
                             const std::vector<uint32_t> &buffers,
                             const std::vector<uint32_t> &scalars,
                             const std::string &node,
                             const std::vector<std::string> &errors) {
  auto l = std::make_unique<fb::LaunchT>();
  for (size_t i = 0; i < kernels.size(); ++i)
    if (kernel == kernels[i].first)
      l->kernel = static_cast<uint32_t>(i);
  l->grid = grid;
  l->buffers = buffers;
  l->scalars = scalars;
  auto string = [&](const std::string &s) {
    program.strings.push_back(s);
    return static_cast<uint32_t>(program.strings.size() - 1);
  };
  l->nodes = {string(node)};
  for (const std::string &e : errors)
    l->errors.push_back(string(e));
  f->launches.push_back(std::move(l));
  emit(Op::launch, 0, static_cast<uint32_t>(f->launches.size() - 1));
}

uint32_t FunctionBuilder::read(uint32_t buffer, uint32_t element,
                               fb::DType type) {
  uint32_t r = intReg();
  emit(Op::read, r, buffer, element, static_cast<uint32_t>(type));
  return r;
}

void FunctionBuilder::setTarget(uint32_t at, uint32_t target) {
  const fb::Instr &i = f->code[at];
  f->code[at] = fb::Instr(i.op(), i.dst(), i.a(), target, i.c());
}

void FunctionBuilder::if_(uint32_t cond) {
  open.push_back(emit(Op::if_, 0, cond));
}

void FunctionBuilder::else_() {
  uint32_t at = emit(Op::else_);
  setTarget(open.back(), at);
  open.back() = at;
}

void FunctionBuilder::endIf() {
  setTarget(open.back(), emit(Op::end_if));
  open.pop_back();
}

uint32_t FunctionBuilder::loop(uint32_t n) {
  uint32_t r = intReg();
  open.push_back(emit(Op::loop, r, n));
  return r;
}

void FunctionBuilder::breakIf(uint32_t cond) { emit(Op::break_if, 0, cond); }

void FunctionBuilder::endLoop() {
  uint32_t begin = open.back();
  open.pop_back();
  uint32_t end = emit(Op::end_loop, 0, 0, begin);
  setTarget(begin, end);
  for (uint32_t i = begin; i < end; ++i)
    if (f->code[i].op() == Op::break_if && f->code[i].b() == 0)
      setTarget(i, end);
}

uint32_t FunctionBuilder::groups(uint32_t n) {
  return binary(Op::ceildiv, n, constant(64));
}

uint32_t FunctionBuilder::bytes(uint32_t n, int64_t elementBytes) {
  return binary(Op::mul, n, constant(elementBytes));
}

ArtifactBuilder::ArtifactBuilder() {
  manifest.producer = "isthmus-runtime-tests";
  auto v = std::make_unique<fb::VariantT>();
  v->target = "cpu:test";
  v->code = "code/cpu";
  v->format = "elf";
  v->program = std::make_unique<fb::ProgramT>();
  v->program->target = "cpu:test";
  for (const auto &[name, params] : kernels) {
    auto k = std::make_unique<fb::KernelT>();
    k->name = name;
    k->family = "test";
    for (const P &p : params) {
      auto param = std::make_unique<fb::ParamT>();
      param->kind = p.kind;
      param->access = p.access;
      param->align = p.kind == PK::address ? 64 : 1;
      k->params.push_back(std::move(param));
    }
    v->program->kernels.push_back(std::move(k));
  }
  manifest.variants.push_back(std::move(v));
  code = slurp(ISTHMUS_TEST_KERNELS);
}

uint32_t ArtifactBuilder::weight(const std::string &name,
                                 const std::vector<float> &data) {
  auto w = std::make_unique<fb::WeightT>();
  weights.resize((weights.size() + 63) / 64 * 64);
  w->name = name;
  w->member = "weights";
  w->offset = weights.size();
  w->bytes = data.size() * sizeof(float);
  w->dims = {static_cast<int64_t>(data.size())};
  weights.append(reinterpret_cast<const char *>(data.data()), w->bytes);
  manifest.weights.push_back(std::move(w));
  return static_cast<uint32_t>(manifest.weights.size() - 1);
}

std::string ArtifactBuilder::packed() {
  for (auto &v : manifest.variants)
    for (auto &f : v->program->functions) {
      for (auto &t : f->transients)
        if (t->last == UINT32_MAX)
          t->last = static_cast<uint32_t>(f->code.size() - 1);
      int depth = 0, waits = 0;
      for (const fb::Instr &i : f->code) {
        depth += i.op() == Op::loop;
        depth -= i.op() == Op::end_loop;
        if (i.op() == Op::read)
          waits = depth || waits < 0 ? -1 : waits + 1;
      }
      f->host_waits = waits;
    }
  flatbuffers::FlatBufferBuilder builder;
  fb::FinishManifestBuffer(builder, fb::Manifest::Pack(builder, &manifest));
  return std::string(reinterpret_cast<char *>(builder.GetBufferPointer()),
                     builder.GetSize());
}

std::string ArtifactBuilder::bytes() { return bytesWith(packed()); }

std::string ArtifactBuilder::bytesWith(const std::string &packed) {
  std::string path = testing::TempDir() + "isthmus-runtime-test-" +
                     std::to_string(::getpid()) + ".ist";
  std::string err;
  ArtifactWriter w;
  bool ok = w.open(path, err) && w.beginMember("manifest", err) &&
            w.append(packed.data(), packed.size(), err) &&
            w.beginMember("code/cpu", err) &&
            w.append(code.data(), code.size(), err) &&
            w.beginMember("weights", err) &&
            w.append(weights.data(), weights.size(), err) && w.finish(err);
  EXPECT_TRUE(ok) << err;
  std::string all = slurp(path);
  ::unlink(path.c_str());
  return all;
}

std::vector<const char *> test::devices() {
  if (*ISTHMUS_TEST_SIM)
    return {"cpu", "sim"};
  return {"cpu"};
}

ist_device *test::device(const std::string &name) {
  static std::map<std::string, Device> devices;
  Device &d = devices[name];
  if (d)
    return d.get();
  ist_device *opened = nullptr;
  ist_error error = {};
  if (name == "sim")
    EXPECT_EQ(ist_plugin_load(ISTHMUS_TEST_SIM, &error), IST_OK)
        << error.message;
  EXPECT_EQ(ist_device_open(name.c_str(), nullptr, &opened, &error), IST_OK)
      << error.message;
  d.reset(opened);
  return opened;
}

ist_sim_counters test::simCounters() {
  device("sim");
  static auto *count = reinterpret_cast<ist_sim_count_fn>(
      ::dlsym(::dlopen(ISTHMUS_TEST_SIM, RTLD_NOW), IST_SIM_COUNT));
  ist_sim_counters c = {};
  count(&c);
  return c;
}

void test::simConfigure(const char *options) {
  static auto *configure = reinterpret_cast<ist_sim_configure_fn>(
      ::dlsym(::dlopen(ISTHMUS_TEST_SIM, RTLD_NOW), IST_SIM_CONFIGURE));
  ist_error error = {};
  EXPECT_EQ(configure(options, &error), IST_OK) << error.message;
}

Program test::load(const std::string &bytes, ist_device *on) {
  ist_program *p = nullptr;
  ist_error error = {};
  EXPECT_EQ(ist_program_load_memory(bytes.data(), bytes.size(), on,
                                    IST_BEST_VARIANT, &p, &error),
            IST_OK)
      << error.message;
  return Program(p);
}

Session test::session(const Program &program,
                      const ist_session_options *options) {
  ist_session *s = nullptr;
  ist_error error = {};
  EXPECT_EQ(ist_session_create(program.get(), options, &s, &error), IST_OK)
      << error.message;
  return Session(s);
}

ist_session_counters test::counters(const Session &s) {
  ist_session_counters c = {};
  c.struct_size = sizeof c;
  ist_session_get_counters(s.get(), &c);
  return c;
}

ist_status test::call(const Session &s, const std::vector<ist_tensor> &inputs,
                      std::vector<ist_tensor> &outputs, ist_error *error) {
  *error = {};
  return ist_call(s.get(), "main", inputs.data(), inputs.size(), outputs.data(),
                  outputs.size(), error);
}

fb::Term test::term(uint64_t coefficient, const std::vector<uint8_t> &scalars,
                    uint64_t most) {
  uint8_t places[8] = {};
  for (size_t i = 0; i < scalars.size(); ++i)
    places[i] = static_cast<uint8_t>(scalars[i] + 1);
  return fb::Term(coefficient, most, places);
}

fb::WorkT &ArtifactBuilder::work(const std::string &kernel) {
  for (auto &k : program().kernels)
    if (k->name == kernel) {
      k->work = std::make_unique<fb::WorkT>();
      return *k->work;
    }
  std::abort(); // kernels.c has none of that name
}

std::string test::addScale() {
  ArtifactBuilder a;
  fb::WorkT &work = a.work("add_f32");
  work.flops = {term(1, {0})};
  work.reads = {term(8, {0})};
  work.writes = {term(4, {0})};
  for (const char *text : {"rows: no reduction", "tiles: too small"}) {
    for (auto &k : a.program().kernels)
      if (k->name == "add_f32")
        k->declined.push_back(
            static_cast<uint32_t>(a.program().strings.size()));
    a.program().strings.push_back(text);
  }
  uint32_t w = a.weight("w", std::vector<float>(1000, 2.f));
  auto f = a.function("main");
  uint32_t n = f.symbol("n", 1, 1000);
  uint32_t x = f.input("x", f32, {dim(n)}), y = f.output("y", f32, {dim(n)});
  uint32_t wb = f.buffer(Op::weight, w);
  uint32_t bytes = f.bytes(n, 4), groups = f.groups(n);
  uint32_t t = f.alloc(bytes);
  f.launch("add_f32", groups, {x, wb, t}, {n}, "Add_0");
  uint32_t out = f.buffer(Op::alloc_output, y, bytes);
  f.launch("scale_f32", groups, {t, out}, {n, f.constant(3)}, "Mul_1");
  return a.bytes();
}

std::string test::gather() {
  ArtifactBuilder a;
  auto f = a.function("main");
  uint32_t n = f.symbol("n"), m = f.symbol("m");
  uint32_t x = f.input("x", f32, {dim(n)}), index = f.input("i", i64, {dim(m)});
  uint32_t y = f.output("y", f32, {dim(m)});
  uint32_t out = f.buffer(Op::alloc_output, y, f.bytes(m, 4));
  f.launch("gather_f32", f.groups(m), {x, index, out}, {n, m}, "Gather_7",
           {"index is negative", "index out of range"});
  return a.bytes();
}
