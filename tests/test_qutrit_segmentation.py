"""The experiment qutrit-segmentation: who sees which mask, slices without tumour, thresholds, and that all rows run."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hybrid import experiment, findings, training
from hybrid.experiment import Case
from hybrid.models.segmenters import filters, images, rows
from hybrid.models.segmenters.images import Parts, Slices
from hybrid.models.segmenters.qis_net import qis_net
from hybrid.models.segmenters.u_net import UNet
from hybrid.units import count_parameters

pytest.importorskip("skimage")

PAPER = experiment.load("qutrit-segmentation")
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
TASK = "phantoms-10"
TINY = {"patients": [3, 4, 3], "side": 24, "channels": [2, 4], "epochs": 2, "lr": 5e-3, "batch_size": 4}
FILTERS = [row for row in PAPER.rows if not row.seeded]

needs_brains = pytest.mark.skipif(not images.files("brain-mri", DATA), reason="needs ../shared/data/brain-mri-lgg")


def case(task=TASK, data=None, tries=2, **changes):
    return Case(task, 0, {"tries": tries, task: {**TINY, **changes}}, "statevector", data, lambda *_: None, None)


def planted(monkeypatch, change):
    """Let all rows read slices whose masks are changed by ``change(parts)``."""
    given = images.load(case())
    monkeypatch.setattr(images, "load", lambda _: change(given))


def with_masks(part, masks):
    return replace(part, masks=masks)


# --- slices ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", images.PHANTOMS)
def test_phantoms_are_divided_by_patient_and_the_same_for_every_seed(task):
    parts, again = images.load(case(task)), images.load(replace(case(task), seed=7))
    patients = [set(part.patient.tolist()) for part in parts]
    assert [len(each) for each in patients] == [3, 4, 3] and len(set.union(*patients)) == 10
    for part, other in zip(parts, again, strict=True):
        assert np.array_equal(part.X, other.X) and part.X.dtype == np.float32
        assert part.X.min() >= 0 and part.X.max() <= 1
        tumours = part.masks.any((1, 2)).reshape(-1, 2)
        assert tumours[:, 0].all() and not tumours[:, 1].any(), "a slice with tumour and one without"


def test_a_phantom_has_the_grey_values_and_the_noise_it_says():
    clean, noisy = images.phantoms((5, 1, 1), 64, 0.0).train, images.phantoms((5, 1, 1), 64, 0.1).train
    assert np.array_equal(clean.masks, noisy.masks)
    grey = clean.X[clean.masks]
    assert grey.min() >= 0.75 * 0.85 and grey.max() <= 0.75 * 1.15
    assert clean.X[~clean.masks].max() <= 0.4 * 1.15 + 1e-6 and (clean.X == 0).any()
    inside = clean.X > 0.3  # where noise is not cut off
    assert np.std((noisy.X - clean.X)[inside]) == pytest.approx(0.1, rel=0.05)


def test_a_patient_in_two_parts_is_refused():
    X, masks = np.zeros((4, 2, 2), np.float32), np.ones((4, 2, 2), bool)
    with pytest.raises(ValueError, match=r"got patient 8 in parts \[0, 2\], expected one: divide by patient"):
        images.divided(X, masks, np.array([7, 8, 8, 9]), np.array([0, 0, 2, 1]))
    with pytest.raises(ValueError, match="got patient 9 without a tumour, expected one in the slices: leave the"):
        images.divided(X, masks & (np.arange(4) < 3)[:, None, None], np.array([7, 8, 8, 9]), np.array([0, 2, 2, 1]))


@needs_brains
def test_brains_are_divided_by_patient_and_scaled_by_themselves():
    parts = images.load(case("brain-mri", DATA))
    patients = [set(part.patient.tolist()) for part in parts]
    assert [len(each) for each in patients] == [80, 15, 15] and len(set.union(*patients)) == 110
    assert [len(part.X) for part in parts] == [160, 30, 30]
    for part in parts:
        assert part.X.shape[1:] == part.masks.shape[1:] == (128, 128) and part.X.dtype == np.float32
        for each in np.unique(part.patient):
            assert (part.X[part.patient == each] == 1).mean() == pytest.approx(0.01, abs=0.003)
            assert sorted(part.masks[part.patient == each].any((1, 2))) == [False, True]


def test_brains_need_data(tmp_path):
    assert "brain-mri" not in experiment.plan(PAPER, "quick", out=tmp_path).tasks
    with pytest.raises(ValueError, match=r"got the task brain-mri without data, expected a folder .* --data"):
        experiment.plan(PAPER, "quick", out=tmp_path, tasks=["brain-mri"])
    assert images.files("brain-mri", tmp_path) == [] == images.files(TASK, DATA)
    (tmp_path / "lgg_subset.npz").touch()
    assert images.files("brain-mri", tmp_path) == [tmp_path / "lgg_subset.npz"]


# --- scores ----------------------------------------------------------------------------------------------------------


def test_dice_counts_what_is_found_in_slices_without_tumour():
    masks = np.zeros((4, 4, 4), bool)
    masks[0, :2] = masks[2, :1] = True  # 8 pixels of patient 5, 4 of patient 6
    slices = Slices(np.zeros((4, 4, 4), np.float32), masks, np.array([5, 5, 6, 6]))
    found = masks.copy()
    assert rows.dice(found, slices).tolist() == [1, 1]
    found[1, :2] = True  # in the healthy slice of patient 5
    assert rows.dice(found, slices) == pytest.approx([2 * 8 / (16 + 8), 1])
    assert rows.dice(np.zeros_like(masks), slices).tolist() == [0, 0]
    assert rows.dice(~masks & False | (np.arange(4) == 3)[:, None, None], slices).tolist() == [0, 0]


def test_the_curve_is_dice_at_every_threshold():
    part = images.load(case()).valid
    X = part.X.copy()
    X[0, 0, :3] = np.float32(rows.THRESHOLDS[40]), 0, 1  # on a threshold, at the ends
    expected = [rows.dice(threshold < X, part) for threshold in rows.THRESHOLDS]
    assert np.allclose(rows._curves(X, part), expected, rtol=0, atol=1e-12)


def test_otsu_finds_the_brightest_class_of_each_slice():
    X = np.full((3, 8, 8), 0.1, np.float32)
    X[0, :4], X[0, 0] = 0.4, 0.9
    X[1, :4], X[1, 0] = 0.2, 0.5  # few grey values, as behind a staircase
    found = rows.otsu(X, 3)
    assert [each.sum() for each in found] == [8, 8, 0], "of its own slice alone, and nothing in a plain one"
    assert found[:2, 0].all()


def outcomes():
    return {row.name: row.run(case(tries=1)).extra for row in PAPER.rows}


@pytest.fixture(scope="module")
def before():
    """What every row keeps, of the slices as they are."""
    return outcomes()


def test_no_threshold_for_the_score_is_chosen_on_test_masks(monkeypatch, before):
    """The oracle's column alone follows the test masks."""
    planted(monkeypatch, lambda parts: parts._replace(test=with_masks(parts.test, parts.test.masks[:, ::-1])))
    after = outcomes()
    for name, kept in before.items():
        for each in ("threshold", "otsu_classes", "chosen", "chosen_for_otsu", "segmented"):
            assert after[name].get(each) == kept.get(each)
    assert after["QFS-Net"]["oracle"] != before["QFS-Net"]["oracle"]


