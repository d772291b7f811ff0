#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""100 rows of 50 features through 300 trees of 31 leaves: our evaluator beside the library's own, by turns, one thread.

usage: tests/bench/bench_trees.py [--build build/release] [--rounds 5] [--seconds 0.4] [--leaves 31]

XGBoost is asked in place (XGBoosterPredictFromDense through ctypes, its arguments made before), LightGBM, where the
interpreter has it, by LGBM_BoosterPredictForMatSingleRowFast for each row and by LGBM_BoosterPredictForMat for all.
"""
import argparse
import ctypes
import json
import pathlib
import subprocess
import tempfile
import time

import numpy as np

ROWS, FEATURES, TREES = 100, 50, 300


def data(rows, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, FEATURES)).astype(np.float32)
    x[rng.random(x.shape) < 0.05] = np.nan
    clean = np.nan_to_num(x)
    y = clean[:, :10].sum(axis=1) + np.sin(clean[:, 10:20] * 3).sum(axis=1) + rng.normal(size=rows)
    return x, y


def best_us(what, seconds):
    """Processor time of this thread, which other work lengthens less."""
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        before = time.thread_time()
        what()
        best = min(best, time.thread_time() - before)
    return best * 1e6


def array_interface(x):
    return json.dumps({"data": [x.ctypes.data, True], "shape": list(x.shape), "typestr": "<f4", "version": 3}).encode()


def xgboost_calls(folder, leaves):
    import xgboost as xgb
    x, y = data(20000, 1)
    booster = xgb.train({"tree_method": "hist", "grow_policy": "lossguide", "max_leaves": leaves, "max_depth": 0,
                         "objective": "reg:squarederror", "eta": 0.1, "nthread": 2},
                        xgb.DMatrix(x, label=y), TREES)
    booster.set_param({"nthread": 1})
    booster.save_model(str(folder / "xgboost.json"))
    library = xgb.core._LIB
    config = json.dumps({"type": 1, "training": False, "iteration_begin": 0, "iteration_end": 0, "missing": float("nan"),
                         "strict_shape": False, "cache_id": 0}).encode()

    def caller(rows):
        shape, dims = ctypes.POINTER(ctypes.c_uint64)(), ctypes.c_uint64()
        result, interface = ctypes.POINTER(ctypes.c_float)(), array_interface(rows)
        arguments = (booster.handle, interface, config, None, ctypes.byref(shape), ctypes.byref(dims),
                     ctypes.byref(result))
        return lambda: library.XGBoosterPredictFromDense(*arguments)
    asked, _ = data(ROWS, 2)
    ones = [np.ascontiguousarray(asked[i:i + 1]) for i in range(ROWS)]
    callers = [caller(one) for one in ones]
    extra = "inplace_predict", lambda: [booster.inplace_predict(one) for one in ones]
    return "xgboost " + xgb.__version__, asked, caller(asked), lambda: [call() for call in callers], extra, booster


def lightgbm_calls(folder, leaves):
    import lightgbm as lgb
    x, y = data(20000, 1)
    booster = lgb.train({"num_leaves": leaves, "objective": "regression", "verbosity": -1, "num_threads": 2},
                        lgb.Dataset(x.astype(np.float64), label=y), TREES)
    booster.save_model(str(folder / "lightgbm.txt"))
    library, handle = lgb.basic._LIB, booster._handle
    asked = data(ROWS, 2)[0].astype(np.float64)
    fast = ctypes.c_void_p()
    settings = ctypes.c_char_p(b"num_threads=1")
    assert library.LGBM_BoosterPredictForMatSingleRowFastInit(handle, 1, 0, -1, 1, FEATURES, settings,
                                                              ctypes.byref(fast)) == 0
    out, count = np.zeros(ROWS), ctypes.c_int64()
    rows = [ctypes.c_void_p(asked[i].ctypes.data) for i in range(ROWS)]
    to = ctypes.c_void_p(out.ctypes.data)

    def one_by_one():
        for row in rows:
            library.LGBM_BoosterPredictForMatSingleRowFast(fast, row, ctypes.byref(count), to)

    def together():
        library.LGBM_BoosterPredictForMat(handle, ctypes.c_void_p(asked.ctypes.data), 1, ROWS, FEATURES, 1, 1, 0, -1,
                                          settings, ctypes.byref(count), to)
    extra = "Booster.predict", lambda: [booster.predict(asked[i:i + 1], raw_score=True) for i in range(ROWS)]
    return "lightgbm " + lgb.__version__, asked, together, one_by_one, extra, booster


def ours(build, model, rows, folder, seconds):
    rows.astype("<f8").tofile(folder / "rows")
    line = subprocess.run([str(build / "tests/bench/bench_trees"), str(model), str(ROWS), str(FEATURES),
                           str(folder / "rows"), str(seconds)], check=True, capture_output=True, text=True).stdout.split()
    return {line[i]: float(line[i + 1]) for i in range(0, len(line), 2)}


def measure(calls, arguments, folder, model):
    title, rows, together, one_by_one, (in_python, python_one), _booster = calls
    best = {}
    for _ in range(arguments.rounds):
        found = ours(arguments.build, folder / model, rows, folder, arguments.seconds)
        found["library"] = best_us(together, arguments.seconds)
        found["library_one"] = best_us(one_by_one, arguments.seconds) / ROWS
        found["python_one"] = best_us(python_one, arguments.seconds) / ROWS
        best = {key: min(value, best.get(key, value)) for key, value in found.items()}
    print(f"{title}, {TREES} trees of {arguments.leaves} leaves, {ROWS} rows of {FEATURES} features; us")
    print(f"  all rows: library {best['library']:.1f}, ours {best['fast']:.1f} ({best['library'] / best['fast']:.1f} times), "
          f"portable {best['portable']:.1f}, plain {best['plain']:.1f}")
    print(f"  one row:  library {best['library_one']:.2f}, ours {best['one']:.2f} "
          f"({best['library_one'] / best['one']:.1f} times); {in_python} in Python {best['python_one']:.1f} "
          f"({best['python_one'] / best['one']:.1f} times)")
    print(f"  a row of many beside the library's call for one: {best['library_one'] * ROWS / best['fast']:.1f} times")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.4)
    parser.add_argument("--leaves", type=int, default=31)
    arguments = parser.parse_args()
    for name, make, model in (("xgboost", xgboost_calls, "xgboost.json"), ("lightgbm", lightgbm_calls, "lightgbm.txt")):
        with tempfile.TemporaryDirectory() as folder:
            try:
                calls = make(pathlib.Path(folder), arguments.leaves)
            except ImportError:
                print(f"{name}: this interpreter has it not")
                continue
            measure(calls, arguments, pathlib.Path(folder), model)


main()
