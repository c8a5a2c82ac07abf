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

/// A device by its name.
struct FoundDevice {
  const ist_driver *driver;
  uint32_t index;
  char name[64]; // as it is listed
};

/// `name` is "driver", "driver:number" or "driver:name". Plug-ins of
/// ISTHMUS_PLUGIN_PATH are loaded only if no driver known already has it.
ist_status findDevice(const char *name, FoundDevice *out, ist_error *error);

/// What device `index` of `count` is called. Without its number where there is
/// one only.
void deviceName(const ist_driver &driver, const ist_identity *identity,
                uint32_t index, uint32_t count, char *out, size_t size);

/// All drivers, those of this library first; with the plug-ins of
/// ISTHMUS_PLUGIN_PATH. Lists only grow, at their ends.
const Driver *allDrivers();
const BrokenPlugin *brokenPlugins();

/// Of this library's first driver; "" when it was built without any.
const char *defaultDriver();

} // namespace isthmus

#endif // ISTHMUS_RUNTIME_CORE_DRIVERS_H
