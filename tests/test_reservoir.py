import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from tolerances import close
from torch import nn

from backends import PennyLane, Statevector
from circuits import z_each
from circuits.templates import recurrent_block
from qml import IsingReservoir, QGRUCell, QLSTMCell, QRNNCell, QuantumLayer, QuantumReservoir
from qml.reservoir import CACHED, ridge

CELLS = [QRNNCell, QLSTMCell, QGRUCell]
GENERATOR = torch.Generator().manual_seed(2)
U = torch.rand(20, 1, generator=GENERATOR, dtype=torch.float64)
WINDOWS = torch.rand(4, 30, 1, generator=GENERATOR, dtype=torch.float64)
Y = torch.cat([U.roll(1, 0), U**2], 1)


def fresh(cell=QRNNCell, **settings):
    return QuantumReservoir(cell(1, 3), seed=0, **{"weight_scale": 0.5, **settings})


def any_reservoir(kind, **settings):
    return IsingReservoir(3, seed=0, **settings) if kind == "ising" else fresh(**settings)


@pytest.fixture(params=["ising", "quantum"])
def kind(request):
    return request.param


# --- states


@pytest.mark.parametrize("cell", CELLS)
def test_states_are_the_outputs_of_the_cell_step_by_step(cell):
    reservoir = fresh(cell)
    states, state = reservoir.states(U)
    running = None
    for x, found in zip(U, states, strict=True):
        output, running = reservoir.cell(x, running)
        assert close(found, output, 1e-14)
    assert states.shape == (20, reservoir.state_size) and states.dtype == torch.float64
    last = zip(state, running, strict=True) if isinstance(state, tuple) else [(state, running)]
    assert all(torch.equal(a, b) for a, b in last)


@pytest.mark.parametrize("cell", CELLS)
def test_chunks_are_one_pass(cell):
    reservoir = fresh(cell)
    state, parts = None, []
    for chunk in U.split(7):
        part, state = reservoir.states(chunk, state)
        parts.append(part)
    assert close(torch.cat(parts), reservoir.states(U)[0], 1e-14)
    assert not close(parts[1], reservoir.states(U[7:14])[0], 1e-6)  # the state matters


def test_readouts_of_chunks_are_one_pass(kind):
    reservoir = any_reservoir(kind)
    first, state = reservoir(U[:8])
    assert close(torch.cat([first, reservoir.predict(U[8:], state)]), reservoir.predict(U), 1e-14)


@pytest.mark.parametrize("cell", CELLS)
def test_windows_start_afresh(cell):
    reservoir = fresh(cell)
    states = reservoir.states(WINDOWS)[0]
    assert states.shape == (4, 30, reservoir.state_size)
    for k in (0, 17):
        assert close(states[:, k], reservoir.states(WINDOWS[:, k])[0], 1e-12)


def test_arrays_and_single_precision_are_taken(kind):
    reservoir = any_reservoir(kind)
    single = U.float()
    read_only = single.numpy().astype(float)
    read_only.flags.writeable = False
    assert torch.equal(reservoir.states(single)[0], reservoir.states(read_only)[0])


def test_a_reservoir_may_run_in_single_precision():
    reservoir = fresh(QLSTMCell)
    states = reservoir.states(U)[0]
    single = reservoir.float().states(U)[0]
    assert single.dtype == torch.float64 and close(single, states, 1e-5) and not torch.equal(single, states)


# --- frozen, and where the weights come from


@pytest.mark.parametrize("cell", CELLS)
def test_nothing_but_the_readout_is_trained(cell):
    reservoir = fresh(cell, output_size=2)
    trained = {name for name, weights in reservoir.named_parameters() if weights.requires_grad}
    assert trained == {"readout.weight", "readout.bias"}
    assert not reservoir.states(U)[0].requires_grad
    reservoir(U)[0].square().sum().backward()
    assert reservoir.readout.weight.grad.abs().sum() > 0
    assert [weights.grad for weights in reservoir.cell.parameters()] == [None] * len([*reservoir.cell.parameters()])


@pytest.mark.parametrize(
    ("cell", "frozen", "trained"),
    [(QRNNCell, 24, 4), (QLSTMCell, 144, 5), (QGRUCell, 72, 4)],
    ids=lambda value: str(value),
)
def test_parameters_are_those_of_the_paper(cell, frozen, trained):
    reservoir = QuantumReservoir(cell(1, 3))
    counts = {flag: sum(w.numel() for w in reservoir.parameters() if w.requires_grad is flag) for flag in (True, False)}
    assert counts == {True: trained, False: frozen}


