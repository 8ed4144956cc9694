"""hybrid/experiments of images and hybrid/models/classifiers: sizes, equal terms, and that all rows run."""

from __future__ import annotations

import re
import struct
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import backends
from circuits import CX, RY, Circuit, H, inputs, weights
from hybrid import experiment, training
from hybrid.experiment import Case
from hybrid.experiments import distributed_qcnn as distributed
from hybrid.models.classifiers import creep_in, distributed_qcnn, hamiltonian, hqnn_parallel, hqnn_quanv, rows
from hybrid.models.classifiers.adam import DecayingAdam
from hybrid.units import count_parameters
from qml import SpecialUnitary

OF_MNIST = ("hqnn-parallel", "hqnn-quanv", "hamiltonian-reuploading", "quantum-creep-in")
ONE_SCHEDULE = (*OF_MNIST, "distributed-qcnn")
PAPERS = (*ONE_SCHEDULE, "hybrid-cnn")

TINY = {"epochs": 1, "n_train": 40, "n_test": 30}


def tiny(paper, task="digits"):
    settings = {task: {**paper.levels["quick"][task], **TINY}}
    return Case(task, 0, settings, "statevector", None, lambda *_: None, None)


def row(name, of):
    return next(each for each in experiment.load(name).rows if each.name == of)


def built(paper, of, task):
    """Return the parameters of a row's network at the paper's own size."""
    side, settings = 8 if task == "digits" else 28, experiment.load(paper).levels["full"][task]
    run = row(paper, of).run
    options = {name: value for name, value in run.keywords.items() if name not in ("build", "prepare", "terms")}
    prepare = run.keywords.get("prepare", rows.as_they_are)
    shape = prepare(torch.rand(1, 1, side, side), settings).shape[1:]
    n_classes = settings.get("classes", 10)
    return run.keywords["build"](shape, n_classes, settings, backends.get("statevector"), **options)


def count(*which):
    found = count_parameters(built(*which))
    return found["quantum"], found["classical"]


# --- sizes -----------------------------------------------------------------------------------------------------------


def test_hqnn_parallel_has_the_papers_parameters():
    assert count("hqnn-parallel", "HQNN-Parallel", "mnist") == (180, 45_154 - 180)
    assert count("hqnn-parallel", "HQNN-Parallel, circuits removed", "mnist") == (0, 45_154 - 180)
    assert count("hqnn-parallel", "HQNN-Parallel, linear layer for the circuits", "mnist") == (0, 45_154 - 180 + 420)
    assert count("hqnn-parallel", "wide CNN", "mnist") == (0, 372_234)


def test_controls_of_hqnn_parallel_start_from_the_same_weights():
    settings, found = experiment.load("hqnn-parallel").levels["quick"]["digits"], {}
    for control in (None, *hqnn_parallel.CONTROLS):
        torch.manual_seed(5)
        found[control] = hqnn_parallel.build((1, 8, 8), 10, settings, backends.get("statevector"), control)
    for model in found.values():
        for layer in (0, 9, -1):
            assert torch.equal(model[layer].weight, found[None][layer].weight)
    assert not any(len(op.qubits) > 1 for op in found["separable"][-2].circuit.ops)
    assert not found["frozen"][-2].quantum.weights.requires_grad
    with pytest.raises(ValueError, match=r"got control='none', expected one of separable, frozen, removed, linear or"):
        hqnn_parallel.build((1, 8, 8), 10, settings, backends.get("statevector"), "none")


def test_hqnn_quanv_has_as_many_parameters_as_written_down():
    """8 of the circuit, 8 of the batch norm, 1970 of the linear layer; 20 and 5 of the convolutions."""
    head = 8 + 1970
    assert count("hqnn-quanv", "HQNN-Quanv", "mnist") == (8, head)
    assert count("hqnn-quanv", "HQNN-Quanv, quanvolution frozen", "mnist") == (0, head)
    assert count("hqnn-quanv", "HQNN-Quanv, entanglers off", "mnist") == (8, head)
    assert count("hqnn-quanv", "HQNN-Quanv, pixels for the quanvolution", "mnist") == (0, head)
    assert count("hqnn-quanv", "convolution of as many channels", "mnist") == (0, 20 + head)
    assert count("hqnn-quanv", "convolution of 1 channel", "mnist") == (0, 5 + 2 + 500)


