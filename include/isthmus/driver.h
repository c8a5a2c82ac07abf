/*===- isthmus/driver.h - what a driver implements --------------*- C -*-===*\
|*
|* A driver is a table of functions over one vendor's API. The core does all it
|* does with devices through the table; users of libisthmus never see it. It is
|* for implementers: drivers in this repository, and plug-ins built elsewhere
|* against the installed header.
|*
|* Results. Every function that can fail returns an ist_status (as int) and on
|* failure fills `error`, which the core owns and never passes as NULL. On
|* failure out parameters are untouched. Functions without a result cannot fail.
|*
|* Sizes. `struct_size` comes first in every struct that may grow, set by
|* whoever fills the struct; members and slots are only ever appended. A driver
|* reads no more than struct_size, and refuses (UNIMPLEMENTED) an input whose
|* bytes behind what it knows are not all zero (IST_HAS, ist_tail_is_zero).
|* The core uses no slot that struct_size of the driver's table does not cover.
|* Structs without a struct_size stand in arrays and never grow.
|*
|* Threads. Functions on a device, a module or a semaphore may come from any
|* thread at once. Functions on one queue never overlap. A driver may keep
|* threads of its own; it calls nothing of the core's but the host table.
|*
|* Loss. After DEVICE_LOST every function of that device that can fail does so
|* with DEVICE_LOST, at once; waits in progress end. Freeing and destroying stay
|* allowed. Other devices are not concerned.
|*
\*===----------------------------------------------------------------------===*/
#ifndef ISTHMUS_DRIVER_H
#define ISTHMUS_DRIVER_H

#include "isthmus/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of the table as a whole: another number is another, incompatible table. */
enum { IST_DRIVER_ABI = 1 };

/* Defined by each driver. */
typedef struct ist_driver_device ist_driver_device;
typedef struct ist_driver_queue ist_driver_queue;
typedef struct ist_driver_semaphore ist_driver_semaphore;
typedef struct ist_driver_module ist_driver_module;
typedef struct ist_driver_kernel ist_driver_kernel;
typedef struct ist_driver_recording ist_driver_recording;

/* --- what a driver may ask of its host ------------------------------------ */

typedef enum ist_log_level {
  IST_LOG_ERROR,
  IST_LOG_WARNING,
  IST_LOG_INFO
} ist_log_level;

/* Outlives every driver. Any thread. */
typedef struct ist_host {
  size_t struct_size;
  void *user; /* first argument of the functions below */
  /* One line, without a newline, for people. */
  void (*log)(void *user, ist_log_level level, const char *line);
  /* Host memory, 64-byte aligned; NULL when there is none. */
  void *(*allocate)(void *user, size_t bytes);
  void (*deallocate)(void *user, void *memory);
  /* Bytes kept between processes, such as a JIT's result; `key` names all they
     depend on. cache_get gives memory of `allocate`, or NULL: not there, or no
     cache (the user wants none). cache_put may do nothing. */
  void *(*cache_get)(void *user, const char *key, size_t *bytes);
  void (*cache_put)(void *user, const char *key, const void *data,
                    size_t bytes);
  uint64_t (*clock_ns)(void *user); /* monotonic */
} ist_host;

/* --- devices -------------------------------------------------------------- */

/* What can be told of a device without opening it. All zero when the driver
   gets it. */
typedef struct ist_identity {
  char summary[128];     /* for people: "NVIDIA H100 80GB HBM3" */
  char id[64];           /* stays with the hardware (a UUID, a PCI address);
                            may be "" */
  uint64_t memory_bytes; /* 0: not known */
  char name[32];         /* "" : the device is called by its number, as in
                            "cuda:0"; otherwise by this, as in "sim:sm_80" */
  uint64_t reserved[3];  /* 0 */
} ist_identity;

typedef struct ist_fact {
  const char *key, *value;
} ist_fact;

enum {
  /* Commands have run when the function that takes them returns. */
  IST_DEVICE_SYNCHRONOUS = 1u << 0,
  /* Kernels and copies may use any address of this process. */
  IST_DEVICE_SHARES_MEMORY = 1u << 1,
  /* It reads ist_driver_submit.commands, and tells of them when work fails. */
  IST_DEVICE_TELLS_COMMANDS = 1u << 2
};

typedef struct ist_description {
  size_t struct_size;
  const char *summary;   /* valid, like the facts, until the device is closed */
  const ist_fact *facts; /* "cpu.features" = "avx,avx2", as in a variant */
  size_t fact_count;
  uint32_t flags;     /* IST_DEVICE_... */
  uint32_t alignment; /* of what alloc gives; a power of two, at least 64 */
  uint64_t max_grid;  /* workgroups of one launch */
  uint64_t max_alloc; /* bytes of one allocation */
} ist_description;

