# SPDX-License-Identifier: Apache-2.0
"""Trains small models with the XGBoost library and writes down what it predicts.

usage: xgboost_cases.py FOLDER

For each case NAME: FOLDER/NAME.json and NAME.ubj (where the version writes it) and NAME.expect, little-endian:
u32 rows, features, margins, outputs; then for each row its features, margins and outputs as f64.
"""
import os
import struct
import sys

import numpy as np
import xgboost as xgb

FOLDER = sys.argv[1]
ROWS, FEATURES = 240, 6
VERSION = tuple(int(part) for part in xgb.__version__.split(".")[:2])


def features(rng, rows, missing=0.15):
    """Some columns on a grid, so that values meet thresholds; one in double precision; holes."""
    x = rng.normal(size=(rows, FEATURES))
    x[:, 1] = rng.integers(-3, 4, rows)
    x[:, 2] = rng.integers(0, 40, rows) / 8.0
    x[:, 3] = rng.random(rows) + 1e-9
    x[rng.random(x.shape) < missing] = np.nan
    return x


def write(name, booster, x, dmatrix=None, margins=None):
    data = xgb.DMatrix(x) if dmatrix is None else dmatrix(x)
    margin = booster.predict(data, output_margin=True).reshape(len(x), -1)
    output = booster.predict(data).reshape(len(x), -1)
    booster.save_model(os.path.join(FOLDER, name + ".json"))
    if VERSION >= (1, 6):
        booster.save_model(os.path.join(FOLDER, name + ".ubj"))
    with open(os.path.join(FOLDER, name + ".expect"), "wb") as f:
        f.write(struct.pack("<4I", len(x), x.shape[1], margin.shape[1], output.shape[1]))
        rows = np.hstack([x.astype("<f8"), margin.astype("<f8"), output.astype("<f8")])
        f.write(rows.tobytes())


def labels(objective, x, rng):
    clean = np.nan_to_num(x)
    score = clean[:, 0] + 0.5 * clean[:, 1] - 0.3 * clean[:, 2] + rng.normal(size=len(x)) * 0.3
    if objective.startswith("binary") or objective == "reg:logistic":
        return (score > 0).astype(float)
    if objective.startswith("multi"):
        return np.digitize(score, [-1.0, 0.0, 1.0])
    if objective.startswith("rank"):
        return np.digitize(score, [-1.0, 0.5])
    if objective in ("count:poisson", "reg:gamma", "reg:tweedie", "reg:squaredlogerror", "survival:cox"):
        return np.exp(score / 3.0)
    return score


