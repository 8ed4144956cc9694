"""Floating-point operations that a step of ours does, counted from the tables that its passes read."""

from __future__ import annotations

import torch

from backends.statevector import kinds
from backends.statevector.engine import make_plan
from benchmarks.adapters.quantum_layer import circuit
from benchmarks.workloads import Workload
from circuits import pauli

#: Per amplitude, forward and back, for the kinds that the workloads have; docs/engine.md says how they are counted.
#: Besides, a Walsh transform adds once per bit each way.
PER_AMPLITUDE = {
    kinds.GENERAL: 54,
    kinds.ACROSS: 54,
    kinds.FLIP_X: 22,
    kinds.REAL_Y: 22,
    kinds.PHASE_Z: 22,
    kinds.PHASES: 35,
    kinds.WORD: 8,
    kinds.Z_WORDS: 10,
}


def done(workload: Workload) -> int:
    """Return the operations of a step, forward and back, in float32; those on angles and small tables are left out."""
    readout = tuple(pauli(f"Z{q}") for q in workload.readout)
    plan = make_plan(circuit(workload), readout, True, torch.float32)
    tables = [plan.samples] if plan.by_samples(workload.batch) else plan.segments
    return workload.batch * sum(
        (7 + 2 * live if kind == kinds.DIAGONAL else PER_AMPLITUDE[kind])
        * 2**live
        * len(table.lanes)
        * len(table.outer)
        for table in tables
        for kind, _, _, _, live, _ in table.ops.tolist()
    )
