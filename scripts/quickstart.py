"""Compiles magika's ONNX model and asks it which kind of file FILE is.

Prints our answer beside ONNX Runtime's, the largest difference between the two
and both times. Started by quickstart.sh.
"""

import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
import time

import numpy as np
import onnxruntime

TARGET = "cpu:native"
CALLS = 50  # the median is printed


def model_folder():
    spec = importlib.util.find_spec("magika")  # found, not imported: only its data is used
    if spec is None:
        sys.exit("error: the magika package is missing; run ./scripts/install-deps.sh")
    return os.path.join(os.path.dirname(spec.origin), "models", "standard_v3_3")


def features(data, config):
    """The model's input: the first and the last bytes of a file, as magika cuts them.

    Of a block at each end of the file the outer whitespace is dropped, then
    `beg_size` bytes are taken from its begin, `end_size` from its end; what is
    missing is filled up with a token that no byte is.
    """
    block, pad = config["block_size"], config["padding_token"]
    begin = list(data[:block].lstrip()[: config["beg_size"]])
    end = list(data[-block:].rstrip()[-config["end_size"] :])
    begin += [pad] * (config["beg_size"] - len(begin))
    end = [pad] * (config["end_size"] - len(end)) + end
    if begin[config["min_file_size_for_dl"] - 1] == pad:
        sys.exit(f"error: too short for the model, which wants {config['min_file_size_for_dl']} bytes")
    return np.array([begin + end], dtype=np.int32)


def answer(scores, config):
    """magika's rule: below its label's threshold an answer is only a guess."""
    best = int(scores[0].argmax())
    label = config["target_labels_space"][best]
    threshold = config["thresholds"].get(label, config["medium_confidence_threshold"])
    return f"{config['overwrite_map'].get(label, label)} ({scores[0][best]:.2%}{'' if scores[0][best] >= threshold else ', unsure'})"


def tool(command, what):
    print("  " + " ".join(os.path.relpath(c) if os.path.isabs(c) else c for c in command), file=sys.stderr)
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        sys.exit(f"error: {what} failed: {os.path.basename(command[0])} ended with status {done.returncode}")
    return done.stderr


def median(times):
    return sorted(times)[len(times) // 2]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--build", default="build")
    options = parser.parse_args()

    folder = model_folder()
    model = os.path.join(folder, "model.onnx")
    with open(os.path.join(folder, "config.min.json")) as f:
        config = json.load(f)
    work = os.path.join(options.build, "quickstart")
    os.makedirs(work, exist_ok=True)
    artifact, feed, result = (os.path.join(work, n) for n in ("magika.ist", "bytes.npy", "target_label.npy"))
    with open(options.file, "rb") as f:
        x = features(f.read(), config)
    np.save(feed, x)

    istc = os.path.join(options.build, "bin", "istc")
    newest = max(os.path.getmtime(p) for p in (istc, model))
    if not os.path.exists(artifact) or os.path.getmtime(artifact) < newest:
        begin = time.time()
        tool([istc, model, "-o", artifact, f"--target={TARGET}"], "compiling magika")
        print(f"  compiled in {time.time() - begin:.1f} s", file=sys.stderr)
    else:
        print(f"  {os.path.relpath(artifact)} is up to date", file=sys.stderr)
    said = tool([os.path.join(options.build, "bin", "ist-run"), artifact, f"--input=bytes=@{feed}",
                 f"--output=@{result}", f"--repeat={CALLS}"], "running magika")
    ours = np.load(result)
    our_ms = median([float(ms) for ms in re.findall(r"call \d+: ([0-9.]+) ms", said)])

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    theirs = session.run(None, {"bytes": x})[0]
    times = []
    for _ in range(CALLS):
        begin = time.perf_counter()
        session.run(None, {"bytes": x})
        times.append((time.perf_counter() - begin) * 1e3)
    their_ms = median(times)

    worst = float(np.abs(ours - theirs).max())
    allowed = bool((np.abs(ours - theirs) <= 1e-3 * np.abs(theirs) + 1e-5 * np.abs(theirs).max()).all())
    print(f"\nmagika on {os.path.relpath(options.file)}:")
    print(f"  {'Isthmus':<14} {answer(ours, config):<28} {our_ms:7.2f} ms")
    print(f"  {'ONNX Runtime':<14} {answer(theirs, config):<28} {their_ms:7.2f} ms")
    print(f"  largest difference {worst:.2g}{'' if allowed else ': too large'}")
    if not allowed or ours.shape != theirs.shape:
        sys.exit(1)


if __name__ == "__main__":
    main()
