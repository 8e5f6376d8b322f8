"""The sentences of the preprocessing contract: from a recording to the quantized input and back to a class."""

from __future__ import annotations

import numpy as np
from scipy import signal

from heartzoo import prevalence
from heartzoo.config import Config, InputConfig
from heartzoo.data.quality import LOST_S, MOST_HELD_MV, MOST_MV, OFFSET_MV
from heartzoo.data.rr import LONGEST_HISTORY, LONGEST_S, SHORTEST_S, SINGLE_BEAT_S
from heartzoo.data.signal import BEAT_LENGTH, WINDOW_S
from heartzoo.data.template import (
    AFTER_S,
    BEFORE_S,
    EPSILON_MV,
    FIRST_BEATS,
    LATE_OCTAVES,
    MEMORY_BEATS,
    QRS_SHAPES,
    REGULAR_OCTAVES,
    SHIFT_S,
    USUAL_BEATS,
    USUAL_SPREAD,
    USUAL_STEP,
    WAVES_S,
    wave,
)
from heartzoo.flatbuffer import ModelFacts
from heartzoo.interpreters import RUNTIMES


def steps(config: Config, facts: ModelFacts) -> list[str]:
    """The contract's steps in their order, a sentence or a few each.

    Args:
        config: the configuration.
        facts: of the int8 file.
    """
    contract = config.input
    told = _signal(contract)
    if contract.cut == "rhythm":
        return [*told, *_rhythm(contract), *_inference(config, facts)]
    counts = " and templates" if contract.takes_template else ""
    told += [
        "Beats: every annotation whose symbol is one of preprocessing.beat_symbols, at its sample s of the recording, "
        "which is that of the R peak; in use, every R peak that a detector finds, or is given. Its "
        f"position after resampling is c = floor(s * {contract.fs:g} / recording_fs + 0.5). Scored are the beats "
        "whose symbol class_map lists, one symbol a character; the others are called one of the classes, too, which "
        f"counts nowhere{f', and still count in intervals{counts}' if contract.features or counts else ''}.",
        *{"centred": _centred, "difference": _difference, "features": _features, "r-peak": _from_r_peak}[contract.cut](
            contract
        ),
    ]
    if contract.features or contract.cut == "difference":
        told += _intervals(contract)
    if contract.takes_template:
        told.append(_template(contract))
    if contract.template_features:
        told += _template_features(contract)
    return [*told, *_inference(config, facts)]


def _signal(contract: InputConfig) -> list[str]:
    told = [
        "Signal: of the leads that preprocessing.leads lists for the database, in its order, the first that the record "
        "has (in use, the lead that is nearest to these); in mV over the whole record (wfdb's physical values, "
        "converted where the header's unit is V or uV; 200 units per mV where it gives no gain). A record that has "
        "none of them is not taken. recording_fs is, in these steps, the record's own sampling rate, by database that "
        "of preprocessing.recording_fs. Missing are the samples that, before anything is moved, are NaN, infinite or "
        f"beyond {MOST_MV:g} mV. The record began at its first known value v, if |v| > {OFFSET_MV:g} mV or a missing "
        "sample comes before it, else at 0. In order of time, each missing sample is as the one before it, at the "
        "start as the first that is known, without a known one 0; and after a run of "
        f"{LOST_S:g} * recording_fs or more of them all that follows is moved by the amount that makes its first "
        "sample equal to the value that they were given or, if this value (not the amount) is more than "
        f"{MOST_HELD_MV:g} mV from where the record began, to where it began. In a stream (a device, heartzoo "
        "classify), but not where figures are measured (heartzoo evaluate), a first known value v with "
        f"|v| > {OFFSET_MV:g} mV is then taken off all samples: an electrode's offset. What lies in missing signal is "
        "classified like the rest.",
        f"Resample to {contract.fs:g} Hz: scipy.signal.resample_poly(x, up, down, padtype='edge') with up/down the "
        "reduced ratio of the sampling rates, in float64; its filter is up * firwin(20 * m + 1, 1 / m, "
        "window=('kaiser', 5.0)) with m the larger of up and down. Where the ratio, slower to faster, is no fraction "
        "with a denominator of at most 10,000, the nearest such fraction stands in for it, here and in the positions "
        "below, but not in intervals.",
    ]
    for kind, cutoff in (("high", contract.highpass_hz), ("low", contract.lowpass_hz)):
        if cutoff is not None:
            (section,) = signal.butter(2, cutoff, f"{kind}pass", fs=contract.fs, output="sos").tolist()
            told.append(
                f"{kind.capitalize()}-pass at {contract.fs:g} Hz, causal: sos = scipy.signal.butter(2, {cutoff:g}, "
                f"'{kind}pass', fs={contract.fs:g}, output='sos'), one section: b = {section[:3]}, "
                f"a = {section[3:]}; y, _ = sosfilt(sos, x, zi=sosfilt_zi(sos) * x[0]), in float64."
            )
    return told


