//===- drivers.cpp - built-in drivers, and plug-ins -----------------------===//
#include "drivers.h"

#include <cerrno>
#include <cstdio>
#include <dirent.h>
#include <dlfcn.h>
#include <sys/stat.h>

using namespace isthmus;

#ifdef ISTHMUS_DRIVER_CPU
extern "C" const ist_driver ist_cpu_driver;
#endif
#ifdef ISTHMUS_DRIVER_CUDA
extern "C" const ist_driver ist_cuda_driver;
#endif
#ifdef ISTHMUS_DRIVER_HIP
extern "C" const ist_driver ist_hip_driver;
#endif
#ifdef ISTHMUS_DRIVER_LEVEL_ZERO
extern "C" const ist_driver ist_level_zero_driver;
#endif
#ifdef ISTHMUS_DRIVER_OPENCL
extern "C" const ist_driver ist_opencl_driver;
#endif

namespace {

const ist_driver *const builtin[] = {
#ifdef ISTHMUS_DRIVER_CPU
    &ist_cpu_driver,
#endif
#ifdef ISTHMUS_DRIVER_CUDA
    &ist_cuda_driver,
#endif
#ifdef ISTHMUS_DRIVER_HIP
    &ist_hip_driver,
#endif
#ifdef ISTHMUS_DRIVER_LEVEL_ZERO
    &ist_level_zero_driver,
#endif
#ifdef ISTHMUS_DRIVER_OPENCL
    &ist_opencl_driver,
#endif
    nullptr};

/// Guards all below, but for reading lists from their heads.
pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
Driver *drivers;
BrokenPlugin *broken;
bool pathRead;

/// Readers hold no lock, so an element is whole before it can be seen.
template <typename T> void append(T **head, T *last) {
  while (*head)
    head = &(*head)->next;
  __atomic_store_n(head, last, __ATOMIC_RELEASE);
}

ist_status addDriver(const ist_driver *source, const char *path,
                     ist_error *error) {
  Driver *d = make<Driver>();
  char *copy = path ? ::strdup(path) : nullptr;
  if (!d || (path && !copy)) {
    destroy(d);
    std::free(copy);
    return outOfMemory(error, sizeof *d, "a driver");
  }
  size_t n = source->struct_size < sizeof d->table ? source->struct_size
                                                   : sizeof d->table;
  std::memcpy(&d->table, source, n);
  d->table.struct_size = n;
  d->source = source;
  d->path = copy;
  append(&drivers, d);
  return IST_OK;
}

void addBuiltin() {
  if (!drivers)
    for (const ist_driver *const *d = builtin; *d; ++d)
      addDriver(*d, nullptr, nullptr);
}

/// The first one, or the next after `d`; of a vendor, or of any.
const Driver *known(const char *name, size_t n, const char *vendor = nullptr,
                    const Driver *d = nullptr) {
  for (d = d ? d->after() : __atomic_load_n(&drivers, __ATOMIC_ACQUIRE); d;
       d = d->after())
    if (std::strlen(d->table.name) == n &&
        std::memcmp(d->table.name, name, n) == 0 &&
        (!vendor || std::strcmp(d->table.vendor, vendor) == 0))
      return d;
  return nullptr;
}

#define SLOT(name) {#name, offsetof(ist_driver, name)}
/// What version 1 of the table requires; later slots may be absent.
const struct {
  const char *name;
  size_t offset;
} slots[] = {SLOT(name),
             SLOT(vendor),
             SLOT(formats),
             SLOT(enumerate),
             SLOT(open),
             SLOT(close),
             SLOT(describe),
             SLOT(mem_info),
             SLOT(extension),
             SLOT(alloc),
             SLOT(free),
             SLOT(import),
             SLOT(queue_create),
             SLOT(queue_destroy),
             SLOT(copy),
             SLOT(fill),
             SLOT(launch),
             SLOT(submit),
             SLOT(semaphore_create),
             SLOT(semaphore_destroy),
             SLOT(semaphore_query),
             SLOT(semaphore_signal),
             SLOT(semaphore_wait),
             SLOT(module_load),
             SLOT(module_unload),
             SLOT(kernel_get)};
#undef SLOT

ist_status checkTable(const ist_driver *d, const char *path, ist_error *error) {
  for (const auto &slot : slots) {
    if (d->struct_size < slot.offset + sizeof(void *))
      return fail(error, IST_UNAVAILABLE,
                  "plug-in '%.300s': its table of %zu bytes ends before '%s'; "
                  "build it against this runtime's isthmus/driver.h",
                  path, d->struct_size, slot.name);
    const void *p;
    std::memcpy(&p, reinterpret_cast<const char *>(d) + slot.offset, sizeof p);
    if (!p)
      return fail(error, IST_UNAVAILABLE,
                  "plug-in '%.300s': its table has no '%s', which every driver "
                  "must have",
                  path, slot.name);
  }
  size_t n = std::strlen(d->name);
  if (n == 0 || n > 31 || std::strcspn(d->name, ":/, ") != n)
    return fail(error, IST_UNAVAILABLE,
                "plug-in '%.300s': '%.64s' cannot be a driver's name", path,
                d->name);
  // Plug-ins may share a name for different vendors' code.
  const Driver *other = known(d->name, n);
  if (other && other->path)
    other = known(d->name, n, d->vendor);
  if (other)
    return fail(error, IST_UNAVAILABLE,
                "plug-in '%.300s': there is a driver '%s' already, %s%.300s",
                path, d->name, other->path ? "of " : "in this library",
                other->path ? other->path : "");
  return IST_OK;
}

/// With `optional`, a library without the entry point is passed over.
ist_status loadPlugin(const char *given, bool optional, ist_error *error) {
  char *path = ::realpath(given, nullptr);
  if (!path)
    return fail(error, IST_NOT_FOUND, "plug-in '%.300s' cannot be opened: %s",
                given, std::strerror(errno));
  ist_status s = IST_OK;
  ist_error why = {IST_OK, "no reason given"}; // the entry always gets one
  ist_driver_entry_fn entry = nullptr;
  const ist_driver *table = nullptr;
  void *library = ::dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char *reason = ::dlerror();
    s = fail(error, IST_UNAVAILABLE,
             "plug-in '%.300s' cannot be loaded: %.500s", path,
             reason ? reason : why.message);
  } else if (void *symbol = ::dlsym(library, IST_DRIVER_ENTRY)) {
    std::memcpy(&entry, &symbol, sizeof entry);
  } else if (!optional) {
    s = fail(error, IST_UNAVAILABLE,
             "'%.300s' is not a plug-in: it does not export " IST_DRIVER_ENTRY,
             path);
  }
  if (entry) {
    table = entry(IST_DRIVER_ABI, &why);
    if (!table)
      s = fail(error, IST_UNAVAILABLE,
               "plug-in '%.300s' does not serve this runtime's driver table "
               "(ABI %d): %.500s",
               path, IST_DRIVER_ABI, why.message);
  }
  for (const ist_driver *t = table; t && !s;
       t = IST_HAS(t, ist_driver, next) ? t->next : nullptr) {
    bool again = false;
    for (const Driver *d = drivers; d; d = d->next)
      again |= d->source == t;
    if (again)
      break;
    s = checkTable(t, path, error);
    if (!s)
      s = addDriver(t, path, error);
  }
  // One that gave a table may have started threads; it is left alone.
  if (library && !table)
    ::dlclose(library);
  std::free(path);
  return s;
}

