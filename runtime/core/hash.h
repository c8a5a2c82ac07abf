//===- hash.h - a fast hash of bytes, for keys and checksums --------------===//
#ifndef ISTHMUS_RUNTIME_CORE_HASH_H
#define ISTHMUS_RUNTIME_CORE_HASH_H

#include "support.h"

namespace isthmus {

/// 128 bits over all that is added. Not cryptographic. Stands in cache files,
/// so changing it changes their version.
class Hash {
public:
  void add(const void *data, uint64_t bytes);
  void add(uint64_t v) { add(&v, sizeof v); }
  /// With its end, so that "a" "bc" is not "ab" "c".
  void add(const char *text) { add(text, std::strlen(text) + 1); }

  struct Value {
    uint64_t a, b;
    bool operator==(const Value &o) const { return a == o.a && b == o.b; }
  };
  Value value() const;

private:
  uint64_t lanes[4] = {0x243f6a8885a308d3, 0x13198a2e03707344,
                       0xa4093822299f31d0, 0x082efa98ec4e6c89};
  uint64_t total = 0;
};

} // namespace isthmus

#endif // ISTHMUS_RUNTIME_CORE_HASH_H
