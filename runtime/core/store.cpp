//===- store.cpp - a device's weights, held once --------------------------===//
#include "store.h"
#include "device.h"

#include <cstdio>
#include <sys/mman.h>

using namespace isthmus;

namespace {

uint64_t mix(uint64_t v) {
  v ^= v >> 32;
  v *= 0xd6e8feb86659fd93;
  v ^= v >> 29;
  v *= 0xa0761d6478bd642f;
  return v ^ v >> 32;
}

uint64_t rotated(uint64_t v, int by) { return v << by | v >> (64 - by); }

} // namespace

void Hash::add(const void *data, uint64_t bytes) {
  const char *p = static_cast<const char *>(data);
  auto step = [this](int lane, uint64_t word) {
    lanes[lane] =
        rotated((lanes[lane] ^ word) * 0x9fb21c651e98df25, 29) + 0x3c6ef372;
  };
  uint64_t n = bytes, word;
  for (; n >= 32; n -= 32, p += 32)
    for (int lane = 0; lane < 4; ++lane) {
      std::memcpy(&word, p + 8 * lane, 8);
      step(lane, word);
    }
  for (int lane = 0; n; lane = (lane + 1) & 3) {
    uint64_t k = n < 8 ? n : 8;
    word = 0;
    std::memcpy(&word, p, k);
    step(lane, word);
    p += k;
    n -= k;
  }
  // Where one addition ends and the next begins counts too.
  total += bytes;
  step(3, total);
}

Hash::Value Hash::value() const {
  uint64_t a = mix(lanes[0] + rotated(lanes[1], 17));
  uint64_t b = mix(lanes[2] + rotated(lanes[3], 41));
  a = mix(a ^ b ^ total);
  return {a, mix(b + rotated(a, 23) + lanes[1])};
}

Holder *Store::holder(const char *model) {
  char name[sizeof Holder::model];
  std::snprintf(name, sizeof name, "%s", *model ? model : "a nameless model");
  for (Holder *h = holders; h; h = h->next)
    if (std::strcmp(h->model, name) == 0) {
      ++h->references;
      return h;
    }
  Holder *h = make<Holder>();
  if (!h)
    return nullptr;
  std::memcpy(h->model, name, sizeof name);
  h->account.open(device, "the weights", h->model);
  h->references = 1;
  h->next = holders;
  return holders = h;
}

Stored *Store::find(const Hash::Value &key) {
  Locked locked(lock);
  for (Stored *s = all; s; s = s->next)
    if (s->key == key) {
      ++s->references;
      return s;
    }
  return nullptr;
}

ist_status Store::begin(const Hash::Value &key, const char *model, size_t parts,
                        Stored **out, ist_error *error) {
  Stored *s = make<Stored>();
  if (s && s->parts.resize(parts)) {
    Locked locked(lock);
    s->holder = holder(model);
  }
  if (!s || !s->holder) {
    destroy(s);
    return outOfMemory(error, sizeof *s + parts * sizeof(Stored::Part),
                       "weights");
  }
  s->key = key;
  *out = s;
  return IST_OK;
}

ist_status Store::alloc(Stored *stored, size_t part, uint64_t bytes,
                        ist_error *error) {
  if (ist_status s = stored->holder->account.alloc(
          IST_MEMORY_KIND_DEVICE, bytes, &stored->parts[part].memory, error))
    return s;
  stored->parts[part].bytes = bytes;
  return IST_OK;
}

Stored *Store::publish(Stored *stored) {
  Stored *theirs = nullptr;
  {
    Locked locked(lock);
    for (Stored *s = all; s && !theirs; s = s->next)
      if (s->key == stored->key)
        theirs = s;
    if (!theirs) {
      stored->next = all;
      return all = stored;
    }
    ++theirs->references;
  }
  destroyStored(stored);
  return theirs;
}

void Store::release(Stored *stored) {
  if (!stored)
    return;
  {
    Locked locked(lock);
    if (--stored->references)
      return;
    for (Stored **p = &all; *p; p = &(*p)->next)
      if (*p == stored) {
        *p = stored->next;
        break;
      }
  }
  destroyStored(stored);
}

void Store::destroyStored(Stored *stored) {
  for (Stored::Part &part : stored->parts) {
    if (!part.imported) {
      stored->holder->account.free(&part.memory);
      continue;
    }
    Imported m;
    static_cast<ist_driver_memory &>(m) = part.memory;
    device->free(&m);
  }
  if (stored->mapping)
    ::munmap(stored->mapping, stored->mappingBytes);
  {
    Locked locked(lock);
    Holder *h = stored->holder;
    if (--h->references == 0) {
      Holder **p = &holders;
      while (*p != h)
        p = &(*p)->next;
      *p = h->next;
      destroy(h);
    }
  }
  destroy(stored);
}
