"""What svdb's annotators call supraventricular, beside what a network of mitdb does: how far is it from being told?

    python benchmarks/annotations.py

Takes arr-5-rr-strict, which has learned from mitdb alone, to the people of svdb-train, a training split: no test split
is opened. Of four groups of beats it prints which share has the signs by which a premature supraventricular beat is
known: it comes at least 10 % before the median interval, its QRS is the patient's own, the next interval is longer than
usual, and its P wave is another one. If the normal beats that the network calls supraventricular have these signs as
often as those that the annotators call so, no network can tell one from the other by them.
"""

from __future__ import annotations

import numpy as np
from rich.table import Table

from heartzoo.data.databases import get_database
from heartzoo.data.download import split_records
from heartzoo.data.preparation import prepare
from heartzoo.data.splits import get_split
from heartzoo.prevalence import shifted
from heartzoo.progress import console
from heartzoo.runtime import predict_parallel
from heartzoo.tasks import get_task
from heartzoo.zoo.published import load_tflite

MODEL, SPLIT = "arr-5-rr-strict", "svdb-train"
EARLY, OWN_QRS, OTHER_P = np.log2(0.9), 0.9, 0.5
N, S = 0, 1


def main() -> None:
    """Print the table."""
    model, split = load_tflite(MODEL), get_split(SPLIT)
    contract = model.config.input
    store = prepare(get_database(split.database), split_records(split), contract)
    labels = store.labels(get_task(model.config.task), model.config.data.mapping)
    rows = np.flatnonzero(labels >= 0)
    content = model.entry.path("model.tflite").read_bytes()
    logits = predict_parallel(content, store.frames(rows), progress_description=f"{MODEL} on {SPLIT}")
    called = shifted(model.config, logits, store.records[rows]).argmax(axis=1)
    values = dict(zip(contract.features, store.features(rows).T, strict=True))
    signs = {
        "early": values["pre_median"] < EARLY,
        "own QRS": values["qrs_match"] > OWN_QRS,
        "pause": values["post_median"] > 0,
        "other P": values["p_match"] < OTHER_P,
    }
    true = labels[rows]
    groups = {
        "S, called S": (true == S) & (called == S),
        "N, called S": (true == N) & (called == S),
        "S, called N": (true == S) & (called == N),
        "N, called N": (true == N) & (called == N),
    }
    table = Table("beats", "n", *signs, "the first three", "all four", title=f"{MODEL} on {SPLIT}")
    three, four = np.all(list(signs.values())[:3], axis=0), np.all(list(signs.values()), axis=0)
    for name, mine in groups.items():
        table.add_row(name, f"{mine.sum():,}", *(f"{has[mine].mean():.0%}" for has in (*signs.values(), three, four)))
    console.print(table)


if __name__ == "__main__":
    main()
