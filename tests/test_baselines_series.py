"""The baselines of time series, against statsmodels, scikit-learn, torch and plain loops."""

import sys

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression, Ridge
from statsmodels.tsa.ar_model import AutoReg, ar_select_order

from hybrid.baselines import autoregression, echo_state, persistence, recurrent
from hybrid.forecasting import stream, windows
from hybrid.series import Series, load, narma

# Where reservoirpy is compiled anew, its docstrings warn.
pytestmark = pytest.mark.filterwarnings("ignore:invalid escape sequence")


def noisy(n=200, seed=0):
    """An autoregressive series of order 3."""
    rng, y = np.random.default_rng(seed), [0.0, 0.0, 0.0]
    for _ in range(n - 3):
        y.append(0.5 * y[-1] - 0.3 * y[-2] + 0.4 * y[-3] + rng.normal())
    return Series("noisy", y)


# --- persistence ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [windows, stream])
def test_persistence_forecasts_the_last_value(make):
    task = make(noisy())
    y = task.scaler.restore(task.y_test)
    before = noisy().values[-1 - len(y) : -1]
    model = persistence.build()
    expected = np.sqrt(np.mean((y - before) ** 2) / y.var())
    assert task.nrmse(model.fit(task).predict(task)) == pytest.approx(expected) and model.n_parameters == 0


# --- autoregression ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [None, 2])
def test_autoregression_on_windows_is_linear_regression(order):
    task = windows(noisy(), 5)
    model = autoregression.build(order).fit(task)
    k = order or 5
    expected = LinearRegression().fit(task.X[:, -k:], task.y).predict(task.X_test[:, -k:])
    np.testing.assert_allclose(model.predict(task), expected, rtol=0, atol=1e-10)
    assert model.order_ == k and model.n_parameters == k + 1


