"""Circuits and observables to and from Qiskit.

Qubit q is qubit q on both sides. Qiskit writes qubit 0 as the last factor of a matrix and the last letter of a label,
this project as the first: matrices and labels are turned round on the way, so states and readouts agree.
"""

from __future__ import annotations

import itertools
import math
import operator
import re
import uuid
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from qiskit.circuit import Barrier, ControlFlowOp, Delay, Measure, Parameter, ParameterVector, QuantumCircuit, Reset
from qiskit.circuit import Gate as QiskitGate
from qiskit.circuit.library import (
    PauliEvolutionGate,
    PauliProductRotationGate,
    StatePreparation,
    UGate,
    UnitaryGate,
    get_standard_gate_name_mapping,
)
from qiskit.circuit.parameterexpression import OpCode, ParameterExpression
from qiskit.exceptions import QiskitError
from qiskit.quantum_info import Pauli, SparsePauliOp
from qiskit.transpiler.passes import HighLevelSynthesis

from circuits import U3, Angle, Circuit, Observable, Op, PauliRot, amplitudes, unitary
from circuits import inputs as feature_angles
from circuits import weights as weight_angles
from circuits.angles import FUNCTIONS, Factor, Monomial, as_angle
from circuits.gates import TABLE, Gate

# Rows of the gate table as gates of Qiskit: the same names in small letters, except the identity.
_STANDARD = get_standard_gate_name_mapping()
_NAMES = {name: "id" if name == "I" else name.lower() for name in TABLE}
_CLASSES = {name: _STANDARD[_NAMES[name]].base_class for name in TABLE}
_ROWS = {(_CLASSES[name], _NAMES[name]): gate for name, gate in TABLE.items()}

#: Gates sent as their definitions: Aer binds rows of parameters to the first four wrongly (qiskit-aer issue 2391, no
#: error is raised), and some of its methods do not know the others.
DEFINED = ("crx", "cry", "crz", "cp", "ch", "ccz", "cswap", "iswap", "pauli_product_rotation")


def to_qiskit(circuit: Circuit, angles: Sequence[Any] | None = None, *, opaque: bool = False) -> QuantumCircuit:
    """Return the circuit in Qiskit.

    Parameters
    ----------
    circuit : Circuit
    angles : sequence of float or Parameter, length len(circuit.angles), optional
        One value for each of ``circuit.angles``, in radians. If not given, angles are expressions of
        ``ParameterVector("x", n_inputs)`` and ``ParameterVector("w", n_weights)``.
    opaque : bool
        For drawings: what Qiskit has no gate or function for becomes a labelled box or symbol, not an error.

    Returns
    -------
    QuantumCircuit
        ``from_qiskit`` gives an equal circuit back; the numbers of features and weights travel as its metadata.
        Two limits are Qiskit's: it rounds coefficients that differ from 0, 1 or -1 by less than 1e-14 to these, and
        joins products of absolute values into one, ``|a||b| = |ab|``.

    Raises
    ------
    ValueError
        If the circuit has an operation for simulators only, or ``angles`` is of another length.
    """
    columns = _expressions(circuit, opaque) if angles is None else list(angles)
    if len(columns) != len(circuit.angles):
        raise ValueError(f"got {len(columns)} angles, expected {len(circuit.angles)}: one for each of circuit.angles")
    remaining = iter(columns)
    result = QuantumCircuit(circuit.n_qubits)
    if angles is None:
        result.metadata = {"n_inputs": circuit.n_inputs, "n_weights": circuit.n_weights}
    for op in circuit.ops:
        result.append(_gate(op.gate, list(itertools.islice(remaining, len(op.angles))), opaque), op.qubits)
    return result


def parametrised(circuit: Circuit) -> tuple[QuantumCircuit, list[Parameter]]:
    """Return the circuit in Qiskit with one free parameter for each of ``circuit.angles``, and these in order."""
    columns = list(ParameterVector("angle", len(circuit.angles)))
    return to_qiskit(circuit, columns), columns


def defined(circuit: QuantumCircuit) -> QuantumCircuit:
    """Return a circuit in gates that every simulator of Qiskit binds and knows."""
    return circuit.decompose(list(DEFINED))


