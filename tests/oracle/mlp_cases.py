# SPDX-License-Identifier: Apache-2.0
"""Writes bundles of the kind mlp whose golden rows numpy computed, in double and without folding anything.

usage: mlp_cases.py FOLDER

For each case: the bundle FOLDER/NAME.  The tensors go through the exporter of docs/bundles.md, as it stands there, from layers
that look like those of PyTorch.
"""
import hashlib
import json
import math
import os
import struct
import sys

import numpy as np

FOLDER = sys.argv[1]
ROWS, FEATURES = 200, 9
DOCS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "bundles.md")


class Tensor(np.ndarray):
    def detach(self):
        return self

    cpu = detach

    def numpy(self):
        return np.asarray(self)


def tensor(values):
    return np.asarray(values).view(Tensor)


class Linear:
    def __init__(self, rng, fan_in, out_features, dtype, has_bias=True):
        self.out_features = out_features
        self.weight = tensor((rng.normal(size=(out_features, fan_in)) / math.sqrt(fan_in)).astype(dtype))
        self.bias = tensor(rng.normal(size=out_features).astype(dtype)) if has_bias else None

    def __call__(self, x):
        y = x @ self.weight.numpy().astype(float).T
        return y if self.bias is None else y + self.bias.numpy().astype(float)


class BatchNorm1d:
    def __init__(self, rng, count, dtype):
        self.eps = 1e-3
        self.weight, self.bias = (tensor(rng.normal(size=count).astype(dtype)) for _ in range(2))
        self.running_mean = tensor(rng.normal(size=count).astype(dtype))
        self.running_var = tensor((rng.random(count) + 0.1).astype(dtype))

    def __call__(self, x):
        mean, var = self.running_mean.numpy().astype(float), self.running_var.numpy().astype(float)
        scaled = (x - mean) / np.sqrt(var + self.eps)
        return scaled * self.weight.numpy().astype(float) + self.bias.numpy().astype(float)


class Dropout:
    def __call__(self, x):
        return x


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


FUNCTIONS = {
    "Identity": lambda x: x,
    "ReLU": lambda x: np.maximum(x, 0),
    "GELU": lambda x: x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2,
    "Tanh": np.tanh,
    "Sigmoid": sigmoid,
    "SiLU": lambda x: x * sigmoid(x),
}
ACTIVATIONS = {name: type(name, (), {"__call__": lambda self, x, f=function: f(x)}) for name, function in FUNCTIONS.items()}


def exporter():
    with open(DOCS, encoding="utf-8") as f:
        blocks = f.read().split("```python\n")[1:]
    code = next(block.split("```")[0] for block in blocks if "def mlp_parts" in block)
    names = {}
    exec(compile(code, DOCS, "exec"), names)
    return names["mlp_parts"]


def write_safetensors(path, tensors):
    names = {"float16": "F16", "float32": "F32", "float64": "F64"}
    header, data = {}, b""
    for name, array in sorted(tensors.items(), key=lambda item: -item[1].itemsize):
        header[name] = {"dtype": names[str(array.dtype)], "shape": list(array.shape),
                        "data_offsets": [len(data), len(data) + array.nbytes]}
        data += array.tobytes()
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def write_bundle(name, modules, scaling, rng, has_sigmoid):
    folder = os.path.join(FOLDER, name)
    os.mkdir(folder)
    tensors, params = MLP_PARTS(modules)
    features = [{"name": f"request.f{i}", "default": i / 4} for i in range(FEATURES)]
    x = rng.normal(size=(ROWS, FEATURES)) * 2
    unknown = rng.random(x.shape) < 0.1
    y = np.where(unknown, [f["default"] for f in features], x)
    if scaling:
        tensors["mean"], tensors["scale"] = rng.normal(size=FEATURES), rng.random(FEATURES) + 0.5
        y = (y - tensors["mean"]) / tensors["scale"]
    for module in modules:
        y = module(y)
    if has_sigmoid:
        params["sigmoid"] = 1
        y = sigmoid(y)
    rows = [{"features": {f["name"]: None if gone else float(value) for f, value, gone in zip(features, row, holes)},
             "score": float(score)} for row, holes, score in zip(x, unknown, y[:, 0])]
    write_safetensors(os.path.join(folder, "weights.safetensors"), tensors)
    with open(os.path.join(folder, "golden.json"), "w") as f:
        json.dump({"rows": rows}, f)

    def entry(path):
        with open(os.path.join(folder, path), "rb") as f:
            return {"path": path, "sha256": hashlib.sha256(f.read()).hexdigest()}

    manifest = {"format": 1, "name": name, "version": "1", "kind": "mlp", "files": {"weights": entry("weights.safetensors")},
                "params": params, "features": features, "golden": {**entry("golden.json"), "tolerance": 1e-5}}
    with open(os.path.join(folder, "manifest.json"), "w") as f:
        json.dump(manifest, f)


MLP_PARTS = exporter()


def main():
    rng = np.random.default_rng(7)
    for dtype in (np.float16, np.float32, np.float64):
        for activation in ACTIVATIONS:
            for has_norm in (False, True):
                modules, fan_in = [], FEATURES
                for width in (48, 17, 130):
                    modules.append(Linear(rng, fan_in, width, dtype, has_bias=width != 17))
                    if has_norm:
                        modules.append(BatchNorm1d(rng, width, dtype))
                    modules += [ACTIVATIONS[activation](), Dropout()]
                    fan_in = width
                modules.append(Linear(rng, fan_in, 1, dtype))
                name = f"{activation}-{np.dtype(dtype).name}{'-norm' if has_norm else ''}"
                write_bundle(name, modules, scaling=has_norm, rng=rng, has_sigmoid=activation == "Tanh")


main()
