import dense
import numpy as np
import pytest

pytest.importorskip("qiskit_ibm_runtime")

from ibm_folders import own_folders  # noqa: F401
from qiskit.quantum_info import Statevector
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime.fake_provider import FakeLimaV2, FakeManilaV2

from backends import ibm_transpile
from backends.ibm_transpile import n_bases, seconds_per_shot, transpiled
from circuits import CRX, CX, RX, RY, Circuit, inputs, pauli, weights, z_each

pytestmark = pytest.mark.usefixtures("own_folders")

X, W = inputs(12), weights(2)
MANY = Circuit(3, [RX(x, k % 3) for k, x in enumerate(X)] + [CX(0, 2), CRX(W[0], 0, 1), RY(W[1] * X[0], 2)], 12, 2)
OBSERVABLES = (*z_each(3), 0.5 * pauli("X0 Y1 Z2") - pauli("X2") + 0.25 * pauli(""))


def test_a_transpiled_circuit_means_the_same_with_its_columns_by_name():
    laid = transpiled(MANY, FakeManilaV2())
    rng = np.random.default_rng(0)
    x, w = rng.uniform(-2, 2, 12), rng.uniform(-2, 2, 2)
    angles = np.array([*x, w[0], w[1] * x[0]])
    state = Statevector(laid.circuit.assign_parameters(angles[list(laid.columns)]))
    found = [state.expectation_value(op).real for (op,) in laid.operators(OBSERVABLES, 3)]
    assert np.allclose(found, dense.expectation(MANY, x, w, OBSERVABLES), atol=1e-8)
    assert set(laid.circuit.count_ops()) <= set(FakeManilaV2().target.operation_names)


def test_once_per_circuit_and_device(own_folders):  # noqa: F811
    device = FakeManilaV2()
    first, again = transpiled(MANY, device), transpiled(MANY, device)
    assert (first.fresh, again.fresh) == (True, False)
    assert again.circuit == first.circuit and again.columns == first.columns
    assert transpiled(MANY, FakeLimaV2()).fresh
    assert transpiled(Circuit(3, MANY.ops[:-1], 12, 2), device).fresh
    assert ibm_transpile.folder().is_relative_to(own_folders)
    assert len(list(ibm_transpile.folder().iterdir())) == 3


def test_a_new_calibration_is_another_device():
    device, later = FakeManilaV2(), FakeManilaV2()
    later.target["cx"][(0, 1)].error *= 1.01
    assert transpiled(MANY, device).fresh and transpiled(MANY, later).fresh
    assert not transpiled(MANY, FakeManilaV2()).fresh


@pytest.mark.parametrize(
    "damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: data[:-1] + b"x"]
)
def test_a_damaged_file_is_made_anew(damage):
    before = transpiled(MANY, FakeManilaV2())
    (path,) = ibm_transpile.folder().iterdir()
    path.write_bytes(damage(path.read_bytes()))
    assert transpiled(MANY, FakeManilaV2()).fresh
    again = transpiled(MANY, FakeManilaV2())
    assert not again.fresh and again.circuit == before.circuit


def test_a_folder_that_takes_nothing_costs_only_time(own_folders):  # noqa: F811
    ibm_transpile.folder().parent.mkdir(parents=True)
    ibm_transpile.folder().write_text("in the way")
    assert transpiled(MANY, FakeManilaV2()).fresh and transpiled(MANY, FakeManilaV2()).fresh


def test_nothing_is_left_where_writing_fails(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ibm_transpile.os, "replace", full)
    assert transpiled(MANY, FakeManilaV2()).fresh
    assert list(ibm_transpile.folder().iterdir()) == []


def test_seconds_per_shot_are_delay_gates_and_measurement():
    device = FakeManilaV2()
    empty, one = (transpiled(Circuit(1, ops, 12), device) for ops in ([], [RX(X[0], 0)]))
    (qubit,) = [one.circuit.find_bit(q).index for q in one.circuit.data[0].qubits]
    n_sx = one.circuit.count_ops()["sx"]
    gates = n_sx * device.target["sx"][(qubit,)].duration
    longest = max(device.target["measure"][(q,)].duration for q in range(5))
    assert seconds_per_shot(empty.circuit, device) == pytest.approx(250e-6 + longest)
    assert 250e-6 + longest <= seconds_per_shot(one.circuit, device) <= 250e-6 + longest + gates
    assert n_sx > 0


def test_a_simulator_that_states_no_durations_counts_the_delay():
    device = AerSimulator()
    assert seconds_per_shot(transpiled(MANY, device).circuit, device) == ibm_transpile.REP_DELAY


@pytest.mark.parametrize(
    ("words", "n"),
    [(("Z0", "Z1", "Z0 Z2"), 1), (("Z0", "X0"), 2), (("X0 Y1", "Y1 Z2", "Z0"), 2), (("X0", "Y0", "Z0"), 3)],
)
def test_commuting_words_share_a_basis(words, n):
    laid = transpiled(MANY, FakeManilaV2())
    assert n_bases(laid.operators([pauli(word) for word in words], 3)) == n
