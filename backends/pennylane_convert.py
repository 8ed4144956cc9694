"""PennyLane quantum functions to circuits, once and exactly, and back. Qubit q is wire q.

A quantum function is run once with symbols for features and weights; PennyLane's queue then holds its gates with
angles such as ``2*x[0] + w[1]``. Gates that are not in the table are written as rotations ``exp(-i c t P)`` about the
commuting Pauli words of their generator, or decomposed by PennyLane. Global phases, which no readout sees, are dropped.
"""

from __future__ import annotations

import inspect
import math
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from typing import Any, overload
from unittest.mock import patch

import autoray
import numpy as np
import pennylane as qp

from circuits import Angle, Circuit, Observable, Op, Probabilities, amplitudes, inputs, pauli, unitary, weights, z_each
from circuits.angles import FUNCTIONS
from circuits.gates import TABLE, pauli_rotation_gate
from circuits.observables import Readout, as_readout

autoray.register_backend(Angle, "numpy")  # qp.math treats a symbol as a NumPy scalar

_TRACING = threading.RLock()  # one function at a time is traced, with PennyLane's check of start states replaced
_preprocess = qp.StatePrep._preprocess

# Gate of the table -> PennyLane's name. RZX is PauliRot("ZX") there.
_NAMES = {
    "I": "Identity",
    "X": "PauliX",
    "Y": "PauliY",
    "Z": "PauliZ",
    "H": "Hadamard",
    "S": "S",
    "Sdg": "Adjoint(S)",
    "T": "T",
    "Tdg": "Adjoint(T)",
    "SX": "SX",
    "SXdg": "Adjoint(SX)",
    "CX": "CNOT",
    "CY": "CY",
    "CZ": "CZ",
    "CH": "CH",
    "SWAP": "SWAP",
    "ISWAP": "ISWAP",
    "CCX": "Toffoli",
    "CCZ": "CCZ",
    "CSWAP": "CSWAP",
    "RX": "RX",
    "RY": "RY",
    "RZ": "RZ",
    "P": "PhaseShift",
    "CRX": "CRX",
    "CRY": "CRY",
    "CRZ": "CRZ",
    "CP": "ControlledPhaseShift",
    "RXX": "IsingXX",
    "RYY": "IsingYY",
    "RZZ": "IsingZZ",
}
_GATES = {name: TABLE[gate] for gate, name in _NAMES.items()}

# What Python says when a function cannot be run with symbols -> what to write instead.
_HINTS = {
    "needs normalize=True": "write normalize=True, which divides the features by their norm",
    "amplitudes, got": "give as many features, or pad_with=0.0",
    "too many indices": "one sample is traced, so write inputs[..., i] instead of inputs[:, i]",
    "Tensor": "write qp.math.sin(inputs[..., i]) instead of torch.sin(inputs[..., i]), and plain numbers for tensors",
    "not supported between": "a circuit cannot branch on a value, so encode it as an angle",
    "truth value": "a circuit cannot branch on a value, so encode it as an angle",
    "'complex'": "angles are real: write exp(-i t P) as qp.PauliRot(2 * t, word, wires), or qp.ApproxTimeEvolution",
    "only consist of 0s and 1s": "write qp.AngleEmbedding(np.pi * inputs, wires) for features 0 and 1",
}

# Kind of operation -> what to write instead.
_REMEDIES: dict[type, str] = {
    qp.ops.MidMeasure: "a circuit is measured at its end, so control gates by the qubit: qp.ctrl(qp.X(1), control=0)",
    qp.ops.Conditional: "a circuit is measured at its end, so control gates by the qubit: qp.ctrl(qp.X(1), control=0)",
    qp.operation.Channel: "a circuit has no noise of its own, so give the noise to the backend",
}


@overload
def from_pennylane(
    function: Callable[..., Any],
    n_inputs: int,
    weight_shape: int | Sequence[int] | Mapping[str, Any] | None = None,
    n_qubits: int | None = None,
) -> tuple[Circuit, Readout]: ...


@overload
def from_pennylane(function: qp.operation.Operator) -> Observable: ...


