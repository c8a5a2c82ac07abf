//===- matrix.h - shapes of mma.sync --------------------------------------===//
//
// PTX ISA 9.7.14.5 (mma.sync.m8n8k4 to .m16n8k32): which element of A, B and C
// (and D, which lies as C) each lane's registers hold. `g` is lane / 4 and `t`
// lane % 4, called groupID and threadID_in_group there.
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_SIM_GPU_PTX_MATRIX_H
#define ISTHMUS_SIM_GPU_PTX_MATRIX_H

#include <cstdint>

namespace isthmus::simgpu::ptx {

enum class Element : uint8_t { f16, bf16, tf32, s8, u8, f32, f64, s32 };

struct Place {
  uint32_t row, column;
};

struct Mma {
  uint32_t m, n, k;
  Element a, b, c; // c is D's as well
  bool saturate = false;
};
extern const Mma mmas[];

uint32_t bitsOf(Element e);
/// Of element `i` of a lane's fragment, in order from the first register's
/// lowest bits.
Place placeOfA(const Mma &mma, uint32_t lane, uint32_t i);
Place placeOfB(const Mma &mma, uint32_t lane, uint32_t i); // row: k
Place placeOfC(const Mma &mma, uint32_t lane, uint32_t i);
/// Elements that one lane holds.
inline uint32_t heldOfA(const Mma &m) { return m.m * m.k / 32; }
inline uint32_t heldOfB(const Mma &m) { return m.n * m.k / 32; }
inline uint32_t heldOfC(const Mma &m) { return m.m * m.n / 32; }

} // namespace isthmus::simgpu::ptx

#endif // ISTHMUS_SIM_GPU_PTX_MATRIX_H
