/* Loads a model, says what it takes and gives, calls it once.
     sync MODEL [DEVICE] */
#include "inputs.h"

static void show(const char *kind, const ist_tensor_info *t) {
  printf("  %-6s %-16s %s[", kind, t->name, ist_dtype_name(t->dtype));
  for (int32_t d = 0; d < t->rank; ++d)
    if (t->dims[d].size >= 0)
      printf("%s%lld", d ? "," : "", (long long)t->dims[d].size);
    else
      printf("%s?", d ? "," : "");
  printf("]\n");
}

int main(int argc, char **argv) {
  if (argc < 2)
    return fprintf(stderr, "usage: sync MODEL [DEVICE]\n"), 2;
  ist_error error;
  ist_device *device = NULL;
  ist_program *program = NULL;
  ist_session *session = NULL;
  uint32_t main_index, input_count = 0;
  ist_tensor *inputs = NULL, *outputs = NULL;
  ist_function_info f;
  int code = 0;

  if (ist_device_open(argc > 2 ? argv[2] : NULL, NULL, &device, &error))
    return failed("open", &error);
  /* The program keeps the device, the session the program. */
  if (ist_program_load(argv[1], device, IST_BEST_VARIANT, &program, &error)) {
    code = failed(argv[1], &error);
    goto end;
  }
  for (size_t i = 0; i < ist_program_remark_count(program); ++i)
    printf("note: %s\n", ist_program_remark(program, i));
  if (ist_program_find_function(program, "main", &main_index, &error) ||
      ist_program_function(program, main_index, &f, &error) ||
      ist_session_create(program, NULL, &session, &error)) {
    code = failed(argv[1], &error);
    goto end;
  }
  printf("main on %s\n", ist_device_name(device));
  for (uint32_t i = 0; i < f.input_count; ++i) {
    ist_tensor_info t;
    ist_program_input(program, main_index, i, &t, NULL);
    show("takes", &t);
  }

  inputs = make_inputs(program, main_index, &input_count);
  /* All zero: the runtime allocates the outputs. They stay the session's, until
     its next call. */
  outputs = calloc(f.output_count ? f.output_count : 1, sizeof *outputs);
  if (!inputs || !outputs) {
    code = 1;
    goto end;
  }
  if (ist_call(session, "main", inputs, input_count, outputs, f.output_count,
               &error)) {
    code = failed("main", &error);
    goto end;
  }
  for (uint32_t i = 0; i < f.output_count; ++i) {
    ist_tensor_info t;
    ist_program_output(program, main_index, i, &t, NULL);
    show("gives", &t);
    if (outputs[i].dtype == IST_F32 && outputs[i].bytes)
      printf("         first value %g\n", *(float *)outputs[i].data);
  }

end: /* all of these take NULL */
  free(outputs);
  free_inputs(inputs, input_count);
  ist_session_destroy(session);
  ist_program_release(program);
  ist_device_release(device);
  return code;
}
