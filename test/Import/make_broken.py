#!/usr/bin/env python3
"""Broken ONNX files, each broken in one way that istc must refuse.

    make_broken.py DIR              writes them
    make_broken.py DIR --istc PATH  and compiles each: istc must end with status
                                    1 and a diagnostic with a code, whatever
                                    the file holds; never with a signal
"""

import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper

FLOAT = T.FLOAT
CASES = {}


def case(function):
    """A function that returns a model, its bytes, or a list of models."""
    CASES[function.__name__] = function
    return function


def info(name, shape, dtype=FLOAT):
    return h.make_tensor_value_info(name, dtype, shape)


def model(nodes, inputs=None, outputs=None, weights=(), opset=17, functions=(), **more):
    graph = h.make_graph(list(nodes), "broken", inputs if inputs is not None else [info("x", [2, 3])],
                         outputs if outputs is not None else [info("y", None)], list(weights))
    opsets = more.pop("opsets", [h.make_opsetid("", opset)])
    return h.make_model(graph, opset_imports=opsets, ir_version=8, functions=list(functions), **more)


def node(op, inputs, outputs=("y",), **attributes):
    return h.make_node(op, list(inputs), list(outputs), name=f"the_{op}", **attributes)


def weight(name, array):
    return numpy_helper.from_array(np.asarray(array), name)


def good():
    return model([node("Gemm", ["x", "w", "b"])], outputs=[info("y", [2, 4])],
                 weights=[weight("w", np.ones((3, 4), np.float32)), weight("b", np.ones(4, np.float32))])


def one(op, arrays=(), inputs=None, outputs=None, **attributes):
    """A model of one node on x: f32[2, 3] and weights a0, a1, .."""
    names = [f"a{i}" for i in range(len(arrays))]
    return model([node(op, ["x"] + names, **attributes)], inputs=inputs, outputs=outputs,
                 weights=[weight(n, a) for n, a in zip(names, arrays)])


def i64(*values):
    return np.array(values, dtype=np.int64)


def f32(*shape):
    return np.ones(shape, np.float32)


# --- files ----------------------------------------------------------------------------
@case
def empty_file():
    return b""


@case
def one_byte():
    return b"\x08"


@case
def text_file():
    return b"this is not a model\n" * 50


@case
def zeros():
    return bytes(4096)


@case
def all_ones():
    return b"\xff" * 4096


@case
def zip_file():
    return b"PK\x03\x04" + bytes(range(256))


@case
def endless_varint():
    return b"\x08" + b"\x80" * 64


@case
def length_beyond_the_end():
    return b"\x3a\xff\xff\xff\xff\x07"


@case
def group_never_closed():
    return b"\x3b" * 3000


def truncated(part):
    data = good().SerializeToString()
    return lambda: data[: int(len(data) * part)]


for percent in (3, 10, 20, 35, 50, 65, 80, 90, 95):
    CASES[f"truncated_{percent}"] = truncated(percent / 100)


@case
def trailing_garbage():
    return good().SerializeToString() + b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"


# --- the model -------------------------------------------------------------------------
@case
def no_graph():
    m = good()
    m.ClearField("graph")
    return m


@case
def no_opset():
    m = good()
    del m.opset_import[:]
    return m


@case
def opset_of_the_future():
    return model([node("Relu", ["x"])], opset=9999)


@case
def opset_negative():
    return model([node("Relu", ["x"])], opset=-3)


@case
def opset_zero():
    return model([node("Relu", ["x"])], opset=0)


@case
def no_outputs():
    return model([node("Relu", ["x"])], outputs=[])


@case
def domain_not_imported():
    return model([node("Relu", ["x"], domain="com.example")])


