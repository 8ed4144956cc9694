import copy
import pickle

import dense
import numpy as np
import pytest
import torch
from scipy.linalg import expm
from scipy.stats import kstest, uniform
from tolerances import close

from qml import IsingReservoir

U = torch.rand(12, 1, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def placed(letters, n):
    """A Pauli word on some qubits, {qubit: letter}."""
    return dense.word([letters.get(q, "I") for q in range(n)])


def hamiltonian(reservoir):
    n, couplings = reservoir.n_qubits, reservoir.couplings.numpy()
    pairs = sum(couplings[i, j] * placed({i: "X", j: "X"}, n) for i in range(n) for j in range(i + 1, n))
    return pairs + reservoir.field * sum(placed({i: "Z"}, n) for i in range(n))


def without_first(rho, k):
    """Partial trace over the first k qubits, one basis state at a time."""
    size = len(rho) // 2**k
    rows = [np.kron(basis, np.eye(size)) for basis in np.eye(2**k)[:, None]]
    return sum(row @ rho @ row.T for row in rows)


def driven(reservoir, u):
    """States of one series by dense matrices: one exponential per virtual node."""
    n, low, high = reservoir.n_qubits, *reservoir.input_range
    slices = expm(-1j * reservoir.tau / reservoir.n_virtual_nodes * hamiltonian(reservoir))
    rho = np.zeros((2**n, 2**n), complex)
    rho[0, 0] = 1
    states = []
    for s in (np.asarray(u) - low) / (high - low):
        psi = dense.kron(*([[np.sqrt(1 - each)], [np.sqrt(each)]] for each in s))
        rho = np.kron(psi @ psi.T, without_first(rho, len(s)))
        states.append([])
        for _ in range(reservoir.n_virtual_nodes):
            rho = slices @ rho @ slices.conj().T
            states[-1] += [np.trace(placed({q: "Z"}, n) @ rho).real for q in range(n)]
    return np.array(states), rho


@pytest.mark.parametrize(
    "settings",
    [
        {"n_qubits": 2, "n_virtual_nodes": 1},
        {"n_qubits": 4, "n_virtual_nodes": 3, "tau": 1.7},
        {"n_qubits": 3, "coupling": 2.5, "field": -0.3, "input_range": (-1.0, 3.0)},
        {"n_qubits": 5, "input_size": 2},
        {"n_qubits": 4, "input_size": 3, "n_virtual_nodes": 2},
    ],
    ids=str,
)
def test_states_are_those_of_dense_matrices(settings):
    reservoir = IsingReservoir(**settings, seed=5)
    u = torch.rand(9, reservoir.input_size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    states, rho = driven(reservoir, u)
    found, state = reservoir.states(u)
    assert close(found, states) and close(state.real, rho.real) and close(state.imag, rho.imag)
    assert np.ptp(states, axis=0).min() > 1e-3  # there is something to compare


def test_steps_are_those_of_pennylane():
    qp = pytest.importorskip("pennylane")
    n, tau = 3, 1.3
    reservoir = IsingReservoir(n, n_virtual_nodes=2, tau=tau, seed=4)
    j = reservoir.couplings.tolist()
    pairs = [(a, b) for a in range(n) for b in range(a + 1, n)]
    words = [qp.X(a) @ qp.X(b) for a, b in pairs] + [qp.Z(q) for q in range(n)]
    h = qp.Hamiltonian([j[a][b] for a, b in pairs] + n * [reservoir.field], words)

    def take_in(s):  # whatever qubit 0 was, it is |s> now
        psi = np.array([np.sqrt(1 - s), np.sqrt(s)])
        qp.QubitChannel([np.outer(psi, row) for row in np.eye(2)], wires=0)

    @qp.qnode(qp.device("default.mixed", wires=n))
    def run(first, second, time):
        take_in(first)
        qp.QubitUnitary(qp.matrix(qp.evolve(h, tau), wire_order=range(n)), wires=range(n))
        take_in(second)
        qp.QubitUnitary(qp.matrix(qp.evolve(h, time), wire_order=range(n)), wires=range(n))
        return [qp.expval(qp.Z(q)) for q in range(n)]

    found = reservoir.states(torch.tensor([[0.2], [0.7]], dtype=torch.float64))[0][1]
    assert close(found, np.concatenate([run(0.2, 0.7, tau / 2), run(0.2, 0.7, tau)]))


def test_chunks_are_one_pass():
    reservoir = IsingReservoir(4, seed=0)
    whole, last = reservoir.states(U)
    state, parts = None, []
    for chunk in U.split(5):
        part, state = reservoir.states(chunk, state)
        parts.append(part)
    assert torch.equal(torch.cat(parts), whole) and torch.equal(state, last)


def test_a_batch_is_its_series():
    reservoir = IsingReservoir(3, input_size=2, seed=0)
    u = torch.rand(6, 4, 2, dtype=torch.float64)
    states, state = reservoir.states(u)
    assert states.shape == (6, 4, 15) and state.shape == (4, 8, 8)
    for k in range(4):
        one, one_state = reservoir.states(u[:, k])
        assert close(states[:, k], one, 1e-13) and close(state[k].real, one_state.real, 1e-13)
    assert reservoir.states(u[:, :0])[0].shape == (6, 0, 15)


def test_the_state_stays_a_density_matrix():
    reservoir = IsingReservoir(3, seed=0)
    rho = reservoir.states(torch.rand(500, 1))[1]
    assert abs(rho.trace() - 1) < 1e-12 and close(rho.real, rho.mH.real, 1e-12)
    assert torch.linalg.eigvalsh(rho).min() > -1e-12


def test_the_start_is_forgotten():
    reservoir = IsingReservoir(3, seed=0)
    other = reservoir.states(torch.ones(3, 1))[1]
    u = torch.rand(400, 1, generator=torch.Generator().manual_seed(0))
    near, far = reservoir.states(u)[0], reservoir.states(u, other)[0]
    assert (near - far)[0].abs().max() > 1e-2 and (near - far)[-1].abs().max() < 1e-6


def test_couplings_are_uniform_and_of_the_seed():
    drawn = [IsingReservoir(5, coupling=3.0, n_virtual_nodes=1, seed=seed).couplings for seed in range(100)]
    above = torch.stack([couplings[*torch.triu_indices(5, 5, 1)] for couplings in drawn])
    assert all(torch.equal(couplings.triu(1), couplings) for couplings in drawn)
    assert above.abs().max() <= 1.5
    assert kstest(above.flatten(), uniform(-1.5, 3.0).cdf).pvalue > 0.01
    assert torch.equal(IsingReservoir(3, seed=7).couplings, IsingReservoir(3, seed=7).couplings)
    assert not torch.equal(IsingReservoir(3, seed=7).couplings, IsingReservoir(3, seed=8).couplings)


def test_without_a_seed_torch_draws_them():
    drawn = []
    for _ in range(2):
        torch.manual_seed(0)
        drawn.append(IsingReservoir(3).couplings)
    assert torch.equal(*drawn) and not torch.equal(drawn[0], IsingReservoir(3).couplings)


def test_a_seed_leaves_torch_s_generator_to_the_readout():
    drawn = []
    for seed in (1, 2):
        torch.manual_seed(0)
        drawn.append(IsingReservoir(3, seed=seed).readout.weight)
    assert torch.equal(*drawn)


def test_checkpoints_carry_the_couplings():
    saved, other = (IsingReservoir(3, seed=seed) for seed in (1, 2))
    assert not torch.equal(saved.states(U)[0], other.states(U)[0])
    other.load_state_dict(saved.state_dict())
    assert torch.equal(saved.states(U)[0], other.states(U)[0])
    assert torch.equal(saved.predict(U), other.predict(U))


def test_a_checkpoint_of_other_settings_is_refused():
    saved, other = IsingReservoir(3, tau=1.0, seed=1), IsingReservoir(3, seed=1)
    before = copy.deepcopy(other.state_dict())
    message = "got a checkpoint with tau=1, expected tau=2: build the reservoir with the settings it was saved with"
    with pytest.raises(ValueError, match=message):
        other.load_state_dict(saved.state_dict())
    assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda r: pickle.loads(pickle.dumps(r))], ids=["deepcopy", "pickle"])
