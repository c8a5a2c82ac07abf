//===- drivers.cpp - the drivers in this library
//---------------------------===//
#include "device.h"

#ifdef ISTHMUS_DRIVER_CPU
extern "C" const ist_driver ist_cpu_driver;
#endif

const ist_driver *const ist_drivers[] = {
#ifdef ISTHMUS_DRIVER_CPU
    &ist_cpu_driver,
#endif
    nullptr};
