"""Noise: what may be written for it, and its values against Kraus operators, PennyLane and a device's own model."""

import sys
from functools import reduce

import noisy
import numpy as np
import pytest
import torch
from tolerances import ACROSS, close

pytest.importorskip("qiskit_aer")

from qiskit.quantum_info import DensityMatrix
from qiskit_aer.noise import (
    NoiseModel,
    ReadoutError,
    amplitude_damping_error,
    depolarizing_error,
    pauli_error,
)

from backends import Aer
from backends.aer_circuits import measuring, saving_probabilities
from backends.noise import RIGHT, as_noise
from backends.shots import bases
from circuits import (
    CRX,
    CX,
    CZ,
    RX,
    RY,
    RZ,
    RZZ,
    Circuit,
    H,
    Observable,
    Probabilities,
    S,
    inputs,
    pauli,
    weights,
    z_each,
)

X, W = inputs(2), weights(3)
OPS = [RY(X[0], 0), H(1), RX(X[1] * W[0], 2), CX(0, 1), RZZ(W[1], 1, 2), CZ(0, 2), S(0), RZ(W[2], 1), RX(W[0], 1)]
CIRCUIT = Circuit(3, OPS, 2, 3)
READ = (pauli("Z0"), pauli("X0 Y1 Z2") + 0.5 * pauli("Z1") - 0.25, pauli("X1") - pauli("Y2"), Observable(()))
READOUTS = {"sums": READ, "probabilities": Probabilities((2, 0))}


def sample(rows, seed=0):
    rng = np.random.default_rng(seed)
    return torch.tensor(rng.uniform(-2, 2, (rows, 2))), torch.tensor(rng.uniform(-2, 2, 3))


def by_hand(x, w, readout, kraus, flips):
    return np.array([noisy.read_out(CIRCUIT, row, w.numpy(), readout, kraus, flips) for row in x.numpy()])


# Values.


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("noise", [{"depolarizing": 0.03, "readout": 0.05}, {"depolarizing": 0.1}, {"readout": 0.2}])
def test_probabilities_of_errors_against_kraus_operators(noise, readout):
    x, w = sample(3)
    kraus, flips = noisy.by_size(noise.get("depolarizing", 0)), noisy.flip(noise.get("readout", 0))
    values = Aer(noise=noise).expectation(CIRCUIT, x, w, READOUTS[readout])
    assert close(values, by_hand(x, w, READOUTS[readout], kraus, flips), ACROSS)
    perfect = by_hand(x, w, READOUTS[readout], noisy.by_size(0), np.eye(2))
    assert abs(values.numpy() - perfect).max() > 0.02  # and the noise is felt


@pytest.mark.parametrize("one", [0.0, 0.005])
def test_gates_of_one_qubit_may_have_a_probability_of_their_own(one):
    """Qiskit's p replaces the state by the fully mixed one, so it is the p of these Kraus operators."""
    x, w = sample(3)
    values = Aer(noise=f"depolarizing:0.05+depolarizing_1q:{one}").expectation(CIRCUIT, x, w, READ)
    assert close(values, by_hand(x, w, READ, noisy.by_size(0.05, one), np.eye(2)), ACROSS)
    assert not close(values, by_hand(x, w, READ, noisy.by_size(0.05), np.eye(2)), 1e-3)


def test_a_noise_model_against_kraus_operators():
    """Damping after CX alone, and a readout that errs more often from 1 to 0."""
    damping, flips = amplitude_damping_error(0.2), [[0.98, 0.02], [0.1, 0.9]]
    model = NoiseModel(["h", "s", "rx", "ry", "rz", "cx", "cz", "rzz"])
    model.add_all_qubit_quantum_error(damping.tensor(damping), ["cx"])
    model.add_all_qubit_readout_error(ReadoutError(flips))
    x, w = sample(3)
    expected = by_hand(x, w, READ, noisy.after_two(0.2), np.array(flips))
    assert close(Aer(noise=model).expectation(CIRCUIT, x, w, READ), expected, 1e-8)


def test_errors_of_single_qubits_are_of_those_qubits():
    """Qubit q of the circuit is qubit q of the model, in the readout too, in whatever order it is read."""
    model = NoiseModel(["ry"])
    model.add_quantum_error(pauli_error([("X", 0.25), ("I", 0.75)]), ["ry"], [1])
    model.add_readout_error(ReadoutError([[0.9, 0.1], [0.3, 0.7]]), [2])
    circuit = Circuit(3, [RY(0.0, 0), RY(0.0, 1), RY(0.0, 2)])
    none = torch.zeros(0, dtype=torch.float64)
    values = Aer(noise=model).expectation(circuit, None, none, z_each(3))
    assert close(values, [1.0, 0.5, 0.8], 1e-12)
    values = Aer(noise=model).expectation(circuit, None, none, Probabilities((2, 1)))
    assert close(values, [0.9 * 0.75, 0.9 * 0.25, 0.1 * 0.75, 0.1 * 0.25], 1e-12)


