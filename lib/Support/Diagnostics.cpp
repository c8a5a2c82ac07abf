//===- Diagnostics.cpp - the stable codes of messages ---------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "lib/Support/Diagnostics.h"

#include <cstring>

using namespace isthmus;

static const DiagnosticKind kinds[] = {
    {"IST-C0001", "compilation failed",
     "A stage of the compiler refused an operation; the message names the "
     "model's node.\nFor a valid model this is a bug of the compiler: report "
     "it with the model, or with what\n`istc --dump-dir=DIR` writes."},
    {"IST-C0002", "cannot write a dump",
     "The folder given to --dump-dir cannot be made or written. Name one that "
     "can."},
    {"IST-C0003", "linking the kernels failed",
     "The kernels of a variant could not be joined into one code object. An "
     "undefined symbol\nmeans that an operation became a call to a library "
     "function, of which there are none:\na bug of the target; report the "
     "symbol's name and the model."},
    {"IST-C0004", "cannot write the artifact",
     "The output file could not be written: look at the folder, its rights "
     "and the free space.\nNothing is left behind."},
    {"IST-C0005", "cannot read weights",
     "A weight lies in a file that cannot be read or is too short. External "
     "data must stand\nbeside the model, unchanged since it was exported."},
    {"IST-C0006", "cleaning the graph failed",
     "A bug of the compiler: report it with the model."},
    {"IST-C0007", "unknown target",
     "--target takes vendor:arch, such as cpu:native; `istc --list-targets` "
     "prints them all."},
    {"IST-C0009", "bad --state",
     "--state=INPUT=OUTPUT lets an output live in the memory of an input: both "
     "are names of the\nmodel, of one type and rank, and each has one state. "
     "`ist-info` lists the names."},
    {"IST-C0010", "bad tuning file",
     "--tuning takes a file that `istc --tune=FILE` wrote: a first line "
     "'isthmus tuning 1', then\nlines of a target, what is chosen and the "
     "choice. Mend or remove the line that is named."},
    {"IST-C0011", "a choice that there is not",
     "A line of the tuning file names a choice that this compiler does not "
     "offer, as when another\nversion wrote it; the compiler's own is taken. "
     "Remove the line and run `istc --tune=FILE`\nagain."},
    {"IST-C0012", "cannot measure",
     "--tune runs the model on this machine; the message says what failed. "
     "Name another device with\n--tune-device or sizes with --tune-shape, or "
     "tune elsewhere and give the file to --tuning."},
    {"IST-I0001", "unreadable or damaged file",
     "The file is missing, cannot be read, or is no ONNX protobuf. Check the "
     "path; export or\ndownload the model again."},
    {"IST-I0002", "no graph",
     "The model file holds no graph: export it again."},
    {"IST-I0003", "malformed graph",
     "Names are used before they are defined, defined twice, or form a cycle. "
     "Check the model\nwith onnx.checker and export it again."},
    {"IST-I0004", "external data",
     "A tensor's external file is missing, too short, or outside the model's "
     "folder. Keep the\nfiles together as they were exported."},
    {"IST-I0005", "tensor bytes",
     "A tensor's data does not have the size that its type and shape need: "
     "the file is damaged."},
    {"IST-I0006", "bad shape option",
     "--shape takes name:size or name:min..max, for a symbolic dim that the "
     "model has. The\nmessage lists the names."},
    {"IST-I0101", "unsupported operator",
     "`istc --list-ops` prints what is supported. All offending nodes are "
     "reported at once.\nRewrite the node with supported operators, or ask for "
     "it."},
    {"IST-I0102", "unsupported opset",
     "The operator is known, but not as this opset defines it. Convert the "
     "model with\nonnx.version_converter."},
    {"IST-I0103", "unsupported type",
     "Strings, sequences, optionals, complex numbers and floats of 8 bits or "
     "fewer are not\nsupported as run-time tensors. Cast before exporting."},
    {"IST-I0104", "unsupported form of a supported operator",
     "An attribute or an input of this node is used in a way that is not "
     "supported, often a\nrun-time value that must be a constant. Fold "
     "constants "
     "when exporting."},
    {"IST-I0105", "the node breaks the operator's rules",
     "Ranks, types, lengths or attributes are not what ONNX allows. Check the "
     "model with\nonnx.checker."},
    {"IST-I0900", "internal error of the importer",
     "The importer made a graph that its own verifier refuses: a bug; report "
     "it with the model."},
    {"IST-T0001", "bad batch file",
     "--batch takes a JSON list of objects with model, output and target."},
    {"IST-T0002", "the compiler crashed", "A bug: report it with the model."},
    {"IST-T0003", "bad --shape", "Write name:size or name:min..max."},
    {"IST-T0004", "no model given", "istc model.onnx -o model.ist"},
    {"IST-T0005", "unknown target",
     "ist-kernel takes vendor:arch, such as nvidia:sm_90a."},
    {"IST-T0006", "no kernel in the input",
     "ist-kernel takes a file of kernel.func operations; the message says what "
     "does not parse."},
    {"IST-T0007", "a kernel does not compile",
     "The kernel is not in the form that the target takes, or uses what it "
     "cannot lower."},
    {"IST-T0008", "linking the kernels failed",
     "An undefined symbol is a bug of the target: report it with the kernel."},
    {"IST-T0009", "cannot write the output",
     "Name a file that can be written."},
    {"IST-T0010", "unknown code",
     "`istc --explain` takes a code as messages show it, such as IST-I0101."},
};

const DiagnosticKind *isthmus::findDiagnostic(const char *code) {
  for (const DiagnosticKind &kind : kinds)
    if (!std::strcmp(kind.code, code))
      return &kind;
  return nullptr;
}