def test_copies_are_the_same_system(copied):
    reservoir = IsingReservoir(3, seed=0)
    states = reservoir.states(U)[0]
    other = copied(reservoir)
    assert not other._cache and torch.equal(other.states(U)[0], states)


def test_single_precision_leaves_the_system_alone():
    reservoir = IsingReservoir(3, seed=0)
    states = reservoir.states(U)[0]
    reservoir.float()
    assert torch.equal(reservoir.states(U)[0], states) and reservoir.predict(U).dtype == torch.float32


def test_it_says_what_it_is():
    text = str(IsingReservoir(3, tau=0.5, seed=0))
    assert "n_qubits=3" in text and "tau=0.5" in text and "in_features=15" in text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_qubits": 1}, "got n_qubits=1, expected an integer of at least 2"),
        ({"n_qubits": 2.5}, "got n_qubits=2.5, expected an integer"),
        ({"n_qubits": 11}, "got n_qubits=11 for 1 inputs, expected 2 to 10: one qubit takes in each input"),
        ({"n_qubits": 3, "input_size": 3}, "got n_qubits=3 for 3 inputs, expected 4 to 10"),
        ({"input_size": 0}, "got input_size=0, expected an integer of at least 1"),
        ({"n_virtual_nodes": 0}, "got n_virtual_nodes=0, expected an integer of at least 1"),
        ({"output_size": True}, "got output_size=True, expected an integer of at least 1"),
        ({"washout": -1}, "got washout=-1, expected an integer of at least 0"),
        ({"coupling": float("nan")}, "got coupling=nan, expected a finite number"),
        ({"field": "strong"}, "got field='strong', expected a finite number"),
        ({"field": -np.inf}, "got field=-inf, expected a finite number"),
        ({"tau": -1.0}, "got tau=-1.0, expected a finite number of at least 0"),
        ({"input_range": (1.0, 1.0)}, r"got input_range=\(1.0, 1.0\), expected \(lowest, highest\) input"),
        ({"input_range": 3}, r"got input_range=3, expected \(lowest, highest\) input: for example \(-1.0, 1.0\)"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        IsingReservoir(**settings)


def test_inputs_beyond_the_range_are_refused():
    reservoir = IsingReservoir(3, input_range=(-1, 1), seed=0)
    message = "got inputs from -0.5 to 1.25, expected -1 to 1: give input_range, with room for what comes later"
    with pytest.raises(ValueError, match=message):
        reservoir.states(torch.tensor([[-0.5], [1.25]]))
    assert not reservoir._cache


def test_an_input_may_be_an_end_of_the_range_in_single_precision():
    reservoir = IsingReservoir(3, input_range=(0.1, 0.3), seed=0)
    ends = torch.tensor([[0.1], [0.3]])
    assert ends.double().max() > 0.3
    exact = reservoir.states(torch.tensor([[0.1], [0.3]], dtype=torch.float64))[0]
    assert close(reservoir.states(ends)[0], exact, 1e-3)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (torch.eye(4).cfloat(), r"got a state of \(4, 4\) and torch.complex64, expected density matrices of \(8, 8\)"),
        (torch.eye(8).cfloat(), "torch.complex64, expected .* and complex128: give what states"),
        ("start", "got a state of str, expected density matrices"),
    ],
)
def test_other_states_are_refused(state, message):
    with pytest.raises(ValueError, match=message):
        IsingReservoir(3, seed=0).states(U, state)
