//===- library.cpp --------------------------------------------------------===//
#include "library.h"

#include <cstdio>
#include <dlfcn.h>
#include <pthread.h>

using namespace isthmus;
using namespace isthmus::stream;

namespace {

struct Library {
  const LibraryDesc *desc;
  char *wanted; // what the environment named; null: the usual names
  void *symbols;
  Library *next;
};

pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
Library *libraries;

void *openFirst(const LibraryDesc &desc, const char *wanted, const char **name,
                ist_error *error) {
  const char *const one[] = {wanted, nullptr};
  char tried[300] = "", why[400] = "";
  for (const char *const *n = wanted ? one : desc.names; *n; ++n) {
    if (void *handle = ::dlopen(*n, RTLD_NOW | RTLD_LOCAL)) {
      *name = *n;
      return handle;
    }
    const char *reason = ::dlerror();
    size_t used = std::strlen(tried);
    std::snprintf(tried + used, sizeof tried - used, "%s%s", used ? ", " : "",
                  *n);
    std::snprintf(why, sizeof why, "%s", reason ? reason : "no reason given");
  }
  fail(error, IST_UNAVAILABLE, "driver %s finds no library %s (%s); %s%s%s",
       desc.driver, tried, why, desc.advice, wanted ? ", or correct " : "",
       wanted ? desc.variable : "");
  return nullptr;
}

ist_status load(const LibraryDesc &desc, void *handle, const char *name,
                void *symbols, ist_error *error) {
  for (size_t i = 0; i < desc.symbolCount; ++i) {
    const Symbol &s = desc.symbols[i];
    void *p = ::dlsym(handle, s.name);
    if (!p && s.required)
      return fail(error, IST_UNAVAILABLE,
                  "library '%.200s' lacks %s, which driver %s needs and which "
                  "came with %s; %s",
                  name, s.name, desc.driver, s.since, desc.advice);
    std::memcpy(static_cast<char *>(symbols) + s.offset, &p, sizeof p);
  }
  return IST_OK;
}

} // namespace

ist_status stream::openLibrary(const LibraryDesc &desc, const void **symbols,
                               ist_error *error) {
  const char *wanted = std::getenv(desc.variable);
  if (wanted && !*wanted)
    wanted = nullptr;
  Locked locked(lock);
  for (Library *l = libraries; l; l = l->next)
    if (l->desc == &desc &&
        (wanted ? l->wanted && !std::strcmp(wanted, l->wanted) : !l->wanted)) {
      *symbols = l->symbols;
      return IST_OK;
    }
  const char *name = "";
  void *handle = openFirst(desc, wanted, &name, error);
  if (!handle)
    return IST_UNAVAILABLE;
  Library *l = make<Library>();
  void *table = std::calloc(1, desc.bytes);
  char *copy = wanted ? ::strdup(wanted) : nullptr;
  ist_status s = IST_OK;
  if (!l || !table || (wanted && !copy))
    s = outOfMemory(error, desc.bytes, "a table of symbols");
  if (!s)
    s = load(desc, handle, name, table, error);
  if (s) {
    destroy(l);
    std::free(table);
    std::free(copy);
    ::dlclose(handle);
    return s;
  }
  *l = {&desc, copy, table, libraries};
  libraries = l;
  *symbols = table;
  return IST_OK;
}
