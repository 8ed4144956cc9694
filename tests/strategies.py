"""Hypothesis strategies for circuits; settings that make property tests quick and repeatable."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from circuits import Circuit, PauliRot, amplitudes, inputs, unitary, weights
from circuits.gates import TABLE

#: Decorator for property tests: the same examples on every run.
QUICK = settings(deadline=None, derandomize=True, max_examples=50)

KINDS = ("fixed", "rotation", "PauliRot", "unitary")

#: Functions of a finite real argument that stay smooth and inside every function's domain.
FUNCTIONS = (
    np.sin,
    np.cos,
    np.arctan,
    np.tanh,
    lambda a: np.tan(np.tanh(a)),
    lambda a: np.exp(np.sin(a)),
    lambda a: np.log(2 + np.sin(a)),
    lambda a: np.sqrt(1 + a * a),
    lambda a: np.arcsin(0.9 * np.cos(a)),
    lambda a: np.arccos(0.9 * np.sin(a)),
    lambda a: np.absolute(3 + np.tanh(a)),
)


def numbers():
    """Coefficients from -2 to 2, zero included; sums of them are exact in binary."""
    return st.integers(-128, 128).map(lambda n: n / 64)


def haar_unitary(n_qubits, seed):
    """A random unitary matrix, (2**n_qubits, 2**n_qubits)."""
    rng = np.random.default_rng(seed)
    dim = 2**n_qubits
    q, r = np.linalg.qr(rng.normal(size=(dim, dim)) + 1j * rng.normal(size=(dim, dim)))
    return q * (np.diag(r) / abs(np.diag(r)))


@st.composite
def random_angles(draw, x, w, affine=False):
    """An angle over the given features and weights: affine, or also with products and functions."""
    slots = [*x, *w]
    if not slots:
        return draw(numbers())
    slot = st.sampled_from(slots)
    angle = draw(numbers()) + draw(numbers()) * draw(slot) + draw(numbers()) * draw(slot)
    if affine:
        return angle
    shape = draw(st.sampled_from(("affine", "product", "function", "function of product")))
    if "product" in shape:
        angle = (draw(numbers()) - draw(slot)) * angle
    return draw(numbers()) * draw(st.sampled_from(FUNCTIONS))(angle) if "function" in shape else angle


@st.composite
def random_circuits(
    draw, n_qubits=(1, 4), max_ops=8, max_inputs=3, max_weights=4, kinds=KINDS, with_amplitudes=False, affine=False
):
    """A circuit of up to ``max_ops`` operations.

    ``n_qubits`` is a range (least, most), ``kinds`` a subset of KINDS; ``with_amplitudes`` puts a start state before
    some of them; ``affine`` keeps products and functions out of the angles. Values for features and weights may be
    any finite numbers, best of order 1: see :func:`values`.
    """
    n = draw(st.integers(*n_qubits))
    x, w = inputs(draw(st.integers(0, max_inputs))), weights(draw(st.integers(0, max_weights)))
    ops = [draw(_start_states(n, x, w))] if with_amplitudes and draw(st.booleans()) else []
    ops += [draw(_ops(n, x, w, kinds, affine)) for _ in range(draw(st.integers(0, max_ops)))]
    return Circuit(n, ops, n_inputs=len(x), n_weights=len(w))


def values(circuit, seed):
    """Features and weights in [-2, 2] for a circuit, float64 (n_inputs,) and (n_weights,)."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-2, 2, circuit.n_inputs), rng.uniform(-2, 2, circuit.n_weights)


@st.composite
def _ops(draw, n, x, w, kinds, affine):
    kind = draw(st.sampled_from(kinds))
    angle = random_angles(x, w, affine)
    if kind in ("fixed", "rotation"):
        gate = draw(st.sampled_from([g for g in TABLE.values() if g.kind == kind and g.n_qubits <= n]))
        qubits = draw(_qubits(n, gate.n_qubits))
        return gate(*[draw(angle)] * gate.n_angles, *qubits)
    qubits = draw(_qubits(n, draw(st.integers(1, n if kind == "PauliRot" else min(n, 2)))))
    if kind == "unitary":
        return unitary(haar_unitary(len(qubits), draw(st.integers(0, 99))), *qubits)
    word = draw(st.text("IXYZ", min_size=len(qubits), max_size=len(qubits)).filter(lambda t: set(t) != {"I"}))
    return PauliRot(draw(angle), word, *qubits)


@st.composite
def _start_states(draw, n, x, w):
    qubits = draw(_qubits(n, draw(st.integers(1, n))))
    rest = [draw(st.sampled_from([*x, *w, 0.0, 1.0])) for _ in range(2 ** len(qubits) - 1)]
    return amplitudes([0.5, *rest], *qubits)  # the constant keeps the norm off zero


def _qubits(n, k):
    return st.permutations(range(n)).map(lambda p: p[:k])
