//===- verify.h - checks an artifact before anything believes it ----------===//
#ifndef ISTHMUS_RUNTIME_CORE_VERIFY_H
#define ISTHMUS_RUNTIME_CORE_VERIFY_H

#include "schema.h"
#include "zip.h"

namespace isthmus {

enum : uint32_t {
  kMaxRegisters = 1u << 20,
  kMaxNesting = 64,
  kMaxParams = 4096,
  /// What allocations guarantee, so the most that a kernel may ask for.
  kAlignment = 64,
};

/// Checks `manifest` (8-byte aligned) and that the members it names are in
/// `zip`. Once this returns OK every index in every variant is in range,
/// control flow nests, and launches fit their kernels; readers need not look
/// again.
ist_status verifyManifest(Span manifest, const Zip &zip,
                          const fb::Manifest **out, ist_error *error);

} // namespace isthmus

#endif // ISTHMUS_RUNTIME_CORE_VERIFY_H