@pytest.mark.parametrize("order", [1, 4])
def test_autoregression_of_a_whole_series_is_statsmodels(order):
    task = stream(noisy())
    model = autoregression.build(order).fit(task)
    known = np.append(task.known[: task.n_train], task.targets[task.n_train - 1])
    coefficients = AutoReg(known, order).fit().params
    rows = [[1, *task.known[t - order + 1 : t + 1][::-1]] for t in range(task.n_train, len(task.known))]
    np.testing.assert_allclose(model.predict(task), rows @ coefficients, rtol=0, atol=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_a_whole_series_is_statsmodels_choice(seed):
    task = stream(noisy(400, seed))
    known = np.append(task.known[: task.n_train], task.targets[task.n_train - 1])
    expected = max(ar_select_order(known, 12, ic="bic").ar_lags)
    assert autoregression.build(max_order=12).fit(task).order_ == expected


def test_the_order_is_chosen_from_what_the_train_part_allows():
    task = stream(noisy(24))
    assert 1 <= autoregression.build().fit(task).order_ <= task.n_train // 4


def test_a_driven_series_is_filtered_from_its_input():
    u = np.random.default_rng(0).normal(size=100)
    y = np.concatenate([[0, 0], 0.7 * u[1:-1] - 0.2 * u[:-2] + 0.1])
    task = stream(Series("filtered", y, u))
    model = autoregression.build(2).fit(task)
    assert task.nrmse(model.predict(task)) < 1e-12 and model.n_parameters == 3


def test_a_perfectly_linear_series_has_an_order_too():
    task = stream(Series("sine", np.sin(np.arange(100.0))))
    model = autoregression.build().fit(task)
    assert task.nrmse(model.predict(task)) < 1e-10


def test_smooth_series_are_linear():
    for name, error in (("damped_shm", 0.01), ("bessel", 0.001)):
        task = windows(load(name))
        assert task.nrmse(autoregression.build().fit(task).predict(task)) < error


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: autoregression.build(0), "got order=0, expected an integer of at least 1: pass order=1"),
        (lambda: autoregression.build(max_order=0), "got max_order=0, expected an integer of at least 1"),
        (
            lambda: autoregression.build(5).fit(windows(noisy(), 4)),
            "got order=5 for noisy, expected at most 4: give",
        ),
        (lambda: autoregression.build(67).fit(stream(noisy())), "got order=67 for noisy, expected at most 66"),
    ],
)
def test_autoregression_refuses(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# --- echo state network --------------------------------------------------------------------------------------------


@pytest.fixture
def reservoirpy():
    return pytest.importorskip("reservoirpy")


def loop(network, inputs, state):
    """The states by the formula, from reservoirpy's matrices."""
    made = network._reservoir()
    made.initialize(np.zeros((1, inputs.shape[1])))
    W, W_in, bias = (np.asarray(part) for part in (made.W, made.Win, made.bias))
    assert np.abs(np.linalg.eigvals(W)).max() == pytest.approx(network.spectral_radius)
    assert set(np.abs(W_in).ravel()) == {network.input_scale} and np.abs(bias).max() <= network.input_scale
    states = []
    for u in inputs:
        new = np.tanh(W @ state + W_in @ u + bias)
        state = (1 - network.leak) * state + network.leak * new
        states.append(state)
    return np.array(states)


def test_echo_states_follow_the_formula(reservoirpy):
    network = echo_state.build(6, spectral_radius=0.7, leak=0.4, input_scale=0.3, seed=3)
    inputs, start = np.random.default_rng(0).normal(size=(20, 2)), np.linspace(-1, 1, 6)
    found, last = network.states(inputs, start)
    np.testing.assert_allclose(found, loop(network, inputs, start), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(last, found[-1])


def test_echo_states_in_parts_are_those_at_once(reservoirpy):
    network, inputs = echo_state.build(4), np.random.default_rng(0).normal(size=(10, 1))
    whole, _ = network.states(inputs)
    first, state = network.states(inputs[:4])
    second, _ = network.states(inputs[4:], state)
    np.testing.assert_array_equal(np.concatenate([first, second]), whole)


def test_another_seed_is_another_reservoir(reservoirpy):
    inputs = np.ones((3, 1))
    one, again, other = (echo_state.build(4, seed=seed).states(inputs)[0] for seed in (0, 0, 1))
    assert np.array_equal(one, again) and not np.allclose(one, other)


def test_an_echo_state_network_on_windows_starts_each_from_zeros(reservoirpy):
    task = windows(noisy(60), 4)
    network = echo_state.build(5, ridge=0.1).fit(task)
    last = [np.array([loop(network, x[:, None], np.zeros(5))[-1] for x in part]) for part in (task.X, task.X_test)]
    expected = Ridge(0.1).fit(last[0], task.y).predict(last[1])
    np.testing.assert_allclose(network.predict(task), expected, rtol=0, atol=1e-10)
    assert (network.n_parameters, network.n_frozen) == (6, 35)


@pytest.mark.parametrize("washout", [0, 10])
def test_an_echo_state_network_on_a_whole_series_runs_on(reservoirpy, washout):
    task = stream(narma(5, 80))
    network = echo_state.build(5, ridge=0.1, washout=washout).fit(task)
    states = loop(network, task.inputs, np.zeros(5))
    readout = Ridge(0.1).fit(states[washout : task.n_train], task.y[washout:])
    np.testing.assert_allclose(network.predict(task), readout.predict(states[task.n_train :]), rtol=0, atol=1e-10)


@pytest.mark.parametrize("make", [windows, stream])
def test_the_tuned_network_is_the_best_on_the_validation_part(reservoirpy, monkeypatch, make):
    grid = {"SPECTRAL_RADII": (0.2, 0.9), "LEAKS": (1.0,), "INPUT_SCALES": (0.1, 1.0), "RIDGES": (1e-6, 10.0)}
    for name, values in grid.items():
        monkeypatch.setattr(echo_state, name, values)
    task = make(noisy())
    found = echo_state.tune(4, task, seed=2)
    inner, errors = task.validation(), {}
    for radius in (0.2, 0.9):
        for scale in (0.1, 1.0):
            for ridge in (1e-6, 10.0):
                one = echo_state.build(4, spectral_radius=radius, input_scale=scale, ridge=ridge, seed=2).fit(inner)
                errors[radius, scale, ridge] = inner.nrmse(one.predict(inner))
    radius, scale, ridge = min(errors, key=errors.get)
    expected = echo_state.build(4, spectral_radius=radius, input_scale=scale, ridge=ridge, seed=2)
    assert found == expected
    np.testing.assert_array_equal(found.predict(task), expected.fit(task).predict(task))


def test_tuning_does_not_look_at_the_test_part(reservoirpy, monkeypatch):
    monkeypatch.setattr(echo_state, "SPECTRAL_RADII", (0.5,))
    series = noisy()
    changed = Series("noisy", np.where(np.arange(200) < 140, series.values, -series.values))
    one, other = (echo_state.tune(4, stream(each)) for each in (series, changed))
    assert one == other


def test_a_tuned_network_beats_persistence_on_a_nonlinear_series(reservoirpy, monkeypatch):
    monkeypatch.setattr(echo_state, "LEAKS", (1.0,))
    t = np.zeros(300)
    t[0] = 0.3
    for i in range(299):
        t[i + 1] = 3.9 * t[i] * (1 - t[i])  # the logistic map: no linear model forecasts it
    task = stream(Series("logistic", t))
    errors = [task.nrmse(m.fit(task).predict(task)) for m in (persistence.build(), autoregression.build())]
    network = echo_state.tune(20, task)
    assert task.nrmse(network.predict(task)) < 0.1 < 0.8 < min(errors)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"units": 0}, "got units=0, expected an integer of at least 1: pass units=1"),
        ({"seed": -1}, "got seed=-1, expected an integer of at least 0"),
        ({"washout": 1.5}, "got washout=1.5, expected an integer of at least 0"),
        ({"leak": 1.5}, r"got leak=1\.5, expected more than 0, at most 1: pass leak=0\.5"),
        ({"spectral_radius": 0.0}, r"got spectral_radius=0\.0, expected more than 0, at most inf"),
        ({"input_scale": np.nan}, "got input_scale=nan, expected more than 0"),
        ({"ridge": np.inf}, "got ridge=inf, expected more than 0"),
    ],
)
def test_echo_state_settings_are_checked(settings, message):
    with pytest.raises(ValueError, match=message):
        echo_state.build(**{"units": 4, **settings})


