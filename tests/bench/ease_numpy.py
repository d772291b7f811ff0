#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Yardstick for `decide-train neighbors`: EASE in numpy, as its paper prints it.

usage: ease_numpy.py FILE [--split DATE] [--lambda L]; prints one JSON line.
The time is that of the weights alone, without reading the file and without cutting to lists, which
decide-train does within its time.
"""
import argparse
import json
import time

import numpy as np

import retail


def train(X, lam):
    X = X.astype(np.float32)
    gram = X.T @ X
    gram[np.diag_indices_from(gram)] += np.float32(lam)
    P = np.linalg.inv(gram)
    B = P / -np.diag(P)
    B[np.diag_indices_from(B)] = 0
    return B


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--split", default="2011-11-01")
    parser.add_argument("--lambda", dest="lam", type=float, default=500.0)
    args = parser.parse_args()
    X, Y = retail.split(args.file, args.split)
    began = time.perf_counter()
    B = train(X, args.lam)
    took = time.perf_counter() - began
    new, again = retail.recall(X.astype(np.float32) @ B, X, Y)
    print(json.dumps({"seconds": took, "new": new, "any": again}))


if __name__ == "__main__":
    main()