def test_controls_of_hqnn_quanv():
    model = built("hqnn-quanv", "HQNN-Quanv, entanglers off", "digits")
    assert not any(len(op.qubits) > 1 for op in model[0].circuit.ops) and len(model[0].circuit.ops) == 12
    with pytest.raises(ValueError, match=r"got control='none', expected one of separable, frozen, removed or None"):
        hqnn_quanv.build((1, 8, 8), 10, {}, backends.get("statevector"), "none")


def test_hamiltonian_reuploading_has_the_papers_parameters():
    """The published code has 450 angles on digits and reads 225; its QCNN on MNIST counts 6 that no gate uses."""
    name = "hamiltonian-reuploading"
    assert count(name, "QHE, as coded", "digits") == (225 + 15, 0) and count(name, "QHE", "digits") == (450 + 15, 0)
    assert count(name, "QHE", "mnist") == count(name, "QHE, logits × 10", "mnist") == (10_230 + 10, 0)
    assert count(name, "QCNN", "digits") == (81, 0) and count(name, "QCNN", "mnist") == (99 - 6, 0)
    matched, _ = count(name, "QCNN, as many parameters as QHE", "digits")
    assert abs(matched - 465) < 15  # less than one unitary of two qubits
    assert count_parameters(built(name, "QHE, unitaries frozen", "digits")) == {
        "quantum": 15, "classical": 0, "frozen": 450,
    }  # fmt: skip


@pytest.mark.parametrize("shared", [True, False])
def test_qhe_is_the_formula(shared):
    """For each layer ``exp(-itS/2)``, then the unitary on qubits 0, 1, then that on 1, 2: dense matrices."""
    settings = experiment.load("hamiltonian-reuploading").levels["full"]["digits"]
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model = hamiltonian.build((8, 9), 8, settings, None, shared=shared, scale=10.0).double()
    with torch.no_grad():
        found, unitaries = model(hamiltonian.spectra(images, settings)), model.model.unitaries()
        state = torch.full((4, 8, 1), 8**-0.5, dtype=torch.complex128)
        for time, each in zip(model.model.times, unitaries, strict=True):
            first, second = each[0], each[0 if shared else 1]
            state = torch.matrix_exp(-0.25j * time * (images + images.mT)[:, 0]) @ state
            state = torch.kron(torch.eye(2), second) @ torch.kron(first, torch.eye(2)) @ state
    torch.testing.assert_close(found, 10 * state[..., 0].abs() ** 2)


def test_the_qcnn_of_mnist_reads_the_qubits_that_pooling_leaves():
    model = built("hamiltonian-reuploading", "QCNN", "mnist")
    layer = model.model[1]
    assert layer.observables.qubits == (0, 4, 8) and layer.circuit.n_qubits == 10
    probabilities = model(torch.rand(2, 32, 32))
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(2))


def test_the_digits_of_hamiltonian_reuploading_are_1200():
    settings = {"digits": experiment.load("hamiltonian-reuploading").levels["full"]["digits"]}
    parts = rows.images(Case("digits", 0, settings, "statevector", None, lambda *_: None, None))
    assert len(parts.y) == 1200 and set(parts.y) == set(parts.y_test) == set(range(8))


def test_logistic_regression_sees_the_symmetric_part():
    image = torch.arange(64.0).reshape(1, 1, 8, 8)
    found = hamiltonian.symmetric(image, {"pad": 0})[0]
    assert torch.equal(found, found.T) and found[2, 5] == (image[0, 0, 2, 5] + image[0, 0, 5, 2]) / 2
    assert hamiltonian.square(image, {"pad": 4}).shape == (1, 16, 16)