def train(objective, seed, rounds=8, **parameters):
    rng = np.random.default_rng(seed)
    x = features(rng, ROWS)
    data = xgb.DMatrix(x, label=labels(objective, x, rng))
    if objective.startswith("rank"):
        data.set_group([20] * (ROWS // 20))
    if objective == "survival:aft":
        y = np.exp(labels("reg:squarederror", x, rng) / 3.0)
        data.set_float_info("label_lower_bound", y)
        data.set_float_info("label_upper_bound", y * 1.5)
    if objective.startswith("multi"):
        parameters["num_class"] = 4
    settings = {"objective": objective, "seed": seed, "nthread": 1, "verbosity": 0, "eta": 0.3, **parameters}
    if settings.get("booster") != "gblinear":
        settings.setdefault("max_depth", 4)
    booster = xgb.train(settings, data, num_boost_round=rounds)
    return booster, features(np.random.default_rng(seed + 1000), 200, 0.2)


OBJECTIVES = ["reg:squarederror", "reg:squaredlogerror", "reg:pseudohubererror", "reg:absoluteerror", "reg:logistic",
              "binary:logistic", "binary:logitraw", "binary:hinge", "count:poisson", "reg:gamma", "reg:tweedie",
              "survival:cox", "survival:aft", "multi:softprob", "multi:softmax", "rank:ndcg", "rank:pairwise"]
BOOSTERS = {"gbtree": {}, "dart": {"booster": "dart", "rate_drop": 0.4},
            "gblinear": {"booster": "gblinear", "updater": "coord_descent", "feature_selector": "cyclic"}}
NO_LINEAR = ("survival:aft", "reg:absoluteerror")
SHAPES = {
    "base_low": ("binary:logistic", {"base_score": 0.2}),
    "base_poisson": ("count:poisson", {"base_score": 1.75}),
    "parallel": ("reg:squarederror", {"num_parallel_tree": 3, "subsample": 0.5}),
    "parallel_multi": ("multi:softprob", {"num_parallel_tree": 2, "subsample": 0.5}),
    "pruned": ("reg:squarederror", {"tree_method": "exact", "gamma": 5.0, "max_depth": 7}),
    "deep": ("reg:squarederror", {"max_depth": 14, "min_child_weight": 0}),
    "lossguide": ("reg:squarederror", {"tree_method": "hist", "grow_policy": "lossguide", "max_leaves": 31,
                                       "max_depth": 0}),
    "stumps": ("binary:logistic", {"max_depth": 1, "rounds": 30}),
    "constant": ("reg:squarederror", {"gamma": 1e9}),
    "depth6": ("rank:ndcg", {"max_depth": 6, "rounds": 20}),
}


def categorical(name, onehot, seed):
    rng = np.random.default_rng(seed)

    def rows(count):
        x = features(rng, count)
        x[:, 4] = rng.integers(0, 45, count)
        x[:, 5] = rng.integers(0, 4, count)
        x[rng.random(count) < 0.1, 4] = np.nan
        return x

    def matrix(x, label=None):
        return xgb.DMatrix(x, label=label, feature_types=["float"] * 4 + ["c", "c"], enable_categorical=True)

    x = rows(600)
    y = np.sin(x[:, 4] * 7.0) * 2 + (x[:, 5] == 2) + rng.normal(size=600) * 0.1
    data = matrix(x, np.nan_to_num(y))
    booster = xgb.train({"tree_method": "approx", "max_depth": 4, "max_cat_to_onehot": onehot, "nthread": 1}, data, 8)
    asked = rows(300)
    asked[:9, 4] = [-1, 0, 0.5, 44, 45, 63, 64, 1000, 2.0**25]  # most of them unknown to the training
    write(name, booster, asked, matrix)


def multi_target(seed):
    rng = np.random.default_rng(seed)
    x = features(rng, ROWS)
    y = np.stack([labels("reg:squarederror", x, rng), labels("count:poisson", x, rng), np.nan_to_num(x[:, 3])], axis=1)
    booster = xgb.train({"tree_method": "hist", "nthread": 1}, xgb.DMatrix(x, label=y), 6)
    write("multi_target", booster, features(rng, 200))


def named(seed):
    rng = np.random.default_rng(seed)
    x = features(rng, ROWS)
    names = ["item.price", "item.views 1h", "caller.score", "caf\u00e9", "a=b", "request.\"x\""]
    data = xgb.DMatrix(x, label=labels("binary:logistic", x, rng), feature_names=names)
    booster = xgb.train({"objective": "binary:logistic", "nthread": 1}, data, 5)
    write("named", booster, x, lambda rows: xgb.DMatrix(rows, feature_names=names))


def attempt(what, *arguments):
    try:
        what(*arguments)
    except Exception as error:  # a version that cannot do the case
        print("left out: %s%r: %s" % (what.__name__, arguments, str(error).strip().split("\n")[0][:120]))


def plain(name, objective, seed, parameters):
    parameters = dict(parameters)
    if objective.startswith("multi") and parameters.get("booster") == "gblinear":
        parameters["base_score"] = 0.5  # 3.1 and newer would estimate one for each class
    booster, x = train(objective, seed, parameters.pop("rounds", 8), **parameters)
    write(name, booster, x)


def main():
    print("xgboost", xgb.__version__)
    seed = 1
    for objective in OBJECTIVES:
        for booster, parameters in BOOSTERS.items():
            seed += 1
            if booster == "gblinear" and objective in NO_LINEAR:
                continue
            attempt(plain, "%s_%s" % (objective.replace(":", "_"), booster), objective, seed, parameters)
    for name, (objective, parameters) in SHAPES.items():
        seed += 1
        attempt(plain, name, objective, seed, parameters)
    if VERSION >= (1, 7):
        attempt(categorical, "categorical_onehot", 1000, 71)
        attempt(categorical, "categorical_partition", 1, 72)
    attempt(multi_target, 73)
    attempt(named, 74)


main()
