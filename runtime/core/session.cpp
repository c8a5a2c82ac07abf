//===- session.cpp - what one call at a time needs ------------------------===//
#include "session.h"

using namespace isthmus;

ist_session::Shape::~Shape() {
  for (Recorded &r : recorded)
    destroy(r.recording);
}

ist_session::~ist_session() {
  if (device) {
    if (flies) {
      async::abandon(flights);
      async::drain(flights, true, UINT64_MAX);
    }
    recycle();
    bool capturing = false;
    if (loose && queue && !device->capturing(queue, &capturing, nullptr) &&
        capturing)
      loose = false; // it cannot be waited for
    if (timeline)
      settle(UINT64_MAX, nullptr);
    for (Shape *s : shapes)
      destroy(s);
    for (ist_driver_timestamp *t : stamps)
      device->timestampDestroy(t);
    // After a failure it waits for what runs.
    memory.queue = nullptr;
    device->queueDestroy(queue);
    release(timeline);
    if (flies)
      async::removeUser();
    for (Frame *list : {frames, late})
      while (Frame *f = list) {
        list = f->next;
        memory.free(&f->words);
        for (Operand &o : f->operands) {
          if (o.block != kNoBlock)
            pool.release(o.block);
          if (o.staging != kNoBlock)
            staging.release(o.staging);
        }
        destroy(f);
      }
    for (Block &b : outputBlocks)
      b.pool->release(b.block);
    pool.trim();
    staging.trim();
    if (!callersArena)
      memory.free(&arena);
    for (ist_driver_memory &m : capturedArenas)
      memory.free(&m);
    for (Binding &b : bindings) {
      std::free(b.name);
      memory.free(&b.owned);
    }
    memory.account.close();
  }
  if (program)
    ist_program_release(program);
}

ist_status ist_session::create(ist_program *p,
                               const ist_session_options &options,
                               ist_error *error) {
  if (!p->device)
    return fail(error, IST_UNAVAILABLE,
                "the program was loaded without a device, for queries only; "
                "load it with one");
  if (options.reserved)
    return fail(error, IST_UNIMPLEMENTED,
                "ist_session_options.reserved must be 0");
  if (options.arena &&
      reinterpret_cast<uint64_t>(options.arena) % kAlignment != 0)
    return fail(error, IST_INVALID_ARGUMENT,
                "the session's arena is at %p, which is not aligned to %u",
                options.arena, kAlignment);
  const ist_allocator *a = options.allocator;
  if (a && (!a->allocate || !a->deallocate))
    return fail(error, IST_INVALID_ARGUMENT,
                "the session's allocator has no allocate or no deallocate");
  __atomic_fetch_add(&p->references, 1, __ATOMIC_RELAXED);
  program = p;
  device = p->device;
  memory.device = device;
  memory.account.open(device, "a session", text(p->manifest->model()));
  memory.limit = options.memory_limit;
  if (a)
    memory.allocator = *a;
  pool.init(&memory, IST_MEMORY_KIND_DEVICE);
  staging.init(&memory, IST_MEMORY_KIND_HOST_VISIBLE);
  noRecordings = options.no_recordings || device->checking;
  nativeKind = options.native_kind;
  native = options.native;
  if (options.arena) {
    callersArena = true;
    arena.address = reinterpret_cast<uint64_t>(options.arena);
    arena.bytes = options.arena_bytes;
  }
  uint32_t launches = 0;
  for (uint32_t i = 0; i < p->functionCount(); ++i)
    if (count(p->function(i)->launches()) > launches)
      launches = count(p->function(i)->launches());
  wordBytes = 64 + 4 * launches;
  if (ist_status s = ready(error))
    return s;
  // The first call finds one ready.
  Frame *f;
  if (ist_status s = takeFrame(&f, error))
    return s;
  giveFrame(f);
  return IST_OK;
}

ist_status ist_session::ready(ist_error *error) {
  if (!queue) {
    if (ist_status s = device->queueCreate(nativeKind, native, &queue, error))
      return s;
    given = 0;
    memory.queue = queue;
  }
  if (timeline)
    return IST_OK;
  Timeline *t = make<Timeline>();
  if (!t)
    return outOfMemory(error, sizeof *t, "a queue");
  if (ist_status s = device->semaphoreCreate(&t->semaphore, error)) {
    destroy(t);
    return s;
  }
  device->retain();
  t->device = device;
  t->references = 1;
  timeline = t;
  submitted = settled = 0;
  return IST_OK;
}

ist_status ist_session::takeFrame(Frame **out, ist_error *error) {
  if (frames) {
    *out = frames;
    frames = frames->next;
    (*out)->inFlight = {};
    return IST_OK;
  }
  Frame *f = make<Frame>();
  if (!f)
    return outOfMemory(error, sizeof(Frame), "a call");
  if (ist_status s = memory.alloc(IST_MEMORY_KIND_HOST_VISIBLE, wordBytes,
                                  "error words", &f->words, error)) {
    destroy(f);
    return s;
  }
  *out = f;
  return IST_OK;
}

