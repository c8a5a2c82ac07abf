// The conformance suite's kernel that takes a tile, as the fake libcuda runs
// it: the descriptor is isthmus::fake::Tile, in the first 16 words of
// arguments.
typedef unsigned long uint64_t;
typedef unsigned int uint32_t;
typedef unsigned short uint16_t;

struct Tile {
  char magic[8];
  uint64_t address, dims[5], strides[4];
  uint16_t box[5];
  unsigned char type, rank, swizzle;
};

// y = the box at (row, column), zeros where there is none: tile, column, row, y
void tile(const uint64_t *args, uint64_t begin, uint64_t end) {
  const struct Tile *t = (const struct Tile *)args;
  uint64_t column = args[16], row = args[17];
  uint32_t *y = (uint32_t *)args[18];
  if (begin >= end)
    return;
  for (uint64_t i = 0; i < t->box[1]; ++i)
    for (uint64_t j = 0; j < t->box[0]; ++j) {
      int inside = row + i < t->dims[1] && column + j < t->dims[0];
      *y++ = inside
                 ? *(const uint32_t *)(t->address + (row + i) * t->strides[0] +
                                       (column + j) * 4)
                 : 0;
    }
}
