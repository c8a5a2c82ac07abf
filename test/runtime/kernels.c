// Kernels for the runtime's tests: no imports, as the compiler makes them.
// Entry: void k(const uint64_t *args, uint64_t begin, uint64_t end).
typedef unsigned long uint64_t;
typedef unsigned int uint32_t;
typedef long int64_t;
#define KERNEL(name)                                                           \
  void name(const uint64_t *args, uint64_t begin, uint64_t end)
#define EACH(i, n) for (uint64_t i = begin * 64; i < end * 64 && i < (n); ++i)

// y = a + b: a, b, y, n; 64 elements a workgroup
KERNEL(add_f32) {
  const float *a = (const float *)args[0], *b = (const float *)args[1];
  float *y = (float *)args[2];
  EACH(i, args[3]) y[i] = a[i] + b[i];
}

// y = k * x: x, y, n, k
KERNEL(scale_f32) {
  const float *x = (const float *)args[0];
  float *y = (float *)args[1];
  EACH(i, args[2]) y[i] = (float)(int64_t)args[3] * x[i];
}

// y = x + 1, in i64: x, y, n
KERNEL(inc_i64) {
  const int64_t *x = (const int64_t *)args[0];
  int64_t *y = (int64_t *)args[1];
  EACH(i, args[2]) y[i] = x[i] + 1;
}

// count[0] = how many of x are not zero; indices follow, i64: x, n, count, y
KERNEL(nonzero_f32) {
  const float *x = (const float *)args[0];
  int64_t *count = (int64_t *)args[2], *y = (int64_t *)args[3], k = 0;
  for (uint64_t i = 0; i < args[1]; ++i)
    if (x[i] != 0)
      y[k++] = (int64_t)i;
  *count = k;
}

// y[i] = x[index[i]]: x, n, index, y, m, error
KERNEL(gather_f32) {
  const float *x = (const float *)args[0];
  const int64_t *index = (const int64_t *)args[2];
  float *y = (float *)args[3];
  uint32_t *error = (uint32_t *)args[5];
  EACH(i, args[4]) {
    int64_t j = index[i];
    if (j < 0 || j >= (int64_t)args[1]) {
      *error = 2;
      j = 0;
    }
    y[i] = x[j];
  }
}

// Reaches its table through a pointer, for a relative relocation: y, n
static const float ten[2] = {10, 20};
static const float *const volatile table = ten;
KERNEL(constant_f32) {
  float *y = (float *)args[0];
  EACH(i, args[1]) y[i] = table[i & 1];
}

// Adds 1 to a u32 for each workgroup, without atomics for none is shared: y
KERNEL(mark_u32) {
  for (uint64_t i = begin; i < end; ++i)
    ++((uint32_t *)args[0])[i];
}

// Some time for each workgroup: y
KERNEL(slow) {
  for (uint64_t i = begin; i < end; ++i)
    for (volatile int k = 0; k < 200000; ++k)
      ;
}

// Dies, for tests of what happens then.
KERNEL(trap) {
  if (begin < end)
    __builtin_trap();
}

// Where each workgroup's stack is, after so many rounds of work: y, rounds
KERNEL(where) {
  for (uint64_t i = begin; i < end; ++i) {
    for (volatile uint64_t k = 0; k < args[1]; ++k)
      ;
    ((uint64_t *)args[0])[i] = (uint64_t)__builtin_frame_address(0);
  }
}