void rememberBroken(const char *path, const ist_error &error) {
  BrokenPlugin *b = make<BrokenPlugin>();
  if (b && !(b->path = ::strdup(path))) {
    destroy(b);
    b = nullptr;
  }
  if (!b)
    return; // without memory to say so there is none for its devices either
  b->error = error;
  append(&broken, b);
}

void loadOrRemember(const char *path, bool optional) {
  ist_error error = {};
  if (loadPlugin(path, optional, &error) != IST_OK)
    rememberBroken(path, error);
}

void loadDirectory(const char *path) {
  dirent **names = nullptr;
  auto isLibrary = [](const dirent *e) {
    size_t n = std::strlen(e->d_name);
    return static_cast<int>(n > 3 && !std::strcmp(e->d_name + n - 3, ".so"));
  };
  int n = ::scandir(path, &names, isLibrary, ::alphasort);
  if (n < 0) {
    ist_error error = {};
    fail(&error, IST_UNAVAILABLE, "plug-in folder '%.300s' cannot be read: %s",
         path, std::strerror(errno));
    rememberBroken(path, error);
  }
  for (int i = 0; i < n; ++i) {
    char file[4096];
    std::snprintf(file, sizeof file, "%s/%s", path, names[i]->d_name);
    loadOrRemember(file, true);
    std::free(names[i]);
  }
  std::free(names);
}

void readPluginPath() {
  if (pathRead)
    return;
  pathRead = true;
  const char *p = std::getenv("ISTHMUS_PLUGIN_PATH");
  while (p && *p) {
    size_t n = std::strcspn(p, ":");
    char *entry = n ? ::strndup(p, n) : nullptr;
    struct stat info;
    if (entry && ::stat(entry, &info) == 0 && S_ISDIR(info.st_mode))
      loadDirectory(entry);
    else if (entry)
      loadOrRemember(entry, false);
    std::free(entry);
    p += n + (p[n] == ':');
  }
}

} // namespace

