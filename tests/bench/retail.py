# SPDX-License-Identifier: Apache-2.0
"""The public "Online Retail" file as numpy arrays, and the metrics of docs/evaluation.md.

For the yardsticks beside it; it follows deploy/maps/online-retail.json line by line.
"""
import csv
import datetime
import gzip

import numpy as np


def keep(row):
    return (row["CustomerID"] != "" and float(row["Quantity"]) > 0 and float(row["UnitPrice"]) > 0
            and not row["InvoiceNo"].startswith("C") and row["StockCode"][:1].isdigit())


def seconds(text):
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.timezone.utc).timestamp()


def split(path, at):
    """(X, Y): what people had before `at`, and what they bought from then on; dense and boolean."""
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rt", newline="", encoding="utf-8", errors="replace") as file:
        lines = [(r["CustomerID"], r["StockCode"], seconds(r["InvoiceDate"]))
                 for r in csv.DictReader(file) if keep(r)]
    before = [line for line in lines if line[2] < seconds(at)]
    users = {u: n for n, u in enumerate(dict.fromkeys(line[0] for line in before))}
    items = {i: n for n, i in enumerate(dict.fromkeys(line[1] for line in before))}
    X = np.zeros((len(users), len(items)), bool)
    Y = np.zeros_like(X)
    for user, item, time in lines:
        if user in users and item in items:
            (X if time < seconds(at) else Y)[users[user], items[item]] = True
    return X, Y


def recall(scores, X, Y, k=20):
    """Mean recall@k of the modes new and any."""
    means = []
    for targets, hidden in ((Y & ~X, X), (Y, np.zeros_like(X))):
        rows = targets.any(axis=1)
        shown = np.where(hidden[rows], -np.inf, scores[rows])
        top = np.argpartition(-shown, k, axis=1)[:, :k]
        hits = np.take_along_axis(targets[rows], top, axis=1).sum(axis=1)
        means.append(float((hits / np.minimum(k, targets[rows].sum(axis=1))).mean()))
    return means