/* The caller's own object, to be used instead of a new one. The driver does not
   end it. `kind` names its type: "cuda.context", "cuda.stream". */
typedef struct ist_native {
  size_t struct_size;
  const char *kind;
  void *handle;
} ist_native;

/* --- memory --------------------------------------------------------------- */

typedef enum ist_memory_kind {
  IST_MEMORY_KIND_DEVICE,      /* fastest for kernels; `host` may be NULL */
  IST_MEMORY_KIND_HOST_VISIBLE /* `host` is set; the device addresses it too */
} ist_memory_kind;

typedef struct ist_driver_memory {
  uint64_t address; /* on the device; not 0 */
  void *host;       /* the same bytes on the host, or NULL */
  void *handle;     /* the driver's own */
  uint64_t bytes;
} ist_driver_memory;

typedef enum ist_import_kind {
  IST_IMPORT_HOST,   /* `memory` is a host address */
  IST_IMPORT_ADDRESS /* `memory` is an address on this device already, from
                        the vendor's own API: checked, if that is possible */
} ist_import_kind;

typedef struct ist_import {
  size_t struct_size;
  ist_import_kind kind;
  uint32_t read_only; /* 1: the device will not write it */
  uint64_t memory, bytes;
} ist_import;

/* --- code ----------------------------------------------------------------- */

typedef struct ist_module_options {
  size_t struct_size;
  const char *format; /* "elf", "ptx", "hsaco", "spirv" */
  const char *key; /* names the code's content, for the host's cache; or NULL */
} ist_module_options;

/* A kernel's arguments are one blob; its params say what lies where. */
typedef enum ist_arg_kind {
  IST_ARG_ADDRESS, /* 8 bytes: a device address; of a tensor without elements,
                      any below 4096 */
  IST_ARG_SCALAR,  /* 8 bytes: a 64-bit integer */
  IST_ARG_BYTES,   /* `size` bytes as they are */
  IST_ARG_TILE     /* 8 bytes: index into the launch's tiles; see "tile_desc" */
} ist_arg_kind;

typedef struct ist_arg {
  ist_arg_kind kind;
  uint32_t offset, size;
} ist_arg;

/* What the artifact says of a kernel. */
typedef struct ist_kernel_desc {
  size_t struct_size;
  const char *name; /* the code's symbol */
  const ist_arg *args;
  size_t arg_count;
  uint32_t args_bytes;     /* of the blob */
  uint32_t block;          /* lanes of a workgroup; 1 where there are none */
  uint32_t static_shared;  /* bytes of workgroup memory in the code */
  uint32_t dynamic_shared; /* the most a launch adds to that */
} ist_kernel_desc;

/* --- commands ------------------------------------------------------------- */

/* Memory that a command touches: IST_ACCESS_READ, _WRITE or _READWRITE. */
typedef struct ist_range {
  uint64_t address, bytes;
  ist_access access;
  uint32_t reserved; /* 0 */
} ist_range;

/* A box of a tensor that kernels copy as a whole, told to the device ahead
   (the extension "tile_desc"). Dims and strides go from the innermost on. */
enum { IST_TILE_MAX_RANK = 5 };
typedef enum ist_tile_swizzle {
  IST_TILE_SWIZZLE_NONE,
  IST_TILE_SWIZZLE_32, /* bytes of a row of the box, in workgroup memory */
  IST_TILE_SWIZZLE_64,
  IST_TILE_SWIZZLE_128
} ist_tile_swizzle;
typedef struct ist_tile {
  uint64_t address;
  uint64_t dims[IST_TILE_MAX_RANK];    /* of the tensor, in elements */
  uint64_t strides[IST_TILE_MAX_RANK]; /* in bytes; [0] is an element's */
  uint32_t box[IST_TILE_MAX_RANK];     /* elements of the box */
  uint32_t rank;
  ist_dtype dtype;
  ist_tile_swizzle swizzle;
  uint64_t reserved[4]; /* 0 */
} ist_tile;

