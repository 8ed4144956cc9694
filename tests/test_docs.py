"""What docs/engine.md says of the simulator is so: its example, its counts of operations, its errors."""

import ast
import doctest
import inspect
import re
from fractions import Fraction
from pathlib import Path

import dense
import numpy as np
import pytest
import torch

from backends import Statevector
from backends.statevector import kernels
from backends.statevector.fusion import fuse
from benchmarks import workloads
from benchmarks.adapters.quantum_layer import circuit
from circuits import pauli, z_each
from circuits.templates import strongly_entangling

PAGE = (Path(__file__).parent.parent / "docs" / "engine.md").read_text()

#: Kernels of each row of the page's table.
ROWS = {"several": ("general",), "one": ("flip_x", "real_y", "phase_z")}

#: What kernels are made of: a rotation, and its slopes.
FORMULAS = {
    "general": (kernels.apply_general, kernels.slopes_of_general),
    "real_y": (kernels.apply_real, kernels.slopes_of_real),
}


def test_the_example_runs():
    (block,) = re.findall(r"```pycon\n(.*?)```", PAGE, re.DOTALL)
    example = doctest.DocTestParser().get_doctest(block, {}, "engine.md", None, 0)
    assert not doctest.DocTestRunner().run(example).failed
    assert len(example.examples) == 5


def loop(kernel):
    """The body of a kernel's loop, and by how many amplitudes it goes on."""
    (found,) = [node for node in ast.walk(ast.parse(inspect.getsource(kernel.py_func))) if isinstance(node, ast.For)]
    return found.body, 2 if "// 2" in ast.unparse(found.iter) else 1


def operations(statements):
    """Sums and products in the source, one branch of every choice."""
    choices = [node for s in statements for node in ast.walk(s) if isinstance(node, ast.IfExp)]
    other = {id(inner) for choice in choices for inner in ast.walk(choice.orelse)}
    found = [node for s in statements for node in ast.walk(s) if isinstance(node, ast.BinOp) and id(node) not in other]
    return sum(isinstance(node.op, ast.Add | ast.Sub | ast.Mult) for node in found)


def counted(name):
    """Operations per amplitude of a pair of kernels: forward, undoing, slopes, together."""
    if name in FORMULAS:  # of two amplitudes, from one formula forward and back
        turn, slopes = (operations(ast.parse(inspect.getsource(f.py_func)).body) for f in FORMULAS[name])
        return [Fraction(n, 2) for n in (turn, 2 * turn, slopes, 3 * turn + slopes)]
    (forward, pair), (back, _) = loop(getattr(kernels, name)), loop(getattr(kernels, f"{name}_back"))
    undo = operations([s for s in back if "store" in ast.unparse(s)])
    found = operations(forward), undo, operations(back) - undo
    return [Fraction(n, pair) for n in (*found, sum(found))]


def said(row):
    """The numbers of a row of the table."""
    (cells,) = re.findall(rf"^\| turns of {row} letters? .*?\| ([\d |]+) \|$", PAGE, re.MULTILINE)
    return [int(cell) for cell in cells.split(" | ")]


@pytest.mark.parametrize("row, name", [(row, name) for row, names in ROWS.items() for name in names])
def test_operations_of_the_kernels(row, name):
    assert counted(name) == said(row)


def test_operations_of_the_benchmarks():
    (rule,) = re.findall(r"column itself counts (\d+)", PAGE)
    assert int(rule) == workloads.FLOPS
    kind = {w.name: excess(w) for w in workloads.WORKLOADS}
    assert f"{kind['reupload4x6_b128']:.2f}" == "1.07" and "7 % too kind" in PAGE
    assert f"{kind['qcnn8_b64']:.1f} times too kind to `qcnn8_b64`" in PAGE


def excess(workload):
    """How many times as many operations the benchmarks count as the kernels do."""
    readout = tuple(pauli(f"Z{q}") for q in workload.readout)
    turns = [op for op in fuse(circuit(workload), readout).ops if op.kind == "turns"]
    done = sum(said("one" if len(op.letters) == 1 else "several")[-1] for op in turns)
    return workload.fused_gates * workloads.FLOPS / done


@pytest.mark.parametrize("dtype, name", [(torch.float32, "float32"), (torch.float64, "float64")])
def test_errors_against_matrices(dtype, name):
    (limit,) = re.findall(rf"(1e-\d+) in {name}\b", PAGE)
    circuit = strongly_entangling(8, n_layers=20)
    w = np.random.default_rng(0).uniform(-np.pi, np.pi, circuit.n_weights)
    found = Statevector().expectation(circuit, None, torch.tensor(w, dtype=dtype), z_each(8))
    assert len(circuit.ops) == 640
    assert np.abs(found.double().numpy() - dense.expectation(circuit, [], w, z_each(8))).max() < float(limit)
