//===- session.cpp - what one call at a time needs
//-------------------------===//
#include "session.h"
#include "verify.h"

using namespace isthmus;

ist_session::~ist_session() {
  if (device) {
    device->semaphoreDestroy(done);
    device->queueDestroy(queue);
    for (uint32_t block : outputBlocks)
      pool.release(block);
    pool.trim();
    device->free(&arena);
    device->free(&words);
  }
  for (Cached *c : plans)
    destroy(c);
  if (program)
    ist_program_release(program);
}

ist_status ist_session::create(ist_program *p, ist_error *error) {
  if (!p->device)
    return fail(error, IST_UNAVAILABLE,
                "the program was loaded without a device, for queries only; "
                "load it with one");
  __atomic_fetch_add(&p->references, 1, __ATOMIC_RELAXED);
  program = p;
  device = p->device;
  pool.init(device);
  uint32_t launches = 0;
  for (uint32_t i = 0; i < p->functionCount(); ++i)
    if (count(p->function(i)->launches()) > launches)
      launches = count(p->function(i)->launches());
  if (!plans.resize(p->functionCount()))
    return outOfMemory(error, p->functionCount() * sizeof(Cached *),
                       "a session");
  if (ist_status s = device->queueCreate(&queue, error))
    return s;
  if (ist_status s = device->semaphoreCreate(&done, error))
    return s;
  return device->alloc(IST_MEMORY_KIND_HOST_VISIBLE, 64 + 4ull * launches,
                       &words, error);
}

ist_status ist_session::wait(ist_error *error) {
  if (ist_status s = device->submit(queue, done, ++submitted, error))
    return s;
  return device->semaphoreWait(done, submitted, error);
}

ist_status ist_session::plan(uint32_t function, const int64_t *symbols,
                             const Plan **out, ist_error *error) {
  const fb::Function &f = *program->function(function);
  if (!plans[function] && !(plans[function] = make<Cached>()))
    return outOfMemory(error, sizeof(Cached), "a memory plan");
  Cached &c = *plans[function];
  uint32_t n = count(f.symbols());
  bool same = c.valid;
  for (uint32_t i = 0; i < n && same; ++i)
    same = c.symbols[i] == symbols[i];
  if (!same) {
    c.valid = false;
    if (!c.symbols.resize(n))
      return outOfMemory(error, n * sizeof(int64_t), "a memory plan");
    if (ist_status s = makePlan(*program->program, f, symbols, &c.plan, error))
      return s;
    for (uint32_t i = 0; i < n; ++i)
      c.symbols[i] = symbols[i];
    c.valid = true;
  }
  *out = &c.plan;
  return IST_OK;
}

ist_status ist_session::growArena(uint64_t bytes, ist_error *error) {
  if (bytes <= arena.bytes)
    return IST_OK;
  device->free(&arena);
  pool.trim();
  return device->alloc(IST_MEMORY_KIND_DEVICE, bytes, &arena, error);
}

uint32_t ist_session::profileBase(uint32_t function) const {
  uint32_t base = 0;
  for (uint32_t i = 0; i < function; ++i)
    base += count(program->function(i)->launches());
  return base;
}

extern "C" {

ist_status ist_session_create(ist_program *program, ist_session **out,
                              ist_error *error) {
  if (!program || !out)
    return fail(error, IST_INVALID_ARGUMENT,
                "ist_session_create: program or out is NULL");
  *out = nullptr;
  ist_session *session = make<ist_session>();
  if (!session)
    return outOfMemory(error, sizeof(ist_session), "a session");
  if (ist_status s = session->create(program, error)) {
    destroy(session);
    return s;
  }
  *out = session;
  return IST_OK;
}

void ist_session_destroy(ist_session *session) { destroy(session); }

ist_status ist_call(ist_session *session, const char *function,
                    const ist_tensor *inputs, size_t inputCount,
                    ist_tensor *outputs, size_t outputCount, ist_error *error) {
  if (!session || !function)
    return fail(error, IST_INVALID_ARGUMENT,
                "ist_call: session or function is NULL");
  if (std::strcmp(function, "init") == 0)
    return fail(error, IST_INVALID_ARGUMENT,
                "'init' runs once, when the program is loaded");
  if (__atomic_exchange_n(&session->busy, true, __ATOMIC_ACQUIRE))
    return fail(error, IST_INVALID_ARGUMENT,
                "another call is running on this session; give each thread a "
                "session of its own");
  ist_status s =
      session->call(function, inputs, inputCount, outputs, outputCount, error);
  __atomic_store_n(&session->busy, false, __ATOMIC_RELEASE);
  return s;
}

void ist_session_cancel(ist_session *session) {
  __atomic_store_n(&session->cancelled, true, __ATOMIC_RELAXED);
}

void ist_session_set_timeout(ist_session *session, uint64_t nanoseconds) {
  session->timeoutNs = nanoseconds;
}

uint64_t ist_session_memory(const ist_session *session) {
  return session->arena.bytes + session->words.bytes + session->pool.bytes();
}

ist_status ist_session_set_profiling(ist_session *session, int32_t enabled,
                                     ist_error *error) {
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
}
