//===- roofline.h - what this processor can do at most ----------*- C++ -*-===//
#ifndef ISTHMUS_TOOLS_BENCH_ROOFLINE_H
#define ISTHMUS_TOOLS_BENCH_ROOFLINE_H

#include <string>

namespace isthmus::tools {

/// Zero where it could not be measured.
struct Roofline {
  double flops = 0;    // a second: f32 multiply-adds in registers, two each
  double bytes = 0;    // a second, to and from memory
  std::string vectors; // which the flops are of
};

/// On `threads` threads; takes about half a second.
Roofline measureRoofline(unsigned threads);

} // namespace isthmus::tools

#endif // ISTHMUS_TOOLS_BENCH_ROOFLINE_H
