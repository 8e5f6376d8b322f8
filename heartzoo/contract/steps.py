"""The sentences of the preprocessing contract: from a recording to the quantized input and back to a class."""

from __future__ import annotations

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
    told += [
        "Beats: every annotation whose symbol is one of preprocessing.beat_symbols, at its sample s of the recording; "
        f"its position after resampling is c = floor(s * {contract.fs:g} / recording_fs + 0.5). Scored are the beats "
        "whose symbol class_map lists; the others still count in intervals and templates.",
        *{"centred": _centred, "difference": _difference, "features": _features, "r-peak": _from_r_peak}[contract.cut](
            contract
        ),
    ]
    if contract.features or contract.cut == "difference":
        told += _intervals()
    if contract.takes_template:
        told.append(_template(contract))
    if contract.template_features:
        told += _template_features(contract)
    return [*told, *_inference(config, facts)]


def _signal(contract: InputConfig) -> list[str]:
    told = [
        "Signal: of the leads that preprocessing.leads lists, in its order, the first that the record has; in mV over "
        "the whole record (wfdb's physical values, converted where the header's unit is another; 200 units per mV "
        "where it gives no gain). A record without one of them is not taken. A missing sample (NaN, infinite or beyond "
        f"{MOST_MV:g} mV) is as the one before it, at the start as the first that is known, without a known one 0; "
        f"after {LOST_S:g} s or more of them in a row, all that follows is moved by the amount that makes its first "
        "sample equal to the value that they were given or, if this value (not the amount) is more than "
        f"{MOST_HELD_MV:g} mV from where the record began, to where it began: that is its first known value, if that "
        f"is beyond {OFFSET_MV:g} mV or comes after missing samples, else 0. In a stream (a device, heartzoo "
        "classify), but not where figures are measured (heartzoo evaluate), a first known value beyond "
        f"{OFFSET_MV:g} mV is then taken off all samples: an electrode's offset.",
        f"Resample to {contract.fs:g} Hz: scipy.signal.resample_poly(x, up, down, padtype='edge') with up/down the "
        "reduced ratio of the sampling rates (default window, Kaiser 5.0), in float64. Where the ratio, slower to "
        "faster, is no fraction with a denominator of at most 10,000, recording_fs is, here and below, that of the "
        "nearest such ratio: 199.99 Hz counts as 200.",
    ]
    for kind, cutoff in (("high", contract.highpass_hz), ("low", contract.lowpass_hz)):
        if cutoff is not None:
            told.append(
                f"{kind.capitalize()}-pass at {contract.fs:g} Hz, causal: sos = scipy.signal.butter(2, {cutoff:g}, "
                f"'{kind}pass', fs={contract.fs:g}, output='sos'); "
                "y, _ = sosfilt(sos, x, zi=sosfilt_zi(sos) * x[0]), in float64."
            )
    return told


def _intervals() -> tuple[str, str]:
    return (
        "R-R intervals over all beats of preprocessing.beat_symbols, scored or not, k = 0, 1, ... in order of "
        "time: pre[k] = (s[k] - s[k-1]) / recording_fs and post[k] = (s[k+1] - s[k]) / recording_fs, in seconds, "
        f"each limited to {SHORTEST_S:g} ... {LONGEST_S:g} s; the first beat's pre is its post, the last beat's "
        f"post is its pre; but a stream does not know that it is the last: if it has {LONGEST_S:g} * recording_fs "
        f"samples or more from the last beat on, that one's included, its post is {LONGEST_S:g} s. A lone beat has "
        f"{SINGLE_BEAT_S:g} s for both, in a stream, too. H(m) = the last m of pre[1], ... pre[k], the beat's own "
        "among them (fewer at the start), H(all) = all of them; the first beat, whose own pre is in none, uses the "
        f"second's, a lone beat's hold its {SINGLE_BEAT_S:g} s. Every feature is limited to -1 ... 1 and given in "
        "float32, in the order listed.",
        f"Intervals across lost signal: with L = {LOST_S:g} * recording_fs rounded up, the interval from a beat at s1 "
        "to the next at s2 is not known where a run of L or more missing samples, of which a is the first and b the "
        f"last, has b > s1, a + L - 1 < s2 and a + L - 1 - s1 < {LONGEST_S:g} * recording_fs; the {LONGEST_S:g} s "
        "after a stream's last beat are such an interval, too. Then, wherever a formula names pre or post, the median "
        "of H(64) stands in, of an even number the lower of the middle two; the interval belongs to no H, so that H(m) "
        "holds the last m of those that are known, and neighbours in H may have had others between them; and its "
        f"second beat is not regular, unless it is one of the record's first {FIRST_BEATS}; as the record's first "
        f"interval it counts as {SINGLE_BEAT_S:g} "
        "s, in H too.",
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
        "scale and zero_point of tensors.inputs, in the order listed there; low and high are -128 and 127 for int8, "
        "-32768 and 32767 for int16.",
        *([reset] if facts.keeps_state else []),
        f"Run the network: figures are of {RUNTIMES[config.export.runtime or 'tflm']} (its version is in libraries); "
        "other runtimes may differ from it by a step in a few outputs.",
        "Logit = (output - zero_point) * scale in float32, with those of tensors.outputs.",
        *([_prevalence(config)] if config.prevalence else []),
        f"Class: the largest of the {of}; of equal ones the first. softmax({of} / confidence.temperature) gives "
        "probabilities, that of the class is the confidence. Figures count every decision, sure or not; "
        "at_threshold in metrics.json alone is of those whose confidence reaches confidence.threshold.",
    ]