def from_qiskit(
    quantum_circuit: Any,
    inputs: Iterable[Parameter] | None = None,
    weights: Iterable[Parameter] | None = None,
) -> Any:
    """Return a circuit or an observable of Qiskit as one of this project, converted once and exactly.

    Gates without a row in the gate table are read through their Qiskit definition (a ``PauliEvolutionGate`` of several
    words is therefore the product formula of its ``synthesis``) or, where they have only a matrix, as a ``unitary``.
    Left out are barriers, delays, final measurements and the global phase: no readout depends on them.

    Parameters
    ----------
    quantum_circuit : QuantumCircuit, SparsePauliOp or Pauli
        An observable needs real coefficients.
    inputs, weights : iterable of Parameter, optional
        Parameter i of ``inputs`` becomes the feature ``x[i]``, parameter j of ``weights`` the weight ``w[j]``; a
        parameter that the circuit does not use keeps its place. Without ``inputs``, parameters named ``x[i]`` are
        taken as such; without ``weights``, parameters named ``w[j]``.

    Returns
    -------
    Circuit or Observable

    Raises
    ------
    TypeError
        If ``quantum_circuit`` is something else, or something among inputs and weights is not a Parameter.
    ValueError
        If a parameter is in neither list or in both, an angle is not an expression this project has, or an operation
        is not a gate (a measurement or reset in mid-circuit, control flow, a channel); the message names it.
    """
    if isinstance(quantum_circuit, SparsePauliOp | Pauli):
        return _observable(SparsePauliOp(quantum_circuit))
    if not isinstance(quantum_circuit, QuantumCircuit):
        raise TypeError(
            f"got {type(quantum_circuit).__name__}, expected a QuantumCircuit or a SparsePauliOp of Qiskit: "
            "call SparsePauliOp(...) on other operators"
        )
    slots = _slots(quantum_circuit, inputs, weights)
    reader = _Reader(slots.angles)
    reader.read_circuit(quantum_circuit, range(quantum_circuit.num_qubits))
    return Circuit(quantum_circuit.num_qubits, tuple(reader.ops), slots.n_inputs, slots.n_weights)


def observable_to_qiskit(observable: Observable, n_qubits: int) -> SparsePauliOp:
    """Return the observable as an operator of Qiskit on ``n_qubits`` qubits."""
    terms = [("".join(p for _, p in word), [q for q, _ in word], c) for word, c in observable.terms]
    return SparsePauliOp.from_sparse_list(terms or [("", [], 0.0)], n_qubits)


# To Qiskit


def _gate(gate: Gate, angles: list[Any], opaque: bool) -> QiskitGate:
    if gate.kind == "amplitudes":
        return _box(gate, opaque)
    if gate.name == "unitary":
        return UnitaryGate(_turned(gate.matrix()))
    if gate.name == "PauliRot":
        word = gate.generator[0][1]
        return PauliProductRotationGate(Pauli(word[::-1]), *angles, label=f"R_{word}" if opaque else None)
    return _CLASSES[gate.name](*angles)


def _box(gate: Gate, opaque: bool) -> QiskitGate:
    if not opaque:
        raise ValueError(
            f"got the operation {gate.name!r}, which Qiskit cannot hold with features or weights in it: use the "
            "Statevector backend, an encoding by gates, or StatePreparation for a state of numbers"
        )
    return QiskitGate(gate.name, gate.n_qubits, [])


def _turned(array: np.ndarray) -> np.ndarray:
    """Turn the order of the factors of a matrix (2**k, 2**k) round: from this project to Qiskit and back."""
    n = len(array).bit_length() - 1
    axes = (*reversed(range(n)), *reversed(range(n, 2 * n)))
    return array.reshape((2,) * (2 * n)).transpose(axes).reshape(array.shape)