def test_the_cell_given_stays_as_it_is():
    cell = QRNNCell(1, 3)
    before = [weights.clone() for weights in cell.parameters()]
    reservoir = QuantumReservoir(cell, seed=0)
    assert all(torch.equal(a, b) and b.requires_grad for a, b in zip(before, cell.parameters(), strict=True))
    assert all(a.dtype == torch.float32 for a in cell.parameters())
    assert all(a.dtype == torch.float64 for a in reservoir.cell.parameters())


def test_weights_are_normal_of_the_scale_and_seed():
    def drawn(**settings):
        return torch.cat([w.flatten() for w in QuantumReservoir(QLSTMCell(1, 3), **settings).cell.parameters()])

    one = drawn(seed=1)
    assert torch.equal(one, drawn(seed=1)) and not torch.equal(one, drawn(seed=2))
    assert abs(one.std() / 0.01 - 1) < 0.2 and close(drawn(seed=1, weight_scale=1.5), 150 * one, 1e-12)
    torch.manual_seed(0)
    unseeded = drawn()
    torch.manual_seed(0)
    assert torch.equal(drawn(), unseeded)


def test_weights_of_the_cell_are_kept_where_no_scale_is_given():
    cell = QRNNCell(1, 3, init=lambda w: nn.init.constant_(w, 0.25))
    assert {w for p in QuantumReservoir(cell, weight_scale=None).cell.parameters() for w in p.tolist()} == {0.25}


class Own(nn.Module):
    """A cell that is none of ours, on a circuit read in another way."""

    input_size, output_size = 1, 2

    def __init__(self, backend=None):
        super().__init__()
        self.layer = QuantumLayer(recurrent_block(3), z_each(3)[:2], backend)

    def initial_state(self, batch_shape, like):
        return like.new_zeros(*batch_shape, 2)

    def forward(self, x, state):
        state = self.layer(torch.cat([x, state], -1))
        return state, state


def test_any_cell_of_the_interface_on_any_backend():
    pytest.importorskip("pennylane")
    ours, theirs = (QuantumReservoir(Own(b), seed=3) for b in (Statevector(), PennyLane("default.qubit")))
    assert close(ours.states(U[:3])[0], theirs.states(U[:3])[0])


# --- kept


def counted(reservoir, monkeypatch):
    runs = []
    run = reservoir.run
    monkeypatch.setattr(reservoir, "run", lambda u, state: runs.append(len(u)) or run(u, state))
    return runs


def test_states_are_computed_once_and_equal_the_recomputed_ones(kind, monkeypatch):
    reservoir = any_reservoir(kind)
    runs = counted(reservoir, monkeypatch)
    first, state = reservoir.states(U)
    again, same = reservoir.states(U.clone())
    assert runs == [20]
    reservoir._cache.clear()
    anew, computed = reservoir.states(U)
    assert runs == [20, 20]
    assert torch.equal(first, again) and torch.equal(first, anew)
    assert torch.equal(state, same) and torch.equal(state, computed)


def test_other_inputs_and_states_are_other_sequences(kind, monkeypatch):
    reservoir = any_reservoir(kind)
    runs = counted(reservoir, monkeypatch)
    state = reservoir.states(U[:5])[1]
    for u, start in [(U[:5], state), (U[:5, None], None), (U[:5].float(), None), (U[:5], None)]:
        reservoir.states(u, start)
    assert len(runs) == 4


def test_what_a_caller_writes_is_not_kept(kind):
    reservoir = any_reservoir(kind)
    states, state = reservoir.states(U)
    kept = states.clone(), state.clone()
    states.zero_(), state.zero_()
    again = reservoir.states(U)
    assert torch.equal(again[0], kept[0]) and torch.equal(again[1], kept[1])


def test_only_the_last_sequences_are_kept(kind, monkeypatch):
    reservoir = any_reservoir(kind)
    runs = counted(reservoir, monkeypatch)
    first = U[:2]
    reservoir.states(first)
    for k in range(CACHED - 1):
        reservoir.states(U[k + 1 : k + 3])
    reservoir.states(first)  # still there, and now the newest
    assert len(runs) == CACHED
    reservoir.states(U[10:12])
    reservoir.states(first)
    assert len(runs) == CACHED + 1
    reservoir.states(U[1:3])  # the oldest went
    assert len(runs) == CACHED + 2 and len(reservoir._cache) == CACHED


def test_other_weights_give_other_states():
    reservoir, other = fresh(), QuantumReservoir(QRNNCell(1, 3), seed=1, weight_scale=0.5)
    before, wanted = reservoir.states(U)[0], other.states(U)[0]
    reservoir.load_state_dict(other.state_dict())
    assert not torch.equal(before, wanted) and torch.equal(reservoir.states(U)[0], wanted)


