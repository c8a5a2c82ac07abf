//===- memory.h - functions of instructions that decode chooses itself ----===//
#ifndef ISTHMUS_SIM_GPU_PTX_MEMORY_H
#define ISTHMUS_SIM_GPU_PTX_MEMORY_H

#include "program.h"

namespace isthmus::simgpu::ptx {

enum class SpecialRegister : uint8_t {
  tid,
  ntid,
  ctaid,
  nctaid,
  laneid,
  warpid,
  nwarpid,
  zero,
  one,
  maskEq,
  maskLe,
  maskLt,
  maskGe,
  maskGt
};
enum class AtomicOp : uint8_t {
  add,
  min,
  max,
  bitAnd,
  bitOr,
  bitXor,
  inc,
  dec,
  exch,
  cas
};

void load(Warp &, const Inst &, uint32_t mask);
void store(Warp &, const Inst &, uint32_t mask);
void loadParam(Warp &, const Inst &, uint32_t mask);
/// Null: there is no such operation on that type.
Function atomicFunction(AtomicOp op, const std::string &type);
void copyToShared(Warp &, const Inst &, uint32_t mask);
void commitCopies(Warp &, const Inst &, uint32_t mask);
void waitCopies(Warp &, const Inst &, uint32_t mask);
void loadMatrix(Warp &, const Inst &, uint32_t mask);
void toGeneric(Warp &, const Inst &, uint32_t mask);
void fromGeneric(Warp &, const Inst &, uint32_t mask);

void readSpecial(Warp &, const Inst &, uint32_t mask);
void packVector(Warp &, const Inst &, uint32_t mask);
void unpackVector(Warp &, const Inst &, uint32_t mask);
void copy4(Warp &, const Inst &, uint32_t mask);
void copy8(Warp &, const Inst &, uint32_t mask);
void nothing(Warp &, const Inst &, uint32_t mask);

} // namespace isthmus::simgpu::ptx

#endif // ISTHMUS_SIM_GPU_PTX_MEMORY_H
