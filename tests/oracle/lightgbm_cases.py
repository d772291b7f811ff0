# SPDX-License-Identifier: Apache-2.0
"""Trains small models with the LightGBM library and writes down what it predicts.

usage: lightgbm_cases.py FOLDER [recorded]

For each case NAME: FOLDER/NAME.txt and NAME.expect, little-endian: u32 rows, features, margins, outputs; then for each
row its features, margins (raw scores) and outputs as f64.

With `recorded`: a few small cases, named by the version of the library.  Those of LightGBM 2.2.3, 3.3.5 and 4.7.0 are kept
in tests/oracle/lightgbm, for machines without the library.
"""
import os
import struct
import sys

import lightgbm as lgb
import numpy as np

FOLDER = sys.argv[1]
RECORDED = len(sys.argv) > 2 and sys.argv[2] == "recorded"
ROWS, FEATURES, ASKED = 500, 7, 40 if RECORDED else 300
VERSION = tuple(int(part) for part in lgb.__version__.split(".")[:2])


def features(rng, rows, missing=0.12, zeros=0.15):
    x = rng.normal(size=(rows, FEATURES))
    x[:, 1] = rng.integers(-3, 4, rows)
    x[:, 2] = rng.integers(0, 40, rows) / 8.0
    x[:, 4] = rng.integers(0, 60, rows)
    x[:, 5] = rng.integers(0, 4, rows)
    x[rng.random(x.shape) < zeros] = 0.0
    x[rng.random(x.shape) < missing] = np.nan
    return x


def labels(objective, x, rng):
    clean = np.nan_to_num(x)
    score = clean[:, 0] + 0.5 * clean[:, 1] - 0.3 * clean[:, 2] + np.sin(clean[:, 4] * 7.0)
    score = score + rng.normal(size=len(x)) * 0.3
    if objective in ("binary", "cross_entropy", "cross_entropy_lambda"):
        return (score > 0).astype(float)
    if objective.startswith("multiclass"):
        return np.digitize(score, [-1.0, 1.0])
    if objective in ("lambdarank", "rank_xendcg"):
        return np.digitize(score, [-1.0, 0.5])
    if objective in ("poisson", "gamma", "tweedie"):
        return np.exp(score / 3.0)
    return score


def write(name, booster, x):
    margin = booster.predict(x, raw_score=True).reshape(len(x), -1)
    output = booster.predict(x).reshape(len(x), -1)
    booster.save_model(os.path.join(FOLDER, name + ".txt"))
    with open(os.path.join(FOLDER, name + ".expect"), "wb") as f:
        f.write(struct.pack("<4I", len(x), x.shape[1], margin.shape[1], output.shape[1]))
        f.write(np.hstack([x.astype("<f8"), margin.astype("<f8"), output.astype("<f8")]).tobytes())


def case(name, objective, seed, missing=0.12, zeros=0.15, categorical=None, rounds=8, **parameters):
    rng = np.random.default_rng(seed)
    x = features(rng, ROWS, missing, zeros)
    group = [20] * (ROWS // 20) if objective in ("lambdarank", "rank_xendcg") else None
    settings = {"objective": objective, "seed": seed, "num_threads": 1, "verbosity": -1, "num_leaves": 6 if RECORDED else 15,
                "min_data_in_leaf": 3, **parameters}
    if objective.startswith("multiclass"):
        settings["num_class"] = 3
    data = lgb.Dataset(x, label=labels(objective, x, rng), group=group, free_raw_data=False, params=dict(settings),
                       categorical_feature="auto" if categorical is None else categorical)
    booster = lgb.train(settings, data, num_boost_round=rounds)
    asked = features(np.random.default_rng(seed + 1000), ASKED, 0.15, 0.15)
    asked[:12, 4] = [-1, -0.5, 0.5, 59, 60, 63, 64, 1000, 2.0**30, 2.0**40, 1e-36, -1e-36]
    asked[:4, 0] = [1e-36, -1e-36, np.inf, -np.inf]
    write(name, booster, asked)


OBJECTIVES = ["regression", "regression_l1", "huber", "fair", "quantile", "mape", "poisson", "gamma", "tweedie", "binary",
              "cross_entropy", "cross_entropy_lambda", "multiclass", "multiclassova", "lambdarank", "rank_xendcg"]
BOOSTERS = {"gbdt": {}, "dart": {"boosting": "dart", "drop_rate": 0.4},
            "rf": {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6, "feature_fraction": 0.7}}
SHAPES = {
    "zero_as_missing": ("regression", {"zero_as_missing": True}),
    "no_missing": ("regression", {"missing": 0.0}),
    "use_missing_false": ("binary", {"use_missing": False}),
    "sigmoid": ("binary", {"sigmoid": 2.5}),
    "sqrt": ("regression", {"reg_sqrt": True}),
    "categorical": ("regression", {"categorical": [4, 5], "rounds": 12}),
    "categorical_onehot": ("binary", {"categorical": [4, 5], "max_cat_to_onehot": 200}),
    "categorical_multiclass": ("multiclass", {"categorical": [4, 5]}),
    "linear": ("regression", {"linear_tree": True}),
    "linear_categorical": ("regression", {"linear_tree": True, "categorical": [4, 5]}),
    "linear_multiclass": ("multiclass", {"linear_tree": True}),
    "goss": ("regression", {"boosting": "goss"}),
    "stumps": ("binary", {"num_leaves": 2, "rounds": 30}),
    "leaves31": ("lambdarank", {"num_leaves": 31, "rounds": 20}),
    "leaves63": ("regression", {"num_leaves": 63, "min_data_in_leaf": 1}),
    "leaves200": ("regression", {"num_leaves": 200, "min_data_in_leaf": 1}),
    "constant": ("regression", {"min_data_in_leaf": 400}),
}


def attempt(name, objective, seed, parameters):
    try:
        case(name, objective, seed, **parameters)
    except Exception as error:  # a version that cannot do the case
        print("left out: %s: %s" % (name, str(error).strip().split("\n")[0][:120]))


def record():
    for seed, name in enumerate(("categorical", "linear_categorical", "zero_as_missing", "use_missing_false", "sqrt")):
        objective, parameters = SHAPES[name]
        attempt("%s_%s" % (name, lgb.__version__), objective, seed, {**parameters, "rounds": 3})
    for seed, objective in enumerate(("multiclass", "multiclassova", "cross_entropy_lambda", "tweedie")):
        attempt("%s_%s" % (objective, lgb.__version__), objective, seed, {"rounds": 2})
    for booster in ("dart", "rf"):
        attempt("%s_%s" % (booster, lgb.__version__), "binary", 9, {**BOOSTERS[booster], "rounds": 3})


def main():
    print("lightgbm", lgb.__version__)
    if RECORDED:
        record()
        return
    seed = 1
    for objective in OBJECTIVES:
        for booster, parameters in BOOSTERS.items():
            seed += 1
            attempt("%s_%s" % (objective, booster), objective, seed, parameters)
    for name, (objective, parameters) in SHAPES.items():
        seed += 1
        attempt(name, objective, seed, parameters)


main()
