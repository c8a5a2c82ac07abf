//===- errors.cpp - what is common to both vendors' errors and code -------===//
#include "gpu.h"

#include <elf.h>

using namespace isthmus;

ist_status gpu::statusOf(Code code, bool *lost) {
  switch (code) {
  case 4:
  case 214:
  case 220:
  case 226:
  case 700:
  case 702:
  case 709:
  case 710:
  case 714:
  case 715:
  case 716:
  case 717:
  case 718:
  case 719:
  case 721:
  case 809: // clang-format off
    *lost = true;
    return IST_DEVICE_LOST;
  case 2: case 701:
    return IST_RESOURCE_EXHAUSTED;
  case 200: case 218: case 300: case 301:
    return IST_DATA_LOSS; // malformed code
  case 3: case 34: case 35: case 36: case 46: case 100: case 101: case 102: case 209: case 221: case 222:
  case 223: case 712: case 801: case 802: case 803: case 804: case 805:
  case 806: case 807: case 808:
    return IST_UNAVAILABLE;
  case 1: case 400: case 900: case 901: case 902: case 903: case 904: case 905: case 906:
  case 907: case 908: case 912:
    return IST_INVALID_ARGUMENT; // clang-format on
  default:
    return IST_INTERNAL;
  }
}

ist_status gpu::checkElf(const void *code, size_t size, ist_error *error) {
  auto broken = [&](const char *what) {
    return fail(error, IST_DATA_LOSS,
                "not a whole ELF code object: %s; compile the model again",
                what);
  };
  auto within = [&](uint64_t offset, uint64_t bytes) {
    return offset <= size && bytes <= size - offset;
  };
  const char *bytes = static_cast<const char *>(code);
  Elf64_Ehdr h;
  if (size < sizeof h)
    return broken("its header is cut short");
  std::memcpy(&h, bytes, sizeof h);
  if (std::memcmp(h.e_ident, ELFMAG, SELFMAG) != 0 ||
      h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_ident[EI_DATA] != ELFDATA2LSB)
    return broken("it does not begin as one");
  if (h.e_phnum && (h.e_phentsize != sizeof(Elf64_Phdr) ||
                    !within(h.e_phoff, h.e_phnum * sizeof(Elf64_Phdr))))
    return broken("its program headers lie outside");
  if (h.e_shnum && (h.e_shentsize != sizeof(Elf64_Shdr) ||
                    !within(h.e_shoff, h.e_shnum * sizeof(Elf64_Shdr))))
    return broken("its section headers lie outside");
  for (unsigned i = 0; i < h.e_phnum; ++i) {
    Elf64_Phdr p;
    std::memcpy(&p, bytes + h.e_phoff + i * sizeof p, sizeof p);
    if (!within(p.p_offset, p.p_filesz))
      return broken("a segment lies outside");
  }
  for (unsigned i = 0; i < h.e_shnum; ++i) {
    Elf64_Shdr s;
    std::memcpy(&s, bytes + h.e_shoff + i * sizeof s, sizeof s);
    if (s.sh_type != SHT_NOBITS && !within(s.sh_offset, s.sh_size))
      return broken("a section lies outside");
  }
  return IST_OK;
}
