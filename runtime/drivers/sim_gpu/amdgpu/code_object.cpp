//===- code_object.cpp - an AMD code object as a container ----------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// "Code Object" in LLVM's "User Guide for AMDGPU Backend": an ELF shared object
// with a note of metadata (MessagePack) and, per kernel, a descriptor of 64
// bytes under the symbol <kernel>.kd.
//
//===----------------------------------------------------------------------===//
#include "code_object.h"

#include "llvm/BinaryFormat/ELF.h"
#include "llvm/BinaryFormat/MsgPackDocument.h"

#include <cstring>

using namespace isthmus::simgpu::amdgpu;
namespace elf = llvm::ELF;
namespace msgpack = llvm::msgpack;

namespace {
constexpr uint64_t kMostBytes = 1ull << 30; // of an image in memory

struct Reader {
  const uint8_t *data;
  size_t bytes;
  std::string &error;

  bool fail(const std::string &what) {
    error = "broken code object: " + what;
    return false;
  }
  template <class T> bool at(uint64_t offset, T &out) {
    if (offset > bytes || sizeof(T) > bytes - offset)
      return false;
    memcpy(&out, data + offset, sizeof(T));
    return true;
  }
  bool inside(uint64_t offset, uint64_t size) const {
    return offset <= bytes && size <= bytes - offset;
  }
};

const std::pair<unsigned, const char *> chips[] = {
    {elf::EF_AMDGPU_MACH_AMDGCN_GFX90A, "gfx90a"},
    {elf::EF_AMDGPU_MACH_AMDGCN_GFX942, "gfx942"},
    {elf::EF_AMDGPU_MACH_AMDGCN_GFX950, "gfx950"},
    {elf::EF_AMDGPU_MACH_AMDGCN_GFX1100, "gfx1100"},
    {elf::EF_AMDGPU_MACH_AMDGCN_GFX1201, "gfx1201"},
    {elf::EF_AMDGPU_MACH_AMDGCN_GFX9_4_GENERIC, "gfx9-4-generic"},
    {elf::EF_AMDGPU_MACH_AMDGCN_GFX11_GENERIC, "gfx11-generic"},
    {elf::EF_AMDGPU_MACH_AMDGCN_GFX12_GENERIC, "gfx12-generic"}};

bool readHeader(Reader &r, elf::Elf64_Ehdr &h, CodeObject &o) {
  if (!r.at(0, h) || memcmp(h.e_ident,
                            "\x7f"
                            "ELF",
                            4) != 0)
    return r.fail("it is no ELF file");
  if (h.e_ident[elf::EI_CLASS] != elf::ELFCLASS64 ||
      h.e_ident[elf::EI_DATA] != elf::ELFDATA2LSB ||
      h.e_machine != elf::EM_AMDGPU ||
      h.e_ident[elf::EI_OSABI] != elf::ELFOSABI_AMDGPU_HSA)
    return r.fail("it is not for AMD GPUs under HSA");
  if (h.e_type != elf::ET_DYN)
    return r.fail("it is not linked");
  for (auto [mach, name] : chips)
    if ((h.e_flags & elf::EF_AMDGPU_MACH) == mach)
      o.chip = name;
  if (o.chip.empty())
    return r.fail("its chip is not known");
  return true;
}

bool readSegments(Reader &r, const elf::Elf64_Ehdr &h, CodeObject &o,
                  elf::Elf64_Phdr &note) {
  uint64_t size = 0;
  std::vector<elf::Elf64_Phdr> loads;
  if (h.e_phentsize != sizeof(elf::Elf64_Phdr))
    return r.fail("its program headers have an unknown size");
  note.p_filesz = 0;
  for (unsigned n = 0; n < h.e_phnum; ++n) {
    elf::Elf64_Phdr p;
    if (h.e_phoff > r.bytes || !r.at(h.e_phoff + uint64_t(n) * sizeof p, p))
      return r.fail("its program headers lie outside the file");
    if (p.p_type == elf::PT_NOTE)
      note = p;
    if (p.p_type != elf::PT_LOAD)
      continue;
    if (!r.inside(p.p_offset, p.p_filesz) || p.p_filesz > p.p_memsz ||
        p.p_vaddr > kMostBytes || p.p_memsz > kMostBytes - p.p_vaddr)
      return r.fail("a segment lies outside the file");
    size = std::max(size, p.p_vaddr + p.p_memsz);
    loads.push_back(p);
  }
  o.image.assign(size_t(size), 0);
  for (const elf::Elf64_Phdr &p : loads) {
    memcpy(o.image.data() + p.p_vaddr, r.data + p.p_offset, size_t(p.p_filesz));
    if (p.p_flags & elf::PF_X) {
      o.codeBegin = p.p_vaddr;
      o.codeEnd = p.p_vaddr + p.p_filesz;
    }
  }
  if (o.codeBegin % 4)
    return r.fail("its code is misaligned");
  if (!note.p_filesz || !r.inside(note.p_offset, note.p_filesz))
    return r.fail("it has no metadata");
  return true;
}

struct Symbols {
  std::map<std::string, uint64_t> values, sizes;
};

bool readSymbols(Reader &r, const elf::Elf64_Ehdr &h, Symbols &symbols) {
  if (h.e_shentsize != sizeof(elf::Elf64_Shdr))
    return r.fail("its section headers have an unknown size");
  auto section = [&](unsigned n, elf::Elf64_Shdr &s) {
    return n < h.e_shnum && h.e_shoff <= r.bytes &&
           r.at(h.e_shoff + uint64_t(n) * sizeof s, s) &&
           (s.sh_type == elf::SHT_NOBITS || r.inside(s.sh_offset, s.sh_size));
  };
  for (unsigned n = 0; n < h.e_shnum; ++n) {
    elf::Elf64_Shdr s, names;
    if (!section(n, s))
      return r.fail("a section lies outside the file");
    if (s.sh_type == elf::SHT_RELA && s.sh_size)
      return r.fail("it has relocations, which are not supported");
    if (s.sh_type != elf::SHT_DYNSYM)
      continue;
    if (!section(s.sh_link, names))
      return r.fail("its symbols have no names");
    for (uint64_t at = 0; at + sizeof(elf::Elf64_Sym) <= s.sh_size;
         at += sizeof(elf::Elf64_Sym)) {
      elf::Elf64_Sym symbol;
      r.at(s.sh_offset + at, symbol);
      if (!symbol.st_name)
        continue;
      const void *end = symbol.st_name < names.sh_size
                            ? memchr(r.data + names.sh_offset + symbol.st_name,
                                     0, size_t(names.sh_size - symbol.st_name))
                            : nullptr;
      if (!end)
        return r.fail("a symbol's name does not end");
      std::string name(reinterpret_cast<const char *>(r.data + names.sh_offset +
                                                      symbol.st_name));
      if (symbol.st_shndx == elf::SHN_UNDEF)
        return r.fail("it does not define '" + name + "'");
      symbols.values[name] = symbol.st_value;
      symbols.sizes[name] = symbol.st_size;
    }
  }
  return true;
}

uint64_t number(msgpack::MapDocNode &map, const char *key, uint64_t otherwise) {
  auto it = map.find(key);
  return it != map.end() && it->second.getKind() == msgpack::Type::UInt
             ? it->second.getUInt()
             : otherwise;
}
std::string text(msgpack::MapDocNode &map, const char *key) {
  auto it = map.find(key);
  return it != map.end() && it->second.isString() ? it->second.getString().str()
                                                  : std::string();
}

/// Hidden arguments that the loader gives; of others it cannot know the value.
bool knowsHidden(const std::string &kind) {
  static const char *const known[] = {"hidden_block_count_x",
                                      "hidden_block_count_y",
                                      "hidden_block_count_z",
                                      "hidden_group_size_x",
                                      "hidden_group_size_y",
                                      "hidden_group_size_z",
                                      "hidden_remainder_x",
                                      "hidden_remainder_y",
                                      "hidden_remainder_z",
                                      "hidden_global_offset_x",
                                      "hidden_global_offset_y",
                                      "hidden_global_offset_z",
                                      "hidden_grid_dims",
                                      "hidden_dynamic_lds_size",
                                      "hidden_private_base",
                                      "hidden_shared_base",
                                      "hidden_none"};
  for (const char *k : known)
    if (kind == k)
      return true;
  return false;
}

bool readDescriptor(Reader &r, CodeObject &o, uint64_t at, KernelFacts &k) {
  // "Kernel Descriptor" in the user guide.
  struct Descriptor {
    uint32_t groupBytes, privateBytes, kernargBytes, reserved;
    int64_t entry;
    uint8_t reserved2[20];
    uint32_t rsrc3, rsrc1, rsrc2;
    uint16_t properties, preload;
    uint8_t reserved3[4];
  } d;
  static_assert(sizeof(Descriptor) == 64);
  if (at > o.image.size() || sizeof d > o.image.size() - at)
    return r.fail("the descriptor of '" + k.name + "' lies outside");
  memcpy(&d, o.image.data() + at, sizeof d);
  k.entry = at + uint64_t(d.entry);
  // No kernel of the file has a body: it has no code to load.
  if (o.codeBegin == o.codeEnd)
    k.entry = o.codeEnd;
  if (k.entry < o.codeBegin || k.entry > o.codeEnd || k.entry % 4)
    return r.fail("'" + k.name + "' begins outside the code");
  k.generation = o.chip.compare(0, 5, "gfx12") == 0   ? Generation::gfx12
                 : o.chip.compare(0, 5, "gfx11") == 0 ? Generation::gfx11
                                                      : Generation::gfx9;
  bool gfx9 = k.generation == Generation::gfx9;
  k.waveSize = !gfx9 && d.properties >> 10 & 1 ? 32 : 64;
  unsigned granule = gfx9 ? 8 : k.waveSize == 32 ? 8 : 4;
  k.vectors = ((d.rsrc1 & 63) + 1) * granule;
  k.accumulatorsAt = gfx9 ? ((d.rsrc3 & 63) + 1) * 4 : 0;
  k.ldsBytes = d.groupBytes;
  k.privateBytes = d.privateBytes;
  k.kernargBytes = std::max(k.kernargBytes, d.kernargBytes);
  k.userScalars = d.rsrc2 >> 1 & 31;
  k.properties = d.properties;
  k.preload = d.preload & 127;
  k.preloadOffset = d.preload >> 7;
  k.groupIdX = d.rsrc2 >> 7 & 1;
  k.groupIdY = d.rsrc2 >> 8 & 1;
  k.groupIdZ = d.rsrc2 >> 9 & 1;
  k.privateSegment = d.rsrc2 & 1;
  k.flush32 = (d.rsrc1 >> 16 & 3) != 3;
  k.flush16 = (d.rsrc1 >> 18 & 3) != 3;
  if (d.rsrc1 >> 12 & 15) // round modes other than to nearest
    return r.fail("'" + k.name +
                  "' asks for a rounding mode that is not supported");
  if (k.flush16)
    return r.fail(
        "'" + k.name +
        "' asks for f16 and f64 denormals as zeros, which is not supported");
  if (4 * (k.preload + k.preloadOffset) > k.kernargBytes)
    return r.fail("'" + k.name +
                  "' has arguments in registers that it has not");
  if (k.ldsBytes > 160 << 10 || k.privateBytes > 1 << 20 ||
      k.kernargBytes > 1 << 20)
    return r.fail("'" + k.name + "' asks for more memory than any chip has");
  return true;
}

bool readKernels(Reader &r, const elf::Elf64_Phdr &note, const Symbols &symbols,
                 CodeObject &o) {
  uint64_t at = note.p_offset, end = note.p_offset + note.p_filesz;
  bool found = false;
  while (end - at >= 12) { // each kernel may have brought a note of its own
    uint32_t head[3];
    r.at(at, head);
    uint64_t name = (uint64_t(head[0]) + 3) / 4 * 4, bytes = head[1];
    at += 12;
    if (name > end - at || bytes > end - at - name)
      return r.fail("a note lies outside the file");
    llvm::StringRef blob(reinterpret_cast<const char *>(r.data + at + name),
                         size_t(bytes));
    bool metadata = head[2] == elf::NT_AMDGPU_METADATA;
    uint64_t step = name + (bytes + 3) / 4 * 4;
    at += std::min(step, end - at);
    if (!metadata)
      continue;
    msgpack::Document document;
    if (!document.readFromBlob(blob, /*Multi=*/false) ||
        !document.getRoot().isMap())
      return r.fail("its metadata is damaged");
    found = true;
    auto &root = document.getRoot().getMap();
    auto list = root.find("amdhsa.kernels");
    if (list == root.end() || !list->second.isArray())
      return r.fail("its metadata names no kernels");
    for (msgpack::DocNode &node : list->second.getArray()) {
      if (!node.isMap())
        return r.fail("its metadata is damaged");
      auto &map = node.getMap();
      KernelFacts k;
      k.name = text(map, ".name");
      k.kernargBytes = unsigned(std::min<uint64_t>(
          number(map, ".kernarg_segment_size", 0), UINT32_MAX));
      auto symbol = symbols.values.find(text(map, ".symbol"));
      if (k.name.empty() || symbol == symbols.values.end())
        return r.fail("a kernel of its metadata is not in it");
      auto args = map.find(".args");
      if (args != map.end() && args->second.isArray())
        for (msgpack::DocNode &arg : args->second.getArray()) {
          if (!arg.isMap())
            return r.fail("its metadata is damaged");
          std::string kind = text(arg.getMap(), ".value_kind");
          if (kind.compare(0, 7, "hidden_") != 0)
            continue;
          if (!knowsHidden(kind))
            return r.fail("'" + k.name + "' asks for " + kind +
                          ", which is not supported");
          uint64_t offset = number(arg.getMap(), ".offset", 0),
                   size = number(arg.getMap(), ".size", 0);
          if (size > 8 || offset > k.kernargBytes ||
              size > k.kernargBytes - offset)
            return r.fail("an argument of '" + k.name + "' lies outside");
          k.hidden.push_back({uint32_t(offset), uint32_t(size), kind});
        }
      if (!readDescriptor(r, o, symbol->second, k))
        return false;
      // What follows a body without a way through is another kernel's. No size:
      // nothing was said of it.
      auto size = symbols.sizes.find(k.name);
      k.end = size == symbols.sizes.end() || !size->second
                  ? o.codeEnd
                  : std::min(o.codeEnd,
                             k.entry + std::min(size->second, o.codeEnd));
      o.kernels.push_back(std::move(k));
    }
  }
  // Without a size and where another begins: an empty body.
  for (KernelFacts &k : o.kernels)
    for (const KernelFacts &other : o.kernels)
      if (&k != &other && k.entry == other.entry && k.end == o.codeEnd &&
          other.end != o.codeEnd)
        k.end = k.entry;
  return found || r.fail("it has no metadata");
}
} // namespace

bool isthmus::simgpu::amdgpu::readCodeObject(const uint8_t *data, size_t bytes,
                                             CodeObject &object,
                                             std::string &error) {
  Reader r{data, bytes, error};
  elf::Elf64_Ehdr header;
  elf::Elf64_Phdr note;
  Symbols symbols;
  return readHeader(r, header, object) &&
         readSegments(r, header, object, note) &&
         readSymbols(r, header, symbols) &&
         readKernels(r, note, symbols, object);
}
