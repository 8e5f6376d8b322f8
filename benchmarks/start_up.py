"""How long commands that need no TensorFlow take from start to end. Target for ``--help``: below 0.5 s."""

from __future__ import annotations

import subprocess
import sys
import time

ROUNDS = 5


def main() -> None:
    """Run each command a few times and print the shortest time."""
    for command in (["--help"], ["list"], ["data", "list"]):
        times = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-m", "heartzoo", *command], check=True, capture_output=True)
            times.append(time.perf_counter() - start)
        print(f"heartzoo {' '.join(command)}: {min(times):.2f} s")


if __name__ == "__main__":
    main()