void ist_session::giveFrame(Frame *f) {
  for (Buffer &x : f->b)
    if (x.at.address && x.block != kNoBlock)
      pool.release(x.block);
  f->b.clear();
  for (Operand &o : f->operands) {
    if (o.value.at.address && o.value.block != kNoBlock)
      pool.release(o.value.block);
    if (o.block != kNoBlock)
      pool.release(o.block);
    if (o.staging != kNoBlock)
      staging.release(o.staging);
  }
  f->operands.clear();
  f->next = frames;
  frames = f;
}

ist_status ist_session::wait(uint64_t deadline, ist_error *error) {
  bump(counters.hostWaits);
  if (device->synchronous())
    return IST_OK;
  if (ist_status s = device->submit(queue, timeline->semaphore, submitted + 1,
                                    error, given))
    return s;
  ++submitted;
  uint64_t timeout = UINT64_MAX;
  if (deadline != UINT64_MAX) {
    uint64_t now = nowNs();
    timeout = now < deadline ? deadline - now : 0;
  }
  if (ist_status s =
          device->semaphoreWait(timeline->semaphore, submitted, timeout, error))
    return s;
  settled = submitted;
  loose = false;
  return IST_OK;
}

ist_status ist_session::settle(uint64_t deadline, ist_error *error) {
  if (memory.frozen && (settled < submitted || loose || late))
    return fail(error, IST_UNAVAILABLE,
                "calls before this one are to be waited for, and the queue is "
                "being captured");
  // Of a value of its own: the last one may be that of a call that failed.
  if (settled < submitted || loose)
    if (ist_status s = wait(deadline, error)) {
      if (s == IST_DEADLINE_EXCEEDED)
        return s;
      recover();
    }
  while (Frame *f = late) {
    late = f->next;
    giveFrame(f);
  }
  return IST_OK;
}

void ist_session::recover() {
  // The failure may be that of the work, which has ended then: the next value
  // does not fail with it.
  ist_error ignored;
  for (int i = 0; i < 2; ++i)
    if (queue && timeline && wait(UINT64_MAX, &ignored) == IST_OK)
      return;
  // Else only the queue's end says that nothing runs any more.
  device->queueDestroy(queue);
  queue = memory.queue = nullptr;
  loose = false;
  if (flies)
    async::failIssued(flights, ignored.code, ignored.message);
  release(timeline);
  timeline = nullptr;
  submitted = settled = 0;
}

void ist_session::trim() {
  if (captured)
    return;
  pool.trim();
  staging.trim();
}

ist_status ist_session::growArena(uint64_t bytes, ist_error *error) {
  if (bytes <= arena.bytes)
    return IST_OK;
  if (callersArena)
    return fail(error, IST_RESOURCE_EXHAUSTED,
                "the caller's arena has %llu bytes; ist_program_memory_need "
                "tells how many it needs",
                ull(arena.bytes));
  if (memory.frozen) // says why
    return memory.alloc(IST_MEMORY_KIND_DEVICE, bytes, "transients", &arena,
                        error);
  bool recorded = false;
  for (Shape *s : shapes)
    for (Recorded &r : s->recorded)
      recorded |= r.recording != nullptr;
  // What was given to the device still uses the old one; of a pool it goes in
  // the queue's order.
  if (!device->pool || recorded || callersAllocator())
    if (ist_status s = settle(UINT64_MAX, error))
      return s;
  for (Shape *s : shapes)
    for (Recorded &r : s->recorded)
      drop(r);
  if (!captured)
    memory.free(&arena);
  else if (arena.bytes && !capturedArenas.push(arena))
    return outOfMemory(error, sizeof arena, "an arena");
  arena = {};
  trim();
  return memory.alloc(IST_MEMORY_KIND_DEVICE, bytes, "transients", &arena,
                      error);
}

void ist_session::drop(Recorded &r) {
  if (r.recording)
    settle(UINT64_MAX, nullptr); // it may be under way
  destroy(r.recording);
  r.recording = nullptr;
}

ist_status ist_session::shape(uint32_t function, const int64_t *symbols,
                              Shape **out, ist_error *error) {
  const fb::Function &f = *program->function(function);
  uint32_t n = count(f.symbols());
  Shape *oldest = nullptr;
  for (Shape *s : shapes) {
    if (s->function == function &&
        (n == 0 ||
         std::memcmp(s->symbols.data(), symbols, n * sizeof *symbols) == 0)) {
      s->lastUse = ++clock;
      *out = s;
      return IST_OK;
    }
    if (!oldest || s->lastUse < oldest->lastUse)
      oldest = s;
  }
  if (memory.frozen && oldest && shapes.size() >= mostShapes)
    return fail(error, IST_UNAVAILABLE,
                "too many sets of sizes are in use for another while the queue "
                "is being captured; call ist_session_prepare before");
  Shape *s = make<Shape>();
  if (!s || !s->symbols.resize(n)) {
    destroy(s);
    return outOfMemory(error, sizeof(Shape), "a memory plan");
  }
  s->function = function;
  s->lastUse = ++clock;
  if (n)
    std::memcpy(s->symbols.data(), symbols, n * sizeof *symbols);
  ist_status status = makePlan(*program->program, f, symbols, &s->plan, error);
  if (!status && shapes.size() < mostShapes && !shapes.push(s))
    status = outOfMemory(error, sizeof s, "a memory plan");
  else if (!status && shapes.back() != s)
    for (Shape *&place : shapes)
      if (place == oldest) {
        for (Recorded &r : oldest->recorded)
          drop(r);
        destroy(oldest);
        place = s;
        break;
      }
  if (status) {
    destroy(s);
    return status;
  }
  *out = s;
  return IST_OK;
}

