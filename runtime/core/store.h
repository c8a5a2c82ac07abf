//===- store.h - a device's weights, held once ----------------------------===//
//
// Two kinds of things are held, by key: a weight that had to be copied to the
// device, and all that one `init` derives. Weights that the device reads where
// the artifact lies are not here: they cost it nothing.
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_RUNTIME_CORE_STORE_H
#define ISTHMUS_RUNTIME_CORE_STORE_H

#include "account.h"
#include "hash.h"

namespace isthmus {

/// The programs of one model, as an account.
struct Holder {
  Account account;
  char model[64];
  uint32_t references; // of the store's lock
  Holder *next;
};

struct Stored {
  struct Part {
    ist_driver_memory memory; // perhaps larger
    uint64_t bytes;           // 0: empty, or not made yet
    bool imported;            // lies in `mapping`
  };
  Hash::Value key;
  Array<Part> parts;
  Holder *holder = nullptr;
  void *mapping = nullptr; // of a cache file
  uint64_t mappingBytes = 0;
  uint32_t references = 1; // of the store's lock
  Stored *next = nullptr;
};

class Store {
public:
  void init(ist_device *d) { device = d; }

  /// What is held under `key`, with one more reference, or null.
  Stored *find(const Hash::Value &key);
  /// Something to be filled and then published. Ended by release.
  ist_status begin(const Hash::Value &key, const char *model, size_t parts,
                   Stored **out, ist_error *error);
  ist_status alloc(Stored *stored, size_t part, uint64_t bytes,
                   ist_error *error);
  /// Makes it findable. If somebody else was faster, theirs is given and ours
  /// is gone.
  Stored *publish(Stored *stored);
  void release(Stored *stored); // or null

private:
  Holder *holder(const char *model);
  void destroyStored(Stored *stored);

  ist_device *device = nullptr;
  pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  Stored *all = nullptr;
  Holder *holders = nullptr;
};

/// Reads `key`'s file in ISTHMUS_CACHE_DIR into an unpublished `stored`, whose
/// parts are what `parts` says. False: there is none, or it is refused; then
/// `why` (else empty) says what is wrong with it.
bool readCache(ist_device *device, Store &store, Stored *stored, char *why,
               size_t size);
/// Writes it. `why` says why it could not, or is empty.
void writeCache(ist_device *device, const Stored *stored, char *why,
                size_t size);

/// Bytes of a driver's under a key of its own; null: not there, or broken. The
/// memory is of `allocate`, and ended with free.
void *readBlob(const char *key, void *(*allocate)(size_t), size_t *bytes);
/// Where it cannot be written it is not: the driver makes it again.
void writeBlob(const char *key, const void *data, size_t bytes, char *why,
               size_t size);

} // namespace isthmus

#endif // ISTHMUS_RUNTIME_CORE_STORE_H
