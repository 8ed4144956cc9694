import copy
import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import FUNCTIONS, QUICK, numbers

from circuits import Angle, inputs, weights
from circuits.angles import FUNCTIONS as NAMES
from circuits.angles import as_angle

x, w = inputs(3), weights(2)
X, W = np.array([0.3, -0.7, 1.1]), np.array([0.9, -0.4])


# One Python function, run once on numbers and once on angles: NumPy's own arithmetic is the reference.
def formulas():
    leaves = st.one_of(
        numbers().map(lambda c: lambda x, w: c),
        st.integers(0, 2).map(lambda i: lambda x, w: x[i]),
        st.integers(0, 1).map(lambda j: lambda x, w: w[j]),
    )
    return st.recursive(leaves, _combine, max_leaves=6)


def _combine(inner):
    pairs = st.tuples(inner, inner)
    return st.one_of(
        pairs.map(lambda ab: lambda x, w: ab[0](x, w) + ab[1](x, w)),
        pairs.map(lambda ab: lambda x, w: ab[0](x, w) - ab[1](x, w)),
        pairs.map(lambda ab: lambda x, w: ab[0](x, w) * ab[1](x, w)),
        inner.map(lambda a: lambda x, w: -a(x, w) / 4),
        inner.map(lambda a: lambda x, w: (a(x, w) / 4) ** 3),
        st.tuples(st.sampled_from(FUNCTIONS), inner).map(lambda fa: lambda x, w: fa[0](fa[1](x, w))),
    )


@QUICK
@given(formulas())
def test_an_angle_evaluates_to_what_numpy_computes(formula):
    angle = as_angle(formula(x, w))
    assert np.isclose(angle.evaluate(X, W), formula(X, W), rtol=1e-9, atol=1e-9)


@QUICK
@given(formulas())
def test_angles_survive_pickle_and_deepcopy(formula):
    angle = as_angle(formula(x, w))
    assert pickle.loads(pickle.dumps(angle)) == angle == copy.deepcopy(angle)


@pytest.mark.parametrize("name", NAMES)
def test_every_function_is_numpys(name):
    value = getattr(np, name)(x[0]).evaluate(X, W)
    assert value == getattr(np, name)(X[0])


def test_evaluation_takes_batches():
    batch = np.random.default_rng(0).normal(size=(4, 5, 3))
    value = (2 * x[0] * w[1] + np.sin(x[2])).evaluate(batch, W)
    assert np.allclose(value, 2 * batch[..., 0] * W[1] + np.sin(batch[..., 2]), rtol=0, atol=1e-15)
    assert (x[0] * w[0]).evaluate(batch, np.ones((4, 5, 2))).shape == (4, 5)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (x[0] + w[0], w[0] + x[0]),
        (x[0] * w[0] * x[1], x[1] * x[0] * w[0]),
        (2 * (x[0] + 3) * (x[0] - 3), 2 * x[0] ** 2 - 18),
        (x[0] - x[0], as_angle(0)),
        (np.sin(x[0] + w[0]) * np.cos(x[0]), np.cos(x[0]) * np.sin(w[0] + x[0])),
        (np.sin(x[1]) * np.sin(x[0]), np.sin(x[0]) * np.sin(x[1])),
        (x[0] / 2, 0.5 * x[0]),
        (1 - x[0], -(x[0] - 1)),
        (+x[0], x[0]),
        (x[0] ** 0, as_angle(1)),
        (abs(x[0]), np.absolute(x[0])),
        (np.sin(as_angle(0.5)), as_angle(np.sin(0.5))),
    ],
)
def test_equal_expressions_are_equal_objects(left, right):
    assert left == right
    assert hash(left) == hash(right)


def test_different_expressions_differ():
    assert x[0] != w[0]
    assert x[0] != x[1]
    assert np.sin(x[0]) != np.cos(x[0])
    assert x[0] * 2 != x[0] * 3


