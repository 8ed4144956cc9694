import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from sklearn.linear_model import LinearRegression

from qml import (
    IsingReservoir,
    information_processing_capacity,
    memory_capacity,
    plot_information_processing_capacity,
    plot_memory_capacity,
)

RNG = np.random.default_rng(0)
U = RNG.uniform(-1, 1, 3000)


def delay_line(k, u=U):
    """States x_i(t) = u(t-i), i = 1, ..., k; zero before the start."""
    return np.stack([np.concatenate([np.zeros(i), u[:-i]]) for i in range(1, k + 1)], axis=1)


# --- known answers


@pytest.mark.parametrize("k", [1, 3, 7])
@pytest.mark.parametrize("low, high", [(-1, 1), (0, 1), (-3, 50)])
def test_a_delay_line_remembers_as_many_steps_as_it_has(k, low, high):
    u = low + (high - low) * (U + 1) / 2
    found = memory_capacity(delay_line(k, u), u, max_delay=15)
    assert found.total == pytest.approx(k, abs=1e-9)
    assert found.by_delay() == pytest.approx({d: float(d <= k) for d in range(1, 16)}, abs=1e-9)
    assert found.n_states == k


def test_mixing_the_states_changes_nothing():
    mixed = delay_line(4) @ RNG.normal(size=(4, 6)) + 5  # six states of rank four
    found = memory_capacity(mixed, U, max_delay=10)
    assert found.n_states == 4 and found.total == pytest.approx(4, abs=1e-9)


def test_half_noise_is_half_remembered():
    noise = np.random.default_rng(1).uniform(-1, 1, (3000, 2))
    found = memory_capacity(delay_line(2) + noise, U, max_delay=10)
    assert found.total == pytest.approx(1, abs=0.08) and found.n_states == 2


def test_a_leaky_integrator_forgets_as_its_powers():
    """x(t) = a x(t-1) + u(t) holds u(t-k) with r² = (1 - a²) a^(2k)."""
    a, u, x = 0.7, np.random.default_rng(3).uniform(-1, 1, 20000), np.zeros(20000)
    for t in range(1, len(u)):
        x[t] = a * x[t - 1] + u[t]
    found = memory_capacity(x[:, None], u, max_delay=6, washout=50)
    assert found.fitted == pytest.approx([(1 - a**2) * a ** (2 * k) for k in range(1, 7)], abs=0.02)


def test_a_squared_delay_line_is_of_degree_two():
    found = information_processing_capacity(delay_line(3) ** 2, U, max_delay=5, max_degree=3)
    assert found.by_degree() == pytest.approx({1: 0, 2: 3, 3: 0}, abs=2e-2)
    assert found.by_delay() == pytest.approx({0: 0, 1: 1, 2: 1, 3: 1, 4: 0, 5: 0}, abs=1e-2)


def test_products_of_two_delays_are_terms_of_their_own():
    line = delay_line(3)
    states = np.stack([line[:, 0] * line[:, 2], 5 * line[:, 1] ** 3 - 3 * line[:, 1], line[:, 0]], axis=1)
    found = information_processing_capacity(states, U, max_delay=4, max_degree=3)
    held = {term: value for term, value in zip(found.terms, found.values, strict=True) if value}
    expected = {((1, 1), (3, 1)): 1, ((2, 3),): 1, ((1, 1),): 1}  # (delay, degree) of each factor
    assert held == pytest.approx(expected, abs=5e-3)


def test_linear_memory_is_the_first_degree():
    states = IsingReservoir(3, seed=0, input_range=(-1, 1)).states(U[:, None])[0]
    linear = memory_capacity(states, U, max_delay=5, washout=20)
    every = information_processing_capacity(states, U, max_delay=5, max_degree=2, washout=20)
    first = dict(zip(every.terms, every.fitted, strict=True))
    assert linear.fitted == pytest.approx([first[((delay, 1),)] for delay in range(1, 6)], abs=1e-10)