def test_filters_never_see_the_training_masks_and_the_network_does(monkeypatch, before):
    planted(monkeypatch, lambda parts: parts._replace(train=with_masks(parts.train, ~parts.train.masks)))
    after = outcomes()
    assert {name for name in before if before[name] != after[name]} == {"U-Net"}


def test_filters_are_given_images_alone(monkeypatch):
    given = []

    def spied(X, **options):
        given.append((X, options))
        return X

    parts = images.load(case())
    rows.filtered(case(), by=spied, grid={"a": range(12)})
    assert all(isinstance(X, np.ndarray) and X.dtype == np.float32 for X, _ in given)
    assert [len(X) for X, _ in given] == [8, 8, 6, 6] and not any(X is part.masks for X, _ in given for part in parts)


def test_what_is_chosen_is_the_best_on_the_validation_patients():
    """By hand: every combination, every threshold."""
    parts, run = images.load(case()), FILTERS[0].run
    found = run(case(tries=12)).extra
    best = (-1.0, None, None)
    for each in filters.candidates(filters.QUTRIT, 12):
        X = filters.qutrit(parts.valid.X, **each)
        for threshold in rows.THRESHOLDS:
            best = max(best, (rows.dice(threshold < X, parts.valid).mean(), threshold, each), key=lambda b: b[0])
    assert (found["threshold"], found["chosen"]) == (best[1], best[2])
    X = filters.qutrit(parts.test.X, **best[2])
    assert found["scores"] == pytest.approx(rows.dice(best[1] < X, parts.test))
    assert (np.array(found["oracle"]) >= found["scores"]).all()
    right = parts.test.masks & (best[1] < X)
    both, sizes = (each.sum((1, 2)).reshape(-1, 2).sum(1) for each in (right, parts.test.masks))
    assert found["sensitivity"] == pytest.approx(both / sizes)
    right = (parts.test.masks == (best[1] < X)).mean((1, 2)).reshape(-1, 2).mean(1)
    assert found["accuracy"] == pytest.approx(right)
    assert np.array_equal(rows.mask(found["segmented"], 24), (best[1] < X)[rows.shown(parts.test)])


