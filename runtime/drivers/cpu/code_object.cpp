//===- code_object.cpp - loads code objects -------------------------------===//
//
// The container is untrusted: every offset and address is checked against the
// file or the segments before use. The code in it is trusted once it runs.
// References: System V gABI chapter 5; GNU_HASH as described in glibc's
// elf/dl-lookup.c.
//
//===----------------------------------------------------------------------===//
#include "code_object.h"

#include <cerrno>
#include <sys/mman.h>
#include <unistd.h>

using namespace isthmus;
using namespace isthmus::cpu;

namespace {

struct Machine {
  uint16_t id;
  const char *name;
  uint32_t relative; // the one relocation that position-independent code needs
};
const Machine machines[] = {{EM_X86_64, "x86_64", R_X86_64_RELATIVE},
                            {EM_AARCH64, "aarch64", R_AARCH64_RELATIVE},
                            {EM_RISCV, "riscv64", R_RISCV_RELATIVE}};

#if defined(__x86_64__)
constexpr uint16_t hostMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr uint16_t hostMachine = EM_AARCH64;
#elif defined(__riscv) && __riscv_xlen == 64
constexpr uint16_t hostMachine = EM_RISCV;
#else
#error "the cpu driver knows no ELF machine id for this processor"
#endif

const Machine *findMachine(uint16_t id) {
  for (const Machine &m : machines)
    if (m.id == id)
      return &m;
  return nullptr;
}

constexpr uint64_t kMaxSpan = 1ull << 30, kMaxAlign = 1ull << 21;

bool within(uint64_t offset, uint64_t size, uint64_t limit) {
  return size <= limit && offset <= limit - size;
}

ist_status broken(ist_error *error, const char *what) {
  return fail(error, IST_DATA_LOSS,
              "broken code object: %s; compile the model again", what);
}

ist_status refused(ist_error *error, const char *what) {
  return fail(error, IST_UNAVAILABLE,
              "the code object %s; link it as a shared object without imports",
              what);
}

} // namespace

CodeObject::~CodeObject() {
  if (mapping)
    ::munmap(mapping, mappingSize);
}

ist_status CodeObject::load(const uint8_t *data, uint64_t size,
                            ist_error *error) {
  file = data;
  fileSize = size;
  ist_status s = readHeader(error);
  if (!s)
    s = mapSegments(error);
  if (!s)
    s = readDynamic(error);
  if (!s)
    s = checkSymbols(error);
  if (!s)
    s = relocate(error);
  if (!s)
    s = protect(error);
  file = nullptr;
  return s;
}

ist_status CodeObject::readHeader(ist_error *error) {
  if (fileSize < sizeof header)
    return broken(error, "shorter than an ELF header");
  std::memcpy(&header, file, sizeof header);
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
    return broken(error, "not an ELF file");
  if (header.e_ident[EI_CLASS] != ELFCLASS64 ||
      header.e_ident[EI_DATA] != ELFDATA2LSB)
    return refused(error, "is not 64-bit little-endian");
  if (header.e_machine != hostMachine) {
    const Machine *m = findMachine(header.e_machine);
    return fail(error, IST_UNAVAILABLE,
                "the code object is for %s (ELF machine %u) and this processor "
                "is %s; compile the model with --target=cpu:native here",
                m ? m->name : "another processor", header.e_machine,
                findMachine(hostMachine)->name);
  }
  if (header.e_type != ET_DYN)
    return refused(error, "is not a shared object");
  if (header.e_phentsize != sizeof(Elf64_Phdr) ||
      !within(header.e_phoff, header.e_phnum * sizeof(Elf64_Phdr), fileSize))
    return broken(error, "its program headers lie outside it");
  if (!headers.resize(header.e_phnum))
    return outOfMemory(error, header.e_phnum * sizeof(Elf64_Phdr),
                       "program headers");
  if (header.e_phnum)
    std::memcpy(headers.data(), file + header.e_phoff,
                header.e_phnum * sizeof(Elf64_Phdr));
  return IST_OK;
}