def test_hybrid_cnn_has_the_papers_parameters():
    name, hybrid = "hybrid-cnn", 142_530 - 8
    assert count(name, "hybrid CNN", "mnist") == count(name, "hybrid CNN, entanglers off", "mnist") == (8, hybrid)
    assert count(name, "hybrid CNN, circuit frozen", "mnist") == (0, hybrid)
    assert count(name, "hybrid CNN, linear layer for the circuit", "mnist") == (0, hybrid + 16 * 4 + 4)
    assert count(name, "hybrid CNN, circuit removed", "mnist") == (0, hybrid + (16 - 4) * 128)
    assert count(name, "plain CNN", "mnist") == (0, 151_754)
    assert sum(count(name, "hybrid CNN", "digits")) == pytest.approx(sum(count(name, "plain CNN", "digits")), rel=0.01)


def test_quantum_creep_in_has_the_papers_parameters():
    name = "quantum-creep-in"
    assert count(name, "level 0, classical", "mnist") == count(name, "level 0 with ReLU", "mnist") == (0, 130_394)
    assert sum(count(name, "level 1", "mnist")) == 133_658 and count(name, "level 1", "mnist")[0] == 15 * (32 + 512)
    assert sum(count(name, "level 2", "mnist")) == 172_048
    assert count(name, "level 2", "mnist") == (15 * (32 + 512) + 163_830, 32 + 16 + 10)
    real, complex_ = (count(name, of, "digits")[0] for of in ("level 2", "level 2, complex angles (not unitary)"))
    assert complex_ == 2 * real and sum(count(name, "level 2, trained scale", "digits")) == real + 8 + 4 + 10 + 1


def largest_defect(model):
    """Return how far the matrices of a module are from being unitary."""
    found = []
    for each in model.modules():
        if isinstance(each, SpecialUnitary):
            u = each()
            found.append((u.mH @ u - torch.eye(u.shape[-1])).abs().max().item())
    return max(found)


@pytest.mark.parametrize(
    ("of", "stays"),
    [("level 1", True), ("level 2", True), ("level 1, complex angles (not unitary)", False),
     ("level 2, complex angles (not unitary)", False)],
)  # fmt: skip
def test_unitaries_stay_unitary_in_training_unless_their_angles_are_complex(of, stays):
    model = built("quantum-creep-in", of, "digits")
    images, y = torch.rand(20, 1, 8, 8), torch.arange(20) % 10
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    assert largest_defect(model) < 1e-4
    for _ in range(10):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), y).backward()
        optimizer.step()
    assert (largest_defect(model) < 1e-4) == stays


