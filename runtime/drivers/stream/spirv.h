//===- spirv.h - what is told of SPIR-V devices and modules ---------------===//
#ifndef ISTHMUS_DRIVERS_STREAM_SPIRV_H
#define ISTHMUS_DRIVERS_STREAM_SPIRV_H

#include "stream.h"

namespace isthmus::stream {

/// Fails unless `code` is a whole sequence of instructions that ends with a
/// function: compilers trust that.
ist_status checkSpirv(const void *code, size_t size, ist_error *error);

/// "intel.features": what a variant may ask for. `ip` is the device's version
/// as Intel packs it; 0: not known.
void spirvFacts(Device &d, uint32_t ip, bool float16, bool float64,
                uint32_t groupLanes, uint64_t groupBytes);

} // namespace isthmus::stream

#endif // ISTHMUS_DRIVERS_STREAM_SPIRV_H