# --- filters ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", FILTERS, ids=lambda row: row.name)
def test_every_filter_has_as_many_tries(row):
    grid = row.run.keywords["grid"]
    tried = filters.candidates(grid, filters.N_TRIES)
    assert len(tried) == (12 if grid else 1) and all(level["tries"] in (6, 12) for level in PAPER.levels.values())
    assert all(each in tried for each in filters.candidates(grid, 6))
    X = images.load(case()).valid.X
    options = {name: value for name, value in row.run.keywords.items() if name not in ("by", "grid")}
    found = row.run.keywords["by"](X, **tried[0], **options)
    assert found.shape == X.shape and found.dtype == X.dtype and found.min() >= 0 and found.max() <= 1


def test_a_grid_of_another_size_is_refused():
    with pytest.raises(ValueError, match="got 5 combinations for 5 tries, expected 12, and a number that divides it"):
        filters.candidates({"a": range(5)}, 5)
    with pytest.raises(ValueError, match="got 12 combinations for 5 tries"):
        filters.candidates({"a": range(12)}, 5)


def test_the_control_gaussian_bends_as_the_overlap_does():
    x = torch.linspace(-0.1, 0.1, 21, dtype=torch.float64)
    assert torch.allclose(filters.gaussian(x), torch.cos(2 * torch.pi / 3 * x), rtol=0, atol=2e-4)
    assert filters.gaussian(torch.tensor(0.0)) == 1 and torch.equal(filters.equal(x), torch.ones(21).double())


