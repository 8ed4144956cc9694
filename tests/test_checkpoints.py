"""hybrid/checkpoints.py: trainings that are killed end with the very weights of those that are not."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import killed_training
import numpy as np
import pytest
import torch
from disk_service import DiskService
from killed_training import BATCH_SIZE, VALID, Numbered, Spied, X, Y
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts, OneCycleLR

from backends import Spsa, Statevector, get
from hybrid import checkpoints, training
from hybrid.checkpoints import CheckpointError, read, write

ROOT = Path(__file__).parents[1]


class Crash(Exception):
    """What ends a training in these tests."""


def silent(name):
    pass


def crashing(at):
    """A step that fails when the model is trained for the given time, counted from 0."""
    count = iter(range(10**6))

    def step(name):
        if name == "forward" and next(count) == at:
            raise Crash

    return step


def fit(path, step=silent, backend=None, build=None, **settings):
    settings = {"epochs": 3, "lr": 0.1, "batch_size": BATCH_SIZE, "valid": VALID, "every": 1, **settings}
    build = build or (lambda: Spied(backend or Statevector(), step))
    return training.fit(build, settings.pop("X", X), settings.pop("y", Y), checkpoint=path, **settings)


def weights(fitted):
    return [value.numpy().tobytes() for value in fitted.net.module_.state_dict().values()]


def numbers(fitted):
    return weights(fitted), [
        {name: value for name, value in row.items() if name != "seconds"} for row in fitted.history
    ]


def crashed(path, at, **settings):
    with pytest.raises(Crash):
        fit(path, crashing(at), **settings)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.checkpoint"


@pytest.fixture(scope="module")
def calm():
    """The numbers of the undisturbed training, without checkpoints."""
    return numbers(fit(None))


# --- killed ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "n_jobs"), [("statevector", 0), ("numbered", 7)])
def test_killed_at_every_step_of_an_epoch_a_training_ends_with_the_same_bits(tmp_path, kind, n_jobs):
    """Signal 9 in the middle of the first epoch and after; tests/killed_training.py says where."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, killed_training.__file__, tmp_path, kind]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    steps = {outcome[0] for outcome in found["outcomes"]}
    service = {"submit: not taken", "submit: taken", "status", "fetch: not sent", "fetch: sent"} if n_jobs else set()
    assert steps == {"forward", "watched", "checkpoint: not written", "checkpoint: written"} | service
    for step, killed, ended, result, n_trained, n_found, n_different in found["outcomes"]:
        assert (killed, ended, result) == (-9, 0, found["calm"]["result"]), step
        assert n_found == n_different == n_jobs, f"{step}: one job for every evaluation"
        assert n_trained < 4, f"{step}: it goes on, and does not begin anew"


# --- interrupted by an error ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [1, 2, 3])
@pytest.mark.parametrize("at", [1, 2, 3, 5])
def test_a_training_goes_on_where_its_last_checkpoint_is(path, calm, at, every):
    crashed(path, at, every=every)
    trained = []
    fitted = fit(path, lambda name: trained.append(name) if name == "forward" else None, every=every)
    assert numbers(fitted) == calm
    n_steps_per_epoch = 2
    in_epoch = at % n_steps_per_epoch
    n_kept = at - in_epoch + in_epoch // every * every
    assert len(trained) == 3 * n_steps_per_epoch - n_kept


def test_a_training_to_numbers_goes_on_with_its_optimisers_memory(path):
    settings = {"y": np.eye(2, dtype=np.float32)[Y], "valid": None, "loss": "mse"}
    settings |= {"optimizer": torch.optim.RMSprop, "optimizer_options": {"alpha": 0.9, "momentum": 0.5}}
    expected = numbers(fit(None, **settings))
    crashed(path, 3, **settings)
    assert numbers(fit(path, **settings)) == expected


CYCLE = {"schedule": OneCycleLR, "schedule_options": {"max_lr": 0.2, "total_steps": 6, "step_every": "batch"}}
RESTARTS = {"schedule": CosineAnnealingWarmRestarts, "schedule_options": {"T_0": 2}, "clip": 0.5}


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("at", [1, 2, 3, 5])
@pytest.mark.parametrize("settings", [CYCLE, RESTARTS], ids=["by batch", "by epoch"])
def test_a_schedule_goes_on_where_it_was(path, settings, at, every):
    """Momentum cycles too with the first one: that is the optimiser's memory."""
    settings = {**settings, "every": every, "loss_options": {"label_smoothing": 0.1}}
    expected = numbers(fit(None, **settings))
    crashed(path, at, **settings)
    assert numbers(fit(path, **settings)) == expected
    assert numbers(fit(path, crashing(0), **settings)) == expected, "a finished one is not repeated"


def test_it_may_be_interrupted_again_and_again(path, calm):
    for _ in range(5):
        crashed(path, 1)
    assert numbers(fit(path)) == calm