@pytest.mark.parametrize(("of", "linear"), [("level 0, classical", True), ("level 1", True), ("level 2", False)])
def test_levels_0_and_1_are_linear_and_level_2_is_not(of, linear):
    model = built("quantum-creep-in", of, "digits").double()
    a, b = torch.rand(2, 3, 1, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        same = torch.allclose(model((a + b) / 2), (model(a) + model(b)) / 2, atol=1e-9)
    assert same == linear


def test_images_of_quantum_creep_in_are_averaged_and_centred_with_black_around_them():
    found = creep_in.centred(torch.ones(2, 1, 28, 28), {"pool": 2, "pad": 1})
    assert found.shape == (2, 1, 16, 16) and found[:, :, 1:-1, 1:-1].eq(1).all() and found[..., 0].eq(-1).all()


def test_another_level_of_quantum_creep_in_is_refused():
    settings = experiment.load("quantum-creep-in").levels["quick"]["digits"]
    with pytest.raises(ValueError, match="got level=3, expected one of 0, 1, 2"):
        creep_in.build((1, 8, 8), 10, settings, None, level=3)


def test_distributed_qcnn_has_as_many_parameters_as_written_down():
    """14 angles; convolutions of 4 and 8 channels, 8 features, 10 or 2 classes; 72 of the linear layer."""
    name, convolutions = "distributed-qcnn", 4 * 10 + 8 * 37
    digits, medical = convolutions + 8 * (32 + 1) + 10 * 9, convolutions + 8 * (392 + 1) + 10 * 9
    assert count(name, distributed.UNCUT, "digits") == count(name, distributed.CUT, "digits") == (14, digits)
    assert count(name, distributed.FROZEN, "breastmnist") == count(name, "nothing for the circuit", "breastmnist")
    assert count(name, "nothing for the circuit", "breastmnist") == (0, medical)
    assert count(name, distributed.LINEAR, "digits") == (0, digits + 72)


def test_the_circuit_of_distributed_qcnn_is_the_one_described():
    x, w = inputs(8), weights(7, 2)
    encoding = [*(H(q) for q in range(8)), *(RY(x[q], q) for q in range(8))]
    kernel = [op for i in range(7) for op in (RY(w[i, 0], i), RY(w[i, 1], i + 1), CX(i, i + 1))]
    assert distributed_qcnn.circuit() == Circuit(8, [encoding, kernel], 8, 14)


def test_controls_of_distributed_qcnn_start_from_the_same_weights():
    settings, found = experiment.load("distributed-qcnn").levels["quick"]["digits"], {}
    for control in (None, *distributed_qcnn.CONTROLS):
        torch.manual_seed(5)
        found[control] = distributed_qcnn.build((1, 8, 8), 10, settings, backends.get("statevector"), control)
    for model in found.values():
        assert all(torch.equal(model[layer].weight, found[None][layer].weight) for layer in (0, 3, 7, -1))
        assert model(torch.rand(2, 1, 8, 8).double()).dtype == torch.float64
    assert not any(len(op.qubits) > 1 for op in found["separable"][-2].circuit.ops)
    assert not found["frozen"][-2].weights.requires_grad
    with pytest.raises(ValueError, match=r"got control='none', expected one of separable, frozen, removed, linear or"):
        distributed_qcnn.build((1, 8, 8), 10, settings, backends.get("statevector"), "none")


def test_cut_and_uncut_rows_train_to_the_same_losses_and_the_verdict_says_so(tmp_path):
    paper = small(experiment.load("distributed-qcnn"))
    paper = replace(paper, rows=paper.rows[:2], claims=())
    found = experiment.run(experiment.plan(paper, "quick", out=tmp_path, jobs=1), show=False)
    cut, uncut = (record["extra"]["train_losses"] for record in found.records)
    assert len(cut) == 1 and cut == pytest.approx(uncut, abs=1e-12) and cut != [0]
    same, cost, *_ = distributed.verdict(found)
    assert re.fullmatch(r"On digits cut and not cut train to the same losses: they are at most \S+ apart, .*\.", same)
    assert "takes 7 circuits per sample instead of 1, and with shots about 4 to 16 times as many" in cost
    found.records[1]["extra"]["train_losses"][0] += 1e-4
    assert "train to different losses, so where the backend is exact the cut is wrong" in distributed.verdict(found)[0]


def test_distributed_qcnn_without_the_package_that_cuts_is_one_line(tmp_path, monkeypatch):
    def missing(name):
        raise ModuleNotFoundError("No module named 'qiskit_addon_cutting'", name="qiskit_addon_cutting")

    monkeypatch.setattr(backends, "import_module", missing)
    with pytest.raises(ImportError, match=r"needs qiskit_addon_cutting: pip install 'hybridqml\[cutting\]'"):
        experiment.plan(experiment.load("distributed-qcnn"), "quick", out=tmp_path)


def test_the_row_that_is_cut_is_cut_for_five_qubits():
    model = built("distributed-qcnn", distributed.CUT, "digits")
    plan = model[-2].backend.plan(model[-2].circuit)
    assert sorted(fragment.width for fragment in plan.fragments) == [4, 5] and model[-2].backend.max_qubits == 5


# --- data ------------------------------------------------------------------------------------------------------------


def test_digits_are_divided_once_and_scaled_by_the_train_part():
    case = tiny(experiment.load("hqnn-parallel"))
    parts, again = rows.images(case), rows.images(replace(case, seed=7))
    assert parts.X.shape == (40, 1, 8, 8) and parts.X_test.shape == (30, 1, 8, 8) and parts.X.dtype == np.float32
    assert parts.X.max() == 1 and parts.X.min() == 0 and parts.X_test.max() <= 1
    assert all(np.array_equal(one, other) for one, other in zip(parts[:4], again[:4], strict=True))
    known = {tuple(image) for image in load_digits().data.astype(np.float32) / 16}
    assert all(tuple(image.ravel()) in known for image in np.concatenate([parts.X, parts.X_test]))


def idx_folder(folder, n=60, side=28, seed=0):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for part in ("train", "t10k"):
        images, labels = rng.integers(1, 200, (n, side, side), np.uint8), np.arange(n, dtype=np.uint8) % 10
        header = struct.pack(">4B3I", 0, 0, 8, 3, n, side, side)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">4BI", 0, 0, 8, 1, n) + labels.tobytes())
    return folder


