//===- facts.h - what this processor is -----------------------------------===//
#ifndef ISTHMUS_DRIVERS_CPU_FACTS_H
#define ISTHMUS_DRIVERS_CPU_FACTS_H

#include "isthmus/driver.h"

namespace isthmus::cpu {

struct Facts {
  ist_fact facts[8];
  size_t count = 0;
  char summary[128];
  char features[1024];
  char threads[16], l1[24], l2[24], l3[24];
};

/// `threads`: how many the driver will use.
void describe(unsigned threads, Facts *out);

} // namespace isthmus::cpu

#endif // ISTHMUS_DRIVERS_CPU_FACTS_H