def from_pennylane(
    function: Any,
    n_inputs: int = 0,
    weight_shape: int | Sequence[int] | Mapping[str, Any] | None = None,
    n_qubits: int | None = None,
) -> Any:
    """Return a PennyLane quantum function as a circuit and its readout, or a PennyLane operator as an observable.

    The function is called once, as ``function(inputs, weights)``, or with ``inputs`` by that name if it does not come
    first, with symbols for one sample: NumPy and ``qp.math`` functions, products such as
    ``weights[0] * inputs[..., 1]``, templates, ``qp.adjoint`` and ``qp.ctrl`` work.

    Parameters
    ----------
    function : callable, QNode or qp.operation.Operator
        Ends in ``return [qp.expval(...), ...]``, ``return qp.probs(wires=...)``, or returns nothing, which reads Z on
        every qubit. Wires are the integers 0, 1, …; the shots and the gradient method of a QNode are left behind.
    n_inputs : int
        Length of ``inputs``.
    weight_shape : int, tuple of int, or dict of these, optional
        Shape of ``weights``; a dict, as TorchLayer's ``weight_shapes``, names several keyword arguments, numbered in
        its order, each row by row. Without it the function takes ``inputs`` alone.
    n_qubits : int, optional
        Number of qubits, if more than the function and the QNode's device name.

    Returns
    -------
    (Circuit, tuple of Observable or Probabilities), or Observable for an operator

    Raises
    ------
    TypeError
        If the function does with a symbol what needs a value: ``torch.sin(inputs[0])``, ``if inputs[0] > 0``.
    ValueError
        If an operation, a wire or a measurement has no counterpart in a circuit; the message names it.
    """
    if isinstance(function, qp.operation.Operator):
        return _observable(function)
    script, returned, n_weights = _trace(function, n_inputs, weight_shape)
    size = _n_qubits(function, script) if n_qubits is None else n_qubits
    circuit = Circuit(size, [_convert(op) for op in script.operations], n_inputs, n_weights)
    return circuit, _readout(returned, script.measurements, size)


def to_pennylane(circuit: Circuit, observables: Any = None) -> Callable[..., Any]:
    """Return the circuit as a PennyLane quantum function, to be used in a QNode or in another quantum function.

    Parameters
    ----------
    circuit : Circuit
    observables : Observable, str, sequence of these, or Probabilities, optional
        What the function returns; without them it only applies the gates.

    Returns
    -------
    callable
        ``function(inputs, weights)`` for inputs (n_inputs,) or (batch, n_inputs) and weights (n_weights,) in radians,
        as NumPy, autograd or torch arrays, differentiable in both. Start states come first.
    """
    readout = None if observables is None else as_readout(observables)

    def function(inputs: Any = (), weights: Any = ()) -> Any:
        x, w = _checked("inputs", inputs, circuit.n_inputs), _checked("weights", weights, circuit.n_weights)
        operations(circuit, [_value(angle, x, w) for angle in circuit.angles])
        made = None if readout is None else measurements(readout)
        return made[0] if made and isinstance(readout, Probabilities) else made

    return function


def operations(circuit: Circuit, values: Sequence[Any]) -> list[qp.operation.Operator]:
    """Return the circuit's operations in PennyLane, start states merged into one, which comes first.

    Parameters
    ----------
    circuit : Circuit
    values : sequence
        Value of each of ``circuit.angles`` in radians: a number, or an array of one per sample.
    """
    remaining = iter(values)
    filled = [(op, [next(remaining) for _ in op.angles]) for op in circuit.ops]
    starts = [(op, angles) for op, angles in filled if op.gate.kind == "amplitudes"]
    first = [_start_state(starts)] if starts else []  # made first, as PennyLane queues what is made
    return first + [_make(op, angles) for op, angles in filled if op.gate.kind != "amplitudes"]


def measurements(readout: Readout) -> list[qp.measurements.MeasurementProcess]:
    """Return a readout as PennyLane measurements: one ``qp.probs``, or one ``qp.expval`` per observable."""
    if isinstance(readout, Probabilities):
        return [qp.probs(wires=list(readout.qubits))]
    with qp.QueuingManager.stop_recording():
        operators = [_operator(observable) for observable in readout]
    return [qp.expval(operator) for operator in operators]


def _trace(function: Any, n_inputs: int, weight_shape: Any) -> tuple[qp.tape.QuantumScript, Any, int]:
    """Run the function with symbols; return what it queued, what it returned, and the number of weights."""
    arguments, keywords, n_weights = _weight_arguments(weight_shape)
    plain = _plain(function)
    start_states = patch.object(qp.StatePrep, "_preprocess", staticmethod(_start_values))
    with _TRACING, start_states, qp.queuing.AnnotatedQueue() as queue:
        try:
            returned = _call(plain, inputs(n_inputs), arguments, keywords)
        except (TypeError, ValueError, IndexError, AttributeError) as error:
            raise _trace_error(plain, error) from error
    return qp.tape.QuantumScript.from_queue(queue), returned, n_weights


