/*===- isthmus/runtime.h - load an artifact and call it ---------*- C -*-===*\
|*
|* The whole public API of libisthmus. C11; also includable from C++.
|*
|* Objects. A *device* is one piece of hardware, opened through a driver. A
|* *program* is an artifact's variant made ready for one device; it is immutable
|* and may be shared by threads. A *session* is what one call at a time needs:
|* concurrency is the number of sessions.
|*
|* Ownership. `ist_x_open/load/create` gives an object that the caller ends with
|* `ist_x_release` (devices, programs: counted, because a program keeps its
|* device and a session its program) or `ist_session_destroy`. Ending NULL is
|* allowed. Strings and pointers that queries give belong to the object asked
|* and live as long as it does. Nothing else is kept after a call returns, but
|* for the memory given to ist_program_load_memory.
|*
|* Threads. Functions on devices and programs may be called from any thread at
|* once. Functions on one session must not overlap, except ist_session_cancel;
|* an overlapping ist_call is refused.
|*
|* Errors. Every function that can fail returns an ist_status and fills `error`
|* (caller-owned, may be NULL) with the code and a message that names the thing
|* and says what to do next. On failure out parameters are NULL or untouched,
|* unless the function says otherwise. Success leaves `error` untouched.
|*
|* Options. A struct with `struct_size` first may grow. Begin with its _INIT
|* value, which sets the size and stands for the defaults; members that this
|* runtime does not know must be zero, else the call is UNIMPLEMENTED.
|*
|* Trust. Loading an artifact for a device trusts its maker, as loading a shared
|* library does: its kernels are native code. The container and everything else
|* in it are not trusted: a broken one is an error, never a crash.
|*
\*===----------------------------------------------------------------------===*/
#ifndef ISTHMUS_RUNTIME_H
#define ISTHMUS_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define IST_API __attribute__((visibility("default")))
#else
#define IST_API
#endif

/* --- status --------------------------------------------------------------- */

/* By what the caller should do. */
typedef enum ist_status {
  IST_OK = 0,
  IST_INVALID_ARGUMENT = 1, /* the call or its data is wrong: change it */
  IST_NOT_FOUND = 2,        /* no such file, device, function: check the name */
  IST_UNAVAILABLE = 3,      /* not with this device or program: use another */
  IST_RESOURCE_EXHAUSTED = 4, /* out of memory or handles: free some, retry */
  IST_DATA_LOSS = 5,          /* the artifact is broken: make it again */
  IST_UNIMPLEMENTED = 6,      /* valid, but this runtime is too old for it */
  IST_ABORTED = 7,            /* ist_session_cancel was called, or the session of
                                 a call that waits for nobody ended */
  IST_DEADLINE_EXCEEDED = 8,  /* the session's timeout passed */
  IST_INTERNAL = 9,           /* a bug in Isthmus: report it */
  IST_DEVICE_LOST = 10 /* the device is gone for this process: open another, or
                          start the process again */
} ist_status;

typedef struct ist_error {
  ist_status code;
  char message[1020]; /* NUL-terminated; cut short when longer */
} ist_error;

/* "INVALID_ARGUMENT" ...; never NULL. */
IST_API const char *ist_status_name(ist_status status);

/* "0.1.0" */
IST_API const char *ist_version(void);

/* --- tensors -------------------------------------------------------------- */

typedef enum ist_dtype {
  IST_F32,
  IST_F64,
  IST_F16,
  IST_BF16,
  IST_I8,
  IST_I16,
  IST_I32,
  IST_I64,
  IST_U8,
  IST_U16,
  IST_U32,
  IST_U64,
  IST_I1 /* one byte an element, 0 or 1 */
} ist_dtype;

/* "f32" ...; NULL when not a dtype. */
IST_API const char *ist_dtype_name(ist_dtype dtype);
/* Bytes of one element; 0 when not a dtype. */
IST_API size_t ist_dtype_size(ist_dtype dtype);

enum { IST_MAX_RANK = 16 };

/* Where bytes are. */
typedef enum ist_memory {
  IST_MEMORY_HOST,  /* any memory of the process; tensors there are copied to
                       and from a device that cannot address it */
  IST_MEMORY_DEVICE /* an address on the device: of ist_device_alloc, or of the
                       vendor's own API */
} ist_memory;

