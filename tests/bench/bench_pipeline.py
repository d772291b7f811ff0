#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures the full pipeline on this machine: a release daemon with a made-up shop of 100,000 items,
three sources of trained models with quotas, 500 candidates, a ranker of 300 trees over 30 features,
marginal relevance, limits per category and brand, and 20 items shown.

  1. recommend: one caller, one request at a time; the peak rate, and the p99 at half of it.
  2. decide: the same of a page of five slots, each with a pipeline like that.
  3. what the stages of a decision take, by the daemon's own metrics.

The ranker is trained by decide-train on what a starter logged, with made-up outcomes: what is bought
follows no shopper, but thresholds and shapes of the trees are those of real rows.
usage: tests/bench/bench_pipeline.py [--build build/release] [--folder KEPT] [--runs 5]
                                     [--low-latency] [--json]
"""
import argparse
import gzip
import json
import os
import pathlib
import random
import re
import statistics
import subprocess
import tempfile
import urllib.request

import bench_serve
import low_latency
from bench_serve import ROOT, Daemon, Programs, bench, run, say, wait_until

ITEMS, USERS, DAYS = 100000, 120000, 30
CANDIDATES, SHOWN, TREES, DEPTH, PAGE = 500, 20, 300, 5, 5
TAUGHT = 1500  # decisions that the ranker is trained on
PEAK_P99_US = 10000  # a rate is kept while p99 stays under this
FEATURES = (
    "source.neighbors source.factors source.popular pair.days pair.age_s item.price item.stock "
    "user_category.views_30d user_category.interest user_brand.interest user.time_between_s "
    "user.since_visit_s user.since_purchase_s user.spent_90d user_item.since_bought_s "
    "user.price_seen_mean_30d user.price_paid_mean_90d user_category.price_paid "
    "item.price_paid_min_30d item.shown_7d item.clicked_7d item.viewed_30d item.bought_30d "
    "item.click_through item.conversion item.demand item.sold_30d item.sell_through "
    "item.people_7d").split()  # and blend.score


def slot(neighbors, factors, ranker):
    return {"sources": [{"source": "neighbors", "model": "demo-neighbors", "weight": neighbors,
                         "count": CANDIDATES, "at_least": 5},
                        {"source": "factors", "model": "demo-factors", "weight": factors,
                         "count": CANDIDATES, "at_most": 15},
                        {"source": "popular", "window": "14d", "weight": 0.1,
                         "count": CANDIDATES, "at_most": 5}],
            "ranker": ranker, "diversity": {"per_category": 8, "per_brand": 6,
                                            "mmr": {"lambda": 0.7, "depth": 100}}}


def write_policies(path):
    slots = {f"shelf{i}": slot(1.0 - 0.1 * i, 0.5 + 0.1 * i, "rank") for i in range(PAGE)}
    slots["long"] = slots["shelf0"] | {"diversity": {}}
    path.write_text(json.dumps({"version": "bench", "default": "shelf0", "slots": slots}))


def prepare_files(programs, folder):
    """The shop and the models of its sources; made once with --folder."""
    data, bundles = folder / "data", folder / "bundles"
    if not data.exists():
        say(f"a shop of {ITEMS} items and {USERS} people, {DAYS} days")
        run(programs.shop, "generate", "--out", data, "--users", USERS, "--items", ITEMS,
            "--days", DAYS, "--seed", 7)
    for kind, how in (("popularity", ()), ("neighbors", ("--method", "cosine")), ("factors", ())):
        if not (bundles / f"demo-{kind}").exists():
            say(f"training {kind}")
            run(programs.train, kind, *how, "--events", data / "events.ndjson", "--out", bundles,
                "--name", f"demo-{kind}", "--version", "1")
    users, seen = folder / "users", {}
    if not users.exists():
        with open(data / "events.ndjson", encoding="utf-8") as events:
            for user in re.findall(r'"user":"([^"]*)"', events.read()):
                seen[user] = seen.get(user, 0) + 1
        users.write_text("\n".join(sorted(seen, key=seen.get, reverse=True)) + "\n")
    return users


def label(rows, labelled):
    """One item of a list in twenty is bought, rather what is wanted by others and by neighbors."""
    pick = random.Random(7)
    with gzip.open(rows, "rt") as lines, gzip.open(labelled, "wt", compresslevel=1) as out:
        for line in lines:
            row = json.loads(line)
            features = row["features"]
            if features is None:  # somebody of whom too little is known
                continue
            worth = (features.get("source.neighbors") or 0) + 0.2 * pick.gauss(0, 1) + \
                0.0002 * (features.get("item.viewed_30d") or 0)
            row["purchased"] = row["clicked"] = int(worth > 1.5)
            out.write(json.dumps(row) + "\n")


def train_ranker(programs, folder, daemon, users):
    ctl = [programs.ctl, "--url", daemon.url]
    if not (folder / "bundles/rank/1").exists():
        say("training the ranker")
        run(programs.train, "starter", "--features", ",".join(FEATURES), "--out",
            folder / "bundles", "--name", "rank", "--version", "0")
        run(*ctl, "model", "push", folder / "bundles/rank/0")
        bench(programs, daemon, "--op", "recommend", "--users", users, "--slot", "long",
              "--n", 200, "--rate", 300, "--duration", TAUGHT / 300, "--warmup", 0.01)
        rows = folder / "rows.ndjson.gz"
        wait_until("decisions are logged", lambda: export_rows(ctl, rows) >= 100 * TAUGHT, 60)
        label(rows, folder / "labelled.ndjson.gz")
        say(run(programs.train, "ranker", "--rows", folder / "labelled.ndjson.gz", "--out",
                folder / "bundles", "--name", "rank", "--version", "1", "--label", "purchased",
                "--objective", "logistic", "--valid", 0, "--rounds", TREES, "--depth", DEPTH))
    run(*ctl, "model", "push", folder / "bundles/rank/1")


def export_rows(ctl, path):
    run(*ctl, "export", "training", "--incomplete", "--out", path)
    with gzip.open(path, "rt") as lines:
        return sum(1 for _ in lines)


def stages(http):
    page = urllib.request.urlopen(f"{http}/metrics").read().decode()
    found = re.findall(r'decided_decision_stage_duration_seconds_(sum|count)\{stage="(\w+)"\} (\S+)',
                       page)
    return {(what, stage): float(value) for what, stage, value in found}


def mean_stages(http, work):
    """Mean time of each stage, in us a call of it, while `work` runs; and what `work` returns."""
    before, result = stages(http), work()
    after = stages(http)
    means = {}
    for (what, stage), value in after.items():
        count = after["count", stage] - before.get(("count", stage), 0)
        if what == "sum" and count > 0:
            means[stage] = 1e6 * (value - before.get((what, stage), 0)) / count
    return means, result


def measure(programs, daemon, http, runs, seconds, request, under):
    alone = lambda: bench(programs, daemon, *request, "--closed", "--duration", seconds, under=under)
    means, closed = mean_stages(http, alone)
    say("looking for the peak rate")
    sweep = bench(programs, daemon, *request, "--sweep", "--rate", 50, "--limit", PEAK_P99_US,
                  "--duration", 2 * seconds, under=under)
    peak = sweep["peak_rate"]
    half = [bench(programs, daemon, *request, "--rate", peak / 2, "--duration", seconds, under=under)
            for _ in range(runs if peak > 0 else 0)]
    return {"stages_us": means, "closed_us": closed["latency_us"], "levels": closed["levels"],
            "peak_rate": peak, "half_p50_us": [one["latency_us"]["p50"] for one in half],
            "half_p99_us": [one["latency_us"]["p99"] for one in half],
            "half_levels": [one["levels"] for one in half],
            "lag_p99_us": [one["lag_us"]["p99"] for one in half]}


def tell(name, found, aim_us):
    print(f"{name}: one caller p50 {found['closed_us']['p50']:.0f} us, p99"
          f" {found['closed_us']['p99']:.0f} us; levels {found['levels']}")
    print("  stages, mean us: " + ", ".join(f"{stage} {value:.1f}"
                                            for stage, value in found["stages_us"].items()))
    if not found["half_p99_us"]:
        print(f"  no rate kept p99 under {PEAK_P99_US} us")
        return
    print(f"  peak {found['peak_rate']:.0f}/s; at half of it p99"
          f" {statistics.median(found['half_p99_us']):.0f} us (runs:"
          f" {', '.join(f'{p:.0f}' for p in found['half_p99_us'])}), p50"
          f" {statistics.median(found['half_p50_us']):.0f} us, generator late by"
          f" {statistics.median(found['lag_p99_us']):.0f} us at p99; aim {aim_us}")


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    options.add_argument("--folder", type=pathlib.Path, help="keeps shop, models and state")
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--seconds", type=float, default=4)
    options.add_argument("--hold", action="store_true", help="serve until Enter, for a profile")
    options.add_argument("--low-latency", action="store_true", help="daemon and generator as of low_latency.py")
    options.add_argument("--json", action="store_true")
    wanted = options.parse_args()
    if wanted.low_latency and low_latency.fault():
        options.error(f"--low-latency: {low_latency.fault()}")
    programs = Programs(wanted.build.resolve())
    bench_serve.READY_S = 300  # it may have to replay all events
    with tempfile.TemporaryDirectory(prefix="bench_pipeline.") as name:
        serving = pathlib.Path(name)
        folder = (wanted.folder or serving / "kept").resolve()
        folder.mkdir(parents=True, exist_ok=True)
        users = prepare_files(programs, folder)
        write_policies(serving / "policies.json")
        daemon = Daemon(programs, serving, {"data_dir": str(folder / "state"),
                                            "models_dir": str(folder / "models"),
                                            "policies": str(serving / "policies.json"),
                                            "features": str(ROOT / "deploy/features.json"),
                                            "queue_delay_target_us": 0}
                        | (low_latency.OPTIONS if wanted.low_latency else {}))
        try:
            found = serve(programs, folder, daemon, users, wanted)
        finally:
            daemon.stop()
    if wanted.json:
        print(json.dumps(found, indent=1))
    elif found:
        print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}")
        tell("recommend", found["recommend"], 1000)
        tell(f"decide, {PAGE} slots", found["decide"], 2000)


def serve(programs, folder, daemon, users, wanted):
    ctl = [programs.ctl, "--url", daemon.url]
    ready = folder / "ready"
    if not ready.exists():
        for kind in ("items", "events"):
            say(f"importing {kind}")
            run(*ctl, "import", kind, folder / "data" / f"{kind}.ndjson")
        for kind in ("popularity", "neighbors", "factors"):
            run(*ctl, "model", "push", folder / "bundles" / f"demo-{kind}" / "1")
        train_ranker(programs, folder, daemon, users)
        ready.touch()
    http = "http://" + re.search(r'"address":"(?:http://)?(127[^"]+)"', daemon.log.read_text())[1]
    if wanted.hold:
        input(f"{daemon.url} pid {daemon.process.pid}, people in {users}: Enter ends it\n")
        return {}
    page = ",".join(f"shelf{i}" for i in range(PAGE))
    common = ("--users", users, "--n", SHOWN)
    under = low_latency.GENERATOR if wanted.low_latency else ()
    return {"recommend": measure(programs, daemon, http, wanted.runs, wanted.seconds,
                                 ("--op", "recommend", *common), under),
            "decide": measure(programs, daemon, http, wanted.runs, wanted.seconds,
                              ("--op", "decide", "--slot", page, *common), under)}


if __name__ == "__main__":
    main()