typedef struct ist_launch {
  size_t struct_size;
  const ist_driver_kernel *kernel;
  uint64_t grid;    /* workgroups; 0 is a no-op */
  uint32_t block;   /* as the kernel's */
  uint32_t cluster; /* workgroups that are scheduled together; 0: no such */
  uint32_t dynamic_shared; /* bytes */
  uint32_t args_bytes;     /* as the kernel's */
  const void *args;        /* 8-byte aligned; copied before launch returns */
  /* All memory it may touch but the code, each within one allocation or
     import: for residency, hazards, checks. */
  const ist_range *ranges;
  size_t range_count;
  /* What its arguments of kind TILE name; copied. None without "tile_desc". */
  const ist_tile *tiles;
  size_t tile_count;
} ist_launch;

/* Semaphore `semaphore` having reached `value`. */
typedef struct ist_driver_point {
  ist_driver_semaphore *semaphore;
  uint64_t value;
} ist_driver_point;

/* A place in a queue's order: what comes later, and `signals`, begin after all
   `waits`; `signals` are raised once everything before has run and is visible
   to the host and to other queues.
   Work that fails on the device fails the signals of the next submit on its
   queue that has any, and those alone; what lies between may not have run.
   Having waited for a failed value is such a failure too. */
typedef struct ist_driver_submit {
  size_t struct_size;
  /* Each value was already submitted (to some queue, before) or signalled: a
     driver never waits for what may not come. */
  const ist_driver_point *waits;
  size_t wait_count;
  /* Each value is larger than any given for its semaphore before. */
  const ist_driver_point *signals;
  size_t signal_count;
  /* How many commands the queue had been given by now, as whoever gives them
     counts; rises. Of work that fails the driver can then say which may have
     been: those behind the last submit that is known to have ended. 0: not
     told, as to all devices but IST_DEVICE_TELLS_COMMANDS. */
  uint64_t commands;
} ist_driver_submit;

/* --- the table ------------------------------------------------------------ */

typedef struct ist_driver {
  size_t struct_size;
  const char *name;    /* "cpu": the part of a device's name before the colon */
  const char *vendor;  /* whose variants it runs: the target's part before the
                          colon: "cpu", "nvidia" */
  const char *formats; /* code it loads, comma-separated: "elf" */

  /* Identifies up to `capacity` devices and sets `count` to how many there are.
     Without the vendor's library: UNAVAILABLE, with the reason. Opens nothing
     that costs. */
  int (*enumerate)(const ist_host *host, ist_identity *identities,
                   uint32_t capacity, uint32_t *count, ist_error *error);
  /* `native` may be NULL. A device may be open more than once. */
  int (*open)(const ist_host *host, uint32_t index, const ist_native *native,
              ist_driver_device **out, ist_error *error);
  void (*close)(ist_driver_device *device); /* everything made on it is gone */
  int (*describe)(ist_driver_device *device, ist_description *out,
                  ist_error *error);
  int (*mem_info)(ist_driver_device *device, uint64_t *available,
                  uint64_t *total, ist_error *error);
  /* A table of further functions, declared below with its name, that lives as
     long as the device. NULL: the core does without. */
  const void *(*extension)(ist_driver_device *device, const char *name);

  /* `bytes` > 0. Contents are undefined. RESOURCE_EXHAUSTED: says requested and
     available. */
  int (*alloc)(ist_driver_device *device, ist_memory_kind kind, uint64_t bytes,
               ist_driver_memory *out, ist_error *error);
  /* No command that touches it is still to run. */
  void (*free)(ist_driver_device *device, ist_driver_memory *memory);
  /* Makes memory addressable for as long as the import lives; ended by free,
     which leaves the memory itself alone. UNAVAILABLE: not this memory; the
     core then copies. */
  int (*import)(ist_driver_device *device, const ist_import *import,
                ist_driver_memory *out, ist_error *error);

  /* Queues run in order. What a queue was given may begin before submit, and
     has run once a semaphore signalled by a submit after it has its value. */
  int (*queue_create)(ist_driver_device *device, const ist_native *native,
                      ist_driver_queue **out, ist_error *error);
  /* Idle, unless a function failed on it: then what runs is waited for, and
     what was not submitted is dropped. */
  void (*queue_destroy)(ist_driver_queue *queue);
  /* The ranges do not overlap. Host memory must be imported. 0 bytes, here and
     in fill, are a no-op whatever the addresses. */
  int (*copy)(ist_driver_queue *queue, uint64_t to, uint64_t from,
              uint64_t bytes, ist_error *error);
  int (*fill)(ist_driver_queue *queue, uint64_t to, uint8_t value,
              uint64_t bytes, ist_error *error);
  int (*launch)(ist_driver_queue *queue, const ist_launch *launch,
                ist_error *error);
  int (*submit)(ist_driver_queue *queue, const ist_driver_submit *submit,
                ist_error *error);

  /* Timeline semaphores begin at 0 and only rise. */
  int (*semaphore_create)(ist_driver_device *device, ist_driver_semaphore **out,
                          ist_error *error);
  /* Nobody waits for it, and nothing is left that will signal it. */
  void (*semaphore_destroy)(ist_driver_semaphore *semaphore);
  /* Query, for the value reached last, and wait give the failure of the work
     that a value stood for, when the device can tell: code and message as for
     any function. A failed value counts as reached. */
  int (*semaphore_query)(ist_driver_semaphore *semaphore, uint64_t *value,
                         ist_error *error);
  /* From the host, now. */
  int (*semaphore_signal)(ist_driver_semaphore *semaphore, uint64_t value,
                          ist_error *error);
  /* For a value that somebody may yet give, too. DEADLINE_EXCEEDED after
     `timeout_ns`; UINT64_MAX waits for ever. */
  int (*semaphore_wait)(ist_driver_semaphore *semaphore, uint64_t value,
                        uint64_t timeout_ns, ist_error *error);

  /* `code` is untrusted as a container (DATA_LOSS when malformed); what it does
     when it runs is trusted. It stays readable until module_unload.
     UNAVAILABLE: not for this device (or in no format of its driver's), with
     the reason. */
  int (*module_load)(ist_driver_device *device, const void *code, size_t size,
                     const ist_module_options *options, ist_driver_module **out,
                     ist_error *error);
  void (*module_unload)(ist_driver_module *module);
  /* Makes the kernel ready to launch: nothing is left for the first one.
     Lives as long as the module. DATA_LOSS: the code has no such kernel. */
  int (*kernel_get)(ist_driver_module *module, const ist_kernel_desc *desc,
                    const ist_driver_kernel **out, ist_error *error);

  /* The plug-in's next table, or NULL: a plug-in for several vendors' code has
     one for each. Tables may have one name when their vendors differ; all but
     one of them name their devices. */
  const struct ist_driver *next;
} ist_driver;