def _prevalence(config: Config) -> str:
    rules = config.prevalence
    followed = ", ".join(f"{name} (usual {rule.usual:g}, assumed {rule.assumed:g})" for name, rule in rules.items())
    others = [f"for {name} p is the probability of {rule.of}" for name, rule in rules.items() if rule.of]
    each = " and ".join(rules) + (" (each with an r of its own)" if len(rules) > 1 else "")
    return (
        f"Prevalence of {followed}, in order of time, over a record's scored beats where figures are measured and in "
        "the example, and over all its beats in use (a device, heartzoo classify, label_beats), in float64: for "
        f"{each}, r starts as its usual prevalence. Logarithms are natural. Of each beat in turn, with z its "
        "logits: the shifted logits are "
        f"z + log(r / assumed) for {each} and z for the others. Then, with p = softmax(y), y being z + "
        f"log(usual / assumed) for {each} (usual, not r) and z for the others: r = r + (p - r) / "
        f"{prevalence.MEMORY_BEATS} for {each}{'; '.join(['', *others])}."
    )


def _rhythm(contract: InputConfig) -> list[str]:
    steps = [
        f"Frames: x[k * {contract.frame} : (k + 1) * {contract.frame}] for k = 0, 1, ... in float32; the incomplete "
        "one at the end is dropped. As samples of the recording a frame lasts from "
        f"floor(k * {contract.frame} * recording_fs / {contract.fs:g}) to "
        f"floor(((k + 1) * {contract.frame} - 1) * recording_fs / {contract.fs:g}).",
        "Symbol of a frame: n where the rhythm annotation '(N' holds from its first to its last sample without a "
        "rhythm mark in between, f for '(AFIB' or '(AFL'; ~ where no rhythm is annotated and its beats are all Q; "
        "? otherwise. A rhythm lasts to the sample of its ')', or to the next mark. Scored are the frames whose symbol "
        "class_map lists.",
    ]
    if contract.drowned_share:
        low, high = contract.drowned_snr_db
        steps.append(
            "Noise, in databases that mark none (all but Icentia11k): "
            f"round({contract.drowned_share:g} n) of a record's n frames are there once more with the symbol ~: "
            "rng = numpy.random.default_rng(zlib.crc32(record name)); chosen = sort(rng.choice(n, count, "
            "replace=False)); of nstdb's bw and ma (their second halves, of training records as in the example their "
            "first, resampled) each gets a stretch: source "
            "rng.integers(0, 2, count), start rng.integers(0, samples - frame + 1, count), less its mean, at "
            f"rng.uniform({low:g}, {high:g}, (count, 1)) dB of 20 log10(std(frame) / std(stretch)). They follow the "
            "record's other frames."
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
        f"window, {parts}. The template T starts as the first beat's window with s = 0. For each beat k = 0, 1, ... in "
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
        "neighbouring beats that both belong to w; where w has no two, of all neighbouring beats of the record (in a "
        f"stream of the last {LONGEST_HISTORY} intervals before w); without a limit where there are no two either.",
        f"Frame: sample i of {contract.frame} is (x[c + i] - low) / (high - low), limited to 0 ... 1, with low and "
        f"high the smallest and largest value of window w; 0 from i = floor({BEAT_LENGTH:g} T) on, beyond the record, "
        "and where the window is flat; float32. No further normalisation.",
    ]
