"""The experiment protein-tensor-network: its data, its networks, equal terms, and that all rows run."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from hybrid import experiment, training
from hybrid.experiment import Case
from hybrid.experiments import protein_tensor_network as paper
from hybrid.models.classifiers import rows
from hybrid.models.proteins import letters, networks
from hybrid.units import count_parameters

PAPER = experiment.load("protein-tensor-network")
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
TINY = {"epochs": 1, "length": 12, "n_train": 40, "n_test": 30}

needs_proteins = pytest.mark.skipif(not (DATA / letters.FILE).is_file(), reason=f"needs ../shared/data/{letters.FILE}")


def case(task, data=None, level="quick", **changes):
    settings = {**PAPER.levels[level], task: {**PAPER.levels[level][task], **changes}}
    return Case(task, 0, settings, "statevector", data, lambda *_: None, None)


def row(name):
    return next(each for each in PAPER.rows if each.name == name)


def built(name, length):
    run = row(name).run
    options = {key: value for key, value in run.keywords.items() if key not in ("build", "load")}
    return run.keywords["build"]((length,), 2, {}, None, **options)


def count(name, length):
    return count_parameters(built(name, length))


def proteins(folder):
    """Write a file of proteins that tell their class by their first letter."""
    lines = ["accession,split,location,membrane,sequence"]
    for i in range(24):
        part, member = ("train", "train", "test", "hard")[i % 4], i % 3 > 0
        first = "L" if member else "E"
        lines.append(f"P{i},{part},{letters.LOCATIONS[member]},U,{first}{'ACDFGHIKMNXB'[i % 12]}{'W' * (i + 1)}")
    lines.append("P99,train,Nucleus,U,MMMM")
    (folder / "protein-localisation").mkdir(parents=True)
    with gzip.open(folder / letters.FILE, "wt") as stream:
        stream.write("\n".join(lines))
    return folder


# --- data


@pytest.mark.parametrize("task", paper.MADE)
def test_what_is_made_is_made_once_of_two_classes_alike(task):
    parts, again = letters.load(case(task)), letters.load(replace(case(task), seed=5))
    assert all(np.array_equal(a, b) for a, b in zip(parts[:4], again[:4], strict=True))
    assert parts.X.shape == (400, 32) and parts.X_test.shape == (1000, 32)
    assert 0.45 < parts.y.mean() < 0.55 and parts.X.min() == 0 and parts.X.max() == 19


def linear(task, prepare):
    return rows.logistic(case(task, length=64, n_train=1500), prepare=prepare, load=letters.load).score


def test_letters_and_pairs_say_what_the_tasks_promise():
    """Counts of letters tell compositions alone, pairs tell a row of letters, and neither tells which row is first."""
    assert linear("composition", letters.counts) > 0.75
    assert abs(linear("order", letters.counts) - 0.5) < 0.06 and linear("order", letters.pairs) > 0.95
    assert abs(linear("before", letters.counts) - 0.5) < 0.06 and abs(linear("before", letters.pairs) - 0.5) < 0.06


def test_before_has_two_rows_and_a_letter_between():
    parts = letters.load(case("before"))
    for sample, label in zip(parts.X, parts.y, strict=True):
        (places,) = np.nonzero(sample < 4)
        assert len(places) == 8 and (np.diff(places[:4]) == 1).all() and (np.diff(places[4:]) == 1).all()
        assert places[4] > places[3] + 1
        assert set(sample[places[:4]] // 2) == {label} and set(sample[places[4:]] // 2) == {1 - label}


def test_order_has_eight_letters_in_a_row_or_scattered():
    parts = letters.load(case("order"))
    places = [np.flatnonzero(sample < 4) for sample in parts.X]
    spans = np.array([each[-1] - each[0] for each in places])
    assert {len(each) for each in places} == {8} and set(spans[parts.y == 1]) == {7} and spans[parts.y == 0].mean() > 15


def test_letters_are_numbered_and_filled_up():
    assert letters.numbered("ACXY", 6).tolist() == [0, 1, 20, 19, 20, 20]
    assert letters.numbered("ACXY", 2).tolist() == [0, 1]
    tokens = torch.tensor([[0, 1, 1], [20, 0, 1]])
    found = letters.counts(tokens, {})
    assert found[0, :2].tolist() == [1, 2] and found[1, [0, 1, 20]].tolist() == [1, 1, 1] and found.sum() == 6
    found = letters.pairs(tokens, {})
    assert found[0, 1] == found[0, 21 + 1] == found[1, 20 * 21] == found[1, 1] == 1 and found.sum() == 4


def test_proteins_are_those_of_two_locations(tmp_path):
    folder = proteins(tmp_path)
    parts = letters.load(case("deeploc", folder))
    assert parts.X.shape == (12, 64) and parts.X_test.shape == (6, 64) and parts.X.dtype == np.int64
    membrane = parts.X[:, 0] == letters.ALPHABET.index("L")
    assert np.array_equal(membrane, parts.y) and 0 < parts.y.mean() < 1
    hard = letters.load(case("deeploc-hard", folder))
    assert np.array_equal(hard.X, parts.X) and not np.array_equal(hard.X_test, parts.X_test)
    whole = letters.whole(case("deeploc", folder))
    assert whole.X.shape == (12, 20) and np.allclose(
        whole.X[-1], np.where(np.arange(20) == 18, 22, 0) / 24, atol=1 / 24
    )
    for place in (folder, folder / letters.FILE, folder / "protein-localisation"):
        assert letters.files("deeploc", place) == [folder / letters.FILE]
    assert letters.files("order", folder) == letters.files("deeploc", None) == []


def test_relatives_share_words(tmp_path):
    """Of all test proteins, as they consist of W, but the first, of which no more than a word is in one of training."""
    found, n = letters.related("deeploc", proteins(tmp_path))
    train = [(i, "W" * (i + 1)) for i in range(24) if i % 4 < 2]
    assert n == 6 and len(train) == 12 and found == sum(i + 1 >= 5 for i in range(2, 24, 4))


@needs_proteins
def test_the_proteins_of_deeploc_have_the_published_numbers():
    parts, hard = (letters.load(case(task, DATA)) for task in paper.PROTEINS)
    assert np.bincount(parts.y).tolist() == [276, 161] and np.bincount(parts.y_test).tolist() == [505, 273]
    assert np.bincount(hard.y_test).tolist() == [117, 98]
    assert 0.75 < rows.logistic(case("deeploc", DATA), load=letters.whole).score < 0.85
    found, n = letters.related("deeploc", DATA)
    assert n == 778 and found < 20


def test_proteins_need_data(tmp_path):
    one = replace(PAPER, rows=PAPER.rows[-1:], claims=())
    assert experiment.plan(one, "quick", out=tmp_path).tasks == paper.MADE
    with pytest.raises(ValueError, match=r"got the task deeploc without proteins, expected a folder with .* --data"):
        experiment.plan(one, "quick", out=tmp_path, tasks=["deeploc"])


@pytest.mark.parametrize(
    "content",
    [b"no gzip", gzip.compress(b"a,b\n1,2\n"), gzip.compress(b"split\n" * 999)[:-9]],
    ids=["no gzip", "other columns", "cut short"],
)
def test_a_damaged_file_is_named(content, tmp_path):
    (tmp_path / "deeploc_subset.csv.gz").write_bytes(content)
    with pytest.raises(
        ValueError, match=r"deeploc_subset.csv.gz cannot be read \(.*\), expected a folder .*: get it ag"
    ):
        letters.load(case("deeploc", tmp_path))


# --- networks


def test_networks_have_the_published_numbers_of_parameters():
    """3 angles for each of 21 letters, 8 a box: 71 of a uniform tree, 63 + 8 (L - 1) of a hierarchical path."""
    for name, expected in (
        (paper.TREE_UNIFORM, 71), (paper.PATH_UNIFORM, 71), (paper.TREE, 63 + 8 * 6), (paper.PATH, 63 + 8 * 63),
        (paper.POST_SELECTED, 63 + 8 * 6), (paper.SIM9, 63 + 2 * 6), (paper.IQP, 63 + 6), (paper.OFF, 63 + 8 * 6),
        (paper.WIDE, 21 * 8 + 16 * 6),
    ):  # fmt: skip
        assert count(name, 64) == {"quantum": expected, "classical": 0, "frozen": 0}, name
    assert count(paper.FROZEN, 64) == {"quantum": 0, "classical": 3 * 2 + 2, "frozen": 63 + 8 * 6}
    assert count(paper.BITS, 64)["classical"] == 21 + 4 * 6 and count(paper.STATES, 64)["classical"] == 63 + 48 * 6


@pytest.mark.parametrize("length", [32, 64, 128, 512])
def test_classical_networks_have_about_as_many(length):
    for name, layout in (
        (paper.GRU, "tree"), (paper.CNN, "tree"), (paper.LARGE_GRU, "path"), (paper.LARGE_CNN, "path"),
    ):  # fmt: skip
        found, wanted = count(name, length)["classical"], sum(count(getattr(paper, layout.upper()), length).values())
        assert abs(found - wanted) <= max(0.15 * wanted, 24), name


def test_the_controls():
    off, frozen = built(paper.OFF, 16)[0], built(paper.FROZEN, 16)
    assert not any(len(op.qubits) > 1 for op in off.box_circuit.ops)
    assert not any(p.requires_grad for p in frozen[0].parameters()) and frozen[1].weight.requires_grad
    assert frozen[0].network.boxes.std() > 1  # random, not small
    tokens = torch.randint(21, (4, 16))
    assert frozen(tokens).shape == (4, 2)
    torch.testing.assert_close(frozen[0](tokens), frozen[0].network.root(tokens)[:, 1:])


@pytest.mark.parametrize("name", [paper.TREE, paper.PATH, paper.POST_SELECTED, paper.WIDE, paper.BITS, paper.STATES])
def test_logits_are_logarithms_of_probabilities(name):
    found = built(name, 16)(torch.randint(21, (5, 16)))
    torch.testing.assert_close(found.exp().sum(-1), torch.ones(5))
    assert networks.Logarithms()(torch.tensor([0.0, 1.0])).isfinite().all()


def test_a_tree_of_bits_is_a_sum_over_all_hidden_bits():
    model = networks.HiddenMarkovTree(4, 2)
    a, b, c, d = model.letters[:4].sigmoid().detach()[:, 0]  # of the second state
    tokens = torch.tensor([0, 1, 2, 3])
    one = model.boxes.sigmoid().detach()[:, 0]  # P(1 | j, k), level by level

    def merged(p, q, level):
        return sum(one[level, j, k] * (p if j else 1 - p) * (q if k else 1 - q) for j in (0, 1) for k in (0, 1))

    torch.testing.assert_close(model(tokens)[1], merged(merged(a, b, 0), merged(c, d, 0), 1))


def test_the_majority_is_half_right():
    assert row(paper.MAJORITY).run(case("order")).score == 0.5


# --- rows


class Stop(Exception):
    """Raised where a row would begin to train."""


def test_all_that_is_trained_has_one_schedule_and_classes_count_alike(monkeypatch, tmp_path):
    calls = []

    def fit(build, X, y, **options):
        calls.append(SimpleNamespace(X=X, y=y, options=options))
        raise Stop

    monkeypatch.setattr(training, "fit", fit)
    for each in PAPER.rows:
        if each.kind != "trivial":
            with pytest.raises(Stop):
                each.run(case("deeploc", proteins(tmp_path / each.name)))
    terms = ("seed", "epochs", "lr", "batch_size", "optimizer", "optimizer_options")
    assert len(calls) == 16 and all(np.array_equal(call.X, calls[0].X) for call in calls)
    assert all(call.options[term] == calls[0].options[term] for call in calls for term in terms)
    weights = calls[0].options["class_weights"]
    assert weights.dtype == np.float32 and weights * np.bincount(calls[0].y) == pytest.approx(len(calls[0].y) / 2)


def test_every_row_runs(tmp_path):
    levels = {
        level: {"seeds": 1, **{name: {**PAPER.levels["quick"][name], **TINY} for name in PAPER.tasks}}
        for level in PAPER.levels
    }
    folder = proteins(tmp_path / "data")
    plan = experiment.plan(
        replace(PAPER, levels=levels), "quick", out=tmp_path / "out", jobs=1, data=folder, tasks=["order", "deeploc"]
    )
    found = experiment.run(plan, show=False)
    assert len(found.records) == sum(len(found.rows(task)) for task in found.tasks) == 2 * 19 - 2 + 1
    assert {each.kind for each in PAPER.rows} == {"quantum", "control", "classical", "trivial"}
    said = found.experiment.verdict(found)
    assert said[0].startswith("On deeploc ") and " of 6 test proteins share " in said[0]
    assert all(text.endswith(".") for text in said)


def test_a_path_learns_which_row_is_first():
    """Neither letters nor pairs say so."""
    chosen = case("before", epochs=12)
    assert row(paper.PATH).run(chosen).score > 0.9 > 0.6 > row(paper.PAIRS).run(chosen).score


def test_training_is_on_the_negative_log_likelihood():
    model = built(paper.TREE, 8)
    tokens, y = torch.randint(21, (6, 8)), torch.arange(6) % 2
    expected = -model[0](tokens)[torch.arange(6), y].log().mean()
    torch.testing.assert_close(nn.functional.cross_entropy(model(tokens), y), expected)
