#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures how soon events are seen while decisions go on: a release daemon with a made-up shop,
decide-bench at a quarter of the peak rate of recommend, and bench_visible beside it; then each alone.

usage: tests/bench/bench_visible.py [--build build/release] [--rate 20000] [--decisions N]
                                    [--seconds 10] [--rounds 3] [--low-latency]
With --low-latency daemon and decide-bench are for low latency (low_latency.py), events and their
reader as always.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import bench_serve  # noqa: E402
import low_latency  # noqa: E402


def decisions(programs, daemon, users, rate, seconds, under):
    return [*under, programs.bench, "--url", daemon.url, "--json", "--op", "recommend", "--users", users,
            "--rate", f"{rate:.0f}", "--duration", seconds, "--warmup", 0.5]


def start(command):
    return subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)


def finish(process):
    output = process.communicate()[0]
    if process.returncode != 0:
        sys.exit(f"bench_visible: {process.args[0]} failed")
    return output


def show_decisions(what, text):
    result = json.loads(text)
    print(f"{what}: decisions p50 {result['latency_us']['p50']:.0f} us, p99"
          f" {result['latency_us']['p99']:.0f} us, {result['achieved_rate']:.0f}/s,"
          f" levels {result['levels']}, lag p99 {result['lag_us']['p99']:.0f} us", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=bench_serve.ROOT / "build/release")
    parser.add_argument("--rate", type=int, default=20000)
    parser.add_argument("--decisions", type=int, help="a second; without it a quarter of the peak")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--low-latency", action="store_true")
    arguments = parser.parse_args()
    if arguments.low_latency and low_latency.fault():
        parser.error(f"--low-latency: {low_latency.fault()}")
    options, under = (low_latency.OPTIONS, low_latency.GENERATOR) if arguments.low_latency else (None, ())
    programs = bench_serve.Programs(arguments.build)
    visible = arguments.build / "tests/bench/bench_visible"
    with tempfile.TemporaryDirectory(prefix="bench_visible.") as name:
        daemon, users, _ = bench_serve.prepare(programs, pathlib.Path(name), options)
        events = [visible, daemon.url, arguments.rate, arguments.seconds]
        try:
            rate = arguments.decisions
            if rate is None:
                rate = bench_serve.find_peak(programs, daemon, users, 1, 2)["peak_rate"] / 4
            print(f"{rate:.0f} decisions/s, load average {os.getloadavg()[0]:.1f}")
            asked = decisions(programs, daemon, users, rate, arguments.seconds, under)
            for number in range(arguments.rounds):
                print(f"round {number + 1}", flush=True)
                show_decisions("alone", finish(start(asked)))
                print("alone:", finish(start(events)), end="")
                both = [start(asked), start(events)]
                show_decisions("together", finish(both[0]))
                print("together:", finish(both[1]), end="", flush=True)
        finally:
            daemon.stop()


if __name__ == "__main__":
    main()
