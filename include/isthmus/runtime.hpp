//===- isthmus/runtime.hpp - owning handles over runtime.h ------*- C++ -*-===//
//
// For C++ callers: handles that release what they own. Everything else is as
// runtime.h says.
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_RUNTIME_HPP
#define ISTHMUS_RUNTIME_HPP

#include "isthmus/runtime.h"

#include <memory>

namespace isthmus {

struct Release {
  void operator()(ist_device *d) const { ist_device_release(d); }
  void operator()(ist_program *p) const { ist_program_release(p); }
  void operator()(ist_session *s) const { ist_session_destroy(s); }
};
using Device = std::unique_ptr<ist_device, Release>;
using Program = std::unique_ptr<ist_program, Release>;
using Session = std::unique_ptr<ist_session, Release>;

} // namespace isthmus

#endif // ISTHMUS_RUNTIME_HPP
