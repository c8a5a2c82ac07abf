/* A server's inner loop: threads take requests, each with a session of its own,
   and do what docs/failure-drill.md says about each status.
     server MODEL [DEVICE [THREADS [REQUESTS]]] */
#include "inputs.h"

#include <pthread.h>

typedef struct server {
  ist_program *program; /* shared: programs are immutable */
  uint32_t function, input_count, output_count;
  const ist_tensor *inputs;                    /* of all requests, here */
  int requests;                                /* left; atomic */
  int answered, rejected, busy, renewed, lost; /* atomic */
} server;

enum outcome { ANSWERED, REJECTED, BUSY, LOST };

/* One request on `*session`, which is made anew when it is no good any more. */
static enum outcome serve(server *s, ist_session **session) {
  ist_error error;
  enum outcome outcome = REJECTED;
  ist_tensor *outputs =
      calloc(s->output_count ? s->output_count : 1, sizeof *outputs);
  for (int attempt = 0; outputs && attempt < 2; ++attempt) {
    if (!*session && ist_session_create(s->program, NULL, session, &error)) {
      outcome = error.code == IST_DEVICE_LOST ? LOST : BUSY;
      break;
    }
    switch (ist_call(*session, "main", s->inputs, s->input_count, outputs,
                     s->output_count, &error)) {
    case IST_OK: /* here the outputs would be sent, before the next call */
      outcome = ANSWERED;
      break;
    case IST_RESOURCE_EXHAUSTED: /* others have the memory: say so, try later */
    case IST_DEADLINE_EXCEEDED:
    case IST_ABORTED:
      outcome = BUSY;
      break;
    case IST_INTERNAL: /* once more, on a session that knows nothing of it */
      ist_session_destroy(*session);
      *session = NULL;
      __atomic_add_fetch(&s->renewed, 1, __ATOMIC_RELAXED);
      outcome = BUSY;
      continue;
    case IST_DEVICE_LOST: /* nothing works on it any more: another replica */
      outcome = LOST;
      break;
    default: /* the request is at fault, or the deployment */
      failed("request", &error);
      outcome = REJECTED;
      break;
    }
    break;
  }
  free(outputs);
  return outcome;
}

static void *worker(void *argument) {
  server *s = argument;
  ist_session *session = NULL;
  while (__atomic_sub_fetch(&s->requests, 1, __ATOMIC_RELAXED) >= 0) {
    int *counters[] = {&s->answered, &s->rejected, &s->busy, &s->lost};
    enum outcome outcome = serve(s, &session);
    __atomic_add_fetch(counters[outcome], 1, __ATOMIC_RELAXED);
    if (outcome == LOST)
      break;
  }
  ist_session_destroy(session);
  return NULL;
}

int main(int argc, char **argv) {
  if (argc < 2)
    return fprintf(stderr,
                   "usage: server MODEL [DEVICE [THREADS [REQUESTS]]]\n"),
           2;
  int threads = argc > 3 ? atoi(argv[3]) : 4, code = 1;
  int requests = argc > 4 ? atoi(argv[4]) : 1000;
  ist_error error;
  ist_device *device = NULL;
  server s = {0};
  s.requests = requests;
  pthread_t ids[64];
  if (threads < 1 || threads > 64)
    return fprintf(stderr, "threads: 1 to 64\n"), 2;
  if (ist_device_open(argc > 2 ? argv[2] : NULL, NULL, &device, &error))
    return failed("open", &error);
  ist_function_info f;
  ist_tensor *inputs = NULL;
  if (ist_program_load(argv[1], device, IST_BEST_VARIANT, &s.program, &error) ||
      ist_program_find_function(s.program, "main", &s.function, &error) ||
      ist_program_function(s.program, s.function, &f, &error)) {
    failed(argv[1], &error);
    goto end;
  }
  s.output_count = f.output_count;
  s.inputs = inputs = make_inputs(s.program, s.function, &s.input_count);
  int started = 0;
  while (inputs && started < threads &&
         pthread_create(&ids[started], NULL, worker, &s) == 0)
    ++started;
  for (int i = 0; i < started; ++i)
    pthread_join(ids[i], NULL);
  printf(
      "%d threads on %s: %d answered, %d busy, %d rejected, %d sessions made "
      "anew%s\n",
      started, ist_device_name(device), s.answered, s.busy, s.rejected,
      s.renewed, s.lost ? "; the device was lost" : "");
  code = started && s.answered + s.busy == requests ? 0 : 1;

end:
  free_inputs(inputs, s.input_count);
  ist_program_release(s.program);
  ist_device_release(device);
  return code;
}
