"""qml.diagnose and what it is made of, against closed forms and dense matrices."""

import re

import dense
import numpy as np
import pytest
import torch
from tolerances import close

import qml
from backends import Aer
from circuits import CX, RX, RY, RZ, Circuit, H, Probabilities, amplitudes, inputs, pauli, weights, z_each
from circuits.templates import angle_encoding, data_reuploading, simplified_two_design, strongly_entangling
from qml import ParallelCircuits, QuantumLayer, diagnose
from qml.diagnostics import (
    barren_plateau,
    expressibility,
    fisher,
    fourier_reach,
    gradient_variance,
    meyer_wallach,
    shot_noise,
)

x, w = inputs(2), weights(4)
NO_ROWS = torch.zeros(1, 0, dtype=torch.float64)


def fixed(*values):
    """An init that gives these weights."""
    return lambda tensor: tensor.copy_(torch.tensor(values))


def of_ry(n):
    return Circuit(n, [RY(angle, q) for q, angle in enumerate(weights(n))], n_weights=n)


def word(letter, n):
    return " ".join(f"{letter}{q}" for q in range(n))


# --- gradients -------------------------------------------------------------------------------------------------------


def test_a_global_readout_of_independent_qubits_halves_the_variance_per_qubit():
    """``Var[sin w_k prod cos w_j] = 2^-n``."""
    found = barren_plateau(lambda n, _: QuantumLayer(of_ry(n), word("Z", n)), (1, 2, 3, 4, 5), (1,), n_draws=2000)
    assert found.variances[0] == pytest.approx([2.0**-n for n in found.widths], rel=0.2)
    (slope,) = found.slopes
    assert slope.value == pytest.approx(-1, abs=0.05) and slope.low < slope.value < slope.high < -0.9


def test_a_local_readout_of_independent_qubits_keeps_its_variance():
    """Pairs of a readout and a weight that it does not depend on do not count."""
    found = barren_plateau(lambda n, _: of_ry(n), (1, 2, 3, 4, 5), (1,), n_draws=1000)
    assert found.variances[0] == pytest.approx([0.5] * 5, rel=0.1)
    assert abs(found.slopes[0].value) < 0.05


def test_a_global_readout_of_a_deep_random_circuit_decays_exponentially():
    def template(n, n_layers):
        return QuantumLayer(simplified_two_design(n, n_layers), word("Z", n))

    found = barren_plateau(template, (2, 3, 4, 5, 6), (12,), n_draws=60)
    assert found.slopes[0].high < -0.5


def test_the_interval_is_that_of_least_squares():
    import statsmodels.api as sm

    found = barren_plateau(lambda n, _: QuantumLayer(of_ry(n), word("Z", n)), (1, 2, 4), (1,), n_draws=10)
    fitted = sm.OLS(np.log2(found.variances[0]), sm.add_constant([1, 2, 4])).fit()
    assert [*found.slopes[0]] == pytest.approx([fitted.params[1], *fitted.conf_int()[1]])


def test_two_widths_have_a_slope_without_an_interval():
    (slope,) = barren_plateau(lambda n, _: of_ry(n), (1, 2), (1,), n_draws=10).slopes
    assert np.isfinite(slope.value) and np.isnan(slope.low) and np.isnan(slope.high)


def test_the_layers_own_first_weights_count():
    small = QuantumLayer(of_ry(1), "Z0", init=lambda tensor: tensor.normal_(0, 0.01))
    assert gradient_variance(small) == pytest.approx(1e-4, rel=0.5)
    assert gradient_variance(QuantumLayer(of_ry(1), "Y0")) == 0


def test_another_thing_from_a_template_is_refused():
    with pytest.raises(TypeError, match=r"got int from the template, expected a QuantumLayer or a Circuit: template="):
        barren_plateau(lambda n, _: n)


# --- states ----------------------------------------------------------------------------------------------------------


def test_expressibility_of_an_idle_circuit():
    """All fidelities are 1, in the last of 75 bins, where Haar-random pairs have 75^-(N-1)."""
    for n in (1, 2):
        idle = Circuit(n, [RZ(w[0], 0)], n_weights=1)
        assert expressibility(idle, n_pairs=100).kl == pytest.approx((2**n - 1) * np.log(75))


