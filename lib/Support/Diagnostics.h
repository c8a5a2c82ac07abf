//===- Diagnostics.h - the stable codes of messages ------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_LIB_SUPPORT_DIAGNOSTICS_H
#define ISTHMUS_LIB_SUPPORT_DIAGNOSTICS_H

namespace isthmus {

/// One kind of message: what it means and what to do. Codes are never reused.
struct DiagnosticKind {
  const char *code, *title, *text;
};

/// The kind of "IST-I0101", or null.
const DiagnosticKind *findDiagnostic(const char *code);

} // namespace isthmus

#endif // ISTHMUS_LIB_SUPPORT_DIAGNOSTICS_H
