//===- report.h - results for people ---------------------------*- C++ -*-===//
#ifndef ISTHMUS_TOOLS_BENCH_REPORT_H
#define ISTHMUS_TOOLS_BENCH_REPORT_H

#include <nlohmann/json.hpp>

namespace isthmus::tools {

/// Prints what --json would.
void printReport(const nlohmann::json &j);

} // namespace isthmus::tools

#endif // ISTHMUS_TOOLS_BENCH_REPORT_H
