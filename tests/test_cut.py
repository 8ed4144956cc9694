"""backends.Cut against the uncut circuit, the formula of the four preparations, and qiskit-addon-cutting."""

import copy
import pickle

import dense
import numpy as np
import pytest
import torch
from dense_backend import DenseBackend
from tolerances import close
from torch import nn

pytest.importorskip("qiskit_addon_cutting")

import backends
from backends import Cut, ParameterShift, Spsa, Statevector
from backends.cut import found_cuts
from circuits import CCX, CRX, CX, RX, RY, RZ, Circuit, H, Probabilities, amplitudes, inputs, pauli, weights, z_each
from circuits.templates import angle_encoding, hardware_efficient, mps, strongly_entangling
from hybrid.checkpoints import _counters
from qml import QuantumLayer

#: The circuit of the paper (arXiv:2501.06225) as papers describe it: 8 features, 14 weights, one cut for 5 qubits.
QCNN = Circuit(8, [H(q) for q in range(8)]) + angle_encoding(8, "Y") + mps(8)

x, w = inputs(3), weights(3)
#: Three qubits, one cut for fragments of two; of every kind of dependence.
SMALL = Circuit(3, [RX(x[0], 0), RY(x[1] * w[0], 1), CRX(w[1], 0, 1), RZ(0.3, 2), CX(1, 2), RY(w[2] * x[2], 2)], 3, 3)
READOUT = (pauli("Z0"), 0.5 * pauli("Z0 X2") - pauli("X1") + 0.25, pauli("Y0 Z1 Y2"))


def features(*shape, seed=0, grad=False):
    drawn = torch.tensor(np.random.default_rng(seed).uniform(-2, 2, shape))
    return drawn.requires_grad_(grad)


def small(backend, max_qubits=2, **options):
    torch.manual_seed(0)
    return QuantumLayer(SMALL, READOUT, Cut(backend, max_qubits, **options), dtype=torch.float64)


def wanted(samples, layer):
    rows = samples.reshape(-1, layer.circuit.n_inputs).numpy()
    found = [dense.expectation(layer.circuit, row, layer.weights.detach().numpy(), layer.observables) for row in rows]
    return np.array(found).reshape(*samples.shape[:-1], len(layer.observables))


# Readouts and gradients.


def of_paper(samples, angles, qubit, late=False):
    """What the formula of a cut of wire 4 combines to <Z>, by dense matrices: <X>, <Y>, <Z> there; readouts behind it.

    The cut is before the rotation that the wire has between its two CX, or ``late``, behind it.
    """
    x, w = inputs(8), angles
    between = RY(w[8], 4)
    first = [[H(q), RY(x[q], q)] for q in range(5)]
    first += [[RY(w[2 * q], q), RY(w[2 * q + 1], q + 1), CX(q, q + 1)] for q in range(4)]
    first += [between] if late else []
    e = dense.expectation(Circuit(5, first, 8), samples, (), [pauli(f"{p}4") for p in "XYZ"])
    second = [[H(q - 4), RY(x[q], q - 4)] for q in (5, 6, 7)] + ([] if late else [RY(w[8], 0)])
    second += [RY(w[9], 1), CX(0, 1)]
    second += [[RY(w[2 * q], q - 4), RY(w[2 * q + 1], q - 3), CX(q - 4, q - 3)] for q in (5, 6)]
    starts = [RY(0, 0)], [RY(np.pi, 0)], [RY(np.pi / 2, 0)], [RY(np.pi / 2, 0), RZ(np.pi / 2, 0)]
    read = [dense.expectation(Circuit(4, [s, second], 8), samples, (), [pauli(f"Z{qubit - 4}")])[0] for s in starts]
    return e, np.array(read)


def combined(e, r):
    """``½[(r0+r1) + eZ(r0-r1) + eX(2r+ - r0 - r1) + eY(2ri - r0 - r1)]``."""
    return (r[0] + r[1] + e[2] * (r[0] - r[1]) + e[0] * (2 * r[2] - r[0] - r[1]) + e[1] * (2 * r[3] - r[0] - r[1])) / 2


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("qubit", [4, 7])
def test_the_papers_circuit_is_the_papers_formula(qubit, late):
    samples, angles = features(8), features(14, seed=1)
    found = Cut(Statevector()).expectation(QCNN, samples, angles, z_each(8))[qubit]
    expected = combined(*of_paper(samples.numpy(), angles.tolist(), qubit, late))
    assert found.item() == pytest.approx(expected, abs=1e-12)
    assert expected == pytest.approx(dense.expectation(QCNN, samples, angles, z_each(8))[qubit], abs=1e-12)


