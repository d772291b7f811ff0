#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""decide-train against the same algorithms in numpy with the same BLAS, run alternately.

usage: bench_train.py FILE [--binary decide-train] [--rounds 5]
FILE is the public Online Retail file (docs/evaluation.md says where it comes from).  numpy runs
with one BLAS thread and with two, and the better of the two counts.  Prints the medians, and
exits 1 when decide-train is slower than numpy.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SPLIT = "2011-11-01"


def run_numpy(script, file, threads):
    command = [sys.executable, os.path.join(HERE, script), file, "--split", SPLIT]
    environment = dict(os.environ, OPENBLAS_NUM_THREADS=str(threads))
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True,
                                     env=environment).stdout)


def run_ours(binary, command, file):
    with tempfile.TemporaryDirectory() as out:
        done = subprocess.run(
            [binary, command, "--events", file, "--map",
             os.path.join(ROOT, "deploy/maps/online-retail.json"), "--out", out, "--eval",
             "time:" + SPLIT, "--threads", "2", "--json"],
            check=True, capture_output=True, text=True)
    report = json.loads(done.stdout)
    return {"seconds": report["seconds"]["train"], "new": report["eval"]["new"]["recall@20"],
            "any": report["eval"]["any"]["recall@20"]}


def compare(command, script, args):
    runs = {"decide-train": [], "numpy, 1 BLAS thread": [], "numpy, 2 BLAS threads": []}
    for _ in range(args.rounds):
        runs["decide-train"].append(run_ours(args.binary, command, args.file))
        runs["numpy, 1 BLAS thread"].append(run_numpy(script, args.file, 1))
        runs["numpy, 2 BLAS threads"].append(run_numpy(script, args.file, 2))
    print(f"\n{command}: median of {args.rounds} rounds")
    median = {}
    for name, results in runs.items():
        median[name] = statistics.median(r["seconds"] for r in results)
        print(f"  {name:22} {median[name]:7.2f} s   recall@20 new {results[0]['new']:.4f}"
              f"   any {results[0]['any']:.4f}")
    ours = median.pop("decide-train")
    ratio = ours / min(median.values())
    print(f"  decide-train takes {ratio:.2f} times the time of numpy")
    return ratio


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--binary",
                        default=os.path.join(ROOT, "build/release/tools/decide-train"))
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    if not os.path.exists(args.file):
        print(f"bench_train.py: SKIPPED: '{args.file}' is not there", file=sys.stderr)
        return 0
    ratios = [compare("factors", "ials_numpy.py", args),
              compare("neighbors", "ease_numpy.py", args)]
    return 0 if max(ratios) <= 1.0 else 1


if __name__ == "__main__":
    sys.exit(main())
