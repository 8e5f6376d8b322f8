"""Steps follow one another, go on after an interruption, and are refused where they have no meaning."""

from __future__ import annotations

import shutil

import keras
import numpy as np
import pytest

from heartzoo import runs, training
from heartzoo.checkpoints import Plan, best_epoch, finished, load_model, plans
from heartzoo.config.file import load_config, parse_config
from heartzoo.data.training_set import load_training_set
from heartzoo.errors import UserError
from heartzoo.export import export
from heartzoo.files import write_bytes
from heartzoo.models.channels import macs
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


def test_trainings_that_an_interrupted_copy_did_not_leave_are_not_removed(tiny, tiny_run, cache, tmp_path, monkeypatch):
    config, out = load_config(tiny, [*SHORT, "compression=[{quantize_aware: {epochs: 1}}]"]), tmp_path / "run"
    (out / "seed-1").mkdir(parents=True)
    (out / "seed-1" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"seed-1 is there, but no config\.yaml beside it"):
        runs.compress(tiny_run, config, out)
    assert (out / "seed-1" / "notes.txt").read_text() == "mine"
    shutil.rmtree(out)

    def killed_in_seed(path, content):
        if "seed-0" in path.parts:
            raise KeyboardInterrupt
        write_bytes(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(runs, "write_bytes", killed_in_seed)
        with pytest.raises(KeyboardInterrupt):
            runs.compress(tiny_run, config, out)
    assert (out / "seed-0").is_dir()
    (out / "seed-0" / "half").touch()
    runs.compress(tiny_run, config, out)
    assert not (out / "seed-0" / "half").exists()
    assert not list(out.glob(".part.*"))


def test_a_step_that_was_interrupted_between_epochs_ends_the_same(
    tiny, tiny_run, compressed, cache, tmp_path, monkeypatch
):
    broken = shutil.copytree(compressed, tmp_path / "run")
    for step in ("step-3-prune_weights", "step-4-quantize_aware"):
        shutil.rmtree(broken / "seed-0" / step)
    config = load_config(tiny, [*SHORT, STEPS])
    keep_epoch = training.StageKeeper.on_epoch_end

    def interrupted(*arguments):
        keep_epoch(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training.StageKeeper, "on_epoch_end", interrupted)
        with pytest.raises(KeyboardInterrupt):
            runs.compress(tiny_run, config, broken, resume=True)
    assert (broken / "seed-0/step-3-prune_weights/last.1.npz").is_file()
    runs.compress(tiny_run, config, broken, resume=True)
    for stage, undisturbed in zip(networks(broken)[3:], networks(compressed)[3:], strict=True):
        for one, other in zip(stage.get_weights(), undisturbed.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_steps_after_one_that_was_removed_are_taken_anew(tiny, tiny_run, compressed, cache, tmp_path, monkeypatch):
    """They began from what it had been."""
    broken = shutil.copytree(compressed, tmp_path / "run")
    shutil.rmtree(broken / "seed-0" / "step-2-prune_channels")

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("heartzoo.compression.steps.run_stage", interrupted)
    with pytest.raises(KeyboardInterrupt):
        runs.compress(tiny_run, load_config(tiny, [*SHORT, STEPS]), broken, resume=True)
    left = sorted(path.parent.name for path in (broken / "seed-0").glob("step-*/best.keras"))
    assert left == ["step-1-distill"] and not list((broken / "seed-0").glob("step-[34]-*"))


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


def test_ranges_that_a_network_was_tuned_for_are_not_stated_otherwise(compressed, tiny, tmp_path):
    with pytest.raises(UserError, match=r"tuned for the int8 ranges that it has .* leave export.calibration_"):
        export(compressed, root=tmp_path / "zoo", changes=["export.calibration_method=mse"])
    assert not (tmp_path / "zoo").exists()
    before = load_config(tiny, [*SHORT, STEPS])
    kinds = [next(iter(step.model_dump())) for step in before.compression]
    assert runs._same_steps(before, before) == len(kinds)
    other = load_config(tiny, [*SHORT, STEPS, "export.calibration_seed=7"])
    assert runs._same_steps(before, other) == kinds.index("prune_channels")
    unaware = before.model_copy(update={"compression": before.compression[:-1]})
    assert runs._same_steps(before, unaware) == kinds.index("prune_channels")  # whose budgets are measured otherwise


def test_what_a_teacher_says_belongs_to_the_training_examples_in_order(tiny, compressed, cache):
    data = load_training_set(load_config(tiny))
    said = [np.load(path)["teacher"] for path in compressed.glob("teacher-*.npz")]
    teacher = load_model(compressed / "seed-0" / "best.keras")
    expected = teacher.predict(data.inputs(~data.validation), verbose=0)
    assert sum(np.allclose(each, expected, atol=1e-4) for each in said) == 1


def test_a_distillation_after_a_pruning_keeps_its_zeros(tiny, tiny_run, cache, tmp_path):
    steps = "[{prune_weights: {sparsity: 0.5, epochs: 1}}, {distill: {teachers: [self], fresh: false, epochs: 1}}]"
    config = load_config(tiny, [*SHORT, f"compression={steps}"])
    _, sparse, taught = networks(runs.compress(tiny_run, config, tmp_path / "run"))
    for before, after in zip(kernels(sparse), kernels(taught), strict=True):
        assert (before == 0).any() and (after[before == 0] == 0).all() and (after != before).any()


def test_a_pruning_keeps_no_epoch_before_the_last_weights_have_gone(tiny):
    steps = "compression=[{prune_weights: {sparsity: 0.8, epochs: 6, ramp: 0.5}}]"
    config = load_config(tiny, [steps, "training.early_stopping.patience=1"])
    plan = plans(tiny.parent, config)[1]
    history = [{"val_loss": value} for value in (0.1, 0.2, 0.9, 0.8, 0.85)]
    assert plan.first_epoch == 2
    assert [best_epoch(history[:n], plan) for n in range(1, 6)] == [0, 1, 2, 3, 3]
    assert [finished(history[:n], plan) for n in range(1, 6)] == [False] * 4 + [True]
    assert finished(history[:2], Plan(plan.folder, plan.recipe))


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


def test_16_bits_are_not_rounded_to_8_before(tiny):
    for other in ("compression=[{quantize_aware: {}}]", "export.calibration_method=mse"):
        with pytest.raises(UserError, match=r"export.activations = int16 .* leave one out"):
            load_config(tiny, ["export.activations=int16", other])


def test_steps_that_cannot_work_are_told_before_the_training(tiny, tmp_path, cache):
    lstm = ["model={architecture: lstm_187, sizes: {units: [4, 4], hidden: 4}}", "input.rr_features=[]"]
    lstm += ["input.template_features=[]"]
    for steps, change, told in (
        ("[{prune_channels: {macs: 0.5}}]", lstm, "prune_channels is for convolutions"),
        ("[{quantize_aware: {}}]", lstm, "quantize_aware is for convolutions"),
        ("[{prune_weights: {sparsity: 0.5}}]", lstm, "prune_weights is for convolutions"),
        ("[{prune_channels: {macs: 10}}]", [], "cannot reach macs <= 10"),
        ("[{prune_channels: {flash_bytes: 100}}]", [], "cannot reach flash_bytes <= 100"),
        ("[{distill: {teachers: [self], features: [{teacher: stem, student: stam}]}}]", [], "has no layer 'stam'"),
        ("[{distill: {teachers: [nobody]}}]", [], "unknown model 'nobody'"),
    ):
        config = load_config(tiny, [f"compression={steps}", *change])
        with pytest.raises(UserError, match=told):
            runs.train(config, tmp_path / "run")
    assert not (tmp_path / "run" / "seed-0").exists() and not (tmp_path / "run" / "config.yaml").exists()


def test_budgets_are_written_as_people_write_them(tiny):
    step = load_config(tiny, ["compression=[{prune_channels: {macs: 300k, flash_bytes: 16 KB, arena_bytes: 8.5k}}]"])
    found = step.compression[0].prune_channels
    assert (found.macs, found.flash_bytes, found.arena_bytes) == (300_000, 16_384, 8_704)
    for wanted, read in (("1.5m", 1_500_000), ("0.5", 0.5), ("'0.5'", 0.5), ("5e5", 500_000)):
        step = load_config(tiny, [f"compression=[{{prune_channels: {{macs: {wanted}}}}}]"])
        assert step.compression[0].prune_channels.macs == read
    with pytest.raises(UserError, match=r"prune_channels.flash_bytes.* a size is like 32k"):
        load_config(tiny, ["compression=[{prune_channels: {flash_bytes: 16 apples}}]"])


def test_a_configuration_with_steps_reads_back_as_it_was_written(compressed, tiny):
    assert load_config(compressed / "config.yaml") == load_config(tiny, [*SHORT, STEPS])


def test_a_run_of_another_training_is_not_compressed(tiny, tiny_run, tmp_path):
    config = load_config(tiny, [*SHORT, STEPS, "training.epochs=7"])
    with pytest.raises(UserError, match="was trained with another training"):
        runs.compress(tiny_run, config, tmp_path / "run")
    followed = load_config(tiny, [*SHORT, STEPS, "prevalence={PAC: {usual: 0.1, assumed: 0.2}}"])
    with pytest.raises(UserError, match="was trained with another prevalence"):
        runs.compress(tiny_run, followed, tmp_path / "run")
    with pytest.raises(UserError, match="has no seed 5"):
        runs.compress(tiny_run, load_config(tiny, ["seeds=[5]"]), tmp_path / "run")
    with pytest.raises(UserError, match="holds no run"):
        runs.compress(tmp_path, config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