WIDE = {
    "paper": (QCNN, 5),
    "paper, two cuts": (QCNN, 4),
    "paper, three cuts": (QCNN, 3),
    "two layers": (angle_encoding(6) + hardware_efficient(6, n_layers=2), 4),
    "ring": (angle_encoding(5) + strongly_entangling(5, n_layers=1), 4),
    "nothing to cut": (angle_encoding(8), 3),
    "a start state": (Circuit(3, [amplitudes([1, 2, 3, x[0]], 1, 0), RY(w[0], 1), CX(1, 2)], 1, 1), 2),
}


@pytest.mark.parametrize("gradient", ["adjoint", "backprop"])
@pytest.mark.parametrize("name", WIDE)
def test_readouts_and_gradients_are_those_of_the_uncut_circuit(name, gradient):
    circuit, max_qubits = WIDE[name]
    n = circuit.n_qubits
    readout = (*z_each(n), pauli(f"X0 Y{n - 1}"), 0.3 * pauli("Z0 X1") - 2 * pauli(f"Y{n // 2}") + 1)
    samples, angles = features(3, circuit.n_inputs, grad=True), features(circuit.n_weights, seed=1, grad=True)
    backend = Cut(Statevector(gradient), max_qubits)
    found, expected = (b.expectation(circuit, samples, angles, readout) for b in (backend, Statevector()))
    assert close(found, expected, 1e-12)
    slopes = [torch.autograd.grad(y.cos().sum(), (samples, angles), materialize_grads=True) for y in (found, expected)]
    assert all(close(a, b, 1e-12) for a, b in zip(*slopes, strict=True))


@pytest.mark.parametrize("backend", [Statevector(), DenseBackend(), DenseBackend(together=True)], ids=repr)
@pytest.mark.parametrize("batch", [(), (1,), (4,), (0,), (2, 3)], ids=str)
def test_any_leading_dimensions(backend, batch):
    layer = small(backend)
    found = layer(features(*batch, 3))
    assert found.shape == (*batch, 3) and found.requires_grad and close(found, wanted(features(*batch, 3), layer))


def test_weights_of_every_sample():
    angles = features(2, 1, 3, seed=2)
    found = small(Statevector())(features(4, 3), angles)
    each = [Statevector().expectation(SMALL, features(4, 3), row, READOUT) for row in angles[:, 0]]
    assert close(found, torch.stack(each), 1e-12)


@pytest.mark.parametrize("backend", [Statevector(), DenseBackend(), DenseBackend(together=True)], ids=repr)
def test_gradients_of_any_order(backend):
    layer = small(backend)
    arguments = features(2, 3, grad=True), layer.weights
    assert torch.autograd.gradcheck(layer, arguments)
    assert torch.autograd.gradgradcheck(layer, arguments, fast_mode=True)


def test_precision_and_modes_of_torch():
    layer, samples = small(Statevector()), features(3, 3)
    single = copy.deepcopy(layer).float()(samples.float())
    assert single.dtype == torch.float32 and close(single, layer(samples).float(), 1e-5)
    assert close(torch.vmap(layer)(samples), layer(samples), 1e-12)
    with torch.inference_mode():
        inferred = layer(samples)
    assert torch.equal(inferred, layer(samples)) and not inferred.requires_grad
    sampled = small(backends.Aer(shots=100, seed=1))
    with torch.inference_mode():
        assert sampled(samples).shape == sampled.last_stderr.shape


def test_copies_give_the_same():
    layer, samples = small(Statevector()), features(3, 3)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(other(samples), layer(samples)) and other.backend.max_qubits == 2


def test_a_circuit_that_fits_is_passed_on():
    backend = DenseBackend()
    layer = small(backend, max_qubits=3)
    layer(features(5, 3))
    assert backend.calls == [5] and str(layer.backend.plan(SMALL, READOUT)).startswith("cut wires: none\n3 qubits")
    read = QuantumLayer(SMALL, Probabilities((0, 2)), Cut(backend, 3), dtype=torch.float64)
    assert close(read(features(5, 3)).sum(-1), torch.ones(5), 1e-12)