/* A dense, row-major tensor. */
typedef struct ist_tensor {
  void *data;
  size_t capacity; /* bytes available at `data` */
  size_t bytes;    /* set by the runtime in outputs: bytes the tensor has */
  ist_dtype dtype;
  int32_t rank;
  int64_t dims[IST_MAX_RANK];
  ist_memory memory;
  uint32_t reserved; /* 0 */
} ist_tensor;

/* --- devices -------------------------------------------------------------- */

typedef struct ist_device ist_device;

/* Calls `visit` once for each device of each driver, in a fixed order, with its
   name ("cpu") and a line for people: what it is, its memory, and what stays with
   the hardware (a UUID, a PCI address). Opens none. */
IST_API ist_status ist_device_list(void (*visit)(void *user, const char *name,
                                                 const char *description),
                                   void *user, ist_error *error);

/* Calls `visit` once for each driver with how many devices it has. Where it
   cannot look, such as without its vendor's library, `why` says so, else it is
   NULL. So it is for a plug-in of ISTHMUS_PLUGIN_PATH that could not be loaded;
   its name is then its path. */
IST_API ist_status ist_driver_list(void (*visit)(void *user, const char *name,
                                                 uint32_t devices,
                                                 const char *why),
                                   void *user, ist_error *error);

/* Makes the driver of a plug-in (a shared library, see isthmus/driver.h)
   openable by name, for the rest of the process; once more does nothing. The
   files of the environment variable ISTHMUS_PLUGIN_PATH, and the plug-ins
   (*.so) in its directories, separated by colons, are loaded when devices are
   listed or one is opened whose driver is not known. Loading one runs its code.
   NOT_FOUND: no such file. UNAVAILABLE: not a plug-in for this runtime, or its
   driver's name is taken. */
IST_API ist_status ist_plugin_load(const char *path, ist_error *error);

typedef struct ist_device_options {
  size_t struct_size;
  /* The caller's own context to work in ("cuda.context"), or NULL. */
  const char *native_kind;
  void *native;
  /* The most bytes of device memory that the runtime takes through this handle;
     0: as many as there are. */
  uint64_t memory_limit;
} ist_device_options;
#define IST_DEVICE_OPTIONS_INIT {sizeof(ist_device_options), NULL, NULL, 0}

/* Opens the device called `name` ("cpu", "cpu:0"); NULL means the one that the
   environment variable ISTHMUS_DEVICE names, else the first one. `options` may
   be NULL. Only the driver that `name` begins with is looked at.
   NOT_FOUND: no such driver or device. UNAVAILABLE: the driver's library is not
   there, with the reason, or the driver cannot work in that context. */
IST_API ist_status ist_device_open(const char *name,
                                   const ist_device_options *options,
                                   ist_device **out, ist_error *error);
IST_API void ist_device_release(ist_device *device);

IST_API const char *ist_device_name(const ist_device *device);
/* Facts describe the device, as in a variant: "cpu.features" = "avx,avx2,...".
 */
IST_API size_t ist_device_fact_count(const ist_device *device);
IST_API ist_status ist_device_fact(const ist_device *device, size_t index,
                                   const char **key, const char **value,
                                   ist_error *error);

/* Device memory for tensors, at least 64-byte aligned; ended by
   ist_device_free, before the device. With IST_MEMORY_HOST it is memory of the
   process that the device addresses too, so that nothing is staged. Any thread.
   RESOURCE_EXHAUSTED: says what was asked for, what there is, and who has it.
 */
IST_API ist_status ist_device_alloc(ist_device *device, ist_memory memory,
                                    uint64_t bytes, void **out,
                                    ist_error *error);
IST_API void ist_device_free(ist_device *device, void *memory); /* or NULL */

/* The vendor's own context behind the device, and its kind ("cuda.context"):
   for libraries that work in it too. It stays the device's. UNAVAILABLE: the
   driver or the vendor has no such thing. */
IST_API ist_status ist_device_native(ist_device *device, const char **kind,
                                     void **handle, ist_error *error);

/* Copies `bytes` to `to` on `device` from `from` on `other`, and waits for it:
   directly where the vendor can, else through host memory. */
IST_API ist_status ist_device_copy_from(ist_device *device, void *to,
                                        ist_device *other, const void *from,
                                        uint64_t bytes, ist_error *error);

/* Copies and waits for it. The ranges must not overlap. */
IST_API ist_status ist_device_copy(ist_device *device, void *to,
                                   ist_memory to_memory, const void *from,
                                   ist_memory from_memory, uint64_t bytes,
                                   ist_error *error);

