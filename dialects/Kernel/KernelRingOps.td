#ifndef ISTHMUS_KERNEL_RING_OPS_TD
#define ISTHMUS_KERNEL_RING_OPS_TD

include "dialects/Kernel/KernelDialect.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

// Pipelining, said once. A producer acquires slot i (waits until it was
// released), copies into its tiles and commits; a consumer waits for slot i
// (until what was committed has arrived), reads the tiles and releases. Slots
// are numbered by iteration; a ring of depth d lets the producer run d ahead.
// What it becomes is the target's choice: mbarrier and TMA, cp.async groups,
// LDS double buffering, prefetches, or plain copies. Wait depths are derived.

def Kernel_RingOp : Kernel_Op<"ring", [MemoryEffects<[MemAlloc]>]> {
  let summary = "make a ring of slots in workgroup memory";
  let results = (outs Kernel_RingType:$ring);
  let assemblyFormat = "attr-dict `:` type($ring)";
}

class Kernel_SlotOp<string mnemonic> : Kernel_Op<mnemonic, [MemoryEffects<[MemRead, MemWrite]>]> {
  let arguments = (ins Kernel_RingType:$ring, Index:$slot);
  let results = (outs Variadic<AnyMemRef>:$tiles);
  let assemblyFormat = "$ring `[` $slot `]` attr-dict `:` type($ring) custom<RingTiles>(ref(type($ring)), type($tiles))";
  let hasVerifier = 1;
}

def Kernel_RingAcquireOp : Kernel_SlotOp<"ring_acquire"> {
  let summary = "producer: the tiles of a slot, once it is free";
}

def Kernel_RingWaitOp : Kernel_SlotOp<"ring_wait"> {
  let summary = "consumer: the tiles of a slot, once they have arrived";
}

class Kernel_SlotEndOp<string mnemonic> : Kernel_Op<mnemonic, [MemoryEffects<[MemRead, MemWrite]>]> {
  let arguments = (ins Kernel_RingType:$ring, Index:$slot);
  let assemblyFormat = "$ring `[` $slot `]` attr-dict `:` type($ring)";
}

def Kernel_RingCommitOp : Kernel_SlotEndOp<"ring_commit"> {
  let summary = "producer: all copies into the slot were issued";
}

def Kernel_RingReleaseOp : Kernel_SlotEndOp<"ring_release"> {
  let summary = "consumer: the slot may be overwritten";
}

def Kernel_AsyncCopyOp : Kernel_Op<"async_copy", [MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "start copying a box of a binding into a tile; outside the source it reads zero";
  let description = [{
    ```mlir
    kernel.async_copy %x[%i, %k] to %tile : memref<?x4096xf16> to memref<128x64xf16, 3>
    ```
  }];
  let arguments = (ins AnyMemRef:$source, Variadic<Index>:$indices, AnyMemRef:$tile);
  let assemblyFormat = "$source `[` $indices `]` `to` $tile attr-dict `:` type($source) `to` type($tile)";
  let hasVerifier = 1;
}

def Kernel_RolesOp : Kernel_Op<"roles", [NoRegionArguments, NoTerminator, SingleBlock]> {
  let summary = "subgroups of a workgroup that run different code: producers and consumers of rings";
  let description = [{
    `producers` subgroups run the first region, the others the second. Both end
    before what follows starts.

    ```mlir
    kernel.roles producers 4 { ... } consumers 8 { ... }
    ```
  }];
  let arguments = (ins I64Attr:$producers, I64Attr:$consumers);
  let regions = (region SizedRegion<1>:$produce, SizedRegion<1>:$consume);
  let assemblyFormat = "`producers` $producers $produce `consumers` $consumers $consume attr-dict";
  let hasVerifier = 1;
}

#endif // ISTHMUS_KERNEL_RING_OPS_TD