namespace {

/// More devices of one driver than this have numbers only.
constexpr uint32_t kMostNamed = 64;

/// The device of `d` that `which` (a number, a name, or nothing) means. Not
/// found: IST_OK, and out->driver null.
ist_status findOn(const Driver &d, const char *which, FoundDevice *out,
                  ist_error *error) {
  out->driver = nullptr;
  Array<ist_identity> all;
  if (!all.resize(kMostNamed))
    return outOfMemory(error, kMostNamed * sizeof(ist_identity), "devices");
  uint32_t count = 0;
  if (int s =
          d.table.enumerate(&driverHost, all.data(), kMostNamed, &count, error))
    return static_cast<ist_status>(s);
  uint32_t seen = count < kMostNamed ? count : kMostNamed, index = 0;
  bool named = false;
  for (uint32_t i = 0; i < seen; ++i) {
    all[i].name[sizeof all[i].name - 1] = 0;
    named |= all[i].name[0] != 0;
  }
  if (named) {
    while (index < seen && std::strcmp(all[index].name, which) != 0)
      ++index;
    if (index == seen)
      return IST_OK;
  } else if (*which) {
    char *end;
    unsigned long long number = std::strtoull(which, &end, 10);
    if (*end || *which < '0' || *which > '9' || number >= count)
      return IST_OK;
    index = static_cast<uint32_t>(number);
  } else if (!count) {
    return IST_OK;
  }
  out->driver = &d.table;
  out->index = index;
  deviceName(d.table, index < seen ? &all[index] : nullptr, index, count,
             out->name, sizeof out->name);
  return IST_OK;
}

/// Names what there is instead.
ist_status noDevice(const char *name, size_t n, ist_error *error) {
  char devices[256] = "";
  bool numbered = false, named = false;
  for (const Driver *d = known(name, n); d; d = known(name, n, nullptr, d)) {
    ist_identity all[8] = {};
    uint32_t count = 0;
    ist_error ignored;
    if (d->table.enumerate(&driverHost, all, 8, &count, &ignored))
      continue;
    for (uint32_t i = 0; i < count && i < 8; ++i) {
      size_t used = std::strlen(devices);
      char one[64];
      deviceName(d->table, &all[i], i, count, one, sizeof one);
      (all[i].name[0] ? named : numbered) = true;
      std::snprintf(devices + used, sizeof devices - used, "%s%s",
                    used ? ", " : "", one);
    }
  }
  const char *which = name + n + (name[n] == ':');
  if (numbered && !named &&
      (!*which || which[std::strspn(which, "0123456789")]))
    return fail(error, IST_INVALID_ARGUMENT,
                "device '%.64s' is not written driver:number, as in cpu:0, and "
                "is none of %s",
                name, devices);
  return fail(error, IST_NOT_FOUND,
              "there is no device '%.64s': driver %.*s has %s; see ist-run "
              "--list-devices",
              name, static_cast<int>(n), name, *devices ? devices : "0");
}

} // namespace

void isthmus::deviceName(const ist_driver &driver, const ist_identity *identity,
                         uint32_t index, uint32_t count, char *out,
                         size_t size) {
  if (identity && identity->name[0])
    std::snprintf(out, size, "%s:%s", driver.name, identity->name);
  else
    std::snprintf(out, size, count > 1 ? "%s:%u" : "%s", driver.name, index);
}

ist_status isthmus::findDevice(const char *name, FoundDevice *out,
                               ist_error *error) {
  size_t n = std::strcspn(name, ":");
  const char *which = name + n + (name[n] == ':');
  {
    Locked locked(lock);
    addBuiltin();
  }
  // "cpu:" is a mistake, "cpu" is not.
  bool empty = name[n] == ':' && !*which, any = false;
  const Driver *last = nullptr;
  for (int round = 0; round < 2 && !empty; ++round) {
    const Driver *d = known(name, n, nullptr, last);
    for (; d; d = known(name, n, nullptr, d)) {
      any = true;
      last = d;
      if (ist_status s = findOn(*d, which, out, error))
        return s;
      if (out->driver)
        return IST_OK;
    }
    Locked locked(lock);
    readPluginPath();
  }
  if (any || empty)
    return noDevice(name, n, error);
  char all[256] = "";
  for (const Driver *d = drivers; d; d = d->next) {
    size_t used = std::strlen(all);
    std::snprintf(all + used, sizeof all - used, "%s%s", used ? ", " : "",
                  d->table.name);
  }
  return fail(error, IST_NOT_FOUND,
              "there is no driver for device '%.64s'; this runtime has: %s%s%s",
              name, all, broken ? "; and a plug-in failed: " : "",
              broken ? broken->error.message : "");
}

const Driver *isthmus::allDrivers() {
  Locked locked(lock);
  addBuiltin();
  readPluginPath();
  return drivers;
}

const BrokenPlugin *isthmus::brokenPlugins() {
  return __atomic_load_n(&broken, __ATOMIC_ACQUIRE);
}

const char *isthmus::defaultDriver() {
  return builtin[0] ? builtin[0]->name : "";
}

extern "C" ist_status ist_plugin_load(const char *path, ist_error *error) {
  if (!path)
    return fail(error, IST_INVALID_ARGUMENT, "ist_plugin_load: path is NULL");
  Locked locked(lock);
  addBuiltin();
  return loadPlugin(path, false, error);
}