class _Writer:
    """Writes angles as expressions of Qiskit's parameters."""

    def __init__(self, slots: dict[Factor, Parameter], opaque: bool) -> None:
        self.slots = slots
        self.opaque = opaque

    def expression(self, angle: Angle) -> Any:
        if angle.constant is not None:
            return angle.constant
        return reduce(operator.add, itertools.starmap(self.term, angle.terms))

    def term(self, monomial: Monomial, coefficient: float) -> Any:
        if not monomial:
            return coefficient
        product = reduce(operator.mul, itertools.starmap(self.factor, monomial))
        return product if coefficient == 1.0 else coefficient * product

    def factor(self, name: str, argument: Any) -> Any:
        if not isinstance(argument, Angle):
            return self.slots[name, argument]
        if name == "tanh":
            return self.tanh(argument)
        inner = self.expression(argument)
        return inner**0.5 if name == "sqrt" else getattr(inner, "abs" if name == "absolute" else name)()

    def tanh(self, argument: Angle) -> Any:
        """Write ``tanh a = sin(arctan(sinh a))``, a form that neither divides nor overflows; for drawings, a symbol."""
        if self.opaque:
            text = f"tanh({self.expression(argument)})"
            return Parameter(text, uuid=uuid.uuid5(uuid.NAMESPACE_OID, text))  # equal texts are one parameter
        return self.expression(_arctan_sinh(argument).sin())


def _expressions(circuit: Circuit, opaque: bool) -> list[Any]:
    vectors = {"x": ParameterVector("x", circuit.n_inputs), "w": ParameterVector("w", circuit.n_weights)}
    slots = {(kind, index): p for kind, vector in vectors.items() for index, p in enumerate(vector)}
    return list(map(_Writer(slots, opaque).expression, circuit.angles))


# From Qiskit: parameters


class _Slots(NamedTuple):
    """The angle each parameter becomes, and how many features and weights there are."""

    angles: dict[Parameter, Angle]
    n_inputs: int
    n_weights: int


def _slots(circuit: QuantumCircuit, inputs: Iterable[Any] | None, weights: Iterable[Any] | None) -> _Slots:
    lists = {"x": _parameters("inputs", inputs or ()), "w": _parameters("weights", weights or ())}
    both = set(lists["x"]) & set(lists["w"])
    if both:
        raise ValueError(f"got {_listing(both)} in inputs and in weights, expected each parameter in one of them")
    places = {p: (kind, index) for kind, items in lists.items() for index, p in enumerate(items)}
    sizes = {kind: len(items) for kind, items in lists.items()}
    by_name = {kind for kind, given in (("x", inputs), ("w", weights)) if given is None}
    if len(by_name) == 2:
        sizes = {"x": circuit.metadata.get("n_inputs", 0), "w": circuit.metadata.get("n_weights", 0)}
    for parameter in circuit.parameters:
        match = re.fullmatch(r"([xw])\[(\d+)\]", parameter.name)
        if match and match[1] in by_name and parameter not in places:
            kind, index = places[parameter] = match[1], int(match[2])
            sizes[kind] = max(sizes[kind], index + 1, len(getattr(parameter, "vector", ())))
    vectors = {"x": feature_angles(sizes["x"]), "w": weight_angles(sizes["w"])}
    return _Slots({p: vectors[kind][index] for p, (kind, index) in places.items()}, sizes["x"], sizes["w"])


def _parameters(name: str, values: Iterable[Any]) -> list[Parameter]:
    items = list(values)
    wrong = [item for item in items if not isinstance(item, Parameter)]
    if wrong:
        raise TypeError(
            f"got {type(wrong[0]).__name__} {wrong[0]!r} among {name}, expected Parameters of the circuit: "
            f"{name}=circuit.parameters or a ParameterVector"
        )
    twice = {p for p in items if items.count(p) > 1}
    if twice:
        raise ValueError(f"got {_listing(twice)} twice in {name}, expected each parameter once")
    return items


def _check_assigned(circuit: QuantumCircuit, slots: dict[Parameter, Angle]) -> None:
    missing = [p for p in circuit.parameters if p not in slots]
    if missing:
        raise ValueError(
            f"got {_listing(missing)} as free parameters, expected each in inputs or weights: "
            "from_qiskit(circuit, inputs=[...], weights=[...]); parameters named x[i] and w[j] need no lists"
        )


def _listing(parameters: Iterable[Parameter]) -> str:
    names = [p.name for p in parameters]
    return ", ".join(names[:5]) + ", ..." * (len(names) > 5)


# From Qiskit: angles