def test_a_finished_training_is_not_repeated(path, calm):
    fit(path)
    assert numbers(fit(path, crashing(0))) == calm
    assert path.exists(), "who keeps the result removes it"


def test_only_the_epochs_that_are_trained_are_told(path):
    crashed(path, 3)
    told = []
    fitted = fit(path, on_epoch=told.append)
    assert [epoch["epoch"] for epoch in told] == [2, 3] and [row["epoch"] for row in fitted.history] == [1, 2, 3]


def test_seconds_before_the_crash_count(path, monkeypatch):
    now = iter(range(10**6))
    monkeypatch.setattr(training.time, "perf_counter", lambda: next(now))
    calm = [row["seconds"] for row in fit(path).history]
    path.unlink()
    crashed(path, 3)
    assert [row["seconds"] for row in fit(path).history] == calm


def test_estimated_gradients_go_on_with_their_directions(path):
    def build(step=silent):
        backend = Numbered(path.parent)
        backend.gradient = Spsa(seed=3)
        backend.evaluate = lambda circuit, angles, observables: angles[:, :2].cos()
        del backend.position
        return Spied(backend, step)

    calm = numbers(fit(None, build=build))
    with pytest.raises(Crash):
        fit(path, build=lambda: build(crashing(3)))
    assert numbers(fit(path, build=build)) == calm


def test_shots_go_on_with_their_seeds(path):
    pytest.importorskip("qiskit_aer")
    calm = numbers(fit(None, backend=get("aer:shots=8,seed=1")))
    crashed(path, 3, backend=get("aer:shots=8,seed=1"))
    assert numbers(fit(path, backend=get("aer:shots=8,seed=1"))) == calm


def test_ctrl_c_is_not_taken_for_the_end_of_the_training(path, calm):
    def step(name):
        if name == "forward":
            steps.append(name)
            if len(steps) == 4:
                raise KeyboardInterrupt

    steps = []
    with pytest.raises(KeyboardInterrupt):
        fit(path, step)
    assert numbers(fit(path)) == calm
    with pytest.raises(KeyboardInterrupt):
        steps = []
        fit(None, step)


# --- when they are written ------------------------------------------------------------------------------------------


def n_written(monkeypatch, path, clock=None, **settings):
    written = []
    real = checkpoints.write
    monkeypatch.setattr(checkpoints, "write", lambda *arguments: (written.append(1), real(*arguments)))
    if clock is not None:
        monkeypatch.setattr(checkpoints.time, "monotonic", clock)
    fit(path, **settings)
    return len(written)


def test_every_step_where_jobs_are_submitted(path, monkeypatch, tmp_path):
    assert n_written(monkeypatch, path, backend=Numbered(tmp_path), every=None) == 3 * (2 + 1)


@pytest.mark.parametrize(("seconds", "expected"), [(0.0, 0), (0.1, 0), (1.0, 3), (0.3, 0), (0.51, 1)])
def test_elsewhere_every_epoch_of_some_length(path, monkeypatch, seconds, expected):
    """Time goes on by so much whenever it is looked at: at the beginning, and after every epoch and checkpoint."""
    now = iter(seconds * step for step in range(100))
    assert n_written(monkeypatch, path, lambda: next(now), every=None) == expected


def test_a_backend_that_submits_jobs_is_not_warmed_up(path, tmp_path):
    backend = Numbered(tmp_path)
    fit(path, backend=backend, epochs=1, valid=None)
    assert len(DiskService(tmp_path / "service").tags) == backend.position == 2, "one job for every step"


def test_checkpoints_do_not_change_the_training(path, calm):
    assert numbers(fit(path)) == numbers(fit(path.with_name("other"), every=None)) == calm


def test_a_write_that_fails_leaves_the_older_one(path, calm, monkeypatch):
    real, count = os.replace, iter(range(100))

    def full(*names):
        if next(count) == 3:
            raise OSError(28, "No space left on device")
        real(*names)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match=r"Cannot write .*run.checkpoint \(No space left on device\): make room for it"):
        fit(path)
    assert [file.name for file in path.parent.iterdir()] == ["run.checkpoint"]
    assert numbers(fit(path)) == calm


# --- which are refused ----------------------------------------------------------------------------------------------


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns


