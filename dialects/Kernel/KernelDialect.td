#ifndef ISTHMUS_KERNEL_DIALECT_TD
#define ISTHMUS_KERNEL_DIALECT_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"

def Kernel_Dialect : Dialect {
  let name = "kernel";
  let cppNamespace = "::isthmus::kernel";
  let description = [{
    One parallel program over a grid of workgroups: the contract between the
    shared compiler and every vendor and plug-in. See docs/rationale/kernel.md.
  }];
  let useDefaultAttributePrinterParser = 1;
  let useDefaultTypePrinterParser = 1;
}

class Kernel_Op<string mnemonic, list<Trait> traits = []>
    : Op<Kernel_Dialect, mnemonic, traits>;

def Kernel_LayoutAttr : AttrDef<Kernel_Dialect, "Layout"> {
  let mnemonic = "layout";
  let summary = "which index bit each register, lane and subgroup bit toggles";
  let description = [{
    A linear layout over GF(2) of a tile whose dims are powers of two. Each
    list holds, per bit of the register, lane or subgroup number, the row-major
    element offset that the bit toggles; the element an owner holds is the XOR
    of the offsets of its set bits. An offset of 0 is a broadcast.
    Source of the idea: "Linear Layouts", Zhou et al., 2025.

    ```mlir
    #kernel.layout<register = [1, 64], lane = [2, 4, 8, 16, 32], subgroup = []>
    ```
  }];
  let parameters = (ins ArrayRefParameter<"int64_t">:$registerBits,
                        ArrayRefParameter<"int64_t">:$laneBits,
                        ArrayRefParameter<"int64_t">:$subgroupBits);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

def Kernel_RingType : TypeDef<Kernel_Dialect, "Ring"> {
  let mnemonic = "ring";
  let summary = "a circular buffer of slots, each a set of tiles in workgroup memory";
  let description = [{
    ```mlir
    !kernel.ring<4 x (memref<128x64xf16, 3>, memref<64x128xf16, 3>)>
    ```
  }];
  let parameters = (ins "int64_t":$depth, ArrayRefParameter<"::mlir::Type">:$tiles);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

#endif // ISTHMUS_KERNEL_DIALECT_TD