@pytest.mark.parametrize("readout", [z_each(3), (pauli("Z0 Z2"), pauli("Z1") - 2 * pauli("Z0")), Probabilities((1, 2))])
def test_against_pennylane(readout):
    qp = pytest.importorskip("pennylane")
    from backends.pennylane_convert import measurements, operations

    def noise(op):
        kraus = noisy.depolarizing(0.04, len(op.wires))
        return qp.DepolarizingChannel(0.03, op.wires) if len(op.wires) == 1 else qp.QubitChannel(kraus, op.wires)

    x, w = sample(2)
    expected = []
    for row in x.numpy():
        ops = operations(CIRCUIT, [angle.evaluate(row, w.numpy()) for angle in CIRCUIT.angles])
        flips = [qp.BitFlip(0.05, q) for q in range(3)]
        both = [gate for op in ops for gate in (op, noise(op))]
        tape = qp.tape.QuantumScript([*both, *flips], measurements(readout))
        expected.append(qp.execute([tape], qp.device("default.mixed", wires=3), diff_method=None)[0])
    values = Aer(noise="depolarizing:0.04+readout:0.05").expectation(CIRCUIT, x, w, readout)
    assert close(values, np.array(expected), 1e-8)


def through(model, circuit, free, places):
    """Outcome probabilities of a circuit on a device, by Qiskit's density matrix and the model's own channels."""
    gates = [i for i in circuit.assign_parameters(free).data if not i.name.startswith("save")]
    spots = [tuple(circuit.find_bit(qubit).index for qubit in gate.qubits) for gate in gates]
    used = sorted({*places, *(q for spot in spots for q in spot)})  # the others of a wide device stay idle
    state = DensityMatrix.from_label("0" * len(used))
    for gate, spot in zip(gates, spots, strict=True):
        local = list(map(used.index, spot))
        state = state.evolve(gate.operation, local)
        error = model._local_quantum_errors.get(gate.name, {}).get(spot)
        state = state if error is None else state.evolve(error.to_quantumchannel(), local)
    found = state.probabilities(list(map(used.index, places))).reshape((2,) * len(places)).transpose().ravel()
    return found @ reduce(np.kron, [model._local_readout_errors[(q,)].probabilities for q in places])


@pytest.mark.parametrize("device", ["manila", "sherbrooke"])
def test_a_device_against_its_own_model(device):
    """Fitted to the couplings of a small and of a wide device, every basis in turn."""
    pytest.importorskip("qiskit_ibm_runtime")
    readout = (pauli("X0 Z1"), pauli("Z2"), pauli("Y0"))
    x, w = sample(2)
    angles = np.array([[a.evaluate(row, w.numpy()) for a in CIRCUIT.angles] for row in x.numpy()])
    backend = Aer(noise=device)
    prepared = saving_probabilities(CIRCUIT, bases(readout), backend._noise)
    probabilities = backend._probabilities(CIRCUIT, angles, readout)
    assert len(probabilities) == 2
    for circuit, found, where in zip(prepared.circuits, probabilities, prepared.places, strict=True):
        for row, each in zip(angles, found, strict=True):
            free = dict(zip(prepared.parameters, row, strict=True))
            assert close(each, through(backend._noise.model, circuit, free, where), 1e-8)


def test_a_device_has_couplings():
    """Where two qubits have none, their gate takes others; the model alone would take it for perfect."""
    pytest.importorskip("qiskit_ibm_runtime")
    circuit = Circuit(4, [RY(W[0], 0), *(CX(a, b) for a in range(4) for b in range(4) if a != b)], n_weights=3)
    (fitted,) = measuring(circuit, bases(z_each(4)), as_noise("manila")).circuits
    pairs = {tuple(fitted.find_bit(q).index for q in i.qubits) for i in fitted.data if i.name == "cx"}
    assert pairs and all(abs(a - b) == 1 for a, b in pairs)


@pytest.mark.parametrize(
    "noise, method, shots",
    [
        ("depolarizing:0.02+readout:0.05", "automatic", 20_000),
        ("depolarizing:0.02+readout:0.05", "statevector", 1000),  # by trajectories
        ("manila", "automatic", 20_000),
    ],
)
def test_exact_values_are_the_limit_of_shots(noise, method, shots):
    """Errors of readout and of the gates that turn qubits to be measured are in both."""
    if noise == "manila":
        pytest.importorskip("qiskit_ibm_runtime")
    x, w = sample(2)
    for readout in READOUTS.values():
        exact = Aer(noise=noise).expectation(CIRCUIT, x, w, readout)
        backend = Aer(method, shots=shots, noise=noise, seed=2)
        values = backend.expectation(CIRCUIT, x, w, readout)
        assert (abs(values - exact) < 5 * backend.last_stderr + 1e-9).all()
        assert backend.last_stderr.max() < 2 / shots**0.5


def test_parameter_shift_is_exact_under_noise():
    x, w = (t.requires_grad_() for t in sample(2))
    backend = Aer(noise="depolarizing:0.05+readout:0.1")
    assert torch.autograd.gradcheck(lambda x, w: backend.expectation(CIRCUIT, x, w, READ[:2]), (x, w))


# What may be written.