typedef struct ist_device_memory_info {
  uint64_t available, total; /* by the driver */
  uint64_t used, high;       /* bytes this handle holds, and the most it held */
  uint64_t limit;            /* 0: none */
} ist_device_memory_info;
IST_API ist_status ist_device_memory(ist_device *device,
                                     ist_device_memory_info *out,
                                     ist_error *error);

/* What the launches on a device cost, where it counts that, as simulated GPUs
   do: instructions by class, bytes by memory, per kernel, since it was opened
   or the counters were reset. The visitor gets a kernel's counters one after
   the other, "launches" first. UNAVAILABLE: the device does not count. */
IST_API ist_status ist_device_counters(ist_device *device,
                                       void (*visit)(void *user,
                                                     const char *kernel,
                                                     const char *counter,
                                                     uint64_t value),
                                       void *user, ist_error *error);
IST_API ist_status ist_device_reset_counters(ist_device *device,
                                             ist_error *error);

/* --- programs ------------------------------------------------------------- */

typedef struct ist_program ist_program;

enum { IST_BEST_VARIANT = -1 };

/* Maps and verifies the artifact at `path`, picks a variant for `device`, loads
   its code, makes its weights resident and runs its `init` function.

   A variant fits when its target's vendor is the device's driver, its `.arch`
   facts equal the device's and its `.features` facts are a subset of them;
   other facts say what it was planned for and refuse nothing. Of those that
   fit, the one that asks for most features is taken; the others are remarked
   upon. `variant` names one by index instead (it must fit), or is
   IST_BEST_VARIANT.

   With `device` NULL nothing is loaded: the queries answer for the variant
   named (IST_BEST_VARIANT: the first), and sessions cannot be made.

   Weights that the device cannot read where the artifact lies are held once per
   device handle, by content: programs that carry the same ones share them.
   Derived weights are shared by programs with the same `init`. Where the
   environment variable ISTHMUS_CACHE_DIR names a directory, they are kept
   there, and later loads map them instead of running `init`; a file that is
   broken is made again, and one that cannot be written is a remark.

   NOT_FOUND: no such file, or no such variant index. DATA_LOSS: not an
   artifact, or a broken one. UNAVAILABLE: no variant fits; the message says why
   for each. UNIMPLEMENTED: a later version's artifact. RESOURCE_EXHAUSTED: no
   memory. */
IST_API ist_status ist_program_load(const char *path, ist_device *device,
                                    int32_t variant, ist_program **out,
                                    ist_error *error);

/* The same for an artifact in memory, which must stay as it is until the
   program is gone: weights are used in place where their alignment allows. */
IST_API ist_status ist_program_load_memory(const void *data, size_t size,
                                           ist_device *device, int32_t variant,
                                           ist_program **out, ist_error *error);
IST_API void ist_program_release(ist_program *program);

/* Why variants were passed over, and such: lines for people. */
IST_API size_t ist_program_remark_count(const ist_program *program);
IST_API const char *ist_program_remark(const ist_program *program,
                                       size_t index);

typedef struct ist_artifact_info {
  const char *producer; /* may be "" */
  const char *model;    /* may be "" */
  uint32_t version;
  uint32_t variant_count;
  uint32_t variant; /* the one this program is */
  uint32_t weight_count;
  uint32_t function_count;
  uint32_t kernel_count;
  uint64_t weight_bytes;  /* what the artifact carries */
  uint64_t derived_bytes; /* what `init` made; 0 without a device */
} ist_artifact_info;

typedef struct ist_variant_info {
  const char *target; /* "cpu:x86-64-v3" */
  const char *format; /* "elf" */
  const char *code;   /* zip member */
  uint32_t fact_count;
} ist_variant_info;

typedef struct ist_weight_info {
  const char *name; /* may be "" */
  const char *member;
  uint64_t offset, bytes, hash;
  ist_dtype dtype;
  int32_t rank;
  const int64_t *dims;
} ist_weight_info;

typedef struct ist_function_info {
  const char *name;
  uint32_t symbol_count, input_count, output_count, launch_count;
  uint32_t transient_count, command_count;
  int32_t host_waits; /* how often a call waits for the device; -1: in a loop */
} ist_function_info;

typedef struct ist_symbol_info {
  const char *name;
  int64_t min, max, multiple;
} ist_symbol_info;