def test_a_washout_leaves_steps_to_fit_to(reservoirpy):
    task = stream(noisy(40))
    with pytest.raises(ValueError, match="got washout=25 for 26 training steps, expected at least two more steps"):
        echo_state.build(4, washout=25).fit(task)


def test_echo_states_without_reservoirpy(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("reservoirpy.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "reservoirpy", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"echo_state needs reservoirpy: pip install 'hybridqml\[sequences\]'"
    ):
        echo_state.build(4).states(np.ones((3, 1)))


# --- recurrent networks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("input_size", [1, 3])
@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_sizes_of_recurrent_networks(kind, input_size):
    counts = {}
    for size in range(1, 30):
        network = recurrent.build(kind, hidden_size=size, input_size=input_size)
        counts[size] = sum(p.numel() for p in network.parameters())
        assert recurrent.count(kind, size, input_size) == counts[size]
    for wanted in (1, 24, 111, 149, 500):
        found = recurrent.build(kind, n_parameters=wanted, input_size=input_size).rnn.hidden_size
        assert abs(counts[found] - wanted) == min(abs(count - wanted) for count in counts.values())


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_a_recurrent_network_reads_windows_step_by_step(kind):
    torch.manual_seed(0)
    network = recurrent.build(kind, hidden_size=3).double()
    x = torch.randn(5, 4, dtype=torch.float64)
    cell = getattr(torch.nn, f"{kind}Cell")(1, 3, dtype=torch.float64)
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in network.rnn.state_dict().items()})
    state = None
    for step in x.T:
        state = cell(step[:, None], state)
    h = state[0] if kind == "LSTM" else state
    torch.testing.assert_close(network(x), network.readout(h), rtol=0, atol=1e-12)
    torch.testing.assert_close(network(x[..., None]), network(x))
    assert network(x).shape == (5, 1)


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_states_in_parts_are_those_at_once(kind):
    network, u = recurrent.build(kind, hidden_size=3), torch.randn(7, 1)
    whole, _ = network.states(u)
    first, state = network.states(u[:3])
    second, _ = network.states(u[3:], state)
    assert whole.shape == (7, 3)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    assert network.states(u[:, None].expand(7, 2, 1))[0].shape == (7, 2, 3)


def test_a_frozen_network_trains_its_readout_alone():
    network = recurrent.build("GRU", hidden_size=3, frozen=True)
    network(torch.randn(2, 4)).sum().backward()
    assert all(p.grad is None for p in network.rnn.parameters())
    assert all(p.grad is not None for p in network.readout.parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "Elman", "hidden_size": 3}, "got kind='Elman', expected one of RNN, GRU, LSTM: write the name as"),
        ({}, "got n_parameters=None, hidden_size=None, expected one of them: give one"),
        ({"n_parameters": 10, "hidden_size": 3}, "got n_parameters=10, hidden_size=3, expected one of them"),
        ({"hidden_size": 0}, "got hidden_size=0, expected an integer of at least 1: pass hidden_size=1"),
        ({"n_parameters": 0}, "got n_parameters=0, expected an integer of at least 1"),
        ({"hidden_size": 2, "input_size": 0}, "got input_size=0, expected an integer of at least 1"),
    ],
)
def test_recurrent_networks_refuse(arguments, message):
    with pytest.raises(ValueError, match=message):
        recurrent.build(**{"kind": "RNN", **arguments})
