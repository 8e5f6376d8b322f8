"""How common a class is in a recording so far, and what that says about its next beat.

Supraventricular beats are nearly all of a few people: whoever had many will have more, and in most others the few that
a network finds are false. A network's logits hold one prevalence for everybody, that of its training. Here a record's
own replaces it, without labels: the prevalence of a class is a running mean of the probabilities that the network gave
it, and the logit of the class that follows it gains log(prevalence / assumed prevalence). Mostly that is the class
itself. Fused beats, half a ventricular one each, may follow the ventricular beats, which a network knows far better.
Only beats before count, and each counts as the network sees it with the usual prevalence, so that no decision confirms
itself.

Published figures follow the beats that the task scores. A device cannot know which these are and follows every beat,
which makes a difference where a task leaves classes out (F and Q of beat-3), a small one.

References:
    Saerens, Latinne and Decaestecker 2002, Adjusting the outputs of a classifier to new a priori probabilities (Neural
    Computation).
"""

from __future__ import annotations

import numpy as np
from scipy import signal as dsp

from heartzoo.confidence import probabilities
from heartzoo.config import Config
from heartzoo.tasks import get_task

# Beats that the running mean reaches back, as an exponential average does.
MEMORY_BEATS = 300


class RunningPrevalence:
    """Shifts the logits of a recording's beats, which come in order of time, in pieces of any size.

    Args:
        config: of the model; without ``prevalence`` nothing is shifted.
    """

    def __init__(self, config: Config) -> None:
        classes = get_task(config.task).classes
        rules = config.prevalence
        self._columns = [classes.index(name) for name in rules]
        self._followed = [classes.index(rule.of or name) for name, rule in rules.items()]
        self._assumed = np.array([rule.assumed for rule in rules.values()])
        self._prevalence = np.array([rule.usual for rule in rules.values()])
        self._start = np.zeros(len(classes))
        self._start[self._columns] = np.log(self._prevalence / self._assumed)

    def shifted(self, logits: np.ndarray) -> np.ndarray:
        """The logits by which the next beats are called.

        Args:
            logits: the network's, shape (n, classes).

        Returns:
            The same shape; float64 where a class is followed.
        """
        if not self._columns or not len(logits):
            return logits
        seen = probabilities(logits + self._start)[:, self._followed]
        kept = 1 - 1 / MEMORY_BEATS
        before, self._prevalence = _averages(seen, self._prevalence, kept)
        found = np.array(logits, np.float64)
        found[:, self._columns] += np.log(before / self._assumed)
        return found


def _averages(seen: np.ndarray, start: np.ndarray, kept: float) -> tuple[np.ndarray, np.ndarray]:
    """Exponential averages before each row, (n, k), and after the last one, (k,)."""
    after, _ = dsp.lfilter([1 - kept], [1, -kept], seen, axis=0, zi=kept * start[None])
    return np.concatenate([start[None], after[:-1]]), after[-1]


def shifted(config: Config, logits: np.ndarray, records: np.ndarray) -> np.ndarray:
    """The logits by which the beats of several recordings are called.

    Args:
        config: of the model.
        logits: the network's, those of a recording in order of time, shape (n, classes).
        records: recording of each, shape (n,).

    Returns:
        Shape (n, classes).
    """
    if not config.prevalence:
        return logits
    found = np.empty(logits.shape)
    for record in np.unique(records):
        mine = records == record
        found[mine] = RunningPrevalence(config).shifted(logits[mine])
    return found
