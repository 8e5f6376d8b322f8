"""Tasks and beat mappings. A task is a value: its classes, and which beats or frames are scored.

References:
    de Chazal, O'Dwyer and Reilly 2004, IEEE Trans Biomed Eng 51(7):1196-1206 (mapping A).
    ANSI/AAMI EC57, and the WFDB program ``bxb`` (mapping B).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from heartzoo.errors import look_up

# Every symbol that marks a QRS complex, whether or not a mapping lists it: R-R intervals are taken over all of them.
BEAT_SYMBOLS = "NLRBAaJSVrFejnE/fQ?"

AAMI = ("N", "S", "V", "F", "Q")
MAPPINGS: dict[str, Mapping[str, str]] = {
    "A": {"N": "NLRej", "S": "AaJS", "V": "VE", "F": "F", "Q": "/fQ"},
    "B": {"N": "NLRB", "S": "AaJSejn", "V": "VEr", "F": "F", "Q": "/fQ"},
}


@dataclass(frozen=True)
class Task:
    """A classification of beats, or of frames by their rhythm.

    Attributes:
        name: the task's name.
        title: what it tells apart, in words.
        classes: class names, in the order of the network's outputs.
        groups: for each class the AAMI classes it holds, or the symbols of frames (see :mod:`heartzoo.data.rhythm`);
            beats and frames of no group are not scored.
        patient_headline: the metric that is quoted for the task on patients that the model never saw.
        of_rhythm: whether it labels frames by rhythm instead of beats.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    patient_headline: str
    of_rhythm: bool = False

    @property
    def unit(self) -> str:
        """What it classifies: beats or frames."""
        return "frames" if self.of_rhythm else "beats"

    def symbols(self, mapping: str = "A") -> tuple[str, ...]:
        """For each class the symbols it holds."""
        if self.of_rhythm:
            return self.groups
        return tuple("".join(MAPPINGS[mapping][aami] for aami in group) for group in self.groups)

    def headline(self, track: str) -> str:
        """The metric that is quoted for the task; on the random split it is the literature's, over all classes."""
        return "macro_f1" if track == "random" else self.patient_headline

    def headline_classes(self, track: str) -> tuple[str, ...]:
        """The classes that metric is a mean over."""
        return self.classes[:3] if self.headline(track) == "macro_f1_nsv" else self.classes

    def over(self, track: str) -> str:
        """What that metric is a mean over, to follow "macro-F1" in a sentence; nothing where it is all classes."""
        return " over N, S, V" if self.headline(track) == "macro_f1_nsv" else ""

    def labels(self, symbols: np.ndarray, mapping: str = "A") -> np.ndarray:
        """Class index of each beat, -1 for a beat that is not scored.

        Args:
            symbols: WFDB annotation symbols as ASCII codes, uint8, shape (n,).
            mapping: ``"A"`` or ``"B"``.

        Returns:
            int64 array of shape (n,).
        """
        table = np.full(256, -1)
        for index, symbols_of_class in enumerate(self.symbols(mapping)):
            table[[ord(symbol) for symbol in symbols_of_class]] = index
        return table[symbols]


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("beat-2", "normal or ectopic", ("NSR", "PAC|PVC"), ("N", "SV"), "macro_f1"),
        Task("beat-3", "normal, supraventricular, ventricular", ("NSR", "PAC", "PVC"), ("N", "S", "V"), "macro_f1"),
        Task("arrhythmia-5", "the five AAMI classes", AAMI, AAMI, "macro_f1_nsv"),
        Task(
            "rhythm-3",
            "normal rhythm, atrial fibrillation or flutter, noise",
            ("NSR", "AFIB|AFL", "NOISE"),
            ("n", "f", "~"),
            "macro_f1",
            of_rhythm=True,
        ),
    )
}


def get_task(name: str) -> Task:
    """Look a task up.

    Raises:
        UserError: there is none of that name; the nearest is named.
    """
    return look_up(TASKS, name, "task")