def refused(path, message, **settings):
    before = digest(path)
    trained = []
    with pytest.raises(CheckpointError, match=message) as caught:
        fit(path, trained.append, **settings)
    assert str(caught.value).startswith(f"got the checkpoint {path}, which ") and "\n" not in str(caught.value)
    assert str(caught.value).endswith(
        "remove it to train from the beginning, or give another path; it was left as it is"
    )
    assert digest(path) == before
    assert trained == [], "nothing is trained"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, r"which has another seed \(0\), expected 1: remove"),
        ({"epochs": 4}, r"which has another epochs \(3\), expected 4: remove"),
        ({"lr": 0.2}, r"which has another learning rate \(0.1\), expected 0.2: remove"),
        ({"batch_size": 2}, r"which has another batch size \(3\), expected 2: remove"),
        ({"X": X + 1}, r"which has another data \(\w{8}\), expected \w{8}: remove"),
        ({"y": 1 - Y}, r"which has another data \(\w{8}\), expected \w{8}: remove"),
        ({"valid": None}, r"which has another validation data \(\w{8}\), expected None: remove"),
        ({"loss": "mse"}, r"which has another loss \('cross_entropy'\), expected 'mse': remove"),
        (
            {"optimizer": torch.optim.RMSprop, "optimizer_options": {"alpha": 0.9}},
            r"which has another optimiser \('Adam \[\]'\), expected \"RMSprop \[\('alpha', 0\.9\)\]\": remove",
        ),
        ({"loss_options": {"label_smoothing": 0.1}}, r"which has another loss options \('\[\]'\), expected"),
        (
            {"schedule": CosineAnnealingWarmRestarts, "schedule_options": {"T_0": 2}},
            r"which has another schedule \('\[\]'\), expected \"CosineAnnealingWarmRestarts \[\('T_0', 2\)\]\": remove",
        ),
        ({"clip": 1.0}, r"which has another clip \(None\), expected 1\.0: remove"),
        ({"build": lambda: nn.Linear(3, 2)}, r"which has another model \(\w{8}\), expected \w{8}: remove"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(path, change, message):
    refused(crashed(path, 3), message, **change)


def variants():
    def model(*parts):
        return lambda: nn.Sequential(nn.Linear(3, 2), *parts)

    def first(value):
        def build():
            model = nn.Sequential(nn.Linear(3, 2))
            nn.init.constant_(model[0].bias, value)
            return model

        return build

    def rounded():
        return model()().to(torch.bfloat16)

    parts = [nn.Tanh()], [nn.LeakyReLU(0.1)], [nn.LeakyReLU(0.2)]
    return [model(), *(model(*part) for part in parts), first(1.0), first(2.0), rounded]


def test_what_makes_another_model(path, tmp_path):
    digests = set()
    for build in variants():
        with training.alone(0):
            digests.add(checkpoints._model(build()))
    assert len(digests) == len(variants())
    kinds = [Statevector(), Numbered(tmp_path), Numbered(tmp_path / "other")]
    with torch.random.fork_rng():
        found = [checkpoints._model((torch.manual_seed(0), Spied(backend, silent))[1]) for backend in kinds]
    assert found[0] != found[1] == found[2], "a backend counts by its kind, whatever its options"


def test_a_damaged_checkpoint_is_refused(path):
    content = crashed(path, 3).read_bytes()
    size = len(content)
    for cut in (0, 5, 30, 60, size // 2, size - 1):
        path.write_bytes(content[:cut])
        refused(path, r"which cannot be read \(it is cut short, changed, or of another version\), expected a whole one")
    for at in (0, 30, 100, size // 2, size - 1):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        refused(path, r"which cannot be read \(it is cut short, changed, or of another version\), expected a whole one")
    path.write_bytes(content)
    fit(path)


def test_a_checkpoint_that_cannot_be_opened(path):
    path.mkdir()
    with pytest.raises(
        CheckpointError, match=r"which cannot be read \(Is a directory\), expected a whole one: remove it"
    ):
        fit(path)


def test_no_code_is_run_by_reading(path):
    class Planted:
        def __reduce__(self):
            return print, ("planted",)

    write(path, {"settings": Planted()})
    with pytest.raises(CheckpointError, match="which cannot be read"):
        read(path)


@pytest.mark.parametrize("every", [0, -1, 1.5, True, "1"])
def test_every_is_a_number_of_steps(path, every):
    with pytest.raises(ValueError, match=rf"got every={every!r}, expected a number of steps from 1: every=10"):
        fit(path, every=every)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"got checkpoint='.*/no/run', expected a file in a folder that exists"):
        fit(tmp_path / "no" / "run")


# --- what comes out -------------------------------------------------------------------------------------------------


def test_the_fitted_net_is_one_like_any_other(path, calm):
    crashed(path, 3)
    net = fit(path).net
    expected = net.module_.eval()(torch.tensor(X)).argmax(1)
    np.testing.assert_array_equal(net.predict(X), expected)
    assert [len(row["batches"]) for row in net.history] == [3, 3, 3]


def test_a_linear_model_pickles_after_a_resumed_fit(path):
    build = training.partial(nn.Linear, 3, 2)
    net = fit(path, build=build).net
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(net)).predict(X), net.predict(X))
    again = pickle.loads(pickle.dumps(net))
    again.set_params(callbacks=None)
    assert torch.equal(again.fit(X, Y).module_.weight, net.module_.weight), "fitted again it begins anew"
