"""Compression: what each step does to a network, that steps go on after one another, and what is refused."""

from __future__ import annotations

import shutil

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartzoo import models, runs
from heartzoo.checkpoints import Plan, best_epoch, finished, load_model, plans
from heartzoo.compression.distill import distiller, mean_logits
from heartzoo.compression.fake_quantization import FakeQuantize, quantized
from heartzoo.compression.prune_channels import Bound, bounds, choose_channels
from heartzoo.compression.prune_weights import magnitude_masks
from heartzoo.compression.quantization_report import quantization_report
from heartzoo.config.compression import FeaturePair, PruneChannelsConfig
from heartzoo.config.file import load_config, parse_config
from heartzoo.data.training_set import load_training_set
from heartzoo.errors import UserError
from heartzoo.export import export
from heartzoo.flatbuffer import inspect
from heartzoo.models.channels import macs, narrow
from heartzoo.quantization import to_int8
from heartzoo.runtime import TfliteModel
from heartzoo.training import build_model

STEPS = (
    "compression=[{distill: {teachers: [self], epochs: 1}}, {prune_channels: {macs: 0.6, epochs: 1}},"
    " {prune_weights: {sparsity: 0.5, epochs: 2, every_steps: 5}}, {quantize_aware: {epochs: 1}}]"
)
SHORT = ["seeds=[0]", "name=tiny-small"]