def test_expressibility_of_a_circle_of_states():
    """H and RZ: F = cos²(Δ/2) has the arcsine law, Haar's of one qubit is even."""
    circle = Circuit(1, [H(0), RZ(w[0], 0)], n_weights=1)
    shares = np.diff(2 / np.pi * np.arcsin(np.sqrt(np.linspace(0, 1, 76))))
    expected = np.sum(shares * np.log(shares * 75))
    found = expressibility(circle, n_pairs=20_000)
    assert found.kl == pytest.approx(expected, abs=0.02) and found.haar == pytest.approx(np.full(75, 1 / 75))


def test_haar_random_states_are_near_0_whatever_their_number():
    found = expressibility(strongly_entangling(3, 5))
    assert found.kl < 3 * found.chance and found.haar.sum() == pytest.approx(1)
    assert np.isfinite(expressibility(of_ry(10), n_pairs=50).kl)


def test_both_states_of_a_pair_have_the_same_sample():
    """An encoding alone, whatever its features, is an idle circuit."""
    circuit = Circuit(1, [RY(x[0], 0), RZ(0 * w[0], 0)], 2, 1)
    assert expressibility(circuit, n_pairs=50).kl == pytest.approx(np.log(75))


def test_meyer_wallach_of_known_states():
    ghz = torch.zeros(16, dtype=torch.complex128)
    ghz[[0, -1]] = 0.5**0.5
    single = torch.zeros(16, dtype=torch.complex128)
    single[[1, 2, 4, 8]] = 0.5  # the W state: ρ = diag(3/4, 1/4)
    product = torch.ones(16, dtype=torch.complex128) / 4
    found = meyer_wallach(torch.stack([ghz, single, product]))
    assert close(found, torch.tensor([1, 2 * (1 - 10 / 16), 0], dtype=torch.float64), 1e-12)


def test_meyer_wallach_of_random_states_by_partial_traces():
    rng = np.random.default_rng(0)
    states = rng.normal(size=(300, 8)) + 1j * rng.normal(size=(300, 8))
    states /= np.linalg.norm(states, axis=1)[:, None]
    tensors = states.reshape(-1, 2, 2, 2)
    subscripts = ("nabc,ndbc->nad", "nabc,nadc->nbd", "nabc,nabd->ncd")
    purities = [np.square(np.abs(np.einsum(s, tensors, tensors.conj()))).sum((1, 2)) for s in subscripts]
    found = meyer_wallach(torch.tensor(states)).numpy()
    assert found == pytest.approx(2 * (1 - np.mean(purities, 0))) and found.mean() == pytest.approx(6 / 9, abs=0.03)


# --- frequencies -----------------------------------------------------------------------------------------------------


def reach(layer, rows=None, y=None):
    rows = torch.rand(50, layer.in_features, dtype=torch.float64) if rows is None else rows
    return fourier_reach(layer, rows, y)


def test_ry_alone_is_a_cosine():
    (found,) = reach(QuantumLayer(Circuit(1, [RY(3 * x[0], 0)], 1, 0), "Z0"))
    assert found.frequencies == pytest.approx([3]) and found.amplitudes == pytest.approx([1])


def test_a_frequency_that_the_gates_allow_but_no_readout_has_is_not_reached():
    (found,) = reach(QuantumLayer(Circuit(1, [RY(x[0], 0), RY(x[0], 0)], 1, 0), "Z0"))
    assert found.frequencies == pytest.approx([2])  # and not 1
    (found,) = reach(QuantumLayer(Circuit(1, [RZ(x[0], 0)], 1, 0), "Z0"))
    assert not len(found.frequencies)


def test_uploading_l_times_reaches_l_frequencies():
    (found,) = reach(QuantumLayer(data_reuploading(1, 4, 1, scaling=False), "Z0"))
    assert found.frequencies == pytest.approx([1, 2, 3, 4])


def test_frequencies_that_are_no_lattice():
    """cos(x) cos(√2 x) has the frequencies √2 ± 1, each with amplitude 1/2."""
    circuit = Circuit(2, [RY(x[0], 0), RY(2**0.5 * x[0], 1)], 1, 0)
    (found,) = reach(QuantumLayer(circuit, "Z0 Z1"))
    assert found.frequencies == pytest.approx([2**0.5 - 1, 2**0.5 + 1])
    assert found.amplitudes == pytest.approx([0.5, 0.5], rel=1e-3)