def medmnist_folder(folder, task, shares=(30, 10), side=28):
    rng, y = np.random.default_rng(0), np.repeat([0, 1], shares)
    images = rng.integers(0, 200, (len(y), side, side), np.uint8)
    parts = {f"{part}_{name}": each for part in ("train", "test") for name, each in (("images", images), ("labels", y))}
    np.savez(folder / f"{task}.npz", **parts)
    return folder


def data_folder(folder):
    """A folder with all sets that the experiments read, made here; their images are noise."""
    for seed, name in enumerate(("mnist", "fashion-mnist")):
        idx_folder(folder / name, seed=seed)
    for name, shape, n_classes in (("cifar10", (32, 32, 3), 10), ("mednist", (64, 64), 6)):
        X, y = np.random.default_rng(1).integers(0, 256, (60, *shape), np.uint8), np.arange(60) % n_classes
        (folder / name).mkdir()
        np.savez(folder / name / f"{name}.npz", x_train=X, y_train=y, x_test=X, y_test=y)
    for name in ("breastmnist", "pneumoniamnist"):
        medmnist_folder(folder, name)
    return folder


def test_classes_and_test_images_are_cut_as_the_settings_say(tmp_path):
    settings = {"mnist": {"classes": 8, "n_test": 20}}
    case = Case("mnist", 0, settings, "statevector", idx_folder(tmp_path), lambda *_: None, None)
    parts = rows.images(case)
    assert set(parts.y) == set(range(8)) and parts.y_test.max() < 8
    assert parts.X.shape == (48, 1, 28, 28) and parts.X_test.shape == (20, 1, 28, 28) and parts.X.max() == 1


def test_colour_images_have_their_channels_first(tmp_path):
    case = Case("cifar10", 0, {"cifar10": {}}, "statevector", data_folder(tmp_path), lambda *_: None, None)
    parts = rows.images(case)
    with np.load(tmp_path / "cifar10" / "cifar10.npz") as archive:
        np.testing.assert_allclose(parts.X.transpose(0, 2, 3, 1), archive["x_train"] / 255, atol=1e-6)


def with_tiny_settings(paper):
    """A paper of its last row."""
    levels = {level: {"seeds": 1, **{t: TINY for t in paper.tasks}} for level in paper.levels}
    return replace(paper, levels=levels, rows=paper.rows[-1:], claims=(), published={})


def test_without_data_only_digits_are_run_and_the_others_are_named(tmp_path):
    paper = with_tiny_settings(experiment.load("hqnn-parallel"))
    plan = experiment.plan(paper, "quick", out=tmp_path / "out")
    assert plan.tasks == ("digits",) and plan.left_out == ("mnist", "mednist", "cifar10")
    assert experiment.plan(paper, "quick", out=tmp_path / "out", tasks=["digits"]).left_out == ()
    with pytest.raises(ValueError, match=r"got the task mnist without data, expected a folder .* --data"):
        experiment.plan(paper, "quick", out=tmp_path / "out", tasks=["mnist"])


