/* What version 1 of the driver table uses of isthmus/runtime.h. */
#ifndef ISTHMUS_RUNTIME_H
#define ISTHMUS_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

typedef enum ist_status {
  IST_OK = 0,
  IST_INVALID_ARGUMENT = 1,
  IST_NOT_FOUND = 2,
  IST_UNAVAILABLE = 3,
  IST_RESOURCE_EXHAUSTED = 4,
  IST_DATA_LOSS = 5,
  IST_UNIMPLEMENTED = 6,
  IST_ABORTED = 7,
  IST_DEADLINE_EXCEEDED = 8,
  IST_INTERNAL = 9,
  IST_DEVICE_LOST = 10
} ist_status;

typedef struct ist_error {
  ist_status code;
  char message[1020];
} ist_error;

typedef enum ist_access {
  IST_ACCESS_NONE,
  IST_ACCESS_READ,
  IST_ACCESS_WRITE,
  IST_ACCESS_READWRITE
} ist_access;

#endif /* ISTHMUS_RUNTIME_H */