def test_another_backend_gives_its_own_states(monkeypatch):
    reservoir = QuantumReservoir(Own(), seed=0)
    runs = counted(reservoir, monkeypatch)
    reservoir.states(U[:3])
    reservoir.cell.layer.to_backend(Statevector("backprop"))
    reservoir.states(U[:3])
    assert len(runs) == 2


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda r: pickle.loads(pickle.dumps(r))], ids=["deepcopy", "pickle"])
def test_copies_carry_no_kept_states(copied):
    reservoir = fresh()
    states = reservoir.states(U)[0]
    other = copied(reservoir)
    assert len(reservoir._cache) == 1 and not other._cache and torch.equal(other.states(U)[0], states)


# --- the readout


@pytest.mark.parametrize("alpha", [1e-3, 0.7, 30.0])
def test_ridge_is_that_of_scikit_learn(kind, alpha):
    reservoir = any_reservoir(kind, output_size=2, washout=4)
    assert reservoir.fit_ridge(U, Y, alpha) is reservoir
    oracle = Ridge(alpha).fit(reservoir.states(U)[0][4:], Y[4:])
    assert close(reservoir.readout.weight, oracle.coef_) and close(reservoir.readout.bias, oracle.intercept_)
    assert close(reservoir.predict(U), oracle.predict(reservoir.states(U)[0]))


def test_ridge_of_windows_reads_the_last_step():
    reservoir, y = fresh(QLSTMCell, washout=2), WINDOWS.sum(0)
    reservoir.fit_ridge(WINDOWS, y, 1e-3, last_only=True)
    oracle = Ridge(1e-3).fit(reservoir.states(WINDOWS)[0][-1], y)
    assert close(reservoir.readout.weight, np.atleast_2d(oracle.coef_))
    assert reservoir.predict(WINDOWS, last_only=True).shape == (30, 1)
    assert torch.equal(reservoir.predict(WINDOWS, last_only=True), reservoir.predict(WINDOWS)[-1])


def test_ridge_of_a_batch_washes_every_series_out(kind):
    reservoir, y = any_reservoir(kind), WINDOWS.roll(1, 0)
    reservoir.fit_ridge(WINDOWS, y, 0.1, washout=1)
    states = reservoir.states(WINDOWS)[0]
    oracle = Ridge(0.1).fit(states[1:].reshape(90, -1), y[1:].reshape(90, 1))
    assert close(reservoir.readout.weight, np.atleast_2d(oracle.coef_))


def test_no_penalty_is_least_squares_of_smallest_norm():
    x = torch.rand(30, 4, generator=GENERATOR, dtype=torch.float64)
    x = torch.cat([x, x[:, :2] + x[:, 2:]], 1)  # six columns of rank four
    y = torch.rand(30, 2, generator=GENERATOR, dtype=torch.float64)
    weight, bias = ridge(x, y, 0.0)
    centred = (x - x.mean(0)).numpy()
    oracle = np.linalg.pinv(centred, rcond=1e-10) @ (y - y.mean(0)).numpy()
    assert close(weight, oracle.T) and close(bias, y.mean(0) - weight @ x.mean(0))


def test_gradient_training_reaches_ridge(kind):
    reservoir = any_reservoir(kind, output_size=2, washout=4)
    x = reservoir.states(U)[0][4:]
    optimiser = torch.optim.LBFGS(
        reservoir.readout.parameters(), max_iter=500, tolerance_grad=1e-12, tolerance_change=0
    )

    def closure():
        optimiser.zero_grad()
        loss = (reservoir.readout(x) - Y[4:]).square().sum() + 0.1 * reservoir.readout.weight.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    trained = reservoir.readout.weight.detach().clone()
    assert close(reservoir.fit_ridge(U, Y, 0.1).readout.weight, trained, 1e-5)


