#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What logging costs a decision: one caller, recommend of 20 items, two daemons of the same data, with
and without the log, by turns; without a ranker and with one of 20 features.

usage: tests/bench/bench_decision_log.py [--build build/release] [--rounds 9] [--seconds 2]
"""
import argparse
import hashlib
import json
import pathlib
import shutil
import statistics
import struct
import tempfile

import bench_serve

FEATURES = ["blend.score", "item.price", "user.events", "user.purchases", "pair.age_s"] + [
    f"item.{what}_{window}" for what in ("views", "carts", "purchases")
    for window in ("1h", "1d", "7d", "14d", "30d")]


def write_ranker(folder):
    """A linear bundle: the blend, a little moved by all that is known of the item."""
    folder.mkdir(parents=True)
    weights = struct.pack(f"<{len(FEATURES)}d", 1, *[1e-9] * (len(FEATURES) - 1))
    header = json.dumps({
        "weights": {"dtype": "F64", "shape": [len(FEATURES)], "data_offsets": [0, len(weights)]},
        "bias": {"dtype": "F64", "shape": [1], "data_offsets": [len(weights), len(weights) + 8]}}).encode()
    header += b" " * (-len(header) % 8)
    (folder / "weights.safetensors").write_bytes(
        struct.pack("<Q", len(header)) + header + weights + struct.pack("<d", 0))
    (folder / "golden.json").write_text(json.dumps({"rows": [{"features": {"blend.score": 2}, "score": 2}]}))

    def entry(name):
        data = (folder / name).read_bytes()
        return {"path": name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    (folder / "manifest.json").write_text(json.dumps({
        "format": 1, "name": "demo-rank", "version": "1", "kind": "linear",
        "features": [{"name": name} for name in FEATURES],
        "files": {"weights": entry("weights.safetensors")}, "golden": entry("golden.json")}))


def policies(ranker):
    home = {"sources": [{"source": "neighbors", "model": "demo-neighbors"},
                        {"source": "factors", "model": "demo-factors", "weight": 0.5}],
            "bought": "exclude", "generic_window": "14d"}
    return {"version": "1", "default": "home", "slots": {"home": home | ({"ranker": "demo-rank"} if ranker else {})}}


def copy(source, folder, ranker, log_bytes):
    folder.mkdir()
    for part in ("state", "models"):
        shutil.copytree(source / part, folder / part)
    (folder / "policies.json").write_text(json.dumps(policies(ranker)))
    return {"policies": str(folder / "policies.json"), "decision_log_bytes_max": log_bytes}


def measure(programs, daemon, users, seconds):
    """The p50 and the processor time of the whole daemon for each decision, in microseconds."""
    before = daemon.cpu_s()
    result = bench_serve.bench(programs, daemon, "--op", "recommend", "--closed", "--users", users, "--n", 20,
                               "--duration", seconds, "--warmup", 0)
    return result["latency_us"]["p50"], 1e6 * (daemon.cpu_s() - before) / result["due"]


def compare(programs, source, folder, users, ranker, arguments):
    daemons = []
    for name, log_bytes in (("without", 0), ("with", 4 << 30)):
        options = copy(source, folder / f"{name}-{ranker}", ranker, log_bytes)
        daemons.append(bench_serve.Daemon(programs, folder / f"{name}-{ranker}", options))
    pairs = []
    try:
        for number in range(arguments.rounds):
            pair = [measure(programs, daemon, users, arguments.seconds) for daemon in daemons]
            pairs.append(pair)
            bench_serve.say(f"round {number + 1}: " + ", ".join(f"p50 {p50:.1f} us, processor {cpu:.1f} us"
                                                                for p50, cpu in pair))
    finally:
        for daemon in daemons:
            daemon.stop()
    return pairs


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=bench_serve.ROOT / "build/release")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2)
    arguments = parser.parse_args()
    programs = bench_serve.Programs(arguments.build)
    with tempfile.TemporaryDirectory(prefix="bench_decision_log.") as name:
        folder = pathlib.Path(name)
        source = folder / "source"
        source.mkdir()
        daemon, users, _ = bench_serve.prepare(programs, source)
        try:
            write_ranker(source / "rank")
            bench_serve.run(programs.ctl, "--url", daemon.url, "model", "push", source / "rank")
        finally:
            daemon.stop()
        for ranker in (False, True):
            pairs = compare(programs, source, folder, users, ranker, arguments)
            for number, what in enumerate(("p50", "processor time")):
                without, logged = ([pair[side][number] for pair in pairs] for side in (0, 1))
                ratio = statistics.median(b / a for a, b in zip(without, logged))
                print(f"{'with' if ranker else 'without'} a ranker, {what}: {statistics.median(without):.1f} us, logged"
                      f" {statistics.median(logged):.1f} us, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
