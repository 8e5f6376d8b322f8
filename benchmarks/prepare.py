"""How long the 44 non-paced mitdb records take from WFDB files to 5.12 s frames at 100 Hz, and the memory at the peak.

Target: at most 10 s and 1 GB on 2 cores. Needs mitdb in the cache, or HEARTZOO_MIRROR.
"""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path

from joblib.externals.loky import get_reusable_executor

from heartzoo.config import InputConfig
from heartzoo.data.databases import get_database
from heartzoo.data.download import ensure
from heartzoo.data.preparation import prepare
from heartzoo.data.splits import get_split


def main() -> None:
    """Prepare once into a temporary folder and print time and memory."""
    database = get_database("mitdb")
    records = [*get_split("ds1").records, *get_split("ds2").records]
    ensure(database, records)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        store = prepare(database, records, InputConfig(), jobs=2, out=Path(folder) / "mitdb.h5")
        seconds = time.perf_counter() - start
    # Workers count in RUSAGE_CHILDREN once they have ended, not before.
    get_reusable_executor().shutdown(wait=True)
    # ru_maxrss is in KiB on Linux; the children's figure is that of the largest worker.
    peak = (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + 2 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    )
    print(f"prepare: {len(records)} records, {len(store):,} beats in {seconds:.1f} s, at most {peak / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
