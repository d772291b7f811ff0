#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Yardstick for `decide-train factors`: the same algorithm in numpy, as one would write it there.

usage: ials_numpy.py FILE [--split DATE] [--factors D] [--sweeps S]; prints one JSON line.
The time is that of training alone, without reading the file.
"""
import argparse
import json
import time

import numpy as np

import retail

BATCH = 256  # systems that one call solves


def half(rows, fixed, weight, reg):
    """Vectors for `rows` (lists of indexes into `fixed`), which stands still."""
    dim = fixed.shape[1]
    gram = np.float32(weight) * (fixed.T @ fixed)
    unit = np.eye(dim, dtype=np.float32)
    out = np.empty((len(rows), dim), np.float32)
    system = np.empty((BATCH, dim, dim), np.float32)
    right = np.empty((BATCH, dim), np.float32)
    for begin in range(0, len(rows), BATCH):
        batch = rows[begin:begin + BATCH]
        for n, row in enumerate(batch):
            v = fixed[row]
            system[n] = v.T @ v + gram + unit * np.float32(reg * (len(row) + weight * len(fixed)))
            right[n] = v.sum(axis=0)
        out[begin:begin + len(batch)] = np.linalg.solve(system[:len(batch)], right[:len(batch)])
    return out


def train(X, dim, sweeps, weight=0.3, reg=0.003, seed=1):
    random = np.random.default_rng(seed)
    by_user = [np.flatnonzero(row) for row in X]
    by_item = [np.flatnonzero(row) for row in X.T]
    items = (random.standard_normal((X.shape[1], dim)) * 0.1 / np.sqrt(dim)).astype(np.float32)
    for _ in range(sweeps):
        users = half(by_user, items, weight, reg)
        items = half(by_item, users, weight, reg)
    return half(by_user, items, weight, reg), items


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--split", default="2011-11-01")
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--sweeps", type=int, default=12)
    args = parser.parse_args()
    X, Y = retail.split(args.file, args.split)
    began = time.perf_counter()
    users, items = train(X, args.factors, args.sweeps)
    took = time.perf_counter() - began
    new, again = retail.recall(users @ items.T, X, Y)
    print(json.dumps({"seconds": took, "new": new, "any": again}))


if __name__ == "__main__":
    main()
