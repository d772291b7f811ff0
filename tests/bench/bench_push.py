#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures what a push of a large model does to those who are being served meanwhile.

A release daemon with a made-up shop and trained models is asked at a quarter of its peak rate, in
runs that alternate: left alone, and while a `factors` bundle of 500 MiB is pushed, verified, loaded
and swapped in, again and again as long as the run lasts.  Printed are the ratio of the p99 of
`recommend`, of each pair and their median, and what the resident memory has grown by between two
pushes, in parts of one model.

Everything runs on the cores that the machine has, load generator and `decidectl` included.  With
--low-latency daemon and generator are for low latency (low_latency.py); the loader and `decidectl`
have an ordinary priority all the same.
usage: tests/bench/bench_push.py [--build build/release] [--rounds 5] [--seconds 10] [--mib 500]
                                 [--rate R] [--by upload|folder] [--low-latency] [--json]
"""
import argparse
import hashlib
import json
import os
import pathlib
import random
import shutil
import statistics
import struct
import subprocess
import tempfile
import time

import low_latency
from bench_serve import Programs, ROOT, bench, prepare, run, say, wait_until

NAME = "demo-factors"
PUSH_S = 300
FILLER_ROWS = 4096  # that are different


def enlarge(path, mib):
    """Rows for people that nobody asks for, behind those of the only tensor, which is of F32; how many."""
    raw = path.read_bytes()
    (header_bytes,) = struct.unpack("<Q", raw[:8])
    ((name, tensor),) = ((n, t) for n, t in json.loads(raw[8:8 + header_bytes]).items() if n != "__metadata__")
    rows, dim = tensor["shape"]
    added = mib * 2 ** 20 // (4 * dim) - rows
    draw = random.Random(1).gauss
    filler = struct.pack(f"<{FILLER_ROWS * dim}f", *(draw(0, 0.1) for _ in range(FILLER_ROWS * dim)))
    header = json.dumps({name: {"dtype": "F32", "shape": [rows + added, dim],
                                "data_offsets": [0, 4 * dim * (rows + added)]}}).encode()
    header += b" " * (-len(header) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header + raw[8 + header_bytes:])
        for _ in range(added // FILLER_ROWS):
            file.write(filler)
        file.write(filler[:added % FILLER_ROWS * 4 * dim])
    return added


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


class Large:
    """The bundle that was trained, with more people, until it has its size."""

    def __init__(self, trained, folder, mib):
        self.folder = folder
        source = folder / "source"
        shutil.copytree(trained, source)
        added = enlarge(source / "user_factors.safetensors", mib)
        with open(source / "user_ids.txt", "a", encoding="utf-8") as ids:
            ids.writelines(f"filler-{i}\n" for i in range(added))
        self.manifest = json.loads((source / "manifest.json").read_text())
        for file in self.manifest["files"].values():
            file["sha256"] = sha256(source / file["path"])
            file["bytes"] = (source / file["path"]).stat().st_size
        self.bytes = sum(one.stat().st_size for one in source.iterdir())

    def make(self, version):
        """A folder of that version; its large files are the same, by hard links."""
        place = self.folder / version
        place.mkdir()
        for one in (self.folder / "source").iterdir():
            if one.name != "manifest.json":
                os.link(one, place / one.name)
        (place / "manifest.json").write_text(json.dumps(self.manifest | {"version": version}))
        return place


def serving(programs, daemon):
    models = json.loads(run(programs.ctl, "--url", daemon.url, "--json", "model", "list"))["models"]
    return [one["version"] for one in models if one["name"] == NAME and one.get("label") == "stable"]


class Pusher:
    """One version after the other."""

    def __init__(self, programs, daemon, large, models_dir, by):
        self.programs, self.daemon, self.large = programs, daemon, large
        self.models_dir, self.by = models_dir, by
        self.number = 1
        self.pushes_s = []

    def push(self):
        self.number += 1
        version = str(self.number)
        folder = self.large.make(version)
        began = time.monotonic()
        if self.by == "upload":
            run(self.programs.ctl, "--url", self.daemon.url, "model", "push", folder)
        else:
            os.rename(folder, self.models_dir / NAME / version)
            wait_until(f"version {version} serves",
                       lambda: serving(self.programs, self.daemon) == [version], PUSH_S)
        self.pushes_s.append(time.monotonic() - began)
        for old in (self.models_dir / NAME).iterdir():
            if old.name.isdigit() and int(old.name) < self.number - 1:
                shutil.rmtree(old)

    def push_during(self, command):
        """Pushes until the command is through, the last one to its end."""
        with subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True) as process:
            while process.poll() is None:
                self.push()
            return json.loads(process.stdout.read())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--mib", type=int, default=500)
    parser.add_argument("--rate", type=float, help="requests a second, in the place of a quarter of the peak")
    parser.add_argument("--by", choices=("upload", "folder"), default="upload")
    parser.add_argument("--low-latency", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.low_latency and low_latency.fault():
        parser.error(f"--low-latency: {low_latency.fault()}")
    programs = Programs(arguments.build)
    with tempfile.TemporaryDirectory(prefix="bench_push.") as name:
        folder = pathlib.Path(name)
        daemon, users, _ = prepare(programs, folder, low_latency.OPTIONS if arguments.low_latency else None)
        try:
            result = measure(programs, daemon, users, folder, arguments)
        finally:
            daemon.stop()
    if arguments.json:
        print(json.dumps(result, indent=1))
        return
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}; {result['rate']:.0f} recommend a second,"
          f" {result['model_mib']:.0f} MiB a model, {result['push_s']:.1f} s a push")
    print("p99 of recommend: " + ", ".join(f"{alone:.0f} -> {pushed:.0f} us" for alone, pushed in result["p99_us"]))
    print(f"ratio {result['ratio']:.2f} (pairs: {', '.join(f'{r:.2f}' for r in result['ratios'])}); target 1.3")
    print(f"resident memory: {result['grown_mib']:+.1f} MiB between pushes,"
          f" {100 * result['grown_mib'] / result['model_mib']:+.1f} % of a model; target 5 %")


def measure(programs, daemon, users, folder, arguments):
    rate = arguments.rate
    under = low_latency.GENERATOR if arguments.low_latency else ()
    if rate is None:
        say("looking for the peak rate")
        rate = bench(programs, daemon, "--op", "recommend", "--users", users, "--sweep", "--rate", 1000,
                     "--limit", 10000, "--duration", 4, "--warmup", 0.5, under=under)["peak_rate"] / 4
    say(f"a model of {arguments.mib} MiB")
    large = Large(folder / "bundles" / NAME / "1", folder / "large", arguments.mib)
    pusher = Pusher(programs, daemon, large, folder / "models", arguments.by)
    pusher.push()
    pusher.push()  # from here on two are loaded: the one that serves, and the one before
    resident = [daemon.resident_mib()]
    command = [*under, programs.bench, "--url", daemon.url, "--json", "--op", "recommend", "--users", users,
               "--rate", rate, "--duration", arguments.seconds, "--warmup", 0.5]
    pairs = []
    for number in range(arguments.rounds):
        alone = json.loads(run(*command))
        pushed = pusher.push_during(command)
        resident.append(daemon.resident_mib())
        pairs.append((alone["latency_us"]["p99"], pushed["latency_us"]["p99"]))
        say(f"round {number + 1}: p99 {pairs[-1][0]:.0f} us alone, {pairs[-1][1]:.0f} us with pushes;"
            f" {resident[-1]:.0f} MiB; failed {pushed.get('errors', pushed.get('failed'))}, levels {pushed['levels']}")
    return {"rate": rate, "p99_us": pairs, "ratios": [p / a for a, p in pairs],
            "ratio": statistics.median(p / a for a, p in pairs), "push_s": statistics.median(pusher.pushes_s),
            "model_mib": large.bytes / 2 ** 20, "resident_mib": resident,
            "grown_mib": statistics.median(b - a for a, b in zip(resident, resident[1:]))}


if __name__ == "__main__":
    main()
