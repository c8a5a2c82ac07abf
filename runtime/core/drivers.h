//===- drivers.h - the drivers that the process knows ---------------------===//
#ifndef ISTHMUS_RUNTIME_CORE_DRIVERS_H
#define ISTHMUS_RUNTIME_CORE_DRIVERS_H

#include "isthmus/driver.h"
#include "support.h"

namespace isthmus {

/// What the core offers to drivers.
extern const ist_host driverHost;

/// Plug-ins are for ever: nobody can tell whether their code is still in use.
struct Driver {
  /// A copy, with null for slots that the plug-in's table does not reach.
  ist_driver table;
  const ist_driver *source;
  const char *path; // of the plug-in; null for drivers of this library
  Driver *next;     // atomic: lists grow while others read them
  const Driver *after() const {
    return __atomic_load_n(&next, __ATOMIC_ACQUIRE);
  }
};

/// A file of ISTHMUS_PLUGIN_PATH that is no driver's, and why.
struct BrokenPlugin {
  char *path;
  ist_error error;
  BrokenPlugin *next; // atomic
  const BrokenPlugin *after() const {
    return __atomic_load_n(&next, __ATOMIC_ACQUIRE);
  }
};

/// The driver called name[0, n); `whole` is for the message. Plug-ins of
/// ISTHMUS_PLUGIN_PATH are loaded only if no driver known already is meant.
ist_status findDriver(const char *name, size_t n, const char *whole,
                      const ist_driver **out, ist_error *error);

/// All drivers, those of this library first; with the plug-ins of
/// ISTHMUS_PLUGIN_PATH. Lists only grow, at their ends.
const Driver *allDrivers();
const BrokenPlugin *brokenPlugins();

/// Of this library's first driver; "" when it was built without any.
const char *defaultDriver();

} // namespace isthmus

#endif // ISTHMUS_RUNTIME_CORE_DRIVERS_H
