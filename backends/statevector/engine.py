"""The fast path on CPUs: one compiled pass forward, one back, each over the whole batch.

With U = U_m ... U_1, the observables O_k and the gradient g_k of the loss with respect to <O_k>, the backward pass
starts from lambda = sum_k g_k O_k psi and undoes operation by operation on both; a turn exp(-i tau P) finds

    dL/dtau = 2 Im <lambda|P|psi>

on its way (adjoint differentiation, arXiv:2009.02823). Higher derivatives go through the torch operations.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function

from backends.angles import angle_map
from backends.statevector import kinds, sweeps, turns
from backends.statevector.adjoint import readouts
from backends.statevector.buffers import Buffers
from backends.statevector.fusion import FusedProgram, fuse
from backends.statevector.program import compile_circuit
from backends.statevector.starts import Start, plain_start
from backends.statevector.sweeps import Dense, Output, Tables
from backends.statevector.threads import share
from backends.statevector.tiles import Segment, fits, split, whole
from backends.statevector.torch_ops import register_state
from backends.statevector.turns import Slots, Trig, Turns
from circuits import Circuit
from circuits.observables import Readout

#: Bits of a tile, whichever costs less: small enough for the second cache of most processors.
LOCAL_BITS = (10, 11)

#: What it costs to read and write a tile, in operations on it.
TRAFFIC = 4

#: Below the first number of qubits lanes are samples; from the second on, amplitudes; in between it is samples where
#: they fill most lanes, and above the third where they are tiles enough for the cores, up to 8.
FEW_QUBITS, MANY_QUBITS, SHARED_QUBITS = 9, 13, 10

#: So many cosines NumPy computes in the time that torch takes to wake its threads, which it does for a few hundred.
FEW_NUMBERS = 2**12

#: Amplitudes times operations that are worth a thread.
WORTH_A_THREAD = 2**20


@dataclass(frozen=True, eq=False)
class Plan:
    """A circuit and its readout, ready to run on rows of features and weights of one dtype."""

    program: FusedProgram
    slots: Slots
    turns: Turns
    output: Output
    matrices: Dense
    samples: Tables | None  # of lanes that are samples
    segments: tuple[Tables, ...]  # of lanes that are amplitudes
    zeros: bool  # whether what no segment wrote is read
    start: Start | None  # amplitudes of plain features
    prepare: Callable[[Tensor, Tensor], tuple[Tensor, Tensor | None]] | None  # 1 and the angles' features; amplitudes
    reference: Callable[[Tensor, Tensor], Tensor]  # the same on torch operations
    n_outputs: int

    def run(self, x: Tensor, w: Tensor) -> Tensor:
        """Return the readouts (rows, n_outputs) of features (rows, n_inputs) and weights (n_weights,) or one a row."""
        features, start = (x, None) if self.prepare is None else self.prepare(x, w)
        if not torch.is_grad_enabled():
            return _forward(self, features, w, start, False)[0]
        return Run.apply(self, x, w, features, start)

    @property
    def n_outer(self) -> int:
        """The most tiles of a sample that a segment has."""
        return max(len(tables.outer) for tables in self.segments)

    def by_samples(self, n_rows: int) -> bool:
        """Whether lanes are samples: they are amplitudes for few samples of many qubits."""
        n_qubits = self.program.n_qubits
        if not self.segments or n_qubits < FEW_QUBITS:
            return True
        n_lanes = len(self.segments[0].lanes)
        n_tiles = -(-n_rows // n_lanes)
        enough = n_qubits <= SHARED_QUBITS or n_tiles >= min(_n_cores(), 8)
        return n_qubits < MANY_QUBITS and 2 * n_rows > n_lanes * n_tiles and enough


@cache
def _n_cores() -> int:
    return os.cpu_count() or 1


class Run(Function):
    """Readouts (rows, n_outputs) of a plan from features (rows, n_inputs) and weights (1 or rows, n_weights).

    What the compiled pass reads are the prepared features and start amplitudes, functions of both: its gradients go to
    them, those of higher order to features and weights themselves.
    """

    @staticmethod
    def forward(ctx: Any, plan: Plan, x: Tensor, w: Tensor, features: Tensor, start: Tensor | None) -> Tensor:
        """Run the circuit; keep the final states if a gradient may be asked for."""
        y, kept = _forward(plan, features, w, start, any(ctx.needs_input_grad))
        ctx.plan, ctx.kept = plan, kept
        ctx.save_for_backward(x, w)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        """Run it back; through torch operations where it is differentiated again, or many gradients come at once."""
        x, w = ctx.saved_tensors
        if torch.is_grad_enabled() or _is_batched(grad):
            return None, *_reference_gradients(ctx.plan, x, w, grad), None, None
        gx, gw, gs = _backward(ctx.plan, grad, ctx.kept)
        return None, None, gw if w.ndim > 1 else gw[0], gx, gs


def _is_batched(tensor: Tensor) -> bool:
    return torch._C._functorch.is_batchedtensor(tensor) or torch._C._functorch.is_legacy_batchedtensor(tensor)


def _reference_gradients(plan: Plan, x: Tensor, w: Tensor, grad: Tensor) -> tuple[Tensor | None, ...]:
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        y = plan.reference(x, w)
    wanted = [t for t in (x, w) if t.requires_grad]
    found = iter(torch.autograd.grad(y, wanted, grad, create_graph=again, allow_unused=True))
    return tuple(next(found) if t.requires_grad else None for t in (x, w))


@dataclass(frozen=True, eq=False)
class _Call:
    """The numbers of one call: NumPy views of its tensors, cosines and sines of its slots."""

    x: np.ndarray
    w: np.ndarray
    start: np.ndarray
    norms: np.ndarray | None  # of the features that the start amplitudes are
    trig: Trig
    n_lanes: int
    n_tiles: int
    n_threads: int
    by_samples: bool


def _forward(plan: Plan, x: Tensor, w: Tensor, start: Tensor | None, keep: bool) -> tuple[Tensor, Any]:
    call = _bind(plan, x, w, start)
    return _forward_samples(plan, call, keep) if call.by_samples else _forward_amplitudes(plan, call)


def _bind(plan: Plan, x: Tensor, w: Tensor, start: Tensor | None) -> _Call:
    """Evaluate the slots of a call and their cosines and sines."""
    x_, w_ = _array(x), _array(w)
    w_ = w_ if w_.ndim > 1 else w_[None]
    n_lanes = 64 // x_.itemsize
    n_tiles = -(-len(x_) // n_lanes)
    n_rows = n_tiles * plan.slots.n_rows * n_lanes
    slots = np.empty(n_rows + len(plan.slots.starts) - 1 - plan.slots.n_rows, x_.dtype)
    rows, shared = slots[:n_rows], slots[n_rows:]
    share(turns.slot_values, n_tiles, _slot_threads(plan, x_), x_, w_, plan.slots, n_lanes, rows, shared)
    cos, sin = _cos_sin(slots)
    trig = Trig(cos[:n_rows], sin[:n_rows], cos[n_rows:], sin[n_rows:])
    n_threads = _threads(len(x_) * (len(plan.program.ops) << plan.program.n_qubits))
    return _Call(x_, w_, *_start(plan, x_, start), trig, n_lanes, n_tiles, n_threads, plan.by_samples(len(x_)))


def _array(t: Tensor) -> np.ndarray:
    return t.detach().contiguous().numpy()


def _start(plan: Plan, x: np.ndarray, start: Tensor | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Return start amplitudes (rows, 2**k), no rows where all is |0...0>, and norms where they are plain features."""
    if plan.start is not None:
        return plan.start(x)
    return np.empty((0, 1), x.dtype) if start is None else _array(start), None


