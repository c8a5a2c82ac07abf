//===- KernelCache.h - kernels that were compiled before -------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_LIB_PIPELINES_KERNELCACHE_H
#define ISTHMUS_LIB_PIPELINES_KERNELCACHE_H

#include "targets/Target.h"

#include <atomic>
#include <mutex>
#include <optional>

namespace isthmus {

/// Compiled kernels in `$ISTHMUS_CACHE_DIR/kernels`, one file each, named by a
/// hash of all that decides its bytes: the kernel's text, the target and its
/// flags, and the compiler's own program file and LLVM library. So an entry
/// never gets stale; deleting any is safe. Thread safe. Without the variable
/// there is no cache.
class KernelCache {
public:
  /// `warnings` gets one line when the directory cannot be used; then compiling
  /// goes on without it.
  KernelCache(const TargetInfo &info, llvm::raw_ostream &warnings);

  bool enabled() const { return !folder.empty(); }
  /// The object of a kernel whose printed form is `text`, if it is here and
  /// whole.
  std::optional<KernelObject> find(llvm::StringRef text);
  /// Keeps it, as one step: a reader sees all of it or nothing.
  void keep(llvm::StringRef text, const KernelObject &object);
  unsigned found() const { return hits; }

private:
  std::string pathOf(llvm::StringRef text) const;
  void warn(const llvm::Twine &text);

  std::string folder; // empty: off
  std::string key;    // of all but the text
  llvm::raw_ostream &warnings;
  std::mutex mutex;
  bool warned = false;
  std::atomic<unsigned> hits{0};
};

} // namespace isthmus

#endif // ISTHMUS_LIB_PIPELINES_KERNELCACHE_H
