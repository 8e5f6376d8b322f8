"""What disturbs a synthetic record, and the fibrillatory waves."""

from __future__ import annotations

import numpy as np
from scipy import signal as dsp

from heartzoo.data.synthetic.patients import Patient
from heartzoo.data.synthetic.rhythm import Beats


def draw_noise(rng: np.random.Generator, patient: Patient, beats: Beats, time: np.ndarray, fs: float) -> np.ndarray:
    """Fibrillatory waves, baseline wander, muscle noise, mains hum and artefacts in mV, shape (samples,)."""
    in_fibrillation = np.interp(time, beats.times, beats.fibrillation.astype(float))
    rate = rng.uniform(5.0, 7.5) * (1 + 0.15 * np.sin(2 * np.pi * rng.uniform(0.1, 0.4) * time))
    x: np.ndarray = rng.uniform(0.03, 0.09) * in_fibrillation * np.sin(2 * np.pi * np.cumsum(rate) / fs)
    x += rng.uniform(0.02, 0.15) * np.sin(2 * np.pi * patient.breathing * time + rng.uniform(0, 6))
    for frequency in rng.uniform(0.01, 0.1, 3):
        x += rng.uniform(0.02, 0.12) * np.sin(2 * np.pi * frequency * time + rng.uniform(0, 6))
    x += rng.uniform(0.0, 0.015) * np.sin(2 * np.pi * rng.choice([50.0, 60.0]) * time)
    band = dsp.butter(2, (15.0, min(100.0, 0.45 * fs)), "bandpass", fs=fs, output="sos")
    muscle = dsp.sosfilt(band, rng.normal(size=len(time)))
    bursts, bumps = _bumps(rng, time, 0.5, 1.5), _bumps(rng, time, 0.1, 0.4)
    x += rng.uniform(0.008, 0.04) * (1 + 5 * bursts) * muscle
    x += rng.uniform(-1.0, 1.0) * bumps
    return x


def _bumps(rng: np.random.Generator, time: np.ndarray, narrowest_s: float, widest_s: float) -> np.ndarray:
    """Bumps of height 1, one a minute on average, shape (samples,)."""
    bumps = np.zeros_like(time)
    for centre in rng.uniform(0, time[-1], rng.poisson(time[-1] / 60)):
        bumps += np.exp(-0.5 * ((time - centre) / rng.uniform(narrowest_s, widest_s)) ** 2)
    return bumps