def test_classical_filters_are_those_of_their_names():
    X = images.load(case()).valid.X[:2]
    padded = np.pad(X[0], 1, "edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
    assert np.allclose(filters.median(X, 3, 1)[0], np.median(windows, (2, 3)))
    assert np.allclose(filters.median(X, 3, 2), filters.median(filters.median(X, 3, 1), 3, 1))
    noise = [np.std(filtered[0] - X[0]) for filtered in (filters.blur(X, 0.5), filters.blur(X, 2.0))]
    assert 0 < noise[0] < noise[1] and filters.as_it_is(X) is X


def test_qis_net_is_what_its_loops_compute():
    image = images.load(case()).valid.X[0, 8:14, 8:15].astype(float)
    bounds = np.pi / 2 * np.array([0, 0.14, 0.28, 0.42, 0.56, 0.70, 0.90, 1])
    x = np.pi / 2 * image
    for _ in range(2):
        new = np.zeros_like(x)
        for r, c in np.ndindex(*x.shape):
            around = [
                x[r + i, c + j]
                for i in (-1, 0, 1)
                for j in (-1, 0, 1)
                if 0 <= r + i < x.shape[0] and 0 <= c + j < x.shape[1]
            ]
            total, k = sum(around), min(max(np.searchsorted(bounds, x[r, c]) - 1, 0), 6)
            for each in around:
                w = 2 * np.pi * (np.pi / 2 - (each - x[r, c]))
                z = each * np.cos(w - 2 * np.pi * total)
                new[r, c] += 1 / (total / (bounds[k + 1] - bounds[k]) + np.exp(-0.24 * (z - total)))
        x = new
    assert np.allclose(qis_net(torch.tensor(image), 1, 0.24), x.clip(0, 1), rtol=0, atol=1e-10)


# --- the network -----------------------------------------------------------------------------------------------------


def test_the_u_net_joins_levels_of_the_same_size():
    torch.manual_seed(0)
    net = UNet([3, 5, 7])
    assert net(torch.rand(2, 16, 24)).shape == (2, 16, 24)
    sizes = (1, 3), (3, 3), (3, 5), (5, 5), (5, 7), (7, 7), (10, 5), (5, 5), (6, 3), (3, 3)
    norms, up, head = 2 * (2 * 3 + 2 * 5 + 2 * 7 + 2 * 5 + 2 * 3), (4 * 7 * 5 + 5) + (4 * 5 * 3 + 3), 3 + 1
    assert count_parameters(net)["classical"] == sum(9 * a * b for a, b in sizes) + norms + up + head
    assert not np.allclose(net(torch.ones(1, 16, 16)).detach(), net(torch.zeros(1, 16, 16)).detach())


def test_a_pixel_of_the_u_net_sees_its_surroundings():
    torch.manual_seed(0)
    net, X = UNet([2, 4]).eval(), torch.rand(1, 32, 32, requires_grad=True)
    net(X)[0, 16, 16].backward()
    seen = X.grad[0].abs().sum(1).nonzero()
    assert 9 <= seen.max() - seen.min() <= 20


def test_the_u_net_learns_to_segment():
    outcome = next(row for row in PAPER.rows if row.seeded).run(case(epochs=60, channels=[4, 8], patients=[8, 4, 4]))
    assert outcome.score > 0.7 and outcome.extra["train_losses"][-1] < 0.7 * outcome.extra["train_losses"][0]


# --- all together ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    levels = {level: {"seeds": 2, "tries": 1, **dict.fromkeys(images.PHANTOMS, TINY)} for level in PAPER.levels}
    plan = experiment.plan(replace(PAPER, levels=levels), "quick", out=tmp_path_factory.mktemp("qfs"), jobs=1)
    return experiment.run(plan, show=False)


def test_every_row_runs_on_every_task(finished):
    assert finished.tasks == images.PHANTOMS and len(finished.records) == 3 * 15
    assert {each.kind for each in PAPER.rows} == {"quantum", "control", "classical", "trivial"}
    for row in finished.rows(TASK):
        for of in (None, *PAPER.also.values()):
            scores = finished.scores(TASK, row.name, of)
            assert scores.shape == (3,) and (scores >= 0).all() and (scores <= 1).all()
        assert (finished.scores(TASK, row.name, "oracle") >= finished.scores(TASK, row.name)).all()
    said = finished.experiment.verdict(finished)
    assert (
        said[0].startswith("No qutrit is simulated")
        and not any("skull" in text for text in said)
        and all(text.endswith(".") for text in said)
    )
    assert sum("best threshold for every test patient" in text for text in said) == 3


def test_the_report_has_intervals_over_patients_and_a_drawing(finished):
    files = {file.name: file for file in findings.write(finished)}
    text = files["report.md"].read_text()
    assert "mean over the patients and 95 % interval" in text and "paired by patient" in text
    assert "![Drawing](drawing.png)" in text and files["drawing.png"].stat().st_size > 10_000
    axes = finished.experiment.drawing(finished).axes
    named = [each.get_title() for each in axes if each.images]
    assert named == ["mask", *(row.name for row in PAPER.rows)]
    parts = images.load(case("phantoms-15"))
    assert np.array_equal(axes[0].images[0].get_array(), parts.test.X[rows.shown(parts.test)])
    assert np.array_equal(axes[0].images[1].get_array().filled(False), parts.test.masks[rows.shown(parts.test)])


def test_without_scikit_image_one_line_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(ImportError, match=r"needs scikit-image: pip install 'hybridqml\[segmentation\]'$"):
        experiment.plan(PAPER, "quick", out=tmp_path)


def test_all_that_is_trained_is_trained_on_train_patients_alone(monkeypatch):
    calls = []

    def fit(build, X, y, **options):
        calls.append(SimpleNamespace(X=X, y=y))
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "fit", fit)
    train = images.load(case()).train
    with pytest.raises(KeyboardInterrupt):
        rows.trained(case())
    assert np.array_equal(calls[0].X, train.X) and np.array_equal(calls[0].y, train.masks)
    assert isinstance(images.load(case()), Parts)
