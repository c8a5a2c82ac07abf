//===- code_object.h - loads code objects ---------------------------------===//
#ifndef ISTHMUS_DRIVERS_CPU_CODE_OBJECT_H
#define ISTHMUS_DRIVERS_CPU_CODE_OBJECT_H

#include "support.h"

#include <elf.h>

namespace isthmus::cpu {

/// A shared object of ours in memory: no imports, no thread-local storage, no
/// constructors, so that loading it runs nothing and needs no dynamic linker.
class CodeObject {
public:
  ~CodeObject();
  /// Copies what it needs. DATA_LOSS: malformed. UNAVAILABLE: for another chip,
  /// or in need of what this loader does not give.
  ist_status load(const uint8_t *data, uint64_t size, ist_error *error);
  /// Address of an exported function, or null.
  void *find(const char *name) const;

private:
  struct Segment {
    uint64_t begin, end; // virtual addresses
    uint32_t flags;
  };
  ist_status readHeader(ist_error *error);
  ist_status mapSegments(ist_error *error);
  ist_status readDynamic(ist_error *error);
  ist_status symbolCount(uint64_t hash, uint64_t gnuHash, ist_error *error);
  ist_status checkSymbols(ist_error *error);
  ist_status relocate(ist_error *error);
  ist_status protect(ist_error *error);
  /// Does [address, address + size) lie in one segment with all of `flags`?
  bool inSegment(uint64_t address, uint64_t size, uint32_t flags) const;
  template <typename T> T read(uint64_t address) const {
    T v;
    std::memcpy(&v, base + address, sizeof v);
    return v;
  }

  const uint8_t *file = nullptr;
  uint64_t fileSize = 0;
  Elf64_Ehdr header = {};
  Array<Elf64_Phdr> headers;
  Array<Segment> segments;
  uint8_t *mapping = nullptr;
  uint64_t mappingSize = 0;
  uint8_t *base = nullptr; // where virtual address 0 is
  uint64_t span = 0;       // virtual addresses are below it
  uint64_t symbols = 0, symbolsSize = 0, strings = 0, stringsSize = 0;
  uint64_t relocations = 0, relocationsSize = 0;
};

} // namespace isthmus::cpu

#endif // ISTHMUS_DRIVERS_CPU_CODE_OBJECT_H
