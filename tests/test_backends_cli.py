"""The commands ``qml backends`` and ``qml plan``."""

import importlib.util
import re
import sys

import pytest

pytest.importorskip("qiskit_ibm_runtime")

from ibm_folders import own_folders  # noqa: F401

from backends import names
from circuits.templates import data_reuploading
from hybrid import backends_cli
from hybrid.cli import main

pytestmark = pytest.mark.usefixtures("own_folders")
SMALL = ["iris", "--models", "reuploading", "--seeds", "1", "--epochs", "1", "--n-train", "8"]


@pytest.fixture
def qml(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["qml", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        return stopped.value.code, *capsys.readouterr()

    return call


def test_backends_lists_every_name(qml):
    code, out, err = qml("backends")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines() if not line.startswith(" ")] == list(names.NAMES)
    assert out.count("available") == len(names.NAMES)
    assert "as in ibm:manila: aachen, " in out and "no saved account: QiskitRuntimeService.save_account(" in out


def test_backends_says_what_is_missing(qml, monkeypatch):
    find = importlib.util.find_spec
    hidden = {"pennylane", "qiskit_ibm_runtime"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in hidden else find(name))
    _, out, _ = qml("backends")
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert lines["pennylane"].endswith("not installed: pip install 'hybridqml[pennylane]'")
    assert lines["ibm"].endswith("not installed: pip install 'hybridqml[ibm]'")
    assert lines["statevector"].endswith("available") and len(lines) == len(names.NAMES)


def test_what_is_known_of_backends_is_what_there_is():
    from backends import _BRIDGES

    extras = {name: _BRIDGES[public][1] for name, public in names.NAMES.items() if public in _BRIDGES}
    assert {name: extra for name, (_, extra, _) in backends_cli._KNOWN.items() if extra} == extras


def test_devices_of_an_account(qml, service, monkeypatch):
    for name, value in service.environment.items():
        monkeypatch.setenv(name, value)
    service.settings(queue={"ibm_lima": 7})
    code, out, _ = qml("backends", "--devices")
    assert code == 0
    assert "  ibm:ibm_lima (5 qubits, 7 jobs waiting): available\n" in out and "ibm:ibm_manila (5 qubits, 0 jobs" in out
    assert service.api_key not in out


def test_devices_without_an_account(qml):
    code, _, err = qml("backends", "--devices")
    assert code == 2 and err.startswith("qml: got no saved account, expected one for devices of IBM")


def test_devices_of_a_service_that_cannot_be_reached(qml, service, monkeypatch):
    for name, value in service.environment.items():
        monkeypatch.setenv(name, value)
    service.fault("identity", "status", n=None, status=400)
    code, _, err = qml("backends", "--devices")
    assert code == 2 and err.startswith("qml: got ") and err.count("\n") == 1


def test_plan(qml):
    code, out, err = qml("plan", *SMALL, "--backend", "ibm:manila,shots=100", "--price-per-second", "2")
    assert (code, err) == (0, "")
    table = [re.split(r"\s{2,}", line.strip()) for line in out.splitlines()]
    assert table[0] == ["model", "circuits", "rows", "shots", "jobs", "QPU s (est.)", "price"]
    assert [row[0] for row in table[1:5]] == [
        "reuploading hybrid",
        "reuploading separable",
        "reuploading frozen",
        "total",
    ]
    numbers = [[float(cell.replace(",", "")) for cell in row[1:]] for row in table[1:5]]
    assert [sum(column[:3]) for column in zip(*numbers, strict=True)] == pytest.approx(numbers[3], abs=0.2)
    circuits, rows, shots, jobs, seconds, price = numbers[0]
    n_angles = len(data_reuploading(4, n_layers=3, scaling=False).angles)
    # one step of 8 samples, every angle shifted twice; then 30 samples watched and 30 predicted
    assert rows == circuits == 8 * (1 + 2 * n_angles) + 30 + 30 and shots == 100 * circuits and jobs == 1 + 2 * 1
    assert price == pytest.approx(2 * seconds, abs=0.2) and 250e-6 * shots < seconds < 270e-6 * shots
    assert out.endswith("0 of 7 trainings are finished and cost nothing more.\n")


@pytest.mark.parametrize("cut", ["", "cut:4:"])
@pytest.mark.parametrize(("budget", "code", "text"), [(1e6, 0, ""), (1.0, 1, "qml: The budget is not enough: ")])
def test_plan_with_a_budget(qml, budget, code, text, cut):
    found, out, err = qml("plan", *SMALL, "--backend", f"{cut}ibm:manila,shots=100,budget_seconds={budget}")
    assert found == code and err.startswith(text) and bool(err) == bool(code)
    assert f"Budget: {budget:,.1f} s, of which {budget:,.1f} s are left." in out


@pytest.mark.parametrize(
    ("backend", "text"),
    [
        ("statevector", "got the backend 'statevector', which costs nothing, expected a device: ibm:manila"),
        ("ibm:manilla", "got the fake device 'manilla', expected for example manila"),
        ("ibm:ibm_torino", "got no saved account, expected one for devices of IBM"),
        ("ibn:manila", "got the backend 'ibn', expected one of"),
    ],
)
def test_plan_with_a_wrong_backend_is_one_line(qml, backend, text):
    code, _, err = qml("plan", *SMALL, "--backend", backend)
    assert code == 2 and err.startswith(f"qml: {text}") and err.count("\n") == 1
