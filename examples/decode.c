/* Text generation's way of calling: one function for the prompt, one for each
   further token, both over a cache that stays on the device.

   The artifact has functions prefill(tokens f32[n], at i64[1], cache f32[256])
   and decode, the same for one token. They write tokens at `at` into `cache`,
   which is `inout` and so is bound to the session once, and give y, one value
   for each token so far.
     decode MODEL [DEVICE] */
#include "inputs.h"

static ist_tensor tensor(ist_dtype dtype, void *data, int64_t n) {
  ist_tensor t = {0};
  t.data = data;
  t.dtype = dtype;
  t.rank = 1;
  t.dims[0] = n;
  t.capacity = (size_t)n * ist_dtype_size(dtype);
  return t;
}

/* Appends tokens; the session's cache is what the third input leaves out. */
static int step(ist_session *session, const char *function, float *tokens,
                int64_t n, int64_t at, float *last) {
  ist_error error;
  ist_tensor inputs[3] = {tensor(IST_F32, tokens, n), tensor(IST_I64, &at, 1)};
  ist_tensor outputs[2] = {{0}}; /* the cache, where it is, and y */
  if (ist_call(session, function, inputs, 3, outputs, 2, &error))
    return failed(function, &error);
  const ist_tensor *y = &outputs[1];
  *last = ((const float *)y->data)[y->dims[0] - 1];
  printf("%-8s %2lld tokens at %2lld: %lld values, the last is %g\n", function,
         (long long)n, (long long)at, (long long)y->dims[0], *last);
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 2)
    return fprintf(stderr, "usage: decode MODEL [DEVICE]\n"), 2;
  ist_error error;
  ist_device *device = NULL;
  ist_program *program = NULL;
  ist_session *session = NULL;
  int code = 1;
  if (ist_device_open(argc > 2 ? argv[2] : NULL, NULL, &device, &error)) {
    failed("open", &error);
    goto end;
  }
  if (ist_program_load(argv[1], device, IST_BEST_VARIANT, &program, &error) ||
      ist_session_create(program, NULL, &session, &error)) {
    failed(argv[1], &error);
    goto end;
  }
  /* `data` NULL: the runtime allocates it on the device, filled with zeros. */
  ist_tensor cache = tensor(IST_F32, NULL, 256);
  if (ist_session_bind(session, "cache", &cache, &error)) {
    failed("bind", &error);
    goto end;
  }
  float prompt[] = {1, 2, 3, 4, 5}, last;
  if (step(session, "prefill", prompt, 5, 0, &last))
    goto end;
  for (int64_t at = 5; at < 10; ++at) {
    float token = last + 1;
    if (step(session, "decode", &token, 1, at, &last))
      goto end;
  }
  /* Another conversation is another session with a cache of its own; this one
     begins anew by beginning at 0. */
  if (step(session, "prefill", prompt, 2, 0, &last))
    goto end;
  code = last == 4 ? 0 : 1;

end:
  ist_session_destroy(session);
  ist_program_release(program);
  ist_device_release(device);
  return code;
}