def test_capacities_are_the_scores_of_linear_regression():
    states = IsingReservoir(3, seed=0, input_range=(-1, 1)).states(U[:600, None])[0]
    found = memory_capacity(states, U[:600], max_delay=8, washout=30, tolerance=0.0)
    for delay, value in enumerate(found.fitted, 1):
        target = U[30 - delay : 600 - delay]
        assert value == pytest.approx(LinearRegression().fit(states[30:], target).score(states[30:], target), abs=1e-8)


# --- bounds and chance


@pytest.mark.parametrize("seed", [0, 1])
def test_the_total_is_at_most_the_number_of_states(seed):
    reservoir = IsingReservoir(4, n_virtual_nodes=2, seed=seed, input_range=(-1, 1))
    states = reservoir.states(U[:, None])[0]
    found = information_processing_capacity(states, U, max_delay=10, max_degree=3, washout=50)
    assert 0.6 * 8 < found.total < 8 * (1 + 8 / 3000)
    assert found.n_states == 8 and found.n_samples == 2950


def test_noise_holds_nothing_and_the_bias_is_as_documented():
    noise = np.random.default_rng(5).normal(size=(2000, 20))
    u = np.random.default_rng(6).uniform(-1, 1, 2000)
    found = information_processing_capacity(noise, u, max_delay=20, max_degree=2)
    assert found.total == 0 and len(found.terms) == 252
    assert found.fitted.mean() == pytest.approx(20 / found.n_samples, rel=0.1)


def test_chance_rarely_passes_also_where_states_and_targets_share_inputs():
    false = 0
    for seed in range(20):
        u = np.random.default_rng(seed).uniform(-1, 1, 1000)
        found = information_processing_capacity(delay_line(4, u), u, max_delay=6, max_degree=4)
        false += sum(value > 0 for degree, value in found.by_degree().items() if degree > 1)
    assert false <= 1


def test_there_are_as_many_terms_as_the_formula_says():
    found = information_processing_capacity(delay_line(2), U, max_delay=6, max_degree=4)
    assert len(found.terms) == len(set(found.terms)) == math.comb(6 + 1 + 4, 4) - 1
    assert {sum(degree for _, degree in term) for term in found.terms} == {1, 2, 3, 4}


def test_the_tolerance_hides_faint_traces():
    states = np.concatenate([delay_line(2), 1e-6 * delay_line(3)[:, 2:]], axis=1)
    assert memory_capacity(states, U, 5).total == pytest.approx(3, abs=1e-6)
    assert memory_capacity(states, U, 5, tolerance=1e-4).total == pytest.approx(2, abs=1e-6)


def test_washout_leaves_the_first_steps_out():
    states = delay_line(2)
    states[:100] = RNG.normal(size=(100, 2))
    assert memory_capacity(states, U, 3).total < 1.9
    assert memory_capacity(states, U, 3, washout=100).total == pytest.approx(2, abs=1e-9)


def test_tensors_and_columns_are_taken():
    states, u = torch.tensor(delay_line(2)).requires_grad_(), torch.tensor(U[:, None])
    assert memory_capacity(states, u, 3).total == pytest.approx(2, abs=1e-9)


# --- bad input


