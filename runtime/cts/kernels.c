// The suite's kernels for the cpu in C, for builds without the compiler; they
// do what those in kernels_tiled.mlir do, and import nothing either.
// Entry: void k(const uint64_t *args, uint64_t begin, uint64_t end).
typedef unsigned long uint64_t;
typedef unsigned int uint32_t;
#define KERNEL(name)                                                           \
  void name(const uint64_t *args, uint64_t begin, uint64_t end)
#define EACH(i, n) for (uint64_t i = begin * 256; i < end * 256 && i < (n); ++i)

// y = a + b: n, a, b, y
KERNEL(add) {
  const uint32_t *a = (const uint32_t *)args[1], *b = (const uint32_t *)args[2];
  uint32_t *y = (uint32_t *)args[3];
  EACH(i, args[0]) y[i] = a[i] + b[i];
}

// y = x * k + 1: n, k, x, y
KERNEL(scale) {
  const uint32_t *x = (const uint32_t *)args[2];
  uint32_t *y = (uint32_t *)args[3];
  EACH(i, args[0]) y[i] = x[i] * (uint32_t)args[1] + 1;
}

// ++y[workgroup]: n, y
KERNEL(count) {
  for (uint64_t i = begin; i < end; ++i)
    ++((uint32_t *)args[1])[i];
}

// n rounds of a generator over one word, none of which can be left out: n, y
KERNEL(spin) {
  for (uint64_t i = begin; i < end; ++i) {
    uint32_t v = *(uint32_t *)args[1];
    for (uint64_t r = 0; r < args[0]; ++r)
      v = (v ^ v >> 15) * 1664525u + 1013904223u;
    *(uint32_t *)args[1] = v;
  }
}
