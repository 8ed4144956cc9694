import subprocess
import sys
from pathlib import Path

import pytest

import backends

ROOT = Path(__file__).parents[1]

EXTRAS = {
    "PennyLane": "pennylane",
    "from_pennylane": "pennylane",
    "to_pennylane": "pennylane",
    "QiskitEstimator": "qiskit",
    "from_qiskit": "qiskit",
    "to_qiskit": "qiskit",
    "Aer": "aer",
    "Cut": "cutting",
}
LIBRARIES = {"pennylane": "pennylane", "qiskit": "qiskit", "aer": "qiskit_aer", "cutting": "qiskit_addon_cutting"}

BLOCKED = """
import sys
class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name in ("pennylane", "qiskit"):
            raise ModuleNotFoundError("No module named " + name, name=name)
sys.meta_path.insert(0, NotInstalled())
import backends
from circuits import Circuit
import qml
for name in {names}:
    try:
        getattr(backends, name)
    except ModuleNotFoundError as error:
        print(error)
try:
    backends.get("pennylane:default.qubit")
except ModuleNotFoundError as error:
    print(error)
print(qml.QuantumLayer(Circuit(1, []))._repr_html_()[:4])
"""


def test_a_missing_library_is_one_line_that_names_the_extra():
    program = BLOCKED.format(names=list(EXTRAS))
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    first = {**LIBRARIES, "aer": "qiskit", "cutting": "qiskit"}  # which it imports first
    wanted = [f"backends.{name} needs {first[x]}: pip install 'hybridqml[{x}]'" for name, x in EXTRAS.items()]
    assert done.stdout.splitlines() == [*wanted, wanted[0], "<pre"]


@pytest.mark.parametrize("name", EXTRAS)
def test_bridges_load_when_they_are_asked_for(name):
    pytest.importorskip(LIBRARIES[EXTRAS[name]])
    assert getattr(backends, name).__name__ == name


def test_every_public_name_is_there():
    pytest.importorskip("pennylane")
    pytest.importorskip("qiskit_aer")
    assert all(hasattr(backends, name) for name in backends.__all__)
    assert set(EXTRAS) < set(backends.__all__)


def test_a_misspelt_name():
    with pytest.raises(AttributeError, match="module 'backends' has no attribute 'Statevectr'"):
        _ = backends.Statevectr


def test_a_fault_of_our_own_is_not_blamed_on_a_library(monkeypatch):
    def broken(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(backends, "import_module", broken)
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'backends\.pennylane_device'"):
        _ = backends.PennyLane
