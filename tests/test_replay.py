import copy
import json
import os
import pickle
import zipfile

import pytest
import torch
from dense_backend import DenseBackend

import backends
from backends import FiniteDifference, Gradient, ParameterShift, Record, Replay, Spsa, Statevector
from backends.base import Estimate
from backends.replay import RecordError
from circuits import CRY, CX, RX, RY, Circuit, Probabilities, inputs, weights, z_each
from qml import QuantumLayer

X, W = inputs(2), weights(3)
CIRCUIT = Circuit(2, [RX(X[0], 0), RY(X[1] * W[2], 1), CX(0, 1), RY(W[0], 0), CRY(W[1], 0, 1)], 2, 3)


class Noisy(DenseBackend):
    """Different numbers at every call, with standard errors."""

    position = 0

    def __init__(self, gradient=None, seed=0):
        super().__init__(gradient, together=True)
        self.generator = torch.Generator().manual_seed(seed)

    def evaluate(self, circuit, angles, observables):
        values = super().evaluate(circuit, angles, observables)
        self.position += 1
        noise = 0.01 * torch.randn(values.shape, generator=self.generator, dtype=torch.float64)
        return Estimate(values + noise, noise.abs())

    def details(self, circuit):
        return {"device.json": b'{"name": "ours"}', f"transpiled/{circuit.fingerprint}.qasm": b"OPENQASM 3.0;"}


def trained(backend, readout=None, n_steps=3, seed=0):
    """Weights, losses and standard errors of a short training."""
    torch.manual_seed(seed)
    layer = QuantumLayer(CIRCUIT, readout or z_each(2), backend)
    optimizer, seen = torch.optim.Adam(layer.parameters(), 0.1), []
    for _ in range(n_steps):
        optimizer.zero_grad()
        loss = layer(torch.rand(4, 2)).square().sum()
        loss.backward()
        optimizer.step()
        seen += [loss.detach(), layer.last_stderr]
    layer.eval()
    return [layer.weights.detach(), *seen, layer(torch.ones(1, 2)).detach()]


def equal(a, b):
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize(
    "gradient", [ParameterShift(), FiniteDifference(0.2), Spsa(0.2, 2, seed=5)], ids=lambda g: g.name
)
@pytest.mark.parametrize("readout", [z_each(2), Probabilities((1,))], ids=["words", "probabilities"])
def test_a_training_comes_back_bit_for_bit(tmp_path, gradient, readout):
    plain = trained(Noisy(copy.deepcopy(gradient)), readout)
    recorded = trained(Record(Noisy(copy.deepcopy(gradient)), tmp_path / "run.zip"), readout)
    replayed = trained(Replay(tmp_path / "run.zip"), readout)
    assert equal(plain, recorded) and equal(recorded, replayed)
    assert Replay(tmp_path / "run.zip").gradient == gradient


def test_equal_questions_come_back_in_the_order_of_their_answers(tmp_path):
    layer = QuantumLayer(CIRCUIT, backend=Record(Noisy(), tmp_path / "run.zip")).eval()
    seen = [layer(torch.ones(2, 2)).detach() for _ in range(3)]
    layer.to_backend(Replay(tmp_path / "run.zip"))
    again = [layer(torch.ones(2, 2)).detach() for _ in range(4)]
    assert equal(again, [*seen, seen[0]]) and not torch.equal(seen[0], seen[1])


def test_rows_that_another_machine_rounds_otherwise_are_the_same(tmp_path):
    layer = QuantumLayer(CIRCUIT, backend=Record(Noisy(), tmp_path / "run.zip")).eval()
    seen = [layer(x).detach() for x in (torch.ones(2, 2), 1.001 * torch.ones(2, 2))]
    layer.to_backend(Replay(tmp_path / "run.zip"))
    assert torch.equal(layer((1.001 + 1e-6) * torch.ones(2, 2)), seen[1])
    with pytest.raises(RecordError, match="got 2 rows of circuit"):
        layer((1 + 1e-4) * torch.ones(2, 2))


def test_what_is_in_the_file(tmp_path):
    trained(Record(Noisy(), tmp_path / "run.zip"), n_steps=1)
    with zipfile.ZipFile(tmp_path / "run.zip") as file:
        names, about = file.namelist(), json.loads(file.read("record.json"))
        assert Circuit.from_json(file.read(f"circuits/{CIRCUIT.fingerprint}.json").decode()) == CIRCUIT
    assert {"device.json", f"transpiled/{CIRCUIT.fingerprint}.qasm", "calls/000000.npz", "calls/000001.npz"} <= set(
        names
    )
    assert about["backend"] == "DenseBackend()" and about["versions"]["torch"] == torch.__version__
    assert len(about["calls"]) == 2


def test_a_run_that_is_started_again_adds_what_is_new(tmp_path):
    file = tmp_path / "run.zip"
    trained(Record(Noisy(), file), n_steps=2)
    longer = trained(Record(Noisy(), file), n_steps=3)
    assert len(Replay(file).archive.calls) == 2 + 1 + 1 + 1  # steps, prediction after two, third step, prediction
    assert equal(trained(Replay(file), n_steps=3), longer)


def test_a_circuit_that_was_not_recorded(tmp_path):
    trained(Record(Noisy(), tmp_path / "run.zip"), n_steps=1)
    other = Circuit(2, CIRCUIT.ops[:-1], 2, 3)
    text = (
        f"got circuit {other.fingerprint[:8]}, which was not recorded, expected one of run.zip: "
        f"{CIRCUIT.fingerprint[:8]}"
    )
    with pytest.raises(RecordError, match=text):
        QuantumLayer(other, backend=Replay(tmp_path / "run.zip"))(torch.zeros(1, 2))


