/* Calls that are under way while the host does other things, ordered by
   semaphores: two sessions, the second begins when the first is done.
     async MODEL [DEVICE] */
#include "inputs.h"

int main(int argc, char **argv) {
  if (argc < 2)
    return fprintf(stderr, "usage: async MODEL [DEVICE]\n"), 2;
  enum { SESSIONS = 2 };
  const uint64_t second = 1000000000;
  ist_error error;
  ist_device *device = NULL;
  ist_program *program = NULL;
  ist_session *sessions[SESSIONS] = {NULL};
  ist_tensor *outputs[SESSIONS] = {NULL}, *inputs = NULL;
  ist_semaphore *ready = NULL, *done = NULL;
  uint32_t index, input_count = 0;
  uint64_t given = 0; /* calls */
  ist_function_info f;
  int code = 1;

  if (ist_device_open(argc > 2 ? argv[2] : NULL, NULL, &device, &error))
    return failed("open", &error);
  if (ist_program_load(argv[1], device, IST_BEST_VARIANT, &program, &error) ||
      ist_program_find_function(program, "main", &index, &error) ||
      ist_program_function(program, index, &f, &error) ||
      ist_semaphore_create(0, &ready, &error) ||
      ist_semaphore_create(0, &done, &error)) {
    failed(argv[1], &error);
    goto end;
  }
  inputs = make_inputs(program, index, &input_count);
  for (int i = 0; i < SESSIONS; ++i) {
    outputs[i] =
        calloc(f.output_count ? f.output_count : 1, sizeof *outputs[i]);
    if (!inputs || !outputs[i])
      goto end;
    if (ist_session_create(program, NULL, &sessions[i], &error)) {
      failed("session", &error);
      goto end;
    }
  }

  /* The first call waits for the host, each later one for the one before.
     Nobody has signalled anything yet: the runtime keeps them. */
  for (int i = 0; i < SESSIONS; ++i) {
    ist_point wait = {i ? done : ready, i ? given : 1};
    ist_point signal = {done, given + 1};
    ist_call_points points = IST_CALL_POINTS_INIT;
    points.waits = &wait;
    points.wait_count = 1;
    points.signals = &signal;
    points.signal_count = 1;
    if (ist_call_async(sessions[i], "main", inputs, input_count, outputs[i],
                       f.output_count, &points, &error)) {
      failed("main", &error);
      goto end;
    }
    ++given;
  }
  printf("%d calls given, %d done\n", (int)given,
         (int)ist_semaphore_value(done));
  if (ist_semaphore_signal(ready, 1, &error)) {
    failed("signal", &error);
    goto end;
  }
  /* A call that failed fails here, with its code and message. */
  for (uint64_t i = 1; i <= given; ++i)
    if (ist_semaphore_wait(done, i, 60 * second, &error)) {
      failed("main", &error);
      goto end;
    }
  for (int i = 0; i < SESSIONS; ++i)
    for (uint32_t k = 0; k < f.output_count; ++k)
      printf("session %d, output %u: %zu bytes\n", i, k, outputs[i][k].bytes);
  code = 0;

end:
  /* What was given and not waited for still uses the tensors: ending a session
     waits for it, once what it waits for has come. */
  if (code && ready && given)
    ist_semaphore_signal(ready, 2, NULL);
  for (int i = 0; i < SESSIONS; ++i) {
    ist_session_destroy(sessions[i]);
    free(outputs[i]);
  }
  free_inputs(inputs, input_count);
  ist_semaphore_release(done);
  ist_semaphore_release(ready);
  ist_program_release(program);
  ist_device_release(device);
  return code;
}
