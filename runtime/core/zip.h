//===- zip.h - reads an artifact's container ------------------------------===//
#ifndef ISTHMUS_RUNTIME_CORE_ZIP_H
#define ISTHMUS_RUNTIME_CORE_ZIP_H

#include "support.h"

namespace isthmus {

struct Span {
  const uint8_t *data = nullptr;
  uint64_t size = 0;
};

/// A zip whose members are stored. Holds the bytes, mapped or borrowed.
class Zip {
public:
  ~Zip();
  ist_status openFile(const char *path, ist_error *error);
  /// Borrows `data`.
  ist_status openMemory(const void *data, size_t size, ist_error *error);
  /// False when there is no such member.
  bool find(const char *name, Span *out) const;
  /// Gives back the memory of what was read and is not needed soon, where that
  /// is a part of a file that this mapped; read again, it comes from the file.
  void release(uint64_t address, uint64_t bytes) const;

private:
  ist_status readDirectory(ist_error *error);

  struct Member {
    const char *name; // in the directory, not NUL-terminated
    size_t nameSize;
    Span data;
  };
  Span file;
  bool mapped = false;
  Array<Member> members;
};

} // namespace isthmus

#endif // ISTHMUS_RUNTIME_CORE_ZIP_H
