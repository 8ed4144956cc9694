"""hybrid/models/forecasters against loops over single windows, brute force, and what the circuits can depend on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from hybrid.baselines import recurrent as baseline
from hybrid.forecasting import stream, windows
from hybrid.models.forecasters import fast_weights, recurrent, reservoirs
from hybrid.series import Series
from hybrid.units import count_parameters
from qml import QGRUCell, QLSTMCell, QRNNCell, QuantumLayer

VALUES = np.random.default_rng(0).uniform(0, 1, 60).cumsum() % 1.7
SERIES = Series("steps", VALUES)
WINDOWS, STREAM = windows(SERIES, 4), stream(SERIES)
CELLS = {"QRNN": QRNNCell, "QLSTM": QLSTMCell, "QGRU": QGRUCell}


def seeded(build, *arguments, **options):
    torch.manual_seed(3)
    return build(*arguments, **options)


# --- recurrent networks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "quantum", "classical"), [("QRNN", 24, 4), ("QLSTM", 144, 5), ("QGRU", 72, 4)])
def test_quantum_networks_have_the_papers_parameters(kind, quantum, classical):
    for entangled in (True, False):
        found = count_parameters(recurrent.quantum(kind, entangled=entangled))
        assert found == {"quantum": quantum, "classical": classical, "frozen": 0}
    assert count_parameters(recurrent.quantum(kind, frozen=True))["frozen"] == quantum


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_classical_networks_are_those_of_the_baselines_in_double_precision(kind):
    found = recurrent.classical(kind, n_parameters=111)
    assert {p.dtype for p in found.parameters()} == {torch.float64}
    assert sum(p.numel() for p in found.parameters()) == baseline.count(kind, baseline.closest_size(kind, 111))
    assert count_parameters(recurrent.classical(kind, hidden_size=5, frozen=True))["classical"] == 6


@pytest.mark.parametrize(
    "model", [recurrent.quantum("QRNN"), recurrent.quantum("QLSTM"), recurrent.classical("LSTM", hidden_size=3)]
)
def test_the_last_forecast_is_the_last_of_all_and_a_series_in_parts_is_the_series_at_once(model):
    u = torch.randn(7, 5, 1, dtype=torch.float64)
    whole, _ = model(u)
    first, state = model(u[:4])
    second, _ = model(u[4:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    torch.testing.assert_close(model(u, last_only=True)[0], whole[-1])
    assert whole.shape == (7, 5, 1) and model.states(u)[0].shape[2] == model.readout.in_features


def slopes(model, steps=3):
    """The derivatives of the last h in every input, (hidden_size, steps), where no circuit is at rest."""
    for weights in model.rnn.parameters():
        torch.nn.init.normal_(weights)
    u = torch.randn(steps, 1, 1, dtype=torch.float64)
    return torch.autograd.functional.jacobian(lambda u: model.states(u)[0][-1, 0], u)[:, :, 0, 0]


def test_without_entanglers_a_qrnn_is_a_line_of_delays():
    reaches = slopes(seeded(recurrent.quantum, "QRNN", entangled=False)).abs() > 1e-12
    assert reaches.int().tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0]]
    assert (slopes(seeded(recurrent.quantum, "QRNN")).abs() > 1e-12).sum() > 6


def test_without_entanglers_the_first_weights_are_the_same():
    one, other = (seeded(recurrent.quantum, "QGRU", entangled=each).state_dict() for each in (True, False))
    weights = [name for name in one if name.endswith("weights")]
    assert len(weights) == 3 and all(torch.equal(one[name], other[name]) for name in weights)


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match=r"^got kind='RNN', expected one of QRNN, QLSTM, QGRU: write the name as list"):
        recurrent.quantum("RNN")


# --- fast weights --------------------------------------------------------------------------------------------------


def test_fast_weights_and_their_controls():
    built = {control: seeded(fast_weights.build, control) for control in (None, *fast_weights.CONTROLS)}
    trained = {control: sum(p.numel() for p in m.parameters() if p.requires_grad) for control, m in built.items()}
    assert trained == {None: 111, "separable": 111, "frozen": 5, "linear": 111 + 4 * 18}
    for control in ("separable", "frozen"):
        assert torch.equal(built[control].readout.weight, built[None].readout.weight)
    widths = {c: {len(op.qubits) for op in built[c].fast_programmer.circuit.ops} for c in (None, "separable")}
    assert widths == {None: {1, 2}, "separable": {1}}
    assert not any(isinstance(module, QuantumLayer) for module in built["linear"].modules())


def test_the_linear_control_is_tanh_of_a_linear_layer_of_x_and_theta():
    model, u = fast_weights.build("linear"), torch.randn(4, 2, 1, dtype=torch.float64)
    y, theta = model(u, last_only=True)
    linear = model.fast_programmer[0]
    read = torch.tanh(torch.cat([u[-1], theta.flatten(1)], 1) @ linear.weight.T + linear.bias)
    torch.testing.assert_close(y, read @ model.readout.weight.T + model.readout.bias)


def test_an_unknown_control_is_refused():
    with pytest.raises(ValueError, match=r"^got control='removed', expected one of separable, frozen, linear or None$"):
        fast_weights.build("removed")


# --- reservoirs ----------------------------------------------------------------------------------------------------


def by_hand(reservoir, task, scale=1.0):
    """States of a quantum cell, computed window by window and step by step."""
    cell, found = reservoir.cell, []
    both = np.concatenate([WINDOWS.X, WINDOWS.X_test])
    sequences = [window[:, None] for window in both] if task is WINDOWS else [task.inputs]
    with torch.no_grad():
        for sequence in sequences:
            outputs, state = [], None
            for x in torch.as_tensor(scale * sequence):
                output, state = cell(x, state)
                outputs.append(output)
            found += outputs[-1:] if task is WINDOWS else outputs
    return torch.stack(found).numpy()


@pytest.mark.parametrize("task", [WINDOWS, STREAM])
@pytest.mark.parametrize("kind", list(CELLS))
def test_states_are_those_of_a_loop_for_every_scale(task, kind):
    reservoir, n = reservoirs.cell(kind, 1, weight_scale=0.5), len(task.y)
    for scale, (known, unknown) in zip((0.3, 2.0), reservoirs.features(reservoir, task, (0.3, 2.0)), strict=True):
        expected = by_hand(reservoir, task, scale)
        np.testing.assert_allclose(known, expected[:n], atol=1e-12)
        np.testing.assert_allclose(unknown, expected[n:], atol=1e-12)


@pytest.mark.parametrize(("task", "skipped"), [(WINDOWS, 0), (STREAM, 9)])
def test_ridge_with_several_penalties_is_scikit_learns_with_each(task, skipped):
    states = np.random.default_rng(0).standard_normal((len(task.y), 3))
    found = reservoirs.fit_ridge(states, task, (1e-6, 1.0), washout=9)
    for k, alpha in enumerate((1e-6, 1.0)):
        expected = Ridge(alpha, solver="cholesky").fit(states[skipped:], task.y[skipped:])
        np.testing.assert_allclose(found.coef_[k], expected.coef_, rtol=1e-7)
        assert found.intercept_[k] == pytest.approx(expected.intercept_)


def make(weight_scale):
    return reservoirs.cell("QRNN", 0, weight_scale=weight_scale)


@pytest.mark.parametrize("task", [WINDOWS, STREAM])
def test_tuning_takes_what_forecasts_the_end_of_the_train_part_best(task):
    inner, errors = task.validation(0.25), {}
    for weight_scale in (0.1, 1.0):
        for scale in (0.2, 3.0):
            ((known, unknown),) = reservoirs.features(make(weight_scale), inner, [scale])
            skipped = 0 if task is WINDOWS else 5
            for alpha in reservoirs.RIDGES:
                readout = Ridge(alpha, solver="svd").fit(known[skipped:], inner.y[skipped:])
                errors[weight_scale, scale, alpha] = inner.nrmse(readout.predict(unknown))
    best = dict(zip(("weight_scale", "input_scale", "ridge"), min(errors, key=errors.get), strict=True))
    found = reservoirs.tune(make, {"weight_scale": (0.1, 1.0)}, (0.2, 3.0), task, washout=5)
    assert found.settings == best and found.predicted.shape == task.y_test.shape
    np.testing.assert_array_equal(found.predicted, reservoirs.fit(make, best, task, washout=5).predicted)


def test_tuning_does_not_look_at_the_test_part():
    grid, scales = {"weight_scale": (0.1, 1.0)}, (0.2, 3.0)
    other = windows(Series("other", np.concatenate([VALUES[:42], VALUES[:18] ** 2])), 4)
    assert np.array_equal(WINDOWS.X, other.X) and np.array_equal(WINDOWS.y, other.y)
    settings = [reservoirs.tune(make, grid, scales, task).settings for task in (WINDOWS, other)]
    assert settings[0] == settings[1]


def test_quantum_reservoirs_have_as_many_tries_as_the_echo_state_network():
    from hybrid.baselines import echo_state

    n_tries = len(echo_state.SPECTRAL_RADII) * len(echo_state.LEAKS) * len(echo_state.INPUT_SCALES)
    for grid, scales in (
        (reservoirs.CELL_GRID, reservoirs.CELL_INPUTS),
        (reservoirs.ISING_GRID, reservoirs.ISING_INPUTS),
    ):
        assert np.prod([len(values) for values in grid.values()]) * len(scales) == n_tries


def test_the_ising_reservoir_takes_inputs_out_of_its_range_as_the_nearest_ones():
    reservoir = reservoirs.ising(0, tau=3.0, field=0.5)
    u = torch.tensor([[0.5], [7.0], [-1.3]], dtype=torch.float64)
    torch.testing.assert_close(reservoir.states(u)[0], reservoir.states(u.clamp(-1, 1))[0])
    assert reservoir.states(u)[0].shape == (3, 20)
