//===- programs.h - artifacts over the suite's kernels --------------------===//
//
// Random programs, and what they compute, worked out on the host. All values
// are u32 (a dtype i32 would say the same bytes), so results are equal to the
// bit or wrong.
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_RUNTIME_CTS_PROGRAMS_H
#define ISTHMUS_RUNTIME_CTS_PROGRAMS_H

#include <cstdint>
#include <string>
#include <vector>

namespace isthmus::cts {

struct Context;

using Values = std::vector<uint32_t>;

/// Elements of the weight: the most that symbol n is.
constexpr uint32_t kMostElements = 4096;

/// Command i makes value i + 4 of those before it; 0 to 3 are the inputs x and
/// y, the weight, and a derived weight, which `init` makes: 3 * weight + 1.
struct Step {
  enum Op { add, scale, copy, fill } op;
  uint32_t a, b; // values
  uint32_t k;    // scale's factor; fill's byte
};

/// A straight function z(x, y): its steps' last value.
struct Straight {
  Straight(uint32_t commands, uint32_t seed);
  Values run(const Values &x, const Values &y, const Values &weight) const;
  std::vector<Step> steps;
};

/// An artifact with these functions, all of u32[n], n in 1..kMostElements:
///   f0, f1, ...   z(x, y), straight
///   state         s += x; s is inout
///   loop          z(x): x[0] mod 5 times z = 3z + 1; a host wait before
struct Artifact {
  Artifact(const Context &context, const std::vector<Straight> &functions,
           uint32_t weightSeed);
  std::string bytes;
  Values weight;
};
Values loopOf(const Values &x);

} // namespace isthmus::cts

#endif // ISTHMUS_RUNTIME_CTS_PROGRAMS_H