def test_a_reservoir_remembers_what_a_readout_of_the_input_cannot():
    u = torch.rand(600, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = u.roll(2, 0)
    reservoir = IsingReservoir(4, washout=50, seed=1).fit_ridge(u[:400], y[:400])
    _, state = reservoir.states(u[:400])
    left = (reservoir.predict(u[400:], state) - y[400:]).square().mean() / y[400:].var()
    assert left < 0.2  # the input itself holds nothing of it: 1


# --- bad input

GOOD = torch.rand(6, 1, generator=GENERATOR)


@pytest.mark.parametrize(
    ("u", "error", "message"),
    [
        (torch.zeros(0, 1), ValueError, "got a sequence of length 0, expected at least one step"),
        (torch.rand(6), ValueError, r"got inputs of shape \(6,\), expected \(steps, 1\) or \(steps, batch, 1\)"),
        (torch.rand(6, 2), ValueError, r"got inputs of shape \(6, 2\), expected .* also a single one"),
        (torch.rand(2, 2, 2, 1), ValueError, r"got inputs of shape \(2, 2, 2, 1\)"),
        (
            torch.tensor([[0.1], [torch.nan]]),
            ValueError,
            r"got NaN or infinite inputs, first at \(1, 0\), expected finite",
        ),
        (torch.tensor([[torch.inf]]), ValueError, "got NaN or infinite inputs"),
        (torch.rand(3, 1, dtype=torch.cfloat), TypeError, "got inputs of torch.complex64, expected real numbers"),
        (torch.rand(3, 1, requires_grad=True), TypeError, r"got inputs that require a gradient, .*: pass u.detach\(\)"),
    ],
)
def test_bad_inputs_are_refused_and_nothing_is_kept(kind, u, error, message):
    reservoir = any_reservoir(kind)
    with pytest.raises(error, match=message):
        reservoir.states(u)
    assert not reservoir._cache


@pytest.mark.parametrize("state", [np.zeros(3), {"h": torch.zeros(3)}, 0.0])
def test_states_that_are_no_tensors_are_refused(kind, state):
    found = type(state).__name__
    with pytest.raises(TypeError, match=rf"got a state of {found}, expected tensors: give what states\(\) returned"):
        any_reservoir(kind).states(U, state)


def test_states_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"got .*\(4,\).*expected.*3"):
        fresh().states(U, torch.zeros(4, dtype=torch.float64))


@pytest.mark.parametrize(
    ("u", "y", "settings", "message"),
    [
        (GOOD, GOOD, {"washout": 6}, "got washout=6 for 6 steps, expected less: shorten it, or give more steps"),
        (GOOD, GOOD, {"washout": -1}, "got washout=-1, expected an integer of at least 0"),
        (GOOD, GOOD, {"alpha": -1.0}, "got alpha=-1.0, expected a finite number of at least 0"),
        (GOOD, GOOD[:5], {}, r"got targets of shape \(5, 1\), expected \(6, 1\): the last dimension is output_size"),
        (GOOD, GOOD[:, 0], {}, r"got targets of shape \(6,\), expected \(6, 1\)"),
        (GOOD, GOOD.repeat(1, 2), {}, r"got targets of shape \(6, 2\), expected \(6, 1\)"),
        (GOOD[:, None], GOOD[:, None], {"last_only": True}, r"got targets of shape \(6, 1, 1\), expected \(1, 1\)"),
        (GOOD, GOOD * torch.nan, {}, r"got NaN or infinite targets, first at \(0, 0\)"),
        (
            torch.full((6, 1), 0.3),
            GOOD,
            {},
            "got constant inputs, expected a series that varies: there is nothing to fit",
        ),
        (GOOD, torch.full((6, 1), 0.3), {}, "got constant targets after the washout, expected a series that varies"),
        (GOOD, torch.tensor([[9.0]] + 5 * [[1.0]]), {"washout": 1}, "got constant targets after the washout"),
        (GOOD[:, None][:, :0], GOOD[:, None][:, :0], {}, "got constant inputs, expected a series that varies"),
    ],
)
def test_bad_fits_are_refused_and_change_nothing(kind, u, y, settings, message):
    reservoir = any_reservoir(kind)
    before = reservoir.readout.weight.clone()
    with pytest.raises(ValueError, match=message):
        reservoir.fit_ridge(u, y, **settings)
    assert torch.equal(reservoir.readout.weight, before)


def test_states_that_do_not_vary_are_refused():
    with pytest.raises(ValueError, match="got constant states after the washout, expected a series that varies"):
        ridge(torch.full((5, 2), 0.1).double() + 1e-17, torch.rand(5, 1).double(), 0.1)


def test_a_washout_of_the_reservoir_as_long_as_the_series_is_refused(kind):
    with pytest.raises(ValueError, match="got washout=6 for 6 steps"):
        any_reservoir(kind, washout=6).fit_ridge(GOOD, GOOD)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (
            nn.Linear(1, 2),
            "got Linear as a cell, without input_size and output_size and initial_state, expected a recurr",
        ),
        (QRNNCell, "got type as a cell, without"),
        ("qrnn", r"got str as a cell, .*: qml.QRNNCell\(input_size, hidden_size\)"),
    ],
)
def test_other_cells_are_refused(cell, message):
    with pytest.raises(TypeError, match=message):
        QuantumReservoir(cell)


@pytest.mark.parametrize("scale", [-0.1, torch.nan, "small"])
def test_bad_scales_are_refused(scale):
    with pytest.raises(ValueError, match=r"got weight_scale=.*, expected a finite number of at least 0"):
        QuantumReservoir(QRNNCell(1, 3), weight_scale=scale)
