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
from backends.statevector import kernels, kinds
from benchmarks import operations as operations_done
from benchmarks import workloads
from circuits import z_each
from circuits.templates import strongly_entangling

PAGE = (Path(__file__).parent.parent / "docs" / "engine.md").read_text()

#: Kernels of each row of the page's table.
ROWS = {"turns of several": ("general",), "turns of one": ("flip_x", "real_y", "phase_z")}

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
    (cells,) = re.findall(rf"^\| {row} .*?\| ([\d |]+) \|$", PAGE, re.MULTILINE)
    return [int(cell) for cell in cells.split(" | ")]


@pytest.mark.parametrize("row, name", [(row, name) for row, names in ROWS.items() for name in names])
def test_operations_of_the_kernels(row, name):
    assert counted(name) == said(row)


def test_operations_of_phases():
    """The two factors, the product and what it does to a state, once forward, to two states back."""

    def inner(kernel):
        (outer,) = [
            n
            for n in ast.walk(ast.parse(inspect.getsource(kernel.py_func)))
            if isinstance(n, ast.For) and "far_flips" in ast.unparse(n.iter)
        ]
        (found,) = [n for n in outer.body if isinstance(n, ast.For)]
        return found.body

    forward, undo, slopes, together = said("all turns about Z")
    assert (forward, together) == (vector_operations(inner(kernels.phases)), forward + undo + slopes)
    assert undo + slopes == vector_operations(inner(kernels.phases_back))


def vector_operations(statements):
    """Sums and products in the source but those of places."""
    places = {
        id(i)
        for s in statements
        for n in ast.walk(s)
        if isinstance(n, ast.Call)
        for a in n.args[1:2]
        for i in ast.walk(a)
    }
    found = [n for s in statements for n in ast.walk(s) if isinstance(n, ast.BinOp) and id(n) not in places]
    return sum(isinstance(n.op, ast.Add | ast.Sub | ast.Mult) for n in found)


def test_operations_of_the_benchmarks():
    (rule,) = re.findall(r"counts (\d+) per amplitude for every run", PAGE)
    assert int(rule) == workloads.FLOPS
    table = operations_done.PER_AMPLITUDE
    rows = {kinds.GENERAL: "turns of several", kinds.REAL_Y: "turns of one", kinds.PHASES: "all turns about Z"}
    assert {kind: table[kind] for kind in rows} == {kind: said(row)[-1] for kind, row in rows.items()}
    by_name = {w.name: w for w in workloads.WORKLOADS}
    large, small = by_name["hea16x4_b8"], by_name["reupload4x6_b128"]
    assert f"of `hea16x4_b8`'s {large.flops / 1e6:.0f} million {operations_done.done(large) / 1e6:.0f} are left" in PAGE
    assert f"{operations_done.done(small) / 1e6:.1f} million" in PAGE
    assert f"{operations_done.done(small) / 50e3:.0f} µs at 50" in PAGE


@pytest.mark.parametrize("dtype, name", [(torch.float32, "float32"), (torch.float64, "float64")])
def test_errors_against_matrices(dtype, name):
    (limit,) = re.findall(rf"(1e-\d+) in {name}\b", PAGE)
    circuit = strongly_entangling(8, n_layers=20)
    w = np.random.default_rng(0).uniform(-np.pi, np.pi, circuit.n_weights)
    found = Statevector().expectation(circuit, None, torch.tensor(w, dtype=dtype), z_each(8))
    assert len(circuit.ops) == 640
    assert np.abs(found.double().numpy() - dense.expectation(circuit, [], w, z_each(8))).max() < float(limit)