def test_a_fragment_is_one_call_and_only_what_is_trained_is_shifted():
    """One cut: rows before it, four times the rows behind it; two shifts for a rotation, four for a controlled one."""
    backend = DenseBackend()
    layer = small(backend)
    layer(features(5, 3)).sum().backward()
    before, behind = 5 * (2 + 4), 5 * 4 * 2  # RY and CRX; RY; not RX of a feature, nor the preparations
    assert sorted(backend.calls) == sorted([5, 20, before, behind])
    backend.calls.clear()
    layer.eval()(features(5, 3))
    assert backend.calls == [5, 20]
    together = DenseBackend(together=True)
    small(together)(features(5, 3))
    assert together.calls == [5 + before, 4 * 5 + behind]


def test_estimated_gradients_are_those_of_the_fragments():
    """With one angle in each fragment, a random direction is no choice: Spsa is the central difference."""
    circuit = Circuit(3, [RY(w[0], 0), CX(0, 1), CX(1, 2), RX(w[1], 2)], n_weights=2)
    found = []
    for gradient in (Spsa(1e-4), ParameterShift()):
        angles = features(2, grad=True)
        backend = Cut(DenseBackend(gradient), 2)
        backend.expectation(circuit, None, angles, (pauli("Z2"), pauli("Z0 Y2"))).sum().backward()
        found.append(angles.grad)
    assert close(*found, 1e-7) and found[0].abs().min() > 0.01
    assert Cut(DenseBackend(Spsa())).capabilities.gradient == "spsa"


def losses(backend):
    """Losses of a QCNN of 8 qubits between classical layers, in double precision."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), QuantumLayer(QCNN, backend=backend), nn.Linear(8, 3)).double()
    X, y = features(24, 5), torch.arange(24) % 3
    optimizer, found = torch.optim.Adam(model.parameters(), 0.02), []
    for _ in range(25):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(X), y)
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return np.array(found)


def test_cut_and_uncut_train_to_the_same_losses():
    cut, uncut = losses(Cut(Statevector(), max_qubits=5)), losses(Statevector())
    assert np.abs(cut - uncut).max() < 1e-10 and uncut[-1] < 0.9 * uncut[0]


# qiskit-addon-cutting.


def addon_cut(circuit, max_qubits):
    """Return the addon's cut circuit, its own account of it, and its partition for Z on every qubit."""
    from qiskit.quantum_info import PauliList
    from qiskit_addon_cutting import cut_wires, expand_observables, partition_problem
    from qiskit_addon_cutting.automated_cut_finding import DeviceConstraints, OptimizationParameters, find_cuts

    options = OptimizationParameters(seed=0, gate_lo=False)
    found, about = find_cuts(backends.to_qiskit(circuit), options, DeviceConstraints(max_qubits))
    wider = cut_wires(found)
    n = circuit.n_qubits
    words = PauliList(["I" * (n - 1 - q) + "Z" + "I" * q for q in range(n)])
    observables = expand_observables(words, backends.to_qiskit(circuit), wider)
    return about, partition_problem(circuit=wider, observables=observables)


def number(circuit, samples, angles):
    """The circuit with numbers for features and weights."""
    values = [(op, [float(a.evaluate(samples, angles)) for a in op.angles]) for op in circuit.ops]
    return Circuit(circuit.n_qubits, [op.gate(*found, *op.qubits) for op, found in values])


def test_readouts_are_those_of_the_addon():
    from qiskit_addon_cutting import generate_cutting_experiments, reconstruct_expectation_values
    from qiskit_aer.primitives import SamplerV2

    samples, angles, shots = features(8), features(14, seed=1), 20_000
    _, parts = addon_cut(number(QCNN, samples.numpy(), angles.numpy()), 5)
    experiments, coefficients = generate_cutting_experiments(parts.subcircuits, parts.subobservables, np.inf)
    sampler = SamplerV2(seed=1)
    results = {label: sampler.run(each, shots=shots).result() for label, each in experiments.items()}
    theirs = reconstruct_expectation_values(results, coefficients, parts.subobservables)
    ours = Cut(Statevector()).expectation(QCNN, samples, angles, z_each(8))
    assert np.abs(np.array(theirs) - ours.numpy()).max() < 5 * np.sqrt(16 / shots)
    assert len(parts.bases) == len(Cut(Statevector()).plan(QCNN).places) == 1