def _call(plain: Callable[..., Any], x: np.ndarray, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    """Call a quantum function with its features first, or by name where it has ``inputs`` further on."""
    names = list(inspect.signature(plain).parameters)
    if "inputs" in names[1:]:
        return plain(*arguments, inputs=x, **keywords)
    return plain(x, *arguments, **keywords)


def _plain(function: Any) -> Callable[..., Any]:
    """Return the quantum function of a QNode, or the function itself."""
    if not callable(function):
        raise TypeError(
            f"got {type(function).__name__}, expected a quantum function, a QNode or an operator of PennyLane: "
            "write the gates in a function(inputs, weights)"
        )
    if not isinstance(function, qp.QNode):
        return function
    if len(function.compile_pipeline):
        raise ValueError(
            f"got a QNode with the transforms {function.compile_pipeline}, expected one without: "
            "pass qnode.func to convert it as written"
        )
    return function.func


def _weight_arguments(shape: Any) -> tuple[list[Any], dict[str, Any], int]:
    """Return the arguments that carry the weights, by position or by name, and the number of weights."""
    if shape is None:
        return [], {}, 0
    shapes = {k: _shape(s) for k, s in (shape.items() if isinstance(shape, Mapping) else [("weights", shape)])}
    ends = np.cumsum([0, *map(math.prod, shapes.values())])
    flat = weights(int(ends[-1]))
    arrays = {k: flat[a:b].reshape(s) for (k, s), a, b in zip(shapes.items(), ends, ends[1:], strict=False)}
    if isinstance(shape, Mapping):
        return [], arrays, len(flat)
    return list(arrays.values()), {}, len(flat)


def _shape(shape: int | Sequence[int]) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


def _trace_error(function: Callable[..., Any], error: Exception) -> Exception:
    """Return an error that names the line of the function, what Python said of it, and what to write instead."""
    text = str(error)
    hints = [hint for sign, hint in _HINTS.items() if sign in text]
    remedy = hints[0] if hints else f"write it with + - * and the functions {', '.join(FUNCTIONS)} of np or qp.math"
    kind = TypeError if isinstance(error, TypeError | AttributeError) else ValueError
    return kind(
        f"got {_line(function, error)!r} in {getattr(function, '__name__', 'the function')}, which fails for symbolic "
        f"features and weights ({text}), expected code that builds the same gates for every value: {remedy}"
    )


def _line(function: Callable[..., Any], error: Exception) -> str:
    """Return the source line of the function, or of its file, at which the error arose."""
    frames = traceback.extract_tb(error.__traceback__)
    file = getattr(getattr(function, "__code__", None), "co_filename", None)
    return ([frame.line for frame in frames if frame.filename == file and frame.line] or ["the call"])[-1]


def _start_values(state: Any, wires: Any, pad_with: Any, normalize: bool, validate_norm: bool) -> Any:
    """Stand in for PennyLane's check of a start state, which needs values: ``amplitudes`` divides by the norm."""
    values = np.asarray(state)
    if values.dtype != object:
        return _preprocess(state, wires, pad_with, normalize, validate_norm)
    size = 2 ** len(qp.wires.Wires(wires))
    padded = [*values, *([] if pad_with is None else [pad_with] * (size - len(values)))]
    if values.ndim != 1 or len(padded) != size:
        raise ValueError(f"a start state of these wires has {size} amplitudes, got shape {values.shape}")
    if not (normalize or pad_with is not None):
        raise ValueError("a start state of features needs normalize=True")
    return np.array(padded, dtype=object)


def _n_qubits(function: Any, script: qp.tape.QuantumScript) -> int:
    """Return one more than the highest wire of the function, and of the device of a QNode."""
    device_wires = function.device.wires or [] if isinstance(function, qp.QNode) else []
    return max((wire + 1 for wire in _integers([*script.wires, *device_wires])), default=0)


def _integers(wires: Any) -> list[int]:
    if not all(isinstance(wire, int | np.integer) and wire >= 0 for wire in wires):
        raise ValueError(
            f"got the wires {list(wires)}, expected the integers 0, 1, …: rename them, "
            "for example with qp.map_wires(function, {'a': 0, 'b': 1})"
        )
    return [int(wire) for wire in wires]


def _convert(op: qp.operation.Operator) -> list[Op]:
    """Return a PennyLane operation as gates: from the table, by its generator, or through its decomposition."""
    qubits = _integers(op.wires)
    if op.name in _GATES:
        return [_GATES[op.name](*(_angle(op, value) for value in op.data), *qubits)]
    if isinstance(op, qp.PauliRot):
        return _word_rotations(op, {op.hyperparameters["pauli_word"]: 0.5}, qubits)
    if isinstance(op, qp.StatePrep):
        return [amplitudes([_angle(op, value) for value in op.data[0]], *qubits)]
    words = _generator_words(op, qubits)
    return _expand(op, qubits) if words is None else _word_rotations(op, words, qubits)


def _angle(op: qp.operation.Operator, value: Any) -> Any:
    """Return one parameter of an operation as a number or an :class:`Angle`."""
    shape = qp.math.shape(value)
    if math.prod(shape) != 1:
        raise ValueError(
            f"got {op.name} with parameters of shape {shape}, expected one number or symbol each: "
            "index the array, inputs[..., 0]"
        )
    while hasattr(value, "item"):  # arrays of one entry, which may be an array itself
        value = value.item()
    if isinstance(value, Angle):
        return value
    if complex(value).imag != 0:
        raise ValueError(f"got {op.name} with the complex parameter {value}, expected real ones: use qp.QubitUnitary")
    return complex(value).real


def _matrix(op: qp.operation.Operator) -> np.ndarray:
    """Return the matrix of an operation without symbols."""
    try:
        return np.asarray(qp.matrix(op, wire_order=op.wires), dtype=complex)
    except (TypeError, ValueError, AttributeError, qp.exceptions.MatrixUndefinedError) as error:
        raise _unsupported(op) from error


def _generator_words(op: qp.operation.Operator, qubits: list[int]) -> dict[str, float] | None:
    """Return c_k by P_k if the operation is ``exp(-i t sum_k c_k P_k)`` with commuting P_k, else None."""
    if op.num_params != 1 or not op.has_generator or type(op) is qp.ops.Exp:
        return None
    try:
        sentence = _sentence(op.generator())  # the operation is exp(+i t generator)
    except TypeError as error:  # a symbol in the generator
        raise _unsupported(op) from error
    hermitian = all(np.imag(c) == 0 for c in sentence.values())
    if not hermitian or not all(a.commutes_with(b) for a in sentence for b in sentence):
        return None
    return {"".join(word.get(q, "I") for q in qubits): -float(np.real(c)) for word, c in sentence.items()}


def _word_rotations(op: qp.operation.Operator, words: dict[str, float], qubits: list[int]) -> list[Op]:
    """Return ``exp(-i c t P)`` for every word, by the table's name where it has one; the identity is a phase."""
    angle = _angle(op, op.data[0])
    rotations = []
    for word, coefficient in words.items():
        if not set(word) - {"I"} or coefficient == 0:
            continue
        keep = range(len(word)) if isinstance(op, qp.PauliRot) else [k for k, p in enumerate(word) if p != "I"]
        letters = "".join(word[k] for k in keep)
        known = None if isinstance(op, qp.PauliRot) and letters != "ZX" else TABLE.get(f"R{letters}")
        rotations.append((known or pauli_rotation_gate(letters))(2 * coefficient * angle, *(qubits[k] for k in keep)))
    return rotations


def _expand(op: qp.operation.Operator, qubits: list[int]) -> list[Op]:
    """Return an operation as the gates of PennyLane's decomposition, or as its matrix if there is none."""
    if isinstance(op, tuple(_REMEDIES)):
        raise _unsupported(op)
    try:
        parts = _decomposition(op)
        if parts is None:
            return [unitary(qp.matrix(op, wire_order=op.wires), *qubits)]
    except Exception as error:  # whatever PennyLane does with symbols it cannot compute with
        raise _unsupported(op) from error
    return [gate for part in parts for gate in _convert(part)]


def _decomposition(op: qp.operation.Operator) -> list[qp.operation.Operator] | None:
    if isinstance(op, qp.ops.Controlled) and isinstance(op.base, qp.Rot | qp.U2 | qp.U3):  # PennyLane asks for values
        return [qp.ctrl(part, op.control_wires, op.control_values) for part in op.base.decomposition()]
    return op.decomposition() if op.has_decomposition and not isinstance(op, qp.QubitUnitary) else None


def _unsupported(op: qp.operation.Operator) -> ValueError:
    remedies = [remedy for kind, remedy in _REMEDIES.items() if isinstance(op, kind)]
    remedy = remedies[0] if remedies else "write it with rotations and controlled gates"
    return ValueError(
        f"got the operation {op.name}, expected a unitary that PennyLane decomposes for symbolic features and weights: "
        f"{remedy}"
    )


def _readout(returned: Any, queued: list[Any], n_qubits: int) -> Readout:
    """Return the measurements that a quantum function returned as a readout."""
    if returned is None and not queued:
        return z_each(n_qubits)
    found = list(returned) if isinstance(returned, Sequence) else [returned]
    if len(found) == 1 and isinstance(found[0], qp.measurements.ProbabilityMP) and found[0].obs is None:
        return Probabilities(tuple(_integers(found[0].wires or range(n_qubits))))
    if not found or not all(isinstance(m, qp.measurements.ExpectationMP) and m.obs is not None for m in found):
        raise ValueError(
            f"got the return value {returned}, expected [qp.expval(...), ...], one qp.probs(wires=...) or nothing: "
            "return expectation values, and compute with them after the layer"
        )
    return tuple(_observable(m.obs) for m in found)


def _observable(operator: qp.operation.Operator) -> Observable:
    """Return a Hermitian operator as a sum of Pauli words."""
    total = Observable(())
    for word, coefficient in _sentence(operator).items():
        if isinstance(coefficient, Angle) or abs(np.imag(coefficient)) > 1e-12:
            raise ValueError(
                f"got the coefficient {coefficient} in {operator}, expected real numbers: "
                "observables are fixed and Hermitian, so scale the outputs of the layer instead"
            )
        letters = " ".join(f"{letter}{_integers([wire])[0]}" for wire, letter in word.items())
        total = total + pauli(letters) * float(np.real(coefficient))
    return total


def _sentence(operator: qp.operation.Operator) -> qp.pauli.PauliSentence:
    """Return an operator as a sum of Pauli words in PennyLane's form."""
    if operator.pauli_rep is not None:
        return operator.pauli_rep
    return qp.pauli_decompose(_matrix(operator), wire_order=operator.wires, pauli=True, check_hermitian=False)


def _checked(name: str, values: Any, size: int) -> Any:
    if not size:
        return ()
    if qp.math.shape(values)[-1:] != (size,):
        raise ValueError(f"got {name} of shape {qp.math.shape(values)}, expected (..., {size}) as the circuit has them")
    return np.asarray(values) if isinstance(values, list | tuple) else values


def _value(angle: Angle, x: Any, w: Any) -> Any:
    """Return the value of an angle in the library of x and w, differentiable there."""
    total: Any = 0.0
    for monomial, coefficient in angle.terms:
        total = total + math.prod(_factors(monomial, x, w), start=coefficient)
    return total


def _factors(monomial: Any, x: Any, w: Any) -> Iterator[Any]:
    for name, argument in monomial:
        if isinstance(argument, Angle):
            yield getattr(qp.math, name)(_value(argument, x, w))
        else:
            yield (x if name == "x" else w)[..., argument]


def _make(op: Op, values: list[Any]) -> qp.operation.Operator:
    """Return one operation in PennyLane."""
    wires = list(op.qubits)
    if op.gate.name in ("PauliRot", "RZX"):
        return qp.PauliRot(values[0], op.gate.generator[0][1], wires=wires)
    if op.gate.name == "unitary":
        return qp.QubitUnitary(op.gate.matrix(), wires=wires)
    name = _NAMES[op.gate.name]
    if name.startswith("Adjoint"):
        return qp.adjoint(getattr(qp, name[len("Adjoint(") : -1])(wires=wires))
    return getattr(qp, name)(*values, wires=wires)


def _start_state(starts: list[tuple[Op, list[Any]]]) -> qp.operation.Operator:
    """Return all start states as one: devices take one only, or only one for a batch."""
    state = reduce(_kron, (_stack(values) for _, values in starts))
    return qp.StatePrep(state, wires=[q for op, _ in starts for q in op.qubits], normalize=True)


def _stack(values: list[Any]) -> Any:
    zero = 0.0 * sum(values)  # gives plain numbers the batch dimension of the others
    return qp.math.stack([value + zero for value in values], axis=-1)


def _kron(a: Any, b: Any) -> Any:
    product = a[..., :, None] * b[..., None, :]
    return qp.math.reshape(product, (*qp.math.shape(product)[:-2], -1))


def _operator(observable: Observable) -> qp.operation.Operator:
    words = {qp.pauli.PauliWord(dict(word)): coefficient for word, coefficient in observable.terms}
    return qp.pauli.PauliSentence(words).operation(wire_order=[0])