typedef struct ist_dim_info {
  int64_t size;   /* static size, or -1 */
  int32_t symbol; /* index of the function's symbol that it equals, or -1.
                     Neither: an output's size that the program computes */
} ist_dim_info;

typedef struct ist_tensor_info {
  const char *name;
  ist_dtype dtype;
  int32_t rank;
  ist_dim_info dims[IST_MAX_RANK];
  /* Of an input: the output that is written in its place (the argument is
     `inout`), or -1. Of an output: that input, or -1. */
  int32_t inout;
} ist_tensor_info;

typedef struct ist_kernel_info {
  const char *name;
  const char *family; /* may be "" */
  uint32_t param_count, workgroup, shared_bytes;
} ist_kernel_info;

/* For people. */
typedef struct ist_kernel_code {
  /* Of one lane; -1 where nobody knows before a device's driver assembles. */
  int32_t vector_registers, scalar_registers, spilled_registers;
  uint32_t declined_count; /* plans that were tried before the one it has */
} ist_kernel_code;

typedef enum ist_param_kind {
  IST_PARAM_ADDRESS,
  IST_PARAM_SCALAR,
  IST_PARAM_ERROR_WORD
} ist_param_kind;

typedef enum ist_access {
  IST_ACCESS_NONE,
  IST_ACCESS_READ,
  IST_ACCESS_WRITE,
  IST_ACCESS_READWRITE
} ist_access;

typedef struct ist_param_info {
  ist_param_kind kind;
  ist_access access;
  uint32_t align;
} ist_param_info;

typedef struct ist_launch_info {
  uint32_t kernel;
  uint32_t node_count; /* model nodes that this launch computes */
} ist_launch_info;

/* What launches compute and move, as the model's operations ask for it. */
typedef struct ist_work {
  int32_t has_flops, has_bytes; /* 0: not known, and 0 below */
  uint64_t flops; /* arithmetic on floats and integers; a multiply-add is two */
  uint64_t read_bytes, written_bytes; /* of buffers, each element once */
} ist_work;

/* Queries fill `out` from the program; NOT_FOUND when an index is too large. A
   function is named by index; ist_program_find_function finds it by name. */
IST_API void ist_program_info(const ist_program *program,
                              ist_artifact_info *out);
IST_API ist_status ist_program_variant(const ist_program *program,
                                       uint32_t variant, ist_variant_info *out,
                                       ist_error *error);
IST_API ist_status ist_program_variant_fact(const ist_program *program,
                                            uint32_t variant, uint32_t index,
                                            const char **key,
                                            const char **value,
                                            ist_error *error);

/* A device that is not at hand, by what its driver would say of it. */
typedef struct ist_device_description {
  size_t struct_size;
  const char *vendor;       /* whose code it runs: "nvidia" */
  const char *formats;      /* that its driver loads: "ptx,cubin" */
  const char *const *facts; /* keys and values by turns */
  size_t fact_count;        /* pairs of them */
} ist_device_description;
#define IST_DEVICE_DESCRIPTION_INIT                                            \
  {sizeof(ist_device_description), NULL, NULL, NULL, 0}

/* Sets `variant` to the one that such a device is given, by the rules of
   ist_program_load. `passed_over` (NULL is allowed) is called for each that
   does not fit, with the reason. UNAVAILABLE: none fits. */
IST_API ist_status ist_program_choose(
    const ist_program *program, const ist_device_description *description,
    uint32_t *variant,
    void (*passed_over)(void *user, uint32_t variant, const char *why),
    void *user, ist_error *error);

IST_API ist_status ist_program_weight(const ist_program *program,
                                      uint32_t index, ist_weight_info *out,
                                      ist_error *error);
IST_API ist_status ist_program_kernel(const ist_program *program,
                                      uint32_t index, ist_kernel_info *out,
                                      ist_error *error);
IST_API ist_status ist_program_kernel_code(const ist_program *program,
                                           uint32_t index, ist_kernel_code *out,
                                           ist_error *error);
/* "conv: not a convolution" */
IST_API ist_status ist_program_kernel_declined(const ist_program *program,
                                               uint32_t kernel, uint32_t index,
                                               const char **plan,
                                               ist_error *error);
IST_API ist_status ist_program_kernel_param(const ist_program *program,
                                            uint32_t kernel, uint32_t index,
                                            ist_param_info *out,
                                            ist_error *error);
