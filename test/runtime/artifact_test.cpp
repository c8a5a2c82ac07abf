//===- artifact_test.cpp - broken artifacts are errors, never crashes -----===//
#include "builder.h"

#include <functional>
#include <random>

using namespace isthmus;
using namespace isthmus::test;

namespace {

/// Without a device, so that nothing but reading happens.
ist_status inspect(const std::string &bytes, ist_error *error) {
  ist_program *p = nullptr;
  *error = {};
  ist_status s = ist_program_load_memory(bytes.data(), bytes.size(), nullptr,
                                         IST_BEST_VARIANT, &p, error);
  EXPECT_EQ(p != nullptr, s == IST_OK);
  // What loads can be asked for what only people want to know.
  ist_tensor x = {};
  x.rank = 1;
  ist_work work;
  ist_kernel_code code;
  ist_error ignored;
  const char *text;
  for (uint32_t i = 0; p && i < 2; ++i)
    for (uint32_t j = 0; j < 2; ++j)
      ist_program_launch_work(p, i, j, &x, 1, &work, &ignored);
  for (uint32_t i = 0;
       p && ist_program_kernel_code(p, i, &code, &ignored) == IST_OK; ++i)
    for (uint32_t j = 0; j < code.declined_count; ++j)
      EXPECT_EQ(ist_program_kernel_declined(p, i, j, &text, &ignored), IST_OK);
  ist_program_release(p);
  return s;
}

/// A program with something of everything, to be broken in one place.
struct Sample {
  Sample() {
    a.program().derived = 1;
    fb::WorkT &work = a.work("gather_f32");
    work.flops = {term(UINT64_MAX, {0, 1})};
    work.reads = work.writes = {term(4, {0}, 100), term(0)};
    a.program().strings.push_back("rows: no reduction");
    for (auto &k : a.program().kernels)
      k->declined = {0};
    uint32_t w = a.weight("w", {1, 2, 3, 4});
    {
      auto init = a.function("init");
      uint32_t d = init.buffer(Op::alloc_derived, 0, init.constant(16));
      init.emit(Op::copy, d, init.buffer(Op::weight, w), init.constant(16));
    }
    auto f = a.function("main");
    uint32_t n = f.symbol("n", 0, 100);
    uint32_t x = f.input("x", fb::DType::f32, {-1});
    uint32_t y = f.output("y", fb::DType::f32, {-1});
    uint32_t zero = f.constant(0);
    uint32_t t = f.alloc(f.bytes(n, 4));
    f.if_(n);
    f.launch("gather_f32", zero, {x, x, t}, {n, n}, "node", {"bad index"});
    f.else_();
    f.emit(Op::nop);
    f.endIf();
    f.loop(n);
    f.breakIf(zero);
    f.endLoop();
    f.read(x, zero, fb::DType::f32);
    f.emit(Op::set_output, y, t);
    a.packed(); // sets what the builder derives: lifetimes, host_waits
  }
  fb::FunctionT &main() { return *a.program().functions[1]; }
  /// Index of the first command that is `op`.
  size_t find(Op op) {
    for (size_t i = 0; i < main().code.size(); ++i)
      if (main().code[i].op() == op)
        return i;
    return 0;
  }
  void set(Op op, int field, uint32_t v) {
    fb::Instr &i = main().code[find(op)];
    uint32_t f[] = {i.dst(), i.a(), i.b(), i.c()};
    f[field] = v;
    i = fb::Instr(op, f[0], f[1], f[2], f[3]);
  }
  ArtifactBuilder a;
};

TEST(Artifact, SampleIsWhole) {
  Sample s;
  ist_error error;
  EXPECT_EQ(inspect(s.a.bytes(), &error), IST_OK) << error.message;
}

struct Break {
  const char *name;
  std::function<void(Sample &)> change;
};

enum { Dst, A, B, C };

const Break breaks[] = {
    {"no variants", [](Sample &s) { s.a.manifest.variants.clear(); }},
    {"code member missing",
     [](Sample &s) { s.a.manifest.variants[0]->code = "nowhere"; }},
    {"weight member missing",
     [](Sample &s) { s.a.manifest.weights[0]->member = "nowhere"; }},
    {"weight beyond its member",
     [](Sample &s) { s.a.manifest.weights[0]->offset = 4; }},
    {"weight range overflows",
     [](Sample &s) { s.a.manifest.weights[0]->offset = UINT64_MAX - 3; }},
    {"weight bytes are not its dims'",
     [](Sample &s) { s.a.manifest.weights[0]->bytes = 12; }},
    {"weight with a negative dim",
     [](Sample &s) { s.a.manifest.weights[0]->dims = {-4}; }},
    {"weight dims overflow",
     [](Sample &s) { s.a.manifest.weights[0]->dims = {INT64_MAX, INT64_MAX}; }},
    {"weight of no dtype",
     [](Sample &s) {
       s.a.manifest.weights[0]->dtype = static_cast<fb::DType>(77);
     }},
    {"kernel without a name",
     [](Sample &s) { s.a.program().kernels[0]->name = ""; }},
    {"kernel with an empty workgroup",
     [](Sample &s) { s.a.program().kernels[0]->workgroup = 0; }},
    {"param of no kind",
     [](Sample &s) {
       s.a.program().kernels[0]->params[0]->kind =
           static_cast<fb::ParamKind>(9);
     }},
    {"param of no access",
     [](Sample &s) {
       s.a.program().kernels[0]->params[0]->access = static_cast<fb::Access>(9);
     }},
    {"param aligned to 3",
     [](Sample &s) { s.a.program().kernels[0]->params[0]->align = 3; }},
    {"param aligned to 0",
     [](Sample &s) { s.a.program().kernels[0]->params[0]->align = 0; }},
    {"param aligned to more than allocations",
     [](Sample &s) { s.a.program().kernels[0]->params[0]->align = 128; }},
    {"work of a scalar that there is not",
     [](Sample &s) { s.a.work("gather_f32").reads = {term(4, {0, 2})}; }},
    {"plan declined for no reason",
     [](Sample &s) { s.a.program().kernels[0]->declined = {99}; }},
    {"two error words",
     [](Sample &s) {
       for (int i : {0, 1})
         s.a.program().kernels[0]->params[i]->kind = fb::ParamKind::error_word;
     }},
    {"two functions of a name", [](Sample &s) { s.main().name = "init"; }},
    {"no functions", [](Sample &s) { s.a.program().functions.clear(); }},
    {"derived weights without init",
     [](Sample &s) { s.a.program().functions[0]->name = "other"; }},
    {"too many derived weights",
     [](Sample &s) { s.a.program().derived = UINT32_MAX; }},
    {"too many registers", [](Sample &s) { s.main().int_regs = UINT32_MAX; }},
    {"too many buffer registers",
     [](Sample &s) { s.main().buffer_regs = UINT32_MAX; }},
    {"fewer registers than symbols", [](Sample &s) { s.main().int_regs = 0; }},
    {"symbol with an empty range",
     [](Sample &s) { s.main().symbols[0]->min = 101; }},
    {"symbol that may be negative",
     [](Sample &s) { s.main().symbols[0]->min = -1; }},
    {"symbol that is a multiple of 0",
     [](Sample &s) { s.main().symbols[0]->multiple = 0; }},
    {"symbol that no input has",
     [](Sample &s) {
       s.main().inputs[0]->dims[0]->symbol = -1;
       s.main().inputs[0]->dims[0]->size = 4;
     }},
    {"input of no dtype",
     [](Sample &s) { s.main().inputs[0]->dtype = static_cast<fb::DType>(13); }},
    {"input dim of no symbol",
     [](Sample &s) { s.main().inputs[0]->dims[0]->symbol = 5; }},
    {"input dim that is a register",
     [](Sample &s) { s.main().inputs[0]->dims[0]->reg = 0; }},
    {"output dim of no register",
     [](Sample &s) { s.main().outputs[0]->dims[0]->reg = 5000; }},
    {"output dim that is nothing",
     [](Sample &s) { s.main().outputs[0]->dims[0]->reg = -1; }},
    {"output in no input's place",
     [](Sample &s) { s.main().outputs[0]->inout = 1; }},
    {"output in a negative place",
     [](Sample &s) { s.main().outputs[0]->inout = -2; }},
    {"output in the place of another dtype",
     [](Sample &s) {
       s.main().outputs[0]->inout = 0;
       s.main().outputs[0]->dtype = fb::DType::i32;
     }},
    {"two outputs in one place",
     [](Sample &s) {
       s.main().outputs[0]->inout = 0;
       s.main().outputs.push_back(
           std::make_unique<fb::TensorT>(*s.main().outputs[0]));
     }},
    {"input with an inout", [](Sample &s) { s.main().inputs[0]->inout = 0; }},
    {"too many dims",
     [](Sample &s) {
       for (int i = 0; i < 16; ++i) {
         s.main().inputs[0]->dims.push_back(std::make_unique<fb::DimT>());
         s.main().inputs[0]->dims.back()->size = 1;
       }
     }},
    {"launch of no kernel",
     [](Sample &s) { s.main().launches[0]->kernel = 99; }},
    {"launch with no such grid",
     [](Sample &s) { s.main().launches[0]->grid = 99; }},
    {"launch with a buffer too few",
     [](Sample &s) { s.main().launches[0]->buffers.pop_back(); }},
    {"launch with a scalar too many",
     [](Sample &s) { s.main().launches[0]->scalars.push_back(0); }},
    {"launch of no such buffer",
     [](Sample &s) { s.main().launches[0]->buffers[0] = 99; }},
    {"launch of no such scalar",
     [](Sample &s) { s.main().launches[0]->scalars[0] = 99; }},
    {"launch of no such node",
     [](Sample &s) { s.main().launches[0]->nodes[0] = 99; }},
    {"launch of no such error",
     [](Sample &s) { s.main().launches[0]->errors[0] = 99; }},
    {"transient of no size",
     [](Sample &s) { s.main().transients[0]->size = 99; }},
    {"transient that ends before it begins",
     [](Sample &s) { s.main().transients[0]->first = 9000; }},
    {"transient that never ends",
     [](Sample &s) { s.main().transients[0]->last = 9000; }},
    {"no such operation",
     [](Sample &s) {
       s.main().code[0] = fb::Instr(static_cast<Op>(99), 0, 0, 0, 0);
     }},
    {"no such constant", [](Sample &s) { s.set(Op::const_, A, 99); }},
    {"integer written nowhere", [](Sample &s) { s.set(Op::mul, Dst, 99); }},
    {"integer read from nowhere", [](Sample &s) { s.set(Op::mul, B, 99); }},
    {"no such input", [](Sample &s) { s.set(Op::input, A, 1); }},
    {"buffer written nowhere", [](Sample &s) { s.set(Op::input, Dst, 99); }},
    {"no such transient", [](Sample &s) { s.set(Op::alloc, A, 1); }},
    {"no such output", [](Sample &s) { s.set(Op::set_output, Dst, 1); }},
    {"no such launch", [](Sample &s) { s.set(Op::launch, A, 1); }},
    {"no such dtype", [](Sample &s) { s.set(Op::read, C, 13); }},
    {"read of no buffer", [](Sample &s) { s.set(Op::read, A, 99); }},
    {"if_ to itself",
     [](Sample &s) {
       s.set(Op::if_, B, static_cast<uint32_t>(s.find(Op::if_)));
     }},
    {"if_ backwards", [](Sample &s) { s.set(Op::if_, B, 0); }},
    {"if_ beyond the end", [](Sample &s) { s.set(Op::if_, B, 5000); }},
    {"else_ to the wrong end", [](Sample &s) { s.set(Op::else_, B, 0); }},
    {"loop to the wrong end",
     [](Sample &s) {
       s.set(Op::loop, B, static_cast<uint32_t>(s.find(Op::end_if)));
     }},
    {"end_loop to the wrong loop",
     [](Sample &s) { s.set(Op::end_loop, B, 0); }},
    {"break_if to the wrong end", [](Sample &s) { s.set(Op::break_if, B, 0); }},
    {"break_if outside a loop",
     [](Sample &s) {
       fb::Instr i = s.main().code[s.find(Op::break_if)];
       s.main().code[0] = i;
     }},
    {"loop without an end",
     [](Sample &s) {
       s.main().code[s.find(Op::end_loop)] = fb::Instr(Op::nop, 0, 0, 0, 0);
     }},
    {"end_if without an if_",
     [](Sample &s) {
       s.main().code[s.find(Op::if_)] = fb::Instr(Op::nop, 0, 0, 0, 0);
     }},
    {"alloc_derived outside init",
     [](Sample &s) {
       s.main().code[s.find(Op::nop)] =
           fb::Instr(Op::alloc_derived, 0, 0, 0, 0);
     }},
    {"weight that there is not",
     [](Sample &s) {
       s.main().code[s.find(Op::nop)] = fb::Instr(Op::weight, 0, 1, 0, 0);
     }},
    {"derived weight that there is not",
     [](Sample &s) {
       s.main().code[s.find(Op::nop)] = fb::Instr(Op::derived, 0, 1, 0, 0);
     }},
    {"check of no string",
     [](Sample &s) {
       s.main().code[s.find(Op::nop)] = fb::Instr(Op::check, 0, 0, 99, 0);
     }},
};

/// packed() without deriving anything again.
std::string repack(Sample &s) {
  flatbuffers::FlatBufferBuilder b;
  fb::FinishManifestBuffer(b, fb::Manifest::Pack(b, &s.a.manifest));
  return std::string(reinterpret_cast<char *>(b.GetBufferPointer()),
                     b.GetSize());
}

TEST(Artifact, WrongIndicesAreErrors) {
  for (const Break &b : breaks) {
    Sample s;
    b.change(s);
    ist_error error;
    EXPECT_EQ(inspect(s.a.bytesWith(repack(s)), &error), IST_DATA_LOSS)
        << b.name;
    EXPECT_NE(std::string(error.message).find("artifact"), std::string::npos)
        << b.name << ": " << error.message;
  }
}

TEST(Artifact, HostWaitsAreCounted) {
  Sample s;
  s.main().host_waits = 0;
  ist_error error;
  EXPECT_EQ(inspect(s.a.bytesWith(repack(s)), &error), IST_DATA_LOSS);
}

TEST(Artifact, LaterVersionIsUnimplemented) {
  Sample s;
  s.a.manifest.version = 2;
  ist_error error;
  EXPECT_EQ(inspect(s.a.bytesWith(repack(s)), &error), IST_UNIMPLEMENTED);
}

TEST(Artifact, NestedTooDeep) {
  for (int depth : {64, 65}) {
    ArtifactBuilder a;
    auto f = a.function("main");
    uint32_t one = f.constant(1);
    for (int i = 0; i < depth; ++i)
      f.if_(one);
    for (int i = 0; i < depth; ++i)
      f.endIf();
    ist_error error;
    EXPECT_EQ(inspect(a.bytes(), &error), depth <= 64 ? IST_OK : IST_DATA_LOSS);
  }
}

TEST(Artifact, CutShortAnywhere) {
  std::string whole = Sample().a.bytes();
  ist_error error;
  for (size_t n = 0; n < whole.size(); n += n < 4096 ? 61 : 4093)
    EXPECT_EQ(inspect(whole.substr(0, n), &error), IST_DATA_LOSS) << n;
  for (size_t n = whole.size() - 400; n < whole.size(); ++n)
    EXPECT_EQ(inspect(whole.substr(0, n), &error), IST_DATA_LOSS) << n;
}

/// Whatever a flipped bit in manifest or directory means, it is no crash.
TEST(Artifact, EveryFlippedBit) {
  Sample s;
  std::string manifest = s.a.packed(), whole = s.a.bytes();
  ist_error error;
  size_t begin = whole.find(manifest);
  ASSERT_NE(begin, std::string::npos);
  auto flip = [&](size_t byte, int bit) {
    whole[byte] = static_cast<char>(whole[byte] ^ 1 << bit);
    inspect(whole, &error);
    whole[byte] = static_cast<char>(whole[byte] ^ 1 << bit);
  };
  for (size_t i = 0; i < manifest.size(); ++i)
    for (int bit = 0; bit < 8; ++bit)
      flip(begin + i, bit);
  for (size_t i = whole.size() - 300; i < whole.size(); ++i)
    for (int bit = 0; bit < 8; ++bit)
      flip(i, bit);
  for (size_t i = 0; i < 38; ++i) // the first local header
    for (int bit = 0; bit < 8; ++bit)
      flip(i, bit);
}

/// Random words in the code that the verifier lets through must not take the
/// interpreter out of its tables either.
TEST(Artifact, RandomProgramsAreErrorsOrRun) {
  std::mt19937 random(7);
  int ran = 0;
  for (int round = 0; round < 3000; ++round) {
    Sample s;
    for (size_t k = 0, n = 1 + random() % 3; k < n; ++k) {
      fb::Instr &i = s.main().code[random() % s.main().code.size()];
      uint32_t v[] = {static_cast<uint32_t>(i.op()), i.dst(), i.a(), i.b(),
                      i.c()};
      v[random() % 5] = random() % 12;
      i = fb::Instr(static_cast<Op>(v[0]), v[1], v[2], v[3], v[4]);
    }
    // Kernels are trusted; the rest is what is tested here.
    s.main().launches[0]->grid = 1;
    for (fb::Instr &i : s.main().code)
      if (i.op() == Op::launch)
        i = fb::Instr(Op::nop, 0, 0, 0, 0);
    std::string bytes = s.a.bytesWith(repack(s));
    ist_program *p = nullptr;
    if (ist_program_load_memory(bytes.data(), bytes.size(), device(),
                                IST_BEST_VARIANT, &p, nullptr) != IST_OK)
      continue;
    Program program(p);
    Session call = session(program);
    ist_session_set_timeout(call.get(), 50 * 1000000);
    std::vector<float> x(5);
    ist_tensor in = tensor(x), out = {};
    ist_call(call.get(), "main", &in, 1, &out, 1, nullptr);
    ++ran;
  }
  EXPECT_GT(ran, 100);
}

TEST(Artifact, FileErrorsNameThePath) {
  ist_program *p = nullptr;
  ist_error error;
  EXPECT_EQ(ist_program_load("/nonexistent.ist", nullptr, IST_BEST_VARIANT, &p,
                             &error),
            IST_NOT_FOUND);
  EXPECT_NE(std::string(error.message).find("/nonexistent.ist"),
            std::string::npos);
  EXPECT_EQ(ist_program_load("/", nullptr, IST_BEST_VARIANT, &p, &error),
            IST_INVALID_ARGUMENT);
  EXPECT_EQ(
      ist_program_load("/dev/null", nullptr, IST_BEST_VARIANT, &p, &error),
      IST_INVALID_ARGUMENT);
}

} // namespace