@pytest.mark.parametrize("max_qubits", [5, 4, 3])
def test_cuts_and_overhead_are_those_of_the_addon(max_qubits):
    about, parts = addon_cut(number(QCNN, np.zeros(8), np.zeros(14)), max_qubits)
    plan = Cut(Statevector(), max_qubits).plan(QCNN)
    assert plan.overhead == about["sampling_overhead"] == np.prod([basis.overhead for basis in parts.bases])
    widths = sorted(circuit.num_qubits for circuit in parts.subcircuits.values())
    assert sorted(fragment.width for fragment in plan.fragments) == widths and max(widths) <= max_qubits


# Shots.


def test_variance_is_the_predicted_one():
    """Of the formula: slopes in what is read, times the variance of that, each from so many shots of its own."""
    samples, angles, shots, rows = features(8, seed=3), features(14, seed=4), 1000, 1000
    e, r = of_paper(samples.numpy(), angles.tolist(), 7, late=True)
    step = 1e-6
    of_e = [(combined(e + d, r) - combined(e - d, r)) / (2 * step) for d in step * np.eye(3)]
    of_r = [(combined(e, r + d) - combined(e, r - d)) / (2 * step) for d in step * np.eye(4)]
    predicted = (np.square(of_e) @ (1 - e**2) + np.square(of_r) @ (1 - r**2)) / shots
    layer = QuantumLayer(QCNN, "Z7", Cut(backends.Aer(shots=shots, seed=1)), dtype=torch.float64)
    with torch.no_grad():
        layer.weights.copy_(angles)
        found = layer(samples.expand(rows, -1))[:, 0]
    assert found.mean().item() == pytest.approx(combined(e, r), abs=5 * np.sqrt(predicted / rows))
    assert found.var().item() == pytest.approx(predicted, rel=5 * np.sqrt(2 / rows))
    assert layer.last_stderr.square().mean().item() == pytest.approx(predicted, rel=0.05)
    assert predicted < 4.4 / shots


def test_variance_grows_with_cuts_as_stated():
    """The end of a chain, over many angles: more than uncut with all shots counted, less than 16 times per cut."""
    shots, rows = 200, 800
    samples, angles = features(rows, 8), features(14, seed=2)
    exact = Statevector().expectation(QCNN, samples, angles, (pauli("Z7"),))
    growth = []
    for max_qubits in (8, 5, 4):
        backend = Cut(backends.Aer(shots=shots, seed=1), max_qubits)
        found = backend.expectation(QCNN, samples, angles, (pauli("Z7"),))
        variance = (found - exact).square().mean()
        growth.append((variance * shots).item())
        assert variance < 1.1 * backend.last_stderr.square().mean()  # an upper bound, to first order
    uncut, once, twice = growth
    assert uncut == pytest.approx((1 - exact.square()).mean().item(), rel=0.1)
    circuits = [Cut(Statevector(), most).plan(QCNN, "Z7").circuits for most in (5, 4)]
    assert uncut < once * circuits[0] < 16 * uncut and once * circuits[0] < twice * circuits[1] < 16**2 * uncut


def test_errors_shrink_with_shots():
    samples, angles = features(400, 8), features(14, seed=1)
    exact = Statevector().expectation(QCNN, samples, angles, z_each(8))
    few, many = (
        (Cut(backends.Aer(shots=shots, seed=1)).expectation(QCNN, samples, angles, z_each(8)) - exact).square().mean()
        for shots in (100, 1600)
    )
    assert (few / many).item() == pytest.approx(16, rel=0.15)


def test_a_fake_device_of_five_qubits_trains_eight():
    pytest.importorskip("qiskit_ibm_runtime")
    backend = backends.IBM("manila", shots=200, seed=1)
    layer = QuantumLayer(QCNN, backend=Cut(backend))
    samples = features(1, 8).float()
    plan = layer.plan(1)
    y = layer(samples)
    y.sum().backward()
    assert layer.weights.grad.abs().sum() > 0 and y.shape == layer.last_stderr.shape == (1, 8)
    assert plan.device == "fake_manila" and plan.step.jobs == backend.position == 2
    # 8 weights before the cut and 6 behind, two shifts for each; 3 bases before, 4 preparations behind
    assert plan.step.circuits == 3 * (1 + 2 * 9) + 4 * (1 + 2 * 5)


def test_what_a_backend_counts_is_counted_behind_cuts():
    layer = small(backends.Aer(shots=100, seed=1))
    layer.eval()(features(2, 3))
    assert [(counter.name, counter.value) for counter in _counters(layer)] == [(".seeds.calls", 2)]