IST_API ist_status ist_program_find_function(const ist_program *program,
                                             const char *name, uint32_t *index,
                                             ist_error *error);
IST_API ist_status ist_program_function(const ist_program *program,
                                        uint32_t function,
                                        ist_function_info *out,
                                        ist_error *error);
IST_API ist_status ist_program_symbol(const ist_program *program,
                                      uint32_t function, uint32_t index,
                                      ist_symbol_info *out, ist_error *error);
IST_API ist_status ist_program_input(const ist_program *program,
                                     uint32_t function, uint32_t index,
                                     ist_tensor_info *out, ist_error *error);
IST_API ist_status ist_program_output(const ist_program *program,
                                      uint32_t function, uint32_t index,
                                      ist_tensor_info *out, ist_error *error);
IST_API ist_status ist_program_launch(const ist_program *program,
                                      uint32_t function, uint32_t index,
                                      ist_launch_info *out, ist_error *error);
IST_API ist_status ist_program_launch_node(const ist_program *program,
                                           uint32_t function, uint32_t launch,
                                           uint32_t index, const char **node,
                                           ist_error *error);

/* The work of one run of a launch, for inputs of the given dtypes, ranks and
   dims (their data is not looked at). Not known where sizes depend on device
   data or change in a loop. INVALID_ARGUMENT: the inputs do not fit the
   signature. */
IST_API ist_status ist_program_launch_work(const ist_program *program,
                                           uint32_t function, uint32_t launch,
                                           const ist_tensor *inputs,
                                           size_t input_count, ist_work *out,
                                           ist_error *error);

/* Fills dtype, rank, dims and bytes of `outputs` for inputs of the given
   dtypes, ranks and dims (their data is not looked at). Runs the program's
   integer code only; needs no device. UNAVAILABLE: a size depends on device
   data. INVALID_ARGUMENT: the inputs do not fit the signature. */
IST_API ist_status ist_program_output_shapes(
    const ist_program *program, uint32_t function, const ist_tensor *inputs,
    size_t input_count, ist_tensor *outputs, size_t output_count,
    ist_error *error);

typedef struct ist_memory_need {
  uint64_t arena_bytes;   /* transients, placed; kept by the session */
  uint64_t output_bytes;  /* outputs, by whoever allocates them */
  uint64_t weight_bytes;  /* shared by all sessions of the program */
  uint64_t derived_bytes; /* likewise; 0 without a device */
  int32_t exact;          /* 0: data-dependent sizes come on top */
} ist_memory_need;

/* What a call with such inputs will need, before anything is allocated. Errors
   as ist_program_output_shapes, but for data-dependent sizes: see `exact`. */
IST_API ist_status ist_program_memory_need(
    const ist_program *program, uint32_t function, const ist_tensor *inputs,
    size_t input_count, ist_memory_need *out, ist_error *error);

/* --- sessions ------------------------------------------------------------- */

typedef struct ist_session ist_session;

/* Device memory from the caller. `allocate` gives NULL when there is none; what
   it gives is aligned to `alignment` and an address on the device. Called from
   the thread that is in a function of the session, or the runtime's own. */
typedef struct ist_allocator {
  void *user;
  void *(*allocate)(void *user, uint64_t bytes, uint64_t alignment);
  void (*deallocate)(void *user, void *memory, uint64_t bytes);
} ist_allocator;

typedef struct ist_session_options {
  size_t struct_size;
  /* Memory on the device for the arena, aligned to 64: kept until the session
     ends, one session at a time. Calls that need more are RESOURCE_EXHAUSTED;
     ist_program_memory_need tells how much. NULL: the runtime's. */
  void *arena;
  uint64_t arena_bytes;
  /* For what is not in the arena, and the arena if there is none above; copied.
     NULL: the device's own. */
  const ist_allocator *allocator;
  /* The most bytes the session takes, its arena included; 0: no limit. */
  uint64_t memory_limit;
  /* The caller's own queue ("cuda.stream") to work on, or NULL. */
  const char *native_kind;
  void *native;
  /* 1: calls are never recorded, always interpreted. */
  uint32_t no_recordings;
  uint32_t reserved; /* 0 */
} ist_session_options;
#define IST_SESSION_OPTIONS_INIT                                               \
  {sizeof(ist_session_options), NULL, 0, NULL, 0, NULL, NULL, 0, 0}

/* `options` may be NULL. UNAVAILABLE: the program was loaded without a device.
 */
