//===- support.cpp --------------------------------------------------------===//
#include "support.h"

#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <ctime>

using namespace isthmus;

ist_status isthmus::fail(ist_error *error, ist_status code, const char *format,
                         ...) {
  if (error) {
    error->code = code;
    // The arguments may point into the record that is being filled.
    char message[sizeof error->message];
    va_list args;
    va_start(args, format);
    std::vsnprintf(message, sizeof message, format, args);
    va_end(args);
    std::memcpy(error->message, message, sizeof message);
  }
  return code;
}

ist_status isthmus::readStruct(const void *given, void *known, size_t size,
                               const char *type, ist_error *error) {
  size_t has;
  std::memcpy(&has, given, sizeof has);
  const char *p = static_cast<const char *>(given);
  if (has < sizeof has)
    return fail(error, IST_INVALID_ARGUMENT,
                "%s: struct_size is %zu; begin with the _INIT value", type,
                has);
  for (size_t i = size; i < has; ++i)
    if (p[i])
      return fail(error, IST_UNIMPLEMENTED,
                  "%s: a member at byte %zu is not known to this runtime, "
                  "version %s; use a newer one",
                  type, i, ist_version());
  std::memcpy(static_cast<char *>(known) + sizeof has, p + sizeof has,
              (has < size ? has : size) - sizeof has);
  return IST_OK;
}

uint64_t isthmus::nowNs() {
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1000000000u +
         static_cast<uint64_t>(t.tv_nsec);
}

bool isthmus::tensorBytes(ist_dtype dtype, const int64_t *dims, int32_t rank,
                          uint64_t *bytes) {
  int64_t n = static_cast<int64_t>(ist_dtype_size(dtype));
  bool zero = false;
  for (int32_t i = 0; i < rank; ++i) {
    if (dims[i] < 0)
      return false;
    if (dims[i] == 0)
      zero = true;
    else if (__builtin_mul_overflow(n, dims[i], &n))
      return false;
  }
  *bytes = zero ? 0 : static_cast<uint64_t>(n);
  return true;
}

extern "C" {

const char *ist_version(void) { return "0.1.0"; }

const char *ist_status_name(ist_status status) {
  static const char *const names[] = {"OK",
                                      "INVALID_ARGUMENT",
                                      "NOT_FOUND",
                                      "UNAVAILABLE",
                                      "RESOURCE_EXHAUSTED",
                                      "DATA_LOSS",
                                      "UNIMPLEMENTED",
                                      "ABORTED",
                                      "DEADLINE_EXCEEDED",
                                      "INTERNAL",
                                      "DEVICE_LOST"};
  unsigned i = static_cast<unsigned>(status);
  return i < sizeof names / sizeof *names ? names[i] : "UNKNOWN";
}

static const struct {
  const char *name;
  size_t size;
} dtypes[] = {{"f32", 4}, {"f64", 8}, {"f16", 2}, {"bf16", 2}, {"i8", 1},
              {"i16", 2}, {"i32", 4}, {"i64", 8}, {"u8", 1},   {"u16", 2},
              {"u32", 4}, {"u64", 8}, {"i1", 1}};

const char *ist_dtype_name(ist_dtype dtype) {
  unsigned i = static_cast<unsigned>(dtype);
  return i < sizeof dtypes / sizeof *dtypes ? dtypes[i].name : nullptr;
}

size_t ist_dtype_size(ist_dtype dtype) {
  unsigned i = static_cast<unsigned>(dtype);
  return i < sizeof dtypes / sizeof *dtypes ? dtypes[i].size : 0;
}
}

int isthmus::startThread(pthread_t *thread, void *(*run)(void *),
                         void *argument) {
  sigset_t all, old;
  sigfillset(&all);
  const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT};
  for (int own : faults)
    sigdelset(&all, own);
  ::pthread_sigmask(SIG_SETMASK, &all, &old);
  int code = ::pthread_create(thread, nullptr, run, argument);
  ::pthread_sigmask(SIG_SETMASK, &old, nullptr);
  return code;
}