# --- names -----------------------------------------------------------------------------
@case
def cycle():
    return model([node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"])], outputs=[info("b", None)])


@case
def cycle_on_itself():
    return model([node("Add", ["x", "y"])])


@case
def missing_initializer():
    return model([node("Add", ["x", "w"])])


@case
def missing_output():
    return model([node("Relu", ["x"], ["z"])])


@case
def duplicate_value():
    return model([node("Relu", ["x"]), node("Neg", ["x"])])


@case
def duplicate_output_of_a_node():
    return model([node("Split", ["x"], ["y", "y"], axis=0)])


@case
def duplicate_input():
    return model([node("Relu", ["x"])], inputs=[info("x", [2, 3]), info("x", [3, 2])])


@case
def duplicate_initializer():
    return model([node("Add", ["x", "w"])], weights=[weight("w", f32(3)), weight("w", f32(2, 3))])


@case
def node_writes_an_input():
    return model([node("Relu", ["x"], ["x"])], outputs=[info("x", [2, 3])])


@case
def output_without_a_name():
    return model([node("Relu", ["x"], [""])], outputs=[info("", [2, 3])])


@case
def input_without_a_type():
    m = good()
    m.graph.input[0].ClearField("type")
    return m


# --- operators and attributes -------------------------------------------------------------
@case
def unknown_op():
    return one("Frobnicate")


@case
def op_without_a_type():
    return one("")


@case
def too_few_inputs():
    return one("Add")


@case
def too_many_inputs():
    return one("Relu", [f32(3)])


@case
def required_input_is_empty():
    return model([node("Add", ["x", ""])])


@case
def too_many_outputs():
    return model([node("Relu", ["x"], ["y", "z"])])


@case
def attribute_of_the_wrong_type():
    return one("Softmax", axis="one")


@case
def attribute_missing():
    return one("Cast")


@case
def attribute_out_of_range():
    return one("Softmax", axis=5)


@case
def attribute_not_in_the_list():
    return one("Pad", [i64(0, 0, 1, 1)], mode="fold")


@case
def perm_not_a_permutation():
    return one("Transpose", perm=[0, 0])


@case
def perm_too_long():
    return one("Transpose", perm=[0, 1, 2])


@case
def perm_negative():
    return one("Transpose", perm=[-5, 1])


@case
def strides_zero():
    return one("Conv", [f32(4, 3, 3, 3)], inputs=[info("x", [1, 3, 8, 8])], strides=[0, 1])


@case
def strides_too_few():
    return one("Conv", [f32(4, 3, 3, 3)], inputs=[info("x", [1, 3, 8, 8])], strides=[1])


@case
def pads_too_many():
    return one("Conv", [f32(4, 3, 3, 3)], inputs=[info("x", [1, 3, 8, 8])], pads=[0] * 6)


@case
def group_zero():
    return one("Conv", [f32(4, 3, 3, 3)], inputs=[info("x", [1, 3, 8, 8])], group=0)


@case
def group_does_not_divide():
    return one("Conv", [f32(4, 1, 3, 3)], inputs=[info("x", [1, 3, 8, 8])], group=3)


@case
def channels_do_not_agree():
    return one("Conv", [f32(4, 5, 3, 3)], inputs=[info("x", [1, 3, 8, 8])])


@case
def kernel_larger_than_the_input():
    return one("MaxPool", inputs=[info("x", [1, 3, 4, 4])], kernel_shape=[9, 9])


@case
def pads_without_a_magnitude():
    return one("AveragePool", inputs=[info("x", [1, 3, 4, 4])], kernel_shape=[2, 2], pads=[1, -2**63, 0, 0])


@case
def pads_without_a_magnitude_transposed():
    return one("ConvTranspose", [f32(3, 3, 2, 2)], inputs=[info("x", [1, 3, 4, 4])], pads=[0, 0, 0, -2**63])


@case
def unpooled_window_overflows():
    return one("MaxUnpool", [np.zeros((1, 1, 2, 2), np.int64)], inputs=[info("x", [1, 1, 2, 2])],
               kernel_shape=[2**63 - 1, 2], pads=[2**63 - 1, 0, 2**63 - 1, 0], strides=[2**63 - 1, 1])


@case
def kernel_shape_disagrees():
    return one("Conv", [f32(4, 3, 3, 3)], inputs=[info("x", [1, 3, 8, 8])], kernel_shape=[5, 5])


@case
def cast_to_no_type():
    return one("Cast", to=99)


@case
def constant_without_a_value():
    return model([node("Constant", [])])


# --- shapes and types ---------------------------------------------------------------------
@case
def shapes_do_not_broadcast():
    return one("Add", [f32(4)])


@case
def inner_dims_differ():
    return one("MatMul", [f32(4, 5)])


@case
def matmul_of_a_scalar():
    return one("MatMul", [np.float32(1)])


@case
def types_differ():
    return one("Add", [np.ones(3, np.float64)])


@case
def not_of_a_float():
    return one("Not")


@case
def index_is_a_float():
    return one("Gather", [f32(2)])


@case
def reshape_to_another_size():
    return one("Reshape", [i64(4, 4)])


@case
def reshape_with_two_unknowns():
    return one("Reshape", [i64(-1, -1)])


@case
def reshape_to_negative():
    return one("Reshape", [i64(-2, 3)])


@case
def reshape_zero_beyond_the_rank():
    return one("Reshape", [i64(1, 1, 0)])


@case
def squeeze_a_dim_that_is_not_one():
    return one("Squeeze", [i64(0)])


@case
def unsqueeze_twice():
    return one("Unsqueeze", [i64(0, 0)])


@case
def concat_of_ranks():
    return one("Concat", [f32(3)], axis=0)


@case
def concat_of_other_shapes():
    return one("Concat", [f32(2, 4)], axis=0)


@case
def split_sums_wrong():
    return model([node("Split", ["x", "s"], ["y", "z"], axis=1)], weights=[weight("s", i64(1, 1))])


@case
def slice_of_unequal_lists():
    return one("Slice", [i64(0, 0), i64(1)])


@case
def slice_step_zero():
    return one("Slice", [i64(0), i64(1), i64(0), i64(0)])


@case
def expand_to_negative():
    return one("Expand", [i64(-4, 2, 3)])


@case
def tile_of_wrong_length():
    return one("Tile", [i64(2)])


@case
def reduce_axis_out_of_range():
    return one("ReduceSum", [i64(7)])


@case
def output_of_another_rank():
    return one("Relu", outputs=[info("y", [2, 3, 4])])


@case
def output_of_another_type():
    return one("Relu", outputs=[info("y", [2, 3], T.INT64)])


@case
def negative_dim():
    return one("Relu", inputs=[info("x", [-2, 3])])


@case
def huge_dims():
    return one("Relu", inputs=[info("x", [2**40, 2**40])])


@case
def dims_that_overflow_to_small():
    return one("Relu", inputs=[info("x", [2**32, 2**32])])


@case
def input_of_no_type():
    return one("Relu", inputs=[info("x", [2], 0)])


@case
def input_of_unknown_type():
    return one("Relu", inputs=[info("x", [2], 77)])


# --- weights --------------------------------------------------------------------------------
def with_weight(change):
    m = model([node("Add", ["x", "w"])], weights=[weight("w", f32(2, 3))])
    change(m.graph.initializer[0])
    return m


@case
def weight_bytes_short():
    return with_weight(lambda w: setattr(w, "raw_data", w.raw_data[:-4]))


@case
def weight_bytes_long():
    return with_weight(lambda w: setattr(w, "raw_data", w.raw_data + bytes(8)))


@case
def weight_without_data():
    return with_weight(lambda w: w.ClearField("raw_data"))


@case
def weight_negative_dim():
    return with_weight(lambda w: w.dims.__setitem__(0, -2))


@case
def weight_huge_dims():
    return with_weight(lambda w: w.dims.__setitem__(slice(None), [2**31, 2**31, 2**31]))


@case
def weight_of_no_type():
    return with_weight(lambda w: setattr(w, "data_type", 0))


@case
def weight_of_unknown_type():
    return with_weight(lambda w: setattr(w, "data_type", 99))


@case
def weight_float_data_short():
    def change(w):
        w.ClearField("raw_data")
        w.float_data.extend([1.0, 2.0])
    return with_weight(change)


def external(**entries):
    def change(w):
        w.ClearField("raw_data")
        w.data_location = T.EXTERNAL
        for k, v in entries.items():
            e = w.external_data.add()
            e.key, e.value = k, str(v)
    return with_weight(change)


@case
def external_file_missing():
    return external(location="not-there.bin", offset=0, length=24)


@case
def external_without_location():
    return external(offset=0, length=24)


@case
def external_beyond_the_end():
    return external(location="data.bin", offset=4090, length=24)


@case
def external_offset_negative():
    return external(location="data.bin", offset=-24, length=24)


@case
def external_offset_overflows():
    return external(location="data.bin", offset=2**64 - 8, length=24)


@case
def external_offset_no_number():
    return external(location="data.bin", offset="many", length=24)


@case
def external_length_wrong():
    return external(location="data.bin", offset=0, length=23)


@case
def external_path_escapes():
    return external(location="../outside.bin", offset=0, length=24)


@case
def external_path_escapes_inside():
    return external(location="sub/../../outside.bin", offset=0, length=24)


@case
def external_path_absolute():
    return external(location="/etc/passwd", offset=0, length=24)


@case
def external_path_is_a_folder():
    return external(location=".", offset=0, length=24)


@case
def external_path_through_a_link():
    return external(location="link.bin", offset=0, length=24)


# --- functions and subgraphs --------------------------------------------------------------
def function(name, nodes, inputs=("a",), outputs=("b",)):
    return h.make_function("local", name, list(inputs), list(outputs), nodes,
                           [h.make_opsetid("", 17), h.make_opsetid("local", 1)])


@case
def function_calls_itself():
    f = function("Loop", [h.make_node("Loop", ["a"], ["b"], domain="local")])
    return model([node("Loop", ["x"], domain="local")], functions=[f],
                 opsets=[h.make_opsetid("", 17), h.make_opsetid("local", 1)])


@case
def functions_call_each_other():
    f = function("F", [h.make_node("G", ["a"], ["b"], domain="local")])
    g = function("G", [h.make_node("F", ["a"], ["b"], domain="local")])
    return model([node("F", ["x"], domain="local")], functions=[f, g],
                 opsets=[h.make_opsetid("", 17), h.make_opsetid("local", 1)])


@case
def function_without_its_output():
    f = function("F", [h.make_node("Relu", ["a"], ["c"])])
    return model([node("F", ["x"], domain="local")], functions=[f],
                 opsets=[h.make_opsetid("", 17), h.make_opsetid("local", 1)])


@case
def function_explosion():
    """2^40 nodes once inlined."""
    functions = [function("F0", [h.make_node("Relu", ["a"], ["b"])])]
    for i in range(1, 41):
        functions.append(function(f"F{i}", [h.make_node(f"F{i - 1}", ["a"], ["c"], domain="local"),
                                            h.make_node(f"F{i - 1}", ["c"], ["b"], domain="local")]))
    return model([node("F40", ["x"], domain="local")], functions=functions,
                 opsets=[h.make_opsetid("", 17), h.make_opsetid("local", 1)])


def condition(then, other):
    return model([node("If", ["c"], then_branch=then, else_branch=other)],
                 inputs=[info("c", [], T.BOOL), info("x", [2, 3])])


def branch(name, nodes, outputs):
    return h.make_graph(nodes, name, [], outputs)


@case
def if_without_else():
    m = condition(branch("t", [h.make_node("Relu", ["x"], ["t"])], [info("t", None)]),
                  branch("e", [h.make_node("Neg", ["x"], ["e"])], [info("e", None)]))
    del m.graph.node[0].attribute[1]
    return m


@case
def if_branches_of_unequal_count():
    return condition(branch("t", [h.make_node("Relu", ["x"], ["t"])], [info("t", None)]), branch("e", [], []))


@case
def deep_subgraphs():
    """An If in an If, a thousand times; by hand, since no library writes it."""

    def field(number, data):
        size, length = len(data), b""
        while size > 127:
            length, size = length + bytes([size & 127 | 128]), size >> 7
        return bytes([number << 3 | 2]) + length + bytes([size]) + data

    graph = field(1, field(1, b"x") + field(2, b"o") + field(4, b"Relu"))
    for _ in range(1000):
        branch = field(1, b"then_branch") + field(6, graph) + b"\xa0\x01\x05"
        graph = field(1, field(1, b"c") + field(2, b"o") + field(4, b"If") + field(5, branch))
    return b"\x08\x08" + field(7, graph) + field(8, field(1, b"") + b"\x10\x11")


def write(folder):
    """Writes every case; gives their paths."""
    shutil.rmtree(folder, ignore_errors=True)
    inside = os.path.join(folder, "models")
    os.makedirs(os.path.join(inside, "sub"))
    for path in (os.path.join(inside, "data.bin"), os.path.join(folder, "outside.bin")):
        with open(path, "wb") as f:
            f.write(bytes(4096))
    os.symlink("../outside.bin", os.path.join(inside, "link.bin"))
    paths = []
    for name, make in CASES.items():
        made = make()
        paths.append(os.path.join(inside, name + ".onnx"))
        with open(paths[-1], "wb") as f:
            f.write(made if isinstance(made, bytes) else made.SerializeToString())
    return paths


def refused(istc, path):
    """None, or what istc did instead of refusing the model."""
    output = path[: -len("onnx")] + "ist"
    try:
        done = subprocess.run([istc, path, "-o", output, "--target=cpu:native"], capture_output=True, text=True,
                              errors="replace", timeout=60)
    except subprocess.TimeoutExpired:
        return "still running after 60 s"
    said = done.stderr.strip()
    if done.returncode < 0 or done.returncode > 128:
        return f"crashed with {done.returncode}: {said[-300:]}"
    if done.returncode == 0:
        return "accepted"
    if not re.search(r"\bIST-[A-Z]\d+: .", said):
        return f"ended with {done.returncode} but without an error code: {said[-300:]!r}"
    if os.path.exists(output):
        return "left an artifact behind"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir")
    parser.add_argument("--istc", help="compile each with this compiler")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    paths = write(options.dir)
    if not options.istc:
        print(f"{len(paths)} broken models in {options.dir}")
        return 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(lambda p: refused(options.istc, p), paths))
    for path, why in zip(paths, results):
        if why:
            print(f"{os.path.basename(path)}: {why}")
    bad = sum(r is not None for r in results)
    print(f"{len(paths) - bad} refused, {bad} not")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