IST_API ist_status ist_session_create(ist_program *program,
                                      const ist_session_options *options,
                                      ist_session **out, ist_error *error);
/* Waits for the calls that are under way, and for those that will begin when
   other calls have ended; ABORTED ends those that wait, or come after one that
   waits, for a value which nobody has given to a call or signalled. Frees the
   outputs that the runtime allocated. */
IST_API void ist_session_destroy(ist_session *session);

/* The vendor's own queue behind the session, and its kind ("cuda.stream"): work
   that is given to it comes in the order of the session's calls. It stays the
   session's. UNAVAILABLE: the driver has no such thing. */
IST_API ist_status ist_session_native(ist_session *session, const char **kind,
                                      void **handle, ist_error *error);

/* Calls `function` and waits for its results.

   `inputs`, in signature order: data, capacity, dtype, rank, dims and memory
   are read; `bytes` is not. They stay the caller's and are not written, unless
   the signature says `inout`. An input with `data` NULL is the tensor bound to
   its name, if there is one (ist_session_bind).
   `outputs`, in signature order. With `data` set, the result is put there;
   `capacity` must do, else the call is INVALID_ARGUMENT and that output's
   `bytes` says how much it needs. With `data` NULL the runtime allocates in
   `memory`; it stays the session's, valid until the next ist_call on it (which
   may be given the same ist_tensor again) or its end. dtype, rank, dims and
   bytes are set. An output that lives in an inout input gets that input's
   `data`, `capacity` and `memory`; its `data` is NULL, or that of the input,
   before. Outputs must
   not overlap inputs or each other, but for that. After a failure the contents
   of outputs and inout inputs are undefined. Memory that is not aligned as the
   kernels need (64 bytes always does) is copied to or from memory that is.

   INVALID_ARGUMENT: wrong number, type or shape of tensors; a value the model
   cannot have (an index out of range: the message names the node).
   RESOURCE_EXHAUSTED: no memory for transients or outputs. */
IST_API ist_status ist_call(ist_session *session, const char *function,
                            const ist_tensor *inputs, size_t input_count,
                            ist_tensor *outputs, size_t output_count,
                            ist_error *error);

/* Gives `session` a tensor for the inputs called `name` of all its functions,
   to be used where a call brings none: the state that functions share, such as
   a KV cache. The memory stays the caller's and is kept until another is bound,
   or `tensor` is NULL, or the session ends. With `data` NULL the runtime
   allocates `capacity` bytes on the device, filled with zeros, and sets `data`
   and `memory`. A call that brings no data takes the dims from here as well; it
   may be given others by binding again, which with the same `data` costs
   nothing. What an inout input's dims become is the caller's to say.
   NOT_FOUND: no function has such an input. */
IST_API ist_status ist_session_bind(ist_session *session, const char *name,
                                    ist_tensor *tensor, ist_error *error);

/* Does now what the first calls with such inputs would do late: places, grows
   the arena, records. `inputs` has `sets` times `input_count` tensors; their
   data is not looked at. Calls with these sizes then allocate nothing, except
   for outputs that the runtime is to allocate and data-dependent sizes. */
IST_API ist_status ist_session_prepare(ist_session *session,
                                       const char *function,
                                       const ist_tensor *inputs,
                                       size_t input_count, size_t sets,
                                       ist_error *error);

/* Makes the calls on `session` that are running or parked end with ABORTED
   before their next command; a replay by the driver is one command. Any thread.
   No effect on later calls. */
IST_API void ist_session_cancel(ist_session *session);

/* Calls end with DEADLINE_EXCEEDED before the first command that would begin
   `nanoseconds` after the call did; 0, the default, means never. A call that
   waits for the device longer than that ends likewise; what it gave the device
   still runs, and the next call on the session waits for it. Asynchronous calls
   take the timeout that is set when they are made. */
IST_API void ist_session_set_timeout(ist_session *session,
                                     uint64_t nanoseconds);

/* --- asynchronous calls --------------------------------------------------- */

/* A number that only rises; calls wait for values of it and raise it. A value is
   reached when the semaphore has it or more, and no call that was given it or
   less is still under way. */
typedef struct ist_semaphore ist_semaphore;

typedef struct ist_point {
  ist_semaphore *semaphore;
  uint64_t value;
} ist_point;

/* Begins at `value`. For calls on any device. Released (NULL is allowed) when
   no call that names it is under way. Its functions may be called from any
   thread at once. */