def _intervals(contract: InputConfig) -> tuple[str, str]:
    irregular = f"; its second beat is not regular, unless it is one of the record's first {FIRST_BEATS}"
    return (
        "R-R intervals over all beats of preprocessing.beat_symbols, scored or not, k = 0, 1, ... in order of "
        "time: pre[k] = (s[k] - s[k-1]) / recording_fs and post[k] = (s[k+1] - s[k]) / recording_fs, in seconds, "
        f"each limited to {SHORTEST_S:g} ... {LONGEST_S:g} s; the first beat's pre is its post, the last beat's "
        "post is its pre; but a stream does not know that it is the last: if n - s >= "
        f"{LONGEST_S:g} * recording_fs, n being how many samples the stream has, its post is {LONGEST_S:g} s. A lone "
        f"beat has {SINGLE_BEAT_S:g} s for both, in a stream, too. H(m) = the last m of pre[1], ... pre[k], the beat's "
        "own among them (fewer at the start), H(all) = all of them; for k = 0 each H holds pre[1] alone, in a record "
        f"of one beat {SINGLE_BEAT_S:g} s. A median of an even number is the mean of the middle two. Every feature is "
        "limited to -1 ... 1 and given in float32, in the order listed.",
        f"Intervals across lost signal: with L = {LOST_S:g} * recording_fs rounded up, the interval from a beat at s1 "
        "to the next at s2 is not known where a run of L or more missing samples, of which a is the first and b the "
        f"last, has b > s1, a + L - 1 < s2 and a + L - 1 - s1 < {LONGEST_S:g} * recording_fs (its L-th sample, at "
        f"which a stream knows of it, comes before the next beat and within {LONGEST_S:g} s of this one); the "
        f"{LONGEST_S:g} s after a stream's last beat, where it has them, are such an interval with s2 = s1 + "
        f"{LONGEST_S:g} * recording_fs rounded up. In all that names it, as pre of one beat and as post of another, "
        "its length is the median of the last 64 known intervals before it, each limited, but here of an even number "
        "the lower of the middle two. It belongs to no H: H(m) holds the last m of those that are known, and "
        "neighbours in H may have had others between them"
        f"{irregular if contract.takes_template else ''}. If the first interval of a record is not known, it is "
        f"{SINGLE_BEAT_S:g} s, and counts as known, in H too.",
    )


def _template_features(contract: InputConfig) -> list[str]:
    told = [
        "Template features: each of template_features, with b = window - mean(window) and, in these formulas, T "
        "less its mean, both means over the whole window; limited to -1 ... 1, float32, in the order listed; they "
        f"follow the R-R features in the {'frame' if contract.cut == 'features' else 'input of the role rr'}."
    ]
    if any(name.endswith(tuple(f"_{shape}" for shape in QRS_SHAPES)) for name in contract.template_features):
        told.append(
            "Shape of a QRS: where a formula names x and q, q = x - (mean of x over level), x being b or T as it says."
        )
    if any(name.endswith("usual") for name in contract.template_features):
        told.append(
            "What is usual or unusual: each feature f that a formula with m names (f limited, not rounded to float32) "
            f"has an m, which starts as the first beat's f, and a v, which starts as {USUAL_SPREAD:g}^2. Of each beat "
            "in turn those formulas are taken with m and v as they are; then, if the beat is regular, with "
            f"a = 1 / min(n, {USUAL_BEATS}), n as for the template, and d = f - m limited to -{USUAL_STEP:g} ... "
            f"{USUAL_STEP:g}: m = m + a d and, if n > 1, v = (1 - a)(v + a d^2)."
        )
    return told


