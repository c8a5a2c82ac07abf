//===- account.h - who holds a device's memory ----------------------------===//
#ifndef ISTHMUS_RUNTIME_CORE_ACCOUNT_H
#define ISTHMUS_RUNTIME_CORE_ACCOUNT_H

#include "isthmus/driver.h"
#include "support.h"

struct ist_device;

namespace isthmus {

/// One holder of device memory: a program's weights, a session's arena. All
/// memory of a device is taken through one, so that whoever gets none can be
/// told who has it. Any thread; ended when it holds nothing.
class Account {
public:
  Account() = default;
  Account(const Account &) = delete;
  Account &operator=(const Account &) = delete;
  ~Account() { close(); }

  /// "`what` of `owner`", as in "the weights of mnist"; both must outlive it.
  void open(ist_device *device, const char *what, const char *owner);
  void close();
  /// In `queue`'s order where the driver has pools, unless it is null.
  ist_status alloc(ist_memory_kind kind, uint64_t bytes, ist_driver_memory *out,
                   ist_error *error, ist_driver_queue *queue = nullptr);
  /// Memory without bytes is ignored. `queue`: as when it was allocated, or
  /// null when nothing uses it any more.
  void free(ist_driver_memory *memory, ist_driver_queue *queue = nullptr);
  uint64_t bytes() const { return __atomic_load_n(&held, __ATOMIC_RELAXED); }
  /// The most it ever held.
  uint64_t high() const { return __atomic_load_n(&most, __ATOMIC_RELAXED); }

private:
  friend class Ledger;
  ist_device *device = nullptr;
  const char *what = "", *owner = "";
  uint64_t held = 0, most = 0; // atomic
  Account *next = nullptr;
};

/// A device's accounts, and its limit.
class Ledger {
public:
  uint64_t limit = 0; // 0: none; set before there are accounts
  uint64_t used() const { return __atomic_load_n(&held, __ATOMIC_RELAXED); }
  uint64_t high() const { return __atomic_load_n(&most, __ATOMIC_RELAXED); }

private:
  friend class Account;
  void add(Account *account);
  void remove(Account *account);
  /// Takes `bytes` off what there is; false when the limit forbids it.
  bool take(Account *account, uint64_t bytes);
  /// What was `from` bytes turned out as, or became, `to`.
  void adjust(Account *account, uint64_t from, uint64_t to);
  /// "; held by: the weights of mnist (4096), ..." or "".
  void largest(char *out, size_t size);

  pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // of the list
  Account *accounts = nullptr;
  uint64_t held = 0, most = 0; // atomic
};

} // namespace isthmus

#endif // ISTHMUS_RUNTIME_CORE_ACCOUNT_H