def test_trained_scales_are_those_of_the_layer():
    circuit = Circuit(2, [RY(x[0] * w[0], 0), RX(w[1], 0), RY(x[1], 1)], 2, 2)
    one, other = reach(QuantumLayer(circuit, init=fixed(2.5, 0.3)))
    assert one.frequencies == pytest.approx([2.5]) and other.frequencies == pytest.approx([1])


def test_angles_that_are_not_affine_have_no_series():
    assert reach(QuantumLayer(Circuit(2, [RY(x[0] * x[1], 0)], 2, 0))) is None


def targets(function, n=400, noise=0.0):
    rng = np.random.default_rng(0)
    rows = rng.uniform(0, 2 * np.pi, (n, 1))
    rows[:2, 0] = 0, 2 * np.pi
    layer = QuantumLayer(Circuit(1, [RY(3 * x[0], 0)], 1, 0))
    y = function(rows) + noise * rng.normal(size=(n, 1))
    return reach(layer, torch.tensor(rows), y)[0]


def test_frequencies_of_the_targets():
    found = targets(lambda rows: np.sin(5 * rows))
    assert found.needed == pytest.approx([5]) and found.shares == pytest.approx([1], abs=0.05)
    assert not found.reached.any()
    found = targets(lambda rows: np.cos(3 * rows) + 0.5 * np.sin(7 * rows), noise=0.3)
    assert found.needed == pytest.approx([3, 7]) and list(found.reached) == [True, False]
    assert found.shares == pytest.approx(np.array([0.5, 0.125]) / (0.625 + 0.09), abs=0.06)


def test_a_trend_is_no_wave_and_noise_is_nothing():
    found = targets(lambda rows: 2 * rows)
    assert found.needed == pytest.approx([0]) and found.reached.all()
    assert not len(targets(lambda rows: 0 * rows, noise=1.0).needed)


def test_a_feature_of_few_values_has_no_frequencies():
    rows = torch.tensor([[0.0], [1.0]] * 50, dtype=torch.float64)
    (found,) = reach(QuantumLayer(Circuit(1, [RY(x[0], 0)], 1, 0)), rows, rows.numpy())
    assert not len(found.needed) and found.span == 1


# --- weights ---------------------------------------------------------------------------------------------------------


def test_fisher_rank_of_two_turns_about_one_axis_is_1():
    circuit = Circuit(1, [RX(w[0], 0), RX(w[1], 0)], n_weights=2)
    found = fisher(circuit, (pauli("Z0"), pauli("Y0")), NO_ROWS)
    assert found.rank == 1 and found.dead == () and found.eigenvalues == pytest.approx([2, 0], abs=1e-12)


def test_a_weight_after_the_last_light_cone_is_dead():
    circuit = Circuit(2, [RY(w[0], 0), CX(0, 1), RY(w[1], 1), RZ(w[2], 0)], n_weights=3)
    found = fisher(circuit, (pauli("Z0"),), NO_ROWS)
    assert found.rank == 1 and found.dead == (1, 2)
    assert fisher(circuit, z_each(2), NO_ROWS).dead == (2,)


def test_fisher_rank_by_finite_differences_of_dense_matrices():
    circuit = angle_encoding(2, "Y") + strongly_entangling(2, 2)
    rows = np.random.default_rng(1).uniform(-2, 2, (12, 2))

    def outputs(values):
        return np.concatenate([dense.expectation(circuit, row, values, z_each(2)) for row in rows])

    at = np.random.default_rng(0).uniform(0, 6, circuit.n_weights)
    slopes = [(outputs(at + step) - outputs(at - step)) / 2e-5 for step in 1e-5 * np.eye(len(at))]
    found = fisher(circuit, z_each(2), torch.tensor(rows))
    assert found.rank == np.linalg.matrix_rank(np.array(slopes), tol=1e-6) < circuit.n_weights
    assert found.n_rows == 24


@pytest.mark.parametrize("scale", [1, 3])
def test_shot_noise_of_one_rotation(scale):
    """``f = cos(s w)``: the shift rule's error is s |cos(s w)| / sqrt(2 shots)."""
    layer = QuantumLayer(Circuit(1, [RY(scale * w[0], 0)], n_weights=1), "Z0", init=fixed(0.7))
    found = shot_noise(layer, None, 100)
    assert found.signal.item() == pytest.approx(scale * np.sin(scale * 0.7))
    assert found.noise.item() == pytest.approx(scale * abs(np.cos(scale * 0.7)) / 200**0.5)
    assert found.ratio.item() == pytest.approx(found.signal.item() / found.noise.item())


