//===- account.cpp - who holds a device's memory --------------------------===//
#include "account.h"
#include "device.h"

#include <cstdio>

using namespace isthmus;

namespace {

void raise(uint64_t *most, uint64_t now) {
  uint64_t seen = __atomic_load_n(most, __ATOMIC_RELAXED);
  while (seen < now &&
         !__atomic_compare_exchange_n(most, &seen, now, true, __ATOMIC_RELAXED,
                                      __ATOMIC_RELAXED))
    ;
}

} // namespace

void Ledger::add(Account *account) {
  Locked locked(lock);
  account->next = accounts;
  accounts = account;
}

void Ledger::remove(Account *account) {
  Locked locked(lock);
  for (Account **p = &accounts; *p; p = &(*p)->next)
    if (*p == account) {
      *p = account->next;
      break;
    }
}

bool Ledger::take(Account *account, uint64_t bytes) {
  uint64_t now = __atomic_load_n(&held, __ATOMIC_RELAXED), after;
  do {
    if (__builtin_add_overflow(now, bytes, &after) || (limit && after > limit))
      return false;
  } while (!__atomic_compare_exchange_n(&held, &now, after, true,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  raise(&most, after);
  raise(&account->most,
        __atomic_add_fetch(&account->held, bytes, __ATOMIC_RELAXED));
  return true;
}

void Ledger::adjust(Account *account, uint64_t from, uint64_t to) {
  if (from == to)
    return;
  raise(&most, __atomic_add_fetch(&held, to - from, __ATOMIC_RELAXED));
  raise(&account->most,
        __atomic_add_fetch(&account->held, to - from, __ATOMIC_RELAXED));
}

void Ledger::largest(char *out, size_t size) {
  *out = 0;
  Locked locked(lock);
  uint64_t below = UINT64_MAX; // names already told, by what they hold
  for (int shown = 0; shown < 5;) {
    uint64_t most = 0;
    for (Account *a = accounts; a; a = a->next)
      if (a->bytes() < below && a->bytes() > most)
        most = a->bytes();
    if (!most)
      break;
    for (Account *a = accounts; a && shown < 5; a = a->next) {
      if (a->bytes() != most)
        continue;
      size_t used = std::strlen(out);
      std::snprintf(out + used, size - used, "%s%s%s%.60s (%llu)",
                    shown++ ? ", " : "; held by: ", a->what,
                    *a->owner ? " of " : "", a->owner, ull(most));
    }
    below = most;
  }
}

void Account::open(ist_device *d, const char *w, const char *o) {
  device = d;
  what = w;
  owner = o;
  device->ledger.add(this);
}

void Account::close() {
  if (device)
    device->ledger.remove(this);
  device = nullptr;
}

ist_status Account::alloc(ist_memory_kind kind, uint64_t bytes,
                          ist_driver_memory *out, ist_error *error,
                          ist_driver_queue *queue) {
  Ledger &ledger = device->ledger;
  ist_status s = IST_RESOURCE_EXHAUSTED;
  uint64_t before = ledger.used();
  bool allowed = ledger.take(this, bytes);
  if (allowed) {
    s = device->driverAlloc(kind, bytes, queue, out, error);
    if (!s) {
      ledger.adjust(this, bytes, out->bytes);
      return IST_OK;
    }
    ledger.adjust(this, bytes, 0);
  }
  if (s != IST_RESOURCE_EXHAUSTED || !error)
    return s;
  char users[400], who[100];
  ledger.largest(users, sizeof users);
  std::snprintf(who, sizeof who, "%s%s%.60s", what, *owner ? " of " : "",
                owner);
  if (allowed) // the driver said what was requested and what there is
    return fail(error, s, "%.400s (on %s, for %s%s)", error->message,
                device->name, who, users);
  return fail(error, s,
              "out of memory on %s: %llu bytes requested for %s, %llu left of "
              "this handle's limit of %llu%s; free some, use smaller inputs, "
              "or open the device with a higher limit",
              device->name, ull(bytes), who,
              ull(before < ledger.limit ? ledger.limit - before : 0),
              ull(ledger.limit), users);
}

void Account::free(ist_driver_memory *memory, ist_driver_queue *queue) {
  if (!memory->bytes)
    return;
  device->ledger.adjust(this, memory->bytes, 0);
  device->driverFree(memory, queue);
}
