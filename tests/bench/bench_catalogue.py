#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Measures what a large catalogue costs a release daemon: factors made up of clusters, one source.

  1. recommend without a filter, with those of the request that pass an item in a thousand (by
     category, brand, price), with those of policies that do (and by stock), and with one that passes
     half; how many of 20 items the answers hold, and the time that each took by the daemon's own
     clock.
  2. how long the list of items that are alike takes to be made.

usage: tests/bench/bench_catalogue.py [--build build/release] [--items 1000000] [--calls 100] [--json]
"""
import argparse
import hashlib
import json
import pathlib
import random
import statistics
import tempfile
import time
import urllib.request

import numpy as np

from bench_serve import Daemon, Programs, run, say, wait_until

DIM, CLUSTERS, CATEGORIES, BRANDS, WORDS = 64, 2000, 1000, 1000, 20000
SLOTS = {"all": {"sources": [{"source": "factors"}]},
         "narrow": {"sources": [{"source": "factors"}], "filters": ["item.category == 'c7'"]},
         "brand": {"sources": [{"source": "factors"}], "filters": ["item.brand == 'b7'"]},
         "price": {"sources": [{"source": "factors"}],
                   "filters": ["item.price >= 5000 && item.price < 5009"]},
         "stock": {"sources": [{"source": "factors"}], "filters": ["item.stock > 100"]},
         "min_stock": {"sources": [{"source": "factors"}], "min_stock": 100},
         "wide": {"sources": [{"source": "factors"}], "filters": ["item.price >= 5000"]}}
LOAD_S = 3600  # an index of millions of items is made meanwhile
CONTENT = {"alike": {"sources": [{"source": "content"}]}}


def write_items(path, count):
    pick = random.Random(7)
    with open(path, "w", encoding="utf-8") as out:
        for i in range(count):
            words = " ".join(f"w{int(WORDS * pick.random() ** 3)}" for _ in range(4))
            out.write(f'{{"id":"i{i}","title":"{words}","category":"c{i % CATEGORIES}",'
                      f'"brand":"b{pick.randrange(BRANDS)}","price":{100 + i % 9000},"stock":{500 if i % 1000 == 3 else 5},'
                      f'"currency":"EUR"}}\n')


def write_factors(folder, count):
    random_numbers = np.random.default_rng(7)
    means = random_numbers.normal(size=(CLUSTERS, DIM)).astype(np.float32)
    items = means[random_numbers.integers(0, CLUSTERS, count)]
    items += 0.7 * random_numbers.normal(size=(count, DIM)).astype(np.float32)
    folder.mkdir(parents=True)
    np.save(folder / "item_factors.npy", items / np.float32(DIM))
    np.save(folder / "user_factors.npy", means[:1] / np.float32(8))
    (folder / "item_ids.txt").write_text("".join(f"i{i}\n" for i in range(count)))
    (folder / "user_ids.txt").write_text("u0\n")
    score = float((means[0] / 8).astype(np.float64) @ (items[0] / DIM).astype(np.float64))
    (folder / "golden.json").write_text(json.dumps(
        {"rows": [{"user": "u0", "item": "i0", "score": score}]}))

    def entry(name):
        data = (folder / name).read_bytes()
        return {"path": name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    files = {key: entry(f"{key}.npy") for key in ("user_factors", "item_factors")}
    files |= {key: entry(f"{key}.txt") for key in ("user_ids", "item_ids")}
    (folder / "manifest.json").write_text(json.dumps(
        {"format": 1, "name": "made-up", "version": "1", "kind": "factors", "files": files,
         "params": {"unobserved_weight": 0.1, "regularization": 0.01},
         "golden": entry("golden.json") | {"tolerance": 1e-4}}))


def write_policies(path, slots):
    path.write_text(json.dumps({"version": "bench", "slots": slots}))


def ask(ctl, calls, items, request):
    """Medians over requests for what goes with two items."""
    took, held, pick = [], [], random.Random(3)
    for _ in range(calls):
        seeds = [f"i{pick.randrange(items)}" for _ in range(2)]
        reply = json.loads(run(*ctl, "--json", "call", "recommend",
                               json.dumps({"n": 20, "seeds": seeds} | request)))
        took.append(reply["took_us"])
        held.append(len(reply["items"]))
    return {"level": reply["level"], "items": min(held), "p50_us": statistics.median(took),
            "p90_us": sorted(took)[len(took) * 9 // 10]}


def gauge(http, name):
    page = urllib.request.urlopen(f"{http}/metrics").read().decode()
    return float(next(line.split()[-1] for line in page.splitlines() if line.startswith(name)))


def measure(programs, folder, items, calls, content):
    write_items(folder / "items.ndjson", items)
    write_factors(folder / "models/made-up/1", items)
    write_policies(folder / "policies.json", SLOTS)
    daemon = Daemon(programs, folder, {"policies": str(folder / "policies.json"),
                                       "items_max": 2 * items})
    try:
        ctl = [programs.ctl, "--url", daemon.url]
        http = "http://" + next(json.loads(line)["address"].removeprefix("http://")
                                for line in daemon.log.read_text().splitlines()
                                if '"address"' in line and "tcp://" not in line)
        run(*ctl, "import", "items", folder / "items.ndjson")
        say(f"{items} items are there")
        wait_until("the model serves", lambda: gauge(http, "decided_models ") >= 1, LOAD_S)
        found = {"index_recall": gauge(http, "decided_retrieval_recall"),
                 "build_s": gauge(http, "decided_retrieval_build_seconds"),
                 "no_filter": ask(ctl, calls, items, {"slot": "all"}),
                 "asked_0.1%": ask(ctl, calls, items,
                                   {"slot": "all", "filters": {"categories": ["c7"]}}),
                 "asked_brand": ask(ctl, calls, items,
                                    {"slot": "all", "filters": {"brands": ["b7"]}}),
                 "asked_price": ask(ctl, calls, items,
                                    {"slot": "all",
                                     "filters": {"min_price": 5000, "max_price": 5008}})}
        for slot in ("narrow", "brand", "price", "stock", "min_stock", "wide"):
            found[f"policy_{slot}"] = ask(ctl, calls, items, {"slot": slot})
        if not content:
            return found
        write_policies(folder / "policies.json", SLOTS | CONTENT)
        began = time.monotonic()
        run(*ctl, "--timeout", "300s", "reload")
        found["reload_with_content_s"] = time.monotonic() - began
        return found
    finally:
        daemon.stop()


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    options.add_argument("--items", type=int, default=1000000)
    options.add_argument("--calls", type=int, default=100)
    options.add_argument("--no-content", action="store_true", help="leave out 2.")
    options.add_argument("--json", action="store_true")
    wanted = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Programs(wanted.build), pathlib.Path(folder), wanted.items, wanted.calls,
                        not wanted.no_content)
    if wanted.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:24}{value}")


if __name__ == "__main__":
    main()