@pytest.mark.parametrize(
    "text",
    [
        "depolarizing:0.01+readout:0.02",
        "readout=0.02,depolarizing=0.01",
        " depolarizing: 1e-2 + readout: 2e-2",
        {"depolarizing": 0.01, "readout": 0.02},
        {"readout": np.float64(0.02), "depolarizing": 0.01},
    ],
    ids=str,
)
def test_ways_to_write_probabilities(text):
    x, w = sample(2)
    expected = Aer(noise={"depolarizing": 0.01, "readout": 0.02}).expectation(CIRCUIT, x, w, READ)
    assert close(Aer(noise=text).expectation(CIRCUIT, x, w, READ), expected, 1e-12)


@pytest.mark.parametrize("name", ["manila", "Manila", "fake_manila", "FakeManilaV2", "fakemanila"])
def test_ways_to_write_a_device(name):
    pytest.importorskip("qiskit_ibm_runtime")
    assert as_noise(name).device.name == "fake_manila" and Aer(noise=name).capabilities.max_qubits == 5


def test_controlled_rotations_are_made_of_gates_with_noise():
    """A gate that Aer would not know goes as gates that the noise knows."""
    circuit = Circuit(2, [H(0), CRX(W[0], 0, 1)], n_weights=3)
    (sent,) = measuring(circuit, bases(z_each(2)), as_noise("depolarizing:0.01")).circuits
    assert {i.name for i in sent.data} <= {*RIGHT, "measure"}


# Errors.


@pytest.mark.parametrize(
    "noise, text",
    [
        (
            "depolarising:0.01",
            r"got 'depolarising' in the noise, expected one of 'depolarizing', 'depolarizing_1q', 'readout': did you",
        ),
        ({"gate": 0.1}, "got 'gate' in the noise, expected one of 'depolarizing', 'depolarizing_1q', 'readout'$"),
        ("readout:1.5", r"got readout=1.5 in the noise, expected a probability: a number from 0 to 1"),
        ("readout:x", r"got readout='x' in the noise, expected a probability"),
        ("readout:0.1+depolarizing", r"got depolarizing=None in the noise, expected a probability"),
        ({"readout": float("nan")}, r"got readout=nan in the noise, expected a probability"),
        ({"readout": True}, r"got readout=True in the noise, expected a probability"),
        ({3: 0.1}, r"got 3 in the noise, expected"),
        ("readout:0.1+readout:0.2", r"got readout, readout in the noise, expected each once"),
    ],
)
def test_errors_of_probabilities(noise, text):
    with pytest.raises(ValueError, match=text):
        as_noise(noise)


def test_errors_of_names_have_names_like_them():
    pytest.importorskip("qiskit_ibm_runtime")
    text = r"got noise='manilla', expected a NoiseModel, a device such as 'manila', or 'depol.*: near it are manila"
    with pytest.raises(ValueError, match=text):
        as_noise("manilla")
    with pytest.raises(ValueError, match="near it are depolarizing"):
        as_noise("depolarize")
    with pytest.raises(ValueError, match="near it are manila, depolarizing, depolarizing_1q, readout"):
        as_noise("xyzxyz")


def test_errors_of_fake_devices():
    pytest.importorskip("qiskit_ibm_runtime")
    from backends import ibm_devices

    assert ibm_devices.fake("manila").num_qubits == 5 and "sherbrooke" in ibm_devices.fakes()
    with pytest.raises(ValueError, match=r"got the fake device 'manilla', expected for example manila"):
        ibm_devices.fake("manilla")


def test_error_where_devices_are_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "backends.ibm_devices", None)
    monkeypatch.delattr("backends.ibm_devices", raising=False)
    with pytest.raises(ModuleNotFoundError, match=r"noise='lima' needs .*: pip install 'hybridqml\[ibm\]'"):
        as_noise("lima")


@pytest.mark.parametrize("noise", [0.1, ["manila"], NoiseModel], ids=str)
def test_error_of_another_kind(noise):
    with pytest.raises(TypeError, match=f"got {type(noise).__name__} as noise, expected a NoiseModel, a device such"):
        as_noise(noise)


@pytest.mark.parametrize("name", ["crx", "measure", "cswap"])
def test_errors_that_circuits_would_never_meet_are_refused(name):
    n_qubits = {"crx": 2, "measure": 1, "cswap": 3}[name]
    model = NoiseModel()
    model.add_all_qubit_quantum_error(depolarizing_error(0.1, n_qubits), [name])
    with pytest.raises(ValueError, match=f"got a noise model with a quantum error of '{name}', expected errors of id"):
        as_noise(model)


def test_error_of_gates_that_are_too_few():
    text = r"got a noise model of the gates rx, expected some that all others can be made of: NoiseModel\(basis"
    with pytest.raises(ValueError, match=text):
        Aer(noise=NoiseModel(["rx"])).expectation(CIRCUIT, *sample(1), READ)


def test_errors_that_join_readouts_are_refused():
    model = NoiseModel()
    model.add_readout_error(ReadoutError(np.eye(4)[::-1]), [0, 2])
    with pytest.raises(ValueError, match=r"got a noise model with a readout error of the qubits \(0, 2\) together"):
        as_noise(model)
