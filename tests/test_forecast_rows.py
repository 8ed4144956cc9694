"""hybrid/models/forecasters/rows.py: rows against computations of their own, all of them trained on equal terms."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from hybrid import experiment, series, training
from hybrid.experiment import Case
from hybrid.forecasting import Stream, Windows
from hybrid.models.forecasters import recurrent, reservoirs, rows
from qml import QRNNCell

SETTINGS = {**rows.LEVELS["quick"], "epochs": 2, "n_steps": 60, "long_steps": 80}
PAPERS = ("qfwp", "qrnn-reservoir")


def case(task, **settings):
    return Case(task, 0, SETTINGS | settings, "statevector", None, lambda *_: None, None)


def row(paper, name):
    return next(each for each in experiment.load(paper).rows if each.name == name)


# --- tasks ---------------------------------------------------------------------------------------------------------


def test_tasks_are_windows_or_whole_series_scaled_by_the_train_part():
    found = rows.task(case("bessel"))
    values = series.bessel().values[:60]
    n = int(0.67 * 56)
    assert isinstance(found, Windows) and found.X.shape == (n, 4) and len(found.y_test) == 56 - n
    assert (found.scaler.low, found.scaler.high) == (values[: n + 4].min(), values[: n + 4].max())
    whole = rows.task(case("bessel_long"))
    assert isinstance(whole, Stream) and len(whole.inputs) == 79


def test_a_long_narma_is_driven_by_noise_which_is_what_networks_read():
    found, noise = rows.task(case("narma10_long")), np.random.RandomState(0).uniform(0, 0.5, 80)
    assert np.corrcoef(found.inputs[:, 0], noise[:-1])[0, 1] == pytest.approx(1)


def test_chunks_of_a_long_series_have_every_target_once_with_half_a_chunk_before_it():
    whole = rows.task(case("sunspots_long"))
    X, y = rows.training_set(whole, 20)
    n_known = 10 * (whole.n_train // 10 - 1)
    assert X.shape == (n_known // 10, 20, 1) and y.shape == (n_known // 10, 10, 1)
    np.testing.assert_array_equal(y.ravel(), whole.targets[10 : 10 + n_known])
    np.testing.assert_array_equal(X[2, :, 0], whole.inputs[20:40, 0])


def test_windows_have_one_target_each():
    found = rows.task(case("bessel"))
    X, y = rows.training_set(found, 20)
    assert X.shape == (*found.X.shape, 1) and np.array_equal(y[:, 0, 0], found.y)


def test_a_series_is_read_from_the_data_folder_if_it_is_there(tmp_path):
    assert not rows.files("santa_fe", tmp_path) and not rows.files("bessel", tmp_path)
    rows.check(("bessel", "santa_fe_long"), SETTINGS, tmp_path)
    file = tmp_path / "santafe_laser.csv"
    file.write_text("intensity\n1\nmany\n")
    assert rows.files("santa_fe_long", tmp_path) == [file]
    with pytest.raises(ValueError, match=r"santafe_laser\.csv"):
        rows.check(("bessel", "santa_fe"), SETTINGS, tmp_path)


# --- rows against computations of their own --------------------------------------------------------------------------


def test_autoregression_is_least_squares_and_as_good_as_on_the_papers_series():
    """The mean squared error of AR(4) on the damped pendulum, scaled to [-1, 1], is of the order of 1e-7."""
    found = row("qrnn-reservoir", "AR(4)").run(case("damped_shm", n_steps=240))
    values = series.damped_shm().values
    lags = np.stack([values[i : i + 236] for i in range(4)] + [np.ones(236)], 1)
    n, targets = int(0.67 * 236), values[4:]
    errors = targets[n:] - lags[n:] @ np.linalg.lstsq(lags[:n], targets[:n])[0]
    assert found.score == pytest.approx(np.sqrt(np.mean(errors**2) / targets[n:].var()), rel=1e-6)
    assert 2e-8 < np.mean((2 * errors / np.ptp(values)) ** 2) < 4e-7
    assert found.parameters == {"quantum": 0, "classical": 5, "frozen": 0}


def test_persistence_forecasts_the_last_value():
    found, values = row("qfwp", "persistence").run(case("bessel")), series.bessel().values[:60]
    n = int(0.67 * 56)
    last, target = values[3 + n : -1], values[4 + n :]
    assert found.score == pytest.approx(np.sqrt(np.mean((last - target) ** 2) / target.var()))
    np.testing.assert_allclose(found.extra["prediction"], last, rtol=1e-5)
    np.testing.assert_allclose(found.extra["target"], target, rtol=1e-5)


def test_frozen_with_ridge_is_scikit_learns_ridge_on_recomputed_states():
    found = rows.task(case("narma5"))
    cell = QRNNCell(1, 3, dtype=torch.float64)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        cell.block.weights.copy_(0.01 * torch.randn(24, generator=generator, dtype=torch.float64))
        states = []
        for window in np.concatenate([found.X, found.X_test]):
            h = torch.zeros(3, dtype=torch.float64)
            for x in torch.as_tensor(window):
                h, _ = cell(x[None], h)
            states.append(h.numpy())
    n = len(found.y)
    readout = Ridge(1e-6, solver="cholesky").fit(states[:n], found.y)
    outcome = row("qrnn-reservoir", "QRNN, frozen, by ridge").run(case("narma5"))
    assert outcome.score == pytest.approx(found.nrmse(readout.predict(states[n:])), rel=1e-5)
    assert outcome.parameters == {"quantum": 0, "classical": 4, "frozen": 24}


def descend(model, forecast, y, n_epochs):
    """Train on the whole of the data at each step, in a plain loop."""
    optimizer = torch.optim.RMSprop(model.parameters(), lr=0.01, alpha=0.99, eps=1e-8)
    for _ in range(n_epochs):
        optimizer.zero_grad()
        (forecast() - torch.as_tensor(y)).square().mean().backward()
        optimizer.step()


def test_a_trained_network_is_that_of_a_plain_loop():
    found, whole_batch = rows.task(case("narma5")), case("narma5", epochs=4, batch_size=1000)
    torch.manual_seed(0)
    model = recurrent.classical("GRU", hidden_size=4)
    rnn, readout = model.rnn, model.readout
    X, X_test = (torch.as_tensor(part.T[..., None].copy()) for part in (found.X, found.X_test))
    descend(model, lambda: readout(rnn(X)[0][-1])[:, 0], found.y, 4)
    with torch.no_grad():
        expected = found.nrmse(readout(rnn(X_test)[0][-1]).numpy())
    outcome = row("qrnn-reservoir", "GRU of as many parameters, trained").run(whole_batch)
    assert outcome.score == pytest.approx(expected, rel=1e-9)
    assert outcome.parameters == {"quantum": 0, "classical": 3 * 4 * (1 + 4 + 2) + 5, "frozen": 0}


@pytest.mark.parametrize(("task", "skipped"), [("narma5", 0), ("narma10_long", 20)])
def test_a_trained_readout_of_frozen_states_is_that_of_a_plain_loop(task, skipped):
    each, found = case(task, epochs=4, batch_size=1000), rows.task(case(task))
    ((states, unknown),) = reservoirs.features(rows.cell(each, "QGRU"), found)
    torch.manual_seed(0)
    readout = torch.nn.Linear(3, 1, dtype=torch.float64)
    known = torch.as_tensor(states[skipped:])
    descend(readout, lambda: readout(known)[:, 0], found.y[skipped:], 4)
    with torch.no_grad():
        expected = found.nrmse(readout(torch.as_tensor(unknown)).numpy())
    outcome = row("qrnn-reservoir", "QGRU, frozen, by gradient").run(each)
    assert outcome.score == pytest.approx(expected, rel=1e-9)
    assert outcome.parameters == {"quantum": 0, "classical": 4, "frozen": 72}


@pytest.mark.parametrize("build", [recurrent.quantum, recurrent.classical])
def test_a_long_series_is_forecast_with_the_state_of_the_train_part(build):
    model = build("QRNN") if build is recurrent.quantum else build("GRU", hidden_size=3)
    found, state, expected = rows.task(case("sunspots_long")), None, []
    with torch.no_grad():
        for u in torch.as_tensor(found.inputs):
            y, state = model(u[None, None], state)
            expected.append(y.item())
    np.testing.assert_allclose(rows.forecast(model, found), expected[found.n_train :], atol=1e-12)


def test_the_ising_row_counts_its_couplings_as_frozen():
    assert rows.count(reservoirs.ising(0, tau=1.0, field=0.5)) == {"quantum": 0, "classical": 21, "frozen": 6}


def test_the_epoch_of_settling_is_the_first_within_ten_percent_of_the_lowest_loss():
    losses = [1.0, 0.5, 0.109, 0.3, 0.1]
    assert rows._settled([{"train_loss": loss} for loss in losses]) == 3


# --- equal terms -----------------------------------------------------------------------------------------------------


TRAINED = [each.name for each in experiment.load("qfwp").rows if each.kind != "trivial" and "ESN" not in each.name]


class Stop(Exception):
    """Raised where a row would begin to train."""


@pytest.mark.parametrize("task", ["bessel", "santa_fe_long"])
def test_all_that_is_trained_has_one_schedule_and_the_same_data(task, monkeypatch):
    calls = {}

    def fit(build, X, y, **options):
        calls[paper, each.name] = SimpleNamespace(X=X, y=y, options=options)
        raise Stop

    monkeypatch.setattr(training, "fit", fit)
    for paper in PAPERS:
        for each in experiment.load(paper).rows:
            if each.name.endswith(("trained", "by gradient")) or each.name in TRAINED:
                with pytest.raises(Stop):
                    each.run(replace(case(task), seed=3))
    terms = ("seed", "epochs", "lr", "batch_size", "loss", "optimizer", "optimizer_options")
    first = {name: next(iter(calls.values())).options[name] for name in terms}
    assert first["optimizer"] is torch.optim.RMSprop and first["seed"] == 3 and first["loss"] == "mse"
    assert all({name: call.options[name] for name in terms} == first for call in calls.values())
    whole = [call for call in calls.values() if call.X.ndim == 3]
    heads = [call for call in calls.values() if call.X.ndim == 2]
    assert (len(whole), len(heads)) == (21, 7)
    assert all(np.array_equal(call.X, whole[0].X) and np.array_equal(call.y, whole[0].y) for call in whole)
    assert all(np.array_equal(call.y, heads[0].y) for call in heads)


def test_the_papers_settings_are_those_of_the_full_level():
    paper = {"window": 4, "train": 0.67, "epochs": 100, "lr": 0.01, "alpha": 0.99, "batch_size": 10}
    assert {name: rows.LEVELS["full"][name] for name in paper} == paper
    assert all(rows.LEVELS[level]["seeds"] >= 5 for level in ("default", "full"))


def test_a_row_says_its_epochs_and_is_the_same_when_run_again():
    told = []
    each = replace(case("bessel"), tell=lambda epoch, n: told.append((epoch, n)))
    with training.alone(0):
        first = row("qfwp", "QFWP").run(each)
    with training.alone(0):
        again = row("qfwp", "QFWP").run(each)
    assert first.score == again.score and told[:2] == [(1, 2), (2, 2)]
    assert first.parameters == {"quantum": 0, "classical": 111, "frozen": 0}
    assert len(first.extra["prediction"]) == len(first.extra["target"]) == 56 - int(0.67 * 56)


DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "timeseries"


@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data/timeseries")
def test_measured_series_are_read_from_the_data_that_are_named():
    outcome = row("qfwp", "AR(p), p by BIC").run(replace(case("sunspots_long"), data=DATA))
    monthly = np.loadtxt(DATA / "sunspots_monthly.csv", delimiter=",", skiprows=1, usecols=-1)[:80]
    n = int(0.67 * 79)
    np.testing.assert_allclose(outcome.extra["target"], monthly[1 + n :], rtol=1e-5, atol=1e-4)
