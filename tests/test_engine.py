"""The fast path on CPUs against the dense oracle (outputs) and the torch operations (gradients).

Tolerances for numbers of order one: outputs 1e-5 in float32 and 1e-12 in float64; gradients, sums of many terms,
1e-4 and 1e-11, times the largest of them where that is more than one.
"""

import dense
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import QUICK, haar_unitary, random_circuits
from tolerances import atol, close

from backends import Statevector, identity
from backends.statevector import STATES_IN_FLIGHT, buffers, engine, fusion, kinds, tiles
from backends.statevector.engine import make_plan
from backends.statevector.fusion import fuse
from circuits import (
    CCZ,
    CRX,
    CX,
    CZ,
    RX,
    RY,
    RZ,
    RZZ,
    SWAP,
    Circuit,
    H,
    P,
    PauliRot,
    Probabilities,
    amplitudes,
    inputs,
    pauli,
    unitary,
    weights,
    z_each,
)

dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    """Memory that is not initialised holds NaN, whose bytes may all be 255."""
    monkeypatch.setattr(buffers, "_take", lambda size: np.full(size, 255, np.uint8))


@pytest.fixture(autouse=True)
def own_plans():
    """No plan of another form is found in the cache, and none is left there."""
    identity._value.cache_clear()
    yield
    identity._value.cache_clear()


#: How the state is laid out: whether lanes are amplitudes, the bits of a tile, those from which on rotations run in
#: groups, and the qubits from which on turns about Z are kept apart.
FORMS = {
    "samples": (False, 10, 8, 8),
    "groups of samples": (False, 10, 2, 1),
    "amplitudes": (True, 10, 8, 8),
    "small tiles": (True, 3, 2, 1),
}


def set_form(monkeypatch, name):
    """Let every plan made from now on have one form."""
    by_amplitudes, bits, pair_bits, apart_qubits = FORMS[name]
    monkeypatch.setattr(fusion, "APART_QUBITS", apart_qubits)
    monkeypatch.setattr(tiles, "PAIR_BITS", pair_bits)
    monkeypatch.setattr(engine, "LOCAL_BITS", (bits,))
    monkeypatch.setattr(engine, "FEW_QUBITS", 1 if by_amplitudes else 99)
    monkeypatch.setattr(engine, "MANY_QUBITS", 0 if by_amplitudes else 99)


@pytest.fixture(params=FORMS)
def form(request, monkeypatch):
    set_form(monkeypatch, request.param)
    return request.param