def _inference(config: Config, facts: ModelFacts) -> list[str]:
    reset = (
        "Reset the interpreter before each frame (MicroInterpreter::Reset() of TFLite Micro, reset_all_variables() of "
        "LiteRT): the network keeps a state, which must not come from the frame before."
    )
    of = "shifted logits" if config.prevalence else "logits"
    return [
        "Quantize each input: clip(round_half_even(value / scale) + zero_point, low, high) in float32, with dtype, "
        "scale and zero_point of tensors.inputs, in the order listed there, which is the model's; low and high are "
        f"{np.iinfo(facts.signal.dtype).min} and {np.iinfo(facts.signal.dtype).max}.",
        *([reset] if facts.keeps_state else []),
        f"Run the network: figures are of {RUNTIMES[config.export.runtime or 'tflm']} (its version is in libraries); "
        "other runtimes may differ from it by a step in a few outputs.",
        "Logit = (output - zero_point) * scale in float32, with those of tensors.outputs.",
        *([_prevalence(config)] if config.prevalence else []),
        f"Class: the largest of the {of}; of equal ones the first. softmax({of} / temperature) gives probabilities, "
        "that of the class is the confidence; temperature is confidence.temperature, 1 where there is none. Figures "
        "count every decision, sure or not; at_threshold in metrics.json, where there is a confidence.threshold, is of "
        "those whose confidence reaches it.",
    ]


def _prevalence(config: Config) -> str:
    rules = config.prevalence
    followed = ", ".join(f"{name} (usual {rule.usual:g}, assumed {rule.assumed:g})" for name, rule in rules.items())
    each = " and ".join(rules)
    moved = "; ".join(
        f"r of {name} = r + (p of {rule.of or name} - r) / {prevalence.MEMORY_BEATS}" for name, rule in rules.items()
    )
    return (
        f"Prevalence of {followed}, in order of time, over a record's scored beats where figures are measured and in "
        "the example, and over all its beats in use (a device, heartzoo classify, label_beats), in float64: "
        f"each of them ({each}) has an r, which starts as its usual prevalence. Logarithms are natural. Of each beat "
        f"in turn, with z its logits: the shifted logits are z + log(r / assumed) for {each} and z for the others. "
        f"Then, with p = softmax(y), y being z + log(usual / assumed) for {each} (usual, not r) and z for the others: "
        f"{moved}."
    )


def _rhythm(contract: InputConfig) -> list[str]:
    steps = [
        f"Frames: x[k * {contract.frame} : (k + 1) * {contract.frame}] for k = 0, 1, ... in float32; the incomplete "
        "one at the end is dropped. As samples of the recording a frame lasts from "
        f"floor(k * {contract.frame} * recording_fs / {contract.fs:g}) to "
        f"floor(((k + 1) * {contract.frame} - 1) * recording_fs / {contract.fs:g}).",
        "Symbol of a frame, to repeat figures only: n where one annotation '(N' holds from its first to its last "
        "sample, f likewise for '(AFIB' or '(AFL'; ~ where none holds at any of its samples and its beats, one or "
        "more, are all Q; ? otherwise. An annotation holds from its sample on, up to its ')', that one's sample "
        "included, or up to the sample before the next one. Scored are the frames whose symbol class_map lists, one "
        "symbol a character.",
    ]
    if contract.drowned_share:
        low, high = contract.drowned_snr_db
        steps.append(
            "Noise, in databases that mark none (all but Icentia11k), to repeat figures only: "
            f"round({contract.drowned_share:g} n), half to even, of a record's n frames are there once more with the "
            "symbol ~, after all its others: rng = numpy.random.default_rng(zlib.crc32(record name in ASCII)); "
            "chosen = sort(rng.choice(n, count, replace=False)). Of the first channel of nstdb's bw and ma the half "
            "from sample samples // 2 on (of training records, as in the example, the half before), resampled alone, "
            "each takes a stretch: source = rng.integers(0, 2, count), start = rng.integers(0, samples - frame + 1, "
            "count), samples being those of the resampled half; less its mean, it is multiplied by 10^(-dB / 20) "
            "std(frame) / std(stretch), dB = "
            f"rng.uniform({low:g}, {high:g}, (count, 1)), population standard deviations, and added to the frame; "
            "the sum is stored in float32."
        )
    steps.append(_z_score(contract))
    return steps