def test_medmnist_is_read_from_its_files(tmp_path):
    paper = experiment.load("distributed-qcnn")
    with pytest.raises(ValueError, match=r"got the task breastmnist without data, expected a folder with mnist/"):
        experiment.plan(paper, "quick", out=tmp_path / "out", tasks=["breastmnist"])
    folder = tmp_path / "data"
    folder.mkdir()
    options = {"out": tmp_path / "out", "tasks": ["breastmnist"], "data": medmnist_folder(folder, "breastmnist")}
    assert experiment.plan(paper, "quick", **options).tasks == ("breastmnist",)
    with pytest.raises(ValueError, match=r"got the task pneumoniamnist without data"):
        experiment.plan(paper, "quick", **{**options, "tasks": ["pneumoniamnist"]})


def test_balanced_rows_weigh_classes_alike(tmp_path, monkeypatch):
    """Three of four images are of class 0: class 1 weighs three times as much, and always class 0 scores one half."""
    calls, paper = [], experiment.load("distributed-qcnn")
    settings = {"breastmnist": {**paper.levels["quick"]["breastmnist"], "epochs": 1}}
    folder = medmnist_folder(tmp_path, "breastmnist")
    case = Case("breastmnist", 0, settings, "statevector", folder, lambda *_: None, None)
    fit = training.fit
    monkeypatch.setattr(training, "fit", lambda *args, **options: calls.append(options) or fit(*args, **options))
    monkeypatch.setattr(rows, "predict", lambda model, X: np.zeros(len(X), int))
    assert row("distributed-qcnn", distributed.LINEAR).run(case).score == 0.5
    assert calls[0]["class_weights"].tolist() == pytest.approx([40 / 60, 40 / 20])
    assert calls[0]["class_weights"].dtype == np.float64


def test_a_folder_with_bare_files_is_mnist_alone(tmp_path):
    paper = with_tiny_settings(experiment.load("hqnn-parallel"))
    plan = experiment.plan(paper, "quick", out=tmp_path / "out", data=idx_folder(tmp_path / "data"))
    assert plan.tasks == ("digits", "mnist") and plan.left_out == ("mednist", "cifar10")
    with pytest.raises(ValueError, match=r"got the task cifar10 without data, expected a folder"):
        experiment.plan(paper, "quick", out=tmp_path / "out", data=tmp_path / "data", tasks=["cifar10"])


@pytest.mark.parametrize("name", PAPERS)
def test_one_folder_has_the_data_of_all_tasks(name, tmp_path):
    paper = with_tiny_settings(experiment.load(name))
    plan = experiment.plan(paper, "quick", out=tmp_path / "out", data=data_folder(tmp_path / "data"))
    assert plan.tasks == paper.tasks and plan.left_out == ()
    known = {trial.task: trial.data for trial in plan.units}
    assert known["digits"] is None and len(set(known.values())) == len(known)


def test_a_result_depends_on_the_files_of_its_own_task_alone(tmp_path):
    paper, folder = with_tiny_settings(experiment.load("hqnn-parallel")), data_folder(tmp_path / "data")

    def keys(task):
        plan = experiment.plan(paper, "quick", out=tmp_path / "out", data=folder)
        return {trial.key for trial in plan.units if trial.task == task}

    before = {task: keys(task) for task in ("digits", "mnist", "cifar10")}
    file = folder / "mnist" / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    (folder / "notes.txt").write_text("mine")
    assert {task: keys(task) == before[task] for task in before} == {"digits": True, "mnist": False, "cifar10": True}
    assert before["digits"] == {
        t.key for t in experiment.plan(paper, "quick", out=tmp_path / "out").units if t.task == "digits"
    }


def test_a_folder_without_any_of_the_data_is_refused(tmp_path):
    message = r"got the data .*, of which hqnn-parallel reads nothing, expected a folder with mnist/, fashion-mnist/"
    with pytest.raises(ValueError, match=message):
        experiment.plan(experiment.load("hqnn-parallel"), "quick", out=tmp_path / "out", data=tmp_path)