@pytest.mark.parametrize(
    ("states", "inputs", "message"),
    [
        (np.zeros((0, 2)), np.zeros(0), "got a sequence of length 0, expected at least one step"),
        (
            delay_line(2)[:50],
            U[:40],
            r"got states of shape \(50, 2\) and inputs of shape \(40,\), expected \(T, n_states\)",
        ),
        (
            delay_line(2)[:50],
            U[:100].reshape(50, 2),
            r"inputs of shape \(50, 2\), .*: one series, as long as its states",
        ),
        (U, U, r"got states of shape \(3000,\)"),
        (np.zeros((50, 0)), U[:50], "got constant states"),
        (delay_line(2) * np.nan, U, "got NaN or infinite states, expected finite numbers: fill or drop them"),
        (delay_line(2), np.where(U > 0.9, np.inf, U), "got NaN or infinite inputs"),
        (
            delay_line(2),
            np.full(3000, 0.1),
            "got constant inputs, expected a series that varies: there is nothing to rem",
        ),
        (np.ones((3000, 2)), U, "got constant states, expected a series that varies"),
    ],
)
@pytest.mark.parametrize("function", [memory_capacity, lambda *a, **k: information_processing_capacity(*a, 2, **k)])
def test_bad_series_are_refused(function, states, inputs, message):
    with pytest.raises(ValueError, match=message):
        function(states, inputs, 5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_delay": 0}, "got max_delay=0, expected an integer of at least 1"),
        ({"max_delay": 2.0}, "got max_delay=2.0, expected an integer"),
        ({"washout": -1}, "got washout=-1, expected an integer of at least 0"),
        ({"washout": 3000}, "got washout=3000 and max_delay=5 for 3000 steps, expected less: shorten them"),
        ({"max_delay": 4000}, "got washout=0 and max_delay=4000 for 3000 steps"),
        ({"washout": 2970}, "got 30 samples after washout and delays for 2 states, expected more than 37"),
        ({"significance": 0}, "got significance=0, expected a probability between 0 and 1"),
        ({"tolerance": -1}, "got tolerance=-1, expected a finite number of at least 0"),
    ],
)
@pytest.mark.parametrize(
    "function", [memory_capacity, lambda *a, **k: information_processing_capacity(*a, max_degree=2, **k)]
)
def test_bad_settings_are_refused(function, settings, message):
    with pytest.raises(ValueError, match=message):
        function(delay_line(2), U, **{"max_delay": 5, **settings})


def test_a_degree_of_zero_is_refused():
    with pytest.raises(ValueError, match="got max_degree=0, expected an integer of at least 1"):
        information_processing_capacity(delay_line(2), U, 5, 0)


@pytest.mark.parametrize("u", [np.sin(np.arange(3000.0)), RNG.normal(size=3000)], ids=["sine", "normal"])
def test_inputs_that_are_not_even_are_refused(u):
    message = (
        r"got inputs that are not evenly spread over their range \(distance 0.\d\d\), expected independent uniform"
    )
    with pytest.raises(ValueError, match=message):
        information_processing_capacity(delay_line(2, u), u, 5, 2)


def test_even_inputs_are_not_refused():
    for seed in range(50):
        u = np.random.default_rng(seed).uniform(0, 0.5, 200)
        information_processing_capacity(delay_line(1, u), u, 2, 2)


# --- plots


def test_plots_show_the_numbers(tmp_path):
    line, squares = memory_capacity(delay_line(3), U, 6), memory_capacity(delay_line(5), U, 8)
    figure = plot_memory_capacity({"three": line, "five": squares})
    assert isinstance(figure, Figure)
    curves = [curve for curve in figure.axes[0].lines if len(curve.get_xdata()) > 2]
    assert [list(curve.get_ydata()) for curve in curves] == [list(line.values), list(squares.values)]
    assert [text.get_text() for text in figure.axes[0].get_legend().texts] == ["three: 3.00 of 3", "five: 5.00 of 5"]
    figure.savefig(tmp_path / "memory.png")


def test_bars_add_up_to_the_total(tmp_path):
    states = np.concatenate([delay_line(2), delay_line(2) ** 2], axis=1)
    found = information_processing_capacity(states, U, 4, 3)
    figure = plot_information_processing_capacity({"both": found, "line": memory_capacity(delay_line(2), U, 4)})
    bars = figure.axes[0].patches
    assert [bar.get_height() for bar in bars] == pytest.approx([2, 2, 0, 2], abs=0.02)
    assert bars[1].get_y() == pytest.approx(2, abs=0.02)
    assert [text.get_text() for text in figure.axes[0].get_legend().texts] == ["degree 1", "degree 2", "degree 3"]
    figure.savefig(tmp_path / "capacity.png")


@pytest.mark.parametrize("plot", [plot_memory_capacity, plot_information_processing_capacity])
def test_one_capacity_needs_no_name(plot):
    assert isinstance(plot(memory_capacity(delay_line(3), U, 6)), Figure)


def test_capacities_load_neither_matplotlib_nor_scipy():
    code = "import sys, qml.capacity; print(sorted({'matplotlib', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
