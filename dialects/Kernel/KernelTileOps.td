#ifndef ISTHMUS_KERNEL_TILE_OPS_TD
#define ISTHMUS_KERNEL_TILE_OPS_TD

include "dialects/Kernel/KernelDialect.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Kernel_MmaOp : Kernel_Op<"mma", [AllTypesMatch<["acc", "result"]>, DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "acc + a * b on tiles, by the named matrix unit";
  let description = [{
    `a` is M x K, `b` K x N, `acc` M x N; M, N and K are multiples of the unit's.
    Operands are vectors (registers) or memrefs (workgroup memory), as the
    unit's row of facts says. Without a unit the product is by multiply-add.

    ```mlir
    %d = kernel.mma %a, %b, %c unit "m16n8k16.f32.f16"
       : vector<64x16xf16>, vector<16x64xf16>, vector<64x64xf32>
    ```
  }];
  let arguments = (ins AnyTypeOf<[AnyVectorOfNonZeroRank, AnyMemRef]>:$a,
                       AnyTypeOf<[AnyVectorOfNonZeroRank, AnyMemRef]>:$b,
                       AnyVectorOfNonZeroRank:$acc, OptionalAttr<StrAttr>:$unit);
  let results = (outs AnyVectorOfNonZeroRank:$result);
  let assemblyFormat = "$a `,` $b `,` $acc (`unit` $unit^)? attr-dict `:` type($a) `,` type($b) `,` type($acc)";
  let hasVerifier = 1;
}

def Kernel_RelayoutOp : Kernel_Op<"relayout", [Pure, AllTypesMatch<["source", "result"]>]> {
  let summary = "move a tile from one distribution over lanes to another";
  let description = [{
    ```mlir
    %b = kernel.relayout %a from #kernel.layout<...> to #kernel.layout<...> : vector<16x16xf32>
    ```
  }];
  let arguments = (ins AnyVectorOfNonZeroRank:$source, Kernel_LayoutAttr:$from, Kernel_LayoutAttr:$to);
  let results = (outs AnyVectorOfNonZeroRank:$result);
  let assemblyFormat = "$source `from` $from `to` $to attr-dict `:` type($source)";
  let hasVerifier = 1;
}

#endif // ISTHMUS_KERNEL_TILE_OPS_TD
