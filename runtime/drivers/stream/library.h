//===- library.h - vendors' libraries, opened by name at run time ---------===//
#ifndef ISTHMUS_DRIVERS_STREAM_LIBRARY_H
#define ISTHMUS_DRIVERS_STREAM_LIBRARY_H

#include "support.h"

#include <cstddef>

namespace isthmus::stream {

/// A row of a symbol table.
struct Symbol {
  const char *name; // as exported
  bool required;
  const char *since; // the vendor's version that brought it
  size_t offset;     // of its pointer in the struct of symbols
};

struct LibraryDesc {
  const char *driver;       // "cuda"
  const char *variable;     // of the environment: names the library instead
  const char *const *names; // tried in turn; ended by null
  const char *advice;       // what to do when there is none
  const Symbol *symbols;
  size_t symbolCount;
  size_t bytes; // of the struct of symbols
};

/// The struct of symbols of the library that `desc` and the environment name.
/// Opened once for each name and never closed: vendors' libraries do not like
/// that. UNAVAILABLE: no such library, or one that lacks a symbol.
ist_status openLibrary(const LibraryDesc &desc, const void **symbols,
                       ist_error *error);

} // namespace isthmus::stream

#endif // ISTHMUS_DRIVERS_STREAM_LIBRARY_H
