#ifndef ISTHMUS_KERNEL_OPS_TD
#define ISTHMUS_KERNEL_OPS_TD

include "dialects/Kernel/KernelDialect.td"
include "dialects/Kernel/KernelFuncOps.td"
include "dialects/Kernel/KernelTileOps.td"
include "dialects/Kernel/KernelRingOps.td"
include "dialects/Kernel/KernelLaneOps.td"

#endif // ISTHMUS_KERNEL_OPS_TD