def test_arrays_of_angles_work_as_arrays_of_numbers():
    matrix = weights(2, 3)
    assert matrix.shape == (2, 3)
    assert matrix[1, 0].evaluate(X, np.arange(6)) == 3
    total = (matrix * x).sum()
    assert np.isclose(total.evaluate(X, np.arange(6)), (np.arange(6).reshape(2, 3) * X).sum(), rtol=0, atol=1e-12)
    assert (matrix @ x)[1] == 1.0 * (matrix[1, 0] * x[0] + matrix[1, 1] * x[1] + matrix[1, 2] * x[2])
    assert list(np.sin(x)) == [np.sin(x[0]), np.sin(x[1]), np.sin(x[2])]


@pytest.mark.parametrize("number", [2, 2.0, np.float32(2), np.float64(2), np.int64(2)])
def test_numbers_of_every_kind_combine_from_both_sides(number):
    assert number * x[0] == x[0] * number == x[0] + x[0]
    assert number + x[0] == x[0] + number
    assert (number - x[0]) + (x[0] - number) == as_angle(0)


def test_what_an_angle_depends_on():
    assert (x[0] + np.sin(x[2] * w[1])).slots == {("x", 0), ("x", 2), ("w", 1)}
    assert (x[0] - x[0]).slots == frozenset()
    assert (x[0] - x[0]).constant == 0.0
    assert as_angle(1.5).constant == 1.5
    assert (x[0] + 1).constant is None
    assert float(as_angle(2) * 3) == 6.0


def test_affine_is_linear_plus_constant():
    assert (2 * x[0] - w[1] + 3).is_affine
    assert as_angle(3).is_affine
    assert not (x[0] * w[0]).is_affine
    assert not (x[0] ** 2).is_affine
    assert not np.sin(x[0]).is_affine


def test_text_reads_as_the_formula():
    assert str(2 * x[0] + w[1] * np.sin(x[1])) == "w[1]*sin(x[1]) + 2*x[0]"
    assert str(as_angle(0)) == "0"
    assert repr(x[0] - 0.5) == "-0.5 + x[0]"


def test_angles_are_immutable():
    with pytest.raises(FrozenInstanceError):
        x[0].terms = ()


def test_a_number_stands_for_itself_once():
    assert isinstance(as_angle(x[0]), Angle)
    assert as_angle(x[0]) is x[0]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "x", None, 1j, X])
def test_only_finite_real_numbers_are_angles(value):
    with pytest.raises(TypeError, match=r"expected a finite real number or an expression of inputs\(n\)"):
        as_angle(value)


def test_circuits_cannot_branch_on_angles():
    with pytest.raises(TypeError, match="a circuit cannot branch on features or weights"):
        bool(x[0])


@pytest.mark.parametrize("choose", [max, np.maximum, lambda a, b: np.sort(np.array([b, a]))])
def test_angles_have_no_order(choose):
    with pytest.raises(TypeError, match="not supported between instances of 'Angle' and 'Angle'"):
        choose(x[0], x[1])


def test_an_expression_is_not_a_number():
    with pytest.raises(TypeError, match="where a number is expected: write it as an angle of a gate"):
        float(x[0])


@pytest.mark.parametrize("divide", [lambda: 1 / x[0], lambda: x[0] / w[0]])
def test_division_by_an_expression_is_refused(divide):
    with pytest.raises(TypeError, match="expected a number: divide by numbers only"):
        divide()


@pytest.mark.parametrize("power", [0.5, -1, x[0], float("inf")])
def test_only_whole_powers(power):
    with pytest.raises(TypeError, match=r"expected a whole number >= 0: use np\.sqrt"):
        x[0] ** power


@pytest.mark.parametrize("other", ["1", None, [1]])
def test_arithmetic_with_other_things_is_a_type_error(other):
    for operation in (lambda a: x[0] + a, lambda a: a * x[0], lambda a: x[0] - a):
        if other != [1]:  # NumPy-like lists stay Python's business
            with pytest.raises(TypeError):
                operation(other)