# Plans and borders.


def test_a_plan_says_what_is_run():
    plan = Cut(backends.Aer(shots=1000)).plan(QCNN)
    assert (plan.circuits, plan.uncut, plan.shots, plan.overhead) == (7, 1, 1000, 16)
    assert str(plan).splitlines() == [
        "cut wires: qubit 4 before operation 30",
        "5 qubits (0, 1, 2, 3, 4): 1 preparations × 3 bases",
        "4 qubits (4, 5, 6, 7): 4 preparations × 1 bases",
        "7 circuits per sample of 1,000 shots each, 1 if it were not cut",
        "for the same error about 4 to 16 times as many shots",
    ]


def test_names():
    backend = backends.get("cut:5:aer:shots=100,noise=manila,seed=2")
    assert (backend.max_qubits, backend.backend.shots, backend.backend.noise) == (5, 100, "manila")
    assert repr(backends.get("cut:4:statevector")) == "Cut(Statevector(gradient='adjoint'), max_qubits=4)"
    one, other = (backends.get("cut:5:aer:shots=100", run).backend.seeds.seed for run in (0, 1))
    assert one != other
    for wrong in ("cut", "cut:5", "cut:aer", "cut:aer:shots=3"):
        with pytest.raises(ValueError, match="expected the qubits of a fragment and a backend: cut:5:aer"):
            backends.get(wrong)


@pytest.mark.parametrize(
    "circuit, readout, options, text",
    [
        (
            QCNN,
            Probabilities((0,)),
            {},
            r"got probabilities of a circuit of 8 qubits, which is cut, .*: read z_each\(8\)",
        ),
        (
            Circuit(6, [CCX(0, 1, 2)]),
            z_each(6),
            {},
            "got CCX on 3 qubits in a circuit to be cut, expected .* at most 2: ",
        ),
        (
            Circuit(6, [CX(0, 1)]),
            z_each(6),
            {"max_qubits": 1},
            "got CX on 2 qubits in a circuit to be cut, .* at most 1",
        ),
        (QCNN, z_each(8), {"max_qubits": 3, "max_cuts": 2}, "that takes 3 cuts to fit on 3, expected at most 2: raise"),
        (Circuit(65, []), z_each(65), {}, r"got a circuit of 65 qubits, expected at most 64 on Cut \(for wider ones"),
    ],
    ids=["probabilities", "three qubits", "one qubit", "cuts", "too wide"],
)
def test_what_cannot_be_cut_is_refused_before_anything_is_run(circuit, readout, options, text):
    backend = DenseBackend()
    with pytest.raises(ValueError, match=text):
        Cut(backend, **options).plan(circuit, readout)
    with pytest.raises(ValueError, match=text):
        Cut(backend, **options).expectation(
            circuit, torch.zeros(2, circuit.n_inputs), torch.zeros(circuit.n_weights), readout
        )
    assert backend.calls == []


def test_nan_is_refused_before_the_first_fragment_is_paid_for():
    backend = DenseBackend()
    samples = features(3, 3)
    samples[1, 2] = float("nan")  # of the last fragment
    with pytest.raises(ValueError, match="got NaN or infinite angles, expected finite ones"):
        small(backend)(samples)
    with pytest.raises(TypeError, match=r"got a call inside torch.vmap, expected plain tensors for Cut"):
        torch.vmap(small(backend))(features(3, 3))
    assert backend.calls == [] and small(Statevector())(samples)[1].isnan().any()


@pytest.mark.parametrize(
    "arguments, error, text",
    [
        ((Statevector,), TypeError, r"got type to cut for, expected a backend: backends.Aer\(shots=4096\)"),
        ((Statevector(), 0), ValueError, "got max_qubits=0, expected an integer from 1 to 30, the most of Statevector"),
        (
            (DenseBackend(), 7),
            ValueError,
            r"got max_qubits=7, expected an integer from 1 to 6, the most of DenseBackend\(\)",
        ),
        ((Statevector(), 5, 6), ValueError, "got max_cuts=6, expected an integer from 1 to 5"),
    ],
)
def test_wrong_arguments(arguments, error, text):
    with pytest.raises(error, match=text):
        Cut(*arguments)


def test_no_cuts_where_parts_fit():
    assert found_cuts(Circuit(8, [CX(0, 1), CX(2, 3)]), 2) == ()
