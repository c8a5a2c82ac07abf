//===- call_cost.cpp - a process that makes one call, many times ----------===//
//
//   isthmus-call-cost CALLS    calls a function of one kernel CALLS times;
//                              call_cost_test.py counts its instructions
//   isthmus-call-cost          checks that such calls neither allocate nor
//                              enter the kernel
//
//===----------------------------------------------------------------------===//
#include "builder.h"

#include <cstdio>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace isthmus;
using namespace isthmus::test;

static uint64_t allocations = 0;
static bool counting = false;

// Linked with --wrap for each: all of libisthmus' allocations come here.
extern "C" {
void *__real_malloc(size_t);
void *__real_calloc(size_t, size_t);
void *__real_realloc(void *, size_t);
void *__real_aligned_alloc(size_t, size_t);
void *__wrap_malloc(size_t n) {
  allocations += counting;
  return __real_malloc(n);
}
void *__wrap_calloc(size_t n, size_t size) {
  allocations += counting;
  return __real_calloc(n, size);
}
void *__wrap_realloc(void *p, size_t n) {
  allocations += counting;
  return __real_realloc(p, n);
}
void *__wrap_aligned_alloc(size_t alignment, size_t n) {
  allocations += counting;
  return __real_aligned_alloc(alignment, n);
}
}

namespace {

std::string oneKernel() {
  ArtifactBuilder a;
  auto f = a.function("main");
  uint32_t n = f.symbol("n", 1, 1000);
  uint32_t x = f.input("x", fb::DType::f32, {-1});
  uint32_t y = f.output("y", fb::DType::f32, {-1});
  uint32_t out = f.buffer(Op::alloc_output, y, f.bytes(n, 4));
  f.launch("scale_f32", f.groups(n), {x, out}, {n, f.constant(3)});
  return a.bytes();
}

/// From here on only what a process ends with. A clock that the kernel's
/// shared page does not serve is not the runtime's doing.
bool forbidSystemCalls() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clock_gettime, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)};
  sock_fprog program = {sizeof filter / sizeof *filter, filter};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

} // namespace

int main(int argc, char **argv) {
  std::string bytes = oneKernel();
  Program p = load(bytes);
  Session s = session(p);
  alignas(64) static float x[16], y[16];
  ist_tensor in = tensor(std::vector<float>(16)), out = in;
  in.data = x;
  out.data = y;
  auto once = [&] {
    return ist_call(s.get(), "main", &in, 1, &out, 1, nullptr) == IST_OK;
  };
  if (argc > 1) {
    for (int i = std::atoi(argv[1]); i > 0; --i)
      if (!once())
        return 1;
    return 0;
  }
  for (int i = 0; i < 4; ++i)
    if (!once())
      return 1;
  counting = true;
  for (int i = 0; i < 100; ++i)
    once();
  counting = false;
  std::printf("allocations in 100 calls: %llu\n",
              static_cast<unsigned long long>(allocations));
  if (allocations)
    return 1;
  std::fflush(stdout);
  pid_t child = ::fork();
  if (child == 0) {
    if (!forbidSystemCalls())
      ::syscall(SYS_exit_group, 77);
    for (int i = 0; i < 100; ++i)
      if (!once())
        ::syscall(SYS_exit_group, 1);
    ::syscall(SYS_exit_group, 0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
    std::printf("skipped: no seccomp here\n");
    return 0;
  }
  std::printf("system calls: %s\n",
              WIFEXITED(status) && WEXITSTATUS(status) == 0 ? "none" : "some");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
