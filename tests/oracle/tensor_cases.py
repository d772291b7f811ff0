# SPDX-License-Identifier: Apache-2.0
"""Arrays as numpy, and the safetensors package where there is one, write them.

    tensor_cases.py DIR         writes NAME.npy and NAME.safetensors, each with NAME.f64, the same values in double
    tensor_cases.py DIR check   reads DIR/back.safetensors and compares it with the arrays of NAME.f64
"""
import os
import sys

import numpy as np

try:
    from safetensors.numpy import load_file, save_file
except ImportError:
    load_file = save_file = None

TYPES = ["<f2", "<f4", "<f8", "|i1", "|u1", "|b1", "<i4", "<u4", "<i8"]
SHAPES = [(), (1,), (7,), (3, 5), (2, 3, 4), (0, 4)]


def arrays():
    rng = np.random.default_rng(7)
    for dtype in TYPES:
        for number, shape in enumerate(SHAPES):
            values = rng.normal(0, 100, shape)
            kind = np.dtype(dtype).kind
            if kind == "b":
                values = values > 0
            elif kind == "u":
                values = np.abs(values)
            elif kind == "i" and np.dtype(dtype).itemsize == 1:
                values = np.clip(values, -128, 127)
            yield "%s_%d" % (dtype[1:], number), np.ascontiguousarray(np.asarray(values).astype(dtype)).reshape(shape)


def check(folder):
    path = os.path.join(folder, "back.safetensors")
    if load_file is None:
        print("SKIPPED: no safetensors package reads what was written", file=sys.stderr)
        return
    back = load_file(path)
    wanted = dict(arrays())
    assert set(back) == set(wanted), (sorted(back), sorted(wanted))
    for name, array in wanted.items():
        assert back[name].dtype == array.dtype and back[name].shape == array.shape, name
        assert np.array_equal(back[name], array), name


def main():
    folder = sys.argv[1]
    if len(sys.argv) > 2:
        check(folder)
        return
    for name, array in arrays():
        np.save(os.path.join(folder, name + ".npy"), array)
        array.astype("<f8").tofile(os.path.join(folder, name + ".f64"))
        if save_file is not None:
            save_file({"x": array}, os.path.join(folder, name + ".safetensors"))


main()
