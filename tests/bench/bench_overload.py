#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures what a daemon carries, and what becomes of more: the shop of bench_serve.py, recommend
of 20 items, eight connections, load generator on the same cores.

  1. the peak rate of the native socket and of the nng library's, one daemon with both, by turns:
     the highest rate that keeps p99 under 10 ms, and under 1 ms; and the p99 of each at half of its
     peak. The daemon answers everything in full there (queue_delay_target_us 0): cheaper answers
     would make another peak. With --real-time this daemon, all of its threads, and the generator
     have real-time priority and processors stay awake, so that neither kind of socket waits for
     what else runs on the machine.
  2. three times the native peak, each request with a budget of 20 ms, offered to a daemon as it is
     by default: how many are answered within it, how soon the others are told, and the levels of
     answers in the second after the end.

usage: tests/bench/bench_overload.py [--build build/release] [--rounds 3] [--seconds 2]
                                     [--overload-seconds 30] [--connections 8] [--real-time]
                                     [--options JSON] [--json]
"""
import argparse
import json
import os
import pathlib
import re
import statistics
import tempfile

import low_latency
from bench_serve import ROOT, Daemon, Programs, bench, prepare, say

BUDGET_US, TIMES, AFTERWARDS_PER_S = 20000, 3, 4000
LIMITS_US = (10000, 1000)
SOCKETS = ["tcp://127.0.0.1:0", "nng+tcp://127.0.0.1:0"]


def urls_of(daemon):
    """By kind of socket; a generator speaks the same protocol to both."""
    found = re.findall(r'"address":"((?:nng\+)?tcp://[^"]+)"', daemon.log.read_text())
    return {"nng" if url.startswith("nng") else "native": url.removeprefix("nng+") for url in found}


class At:
    """A socket of the daemon, as bench() wants it."""
    def __init__(self, url):
        self.url = url


def find_peaks(programs, urls, users, arguments, under):
    """By limit and socket, of each round: the peak, and the p99 at half of it."""
    peaks = {limit: {name: [] for name in urls} for limit in LIMITS_US}
    for number in range(arguments.rounds):
        for limit in LIMITS_US:
            for name, url in sorted(urls.items(), reverse=number % 2 == 1):
                sweep = bench(programs, At(url), "--op", "recommend", "--users", users, "--sweep",
                              "--rate", 1000, "--limit", limit, "--connections",
                              arguments.connections, "--duration", 3 * arguments.seconds,
                              "--warmup", 0.5, under=under)
                half = sweep["at_half"]
                half_us = half["latency_us"]["p99"] if half else None
                peaks[limit][name].append((sweep["peak_rate"], half_us))
                say(f"round {number + 1}: {name}, p99 under {limit} us: {sweep['peak_rate']:.0f}/s,"
                    f" p99 at half of it {half_us or 0:.0f} us")
    return peaks


def overload(programs, url, users, peak, arguments):
    def offer(rate, seconds, *more):
        return bench(programs, At(url), "--op", "recommend", "--users", users, "--budget", BUDGET_US,
                     "--connections", arguments.connections, "--rate", rate, "--duration", seconds, *more)
    say(f"{TIMES * peak:.0f}/s for {arguments.overload_seconds:.0f} s")
    over = offer(TIMES * peak, arguments.overload_seconds, "--warmup", 0.5)
    first = offer(AFTERWARDS_PER_S, 1, "--warmup", 0.001)
    later = offer(AFTERWARDS_PER_S, 3, "--warmup", 0.001)
    return {"offered": over["due_rate"], "in_budget": over["in_budget_rate"], "due": over["due"],
            "ok": over["ok"], "refused": over["refused"], "lost": over["lost"] + over["unsent"],
            "latency_us": over["latency_us"], "refusal_us": over.get("refusal_us"),
            "lag_us": over["lag_us"], "levels": over["levels"],
            "first_second": first["levels"], "later": later["levels"]}


def print_peaks(limit, peaks):
    middle = {name: statistics.median(rate for rate, _ in rounds) for name, rounds in peaks.items()}
    rates = "; ".join(f"{name} {middle[name]:.0f}/s ({', '.join(f'{r:.0f}' for r, _ in rounds)})"
                      for name, rounds in sorted(peaks.items()))
    ratio = f"{middle['native'] / middle['nng']:.2f}" if middle["nng"] else "no rate of nng's"
    print(f"peak, p99 under {int(limit) / 1000:g} ms: {rates}: {ratio}; aim 2.5")
    for name, rounds in sorted(peaks.items()):
        halves = [half_us for _, half_us in rounds if half_us]
        if halves:
            print(f"  at half of it {name} p99 {statistics.median(halves):.0f} us"
                  f" ({', '.join(f'{h:.0f}' for h in halves)})"
                  f"{'; aim 300' if name == 'native' else ''}")


def print_result(result):
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}")
    for limit, peaks in result["peaks"].items():
        print_peaks(limit, peaks)
    over, peak = result["overload"], result["peak_rate"]
    if over is None:
        return
    print(f"{over['offered']:.0f}/s offered, {TIMES} times the peak: {over['in_budget']:.0f}/s answered"
          f" within {BUDGET_US / 1000:g} ms, {100 * over['in_budget'] / peak:.0f} % of the peak; aim 90 %")
    print(f"  p50 {over['latency_us']['p50']:.0f} us, p99 {over['latency_us']['p99']:.0f} us, generator"
          f" late by {over['lag_us']['p99']:.0f} us at p99; levels {over['levels']}")
    if over["refused"]:
        print(f"  {over['refused']} refused, {100 * over['refused'] / over['due']:.2f} %: told after"
              f" {over['refusal_us']['p50']:.0f} us, p99 {over['refusal_us']['p99']:.0f} us; aim 1000")
    if over["lost"]:
        print(f"  {over['lost']} without an answer")
    print(f"  the second afterwards {over['first_second']}, then {over['later']}; aim: full")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--overload-seconds", type=float, default=30, help="0: peaks alone")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--real-time", action="store_true", help="of the first daemon")
    parser.add_argument("--options", type=json.loads, default={}, metavar="JSON",
                        help="members of the configuration of the second daemon")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    programs = Programs(arguments.build)
    under, options = (), {"listen": SOCKETS}
    if arguments.real_time:
        if low_latency.fault():
            parser.error(low_latency.fault())
        under, options = low_latency.GENERATOR, options | {"cpu_wakeup_latency_us": 0}
    with tempfile.TemporaryDirectory(prefix="bench_overload.") as name:
        folder = pathlib.Path(name)
        daemon, users, _ = prepare(programs, folder, options, under)
        try:
            peaks = find_peaks(programs, urls_of(daemon), users, arguments, under)
        finally:
            daemon.stop()
        peak = statistics.median(rate for rate, _ in peaks[LIMITS_US[0]]["native"])
        over = None
        if arguments.overload_seconds and peak:
            daemon = Daemon(programs, folder, arguments.options)
            try:
                over = overload(programs, daemon.url, users, peak, arguments)
            finally:
                daemon.stop()
    result = {"load_average": os.getloadavg(), "cores": os.cpu_count(), "peaks": peaks,
              "peak_rate": peak, "overload": over}
    if arguments.json:
        print(json.dumps(result, indent=1))
    else:
        print_result(result)


if __name__ == "__main__":
    main()