def test_shot_noise_is_that_of_gradients_on_aer():
    """The spread of 300 gradients by parameter shift, a weight in two gates, a controlled rotation among them."""
    pytest.importorskip("qiskit_aer")
    from circuits import CRX

    ops = [RY(w[0], 0), CRX(w[1], 0, 1), RY(0.5 * w[0] + w[1], 1), CX(1, 0)]
    values = (0.4, 1.1)
    layer = QuantumLayer(Circuit(2, ops, n_weights=2), ["Z0", "X0 Z1"], init=fixed(*values))
    expected = shot_noise(layer, None, 200)
    own = torch.tensor(values, dtype=torch.float64).expand(300, 2).clone().requires_grad_()
    sampled = Aer(shots=200, seed=0).expectation(layer.circuit, None, own, layer.observables)
    found = [torch.autograd.grad(column.sum(), own, retain_graph=True)[0] for column in sampled.unbind(1)]
    spread = torch.stack(found).std(1).numpy()
    assert spread == pytest.approx(expected.noise, rel=0.15)
    assert torch.stack(found).mean(1).abs().numpy() == pytest.approx(expected.signal, abs=4 * expected.noise.max() / 17)


def test_noise_of_sums_is_at_least_the_exact_one_and_that_of_probabilities_exact():
    circuit = Circuit(1, [RY(w[0], 0)], n_weights=1)
    one = shot_noise(QuantumLayer(circuit, 0.5 * pauli("Z0") + 2, init=fixed(0.7)), None, 100)
    assert one.noise.item() == pytest.approx(np.cos(0.7) / 2 / 200**0.5)
    both = shot_noise(QuantumLayer(circuit, Probabilities((0,)), init=fixed(0.7)), None, 100)
    assert both.noise[:, 0] == pytest.approx([one.noise.item()] * 2)
    total = shot_noise(QuantumLayer(circuit, pauli("Z0") + pauli("X0"), init=fixed(0.7)), None, 100)
    shifted = 0.7 + np.array([1, -1]) * np.pi / 2
    exact = np.sum(np.sin(shifted) ** 2 + np.cos(shifted) ** 2) / 4 / 100  # two bases, 1 - <Z>² and 1 - <X>²
    assert total.noise.item() ** 2 >= exact


def test_dead_weights_have_no_ratio():
    layer = QuantumLayer(Circuit(2, [RY(w[0], 0), RY(w[1], 1)], n_weights=2), "Z0")
    assert list(np.isnan(shot_noise(layer, None, 10).ratio)) == [False, True]


def test_start_states_are_diagnosed():
    circuit = Circuit(1, [amplitudes([x[0], x[1]], 0), RY(w[0], 0)], 2, 1)
    rows = torch.tensor([[0.6, 0.8]], dtype=torch.float64)
    found = shot_noise(QuantumLayer(circuit, init=fixed(0.7)), rows, 100)
    assert found.signal.item() == pytest.approx(np.sin(0.7 + 2 * np.arctan2(0.8, 0.6)))


# --- all together ----------------------------------------------------------------------------------------------------

LAYER = QuantumLayer(angle_encoding(2, "Y") + strongly_entangling(2, 2), z_each(2))
X = np.random.default_rng(0).uniform(0, 2 * np.pi, (60, 2)).astype(np.float32)
X[:2] = [0], [2 * np.pi]


def changes(layer, data=None, **options):
    return {line.name: f"{line.found}: {line.change}" for line in diagnose(layer, data, **options).lines}


@pytest.fixture(scope="module")
def diagnosis():
    return diagnose(
        LAYER, (X, np.sin(4 * X[:, 0])), template=lambda n, depth: strongly_entangling(n, depth), depths=(6,)
    )