/* --- extensions ----------------------------------------------------------- */

/* Recorded commands, replayed in one call. Without it the core gives the
   commands one by one. */
#define IST_EXTENSION_RECORDING "recording"

typedef enum ist_patch_field {
  IST_PATCH_ARGS, /* bytes of a launch's blob */
  IST_PATCH_TO,   /* 8 bytes: where a copy or fill writes */
  IST_PATCH_FROM, /* 8 bytes: where a copy reads */
  IST_PATCH_TILE  /* an ist_tile of a launch; `offset` is its index */
} ist_patch_field;

/* Overwrites a part of a recorded command, for this replay and later ones. */
typedef struct ist_patch {
  uint32_t command; /* counted from 0 since begin */
  ist_patch_field field;
  uint32_t offset, size; /* within the blob, for IST_PATCH_ARGS */
  const void *data;
} ist_patch;

typedef struct ist_recording_extension {
  size_t struct_size;
  /* Between the two, copy, fill and launch on `queue` are kept, not run; there
     is no submit. Ranges of a launch are those at the time of recording: a
     driver that checks them follows the patches. */
  int (*begin)(ist_driver_queue *queue, ist_error *error);
  /* A failed command in between fails `end` as well, with no recording. */
  int (*end)(ist_driver_queue *queue, ist_driver_recording **out,
             ist_error *error);
  /* Of any queue of the device, one at a time. */
  int (*replay)(ist_driver_queue *queue, ist_driver_recording *recording,
                const ist_patch *patches, size_t patch_count, ist_error *error);
  void (*destroy)(ist_driver_recording *recording); /* none of it is running */
} ist_recording_extension;

/* What launches cost, counted by the device since it was opened or reset: for
   simulators, and devices with counters. */
#define IST_EXTENSION_COUNTERS "counters"

typedef struct ist_counters_extension {
  size_t struct_size;
  /* Calls `visit` for each counter of each kernel that ran, a kernel's one
     after the other, "launches" first. Names are the driver's. */
  void (*visit)(ist_driver_device *device,
                void (*visit)(void *user, const char *kernel,
                              const char *counter, uint64_t value),
                void *user);
  void (*reset)(ist_driver_device *device);
} ist_counters_extension;

/* Whether somebody records what a queue is given, as a caller may do with his
   own: then it does not run, and nothing may be waited for. Without it the core
   takes that for impossible. */
#define IST_EXTENSION_CAPTURE "capture"

typedef struct ist_capture_extension {
  size_t struct_size;
  /* `out` is 1 or 0. */
  int (*capturing)(ist_driver_queue *queue, uint32_t *out, ist_error *error);
} ist_capture_extension;

