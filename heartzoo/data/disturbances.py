"""Recordings changed on purpose: noise, lost signal, another gain, rate or rhythm, fused beats, R peaks moved."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np

from heartzoo.config.disturbance import Disturbance
from heartzoo.data.fusion import fuse
from heartzoo.data.motion import made_motion
from heartzoo.data.quality import Gaps, LostSignal
from heartzoo.data.records import Record
from heartzoo.data.retiming import retime
from heartzoo.data.signal import highpass, resample, resample_positions

POWER_HIGHPASS_HZ = 0.5
SHORTEST_LOST_S, LONGEST_LOST_S = 0.02, 5.0  # a packet of a radio link; an electrode off


def disturb(record: Record, disturbance: Disturbance, noise: np.ndarray | None = None) -> Record:
    """Change a recording.

    What is random depends on the record's name and ``disturbance.draw`` alone.

    Args:
        record: the recording.
        disturbance: what to do to it; of one by another or a turned lead it is the recording of that lead already.
        noise: the recording of noise, at the record's sampling rate, in mV, shape (samples,); needed for a disturbance
            by recorded noise.

    Returns:
        The changed recording; the given one stays as it is.

    Raises:
        TooFewBeats: of a disturbance by rhythm or fusion, see :func:`heartzoo.data.retiming.retime` and
            :func:`heartzoo.data.fusion.fuse`.
    """
    if disturbance.rhythm:
        record = retime(record, disturbance.rhythm, _rng(record.name, disturbance.draw))
    if disturbance.fusion:
        record = fuse(record, _rng(record.name, disturbance.draw))
    if disturbance.snr_db is not None:
        offset = 0
        if not disturbance.recorded_noise:
            noise = made_motion(record.fs, len(record.signal), _rng(record.name, disturbance.draw))
        elif noise is None:
            raise ValueError("a disturbance by recorded noise needs the recording")
        else:
            offset = noise_offset(record.name, disturbance.draw, len(noise))
        return replace(record, signal=add_noise(record.signal, noise, offset, disturbance.snr_db, record.fs))
    if disturbance.gain is not None:
        return replace(record, signal=disturbance.gain * record.signal)
    if disturbance.from_fs:
        return _resampled(record, disturbance.from_fs)
    if disturbance.jitter_ms is not None:
        return _jittered(record, disturbance.jitter_ms / 1000, _rng(record.name, disturbance.draw))
    if disturbance.lost_share is not None:
        return _lost(record, disturbance.lost_share, _rng(record.name, disturbance.draw))
    return record


def lead_angle(name: str, draw: int) -> float:
    """By how much the lead of a record is turned, in radians, for a disturbance by a turned lead."""
    return float(_rng(name, draw).uniform(0, 2 * np.pi))


def noise_offset(name: str, draw: int, samples: int) -> int:
    """Where in a recording of noise of so many samples the noise of a record begins."""
    return int(_rng(name, draw).integers(samples))


def _rng(name: str, draw: int) -> np.random.Generator:
    return np.random.default_rng([zlib.crc32(name.encode()), draw])


def add_noise(signal: np.ndarray, noise: np.ndarray, offset: int, snr_db: float, fs: float) -> np.ndarray:
    """Add a recording of noise from an offset on, repeated where it is short.

    The ratio is ``10 log10(power of the signal / power of the noise)``, both over the whole recording, less their means
    and high-passed at 0.5 Hz for the measurement only. A flat recording or flat noise leaves the signal as it is.

    Args:
        signal: mV, shape (samples,).
        noise: shape (any,), at the same sampling rate.
        offset: where in ``noise`` to begin.
        snr_db: wanted ratio, dB.
        fs: sampling rate, Hz.

    Returns:
        float64, shape (samples,), mV.
    """
    added = np.take(noise, np.arange(offset, offset + len(signal)), mode="wrap").astype(np.float64)
    added -= added.mean()
    powers = [np.mean(highpass(x - x.mean(), fs, POWER_HIGHPASS_HZ) ** 2) for x in (signal, added)]
    if min(powers) == 0:
        return np.array(signal, np.float64)
    return np.asarray(signal + added * np.sqrt(powers[0] / powers[1] / 10 ** (snr_db / 10)))


def _resampled(record: Record, fs: float) -> Record:
    marks = resample_positions(np.array([sample for sample, _ in record.rhythms]), record.fs, fs)
    return replace(
        record,
        fs=fs,
        signal=resample(record.signal, record.fs, fs),
        samples=resample_positions(record.samples, record.fs, fs),
        rhythms=tuple((int(mark), label) for mark, (_, label) in zip(marks, record.rhythms, strict=True)),
        lost=resample_positions(record.lost, record.fs, fs),
    )


def _jittered(record: Record, seconds: float, rng: np.random.Generator) -> Record:
    moves = np.rint(rng.uniform(-seconds, seconds, len(record.samples)) * record.fs).astype(np.int64)
    moved = np.clip(record.samples + moves, 0, len(record.signal) - 1)
    return replace(record, samples=np.maximum.accumulate(moved))  # neighbours never change places


def _lost(record: Record, share: float, rng: np.random.Generator) -> Record:
    """Lose that share of a recording, or a little more, in runs as often of one length as of its double."""
    samples, signal = len(record.signal), np.array(record.signal, np.float64)
    lost, gaps = LostSignal(record.fs), Gaps(record.fs)
    for first, last in record.lost.tolist():
        signal[first - lost.least + 1 : last + 1] = np.nan
    missing = 0
    while missing < share * samples:
        length = round(record.fs * np.exp(rng.uniform(np.log(SHORTEST_LOST_S), np.log(LONGEST_LOST_S))))
        start = rng.integers(samples)
        signal[start : start + length] = np.nan
        missing += length
    lost.push(signal)
    return replace(record, signal=np.append(gaps.push(signal), gaps.finish()), lost=lost.stretches)
