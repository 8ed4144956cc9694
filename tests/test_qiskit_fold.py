"""backends/qiskit_fold.py: the same unitary from more gates."""

import numpy as np
import pytest

pytest.importorskip("qiskit")

from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Parameter
from qiskit.quantum_info import Operator
from qiskit.transpiler import CouplingMap

from backends.qiskit_fold import folded

T = Parameter("t")


def circuit():
    made = QuantumCircuit(3)
    made.rx(0.4, 0)
    made.cx(0, 2)
    made.rzz(T, 1, 2)
    made.ecr(0, 1)
    made.rzx(2 * T + 0.1, 0, 2)
    made.ccx(2, 0, 1)
    made.swap(1, 2)
    return made


@pytest.mark.parametrize("factor", [1, 3, 5])
def test_the_unitary_is_the_same_and_entangling_gates_are_repeated(factor):
    found = folded(circuit(), factor)
    plain = {"rx": 1, "cx": 1, "rzz": 1, "ecr": 1, "rzx": 1, "ccx": 1, "swap": 1}
    expected = {name: n if name == "rx" else n * factor for name, n in plain.items()}
    assert {name: n for name, n in found.count_ops().items() if name != "barrier"} == expected
    assert found.parameters == circuit().parameters
    one, other = (Operator(c.assign_parameters({T: 0.7})).data for c in (found, circuit()))
    assert np.allclose(one, other, atol=1e-12)


def test_what_undoes_a_gate_stands_between_barriers():
    made = QuantumCircuit(2)
    made.rzz(T, 0, 1)
    names = [(i.operation.name, [str(p) for p in i.operation.params]) for i in folded(made, 3).data]
    assert names == [("rzz", ["t"]), ("barrier", []), ("rzz", ["-t"]), ("barrier", []), ("rzz", ["t"])]


def test_the_layout_and_measurements_stay():
    made = circuit().assign_parameters({T: 0.2})
    laid = transpile(
        made, basis_gates=["rz", "sx", "cx"], coupling_map=CouplingMap([(0, 1), (1, 2)]), seed_transpiler=1
    )
    laid.measure_all()
    found = folded(laid, 3)
    assert found.layout.final_index_layout() == laid.layout.final_index_layout()
    assert found.count_ops()["measure"] == 3 and found.count_ops()["cx"] == 3 * laid.count_ops()["cx"]


def test_a_gate_whose_inverse_is_another_one_is_refused():
    made = QuantumCircuit(2)
    made.iswap(0, 1)
    text = r"got the gate 'iswap' to fold, whose inverse is '.*', expected a gate that undoes itself or turns back"
    with pytest.raises(ValueError, match=text):
        folded(made, 3)