/* The vendor's own objects behind the driver's, of the kinds that open and
   queue_create take over: valid as long as the driver's, who ends them. Device
   addresses are the vendor's own everywhere, and need no export. */
#define IST_EXTENSION_NATIVE "native"

typedef struct ist_native_extension {
  size_t struct_size;
  /* The context. UNAVAILABLE: the vendor has no such thing. */
  int (*device)(ist_driver_device *device, ist_native *out, ist_error *error);
  /* Work given to it comes in the queue's order. */
  int (*queue)(ist_driver_queue *queue, ist_native *out, ist_error *error);
} ist_native_extension;

/* Memory that comes and goes in a queue's order, without waiting. The core's
   sessions take theirs from it; without it, from alloc, and wait before they
   give any back. */
#define IST_EXTENSION_POOL "pool"

typedef struct ist_pool_extension {
  size_t struct_size;
  /* As the table's alloc of device memory; for commands that `queue` is given
     from now on, and for all once those before have run. */
  int (*alloc)(ist_driver_queue *queue, uint64_t bytes, ist_driver_memory *out,
               ist_error *error);
  /* Of memory of this extension's: once what `queue` was given has run. The
     table's free ends it as well, at once. */
  int (*free)(ist_driver_queue *queue, ist_driver_memory *memory,
              ist_error *error);
} ist_pool_extension;

/* Copies between devices of one driver without the host. Without it, and
   between drivers, the core copies through host memory. */
#define IST_EXTENSION_PEER "peer"

typedef struct ist_peer_extension {
  size_t struct_size;
  /* To memory of `queue`'s device, in that queue's order, from memory of `from`.
     UNAVAILABLE: not between these two. */
  int (*copy)(ist_driver_queue *queue, uint64_t to, ist_driver_device *from,
              uint64_t from_address, uint64_t bytes, ist_error *error);
} ist_peer_extension;

/* When commands ran, by the device's clock. Without it the core's profiles are
   the host's time. */
#define IST_EXTENSION_TIMESTAMP "timestamp"
typedef struct ist_driver_timestamp ist_driver_timestamp;

typedef struct ist_timestamp_extension {
  size_t struct_size;
  int (*create)(ist_driver_device *device, ist_driver_timestamp **out,
                ist_error *error);
  void (*destroy)(ist_driver_timestamp *timestamp); /* none is under way */
  /* Takes the time when all that `queue` was given before has run. Again only
     after that. */
  int (*record)(ist_driver_queue *queue, ist_driver_timestamp *timestamp,
                ist_error *error);
  /* Nanoseconds from one to the other, which were recorded in one queue and
     have been reached. */
  int (*elapsed)(ist_driver_timestamp *begin, ist_driver_timestamp *end,
                 uint64_t *nanoseconds, ist_error *error);
} ist_timestamp_extension;

/* Launches with tiles, and kernels with arguments of kind TILE. The driver makes
   the vendor's descriptor of each (CUDA: a tensor map), and makes it again when
   a patch changes the address or a dim. */
#define IST_EXTENSION_TILE "tile_desc"

typedef struct ist_tile_extension {
  size_t struct_size;
  /* INVALID_ARGUMENT: the device takes no such descriptor, with the reason. */
  int (*check)(ist_driver_device *device, const ist_tile *tile,
               ist_error *error);
} ist_tile_extension;

/* --- plug-ins ------------------------------------------------------------- */

/* A plug-in is a shared library that exports, under the name ist_driver_entry,
   a function of this type. It gives a table that lives as long as the library,
   or NULL with `error` filled when it cannot serve `abi`. */
typedef const ist_driver *(*ist_driver_entry_fn)(uint32_t abi,
                                                 ist_error *error);
#define IST_DRIVER_ENTRY "ist_driver_entry"

/* --- for implementers ----------------------------------------------------- */

/* Whether `input` (whose first member is its struct_size) says nothing that a
   struct of `known` bytes cannot hold: no tail, or one of zeros. */
static inline int ist_tail_is_zero(const void *input, size_t known) {
  size_t size = *(const size_t *)input;
  const unsigned char *p = (const unsigned char *)input;
  for (size_t i = known; i < size; ++i)
    if (p[i])
      return 0;
  return 1;
}

/* Whether a struct that somebody else filled has `member`. */
#define IST_HAS(pointer, type, member)                                         \
  ((pointer)->struct_size >= offsetof(type, member) + sizeof((pointer)->member))

#ifdef __cplusplus
}
#endif

#endif /* ISTHMUS_DRIVER_H */