def test_every_line_says_what_to_change(diagnosis):
    names = ("gradient variance", "barren plateau", "expressibility", "entanglement", "Fourier reach", "Fisher rank")
    assert tuple(line.name for line in diagnosis.lines) == (*names, "gradient signal to noise")
    assert all(line.found and line.change.endswith(".") for line in diagnosis.lines)
    found = {line.name: line for line in diagnosis.lines}
    assert found["Fourier reach"].found == "up to 1; targets have 4 in x[0] too"
    assert found["Fourier reach"].change.startswith("Multiply features by up to ")
    assert re.match(r"variance × 0\.\d+ per qubit \(95 % interval .* to .*\), 6 layers", found["barren plateau"].found)
    assert "ten qubits more need" in found["barren plateau"].change
    assert "Remove 2 dead weights" in found["Fisher rank"].change
    assert "at 1,024 shots" in found["gradient signal to noise"].found


def test_table_markdown_and_figure(diagnosis):
    text, rows = str(diagnosis), diagnosis.markdown().splitlines()
    assert "what to change" in text and "Meyer-Wallach" in text
    assert len(rows) == 9 and all(row.count("|") == 4 for row in rows)
    assert diagnosis._repr_markdown_() == diagnosis.markdown()
    figure = diagnosis.figure()
    assert len(figure.axes) == 6 and all(axes.get_title() and axes.get_xlabel() for axes in figure.axes)
    figure.draw_without_rendering()


def test_a_diagnosis_is_that_of_its_seed_and_changes_nothing(diagnosis):
    before, state = LAYER.weights.detach().clone(), torch.get_rng_state()
    again = diagnose(LAYER, (torch.tensor(X), np.sin(4 * X[:, 0])))
    assert again.variance == diagnosis.variance and again.expressibility.kl == diagnosis.expressibility.kl
    assert np.array_equal(again.noise.signal, diagnosis.noise.signal)
    assert torch.equal(before, LAYER.weights) and torch.equal(state, torch.get_rng_state())
    assert LAYER.weights.grad is None
    assert diagnose(LAYER, X, seed=1).variance != again.variance
    with torch.no_grad():
        assert diagnose(LAYER, X).variance == again.variance


def test_without_template_or_features_it_says_so():
    found = changes(QuantumLayer(of_ry(2)))
    assert "not measured: Give template=" in found["barren plateau"]
    assert "no Fourier series: None" in found["Fourier reach"]
    figure = diagnose(QuantumLayer(of_ry(2))).figure()
    figure.draw_without_rendering()


def test_what_is_said_of_features():
    def said(circuit, rows, y=None):
        return changes(QuantumLayer(circuit), (rows, y) if y is not None else rows)["Fourier reach"]

    one = Circuit(1, [RY(x[0], 0), RX(w[0], 0)], 1, 1)
    small = np.linspace(0, 1, 50)[:, None]
    assert "x[0] turns less than a quarter: The layer is almost linear in it: scale it up." in said(one, small)
    assert "x[0] turns more than once: Samples a turn apart look the same" in said(one, 30 * small)
    assert said(one, 3 * small) == "up to 1: Nothing; targets say what is needed."
    assert said(one, 6.28 * small, np.cos(6.28 * small)) == "up to 1: Nothing."
    idle = Circuit(1, [RY(x[0], 0), RX(w[0], 0)], 2, 1)
    assert "The output does not depend on x[1]: encode them" in said(idle, np.tile(small, 2))
    two = Circuit(2, [RY(x[0], 0), RY(3 * x[1], 1), RX(w[0], 0)], 2, 1)
    assert "frequencies up to 1 to 3" in said(two, 3 * np.tile(small, 2))
    high = Circuit(1, [RY(9 * x[0], 0), RX(w[0], 0)], 1, 1)
    assert "Frequencies in between are missing" in said(high, 6.28 * small, np.cos(2 * 6.28 * small))
    classes = (np.cos(5 * 6.28 * small[:, 0]) > 0).astype(int)
    assert "Multiply features by up to 5, or upload them 5 times as often, or train scales." in said(
        one, 6.28 * small, classes
    )


def test_what_is_said_of_states():
    idle = changes(QuantumLayer(Circuit(2, [RY(w[0], 0), RZ(w[1], 1)], n_weights=2)))
    assert "It reaches a small part of the states" in idle["expressibility"]
    assert "Hardly any: compare with circuit.separable()" in idle["entanglement"]
    assert changes(QuantumLayer(of_ry(1)))["entanglement"] == "none: one qubit: Nothing."
    wide = changes(QuantumLayer(strongly_entangling(8, 2)))
    assert "it tells little on so many qubits" in wide["expressibility"]
    deep = changes(QuantumLayer(strongly_entangling(3, 6)))
    assert "As even as random states" in deep["expressibility"] and "As much as random states" in deep["entanglement"]