def _cos_sin(slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if slots.size <= FEW_NUMBERS:
        return np.cos(slots), np.sin(slots)
    t = torch.from_numpy(slots)
    return torch.cos(t).numpy(), torch.sin(t).numpy()


def _slot_threads(plan: Plan, x: np.ndarray) -> int:
    return _threads(8 * len(x) * len(plan.slots.coefficients))


def _row_threads(plan: Plan, call: _Call) -> int:
    return call.n_threads if len(plan.output.low) else 1


def _threads(work: int) -> int:
    return max(1, min(torch.get_num_threads(), work // WORTH_A_THREAD))


def _forward_samples(plan: Plan, call: _Call, keep: bool) -> tuple[Tensor, Any]:
    dtype = call.trig.cos.dtype
    length = call.n_tiles * call.n_lanes * len(plan.samples.local) if keep else 0  # type: ignore[union-attr]
    buffers = Buffers(2, length, dtype)
    y = np.empty((len(call.x), plan.n_outputs), dtype)
    flat, sums = np.empty(0, dtype), np.empty((0, 0, 0), dtype)
    _pass(sweeps.forward, plan, call, plan.samples, False, call.start, flat, *buffers.arrays, sums, y)
    return torch.from_numpy(y), (call, buffers)


def _forward_amplitudes(plan: Plan, call: _Call) -> tuple[Tensor, Any]:
    dtype, n_rows = call.trig.cos.dtype, len(call.x)
    buffers = Buffers(2, n_rows << plan.program.n_qubits, dtype)
    sr, si = buffers.arrays
    if plan.zeros:
        sr[:] = si[:] = 0
    if len(call.start):
        sr.reshape(n_rows, call.start.shape[1], -1)[:, :, 0] = call.start
    coefficients = np.empty(n_rows * 4 * (len(plan.turns.starts) - 1), dtype)
    share(turns.fuse_rows, call.n_tiles, 1, n_rows, plan.turns, plan.slots.n_rows, call.trig, coefficients)
    sums = np.zeros((n_rows, plan.n_outer, plan.output.n_words), dtype)
    y = np.empty((n_rows, plan.n_outputs), dtype)
    for number, tables in enumerate(plan.segments):
        leading = number == 0 and not len(call.start)
        _pass(sweeps.forward, plan, call, tables, leading, call.start, coefficients, sr, si, sums, y)
    share(
        sweeps.read_rows, n_rows, _row_threads(plan, call), plan.slots.n_rows, call.trig, plan.output, sr, si, sums, y
    )
    return torch.from_numpy(y), (call, [buffers], coefficients)


def _pass(function: Callable[..., None], plan: Plan, call: _Call, tables: Any, leading: bool, *arrays: Any) -> None:
    """Run a pass over all tiles of a segment."""
    n_tasks = call.n_tiles if len(tables.lanes) == 1 else len(call.x) * len(tables.outer)
    tuples = tables, leading, plan.turns, plan.slots.n_rows, call.trig, plan.output, plan.matrices
    share(function, n_tasks, call.n_threads, len(call.x), *tuples, *arrays)


def _backward(plan: Plan, grad: Tensor, kept: Any) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return the gradients of the prepared features, the weights (1 or rows, n_weights) and the start amplitudes."""
    call = kept[0]
    gy = grad.contiguous().numpy()
    run = _backward_samples if call.by_samples else _backward_amplitudes
    rows, shared, gs = run(plan, call, gy, *kept[1:])
    gx = np.zeros(call.x.shape, gy.dtype)
    gw = np.zeros((len(gy) if len(call.w) > 1 else call.n_tiles, call.w.shape[1]), gy.dtype)
    arrays = call.x, call.w, plan.slots, call.n_lanes, gx, gw
    share(turns.slot_slopes, call.n_tiles, _slot_threads(plan, call.x), rows, shared, *arrays)
    gw = gw if len(gw) == len(call.w) else gw.sum(0, keepdims=True)
    if plan.start is not None and call.norms is not None:
        plan.start.add_gradients(call.start, call.norms, gs, gx)
    through = torch.from_numpy(gs) if len(gs) and plan.start is None else None
    return torch.from_numpy(gx), torch.from_numpy(gw), through


def _backward_samples(plan: Plan, call: _Call, gy: np.ndarray, final: Buffers) -> tuple[np.ndarray, ...]:
    rows, gs = np.zeros(call.trig.row_cos.shape, gy.dtype), np.zeros(call.start.shape, gy.dtype)
    shared = np.zeros((call.n_tiles, len(call.trig.cos)), gy.dtype)
    flat, gw, sums = np.empty(0, gy.dtype), np.empty((0, 0), gy.dtype), np.empty((0, 0, 0, 0), gy.dtype)
    arrays = True, flat, *final.arrays, flat, flat, gy, gw, sums, rows, gs, shared
    _pass(sweeps.backward, plan, call, plan.samples, False, *arrays)
    return rows, shared.sum(0), gs


def _taken(plan: Plan, call: _Call, final: list[Buffers]) -> Buffers:
    """Return the final states, which one pass back undoes in place: for another one they are computed again."""
    try:
        return final.pop()
    except IndexError:
        _, (_, again, _) = _forward_amplitudes(plan, call)
        return again.pop()


def _backward_amplitudes(
    plan: Plan, call: _Call, gy: np.ndarray, final: list[Buffers], coefficients: np.ndarray
) -> tuple[np.ndarray, ...]:
    n_rows, n_rotations = len(gy), len(plan.turns.starts) - 1
    undone, buffers = _taken(plan, call, final), Buffers(2, n_rows << plan.program.n_qubits, gy.dtype)
    states, slope = undone.arrays, buffers.arrays
    gw = np.empty((n_rows, plan.output.n_words), gy.dtype)
    share(sweeps.rows_back, n_rows, _row_threads(plan, call), plan.output, *states, *slope, gw, gy)
    sums = np.zeros((n_rows, plan.n_outer, n_rotations, 3), gy.dtype)
    rows, gs = np.zeros(call.trig.row_cos.shape, gy.dtype), np.zeros(call.start.shape, gy.dtype)
    shared = np.zeros((call.n_tiles, len(call.trig.cos)), gy.dtype)
    for number, tables in reversed(list(enumerate(plan.segments))):
        leading = number == 0 and not len(call.start)
        fresh = number == len(plan.segments) - 1 and not len(plan.output.low)
        arrays = fresh, coefficients, *states, *slope, gy, gw, sums, rows, gs, shared
        _pass(sweeps.backward, plan, call, tables, leading, *arrays)
    share(turns.split_rows, call.n_tiles, 1, n_rows, plan.turns, plan.slots.n_rows, call.trig, sums, rows, shared)
    if len(gs):
        gs[:] = 2 * slope[0].reshape(n_rows, gs.shape[1], -1)[:, :, 0]
    return rows, shared.sum(0), gs


# --- plans ------------------------------------------------------------------------------------------------------------


def make_plan(circuit: Circuit, observables: Readout, shared_weights: bool, torch_dtype: torch.dtype) -> Plan:
    """Return the plan of a circuit and its readout, for one dtype; ``shared_weights`` where all rows have the same."""
    dtype = torch.empty(0, dtype=torch_dtype, device="cpu").numpy().dtype
    program = fuse(circuit, observables)
    start, prepare = _starts(circuit, dtype)
    slots, numbers = _slots(circuit, program, shared_weights, dtype, prepare is not None)
    n_lanes = 64 // dtype.itemsize
    segments = _segments(program, n_lanes)
    return Plan(
        program,
        slots,
        _turns(program, numbers),
        _output(program, dtype),
        _matrices(program, dtype, n_lanes),
        _tables(whole(program), dtype) if program.n_qubits < MANY_QUBITS or not segments else None,
        tuple(_tables(s, dtype, s is segments[-1] and not program.outcomes) for s in segments),
        program.n_start > 0 or any(s.zeros for s in segments) or bool(segments and _is_partial(program, segments[-1])),
        start,
        prepare,
        partial(readouts, circuit, observables, "adjoint"),
        len(observables),
    )


def _segments(program: FusedProgram, n_lanes: int) -> tuple[Segment, ...]:
    """Return the cheapest segments whose lanes are amplitudes; none where a tile is too small for an operation.

    A tile is at most a quarter of the states, or as small as can be: every core holds one of psi and one of lambda.
    """
    if program.n_qubits < FEW_QUBITS:
        return ()
    sizes = [size for size in LOCAL_BITS if fits(program, n_lanes, size)]
    small = [size for size in sizes if 4 * n_lanes << size <= 2**program.n_qubits]
    return min((split(program, n_lanes, size) for size in small or sizes[:1]), key=_cost, default=())


def _is_partial(program: FusedProgram, last: Segment) -> bool:
    """Whether all amplitudes are read though the last segment does not write all."""
    return bool(program.outcomes) and last.local.size * last.lanes.size * last.outer.size < 2**program.n_qubits


def _cost(segments: tuple[Segment, ...]) -> float:
    """Count the amplitudes that operations and copies of tiles go through."""
    return sum(
        len(segment.outer) * (TRAFFIC * len(segment.local) + (2 ** segment.ops[:, 4]).sum()) for segment in segments
    )


def _starts(circuit: Circuit, dtype: np.dtype) -> tuple[Start | None, Callable[..., Any] | None]:
    """Return how a circuit starts from plain features, and what else it needs beside its own."""
    functions = angle_map(circuit).of_features or angle_map(circuit).of_weights
    start = None if functions else plain_start(circuit, dtype)
    return start, None if start else _prepare(circuit)


def _prepare(circuit: Circuit) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor | None]] | None:
    """Return what a circuit needs beside its own features: functions of them, amplitudes of its start state."""
    angles, starts = angle_map(circuit), any(op.gate.kind == "amplitudes" for op in circuit.ops)
    if not angles.of_weights and not starts:
        return (lambda x, w: (angles.features(x), None)) if angles.of_features else None

    def prepare(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor | None]:
        w = w.expand(len(x), -1)
        start = register_state(compile_circuit(circuit), angles(x, w)) if starts else None
        return angles.values(x, w), start

    return prepare


def _slots(
    circuit: Circuit, program: FusedProgram, shared_weights: bool, dtype: np.dtype, ones: bool
) -> tuple[Slots, list[int]]:
    """Return the slots, those that differ between rows first, and the new number of every slot.

    ``ones`` says that the features begin with a column of ones.
    """
    position, first = angle_map(circuit).position, int(ones)
    varies = [any(f[0] != "w" or not shared_weights for m, _ in slot.terms for f in m) for slot in program.slots]
    order = sorted(range(len(varies)), key=lambda k: not varies[k])
    terms = [(m or (), c) for k in order for m, c in program.slots[k].terms or (((), 0.0),)]
    counts = [max(1, len(program.slots[k].terms)) for k in order]
    width = max((len(m) for m, _ in terms), default=0) or 1
    factors = [[first + position[f] for f in m] + [0] * (width - len(m)) for m, _ in terms]
    slots = Slots(
        np.cumsum([0, *counts]),
        np.array([c for _, c in terms], dtype),
        np.array(factors, np.int64).reshape(-1, width),
        sum(varies),
    )
    return slots, np.argsort(order).tolist()


def _turns(program: FusedProgram, numbers: list[int]) -> Turns:
    rotations = [op for op in program.ops if op.kind == "turns"]
    found = [turn for op in rotations for turn in op.turns]
    return Turns(
        np.cumsum([0, *(len(op.turns) for op in rotations)]),
        np.array(["XYZ".index(turn.letter) for turn in found], np.int64),
        np.array([numbers[turn.slot] for turn in found], np.int64),
    )


def _output(program: FusedProgram, dtype: np.dtype) -> Output:
    pairs = [(o, word, c) for o, column in enumerate(program.columns) for word, c in column]
    half = program.n_qubits // 2
    sizes = ((0, 2**half), (half, 2 ** (program.n_qubits - half))) if program.outcomes else ((0, 0), (0, 0))
    low, high = (
        np.array([_outcome(program.outcomes, i << shift) for i in range(size)], np.int64) for shift, size in sizes
    )
    return Output(
        len(program.words),
        np.array(program.diagonal, np.int64),
        np.array([(o, word) for o, word, _ in pairs], np.int64).reshape(-1, 2),
        np.array([c for _, _, c in pairs], dtype),
        np.array(program.constants, dtype),
        low,
        high,
    )


def _outcome(selects: tuple[int, ...], i: int) -> int:
    found = 0
    for select in selects:
        found = 2 * found + (select & i).bit_count() % 2
    return found


def _matrices(program: FusedProgram, dtype: np.dtype, n_lanes: int) -> Dense:
    entries = np.concatenate([np.zeros(0, complex), *(m.ravel() for m in program.matrices)])
    counts = [len(op.masks) for op in program.ops if op.kind in ("sign", "controlled", "dense")]
    return Dense(
        np.stack([entries.real, entries.imag]).astype(dtype),
        np.cumsum([0, *(m.size for m in program.matrices)]),
        n_lanes * max((3 * 4**count + 2 ** (count + 1) for count in counts), default=0),
    )


def _tables(segment: Segment, dtype: np.dtype, final: bool = False) -> Tables:
    """Return what the passes read; tiles of the ``final`` segment keep their registers, unless it writes nothing."""
    keeps = final and (segment.ops[:, 0] < kinds.WORD).any()
    signs = 1 - 2 * (segment.masks[:, 2, None] >> np.arange(len(segment.lanes)) & 1)
    offsets = segment.local, segment.lanes, segment.outer, _lines(segment) if keeps else segment.local[:0]
    return Tables(segment.ops, segment.masks, signs.astype(dtype).ravel(), *offsets, 1 << segment.entry, segment.layout)


def _lines(segment: Segment) -> np.ndarray:
    """Return where the tile at 0 has whole registers of neighbours, rising."""
    local, lanes = segment.local, segment.lanes
    if segment.layout == kinds.NEIGHBOURS:
        return np.sort(local)
    return np.sort((local[:: len(lanes), None] ^ lanes).ravel()) if segment.layout == kinds.SQUARES else local[:0]
