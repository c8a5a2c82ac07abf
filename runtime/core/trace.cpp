//===- trace.cpp - ISTHMUS_TRACE=file.json --------------------------------===//
//
// The file is a JSON array that is whole whenever we are not writing: events
// are collected, and each write overwrites the closing bracket.
//
//===----------------------------------------------------------------------===//
#include "trace.h"

#include <cstdio>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace isthmus;

namespace {

constexpr size_t kBuffer = 1 << 16;

enum : int { kUnknown, kOff, kOn };
int state; // atomic

pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
// Of the lock:
int file = -1;
off_t written; // without the closing bracket
char buffer[kBuffer];
size_t used;
long process;

/// With what closes the array; that is not counted.
void flush() {
  if (file < 0 || ::getpid() != process) // a child does not write its parent's
    return;
  static const char end[] = "\n]\n";
  size_t n = used, done = 0;
  std::memcpy(buffer + n, end, sizeof end - 1);
  while (done < n + sizeof end - 1) {
    ssize_t k = ::pwrite(file, buffer + done, n + sizeof end - 1 - done,
                         written + static_cast<off_t>(done));
    if (k <= 0) {
      // Such as a full disk.
      std::fprintf(stderr, "isthmus: ISTHMUS_TRACE: the trace ends here: %m\n");
      ::close(file);
      file = -1;
      return;
    }
    done += static_cast<size_t>(k);
  }
  written += static_cast<off_t>(n);
  used = 0;
}

void atExit() {
  Locked locked(lock);
  flush();
}

/// `text` as JSON may have it; what is not UTF-8 becomes '?'.
size_t escape(const char *text, char *out, size_t room) {
  size_t n = 0;
  auto p = reinterpret_cast<const unsigned char *>(text);
  while (*p && n + 8 < room) {
    unsigned char c = *p;
    int more = c < 0x80                ? 0
               : c >= 0xc2 && c < 0xe0 ? 1
               : c >= 0xe0 && c < 0xf0 ? 2
               : c >= 0xf0 && c < 0xf5 ? 3
                                       : -1;
    for (int i = 1; i <= more; ++i)
      if ((p[i] & 0xc0) != 0x80)
        more = -1;
    // Overlong forms, surrogates and what lies above Unicode's end.
    if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f) ||
        (c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] > 0x8f))
      more = -1;
    if (more < 0) {
      out[n++] = '?';
      ++p;
    } else if (c == '"' || c == '\\') {
      out[n++] = '\\';
      out[n++] = static_cast<char>(c);
      ++p;
    } else if (c < 0x20) {
      n += static_cast<size_t>(std::snprintf(out + n, 7, "\\u%04x", c));
      ++p;
    } else {
      for (int i = 0; i <= more; ++i)
        out[n++] = static_cast<char>(*p++);
    }
  }
  out[n] = 0;
  return n;
}

void append(const char *event, size_t n) {
  Locked locked(lock);
  if (file < 0 || ::getpid() != process)
    return;
  if (used + n + 8 > kBuffer)
    flush();
  buffer[used++] = ',';
  buffer[used++] = '\n';
  std::memcpy(buffer + used, event, n);
  used += n;
}

long threadId() { return ::syscall(SYS_gettid); }

unsigned long long trackOf(const void *track) {
  // Beyond any thread's id, and exact in a double.
  return track ? (reinterpret_cast<uintptr_t>(track) >> 4 & 0xffffffff) +
                     (1ull << 32)
               : ull(threadId());
}

bool begin() {
  Locked locked(lock);
  int now = __atomic_load_n(&state, __ATOMIC_RELAXED);
  if (now != kUnknown)
    return now == kOn;
  const char *path = std::getenv("ISTHMUS_TRACE");
  now = kOff;
  if (path && *path) {
    file = ::open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0) {
      std::fprintf(stderr, "isthmus: ISTHMUS_TRACE: cannot write '%s': %m\n",
                   path);
    } else {
      now = kOn;
      process = static_cast<long>(::getpid());
      used = static_cast<size_t>(std::snprintf(
          buffer, 200,
          "[\n{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":%ld,\"tid\":0,"
          "\"args\":{\"name\":\"isthmus %s\"}}",
          process, ist_version()));
      flush();
      std::atexit(atExit);
    }
  }
  __atomic_store_n(&state, now, __ATOMIC_RELEASE);
  return now == kOn;
}

} // namespace

bool isthmus::tracing() {
  int now = __atomic_load_n(&state, __ATOMIC_ACQUIRE);
  return now == kUnknown ? begin() : now == kOn;
}

void isthmus::traceSpan(const char *category, const char *name,
                        uint64_t beginNs, const void *track, const char *detail,
                        const char *nodes) {
  uint64_t end = nowNs();
  char e[4096], text[1400];
  size_t n = 0, room = sizeof e;
  auto put = [&](const char *key, const char *value, size_t most,
                 const char *after) {
    escape(value, text, most);
    n += static_cast<size_t>(
        std::snprintf(e + n, room - n, "\"%s\":\"%s\"%s", key, text, after));
  };
  e[n++] = '{';
  put("name", name, 300, ",");
  put("cat", category, 40, ",");
  n += static_cast<size_t>(std::snprintf(
      e + n, room - n,
      "\"ph\":\"X\",\"pid\":%ld,\"tid\":%llu,\"ts\":%llu.%03u,"
      "\"dur\":%llu.%03u,\"args\":{",
      process, trackOf(track), ull(beginNs / 1000),
      static_cast<unsigned>(beginNs % 1000), ull((end - beginNs) / 1000),
      static_cast<unsigned>((end - beginNs) % 1000)));
  if (detail)
    put("detail", detail, 700, nodes ? "," : "");
  if (nodes)
    put("nodes", nodes, sizeof text, "");
  n += static_cast<size_t>(std::snprintf(e + n, room - n, "}}"));
  append(e, n);
}

void isthmus::traceTrackName(const void *track, const char *name) {
  char e[400], text[200];
  escape(name, text, sizeof text);
  int n = std::snprintf(e, sizeof e,
                        "{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":%ld,"
                        "\"tid\":%llu,\"args\":{\"name\":\"%s\"}}",
                        process, trackOf(track), text);
  append(e, static_cast<size_t>(n));
}