def tensors(circuit, seed, *batch, dtype=torch.float64, per_sample=False):
    """Features (*batch, n_inputs) and weights (n_weights,), or (*batch, n_weights), that want gradients."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, (*batch, circuit.n_inputs))
    w = rng.uniform(-2, 2, (*(batch if per_sample else ()), circuit.n_weights))
    return [torch.tensor(t, dtype=dtype, requires_grad=True) for t in (x, w)]


def words_of(n_qubits, seed, n_terms=3):
    """A random sum of Pauli words, and one word."""
    letters = np.random.default_rng(seed).choice(list("IXYZ"), (n_terms + 1, n_qubits))
    found = [pauli(" ".join(f"{p}{q}" for q, p in enumerate(row))) for row in letters]
    return sum((k - 0.7) * word for k, word in enumerate(found[1:])), found[0]


def exact(circuit, readout, x, w):
    """Readouts by whole-space matrices, row by row."""
    w = w.detach().expand(len(x), -1).numpy()
    read = dense.probabilities if isinstance(readout, Probabilities) else dense.expectation
    last = readout.qubits if isinstance(readout, Probabilities) else readout
    return np.array([read(circuit, *row, last) for row in zip(x.detach().numpy(), w, strict=True)])


def slopes(run, x, w, seed=0):
    """Outputs of a function, and gradients of a random combination of them."""
    y = run(x, w)
    mix = torch.tensor(np.random.default_rng(seed).normal(size=y.shape), dtype=y.dtype)
    wanted = [t for t in (x, w) if t.requires_grad and t.numel()]
    return y.detach(), torch.autograd.grad((y * mix).sum() + 0 * sum(t.sum() for t in wanted), wanted) if wanted else ()


def on_torch(circuit, readout):
    return lambda x, w: Statevector("backprop").expectation(circuit, x, w, readout)


def compare(circuit, readout, x, w, against_dense=True):
    """Outputs and gradients of the engine are right; returns the plan."""
    rows = w if w.ndim > 1 else w[None]
    plan = make_plan(circuit, readout, len(rows) == 1, x.dtype)
    found, gradients = slopes(lambda x, w: plan.run(x, w if w.ndim > 1 else w[None]), x, w)
    doubles = [t.detach().double().requires_grad_(t.requires_grad) for t in (x, w)]
    want, wanted = slopes(on_torch(circuit, readout), *doubles)
    assert found.dtype == x.dtype and close(found, want, atol(x.dtype))
    if against_dense:
        assert close(found, exact(circuit, readout, *doubles), atol(x.dtype))
    for a, b in zip(gradients, wanted, strict=True):
        assert a.dtype == x.dtype and close(a, b, 10 * atol(x.dtype) * max(1.0, b.abs().max().item()))
    return plan


# Random circuits over the whole gate set.

x, w = inputs(4), weights(6)


@pytest.mark.parametrize(
    "name, n_qubits",
    [("samples", (1, 6)), ("groups of samples", (2, 6)), ("amplitudes", (5, 6)), ("small tiles", (6, 7))],
)
@dtypes
def test_random_circuits(monkeypatch, name, n_qubits, dtype):
    set_form(monkeypatch, name)
    lanes = 64 // torch.empty(0, dtype=dtype).element_size()

    @settings(QUICK, max_examples=25)
    @given(random_circuits(n_qubits, max_ops=10, with_amplitudes=True), st.integers(0, 99))
    def check(circuit, seed):
        n = circuit.n_qubits
        readout = Probabilities((n - 1, 0)[: min(n, 2)]) if seed % 4 == 0 else (*words_of(n, seed), *z_each(n))
        plan = compare(circuit, readout, *tensors(circuit, seed, 1 + seed % 5, dtype=dtype))
        assert plan.by_samples(3) == ("samples" in name or not plan.segments)
        assert plan.segments or "samples" in name or 2**n < 8 * lanes

    check()


# Sizes: n qubits, odd batches, tiles and segments.


def layered(n, n_layers=2):
    """Every qubit turned by features, weights and products of both, CNOTs that mix the masks, signs and matrices."""
    x, w = inputs(n), weights(2 * n)
    layer = [
        [[RY(x[q] * w[q], q), RX(w[n + q] + 0.3, q)] for q in range(n)],
        [CX(q, (q + 3) % n) for q in range(n)],
        [RZZ(x[0] + w[0], 0, n - 1), CCZ(1, n // 2, n - 2), PauliRot(w[1], "XYZ", 2, 0, n - 1), SWAP(0, n // 2)],
        [CRX(x[q] - w[q], q, q + 1) for q in range(0, n - 1, 3)],
        unitary(haar_unitary(2, 5), n - 1, 1),
    ]
    return Circuit(n, [layer] * n_layers, n, 2 * n)


SIZES = [(9, 1), (9, 7), (9, 33), (10, 3), (10, 17), (11, 7), (11, 33), (12, 3), (12, 17), (13, 1), (13, 7), (14, 2)]


@pytest.mark.parametrize("n, batch", SIZES)
@dtypes
def test_sizes(n, batch, dtype):
    circuit = layered(n, n_layers=1)
    plan = compare(
        circuit, (*words_of(n, 1), *z_each(n)), *tensors(circuit, 0, batch, dtype=dtype), against_dense=False
    )
    assert plan.segments  # amplitudes as lanes are possible; which form is taken, is a matter of speed


def of_layers(n, n_layers=3):
    """Layers whose turns about Z come in tables, rotations in threes, and CNOTs that mix the masks."""
    x, w = inputs(n), weights(n_layers * n)
    layers = [
        [
            [[RZ(x[q], q), RY(w[layer * n + q], q), RZ(x[q] * w[q] + 0.2, q)] for q in range(n)],
            [CX(q, (q + 1 + layer) % n) for q in range(n)],
            [RZZ(w[0], 0, n - 1), CZ(1, 2)],
        ]
        for layer in range(n_layers)
    ]
    return Circuit(n, [[RX(x[q], q) for q in range(n)], layers], n, n_layers * n)


@pytest.mark.parametrize("n, batch", [(8, 5), (9, 20), (12, 1), (12, 33), (13, 2), (14, 1)])
@pytest.mark.parametrize("pauli_words", [False, True])
@dtypes
def test_tables_of_phases_and_rotations_in_threes(n, batch, pauli_words, dtype):
    circuit = of_layers(n)
    readout = (*words_of(n, 1), *z_each(n)) if pauli_words else z_each(n)
    plan = compare(circuit, readout, *tensors(circuit, 0, batch, dtype=dtype), against_dense=False)
    form = [plan.samples] if plan.by_samples(batch) else plan.segments
    found = {kind for tables in form for kind in tables.ops[:, 0].tolist()}
    assert {kinds.PHASES, kinds.REAL_Y, kinds.Z_WORDS} <= found
    assert (kinds.ACROSS in found) == (not plan.by_samples(batch))


def test_both_forms_are_taken_by_default():
    plan = make_plan(layered(9, n_layers=1), z_each(9), True, torch.float32)
    assert {plan.by_samples(n_rows) for n_rows in (1, 64)} == {True, False}


@pytest.mark.parametrize("n, bits", [(8, 3), (9, 4), (10, 3), (10, 5)])
@dtypes
def test_many_segments_and_outer_tiles(monkeypatch, n, bits, dtype):
    set_form(monkeypatch, "amplitudes")
    monkeypatch.setattr(engine, "LOCAL_BITS", (bits,))
    circuit = layered(n)
    plan = compare(circuit, (*words_of(n, 2), *z_each(n)), *tensors(circuit, 0, 3, dtype=dtype), against_dense=False)
    assert len(plan.segments) > 4 and len(plan.segments[-1].outer) > 1 and not plan.by_samples(3)
    compare(circuit, Probabilities((n - 1, 0, 3)), *tensors(circuit, 1, 2, dtype=dtype), against_dense=False)


def test_an_operation_wider_than_a_tile(monkeypatch):
    set_form(monkeypatch, "small tiles")
    circuit = Circuit(7, [layered(7).ops, unitary(haar_unitary(4, 0), 5, 0, 3, 6), RX(x[0], 3)], 7, 14)
    assert not compare(circuit, z_each(7), *tensors(circuit, 0, 3)).segments


@pytest.mark.parametrize("batch", [1, 3, 7, 8, 9, 17, 33])
def test_odd_batches(form, batch):
    circuit = layered(6, n_layers=1)
    compare(circuit, (*words_of(6, 0), *z_each(6)), *tensors(circuit, batch, batch))
    compare(circuit, z_each(6), *tensors(circuit, batch, batch, per_sample=batch > 1))


# Readouts.

READOUTS = {
    "Z": z_each(6),
    "words of Z": (pauli("Z0 Z3"), pauli("Z1 Z2 Z5"), pauli("Z0 Z1 Z2 Z3 Z4 Z5")),
    "X and Y": (pauli("X0"), pauli("Y3"), pauli("X0 Y1 Z5"), pauli("Y0 Y1 Y2 Y3")),
    "sums": words_of(6, 7),
    "identity": (pauli(""), 0.5 * pauli("") - 2 * pauli("Z1"), pauli("X2") - pauli("X2") + pauli("Y2")),
    "more words than qubits": tuple(
        pauli(f"{p}{a} {q}{b}") for a in range(5) for b in (5,) for p in "XYZ" for q in "XZ"
    ),
    "one probability": Probabilities((4,)),
    "some probabilities": Probabilities((5, 0, 2)),
    "all probabilities": Probabilities((3, 5, 1, 0, 2, 4)),
}


@pytest.mark.parametrize("name", READOUTS)
def test_readouts(form, name):
    circuit = layered(6, n_layers=1)
    compare(circuit, READOUTS[name], *tensors(circuit, 0, 3))
    compare(circuit, READOUTS[name], *tensors(circuit, 0, 3, dtype=torch.float32))


# Start states, angles and weights of every kind.

AFTER = layered(6, n_layers=1).ops

CIRCUITS = {
    "start state": Circuit(6, [amplitudes(inputs(6)[:4], 4, 1), AFTER], 6, 12),
    "start states": Circuit(6, [amplitudes(inputs(6)[:2], 5), amplitudes([*weights(3), 0.4], 2, 0), AFTER], 6, 12),
    "whole start state": Circuit(6, [amplitudes([1 + x[k % 4] * k for k in range(64)], *range(6)), AFTER], 6, 12),
    "functions": Circuit(
        6, [[RX(np.sin(x[0]), q), RZ(np.exp(np.cos(x[1] * w[q])), q)] for q in range(6)] + [AFTER], 6, 12
    ),
    "products": Circuit(
        6, [AFTER, [[RX(x[0] * x[1] * w[q] - x[0] ** 2, q), RY(w[0] * w[0], q)] for q in range(6)]], 6, 12
    ),
    "constants": Circuit(6, [AFTER, [[RX(0.3, q), H(q), CZ(q, (q + 1) % 6), P(0.2, q)] for q in range(6)]], 6, 12),
    "weights alone": Circuit(6, [[RX(w[q], q), RY(0.5 * w[q] + w[0], q)] for q in range(6)] + [CX(0, 5)], 0, 6),
    "features alone": Circuit(6, [[RX(x[q % 4], q), RY(x[0] - 1, q)] for q in range(6)] + [CX(0, 5)], 4),
}


@pytest.mark.parametrize("name", CIRCUITS)
@pytest.mark.parametrize("per_sample", [False, True], ids=["shared weights", "weights of every sample"])
def test_angles_and_start_states(form, name, per_sample):
    circuit, readout = CIRCUITS[name], (*words_of(6, 3), *z_each(6))
    compare(circuit, readout, *tensors(circuit, 0, 3, per_sample=per_sample))
    compare(circuit, readout, *tensors(circuit, 0, 3, dtype=torch.float32, per_sample=per_sample))


@pytest.mark.parametrize("frozen", [0, 1], ids=["features", "weights"])
@pytest.mark.parametrize("name", ["start states", "functions"])
def test_what_is_frozen_has_no_gradient(form, name, frozen):
    given = tensors(CIRCUITS[name], 0, 3)
    given[frozen].requires_grad_(False)
    compare(CIRCUITS[name], z_each(6), *given)
    Statevector().expectation(CIRCUITS[name], *given, z_each(6)).sum().backward()
    assert given[frozen].grad is None and given[1 - frozen].grad is not None


def test_rows_that_are_not_neighbours_in_memory(form):
    circuit = layered(6, n_layers=1)
    samples, angles = (t.detach() for t in tensors(circuit, 0, 3))
    want = Statevector().expectation(circuit, samples, angles, z_each(6))
    apart = Statevector().expectation(circuit, samples.T.contiguous().T, angles.repeat(2)[:12], z_each(6))
    assert torch.equal(apart, want)
    spread = Statevector().expectation(circuit, samples[:1].expand(3, -1), angles, z_each(6))
    assert close(spread, want[:1].expand(3, -1), 1e-15)


# Backward again.

SMALL = Circuit(
    6, [RX(x[0], 0), RY(x[1] * w[0], 1), CX(0, 1), CRX(w[1], 1, 2), H(5), CX(5, 0), RZ(np.sin(x[0]), 0)], 2, 2
)
SMALL_READOUT = (pauli("X0 Y1"), pauli("Z0 Z2"))


@pytest.mark.parametrize("readout", [SMALL_READOUT, Probabilities((2, 0))], ids=["words", "outcomes"])
def test_backward_passes_agree(form, readout):
    features, angles = tensors(SMALL, 0, 3)
    value = Statevector().expectation(SMALL, features, angles, readout).square().sum()
    first, *others = (torch.autograd.grad(value, (features, angles), retain_graph=more) for more in (True, True, False))
    assert all(torch.equal(a, b) for other in others for a, b in zip(first, other, strict=True))
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        torch.autograd.grad(value, (features, angles))


def test_weights_changed_before_the_backward_pass(form):
    features, angles = tensors(SMALL, 0, 3)
    value = Statevector().expectation(SMALL, features, angles, SMALL_READOUT).sum()
    with torch.no_grad():
        angles.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


def test_first_and_second_derivatives_are_exact(form):
    def function(features, angles):
        return Statevector().expectation(SMALL, features, angles, SMALL_READOUT)

    given = tensors(SMALL, 0, 2)
    assert torch.autograd.gradcheck(function, given)
    assert torch.autograd.gradgradcheck(function, given)
    per_sample = tensors(SMALL, 1, 2, per_sample=True)
    assert torch.autograd.gradcheck(function, per_sample)


def test_gradients_with_and_without_create_graph_agree(form):
    given = tensors(SMALL, 0, 3)
    value = Statevector().expectation(SMALL, *given, SMALL_READOUT).square().sum()
    exact = torch.autograd.grad(value, given, create_graph=True)
    for a, b in zip(exact, torch.autograd.grad(value, given), strict=True):
        assert a.requires_grad and not b.requires_grad and close(a, b, 1e-12)


@pytest.mark.parametrize("n_local", [3, 5, 6])
def test_lines_are_the_addresses_of_a_tile(n_local):
    """Registers of neighbours, rising; none where the lowest bits are neither lanes nor all local."""
    found = set()
    for segment in tiles.split(fuse(layered(9, n_layers=2), z_each(9)), 4, n_local):
        lines, wanted = engine._lines(segment), np.sort((segment.local[:, None] ^ segment.lanes).ravel())
        found.add(segment.layout)
        assert np.array_equal((lines[:, None] + np.arange(4)).ravel(), wanted if len(lines) else [])
        assert (len(lines) == 0) == (segment.layout == kinds.SCATTERED)
    assert len(found) > 1 or n_local == 6


@pytest.mark.parametrize(
    "readout, expected", [(z_each(13), True), (Probabilities((0,)), False)], ids=["words", "outcomes"]
)
def test_states_stay_in_the_tiles_where_no_outcome_is_read(readout, expected):
    plan = make_plan(layered(13), readout, True, torch.float32)
    *before, last = (len(tables.lines) > 0 for tables in plan.segments)
    assert last == expected and not any(before)


# NaN and infinity.


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["start states", "functions", "products"])
def test_a_feature_that_is_no_number_spoils_its_own_row(form, name, value):
    readout = (*words_of(6, 3), *z_each(6))
    features, angles = tensors(CIRCUITS[name], 0, 5)
    want = Statevector("backprop").expectation(CIRCUITS[name], features, angles, readout)
    wanted = torch.autograd.grad(want.sum(), features)[0][[0, 1, 3, 4]]
    with torch.no_grad():
        features[2, 1] = value
    found = Statevector().expectation(CIRCUITS[name], features, angles, readout)
    assert found[2].isnan().all() and close(found[[0, 1, 3, 4]], want[[0, 1, 3, 4]], 1e-12)
    found.sum().backward()
    assert features.grad[2].isnan().any() and close(features.grad[[0, 1, 3, 4]], wanted, 1e-11)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("readout", [z_each(6), (pauli("X5"),), Probabilities((4, 5))], ids=["Z", "X5", "outcomes"])
def test_a_weight_that_is_no_number_spoils_all_rows(form, value, readout):
    circuit = Circuit(6, [AFTER, RZ(w[0], 0), RX(w[1] * x[0], 1)], 6, 12)  # no readout but Z sees the last gates
    features, angles = tensors(circuit, 0, 3)
    for k in (0, 1):
        with torch.no_grad():
            spoilt = angles.clone().index_fill_(0, torch.tensor([k]), value)
        assert Statevector().expectation(circuit, features, spoilt, readout).isnan().all()


@pytest.mark.parametrize("angle", [w[0], x[0] * w[0]], ids=["weight", "product"])
def test_a_gate_outside_the_light_cone_is_not_ignored(form, angle):
    circuit = Circuit(6, [RX(x[1], 0), RX(angle, 5)], 2, 1)
    features = torch.zeros(3, 2, dtype=torch.float64)
    found = Statevector().expectation(circuit, features, torch.tensor([torch.nan]).double(), (pauli("Z0"),))
    assert found.isnan().all()


@dtypes
@pytest.mark.parametrize("value", [0.5, np.inf])
def test_cosines_of_few_and_of_many_numbers_agree(form, monkeypatch, dtype, value):
    features, angles = tensors(CIRCUITS["functions"], 0, 5, dtype=dtype)
    with torch.no_grad():
        features[2, 1] = value
    found = []
    for few in (0, 10**9):
        monkeypatch.setattr(engine, "FEW_NUMBERS", few)
        y = Statevector().expectation(CIRCUITS["functions"], features, angles, z_each(6))
        found.append((y, *torch.autograd.grad(y.sum(), (features, angles))))
    own = [0, 1, 3, 4]
    (y, gx, gw), (y_, gx_, gw_) = found
    assert close(y[own], y_[own], atol(dtype)) and close(gx[own], gx_[own], 10 * atol(dtype))
    assert close(y.isnan(), y_.isnan()) and close(gw.isnan(), gw_.isnan())


# Batches of nothing and of one; memory.


@pytest.mark.parametrize("shape", [(0, 6), (2, 0, 6)])
def test_an_empty_batch(form, shape):
    features, angles = torch.zeros(shape, requires_grad=True), torch.ones(12, requires_grad=True)
    found = Statevector().expectation(layered(6), features, angles, z_each(6))
    found.sum().backward()
    assert found.shape == (*shape[:-1], 6) and features.grad.shape == shape and not angles.grad.any()


def test_one_sample_with_leading_dimensions_of_one(form):
    circuit = layered(6, n_layers=1)
    features, angles = tensors(circuit, 0, 1)
    want = exact(circuit, z_each(6), features, angles)
    for shape in ((6,), (1, 6), (1, 1, 6)):
        found = Statevector().expectation(circuit, features.reshape(shape), angles, z_each(6))
        assert close(found, want.reshape(*shape[:-1], 6), 1e-12)


@pytest.mark.parametrize("wanted", [True, False])
def test_states_are_kept_only_where_a_gradient_may_be_asked_for(monkeypatch, wanted):
    set_form(monkeypatch, "samples")
    circuit, kept, forward = layered(6, n_layers=1), [], engine._forward

    def spied(*arguments):
        y, states = forward(*arguments)
        kept.extend(len(state) for state in states[1].arrays)
        return y, states

    monkeypatch.setattr(engine, "_forward", spied)
    given = tensors(circuit, 0, 8)
    with torch.set_grad_enabled(wanted):
        found = Statevector().expectation(circuit, *given, z_each(6))
    assert found.requires_grad == wanted and kept == [8 * 2**6 * wanted] * 2


@pytest.mark.parametrize("n_layers", [1, 5])
def test_a_step_holds_two_states_of_every_sample(monkeypatch, n_layers):
    set_form(monkeypatch, "amplitudes")
    circuit, asked = layered(6, n_layers=n_layers), []

    class Spy(buffers.Buffers):
        def __init__(self, count, length, dtype):
            super().__init__(count, length, dtype)
            asked.append(count * length)

    monkeypatch.setattr(engine, "Buffers", Spy)
    Statevector().expectation(circuit, *tensors(circuit, 0, 8), z_each(6)).sum().backward()
    assert sum(asked) == 2 * (2 * 8 * 2**6)  # real and imaginary parts


@pytest.mark.parametrize("n_qubits", [16, 18])
@dtypes
def test_tiles_are_at_most_a_quarter_of_the_states(n_qubits, dtype):
    plan = engine.make_plan(layered(n_qubits, n_layers=8), z_each(n_qubits), True, dtype)
    assert all(4 * len(tables.local) * len(tables.lanes) <= 2**n_qubits for tables in plan.segments)


@pytest.mark.parametrize("n_qubits, batch", [(22, 4), (26, 1), (30, 64)])
@dtypes
def test_refused_before_anything_is_allocated(monkeypatch, n_qubits, batch, dtype):
    def refuse(*_):
        raise AssertionError

    for name in ("make_plan", "_forward"):
        monkeypatch.setattr(engine, name, refuse)
    monkeypatch.setattr("os.sysconf", lambda name: {"SC_PAGE_SIZE": 2**12, "SC_PHYS_PAGES": 2**15}[name])  # 128 MiB
    size = torch.empty(0, dtype=dtype).element_size()
    needed = STATES_IN_FLIGHT * batch * 2**n_qubits * 2 * size
    text = f"got {batch} samples of {n_qubits} qubits, which need {needed:,} bytes, expected at most 134,217,728: use a"
    with pytest.raises(MemoryError, match=text):
        circuit = Circuit(n_qubits, [RX(x[0], q) for q in range(n_qubits)], 1)
        Statevector().expectation(circuit, torch.zeros(batch, 1, dtype=dtype), torch.zeros(0, dtype=dtype), z_each(1))


# Threads.


@pytest.mark.parametrize("readout", [z_each(9), Probabilities((2, 0))], ids=["words", "outcomes"])
@pytest.mark.parametrize("batch", [3, 33])
def test_results_do_not_depend_on_the_number_of_threads(monkeypatch, form, batch, readout):
    monkeypatch.setattr(engine, "WORTH_A_THREAD", 1)
    circuit, before, found = layered(9, n_layers=1), torch.get_num_threads(), []
    try:
        for n_threads in (1, 2, 4):
            torch.set_num_threads(n_threads)
            plan = make_plan(circuit, readout, True, torch.float32)
            features, angles = tensors(circuit, 0, batch, dtype=torch.float32)
            y, gradients = slopes(plan.run, features, angles[None].detach().requires_grad_())
            found.append((y, *gradients))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


def test_subnormal_numbers_are_left_alone_outside():
    circuit, tiny = layered(6, n_layers=1), torch.full((64,), 1e-39)
    Statevector().expectation(circuit, *tensors(circuit, 0, 3, dtype=torch.float32), z_each(6)).sum().backward()
    assert (tiny / 2).count_nonzero() == 64 and np.float32(1e-39) / 2 > 0
