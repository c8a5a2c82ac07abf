/* What the examples share: inputs made up for any model. */
#ifndef EXAMPLES_INPUTS_H
#define EXAMPLES_INPUTS_H

#include <isthmus/runtime.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline int failed(const char *what, const ist_error *error) {
  fprintf(stderr, "%s: %s: %s\n", what, ist_status_name(error->code),
          error->message);
  return 1;
}

/* Ones, of the smallest sizes that the function takes; NULL when there is no
   memory. `count` is set; end with free_inputs. */
static inline ist_tensor *make_inputs(const ist_program *program,
                                      uint32_t function, uint32_t *count) {
  ist_function_info f;
  if (ist_program_function(program, function, &f, NULL))
    return NULL;
  size_t room = f.input_count ? f.input_count : 1;
  ist_tensor *all = (ist_tensor *)calloc(room, sizeof *all);
  for (uint32_t i = 0; all && i < f.input_count; ++i) {
    ist_tensor_info info;
    ist_program_input(program, function, i, &info, NULL);
    ist_tensor *t = &all[i];
    t->dtype = info.dtype;
    t->rank = info.rank;
    size_t n = 1;
    for (int32_t d = 0; d < info.rank; ++d) {
      t->dims[d] = info.dims[d].size;
      if (t->dims[d] < 0) {
        ist_symbol_info s;
        ist_program_symbol(program, function, (uint32_t)info.dims[d].symbol, &s,
                           NULL);
        t->dims[d] = s.min > s.multiple ? s.min : s.multiple;
      }
      n *= (size_t)t->dims[d];
    }
    size_t width = ist_dtype_size(info.dtype);
    t->capacity = n * width;
    t->data = calloc(n ? n : 1, width);
    for (size_t k = 0; t->data && k < n; ++k)
      if (info.dtype == IST_F32)
        ((float *)t->data)[k] = 1;
      else
        memset((char *)t->data + k * width, info.dtype >= IST_I8, 1);
  }
  *count = f.input_count;
  return all;
}

static inline void free_inputs(ist_tensor *all, uint32_t count) {
  for (uint32_t i = 0; all && i < count; ++i)
    free(all[i].data);
  free(all);
}

#endif