def test_images_of_another_size_are_refused(tmp_path):
    paper = experiment.load("hqnn-parallel")
    with pytest.raises(ValueError, match=r"got images of shape \(8, 8\) in .*, expected \(28, 28\) for mnist: is it"):
        experiment.plan(paper, "quick", out=tmp_path / "out", data=idx_folder(tmp_path, side=8))


def test_it_is_said_that_a_set_is_not_the_official_one(tmp_path, capsys):
    paper = with_tiny_settings(experiment.load("hqnn-quanv"))
    experiment.plan(paper, "quick", out=tmp_path / "out", data=idx_folder(tmp_path / "data"))
    said = capsys.readouterr().err
    assert said == f"Note on mnist: {tmp_path / 'data'} holds 60 of 60,000 training and 60 of 10,000 test images\n"


def test_tasks_that_need_data_are_tasks():
    with pytest.raises(ValueError, match="Unknown task 'minst': expected one of digits, mnist"):
        replace(experiment.load("hqnn-parallel"), needs_data=("minst",))


@pytest.mark.parametrize(
    ("name", "task"),
    [("hqnn-parallel", "mednist"), ("hqnn-parallel", "cifar10"), ("quantum-creep-in", "cifar10"),
     ("quantum-creep-in", "fashion-mnist"), ("hamiltonian-reuploading", "fashion-mnist")],
)  # fmt: skip
def test_every_row_runs_on_the_other_sets(name, task, tmp_path):
    paper = small(experiment.load(name), task)
    plan = experiment.plan(paper, "quick", tasks=[task], data=data_folder(tmp_path / "data"), out=tmp_path, jobs=1)
    found = experiment.run(plan, show=False)
    assert len(found.rows(task)) > 3 and all(0 <= record["score"] <= 1 for record in found.records)


@pytest.mark.parametrize("name", PAPERS)
def test_every_task_has_settings_on_every_level(name):
    paper = experiment.load(name)
    assert paper.needs_data == paper.tasks[1:] and all(set(paper.tasks) < set(each) for each in paper.levels.values())


MNIST = Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist"


@pytest.mark.skipif(not MNIST.is_dir(), reason="needs ../shared/data/mnist")
@pytest.mark.parametrize("name", OF_MNIST)
def test_the_first_row_runs_on_mnist_itself(name, tmp_path):
    paper = small(experiment.load(name), "mnist")
    first = next(each for each in paper.rows if each.tasks is None)
    paper = replace(paper, rows=(first,), claims=(), published={})
    plan = experiment.plan(paper, "quick", seeds=1, tasks=["mnist"], data=MNIST, out=tmp_path, jobs=1)
    found = experiment.run(plan, show=False)
    assert 0 <= found.records[0]["score"] <= 1


# --- training --------------------------------------------------------------------------------------------------------


def small(paper, task="digits"):
    return replace(paper, levels={level: {"seeds": 1, **tiny(paper, task).settings} for level in paper.levels})


@pytest.mark.parametrize("name", PAPERS)
def test_every_row_runs_and_is_counted(name, tmp_path):
    paper = small(experiment.load(name))
    found = experiment.run(experiment.plan(paper, "quick", out=tmp_path, jobs=1), show=False)
    assert len(found.records) == len(found.rows("digits"))
    for each in found.rows("digits"):
        (record,) = found.of("digits", each.name)
        assert 0 <= record["score"] <= 1
        assert paper.metric != "test accuracy" or round(record["score"] * 30, 9).is_integer()
        assert each.kind != "quantum" or record["parameters"]["quantum"] + record["parameters"]["frozen"] > 0
    said = found.experiment.verdict(found)
    assert said and all(sentence.endswith(".") for sentence in said)