def _centred(contract: InputConfig) -> list[str]:
    return [
        f"Frame: x[c - {contract.frame // 2} : c + {contract.frame - contract.frame // 2}] in float32; indices outside "
        "the record take the first or last sample.",
        _z_score(contract),
    ]


def _difference(contract: InputConfig) -> list[str]:
    qrs = wave("QRS", contract.fs)
    return [
        "Frame: of the beat's shifted window and the template T that the next sentences describe, each less its own "
        f"mean, (window - T) / (max T - min T + {EPSILON_MV:g} mV) with max and min over QRS [{qrs.start}:{qrs.stop}] "
        "of the window, computed in float64, stored in float32.",
        "Normalise: limit to -1 ... 1.",
    ]


def _features(contract: InputConfig) -> list[str]:
    what = "R-R features, then the template features" if contract.template_features else "R-R features"
    return [
        f"Frame: the beat's {len(contract.features)} features as they are, the {what}; no signal, no "
        "normalisation. It is what tensors.inputs calls signal."
    ]


def _template(contract: InputConfig) -> str:
    before, after, shift = (round(seconds * contract.fs) for seconds in (BEFORE_S, AFTER_S, SHIFT_S))
    waves = {name: wave(name, contract.fs) for name in WAVES_S}
    parts = ", ".join(f"{name} [{part.start}:{part.stop}]" for name, part in waves.items())
    rule = {
        "median": f"|log2(pre / median of H(64))| < {REGULAR_OCTAVES:g}",
        "late": f"log2(pre / 90 % quantile of H(128), linear interpolation) > {LATE_OCTAVES:g}",
    }[contract.regular_beats]
    return (
        f"Template, from x in float32, computed in float64: the window of a beat with shift s is "
        f"x[c + s - {before} : c + s + {after}] (indices outside the record take the first or last sample); of a "
        f"window, counted from its first sample, the end left out, {parts}. The template T starts as the first beat's "
        "window with s = 0. For each beat k = 0, 1, ... in "
        f"turn, scored or not: take that s of -{shift} ... {shift} whose window correlates best with T over QRS, "
        f"sum((w - mean)(T - mean)) / sqrt(sum((w - mean)^2) * sum((T - mean)^2) + {EPSILON_MV:g}^4) with sums and "
        "means over QRS (of equal ones the lowest s); that window and T as it now is make the beat's input. Then, "
        f"if the beat is regular, T = T + (window - T) / min(n, {MEMORY_BEATS}), n being the number of regular beats "
        f"up to and including it. Regular is a beat with {rule}, or one of the record's first {FIRST_BEATS} beats, "
        "scored or not; pre and H as in the R-R features."
    )


def _z_score(contract: InputConfig) -> str:
    return (
        f"Normalise: (frame - mean) / (standard deviation + {contract.epsilon:g} mV), mean and population standard "
        "deviation of the frame in float64, result in float32."
    )


def _from_r_peak(contract: InputConfig) -> list[str]:
    width = round(WINDOW_S * contract.fs)
    return [
        f"Windows: the resampled signal x falls into windows of {width} samples (the last may be shorter); a beat "
        f"belongs to window w = floor(c / {width}), at most the last. T = the median distance, as differences of c, of "
        "neighbouring beats that both belong to w, be signal missing between them or not; where w has no two, of all "
        f"neighbouring beats of the record (in a stream of the last {LONGEST_HISTORY} such distances between beats "
        "before w); without a limit where there are no two either.",
        f"Frame: sample i of {contract.frame} is (x[c + i] - low) / (high - low), limited to 0 ... 1, with low and "
        f"high the smallest and largest value of window w; 0 from i = floor({BEAT_LENGTH:g} T) on, beyond the record, "
        "and where the window is flat; float32. No further normalisation.",
    ]
