//===- queue.cpp - queues and their commands ------------------------------===//
#include "stream.h"

using namespace isthmus;
using namespace isthmus::stream;

int stream::queueCreate(ist_driver_device *device, const ist_native *native,
                        ist_driver_queue **out, ist_error *error) {
  Device *d = of(device);
  if (ist_status s = d->alive(error))
    return s;
  if (native)
    if (ist_status s = checkNative(*d, *native, d->ops->queueKind, error))
      return s;
  Queue *q = make<Queue>();
  if (!q)
    return outOfMemory(error, sizeof *q, "a queue");
  q->device = d;
  q->native = native != nullptr;
  Entered entered(*d);
  if (ist_status s = entered.ok(error)) {
    destroy(q);
    return s;
  }
  if (int s = d->ops->streamOpen(*d, native, &q->stream, error)) {
    destroy(q);
    return s;
  }
  Guard guard(*d);
  // Never 0, and never used again: queues may share an address in time.
  q->serial = ++d->serial;
  *out = reinterpret_cast<ist_driver_queue *>(q);
  return IST_OK;
}

/// Memory may go once the queue has: nothing is left undone for one failure.
static void drain(Queue &q, const Entered &entered) {
  Device &d = *q.device;
  if (!entered.code) {
    d.ops->streamDrain(d, q.stream);
    return;
  }
  Entered again(d);
  if (!again.code)
    d.ops->streamDrain(d, q.stream);
}

void stream::queueDestroy(ist_driver_queue *queue) {
  Queue *q = of(queue);
  Device &d = *q->device;
  {
    Entered entered(d);
    // Ours may be in use still, where a wait failed; the caller's is the
    // caller's, unless we left it in the middle, or nobody saw our work end.
    bool ended;
    {
      Guard guard(d);
      ended = !q->last || q->last->done;
    }
    if (q->failed || !q->native || !ended)
      drain(*q, entered);
    d.ops->streamClose(d, q->stream);
    Guard guard(d);
    if (q->last)
      release(d, q->last);
    for (Event *e : q->waited)
      release(d, e);
  }
  destroyRecording(q->recording);
  std::free(q->failure);
  std::free(q->recordingFailure);
  destroy(q);
}

/// Gives `c` to the stream, or to the recording that is being made.
static int give(Queue &q, const Command &c, ist_error *error) {
  if (q.recording)
    return record(q, c, error);
  Device &d = *q.device;
  if (ist_status s = d.alive(error))
    return s;
  if (c.empty())
    return IST_OK;
  Entered entered(d, /*commands=*/true);
  if (ist_status s = entered.ok(error)) {
    q.failed = true;
    return s;
  }
  Code code = 0;
  ist_status s = IST_OK;
  switch (c.kind) {
  case Command::copy:
    if ((code = d.ops->copy(d, q.stream, c)))
      s = d.failed(code, error, "copying %llu bytes from 0x%llx to 0x%llx",
                   ull(c.bytes), ull(c.from), ull(c.to));
    break;
  case Command::fill:
    if ((code = d.ops->fill(d, q.stream, c)))
      s = d.failed(code, error, "filling %llu bytes at 0x%llx", ull(c.bytes),
                   ull(c.to));
    break;
  case Command::launch:
    if ((code = d.ops->launch(d, q.stream, c)))
      s = d.failed(code, error,
                   "launching kernel '%.100s' over %llu workgroups of %u",
                   c.kernel->name, ull(c.grid), c.kernel->block);
    break;
  }
  if (s)
    q.failed = true;
  return s;
}

int stream::copy(ist_driver_queue *queue, uint64_t to, uint64_t from,
                 uint64_t bytes, ist_error *error) {
  Command c = {};
  c.kind = Command::copy;
  c.to = to;
  c.from = from;
  c.bytes = bytes;
  return give(*of(queue), c, error);
}

int stream::fill(ist_driver_queue *queue, uint64_t to, uint8_t value,
                 uint64_t bytes, ist_error *error) {
  Command c = {};
  c.kind = Command::fill;
  c.to = to;
  c.value = value;
  c.bytes = bytes;
  return give(*of(queue), c, error);
}

static ist_status check(const Device &d, const ist_launch *launch,
                        ist_error *error) {
  if (ist_status s = known(d, *launch, "launch", error))
    return s;
  const Kernel *k = of(launch->kernel);
  if (launch->args_bytes != k->argsBytes || launch->block != k->block)
    return fail(error, IST_INVALID_ARGUMENT,
                "kernel '%.100s' takes %u bytes of arguments in workgroups of "
                "%u and was launched with %u and %u",
                k->name, k->argsBytes, k->block, launch->args_bytes,
                launch->block);
  if (launch->dynamic_shared > k->dynamicShared)
    return fail(error, IST_INVALID_ARGUMENT,
                "kernel '%.100s' was made for %u bytes of dynamic workgroup "
                "memory and launched with %u",
                k->name, k->dynamicShared, launch->dynamic_shared);
  if (k->tiles && !IST_HAS(launch, ist_launch, tile_count))
    return fail(error, IST_INVALID_ARGUMENT,
                "kernel '%.100s' takes tiles and was launched with none",
                k->name);
  if (launch->grid > d.description.max_grid)
    return fail(error, IST_INVALID_ARGUMENT,
                "kernel '%.100s' was launched over %llu workgroups; %s:%u "
                "takes %llu",
                k->name, ull(launch->grid), d.driver, d.index,
                ull(d.description.max_grid));
  return IST_OK;
}

int stream::launch(ist_driver_queue *queue, const ist_launch *launch,
                   ist_error *error) {
  Queue &q = *of(queue);
  if (ist_status s = check(*q.device, launch, error)) {
    spoilRecording(q, *error);
    return s;
  }
  Command c = {};
  c.kind = Command::launch;
  c.kernel = of(launch->kernel);
  c.grid = launch->grid;
  c.cluster = launch->cluster;
  c.dynamicShared = launch->dynamic_shared;
  c.args = launch->args;
  if (!c.kernel->tiles)
    return give(q, c, error);
  c.tiles = launch->tiles;
  c.tileCount = launch->tile_count;
  alignas(64) char descriptors[kMaxTiles * kDescriptorBytes];
  c.descriptors = descriptors;
  if (ist_status s = encodeTiles(*q.device, c, descriptors, error)) {
    spoilRecording(q, *error);
    return s;
  }
  return give(q, c, error);
}
