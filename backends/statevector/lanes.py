"""A vector register as a Numba type: kernels written in plain arithmetic work on all its lanes at once.

``load(array, i)`` and ``store(array, i, value)`` move the i-th group of lanes of an array; ``+ - *`` and unary minus
act lane by lane. A register has 64 bytes: 16 lanes of float32 or 8 of float64, two or four machine registers where
they are shorter. Since nothing is left for the compiler to vectorise, it need not prove that arrays do not overlap.
"""

from __future__ import annotations

import operator
import platform
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

BYTES = 64

#: Compile a function that compiled functions call: without what Python would need to call it, which takes a third of
#: the time. What it does with whole arrays, such as sorting them, takes longer to compile than loops do.
compiled = njit(nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)


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
def blend(typing_context: Any, a: Any, b: Any, lanes: Any) -> Any:
    """Return a, and b in the lanes whose bits are set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        n_lanes = arguments[0].type.count
        chosen = builder.trunc(arguments[2], ir.IntType(n_lanes))
        chosen = builder.bitcast(chosen, ir.VectorType(ir.IntType(1), n_lanes))
        return builder.select(chosen, arguments[1], arguments[0])

    return a(a, b, lanes), generate


@intrinsic
def crossed(typing_context: Any, lanes: Any, flip: Any) -> Any:
    """Return lanes of which each has changed places with lane ^ flip."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        found, flip = arguments
        n, index = found.type.count, ir.IntType(32)
        for b in range(n.bit_length() - 1):
            places = ir.Constant(ir.VectorType(index, n), [lane ^ 1 << b for lane in range(n)])
            turned = builder.shuffle_vector(found, ir.Constant(found.type, ir.Undefined), places)
            is_set = builder.trunc(builder.lshr(flip, ir.Constant(flip.type, b)), ir.IntType(1))
            found = builder.select(is_set, turned, found)
        return found

    return lanes(lanes, flip), generate


@intrinsic
def total(typing_context: Any, lanes: Any) -> Any:
    """Return the sum of all lanes: halves are added until one lane is left."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rest, index = arguments[0], ir.IntType(32)
        while rest.type.count > 1:
            half = rest.type.count // 2
            halves = ([*range(half)], [*range(half, 2 * half)])
            parts = [
                builder.shuffle_vector(
                    rest, ir.Constant(rest.type, ir.Undefined), ir.Constant(ir.VectorType(index, half), k)
                )
                for k in halves
            ]
            rest = builder.fadd(*parts)
        return builder.extract_element(rest, ir.Constant(index, 0))

    return lanes.dtype(lanes), generate


@intrinsic
def transpose(typing_context: Any, array: Any, first: Any) -> Any:
    """Transpose in place the square of as many registers as one has lanes, from ``first`` on.

    Blocks of 1, 2, 4, ... lanes change places in turn, in registers.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        n, align = _register(array.dtype).count, array.dtype.bitwidth // 8
        places = [builder.add(arguments[1], ir.Constant(arguments[1].type, k)) for k in range(n)]
        pointers = [_pointer(context, builder, array, (arguments[0], place)) for place in places]
        rows = [builder.load(pointer, align=align) for pointer in pointers]
        for width in (2**k for k in range(n.bit_length() - 1)):
            for i in (i for i in range(n) if not i & width):
                pair = rows[i], rows[i + width]
                rows[i], rows[i + width] = (_blocks(builder, pair, width, shift) for shift in (0, width))
        for row, pointer in zip(rows, pointers, strict=True):
            builder.store(row, pointer, align=align)
        return context.get_dummy_value()

    return types.void(array, first), generate


def _blocks(builder: Any, rows: Any, width: int, shift: int) -> Any:
    n, index = rows[0].type.count, ir.IntType(32)
    chosen = [n + k - width + shift if k & width else k + shift for k in range(n)]
    return builder.shuffle_vector(*rows, ir.Constant(ir.VectorType(index, n), chosen))


@intrinsic
def flush_subnormals(typing_context: Any) -> Any:
    """Make this thread take numbers under 1e-38 for 0, which some processors compute 100 times slower.

    Returns what :func:`restore_subnormals` needs. Nothing happens on processors other than x86.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        state = ir.IntType(32)
        slot = cgutils.alloca_once_value(builder, ir.Constant(state, 0))
        _control(builder, "stmxcsr", slot)
        before = builder.load(slot)
        builder.store(builder.or_(before, ir.Constant(state, 0x8040)), slot)
        _control(builder, "ldmxcsr", slot)
        return before

    return types.int32(), generate


@intrinsic
def restore_subnormals(typing_context: Any, before: Any) -> Any:
    """Undo :func:`flush_subnormals`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _control(builder, "ldmxcsr", cgutils.alloca_once_value(builder, arguments[0]))
        return context.get_dummy_value()

    return types.void(types.int32), generate


def _control(builder: Any, instruction: str, slot: Any) -> None:
    """Exchange the control register of vector arithmetic with a place in memory."""
    if platform.machine() in ("x86_64", "AMD64"):
        pointer = builder.bitcast(slot, ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [pointer.type])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.sse.{instruction}"), [pointer])


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


# --- arrays of lanes --------------------------------------------------------------------------------------------------


@compiled
def aligned(n, like):
    """Return n numbers of the dtype of an array, not initialised, from a multiple of 64 bytes on."""
    raw = np.empty(n + 16, like.dtype)
    skip = (64 - raw.ctypes.data % 64) % 64 // raw.itemsize
    return raw[skip : skip + n]


@compiled
def room_for(length, like):
    """Return four arrays, not a multiple of 4096 bytes apart: stores to one would hold up loads from another."""
    apart = length + 21 * 64 // like.itemsize
    room = aligned(4 * apart, like)
    return (
        room[:length],
        room[apart : apart + length],
        room[2 * apart : 2 * apart + length],
        room[3 * apart : 3 * apart + length],
    )


@compiled
def sum_of(numbers, first, count):
    """Return the sum of so many numbers of an array, from the first one on."""
    total = numbers[first] * 0
    for k in range(first, first + count):
        total += numbers[k]
    return total


@compiled
def fill(numbers, first, last, value):
    """Set the numbers of an array from the first to before the last one: compiles faster than a slice does."""
    for k in range(first, last):
        numbers[k] = value
