//===- support.h - what the core uses in place of a standard library ------===//
//
// libisthmus links the C library only, so there is no std::vector here. Nothing
// throws: what can fail returns a status or bool.
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_RUNTIME_CORE_SUPPORT_H
#define ISTHMUS_RUNTIME_CORE_SUPPORT_H

#include "isthmus/runtime.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <pthread.h>

namespace isthmus {

/// For printf's %llu.
inline unsigned long long ull(uint64_t v) { return v; }

/// Fills `error` (which may be null) and returns `code`.
__attribute__((format(printf, 3, 4))) ist_status
fail(ist_error *error, ist_status code, const char *format, ...);

inline ist_status outOfMemory(ist_error *error, uint64_t bytes,
                              const char *what) {
  return fail(error, IST_RESOURCE_EXHAUSTED,
              "out of host memory: %s needs %llu bytes; free some and retry",
              what, ull(bytes));
}

/// Objects of the core live in malloc'ed memory; null when there is none.
template <typename T> T *make() {
  void *p = std::malloc(sizeof(T));
  return p ? new (p) T() : nullptr;
}
template <typename T> void destroy(T *p) {
  if (!p)
    return;
  p->~T();
  std::free(p);
}

/// A growing array of plain values.
template <typename T> class Array {
  static_assert(__is_trivially_copyable(T), "moved with realloc");

public:
  Array() = default;
  Array(const Array &) = delete;
  Array &operator=(const Array &) = delete;
  ~Array() { std::free(items); }

  /// New elements are all zero bytes. False: no memory, nothing changed.
  [[nodiscard]] bool resize(size_t n) {
    if (n > room && !grow(n))
      return false;
    if (n > count)
      std::memset(static_cast<void *>(items + count), 0,
                  (n - count) * sizeof(T));
    count = n;
    return true;
  }
  [[nodiscard]] bool reserve(size_t n) { return n <= room || grow(n); }
  [[nodiscard]] bool push(const T &value) {
    T copy = value; // may live in items
    if (count == room && !grow(room ? 2 * room : 8))
      return false;
    items[count++] = copy;
    return true;
  }
  void pop() { --count; }
  void clear() { count = 0; }
  size_t size() const { return count; }
  bool empty() const { return count == 0; }
  T &operator[](size_t i) { return items[i]; }
  const T &operator[](size_t i) const { return items[i]; }
  T &back() { return items[count - 1]; }
  T *data() { return items; }
  const T *data() const { return items; }
  T *begin() { return items; }
  T *end() { return items + count; }
  const T *begin() const { return items; }
  const T *end() const { return items + count; }

private:
  bool grow(size_t n) {
    size_t bytes;
    if (__builtin_mul_overflow(n, sizeof(T), &bytes))
      return false;
    T *p = static_cast<T *>(std::realloc(static_cast<void *>(items), bytes));
    if (!p)
      return false;
    items = p;
    room = n;
    return true;
  }

  T *items = nullptr;
  size_t count = 0, room = 0;
};

/// Holds a mutex for as long as it lives.
class Locked {
public:
  explicit Locked(pthread_mutex_t &mutex) : mutex(mutex) {
    ::pthread_mutex_lock(&mutex);
  }
  Locked(const Locked &) = delete;
  Locked &operator=(const Locked &) = delete;
  ~Locked() { ::pthread_mutex_unlock(&mutex); }

private:
  pthread_mutex_t &mutex;
};

inline uint64_t alignUp(uint64_t v, uint64_t alignment) {
  return (v + alignment - 1) & ~(alignment - 1);
}

/// Bytes of a dense tensor; false on overflow or a negative dim.
bool tensorBytes(ist_dtype dtype, const int64_t *dims, int32_t rank,
                 uint64_t *bytes);

/// Copies what a caller, older or newer than this library, filled of an options
/// struct over its defaults in `known`. UNIMPLEMENTED: what it says goes
/// beyond. It may be null, and then says nothing.
ist_status readStruct(const void *given, void *known, size_t size,
                      const char *type, ist_error *error);
template <typename T>
ist_status readOptions(const T *given, T *known, const char *type,
                       ist_error *error) {
  return given ? readStruct(given, known, sizeof(T), type, error) : IST_OK;
}

/// Monotonic.
uint64_t nowNs();

/// As pthread_create. Signals are the application's business, but those of a
/// kernel that crashes come to the thread that runs it.
int startThread(pthread_t *thread, void *(*run)(void *), void *argument);

} // namespace isthmus

#endif // ISTHMUS_RUNTIME_CORE_SUPPORT_H