ist_status CodeObject::mapSegments(ist_error *error) {
  const uint64_t page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  uint64_t align = page, lastPage = 0;
  for (const Elf64_Phdr &p : headers) {
    if (p.p_type == PT_TLS)
      return refused(error, "has thread-local storage");
    if (p.p_type == PT_INTERP)
      return refused(error, "wants a dynamic linker");
    if (p.p_type != PT_LOAD || p.p_memsz == 0)
      continue;
    if (p.p_filesz > p.p_memsz || !within(p.p_offset, p.p_filesz, fileSize))
      return broken(error, "a segment lies outside it");
    if (!within(p.p_vaddr, p.p_memsz, kMaxSpan))
      return broken(error, "a segment lies beyond 1 GiB");
    if ((p.p_flags & PF_W) && (p.p_flags & PF_X))
      return refused(error, "has a segment both writable and executable");
    if (p.p_align > align) {
      if ((p.p_align & (p.p_align - 1)) || p.p_align > kMaxAlign)
        return broken(error, "a segment's alignment is not a power of two up "
                             "to 2 MiB");
      align = p.p_align;
    }
    // In order and without a page in common, as linkers write them; so each
    // page has one protection.
    if (!segments.empty() && p.p_vaddr / page < lastPage)
      return refused(error, "has segments that share a page or are not in "
                            "order");
    uint64_t end = p.p_vaddr + p.p_memsz;
    lastPage = alignUp(end, page) / page;
    span = lastPage * page;
    if (!segments.push({p.p_vaddr, end, p.p_flags}))
      return outOfMemory(error, sizeof(Segment), "a code object");
  }
  if (segments.empty())
    return broken(error, "it has nothing to load");

  mappingSize = span + align;
  void *m = ::mmap(nullptr, mappingSize, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (m == MAP_FAILED)
    return fail(
        error, IST_RESOURCE_EXHAUSTED, "cannot map %llu bytes for code: %s",
        static_cast<unsigned long long>(mappingSize), std::strerror(errno));
  mapping = static_cast<uint8_t *>(m);
  base = mapping + (alignUp(reinterpret_cast<uint64_t>(mapping), align) -
                    reinterpret_cast<uint64_t>(mapping));
  for (const Elf64_Phdr &p : headers) {
    if (p.p_type != PT_LOAD || p.p_memsz == 0)
      continue;
    uint64_t begin = p.p_vaddr / page * page;
    if (::mprotect(base + begin, alignUp(p.p_vaddr + p.p_memsz, page) - begin,
                   PROT_READ | PROT_WRITE) != 0)
      return fail(error, IST_RESOURCE_EXHAUSTED, "no memory for code: %s",
                  std::strerror(errno));
    if (p.p_filesz)
      std::memcpy(base + p.p_vaddr, file + p.p_offset, p.p_filesz);
  }
  return IST_OK;
}

bool CodeObject::inSegment(uint64_t address, uint64_t size,
                           uint32_t flags) const {
  for (const Segment &s : segments)
    if (address >= s.begin && within(address, size, s.end))
      return (s.flags & flags) == flags;
  return false;
}

ist_status CodeObject::readDynamic(ist_error *error) {
  const Elf64_Phdr *dynamic = nullptr;
  for (const Elf64_Phdr &p : headers)
    if (p.p_type == PT_DYNAMIC)
      dynamic = &p;
  if (!dynamic || dynamic->p_vaddr % alignof(Elf64_Dyn) ||
      !inSegment(dynamic->p_vaddr, dynamic->p_memsz, PF_R))
    return broken(error, "it has no dynamic section");

  uint64_t hash = 0, gnuHash = 0, entry = sizeof(Elf64_Rela),
           symbolEntry = sizeof(Elf64_Sym);
  uint64_t n = dynamic->p_memsz / sizeof(Elf64_Dyn);
  for (uint64_t i = 0; i < n; ++i) {
    auto d = read<Elf64_Dyn>(dynamic->p_vaddr + i * sizeof(Elf64_Dyn));
    uint64_t v = d.d_un.d_val;
    if (d.d_tag == DT_NULL)
      break;
    switch (d.d_tag) {
    case DT_NEEDED:
      return refused(error, "needs another library");
    case DT_INIT:
    case DT_FINI:
    case DT_INIT_ARRAY:
    case DT_FINI_ARRAY:
    case DT_PREINIT_ARRAY:
      return refused(error, "has constructors or destructors");
    case DT_TEXTREL:
      return refused(error, "has relocations in its code; compile with -fPIC");
    case DT_REL:
    case 36: // DT_RELR, which older <elf.h> do not have
      return refused(error, "has relocations of a kind other than RELA");
    case DT_PLTRELSZ:
      if (v)
        return refused(error, "has a procedure linkage table, so it calls "
                              "what can be replaced; hide its functions");
      break;
    case DT_HASH:
      hash = v;
      break;
    case DT_GNU_HASH:
      gnuHash = v;
      break;
    case DT_SYMTAB:
      symbols = v;
      break;
    case DT_SYMENT:
      symbolEntry = v;
      break;
    case DT_STRTAB:
      strings = v;
      break;
    case DT_STRSZ:
      stringsSize = v;
      break;
    case DT_RELA:
      relocations = v;
      break;
    case DT_RELASZ:
      relocationsSize = v;
      break;
    case DT_RELAENT:
      entry = v;
      break;
    default:
      break;
    }
  }
  if (entry != sizeof(Elf64_Rela) || symbolEntry != sizeof(Elf64_Sym))
    return broken(error, "its table entries have the wrong size");
  if (relocationsSize % sizeof(Elf64_Rela) ||
      (relocationsSize && !inSegment(relocations, relocationsSize, PF_R)))
    return broken(error, "its relocations lie outside it");
  if (!inSegment(strings, stringsSize, PF_R) || stringsSize == 0 ||
      base[strings + stringsSize - 1] != 0)
    return broken(error, "its string table lies outside it");
  return symbolCount(hash, gnuHash, error);
}

/// The dynamic symbol table has no size of its own; its hash tables know it.
ist_status CodeObject::symbolCount(uint64_t hash, uint64_t gnuHash,
                                   ist_error *error) {
  uint64_t n = 0;
  if (hash && inSegment(hash, 8, PF_R)) {
    n = read<uint32_t>(hash + 4);
  } else if (gnuHash && inSegment(gnuHash, 16, PF_R)) {
    uint64_t buckets = read<uint32_t>(gnuHash),
             offset = read<uint32_t>(gnuHash + 4),
             bloom = read<uint32_t>(gnuHash + 8);
    uint64_t bucket = gnuHash + 16 + 8 * bloom, chain = bucket + 4 * buckets;
    if (!inSegment(bucket, 4 * buckets, PF_R))
      return broken(error, "its hash table lies outside it");
    n = offset;
    uint64_t last = 0;
    for (uint64_t i = 0; i < buckets; ++i)
      if (read<uint32_t>(bucket + 4 * i) > last)
        last = read<uint32_t>(bucket + 4 * i);
    // The chain of the last bucket ends, with an odd word, at the last symbol.
    if (last >= offset && last) {
      uint64_t at = chain + 4 * (last - offset);
      for (;; at += 4, ++last) {
        if (!inSegment(at, 4, PF_R))
          return broken(error, "its hash table lies outside it");
        if (read<uint32_t>(at) & 1)
          break;
      }
      n = last + 1;
    }
  } else {
    return broken(error, "it has no symbol hash table");
  }
  symbolsSize = n * sizeof(Elf64_Sym);
  if (!inSegment(symbols, symbolsSize, PF_R))
    return broken(error, "its symbol table lies outside it");
  return IST_OK;
}

ist_status CodeObject::checkSymbols(ist_error *error) {
  for (uint64_t at = sizeof(Elf64_Sym); at < symbolsSize;
       at += sizeof(Elf64_Sym)) {
    auto s = read<Elf64_Sym>(symbols + at);
    if (s.st_name >= stringsSize)
      return broken(error, "a symbol's name lies outside it");
    const char *name =
        reinterpret_cast<const char *>(base + strings + s.st_name);
    if (s.st_shndx == SHN_UNDEF)
      return fail(
          error, IST_UNAVAILABLE,
          "the code object imports '%.100s', but kernels may call "
          "nothing outside it; this is a bug of the compiler, report it",
          name);
    if (ELF64_ST_TYPE(s.st_info) == STT_TLS ||
        ELF64_ST_TYPE(s.st_info) == STT_GNU_IFUNC)
      return refused(error, "has a thread-local or indirect symbol");
  }
  return IST_OK;
}

ist_status CodeObject::relocate(ist_error *error) {
  const uint32_t relative = findMachine(hostMachine)->relative;
  for (uint64_t at = 0; at < relocationsSize; at += sizeof(Elf64_Rela)) {
    auto r = read<Elf64_Rela>(relocations + at);
    if (ELF64_R_TYPE(r.r_info) != relative || ELF64_R_SYM(r.r_info) != 0)
      return fail(error, IST_UNAVAILABLE,
                  "the code object has a relocation of type %u, and only "
                  "relative ones (%u) are applied; link it with -Bsymbolic",
                  static_cast<unsigned>(ELF64_R_TYPE(r.r_info)), relative);
    if (!inSegment(r.r_offset, 8, PF_W))
      return broken(error, "a relocation is not in writable data");
    if (static_cast<uint64_t>(r.r_addend) > span)
      return broken(error, "a relocation points outside it");
    uint64_t value =
        reinterpret_cast<uint64_t>(base) + static_cast<uint64_t>(r.r_addend);
    std::memcpy(base + r.r_offset, &value, sizeof value);
  }
  return IST_OK;
}

ist_status CodeObject::protect(ist_error *error) {
  const uint64_t page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  auto set = [&](uint64_t begin, uint64_t end, int flags) {
    return end <= begin || ::mprotect(base + begin, end - begin, flags) == 0;
  };
  bool ok = true;
  for (const Segment &s : segments)
    ok &= set(s.begin / page * page, alignUp(s.end, page),
              PROT_READ | (s.flags & PF_W ? PROT_WRITE : 0) |
                  (s.flags & PF_X ? PROT_EXEC : 0));
  // What only relocation had to write.
  for (const Elf64_Phdr &p : headers)
    if (p.p_type == PT_GNU_RELRO && inSegment(p.p_vaddr, 1, PF_W) &&
        within(p.p_vaddr, p.p_memsz, span))
      ok &= set(p.p_vaddr / page * page, (p.p_vaddr + p.p_memsz) / page * page,
                PROT_READ);
  if (!ok)
    return fail(error, IST_INTERNAL,
                "cannot make code executable: %s; the system may forbid it",
                std::strerror(errno));
  __builtin___clear_cache(reinterpret_cast<char *>(base),
                          reinterpret_cast<char *>(base) + span);
  return IST_OK;
}

void *CodeObject::find(const char *name) const {
  for (uint64_t at = sizeof(Elf64_Sym); at < symbolsSize;
       at += sizeof(Elf64_Sym)) {
    auto s = read<Elf64_Sym>(symbols + at);
    if (ELF64_ST_TYPE(s.st_info) == STT_FUNC && s.st_shndx != SHN_ABS &&
        inSegment(s.st_value, 1, PF_X) &&
        std::strcmp(reinterpret_cast<const char *>(base + strings + s.st_name),
                    name) == 0)
      return base + s.st_value;
  }
  return nullptr;
}