def test_what_is_said_of_weights_and_shots():
    twice = Circuit(1, [RX(w[0], 0), RX(w[1], 0)], n_weights=2)
    assert "1 more can go" in changes(QuantumLayer(twice, ["Z0", "Y0"]))["Fisher rank"]
    assert "No more than 1 readouts of samples" in changes(QuantumLayer(twice, ["Z0"]))["Fisher rank"]
    flat = changes(QuantumLayer(of_ry(1), "Y0"), template=lambda n, _: QuantumLayer(of_ry(n), "Y0"))
    assert "No weight moves any readout" in flat["gradient variance"]
    assert "See which weights reach" in flat["gradient signal to noise"] and "See which" in flat["barren plateau"]
    near = QuantumLayer(of_ry(1), "Z0", init=fixed(0.01))
    assert "5,000 shots for 1" in changes(near, shots=100)["gradient signal to noise"]
    assert "Nothing; 1 shots would give 1" in changes(QuantumLayer(of_ry(1)), shots=7)["gradient signal to noise"]
    small = QuantumLayer(of_ry(1), "Z0", init=lambda tensor: tensor.normal_(0, 1e-3))
    assert "Too small to train by shots" in changes(small)["gradient variance"]
    kept = changes(QuantumLayer(of_ry(1)), template=lambda n, _: of_ry(n), depths=(1,))["barren plateau"]
    assert kept.endswith("1 layers: Nothing, on these widths.")


def test_first_weights_that_are_all_alike_have_no_variance_but_live():
    found = changes(
        QuantumLayer(of_ry(2), init=fixed(0.3, 0.4)), template=lambda n, _: QuantumLayer(of_ry(n), init=ones)
    )
    assert "First weights and samples are all alike" in found["gradient variance"]
    assert "no gradient that varies" in found["barren plateau"] and "dead" not in found["Fisher rank"]


def ones(tensor):
    return tensor.fill_(1.0)


def test_the_circuits_of_a_layer_of_several_are_diagnosed():
    parallel = ParallelCircuits(angle_encoding(2, "Y") + strongly_entangling(2, 1), 3)
    assert len(diagnose(parallel.quantum, X).lines) == 7


def test_shots_are_those_of_the_backend():
    pytest.importorskip("qiskit_aer")
    layer = QuantumLayer(of_ry(1), backend=Aer(shots=77))
    assert diagnose(layer).noise.shots == 77 and diagnose(layer, shots=5).noise.shots == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.nn.Linear(2, 2), X), r"got Linear to diagnose, expected a QuantumLayer: give the one in the model"),
        ((LAYER,), r"got no data, expected features of shape \(n, 2\): diagnose\(layer, X\)"),
        ((LAYER, X[:, :1]), r"got features of shape \(60, 1\), expected \(n, 2\), n > 0: those that reach the layer"),
        ((LAYER, X[:0]), r"got features of shape \(0, 2\), expected \(n, 2\), n > 0"),
        ((LAYER, X * np.nan), "got NaN or infinite features, expected finite numbers: fill or drop them"),
        ((LAYER, (X, X[:5, 0])), r"got targets of shape \(5,\) for 60 samples, expected finite ones, \(n,\) or"),
        ((QuantumLayer(angle_encoding(2)), X), "got a circuit without weights, expected some: there is nothing to"),
    ],
)
def test_what_cannot_be_diagnosed(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        diagnose(*arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shots": 0}, "got shots=0, expected an integer of at least 1"),
        ({"widths": (2, 2)}, r"got widths=\(2, 2\) and depths=\(1, 4, 16\), expected two widths and a depth at least"),
        ({"widths": (0, 2)}, "got widths=0, expected an integer of at least 1"),
        ({"depths": ()}, r"depths=\(\), expected two widths and a depth at least"),
    ],
)
def test_sizes_that_cannot_be_built(options, message):
    with pytest.raises(ValueError, match=message):
        diagnose(LAYER, X, template=strongly_entangling, **options)


def test_it_is_exported():
    assert qml.diagnose is diagnose