@pytest.fixture(scope="session")
def compressed(tiny, tiny_run, synthetic_cache):
    """The tiny run, compressed by every technique. Only for reading."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("HEARTZOO_CACHE", str(synthetic_cache))
        config = load_config(tiny, [*SHORT, STEPS])
        return runs.compress(tiny_run, config, tiny_run.parent / "compressed")


def networks(run) -> list[keras.Model]:
    """The network after the training and after each step."""
    config = load_config(run / "config.yaml")
    return [load_model(plan.folder / "best.keras") for plan in plans(run / "seed-0", config)]


def kernels(model: keras.Model) -> list[np.ndarray]:
    kinds = keras.layers.Conv2D | keras.layers.Dense
    return [layer.get_weights()[0] for layer in model.layers if isinstance(layer, kinds)]


# Every technique, one after the other


def test_each_step_leaves_its_mark_and_the_next_one_keeps_it(tiny_run, compressed):
    trained, distilled, fewer, sparse, rounded = networks(compressed)
    np.testing.assert_array_equal(kernels(trained)[0], kernels(load_model(tiny_run / "seed-0/best.keras"))[0])
    assert distilled.count_params() == trained.count_params()
    assert (kernels(distilled)[0] != kernels(trained)[0]).any()
    assert macs(fewer) <= 0.6 * macs(trained) < macs(distilled)
    assert sparse.count_params() == fewer.count_params()
    for kernel, still in zip(kernels(sparse), kernels(rounded), strict=True):
        assert (kernel == 0).sum() == round(0.5 * kernel.size)
        assert (still[kernel == 0] == 0).all()
    assert any((kernel != still).any() for kernel, still in zip(kernels(sparse), kernels(rounded), strict=True))


def test_an_interrupted_compression_goes_on_and_ends_the_same(tiny, tiny_run, compressed, cache, tmp_path):
    broken = shutil.copytree(compressed, tmp_path / "run")
    shutil.rmtree(broken / "seed-0" / "step-4-quantize_aware")
    config = load_config(tiny, [*SHORT, STEPS])
    with pytest.raises(UserError, match="already holds a run"):
        runs.compress(tiny_run, config, broken)
    runs.compress(tiny_run, config, broken, resume=True)
    for one, other in zip(networks(broken)[-1].get_weights(), networks(compressed)[-1].get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_compressed_run_is_exported_with_its_float_network_and_widths(compressed, cache, tmp_path):
    entry = export(shutil.copytree(compressed, tmp_path / "run"), root=tmp_path / "zoo")
    published = load_model(entry.path("model.keras"))
    sparse = networks(compressed)[3]
    for one, other in zip(published.get_weights(), sparse.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    rows = entry.metrics.ablation
    assert [row.stage for row in rows] == ["train", "distill", "prune_channels", "prune_weights", "quantize_aware"]
    assert rows[2].macs < rows[0].macs and rows[3].nonzero_parameters < rows[2].nonzero_parameters
    assert rows[3].gzip_bytes < rows[2].gzip_bytes and rows[4].float32 is None
    headline = next(e for e in entry.metrics.evaluations if e.precision == "int8").macro_f1
    assert rows[4].int8 == {0: headline}
    card = entry.path("README.md").read_text()
    assert f"| prune_weights | {rows[3].float32[0]:.4f} | {rows[3].int8[0]:.4f} | {rows[3].parameters:,} |" in card
    cost = entry.metrics.cost
    assert cost.parameters == sparse.count_params() and cost.nonzero_parameters < 0.7 * cost.parameters
    widths = entry.configuration["architecture"]["widths"]
    assert widths and all(published.get_layer(name).output.shape[-1] == width for name, width in widths.items())
    tree = dict(entry.configuration["config"], compression=[])
    tree["model"] = dict(tree["model"], widths=widths)
    assert build_model(parse_config(tree, "x")).count_params() == published.count_params()


# Distillation


def test_the_distillation_loss_is_hinton_s():
    keras.utils.set_random_seed(0)
    student = models.build("resnet", (1, 64, 1), 3)
    rng = np.random.default_rng(0)
    x = {"signal": rng.normal(size=(32, 1, 64, 1)).astype(np.float32)}
    beside = {"teacher": 3 * rng.normal(size=(32, 3)).astype(np.float32)}
    y = np.eye(3, dtype=np.float32)[rng.integers(0, 3, 32)]
    model = distiller(student, beside, temperature=4.0, alpha=0.3)
    model.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))

    def softmax(z):
        return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)

    logits = student.predict(x, verbose=0)
    truth = -np.log(softmax(logits)[y == 1]).mean()
    q, p = softmax(beside["teacher"] / 4), softmax(logits / 4)
    expected = 0.3 * truth + 0.7 * 16 * (q * np.log(q / p)).sum(axis=1).mean()
    assert float(model.compute_loss(x | beside, y, training=False)) == pytest.approx(expected, rel=1e-4)


def test_pairs_of_layers_must_exist_and_fit():
    student = models.build("resnet", (1, 64, 1), 3)
    beside = {"teacher": np.zeros((2, 3)), "teacher_1": np.zeros((2, 1, 32, 12))}
    distiller(student, beside, 3.0, 0.1, [FeaturePair(teacher="a", student="stem")])
    with pytest.raises(UserError, match=r"a of the teacher gives \(1, 32, 12\), stage1_block1_conv1 .* \(1, 16, 16\)"):
        distiller(student, beside, 3.0, 0.1, [FeaturePair(teacher="a", student="stage1_block1_conv1")])
    with pytest.raises(UserError, match=r"the student has no layer 'stam'; take one of: signal, stem"):
        distiller(student, beside, 3.0, 0.1, [FeaturePair(teacher="a", student="stam")])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (["input.frame=80"], "has another input than tiny"),
        (["task=beat-2"], "has another task than tiny"),
    ],
)
def test_a_teacher_of_something_else_is_refused(tiny, tiny_run, change, told):
    config = load_config(tiny, change)
    with pytest.raises(UserError, match=told):
        runs.find_teachers(str(tiny_run), config)


def test_teachers_are_runs_seeds_and_models_of_the_zoo(tiny, tiny_run, tmp_path):
    config = load_config(tiny)
    assert runs.find_teachers(str(tiny_run), config) == [tiny_run / f"seed-{n}/best.keras" for n in (0, 1)]
    assert runs.find_teachers(str(tiny_run / "seed-1"), config) == [tiny_run / "seed-1/best.keras"]
    with pytest.raises(UserError, match="unknown model 'nobody'"):
        runs.find_teachers("nobody", config)
    with pytest.raises(UserError, match="is no run"):
        runs.find_teachers(str(tmp_path), config)


# Magnitude pruning

SHAPES = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 8)), min_size=1, max_size=4)


@given(SHAPES, st.floats(0, 1), st.sampled_from(["layer", "global"]), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_masks_take_the_smallest_and_as_many_as_asked(shapes, sparsity, scope, seed):
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=shape) for shape in shapes]
    masks = magnitude_masks(weights, sparsity, scope)
    zeros, sizes = [(~mask).sum() for mask in masks], [mask.size for mask in masks]
    if scope == "layer":
        assert zeros == [round(sparsity * size) for size in sizes]
    else:
        assert sum(zeros) == round(sparsity * sum(sizes))
    for weight, mask in zip(weights, masks, strict=True):
        if mask.any() and not mask.all():
            assert np.abs(weight[~mask]).max() <= np.abs(weight[mask]).min()


# Structured pruning


def test_as_few_channels_go_as_the_budget_allows():
    model = models.build("resnet", (1, 64, 1), 3)
    (bound,) = bounds(PruneChannelsConfig(macs=0.5), model)
    keep = choose_channels(model, [bound], 0.1)
    assert 0.45 * macs(model) < macs(narrow(model, keep)) <= 0.5 * macs(model)
    assert all(mask.any() for mask in keep.values())


def test_the_least_important_channel_goes_first():
    model = models.build("resnet", (1, 64, 1), 3)
    layer = model.get_layer("stage2_block1_conv1")
    (kernel,) = layer.get_weights()
    kernel[..., 7] *= 1e-3
    layer.set_weights([kernel])
    keep = choose_channels(model, [Bound("macs", macs(model) - 1, macs)], 0.1)
    assert {name: np.flatnonzero(~mask).tolist() for name, mask in keep.items() if not mask.all()} == {
        "stage2_block1_conv1": [7]
    }


def test_a_budget_that_cannot_be_met_names_the_nearest_that_can():
    model = models.build("resnet", (1, 64, 1), 3)
    with pytest.raises(UserError, match=r"cannot reach macs <= 10: at its smallest it has [\d,]+; allow"):
        choose_channels(model, bounds(PruneChannelsConfig(macs=10), model), 0.1)


@pytest.mark.parametrize("aware", [False, True])
def test_the_file_and_the_arena_are_bounded_by_what_tflite_makes_of_the_network(aware):
    model = models.build("resnet", (1, 64, 1), 3, filters=(16, 16), depths=(1, 1))
    flash, arena = bounds(PruneChannelsConfig(flash_bytes=9000, arena_bytes=4000), model, aware)
    assert flash.measure(model) > 9000
    smaller = narrow(model, choose_channels(model, [flash], 0.1))
    x = {"signal": np.random.default_rng(5).normal(size=(8, 1, 64, 1)).astype(np.float32)}
    assert len(to_int8(quantized(smaller, x) if aware else smaller, x)) <= 9000
    assert arena.measure(model) > 1000


# Quantization-aware training


@pytest.mark.parametrize(
    ("architecture", "features", "sizes"),
    [
        ("resnet", 3, {}),
        ("efficientnetv2", 0, {}),
        ("rhythm_cnn", 0, {"blocks": 2}),
        ("dualpath_resnet", 0, {"filters": (8, 8), "merged_filters": 8, "stem_filters": 4}),
        ("nin_187", 0, {"filters": (4, 8), "kernels": (5, 5)}),
        ("cnn_187", 0, {"filters": (4, 4, 4), "hidden": 8}),
    ],
)
def test_the_int8_file_computes_what_the_fake_quantized_network_does(architecture, features, sizes):
    keras.utils.set_random_seed(3)
    model = models.build(architecture, (1, 128, 1), 3, features, **sizes)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.8, 1.2, weight.shape) for weight in layer.get_weights()])
    x = {tensor.name: rng.normal(size=(64, *tensor.shape[1:])).astype(np.float32) for tensor in model.inputs}
    fake = quantized(model, x)
    content = to_int8(fake, x)
    assert inspect(content).operators == inspect(to_int8(model, x)).operators
    step = inspect(content).logits.scale
    found = TfliteModel(content).predict(x["signal"], x.get("rr"))
    assert np.abs(found - fake.predict(x, verbose=0)).max() <= 4.01 * step
    assert np.abs(found - model.predict(x, verbose=0)).max() <= 12 * step


def test_values_beyond_a_range_are_its_ends():
    layer = FakeQuantize(-1.0, 3.0)
    found = np.asarray(layer(np.array([-50.0, -1.0, 0.0, 0.004, 3.0, 1e9], np.float32)))
    low, high = found[0], found[-1]
    assert high - low == pytest.approx(4.0) and low == pytest.approx(-1.0, abs=0.01)
    np.testing.assert_allclose(found, [low, low, 0.0, 0.0, high, high], atol=1e-6)


def test_a_fake_quantized_network_loads_in_safe_mode(tmp_path):
    model = models.build("resnet", (1, 64, 1), 3)
    x = {"signal": np.random.default_rng(0).normal(size=(8, 1, 64, 1)).astype(np.float32)}
    fake = quantized(model, x)
    fake.save(tmp_path / "x.keras")
    np.testing.assert_array_equal(load_model(tmp_path / "x.keras").predict(x), fake.predict(x))


def test_the_report_names_the_tensor_that_breaks():
    keras.utils.set_random_seed(3)
    model = models.build("resnet", (1, 64, 1), 3)
    rng = np.random.default_rng(0)
    x = {"signal": rng.normal(size=(64, 1, 64, 1)).astype(np.float32)}
    report = quantization_report(model, x, x)
    assert (report[0].layer, report[-1].layer) == ("signal", "logits")
    assert all(20 < row.own_snr_db < 70 and row.snr_db < row.own_snr_db + 3 for row in report[1:])
    wide = {"signal": np.concatenate([x["signal"], 200 * x["signal"][:1]])}
    assert quantization_report(model, wide, x)[0].own_snr_db < report[0].own_snr_db - 30
    with pytest.raises(UserError, match="not for an LSTM"):
        quantization_report(models.build("lstm_187", (1, 64, 1), 3), x, x)


# Configurations


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ("[{prune_weights: {sparsity: 1.5}}]", "compression.0.prune_weights.sparsity"),
        ("[{prune_weights: {sparsity: 0}}]", "compression.0.prune_weights.sparsity"),
        ("[{prune_wheights: {sparsity: 0.5}}]", "did you mean 'prune_weights'"),
        ("[{quantize_aware: {epoch: 5}}]", "did you mean 'epochs'"),
        ("[{}]", "a compression step names nothing"),
        ("[{prune_weights: {sparsity: 0.5}, quantize_aware: {}}]", "names prune_weights and quantize_aware"),
        ("[{prune_channels: {}}]", "prune_channels names no budget"),
        (
            "[{quantize_aware: {}}, {quantize_aware: {}}]",
            "after quantize_aware; put quantize_aware last",
        ),
        ("[{prune_channels: {macs: 0.5}}, {distill: {teachers: [self]}}]", "new weights after prune_channels"),
        ("[{prune_weights: {sparsity: 0.5}}, {prune_channels: {macs: 0.5}}]", "would fill its zeros"),
        ("[{prune_weights: {sparsity: 0.5}}, {prune_weights: {sparsity: 0.8}}]", "a second prune_weights"),
        ("[{distill: {teachers: []}}]", "compression.0.distill.teachers"),
        ("[{distill: {teachers: [a, b], features: [{teacher: x, student: y}]}}]", "with 2 teachers"),
    ],
)
def test_steps_that_have_no_meaning_are_told_in_one_line(tiny, steps, told):
    with pytest.raises(UserError) as caught:
        load_config(tiny, [f"compression={steps}"])
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_budgets_are_written_as_people_write_them(tiny):
    step = load_config(tiny, ["compression=[{prune_channels: {macs: 300k, flash_bytes: 16 KB, arena_bytes: 8.5k}}]"])
    found = step.compression[0].prune_channels
    assert (found.macs, found.flash_bytes, found.arena_bytes) == (300_000, 16_384, 8_704)
    with pytest.raises(UserError, match=r"prune_channels.flash_bytes"):
        load_config(tiny, ["compression=[{prune_channels: {flash_bytes: 16 apples}}]"])


def test_a_configuration_with_steps_reads_back_as_it_was_written(compressed, tiny):
    assert load_config(compressed / "config.yaml") == load_config(tiny, [*SHORT, STEPS])


def test_a_run_of_another_training_is_not_compressed(tiny, tiny_run, tmp_path):
    config = load_config(tiny, [*SHORT, STEPS, "training.epochs=7"])
    with pytest.raises(UserError, match="was trained with another training"):
        runs.compress(tiny_run, config, tmp_path / "run")
    with pytest.raises(UserError, match="has no seed 5"):
        runs.compress(tiny_run, load_config(tiny, ["seeds=[5]"]), tmp_path / "run")
    with pytest.raises(UserError, match="holds no run"):
        runs.compress(tmp_path, config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_a_teacher_says_belongs_to_the_training_examples_in_order(tiny, compressed, cache):
    data = load_training_set(load_config(tiny))
    with np.load(compressed / "seed-0" / "step-1-distill" / "teacher.npz") as content:
        said = content["teacher"]
    teacher = load_model(compressed / "seed-0" / "best.keras")
    np.testing.assert_allclose(said, teacher.predict(data.inputs(~data.validation), verbose=0), atol=1e-4)


def test_several_teachers_answer_by_their_mean_probabilities():
    rng = np.random.default_rng(0)
    logits = [5 * rng.normal(size=(7, 3)) for _ in range(3)]
    probabilities = [np.exp(z) / np.exp(z).sum(axis=1, keepdims=True) for z in logits]
    found = np.exp(mean_logits(logits))
    np.testing.assert_allclose(found / found.sum(axis=1, keepdims=True), np.mean(probabilities, axis=0), rtol=1e-6)
    np.testing.assert_array_equal(mean_logits(logits[:1]), logits[0])


def test_a_pruning_keeps_no_epoch_before_the_last_weights_have_gone(tiny):
    steps = "compression=[{prune_weights: {sparsity: 0.8, epochs: 6, ramp: 0.5}}]"
    config = load_config(tiny, [steps, "training.early_stopping.patience=1"])
    plan = plans(tiny.parent, config)[1]
    history = [{"val_loss": value} for value in (0.1, 0.2, 0.9, 0.8, 0.85)]
    assert plan.first_epoch == 2
    assert [best_epoch(history[:n], plan) for n in range(1, 6)] == [0, 1, 2, 3, 3]
    assert [finished(history[:n], plan) for n in range(1, 6)] == [False] * 4 + [True]
    assert finished(history[:2], Plan(plan.folder, plan.recipe))


def test_steps_that_cannot_work_are_told_before_the_training(tiny, tmp_path, cache):
    lstm = ["model={architecture: lstm_187, sizes: {units: [4, 4], hidden: 4}}", "input.rr_features=[]"]
    for steps, change, told in (
        ("[{prune_channels: {macs: 0.5}}]", lstm, "prune_channels is for convolutions"),
        ("[{quantize_aware: {}}]", lstm, "quantize_aware is for convolutions"),
        ("[{prune_weights: {sparsity: 0.5}}]", lstm, "prune_weights is for convolutions"),
        ("[{prune_channels: {macs: 10}}]", [], "cannot reach macs <= 10"),
        ("[{distill: {teachers: [self], features: [{teacher: stem, student: stam}]}}]", [], "has no layer 'stam'"),
        ("[{distill: {teachers: [nobody]}}]", [], "unknown model 'nobody'"),
    ):
        config = load_config(tiny, [f"compression={steps}", *change])
        with pytest.raises(UserError, match=told):
            runs.train(config, tmp_path / "run")
    assert not (tmp_path / "run" / "seed-0").exists() and not (tmp_path / "run" / "config.yaml").exists()


def test_a_distillation_after_a_pruning_keeps_its_zeros(tiny, tiny_run, cache, tmp_path):
    steps = "[{prune_weights: {sparsity: 0.5, epochs: 1}}, {distill: {teachers: [self], fresh: false, epochs: 1}}]"
    config = load_config(tiny, [*SHORT, f"compression={steps}"])
    _, sparse, taught = networks(runs.compress(tiny_run, config, tmp_path / "run"))
    for before, after in zip(kernels(sparse), kernels(taught), strict=True):
        assert (before == 0).any() and (after[before == 0] == 0).all() and (after != before).any()