def test_rows_and_readouts_that_were_not_recorded(tmp_path):
    trained(Record(Noisy(), tmp_path / "run.zip"), n_steps=2)
    replay, name = Replay(tmp_path / "run.zip"), CIRCUIT.fingerprint[:8]
    text = (
        rf"got 7 rows of circuit {name} that were not recorded, expected those of the 3 calls in run.zip "
        rf"\(rows: 36, 1\): same inputs, weights and order as in the recorded run"
    )
    with torch.no_grad():
        with pytest.raises(RecordError, match=text):
            QuantumLayer(CIRCUIT, backend=replay)(torch.zeros(7, 2))
        with pytest.raises(
            RecordError, match=f"got a readout of circuit {name} that was not recorded, expected the one"
        ):
            QuantumLayer(CIRCUIT, "X0", replay)(torch.zeros(1, 2))


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 but cut"], ids=["empty", "foreign", "cut"])
def test_what_is_no_record_is_refused_and_left_alone(tmp_path, content):
    (tmp_path / "run.zip").write_bytes(content)
    for made in (lambda f: Replay(f), lambda f: Record(Noisy(), f)):
        with pytest.raises(
            RecordError, match=r"got .*run.zip, which cannot be read as a record \(.*\), expected a file"
        ):
            made(tmp_path / "run.zip")
    assert (tmp_path / "run.zip").read_bytes() == content


def test_a_cut_record_is_refused(tmp_path):
    trained(Record(Noisy(), tmp_path / "run.zip"), n_steps=1)
    data = (tmp_path / "run.zip").read_bytes()
    (tmp_path / "run.zip").write_bytes(data[: len(data) // 2])
    with pytest.raises(RecordError, match="cannot be read as a record"):
        Replay(tmp_path / "run.zip")


def test_a_missing_file(tmp_path):
    with pytest.raises(RecordError, match=r"got .*nothing.zip, which cannot be read as a record"):
        Replay(tmp_path / "nothing.zip")


def test_a_record_of_a_later_version(tmp_path):
    with zipfile.ZipFile(tmp_path / "run.zip", "w") as file:
        file.writestr("record.json", json.dumps({"format": "hybridqml record", "version": 9, "calls": []}))
    with pytest.raises(
        RecordError, match="'hybridqml record' 9, expected 'hybridqml record' 1: read it with the version"
    ):
        Replay(tmp_path / "run.zip")


class Own(Gradient):
    name = "own"

    def __call__(self, evaluate, circuit, angles, columns, together=False):
        return ParameterShift()(evaluate, circuit, angles, columns, together)


def test_a_gradient_of_your_own_is_given_again(tmp_path):
    recorded = trained(Record(Noisy(Own()), tmp_path / "run.zip"))
    text = r"recorded with the gradient Own, expected one of ParameterShift, .*: give yours as Replay\(file, gradient="
    with pytest.raises(RecordError, match=text):
        Replay(tmp_path / "run.zip")
    assert equal(trained(Replay(tmp_path / "run.zip", Own())), recorded)


def test_a_crash_while_writing_leaves_the_file_before(tmp_path, monkeypatch):
    file = tmp_path / "run.zip"
    record = Record(Noisy(), file)
    trained(record, n_steps=1)
    before = file.read_bytes()

    def crash(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            trained(record, n_steps=1, seed=1)
    assert file.read_bytes() == before and os.listdir(tmp_path) == ["run.zip"]


def test_only_what_measures_is_recorded(tmp_path):
    with pytest.raises(TypeError, match="got Statevector to record, expected a backend that measures"):
        Record(Statevector(), tmp_path / "run.zip")


def test_both_are_backends_as_the_one_they_stand_for(tmp_path):
    inner = Noisy()
    record = Record(inner, tmp_path / "run.zip")
    assert record.capabilities == inner.capabilities and record.together
    trained(record, n_steps=1)
    record.position = 7
    assert inner.position == 7 == record.position
    replay = Replay(tmp_path / "run.zip")
    assert replay.capabilities == inner.capabilities and replay.together
    assert (
        repr(replay) == "Replay('run.zip', of DenseBackend())" and repr(record) == "Record(DenseBackend(), 'run.zip')"
    )
    assert not hasattr(Record(DenseBackend(), tmp_path / "other.zip"), "position")


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda b: pickle.loads(pickle.dumps(b))], ids=["deepcopy", "pickle"])
def test_copies_replay(tmp_path, copied):
    recorded = trained(Record(Noisy(), tmp_path / "run.zip"))
    assert equal(trained(copied(Replay(tmp_path / "run.zip"))), recorded)


def test_a_device_of_ibm_with_its_circuits(tmp_path, monkeypatch):
    pytest.importorskip("qiskit_ibm_runtime")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    from qiskit import qasm3, qpy

    file = tmp_path / "run.zip"
    recorded = trained(Record(backends.IBM("manila", shots=50, seed=1), file), n_steps=1)
    assert equal(trained(Replay(file), n_steps=1), recorded)
    with zipfile.ZipFile(file) as archive:
        assert json.loads(archive.read("device.json"))["name"] == "fake_manila"
        text = archive.read(f"transpiled/{CIRCUIT.fingerprint}.qasm").decode()
        with archive.open(f"transpiled/{CIRCUIT.fingerprint}.qpy") as packed:
            (circuit,) = qpy.load(packed)
    assert qasm3.dumps(circuit) == text and text.startswith("OPENQASM 3")