def _angle(value: Any, slots: dict[Parameter, Angle]) -> Angle:
    """Return a number or expression of Qiskit as an angle."""
    if isinstance(value, Parameter):
        return slots[value]
    if not isinstance(value, ParameterExpression):
        return as_angle(value)
    if not value.parameters:
        return as_angle(value.numeric())
    try:
        return _replayed(value, slots)
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(
            f"got the angle {value}, expected sums, products, whole powers and {', '.join(FUNCTIONS)} of parameters: "
            "compute it before the circuit and give it as a feature"
        ) from error


def _replayed(expression: ParameterExpression, slots: dict[Parameter, Angle]) -> Angle:
    """Run the expression's steps, a stack machine, on angles: every coefficient keeps its bits, as sympify's do not."""
    stack: list[Angle] = []
    for step in expression._qpy_replay:
        stack.extend(_angle(operand, slots) for operand in (step.lhs, step.rhs) if operand is not None)
        last = stack.pop()
        stack.append(_BINARY[step.op](stack.pop(), last) if step.op in _BINARY else _UNARY[step.op](last))
    return stack.pop()


def _pow(base: Angle, power: Angle) -> Angle:
    if power.constant is None:
        return (power * math.log(float(base))).exp()
    return base.sqrt() if power.constant == 0.5 else base**power.constant


def _sin(angle: Angle) -> Angle:
    """Return the sine of an angle, as tanh where it is the form that :class:`_Writer` gives tanh."""
    match angle.terms:
        case (((("arctan", sinh),), 1.0),):
            exponents = [monomial[0][1] for monomial, c in sinh.terms if c == 0.5 and monomial]
            found = [b for b in exponents if isinstance(b, Angle) and _arctan_sinh(b) == angle]
            return found[0].tanh() if found else angle.sin()
    return angle.sin()


def _arctan_sinh(angle: Angle) -> Angle:
    return (0.5 * angle.exp() - 0.5 * (-angle).exp()).arctan()


_UNARY: dict[OpCode, Callable[[Angle], Angle]] = {
    OpCode.SIN: _sin,
    OpCode.COS: Angle.cos,
    OpCode.TAN: Angle.tan,
    OpCode.ASIN: Angle.arcsin,
    OpCode.ACOS: Angle.arccos,
    OpCode.ATAN: Angle.arctan,
    OpCode.EXP: Angle.exp,
    OpCode.LOG: Angle.log,
    OpCode.ABS: operator.abs,
    OpCode.CONJ: operator.pos,  # angles are real
}
_BINARY: dict[OpCode, Callable[[Angle, Angle], Angle]] = {
    OpCode.ADD: operator.add,
    OpCode.SUB: operator.sub,
    OpCode.MUL: operator.mul,
    OpCode.DIV: operator.truediv,
    OpCode.POW: _pow,
    OpCode.RSUB: lambda a, b: b - a,
    OpCode.RDIV: lambda a, b: b / a,
    OpCode.RPOW: lambda power, base: _pow(base, power),
}


# From Qiskit: operations


