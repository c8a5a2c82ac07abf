//===- device_test.cpp - devices, variants and code objects ---------------===//
#include "builder.h"
#include "code_object.h"
#include "thread_pool.h"

#include <elf.h>

using namespace isthmus;
using namespace isthmus::test;

namespace {

TEST(Device, ListAndOpen) {
  std::vector<std::string> names;
  ist_error error;
  ASSERT_EQ(ist_device_list(
                [](void *user, const char *name, const char *) {
                  static_cast<std::vector<std::string> *>(user)->push_back(
                      name);
                },
                &names, &error),
            IST_OK);
  ASSERT_FALSE(names.empty()); // and what GPUs there are
  EXPECT_EQ(names[0], "cpu");
  ist_device *d = nullptr;
  for (const char *good : {"cpu", "cpu:0"}) {
    ASSERT_EQ(ist_device_open(good, nullptr, &d, &error), IST_OK);
    ist_device_release(d);
  }
  EXPECT_EQ(ist_device_open("cpu:1", nullptr, &d, &error), IST_NOT_FOUND);
  EXPECT_EQ(ist_device_open("npu:0", nullptr, &d, &error), IST_NOT_FOUND);
  EXPECT_NE(std::string(error.message).find("cpu"), std::string::npos);
  EXPECT_EQ(ist_device_open("cpu:x", nullptr, &d, &error),
            IST_INVALID_ARGUMENT);
  EXPECT_EQ(d, nullptr);
  ::setenv("ISTHMUS_DEVICE", "nothing", 1);
  EXPECT_EQ(ist_device_open(nullptr, nullptr, &d, &error), IST_NOT_FOUND);
  ::unsetenv("ISTHMUS_DEVICE");
}

TEST(Device, SwitchesOfTheEnvironment) {
  for (const auto &[variable, on] :
       {std::pair{"ISTHMUS_LOG", "calls"}, {"ISTHMUS_CHECK", "1"}}) {
    ist_device *d = nullptr;
    ist_error error = {};
    for (const char *good : {on, "0", ""}) {
      ::setenv(variable, good, 1);
      EXPECT_EQ(ist_device_open("cpu", nullptr, &d, &error), IST_OK) << good;
      ist_device_release(d);
    }
    ::setenv(variable, "yes", 1);
    EXPECT_EQ(ist_device_open("cpu", nullptr, &d, &error),
              IST_INVALID_ARGUMENT);
    for (const char *word : {variable, "'yes'", on})
      EXPECT_NE(std::string(error.message).find(word), std::string::npos)
          << error.message;
    ::unsetenv(variable);
  }
}

std::string fact(const std::string &wanted) {
  for (size_t i = 0; i < ist_device_fact_count(device()); ++i) {
    const char *key, *value;
    if (ist_device_fact(device(), i, &key, &value, nullptr) == IST_OK &&
        key == wanted)
      return value;
  }
  return "";
}

void addFact(fb::VariantT &v, const std::string &key,
             const std::string &value) {
  v.facts.push_back(std::make_unique<fb::FactT>());
  v.facts.back()->key = key;
  v.facts.back()->value = value;
}

/// One function that returns the derived constant `n`, so that it can be seen
/// which variant was taken.
void addVariant(ArtifactBuilder &a, const std::string &target,
                const std::vector<std::pair<std::string, std::string>> &facts) {
  auto v = std::make_unique<fb::VariantT>();
  v->target = target;
  v->code = "code/cpu";
  v->format = "elf";
  v->program = std::make_unique<fb::ProgramT>();
  v->program->target = target;
  FunctionBuilder(*v->program, "main").emit(Op::nop);
  for (const auto &[key, value] : facts)
    addFact(*v, key, value);
  a.manifest.variants.push_back(std::move(v));
}

TEST(Variant, TheBestThatFitsIsTaken) {
  ASSERT_EQ(fact("cpu.arch"), "x86_64");
  ASSERT_NE(fact("cpu.features").find("sse2"), std::string::npos);
  ArtifactBuilder a;
  a.manifest.variants.clear();
  addVariant(a, "nvidia:sm_90a", {});
  addVariant(a, "cpu:old", {{"cpu.arch", "x86_64"}});
  addVariant(a, "cpu:x86-64",
             {{"cpu.arch", "x86_64"},
              {"cpu.features", "sse,sse2"},
              {"cpu.l2_bytes", "1"}});
  addVariant(a, "cpu:future",
             {{"cpu.arch", "x86_64"}, {"cpu.features", "sse2,telepathy"}});
  addVariant(a, "cpu:arm", {{"cpu.arch", "aarch64"}});
  std::string bytes = a.bytes();
  Program p = load(bytes);
  ist_artifact_info info;
  ist_program_info(p.get(), &info);
  EXPECT_EQ(info.variant, 2u);
  ASSERT_EQ(ist_program_remark_count(p.get()), 3u);
  EXPECT_NE(std::string(ist_program_remark(p.get(), 1)).find("telepathy"),
            std::string::npos);

  ist_program *q = nullptr;
  ist_error error;
  EXPECT_EQ(ist_program_load_memory(bytes.data(), bytes.size(), device(), 3, &q,
                                    &error),
            IST_UNAVAILABLE);
  EXPECT_NE(std::string(error.message).find("telepathy"), std::string::npos);
  EXPECT_EQ(ist_program_load_memory(bytes.data(), bytes.size(), device(), 5, &q,
                                    &error),
            IST_NOT_FOUND);
  // For queries any will do, and no session can be made of it.
  ASSERT_EQ(ist_program_load_memory(bytes.data(), bytes.size(), nullptr, 3, &q,
                                    &error),
            IST_OK);
  ist_session *s = nullptr;
  EXPECT_EQ(ist_session_create(q, nullptr, &s, &error), IST_UNAVAILABLE);
  ist_program_release(q);
}

TEST(Variant, MissingKernelIsNamed) {
  ArtifactBuilder a;
  a.program().kernels[0]->name = "add_f64";
  a.function("main").emit(Op::nop);
  std::string bytes = a.bytes();
  ist_program *p = nullptr;
  ist_error error;
  EXPECT_EQ(ist_program_load_memory(bytes.data(), bytes.size(), device(),
                                    IST_BEST_VARIANT, &p, &error),
            IST_DATA_LOSS);
  EXPECT_NE(std::string(error.message).find("add_f64"), std::string::npos);
}

class CodeObjects : public testing::Test {
protected:
  CodeObjects() {
    ArtifactBuilder a;
    elf = a.code;
    std::memcpy(&header, elf.data(), sizeof header);
  }
  ist_status load(const std::string &bytes) {
    // Exactly its size, so that a reader that goes beyond is seen.
    std::vector<uint8_t> copy(bytes.begin(), bytes.end());
    error = {};
    return cpu::CodeObject().load(copy.data(), copy.size(), &error);
  }
  Elf64_Phdr *phdr(std::string &bytes, uint32_t type) {
    auto *p = reinterpret_cast<Elf64_Phdr *>(&bytes[header.e_phoff]);
    for (int i = 0; i < header.e_phnum; ++i)
      if (p[i].p_type == type)
        return p + i;
    return nullptr;
  }
  Elf64_Dyn *dyn(std::string &bytes, int64_t tag) {
    Elf64_Phdr *p = phdr(bytes, PT_DYNAMIC);
    auto *d = reinterpret_cast<Elf64_Dyn *>(&bytes[p->p_offset]);
    for (; d->d_tag != DT_NULL; ++d)
      if (d->d_tag == tag)
        return d;
    return nullptr;
  }
  std::string elf;
  Elf64_Ehdr header;
  ist_error error;
};

TEST_F(CodeObjects, Whole) { EXPECT_EQ(load(elf), IST_OK) << error.message; }

TEST_F(CodeObjects, OtherMachinesAreNamed) {
  auto *h = reinterpret_cast<Elf64_Ehdr *>(&elf[0]);
  h->e_machine = EM_AARCH64;
  EXPECT_EQ(load(elf), IST_UNAVAILABLE);
  EXPECT_NE(std::string(error.message).find("aarch64"), std::string::npos);
  h->e_machine = EM_RISCV;
  EXPECT_EQ(load(elf), IST_UNAVAILABLE);
  EXPECT_NE(std::string(error.message).find("riscv64"), std::string::npos);
  h->e_machine = EM_386;
  EXPECT_EQ(load(elf), IST_UNAVAILABLE);
}

TEST_F(CodeObjects, WhatIsRefused) {
  std::string s = elf;
  phdr(s, PT_GNU_STACK)->p_type = PT_TLS;
  EXPECT_EQ(load(s), IST_UNAVAILABLE) << "TLS";
  s = elf;
  for (uint32_t *f : {&phdr(s, PT_LOAD)->p_flags})
    *f = PF_R | PF_W | PF_X;
  EXPECT_EQ(load(s), IST_UNAVAILABLE) << "W and X";
  for (int64_t tag : {DT_NEEDED, DT_INIT, DT_INIT_ARRAY, DT_REL, DT_TEXTREL}) {
    s = elf;
    dyn(s, DT_RELACOUNT)->d_tag = tag;
    EXPECT_EQ(load(s), IST_UNAVAILABLE) << tag;
  }
  // The first symbol is made an import.
  s = elf;
  Elf64_Dyn *symtab = dyn(s, DT_SYMTAB);
  auto *sym = reinterpret_cast<Elf64_Sym *>(&s[symtab->d_un.d_val]) + 1;
  sym->st_shndx = SHN_UNDEF;
  EXPECT_EQ(load(s), IST_UNAVAILABLE);
  EXPECT_NE(std::string(error.message).find("imports"), std::string::npos);
}

TEST_F(CodeObjects, CutShortAndFlipped) {
  for (size_t n = 0; n < elf.size(); n += 97)
    load(elf.substr(0, n));
  // Headers, dynamic section, hash, symbols: all that the loader reads lies in
  // the first page or in the dynamic section.
  auto flipAll = [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end && i < elf.size(); ++i)
      for (int bit = 0; bit < 8; ++bit) {
        std::string s = elf;
        s[i] = static_cast<char>(s[i] ^ 1 << bit);
        load(s);
      }
  };
  flipAll(0, 1500);
  Elf64_Phdr *p = phdr(elf, PT_DYNAMIC);
  flipAll(p->p_offset, p->p_offset + p->p_filesz);
}

void count(const uint64_t *args, uint64_t begin, uint64_t end) {
  auto *marks = reinterpret_cast<uint8_t *>(args[0]);
  for (uint64_t i = begin; i < end; ++i)
    ++marks[i];
}

TEST(ThreadPool, EachIndexOnceWhateverTheThreads) {
  for (unsigned extra : {0u, 1u, 2u, 7u}) {
    cpu::ThreadPool pool;
    ist_error error;
    ASSERT_EQ(pool.start(extra, &error), IST_OK);
    for (int round = 0; round < 300; ++round)
      for (uint64_t grid : {1, 2, 3, 31, 1000}) {
        std::vector<uint8_t> marks(grid);
        uint64_t args[] = {reinterpret_cast<uint64_t>(marks.data())};
        ASSERT_TRUE(pool.run(count, args, grid));
        ASSERT_EQ(marks, std::vector<uint8_t>(grid, 1));
      }
    pool.stop();
  }
}

} // namespace