@pytest.mark.parametrize("name", PAPERS)
def test_rows_have_every_kind_and_unseeded_ones_are_trivial(name):
    paper = experiment.load(name)
    assert {each.kind for each in paper.rows} >= {"quantum", "control", "trivial"}
    assert all(each.seeded or each.kind == "trivial" for each in paper.rows)
    assert not paper.lower_is_better and (paper.least, paper.most) == (0, 1)


class Stop(Exception):
    """Raised where a row would begin to train."""


@pytest.mark.parametrize("name", ONE_SCHEDULE)
def test_all_that_is_trained_has_one_schedule_and_the_same_data(name, monkeypatch):
    calls, paper = [], experiment.load(name)

    def fit(build, X, y, **options):
        calls.append(SimpleNamespace(y=y, options=options))
        raise Stop

    monkeypatch.setattr(training, "fit", fit)
    for each in paper.rows:
        if each.kind != "trivial" and (each.tasks is None or "digits" in each.tasks):
            with pytest.raises(Stop):
                each.run(replace(tiny(paper), seed=3))
    terms = ("seed", "epochs", "lr", "batch_size", "optimizer", "optimizer_options")
    assert len(calls) > 3 and all(np.array_equal(call.y, calls[0].y) for call in calls)
    assert all(call.options[term] == calls[0].options[term] for call in calls for term in terms)


def test_logistic_regression_is_scikit_learns_on_scaled_pixels():
    from sklearn.linear_model import LogisticRegression

    case = tiny(experiment.load("hqnn-parallel"))
    parts = rows.images(case)
    X, X_test = parts.X.reshape(40, -1).astype(float), parts.X_test.reshape(30, -1).astype(float)
    spread = np.where(X.std(0) > 0, X.std(0), 1)
    model = LogisticRegression(max_iter=10_000).fit((X - X.mean(0)) / spread, parts.y)
    expected = model.score((X_test - X.mean(0)) / spread, parts.y_test)
    assert row("hqnn-parallel", "logistic regression").run(case).score == pytest.approx(expected, abs=0.04)


def test_a_trained_network_is_that_of_a_plain_loop():
    paper = experiment.load("hqnn-parallel")
    case = tiny(paper)
    case = replace(case, settings={"digits": {**case.settings["digits"], "epochs": 5, "batch_size": 100}})
    parts, settings = rows.images(case), case.settings["digits"]
    torch.manual_seed(0)
    model = hqnn_parallel.wide((1, 8, 8), 10, settings, backends.get("statevector"))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-4)
    for _ in range(5):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(torch.as_tensor(parts.X)), torch.as_tensor(parts.y))
        loss.backward()
        optimizer.step()
    found = row("hqnn-parallel", "wide CNN").run(case)
    predicted = model.eval()(torch.as_tensor(parts.X_test)).argmax(1).numpy()
    assert found.extra["train_loss"] == pytest.approx(loss.item(), rel=1e-4)
    assert found.score == pytest.approx((predicted == parts.y_test).mean())


def test_adam_decays_and_clips():
    weight = torch.nn.Parameter(torch.zeros(2))
    optimizer = DecayingAdam([weight], lr=0.1, decay=0.5, clip=1.0)
    for _ in range(100):
        weight.grad = torch.tensor([30.0, 40.0])
        optimizer.step()
    torch.testing.assert_close(weight.grad, torch.tensor([0.6, 0.8]))
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.05)
    again = DecayingAdam([weight], lr=0.1, decay=0.5, clip=1.0)
    again.load_state_dict(optimizer.state_dict())
    assert again.param_groups[0]["lr"] == pytest.approx(0.05)


def test_adam_computes_the_loss_once_a_step_if_it_is_to():
    weight, calls = torch.nn.Parameter(torch.ones(1)), []
    optimizer = DecayingAdam([weight], lr=0.1, decay=1.0, clip=9.0)

    def closure():
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        calls.append(loss.item())
        return loss

    assert optimizer.step(closure).item() == 1 and calls == [1.0]
    assert weight.item() == pytest.approx(0.9, abs=1e-6)
