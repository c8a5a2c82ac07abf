#ifndef ISTHMUS_KERNEL_LANE_OPS_TD
#define ISTHMUS_KERNEL_LANE_OPS_TD

include "dialects/Kernel/KernelDialect.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

// What tiles, matrix units and rings become when lanes are made. How elements of
// a tile lie in lanes' registers is the unit's row of facts (targets/MatrixUnit.h).

def Kernel_EachOp : Kernel_Op<"each", [SingleBlock, NoTerminator, RecursiveMemoryEffects]> {
  let summary = "run a body for every element of a tile, by the lane that holds it";
  let description = [{
    In any order and at the same time. The body has effects only: it is how a
    product's result leaves the registers, epilogue and all.

    ```mlir
    kernel.each %sum : vector<64x64xf32> {
    ^bb0(%i: index, %j: index, %v: f32):
      memref.store %v, %y[%i, %j] : memref<64x64xf32>
    }
    ```
  }];
  let arguments = (ins AnyVectorOfNonZeroRank:$tile);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$tile attr-dict `:` type($tile) $body";
  let hasVerifier = 1;
}

def Kernel_LaneMmaOp : Kernel_Op<"lane_mma", [Pure, AllTypesMatch<["c", "result"]>]> {
  let summary = "one step of a matrix unit, by all lanes of a subgroup; form(lanes) only";
  let description = [{
    Operands are what this lane holds of the unit's a, b and c, in the order of
    its registers.

    ```mlir
    %d = kernel.lane_mma %a, %b, %c unit "m16n8k16.f32.f16"
       : vector<8xf16>, vector<4xf16>, vector<4xf32>
    ```
  }];
  let arguments = (ins VectorOfRankAndType<[1], [AnyType]>:$a, VectorOfRankAndType<[1], [AnyType]>:$b,
                       VectorOfRankAndType<[1], [AnyType]>:$c, StrAttr:$unit);
  let results = (outs VectorOfRankAndType<[1], [AnyType]>:$result);
  let assemblyFormat = "$a `,` $b `,` $c `unit` $unit attr-dict `:` type($a) `,` type($b) `,` type($c)";
}

def Kernel_LoadMatricesOp : Kernel_Op<"load_matrices", [MemoryEffects<[MemRead]>]> {
  let summary = "1, 2 or 4 matrices of 8 rows of 16 bytes, by all lanes of a subgroup; form(lanes) only";
  let description = [{
    Lane 8 * i + r of the first 32 says where row r of matrix i begins, in
    workgroup memory and at a multiple of 16 bytes. Lane l gets of each matrix
    the 4 bytes at 4 * (l % 4) of row l / 4; `transposed`, for elements of 2
    bytes, elements 2 * (l % 4) and 2 * (l % 4) + 1 of column l / 4.

    ```mlir
    %a = kernel.load_matrices %t[%row, %column] : memref<64x40xf16, 3> -> vector<8xf16>
    ```
  }];
  let arguments = (ins Arg<AnyMemRef, "", [MemRead]>:$memref, Variadic<Index>:$indices, UnitAttr:$transposed);
  let results = (outs VectorOfRankAndType<[1], [AnyType]>:$result);
  let assemblyFormat = "$memref `[` $indices `]` (`transposed` $transposed^)? attr-dict `:` type($memref) `->` type($result)";
  let hasVerifier = 1;
}

def Kernel_AsyncRunOp : Kernel_Op<"async_run", [AttrSizedOperandSegments, MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "start copying elements that lie side by side to workgroup memory";
  let description = [{
    One lane's part of what `kernel.async_copy` does: `count` elements of 4, 8 or
    16 bytes in all, on both sides at a multiple of that. Zeros are written where
    `valid` is false, and the source is not read. In form(tiled) it stands in an
    scf.forall, between a ring's acquire and commit.

    ```mlir
    kernel.async_run %x[%i, %k] to %tile[%di, %dk] count 8 if %valid
      : memref<?x4096xf16> to memref<128x32xf16, 3>
    ```
  }];
  let arguments = (ins AnyMemRef:$source, Variadic<Index>:$indices, AnyMemRef:$tile,
                       Variadic<Index>:$tile_indices, I64Attr:$count, I1:$valid);
  let assemblyFormat = [{
    $source `[` $indices `]` `to` $tile `[` $tile_indices `]` `count` $count `if` $valid attr-dict
    `:` type($source) `to` type($tile)
  }];
  let hasVerifier = 1;
}

def Kernel_AsyncCommitOp : Kernel_Op<"async_commit", [MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "the copies that this lane started since the last one are a batch; form(lanes) only";
  let assemblyFormat = "attr-dict";
}

def Kernel_AsyncWaitOp : Kernel_Op<"async_wait", [MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "until no more than `pending` of this lane's batches are under way; form(lanes) only";
  let arguments = (ins I64Attr:$pending);
  let assemblyFormat = "$pending attr-dict";
}

#endif // ISTHMUS_KERNEL_LANE_OPS_TD
