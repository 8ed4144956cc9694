"""A vector register as a Numba type: kernels written in plain arithmetic work on all its lanes at once.

``load(array, i)`` and ``store(array, i, value)`` move the i-th group of lanes of an array; ``+ - *`` and unary minus
act lane by lane. A register has 64 bytes: 16 lanes of float32 or 8 of float64, two or four machine registers where
they are shorter. Since nothing is left for the compiler to vectorise, it need not prove that arrays do not overlap.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

BYTES = 64


class Lanes(types.Type):
    """One register of lanes of a float type."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        super().__init__(name=f"Lanes({dtype})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, lanes: Lanes) -> None:
        super().__init__(manager, lanes, _register(lanes.dtype))


@intrinsic
def load(typing_context: Any, array: Any, i: Any) -> Any:
    """Return the i-th group of lanes of a one-dimensional contiguous array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_pointer(context, builder, array, arguments), align=array.dtype.bitwidth // 8)

    return Lanes(array.dtype)(array, i), generate


@intrinsic
def store(typing_context: Any, array: Any, i: Any, value: Any) -> Any:
    """Write the i-th group of lanes of a one-dimensional contiguous array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _pointer(context, builder, array, arguments), align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, i, value), generate


@intrinsic
def zeros(typing_context: Any, array: Any) -> Any:
    """Return lanes of zeros, of the dtype of an array."""
    return Lanes(array.dtype)(array), lambda *_: ir.Constant(_register(array.dtype), None)


@intrinsic
def spread(typing_context: Any, array: Any, i: Any) -> Any:
    """Return lanes that all hold the i-th entry of a one-dimensional contiguous array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        register, index = _register(array.dtype), ir.IntType(32)
        data = context.make_array(array)(context, builder, arguments[0]).data
        entry = builder.load(builder.gep(data, [arguments[1]]))
        first = builder.insert_element(ir.Constant(register, ir.Undefined), entry, ir.Constant(index, 0))
        same = ir.Constant(ir.VectorType(index, register.count), [0] * register.count)
        return builder.shuffle_vector(first, ir.Constant(register, ir.Undefined), same)

    return Lanes(array.dtype)(array, i), generate


@intrinsic
def exchange(typing_context: Any, a: Any, b: Any, step: Any, upper: Any) -> Any:
    """Return the lower or upper row of the 2×2 blocks of ``step`` lanes of the rows a and b, transposed."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows, size, is_upper = arguments[:2], arguments[2], builder.trunc(arguments[3], ir.IntType(1))
        found = rows[0]
        for width in (1, 2, 4, 8)[: _register(a.dtype).count.bit_length() - 1]:
            lower, higher = (_blocks(builder, rows, width, shift) for shift in (0, width))
            same = builder.icmp_signed("==", size, ir.Constant(size.type, width))
            found = builder.select(same, builder.select(is_upper, higher, lower), found)
        return found

    return a(a, b, step, upper), generate


def _blocks(builder: Any, rows: Any, width: int, shift: int) -> Any:
    n, index = rows[0].type.count, ir.IntType(32)
    chosen = [n + k - width + shift if k & width else k + shift for k in range(n)]
    return builder.shuffle_vector(*rows, ir.Constant(ir.VectorType(index, n), chosen))


@intrinsic
def odd(typing_context: Any, mask: Any) -> Any:
    """Return 1 where an integer has an odd number of ones, else 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.and_(builder.ctpop(arguments[0]), ir.Constant(arguments[0].type, 1))

    return mask(mask), generate


def _register(dtype: Any) -> ir.VectorType:
    return ir.VectorType({32: ir.FloatType(), 64: ir.DoubleType()}[dtype.bitwidth], 8 * BYTES // dtype.bitwidth)


def _pointer(context: Any, builder: Any, array: Any, arguments: Any) -> Any:
    register = _register(array.dtype)
    data = context.make_array(array)(context, builder, arguments[0]).data
    first = builder.mul(arguments[1], ir.Constant(arguments[1].type, register.count))
    return builder.bitcast(builder.gep(data, [first]), register.as_pointer())


def _define(symbol: Callable[..., Any], instruction: str, n_operands: int) -> None:
    """Give lanes an operator; "contract" lets a product and a sum become one instruction."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return getattr(builder, instruction)(*arguments, flags=("contract",))

    cases = [signature(*[Lanes(dtype)] * (n_operands + 1)) for dtype in (types.float32, types.float64)]
    infer_global(symbol)(type(f"_{instruction}", (ConcreteTemplate,), {"cases": cases}))
    lower_builtin(symbol, *[Lanes] * n_operands)(generate)


_define(operator.add, "fadd", 2)
_define(operator.sub, "fsub", 2)
_define(operator.mul, "fmul", 2)
_define(operator.neg, "fneg", 1)