IST_API ist_status ist_semaphore_create(uint64_t value, ist_semaphore **out,
                                        ist_error *error);
IST_API void ist_semaphore_release(ist_semaphore *semaphore);
IST_API uint64_t ist_semaphore_value(const ist_semaphore *semaphore);
/* From the host. INVALID_ARGUMENT: `value` is not larger than all that were
   given to calls or signalled before. */
IST_API ist_status ist_semaphore_signal(ist_semaphore *semaphore,
                                        uint64_t value, ist_error *error);
/* Waits until `value` is reached. When the call that was to signal it failed:
   that call's code and message. A failed value counts as reached; those before
   and after it do not fail with it. A semaphore keeps its last 4096 failures;
   among the values of older ones nobody knows which failed: UNAVAILABLE.
   DEADLINE_EXCEEDED after `timeout_ns` (UINT64_MAX: wait for ever). */
IST_API ist_status ist_semaphore_wait(ist_semaphore *semaphore, uint64_t value,
                                      uint64_t timeout_ns, ist_error *error);

typedef struct ist_call_points {
  size_t struct_size;
  const ist_point *waits; /* the call begins after all of these */
  size_t wait_count;
  const ist_point *signals; /* reached when its results are there, or failed */
  size_t signal_count;
} ist_call_points;
#define IST_CALL_POINTS_INIT {sizeof(ist_call_points), NULL, 0, NULL, 0}

/* As ist_call, but returns once the call is under way; the points are copied.
   Inputs, outputs and their memory are kept until a signal is reached (so are
   the ist_tensors of `outputs`, whose dims are set by then; of functions
   without data-dependent sizes they are set on return). Waits may name values
   that nobody has given to a call yet: the runtime keeps the call until
   somebody does. Calls on one session run one after another, in order. A wait
   on a failed point fails the call with that point's error.

   Errors in the arguments are returned, and signal nothing; so is
   RESOURCE_EXHAUSTED when 4096 calls of the session are under way. All later
   ones fail the signals. A function whose `host_waits` is not 0 is run by a thread of the
   runtime's; on a caller's own queue it is waited for.

   On a caller's own queue a call takes no points and submits nothing: the
   queue's order is all. So the caller may be capturing it (cuStreamBeginCapture):
   then nothing is waited for or allocated, and what would need that is
   UNAVAILABLE, with the reason: a function with `host_waits`, ist_call, sizes
   that were not prepared, outputs without memory, profiling. After such a
   failure the capture holds a part of the call: end it and drop it. What was
   captured uses the session's memory whenever it is launched: launch it in order
   with the session's other calls, and not after the session has ended. */
IST_API ist_status ist_call_async(ist_session *session, const char *function,
                                  const ist_tensor *inputs, size_t input_count,
                                  ist_tensor *outputs, size_t output_count,
                                  const ist_call_points *points,
                                  ist_error *error);

/* --- what happened -------------------------------------------------------- */

typedef struct ist_session_counters {
  size_t struct_size; /* set by the caller */
  uint64_t calls;
  uint64_t replays;    /* calls that were a replay from end to end */
  uint64_t recordings; /* made, the re-made ones included */
  uint64_t re_records; /* of a key that had been recorded before */
  uint64_t host_waits; /* times the host waited for the device */
  uint64_t launches;
  uint64_t bytes, high; /* device memory held now, and the most ever */
} ist_session_counters;
IST_API void ist_session_get_counters(const ist_session *session,
                                      ist_session_counters *out);

typedef struct ist_launch_profile {
  uint64_t count;       /* launches since profiling was enabled */
  uint64_t nanoseconds; /* their time, each waited for */
} ist_launch_profile;

/* Profiling waits for every launch and so slows calls; enabling clears. */
IST_API ist_status ist_session_set_profiling(ist_session *session,
                                             int32_t enabled, ist_error *error);
IST_API ist_status ist_session_profile(const ist_session *session,
                                       uint32_t function, uint32_t launch,
                                       ist_launch_profile *out,
                                       ist_error *error);
/* The work of the launches that ist_session_profile counts, all together. */
IST_API ist_status ist_session_launch_work(const ist_session *session,
                                           uint32_t function, uint32_t launch,
                                           ist_work *out, ist_error *error);

#ifdef __cplusplus
}
#endif

#endif /* ISTHMUS_RUNTIME_H */