class _Reader:
    """Reads operations down to rows of the gate table."""

    def __init__(self, slots: dict[Parameter, Angle]) -> None:
        self.slots = slots
        self.ops: list[Op] = []
        self.measured: set[int] = set()

    def read_circuit(self, circuit: QuantumCircuit, qubits: Sequence[int]) -> None:
        _check_assigned(circuit, self.slots)
        for instruction in circuit.data:
            here = tuple(qubits[circuit.find_bit(bit).index] for bit in instruction.qubits)
            self.read(instruction.operation, here)

    def read(self, operation: Any, qubits: tuple[int, ...]) -> None:
        if isinstance(operation, Barrier | Delay):
            return
        if isinstance(operation, Measure):
            self.measured.update(qubits)
            return
        self.check(operation, qubits)
        if isinstance(operation, Reset):  # of a qubit that is still zero
            return
        ops = self.direct(operation, qubits)
        if ops is None:
            self.read_circuit(_definition(operation), qubits)
        else:
            self.ops.extend(ops)

    def check(self, operation: Any, qubits: tuple[int, ...]) -> None:
        if isinstance(operation, ControlFlowOp):
            raise ValueError(
                f"got the control flow {operation.name!r}, expected gates: use a controlled gate instead of a "
                "classical condition, and write loops and boxes out"
            )
        late = self.measured.intersection(qubits)
        if late:
            raise ValueError(
                f"got {operation.name!r} on qubit {min(late)} after its measurement, expected measurements at the end "
                "only: defer it with a controlled gate, or leave it out"
            )
        if isinstance(operation, Reset) and not self.is_fresh(qubits):
            raise ValueError(
                f"got 'reset' (or Initialize, which begins with one) on qubit {qubits[0]} after other gates, expected "
                "gates: use a fresh qubit, or put Initialize first"
            )

    def is_fresh(self, qubits: Iterable[int]) -> bool:
        return {q for op in self.ops for q in op.qubits}.isdisjoint(qubits)

    def direct(self, operation: Any, qubits: tuple[int, ...]) -> Iterable[Op] | None:
        """Return the operations of a gate this project has itself, else None."""
        row = _ROWS.get((getattr(operation, "base_class", None), operation.name))
        if row is not None:
            return (row(*self.angles(operation), *qubits),)
        match operation:
            case UGate():
                theta, phi, lam = self.angles(operation)
                return U3(theta, phi, lam, qubits[0])
            case UnitaryGate():
                return (unitary(_turned(operation.to_matrix()), *qubits),)
            case PauliProductRotationGate():
                return _word_rotation(operation.pauli().to_label(), self.angles(operation)[0], qubits)
            case PauliEvolutionGate() if _is_one_word(operation.operator):
                ((word, coefficient),) = operation.operator.to_list()
                time = _angle(operation.time, self.slots)
                return _word_rotation(word, time * (2 * coefficient.real), qubits)
            case StatePreparation() if _is_real_vector(operation) and self.is_fresh(qubits):
                values = np.real(operation.params).reshape((2,) * len(qubits)).T  # .T turns the order of qubits round
                return (amplitudes(values.ravel().tolist(), *qubits),)
        return None

    def angles(self, operation: Any) -> list[Angle]:
        return [_angle(value, self.slots) for value in operation.params]


def _word_rotation(label: str, angle: Angle, qubits: tuple[int, ...]) -> tuple[Op, ...]:
    word = label.lstrip("+")[::-1]
    return (PauliRot(angle, word, *qubits),) if set(word) != {"I"} else ()  # only I: a global phase


def _is_one_word(operator: Any) -> bool:
    return isinstance(operator, SparsePauliOp) and len(operator) == 1


def _is_real_vector(operation: StatePreparation) -> bool:
    numbers = all(isinstance(value, complex | float | int) for value in operation.params)
    plain = operation.name == "state_preparation" and len(operation.params) == 2**operation.num_qubits
    return numbers and plain and not np.imag(operation.params).any()


def _definition(operation: Any) -> QuantumCircuit:
    """Return Qiskit's definition of an operation, else its synthesis, else its matrix as a gate."""
    try:
        definition = getattr(operation, "definition", None)
        return _synthesis(operation) if definition is None else definition
    except (TypeError, AttributeError, QiskitError) as error:
        raise ValueError(
            f"got the operation {operation.name!r}, which has neither a definition nor a matrix of numbers, expected a "
            "unitary gate: give it a definition, or append UnitaryGate(matrix)"
        ) from error


def _synthesis(operation: Any) -> QuantumCircuit:
    alone = QuantumCircuit(operation.num_qubits)
    alone.append(operation, range(operation.num_qubits))
    synthesis = HighLevelSynthesis()(alone)
    return _matrix_circuit(operation) if synthesis == alone else synthesis


def _matrix_circuit(operation: Any) -> QuantumCircuit:
    circuit = QuantumCircuit(operation.num_qubits)
    circuit.append(UnitaryGate(operation.to_matrix()), range(operation.num_qubits))
    return circuit


# From Qiskit: observables


def _observable(operator: SparsePauliOp) -> Observable:
    wrong = [c for c in operator.coeffs.tolist() if not isinstance(c, complex) or abs(c.imag) > 1e-12]
    if wrong:
        raise ValueError(
            f"got the coefficient {wrong[0]}, expected real numbers: bind parameters, and measure the real and the "
            "imaginary part as two observables"
        )
    terms = [(zip(qubits, p, strict=True), c.real) for p, qubits, c in operator.simplify(0.0).to_sparse_list()]
    return Observable(tuple(sorted((tuple(sorted(word)), float(c)) for word, c in terms if c)))
