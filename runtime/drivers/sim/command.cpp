//===- command.cpp - checks and runs one command --------------------------===//
#include "backend.h"

#include <cstdio>

using namespace isthmus;
using namespace isthmus::sim;

namespace {

template <typename T> bool assign(Array<T> &to, const Array<T> &from) {
  to.clear();
  if (!to.resize(from.size()))
    return false;
  for (size_t i = 0; i < from.size(); ++i)
    to[i] = from[i];
  return true;
}

} // namespace

const char *sim::kindName(Kind kind) {
  switch (kind) {
  case Kind::copy:
    return "copy";
  case Kind::fill:
    return "fill";
  case Kind::launch:
    return "launch";
  case Kind::replay:
    return "replay";
  case Kind::submit:
    return "submit";
  }
  return "?";
}

Command::~Command() {
  for (Command *c : commands)
    destroy(c);
}

ist_status Command::hold(ist_driver_device &device, uint64_t address,
                         uint64_t size, bool write, const char *what,
                         Block **out, ist_error *error) {
  Block *b = device.find(address, size);
  if (!b)
    return device.breach(error,
                         "%s: 0x%llx and the %llu bytes from there are not in "
                         "one live allocation or import%s",
                         what, ull(address), ull(size),
                         address < device.nextAddress &&
                                 address >= kFirstAddress
                             ? " (freed, or the end of one)"
                             : "");
  if (write && b->readOnly)
    return device.breach(error, "%s writes to 0x%llx, imported as read-only",
                         what, ull(address));
  if (out)
    *out = b;
  for (const Block *other : held)
    if (other == b)
      return IST_OK;
  if (!held.push(b))
    return outOfMemory(error, sizeof b, "a command");
  ++b->pending;
  return IST_OK;
}

ist_status Command::holdLaunch(ist_driver_device &device, ist_error *error) {
  char what[160];
  std::snprintf(what, sizeof what, "launch of '%.100s'", kernel->name);
  for (const ist_range &r : ranges) {
    if (r.bytes == 0 || r.access < IST_ACCESS_READ ||
        r.access > IST_ACCESS_READWRITE || r.reserved)
      return device.breach(error, "%s: a range is not filled in", what);
    if (ist_status s = hold(device, r.address, r.bytes,
                            r.access != IST_ACCESS_READ, what, nullptr, error))
      return s;
  }
  for (const ist_arg &a : kernel->args) {
    uint64_t address;
    if (a.kind != IST_ARG_ADDRESS)
      continue;
    std::memcpy(&address, reinterpret_cast<char *>(args.data()) + a.offset, 8);
    if (!isNothing(address))
      if (ist_status s = hold(device, address, 0, false, what, nullptr, error))
        return s;
  }
  if (kernel->module->unloaded)
    return device.breach(error, "%s: its module was unloaded", what);
  ++kernel->module->held;
  holdsModule = true;
  return IST_OK;
}

ist_status Command::resolve(ist_driver_device &device, ist_error *error) {
  ist_status s = IST_OK;
  switch (kind) {
  case Kind::copy: {
    Block *t = nullptr, *f = nullptr;
    s = hold(device, to, bytes, true, "copy's target", &t, error);
    if (!s)
      s = hold(device, from, bytes, false, "copy's source", &f, error);
    if (!s) {
      const uint8_t *a = t->host + (to - t->address),
                    *b = f->host + (from - f->address);
      if (a < b + bytes && b < a + bytes)
        s = device.breach(error,
                          "copy of %llu bytes from 0x%llx to 0x%llx: they "
                          "overlap",
                          ull(bytes), ull(from), ull(to));
    }
    break;
  }
  case Kind::fill:
    s = hold(device, to, bytes, true, "fill", nullptr, error);
    break;
  case Kind::launch:
    s = holdLaunch(device, error);
    break;
  case Kind::replay:
    for (Command *c : commands)
      if (!s)
        s = c->resolve(device, error);
    break;
  case Kind::submit:
    break;
  }
  if (s)
    unholdAll(device);
  return s;
}

void Command::unholdAll(ist_driver_device &device) {
  for (Block *b : held)
    device.unhold(b);
  held.clear();
  if (holdsModule)
    unhold(kernel->module);
  holdsModule = false;
  for (Command *c : commands)
    c->unholdAll(device);
}

uint8_t *Command::translate(uint64_t address) const {
  for (const Block *b : held)
    if (address >= b->address && address - b->address <= b->bytes)
      return b->host + (address - b->address);
  return nullptr;
}

ist_status Command::run(ist_error *error) {
  if (kind == Kind::replay) {
    for (Command *c : commands)
      if (ist_status s = c->run(error))
        return s;
    return IST_OK;
  }
  if (ist_status s = injectAtRun(
          kind == Kind::launch ? kernel->name : kindName(kind), error))
    return s;
  if (kind == Kind::copy) {
    std::memcpy(translate(to), translate(from), bytes);
    return IST_OK;
  }
  if (kind == Kind::fill) {
    std::memset(translate(to), value, bytes);
    return IST_OK;
  }
  return backend::run(*this, error);
}

Command *Command::clone() const {
  Command *c = make<Command>();
  if (!c)
    return nullptr;
  c->kind = kind;
  c->value = value;
  c->to = to;
  c->from = from;
  c->bytes = bytes;
  c->kernel = kernel;
  c->grid = grid;
  c->dynamicShared = dynamicShared;
  if (assign(c->args, args) && assign(c->ranges, ranges) &&
      assign(c->rangeArgs, rangeArgs))
    return c;
  destroy(c);
  return nullptr;
}

ist_status Command::patch(ist_driver_device &device, const ist_patch &p,
                          ist_error *error) {
  if (p.field == IST_PATCH_TO || p.field == IST_PATCH_FROM) {
    bool fits = p.field == IST_PATCH_TO
                    ? kind == Kind::copy || kind == Kind::fill
                    : kind == Kind::copy;
    if (!fits || p.size != 8)
      return device.breach(error, "a patch of %u bytes does not fit the %s",
                           p.size, kindName(kind));
    std::memcpy(p.field == IST_PATCH_TO ? &to : &from, p.data, 8);
    return IST_OK;
  }
  if (p.field != IST_PATCH_ARGS || kind != Kind::launch ||
      p.offset > kernel->argsBytes || p.size > kernel->argsBytes - p.offset)
    return device.breach(error, "a patch of %u bytes at %u does not fit the %s",
                         p.size, p.offset, kindName(kind));
  std::memcpy(reinterpret_cast<char *>(args.data()) + p.offset, p.data, p.size);
  // What a range describes moves with the argument that points to it.
  for (size_t i = 0; i < ranges.size(); ++i)
    if (rangeArgs[i] >= 0)
      std::memcpy(&ranges[i].address,
                  reinterpret_cast<char *>(args.data()) + rangeArgs[i], 8);
  return IST_OK;
}
