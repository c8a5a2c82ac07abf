//===- gpu_graphs.cpp - graphs of the fakes ------------------------------===//
#include "gpu.h"

namespace isthmus::fake {

int addNode(void **out, void *graph, void *const *after, size_t count,
            Node node) {
  Graph *g = engine().use<Graph>(graph, "graph");
  if (!g)
    return kInvalidHandle;
  if (count > 1 || (count == 0) != g->nodes.empty() ||
      (count && after[0] != g->nodes.back()))
    engine().misused("nodes of a graph are not in order");
  Node *n = engine().make<Node>("graph node");
  *n = std::move(node);
  g->nodes.push_back(n);
  *out = n;
  return 0;
}

int changeNode(void *exec, void *node, Node changed) {
  GraphExec *g = engine().use<GraphExec>(exec, "graph exec");
  if (!g)
    return kInvalidHandle;
  for (size_t i = 0; i < g->names.size(); ++i)
    if (g->names[i] == node) {
      if (g->nodes[i].kind != changed.kind)
        return kInvalidValue;
      g->nodes[i] = std::move(changed);
      return 0;
    }
  engine().misused("a node is not of this graph");
  return kInvalidValue;
}

static Work workOf(const Node &n) {
  switch (n.kind) {
  case Node::copy:
    return engine().copy(n.to, n.from, n.bytes);
  case Node::fill:
    return engine().fill(n.to, n.value, n.bytes);
  case Node::kernel:
    break;
  }
  return engine().launch(n.launch);
}

Node copyNode(uint64_t to, uint64_t from, size_t bytes) {
  valid(to, bytes), valid(from, bytes);
  Node n;
  n.kind = Node::copy;
  n.to = to, n.from = from, n.bytes = bytes;
  return n;
}

} // namespace isthmus::fake

using namespace isthmus::fake;
using namespace isthmus::gpu;

extern "C" {

int fake_GraphCreate(void **graph, unsigned) {
  ENTER(GraphCreate, plain);
  *graph = engine().make<Graph>("graph");
  return 0;
}
int fake_GraphDestroy(void *graph) {
  ENTER(GraphDestroy, plain);
  Graph *g = engine().use<Graph>(graph, "graph");
  if (!g)
    return kInvalidHandle;
  for (Node *n : g->nodes)
    engine().drop(n);
  engine().drop(g);
  return 0;
}
int fake_GraphInstantiate(void **exec, void *graph, unsigned long long flags) {
  ENTER(GraphInstantiate, device | unsafe);
  Graph *g = engine().use<Graph>(graph, "graph");
  if (!g || flags)
    return kInvalidHandle;
  GraphExec *e = engine().make<GraphExec>("graph exec");
  for (Node *n : g->nodes) {
    e->nodes.push_back(*n);
    e->names.push_back(n);
  }
  *exec = e;
  return 0;
}
int fake_GraphExecDestroy(void *exec) {
  ENTER(GraphExecDestroy, plain);
  if (!engine().use<GraphExec>(exec, "graph exec"))
    return kInvalidHandle;
  engine().drop(exec);
  return 0;
}
int fake_GraphLaunch(void *exec, void *stream) {
  ENTER(GraphLaunch, device);
  GraphExec *g = engine().use<GraphExec>(exec, "graph exec");
  if (!g)
    return kInvalidHandle;
  for (const Node &n : g->nodes)
    if (int code = enqueue(stream, workOf(n)))
      return code;
  return 0;
}
}
