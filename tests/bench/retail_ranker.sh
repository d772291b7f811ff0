#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Trains the rankers of docs/evaluation.md on public data and evaluates them through the daemon.
#   usage: tests/bench/retail_ranker.sh online_retail.csv.gz [FOLDER [BUILD]]
# Each part of the past is a daemon of its own that knows what came before it; what it recommended,
# with the features as served, is joined with what happened until November.  Nothing of November or
# later is learned from.  FOLDER (new) keeps everything; BUILD is build/release.
set -eu
events=$(realpath "$1")
folder=${2:-retail-ranker}
source=$(realpath "$(dirname "$0")/../..")
tools=$(realpath "${3:-$source/build/release}")
mkdir "$folder"
cd "$folder"
PATH=$tools/server:$tools/tools:$PATH
daemon=""
trap '[ -z "$daemon" ] || kill "$daemon"' EXIT

# The map without November and December: what may be learned from.
sed 's|"keep": \[|&{"name": "not November", "column": "InvoiceDate", "begins_not_with": "2011-11"},{"name": "not December", "column": "InvoiceDate", "begins_not_with": "2011-12"},|' \
    "$source/deploy/maps/online-retail.json" >past.json
all=$source/deploy/maps/online-retail.json
names=source.neighbors,source.factors,source.popular,pair.days,pair.age_s,$(
    sed -n 's|^ *"\([a-z_]*\.[a-z0-9_]*\)": *{"kind".*|\1|p' \
        "$source/deploy/online-retail/features.json" | paste -sd, -)
for slot in home again; do
    decide-train starter --features "$names" --out bundles --name $slot-rank --version 0 >/dev/null
done

# start DATE: a daemon that knows the events before it, with sources trained on the same.
start() {
    cat >"$1.json" <<END
{ "listen": ["ipc://$PWD/$1.socket"], "http": "127.0.0.1:0", "data_dir": "state-$1", "models_dir": "models-$1",
  "policies": "$source/deploy/online-retail/policies.json", "features": "$source/deploy/online-retail/features.json",
  "history_items_max": 1000, "queue_delay_target_us": 0, "model_slow_us": 0 }
END
    decided --config "$1.json" 2>"$1.log" &
    daemon=$!
    DECIDED_URL=ipc://$PWD/$1.socket
    export DECIDED_URL
    for try in 1 2 3 4 5 6 7 8 9 10; do
        decidectl ping >/dev/null 2>&1 && break
        sleep 0.5
    done
    decidectl import events "$events" --map "$2" --before "$1" >/dev/null
    for kind in neighbors factors; do
        decide-train $kind --events "$events" --map "$2" --out bundles --name demo-$kind \
            --version "$1" --eval "time:$1" >/dev/null
        decidectl model push "bundles/demo-$kind/$1"
    done
    for slot in home again; do
        decidectl model push bundles/$slot-rank/0
    done
    sleep 2 # popularity lists are made anew once a second
}

stop() {
    kill "$daemon"
    wait "$daemon" || true
    daemon=""
}

for date in 2011-08-01 2011-09-01 2011-10-01; do
    start $date past.json
    decide-bench quality --events "$events" --map past.json --eval time:$date --k 150 \
        --outcomes outcomes-$date.ndjson
    decidectl import events outcomes-$date.ndjson >/dev/null
    sleep 2 # the decision log is committed after a second
    decidectl export training --incomplete --out rows-$date.ndjson.gz
    stop
done

cat rows-*.ndjson.gz >rows.ndjson.gz
how="--rows rows.ndjson.gz --out bundles --version 1 --label purchased --objective logistic --valid 0
    --learning-rate 0.05 --depth 5 --min-child-weight 20 --subsample 0.7 --columns 0.5"
decide-train ranker $how --slot home --name home-rank --rounds 300
decide-train ranker $how --slot again --name again-rank --rounds 120

start 2011-11-01 "$all"
decide-bench quality --events "$events" --map "$all" --eval time:2011-11-01
for slot in home again; do
    decidectl model push bundles/$slot-rank/1
done
decide-bench quality --events "$events" --map "$all" --eval time:2011-11-01
stop
