//===- facts.cpp - what this processor is ---------------------------------===//
//
// Feature names are LLVM's (llvm/TargetParser/X86TargetParser.def), which the
// compiler writes into variants. Bits: Intel SDM volume 2A, CPUID; AMD APM
// volume 3, appendix E.
//
//===----------------------------------------------------------------------===//
#include "facts.h"

#include <cstdio>
#include <cstring>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__linux__)
#include <sys/auxv.h>
#endif

using namespace isthmus::cpu;

namespace {

void add(Facts *f, const char *key, const char *value) {
  if (*value)
    f->facts[f->count++] = {key, value};
}

void appendFeature(Facts *f, const char *name) {
  size_t used = std::strlen(f->features);
  std::snprintf(f->features + used, sizeof f->features - used, "%s%s",
                used ? "," : "", name);
}

#if defined(__x86_64__)

enum Register : uint8_t { A, B, C, D };
// Vector state that the system must save before its instructions may be used;
// bits of XCR0.
enum State : uint32_t { None = 0, Avx = 0x6, Avx512 = 0xe6, Amx = 0x60000 };

struct Bit {
  const char *name;
  uint32_t leaf, subleaf;
  Register reg;
  uint8_t bit;
  State state;
};

const Bit bits[] = {
    {"cx8", 1, 0, D, 8, None},
    {"cmov", 1, 0, D, 15, None},
    {"mmx", 1, 0, D, 23, None},
    {"fxsr", 1, 0, D, 24, None},
    {"sse", 1, 0, D, 25, None},
    {"sse2", 1, 0, D, 26, None},
    {"sse3", 1, 0, C, 0, None},
    {"pclmul", 1, 0, C, 1, None},
    {"ssse3", 1, 0, C, 9, None},
    {"fma", 1, 0, C, 12, Avx},
    {"cx16", 1, 0, C, 13, None},
    {"sse4.1", 1, 0, C, 19, None},
    {"sse4.2", 1, 0, C, 20, None},
    {"crc32", 1, 0, C, 20, None},
    {"movbe", 1, 0, C, 22, None},
    {"popcnt", 1, 0, C, 23, None},
    {"aes", 1, 0, C, 25, None},
    {"xsave", 1, 0, C, 27, None}, // OSXSAVE: the system uses it
    {"avx", 1, 0, C, 28, Avx},
    {"f16c", 1, 0, C, 29, Avx},
    {"rdrnd", 1, 0, C, 30, None},
    {"fsgsbase", 7, 0, B, 0, None},
    {"bmi", 7, 0, B, 3, None},
    {"avx2", 7, 0, B, 5, Avx},
    {"bmi2", 7, 0, B, 8, None},
    {"invpcid", 7, 0, B, 10, None},
    {"rtm", 7, 0, B, 11, None},
    {"avx512f", 7, 0, B, 16, Avx512},
    {"avx512dq", 7, 0, B, 17, Avx512},
    {"rdseed", 7, 0, B, 18, None},
    {"adx", 7, 0, B, 19, None},
    {"avx512ifma", 7, 0, B, 21, Avx512},
    {"clflushopt", 7, 0, B, 23, None},
    {"clwb", 7, 0, B, 24, None},
    {"avx512cd", 7, 0, B, 28, Avx512},
    {"sha", 7, 0, B, 29, None},
    {"avx512bw", 7, 0, B, 30, Avx512},
    {"avx512vl", 7, 0, B, 31, Avx512},
    {"avx512vbmi", 7, 0, C, 1, Avx512},
    {"pku", 7, 0, C, 4, None}, // OSPKE
    {"waitpkg", 7, 0, C, 5, None},
    {"avx512vbmi2", 7, 0, C, 6, Avx512},
    {"shstk", 7, 0, C, 7, None},
    {"gfni", 7, 0, C, 8, None},
    {"vaes", 7, 0, C, 9, Avx},
    {"vpclmulqdq", 7, 0, C, 10, Avx},
    {"avx512vnni", 7, 0, C, 11, Avx512},
    {"avx512bitalg", 7, 0, C, 12, Avx512},
    {"avx512vpopcntdq", 7, 0, C, 14, Avx512},
    {"rdpid", 7, 0, C, 22, None},
    {"cldemote", 7, 0, C, 25, None},
    {"movdiri", 7, 0, C, 27, None},
    {"movdir64b", 7, 0, C, 28, None},
    {"enqcmd", 7, 0, C, 29, None},
    {"uintr", 7, 0, D, 5, None},
    {"avx512vp2intersect", 7, 0, D, 8, Avx512},
    {"serialize", 7, 0, D, 14, None},
    {"tsxldtrk", 7, 0, D, 16, None},
    {"pconfig", 7, 0, D, 18, None},
    {"amx-bf16", 7, 0, D, 22, Amx},
    {"avx512fp16", 7, 0, D, 23, Avx512},
    {"amx-tile", 7, 0, D, 24, Amx},
    {"amx-int8", 7, 0, D, 25, Amx},
    {"sha512", 7, 1, A, 0, None},
    {"sm3", 7, 1, A, 1, None},
    {"sm4", 7, 1, A, 2, None},
    {"raoint", 7, 1, A, 3, None},
    {"avxvnni", 7, 1, A, 4, Avx},
    {"avx512bf16", 7, 1, A, 5, Avx512},
    {"cmpccxadd", 7, 1, A, 7, None},
    {"amx-fp16", 7, 1, A, 21, Amx},
    {"hreset", 7, 1, A, 22, None},
    {"avxifma", 7, 1, A, 23, Avx},
    {"avxvnniint8", 7, 1, D, 4, Avx},
    {"avxneconvert", 7, 1, D, 5, Avx},
    {"amx-complex", 7, 1, D, 8, Amx},
    {"avxvnniint16", 7, 1, D, 10, Avx},
    {"prefetchi", 7, 1, D, 14, None},
    {"xsaveopt", 0xd, 1, A, 0, None},
    {"xsavec", 0xd, 1, A, 1, None},
    {"xsaves", 0xd, 1, A, 3, None},
    {"ptwrite", 0x14, 0, B, 4, None},
    {"sahf", 0x80000001, 0, C, 0, None},
    {"lzcnt", 0x80000001, 0, C, 5, None},
    {"sse4a", 0x80000001, 0, C, 6, None},
    {"prfchw", 0x80000001, 0, C, 8, None},
    {"xop", 0x80000001, 0, C, 11, Avx},
    {"lwp", 0x80000001, 0, C, 15, None},
    {"fma4", 0x80000001, 0, C, 16, Avx},
    {"tbm", 0x80000001, 0, C, 21, None},
    {"mwaitx", 0x80000001, 0, C, 29, None},
    {"64bit", 0x80000001, 0, D, 29, None},
    {"clzero", 0x80000008, 0, B, 0, None},
    {"rdpru", 0x80000008, 0, B, 4, None},
    {"wbnoinvd", 0x80000008, 0, B, 9, None},
};

void features(Facts *f) {
  uint32_t r[4];
  uint64_t saved = 0;
  if (__get_cpuid(1, &r[A], &r[B], &r[C], &r[D]) && (r[C] >> 27 & 1)) {
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    saved = static_cast<uint64_t>(high) << 32 | low;
  }
  for (const Bit &b : bits)
    // Leaf 7 says in EAX how many subleaves it has; the others are asked for
    // subleaves that exist wherever the leaf does.
    if (__get_cpuid_count(b.leaf, b.subleaf, &r[A], &r[B], &r[C], &r[D]) &&
        (r[b.reg] >> b.bit & 1) && (saved & b.state) == b.state)
      appendFeature(f, b.name);
}

void brand(char *out, size_t size) {
  uint32_t words[13] = {};
  for (uint32_t i = 0; i < 3; ++i)
    if (!__get_cpuid(0x80000002 + i, &words[4 * i], &words[4 * i + 1],
                     &words[4 * i + 2], &words[4 * i + 3]))
      words[0] = 0;
  const char *name = reinterpret_cast<const char *>(words);
  while (*name == ' ')
    ++name;
  std::snprintf(out, size, "%s", *name ? name : "x86-64 processor");
}

constexpr const char *arch = "x86_64";

#elif defined(__aarch64__)

// Bits of AT_HWCAP and AT_HWCAP2, which are the kernel's ABI.
void features(Facts *f) {
  static const struct {
    const char *name;
    int which, bit;
  } bits[] = {{"neon", 1, 1}, {"aes", 1, 3},      {"sha2", 1, 5},
              {"crc", 1, 7},  {"lse", 1, 8},      {"fullfp16", 1, 10},
              {"rdm", 1, 12}, {"dotprod", 1, 20}, {"fp16fml", 1, 23},
              {"sve", 1, 22}, {"sve2", 2, 1},     {"i8mm", 2, 13},
              {"bf16", 2, 14}};
  unsigned long caps[] = {getauxval(AT_HWCAP), getauxval(AT_HWCAP2)};
  for (const auto &b : bits)
    if (caps[b.which - 1] >> b.bit & 1)
      appendFeature(f, b.name);
}

void brand(char *out, size_t size) { std::snprintf(out, size, "AArch64 CPU"); }

constexpr const char *arch = "aarch64";

#else

void features(Facts *) {}
void brand(char *out, size_t size) { std::snprintf(out, size, "RISC-V CPU"); }
constexpr const char *arch = "riscv64";

#endif

void cache(char *out, size_t size, int name) {
  long bytes = ::sysconf(name);
  if (bytes > 0)
    std::snprintf(out, size, "%ld", bytes);
}

} // namespace

void isthmus::cpu::describe(unsigned threads, Facts *f) {
  *f = {};
  char name[64];
  brand(name, sizeof name);
  std::snprintf(f->summary, sizeof f->summary, "%s, %u thread%s", name, threads,
                threads == 1 ? "" : "s");
  features(f);
  std::snprintf(f->threads, sizeof f->threads, "%u", threads);
  cache(f->l1, sizeof f->l1, _SC_LEVEL1_DCACHE_SIZE);
  cache(f->l2, sizeof f->l2, _SC_LEVEL2_CACHE_SIZE);
  cache(f->l3, sizeof f->l3, _SC_LEVEL3_CACHE_SIZE);
  add(f, "cpu.arch", arch);
  add(f, "cpu.features", f->features);
  add(f, "cpu.threads", f->threads);
  add(f, "cpu.l1_bytes", f->l1);
  add(f, "cpu.l2_bytes", f->l2);
  add(f, "cpu.l3_bytes", f->l3);
}