ist_session::Recorded *ist_session::recorded(Shape &shape,
                                             const Array<uint64_t> &classes) {
  Recorded *oldest = &shape.recorded[0];
  for (Recorded &r : shape.recorded) {
    if (r.lastUse && r.classes.size() == classes.size() &&
        (classes.empty() || std::memcmp(r.classes.data(), classes.data(),
                                        classes.size() * 8) == 0)) {
      r.lastUse = ++clock;
      return &r;
    }
    if (r.lastUse < oldest->lastUse)
      oldest = &r;
  }
  if (!oldest->classes.resize(classes.size()))
    return nullptr;
  for (size_t i = 0; i < classes.size(); ++i)
    oldest->classes[i] = classes[i];
  drop(*oldest);
  oldest->sights = 0;
  oldest->ever = false;
  oldest->lastUse = ++clock;
  return oldest;
}

uint32_t ist_session::profileBase(uint32_t function) const {
  uint32_t base = 0;
  for (uint32_t i = 0; i < function; ++i)
    base += count(program->function(i)->launches());
  return base;
}

extern "C" {

ist_status ist_session_create(ist_program *program,
                              const ist_session_options *options,
                              ist_session **out, ist_error *error) {
  if (!program || !out)
    return fail(error, IST_INVALID_ARGUMENT,
                "ist_session_create: program or out is NULL");
  *out = nullptr;
  ist_session_options known = IST_SESSION_OPTIONS_INIT;
  if (ist_status s = readOptions(options, &known, "ist_session_options", error))
    return s;
  ist_session *session = make<ist_session>();
  if (!session)
    return outOfMemory(error, sizeof(ist_session), "a session");
  if (ist_status s = session->create(program, known, error)) {
    destroy(session);
    return s;
  }
  *out = session;
  return IST_OK;
}

void ist_session_destroy(ist_session *session) { destroy(session); }

void ist_session_cancel(ist_session *session) {
  if (__atomic_load_n(&session->flies, __ATOMIC_ACQUIRE))
    async::cancel(session->flights);
  __atomic_store_n(&session->cancelled, true, __ATOMIC_RELAXED);
}

void ist_session_set_timeout(ist_session *session, uint64_t nanoseconds) {
  session->timeoutNs = nanoseconds;
}

void ist_session_get_counters(const ist_session *session,
                              ist_session_counters *out) {
  const ist_session::Counters &c = session->counters;
  // The runtime's thread may be in the session.
  auto get = [](const uint64_t &v) {
    return __atomic_load_n(&v, __ATOMIC_RELAXED);
  };
  ist_session_counters all = {
      out->struct_size,         get(c.calls),
      get(c.replays),           get(c.recordings),
      get(c.reRecords),         get(c.hostWaits),
      get(c.launches),          get(session->memory.bytes),
      get(session->memory.high)};
  // A later header's members are zero here.
  size_t n = out->struct_size, mine = sizeof all;
  if (n > mine)
    std::memset(reinterpret_cast<char *>(out) + mine, 0, n - mine);
  std::memcpy(out, &all, n < mine ? n : mine);
}

ist_status ist_session_set_profiling(ist_session *session, int32_t enabled,
                                     ist_error *error) {
  if (ist_status s = session->own(error))
    return s;
  uint32_t n = session->profileBase(session->program->functionCount());
  session->profile.clear();
  if (enabled && !session->profile.resize(n))
    return outOfMemory(error, n * sizeof(ist_session::Profile), "a profile");
  session->profiling = enabled;
  return IST_OK;
}

ist_status ist_session_profile(const ist_session *session, uint32_t function,
                               uint32_t launch, ist_launch_profile *out,
                               ist_error *error) {
  if (!session->profiling)
    return fail(error, IST_INVALID_ARGUMENT,
                "profiling is off; ist_session_set_profiling turns it on");
  if (function >= session->program->functionCount() ||
      launch >= count(session->program->function(function)->launches()))
    return fail(error, IST_NOT_FOUND, "there is no launch %u of function %u",
                launch, function);
  const auto &p = session->profile[session->profileBase(function) + launch];
  *out = {p.count, p.nanoseconds};
  return IST_OK;
}

ist_status ist_session_launch_work(const ist_session *session,
                                   uint32_t function, uint32_t launch,
                                   ist_work *out, ist_error *error) {
  ist_launch_profile known;
  if (ist_status s =
          ist_session_profile(session, function, launch, &known, error))
    return s;
  *out = session->profile[session->profileBase(function) + launch].work;
  return IST_OK;
}
}
