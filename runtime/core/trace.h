//===- trace.h - ISTHMUS_TRACE=file.json ----------------------------------===//
//
// What happened when, as Chrome's trace events, which Perfetto reads. Each host
// thread is a track and so is each queue: calls and waits are shown on the
// thread, commands on their queue, at the time they were given to it.
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_RUNTIME_CORE_TRACE_H
#define ISTHMUS_RUNTIME_CORE_TRACE_H

#include "support.h"

namespace isthmus {

/// Whether ISTHMUS_TRACE is set; the file is opened at the first question.
bool tracing();

/// A span that ends now. `track` is a queue, or null for this thread. `detail`
/// and `nodes` may be null.
void traceSpan(const char *category, const char *name, uint64_t beginNs,
               const void *track, const char *detail, const char *nodes);
void traceTrackName(const void *track, const char *name);

} // namespace isthmus

#endif // ISTHMUS_RUNTIME_CORE_TRACE_H
