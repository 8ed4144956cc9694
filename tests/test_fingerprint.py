"""hybrid/fingerprint.py: what changes a model changes its hash, and nothing else does, in any process."""

from __future__ import annotations

import functools
import importlib
import linecache
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
import toy_model

from circuits import CX, RX, Circuit, pauli, z_each
from hybrid import fingerprint as reading
from hybrid.fingerprint import fingerprint

ROOT = Path(__file__).resolve().parents[1]
BUILD = "def build(n_features, n_classes, *, control=None, backend=None):\n    return "


def notebook(source, **given):
    """Run source as a notebook or a script does, and return what it calls ``build``."""
    scope = {"__name__": "__main__", **given}
    exec(source, scope)
    return scope["build"]


def hashes(*builds):
    return {fingerprint(build) for build in builds}


# --- what changes a model changes its hash --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "variants",
    [
        [BUILD + "4", BUILD + "8"],
        [f"N = {n}\n{BUILD}N" for n in (4, 8)],
        [f"N = {n}\ndef inner():\n    return N\n{BUILD}inner()" for n in (4, 8)],
        [f"N = {n}\n{BUILD}[N for _ in ()]" for n in (4, 8)],
        [f"class Net:\n    width = {n}\n{BUILD}Net()" for n in (4, 8)],
        [f"N = {n}\nclass Net:\n    def width(self): return N\n{BUILD}Net()" for n in (4, 8)],
        [f"N = {n}\nclass Base:\n    width = N\nclass Net(Base): ...\n{BUILD}Net()" for n in (4, 8)],
        [f"class Net:\n    @property\n    def width(self): return {n}\n{BUILD}Net()" for n in (4, 8)],
        [f"class Net:\n    @staticmethod\n    def width(): return {n}\n{BUILD}Net()" for n in (4, 8)],
        [f"def build(n_features, n_classes, *, control=None, backend=None, n={n}): return n" for n in (4, 8)],
        [f"def build(n_features, n_classes, n={n}): return n" for n in (4, 8)],
        [f"def make(n):\n    def build(*_): return n\n    return build\nbuild = make({n})" for n in (4, 8)],
        [f"build = lambda *_: {n}" for n in (4, 8)],
        [f"class M:\n    def __init__(self): self.n = {n}\n    def __call__(_): ...\nbuild = M()" for n in (4, 8)],
        [f"class Maker:\n    def build(self): return {n}\nbuild = Maker().build" for n in (4, 8)],
        [f"from functools import cache\n@cache\ndef size(): return {n}\n{BUILD}size()" for n in (4, 8)],
        [f"from enum import Enum\nclass E(Enum): A = 4; B = 8\nN = E.{n}\n{BUILD}N" for n in "AB"],
        [
            f"from dataclasses import dataclass\n@dataclass(frozen=True)\nclass S:\n    n: int = 2\n"
            f"N = S({n})\n{BUILD}N.n"
            for n in (4, 8)
        ],
        [
            f"from typing import NamedTuple\nclass S(NamedTuple):\n    n: int = 2\nN = S({n})\n{BUILD}N.n"
            for n in (4, 8)
        ],
        [f"N = {value}\n{BUILD}N" for value in (1, 1.0, True, "'1'", "b'1'", [1], (1,), {1}, {1: 1}, None)],
        [f"N = {value}\n{BUILD}N" for value in ([[1], 2], [[1, 2]], [[1], [2]], [1, 2], [2, 1])],
        [f"N = {value}\n{BUILD}N" for value in ({"a": 1}, {"b": 1}, {"a": 2}, {"a": 1, "b": 1})],
        [f"from math import {f} as f\n{BUILD}f(1)" for f in ("sin", "cos")],
        [f"from numpy import {f} as f\n{BUILD}f(1)" for f in ("sin", "cos", "sum", "prod")],
        [f"from torch import {f} as f\n{BUILD}f" for f in ("sin", "cos", "relu", "float32", "float64")],
        [f"from torch.nn.functional import {f} as f\n{BUILD}f" for f in ("relu", "gelu", "softplus", "hardtanh")],
        [f"import {module} as m\n{BUILD}m" for module in ("torch", "numpy", "math", "toy_model", "planted")],
    ],
    ids=lambda variants: variants[0].replace(BUILD, "").replace("\n", " ")[:50],
)  # fmt: skip
def test_a_changed_notebook_is_another_model(variants):
    builds = [notebook(source) for source in variants]
    assert len(hashes(*builds)) == len(variants)
    assert hashes(*builds) == hashes(*map(notebook, variants)), "the same source again"


@pytest.mark.parametrize(
    "values",
    [
        [np.arange(3), np.arange(3.0), np.arange(4), np.arange(3)[::-1], np.arange(3)[:, None], np.float64(3)],
        [torch.arange(3), torch.arange(3.0), torch.arange(3).flip(0), torch.tensor(3), torch.ones(3).bfloat16()],
        [torch.nn.Parameter(torch.ones(2)), torch.ones(2), torch.nn.Parameter(torch.ones(2), requires_grad=False)],
        [Circuit(2, [RX(0.5, 0)]), Circuit(2, [RX(0.6, 0)]), Circuit(2, [RX(0.5, 0), CX(0, 1)])],
        [pauli("Z0"), pauli("X0"), z_each(2), [pauli("Z0")], RX, CX],
        [toy_model.build, toy_model, functools.partial(toy_model.build, 1), functools.partial(toy_model.build, 2)],
        [np.array(["a", None], object), np.array(["b", None], object)],
        [np.dtype("f4"), np.dtype("f8"), torch.float32, torch.device("cpu"), Path("a"), Path("b"), range(2), range(3)],
    ],
    ids=lambda values: type(values[0]).__name__,
)  # fmt: skip
def test_a_changed_value_is_another_model(values):
    builds = [notebook(BUILD + "N", N=value) for value in values]
    assert len(hashes(*builds)) == len(values)
    assert hashes(*builds) == hashes(*(notebook(BUILD + "N", N=value) for value in values))
    in_place = [functools.partial(toy_model.build, option=value) for value in values]
    assert len(hashes(*in_place)) == len(values)


def test_a_network_among_the_globals_counts_with_its_weights():
    torch.manual_seed(0)
    networks = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    assert len(hashes(*(notebook(BUILD + "net", net=net) for net in networks))) == 2


@pytest.mark.parametrize(
    "make", [functools.partial, lambda f, **options: functools.partial(functools.partial(f), **options)]
)
def test_arguments_of_a_partial_count_and_so_does_its_function(make):
    sizes = [make(toy_model.build, n_qubits=n) for n in (4, 8)]
    assert len(hashes(toy_model.build, *sizes, make(notebook(BUILD + "1"), n_qubits=4))) == 4
    assert hashes(sizes[0]) == hashes(make(toy_model.build, n_qubits=4))


def closure(n):
    def build(n_features, n_classes, *, control=None, backend=None):
        return n

    return build


class Maker:
    def __init__(self, n):
        self.n = n

    def __call__(self, n_features, n_classes, *, control=None, backend=None):
        return self.n


def test_settings_of_builds_in_a_module_count_too():
    assert len(hashes(closure(4), closure(8), Maker(4), Maker(8), Maker(4).__call__, lambda: 4, lambda: 8)) == 7
    assert hashes(closure(4), Maker(4)) == hashes(closure(4), Maker(4))


def test_an_edited_module_is_another_model(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    found, used = [], []
    for text in ("first", "second", "first"):
        (tmp_path / "edited_model.py").write_text(f'"""{text}"""\ndef build(n_features, n_classes): ...\n')
        sys.modules.pop("edited_model", None)
        linecache.clearcache()
        module = importlib.import_module("edited_model")
        found.append(fingerprint(module.build))
        used.append(fingerprint(notebook("import edited_model\n" + BUILD + "edited_model.build")))
    assert found[0] == found[2] != found[1]
    assert used[0] == used[2] != used[1]


IMPORTING = [
    "from hybrid.dressed import Dressed", "from hybrid import dressed", "import hybrid.dressed as d",
    "def build(): from hybrid.models import qcnn", "from hybrid.models.qcnn import build as other",
]  # fmt: skip


@pytest.mark.parametrize("line", IMPORTING)
def test_an_edited_module_that_a_model_imports_is_another_model(line, tmp_path, monkeypatch):
    """Also one that is imported by the imported one: hybrid/models/qcnn.py imports hybrid/dressed.py."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "importing_model.py").write_text(f"{line}\ndef build(n_features, n_classes): ...\n")
    sys.modules.pop("importing_model", None)
    linecache.clearcache()
    build = importlib.import_module("importing_model").build
    before, read_text = fingerprint(build), Path.read_text
    for name, changes in (("dressed", True), ("records", False), ("report", False)):
        edited = ROOT / "hybrid" / f"{name}.py"
        with monkeypatch.context() as patch:
            patch.setattr(
                Path, "read_text", lambda file, edited=edited: read_text(file) + ("#" if file == edited else "")
            )
            assert (fingerprint(build) != before) == changes, name
    assert fingerprint(build) == before


def test_an_edited_library_gives_other_records(monkeypatch):
    before = fingerprint(toy_model.build)
    read_bytes = Path.read_bytes
    edited = ROOT / "circuits" / "gates.py"
    monkeypatch.setattr(Path, "read_bytes", lambda file: read_bytes(file) + (b"#" if file == edited else b""))
    reading._library.cache_clear()
    assert fingerprint(toy_model.build) != before
    monkeypatch.undo()
    reading._library.cache_clear()
    assert fingerprint(toy_model.build) == before


# --- and nothing else does ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (BUILD + "4", f"# a comment\n\n{BUILD}4  # another\n"),
        (BUILD + "4", "data = open\n" + BUILD + "4"),
        (BUILD + "n_classes.data", "data = open\n" + BUILD + "n_classes.data"),
        (f"N = [1]\nM = (2,)\n{BUILD}N, M", f"M = tuple([2])\nN = list((1,))\n{BUILD}N, M"),
    ],
)
def test_what_does_not_matter_does_not_count(one, other):
    assert hashes(notebook(one)) == hashes(notebook(other))


def test_reading_leaves_no_trace():
    source = (
        "from functools import cached_property\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass S:\n    n: int\n    @cached_property\n    def double(self): return 2 * self.n\n"
        f"N = S(3)\n{BUILD}N.double"
    )
    build = notebook(source)
    before = fingerprint(build)
    build(1, 2)
    assert fingerprint(build) == before


def test_functions_that_call_each_other_come_to_an_end():
    source = "def one(n): return two(n)\ndef two(n): return one(n) - {}\nloop = [one]\nloop.append(loop)\n" + BUILD
    assert len(hashes(*(notebook(source.format(n) + "one(loop)") for n in (1, 2)))) == 2


SCRIPT = """
import functools, math, numpy as np, torch
from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field
from enum import Enum
from torch import nn
from backends import Statevector
from circuits import RX, Circuit, z_each
from circuits.templates import qcnn
from hybrid.dressed import Dressed
from hybrid.fingerprint import fingerprint

class Axis(Enum):
    X = "x"

@dataclass
class Settings:
    names: set = field(default_factory=lambda: {"alpha", "beta", "gamma", "delta"})

Size = namedtuple("Size", "n_qubits n_final")

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
    def forward(self, x):
        return self.scale * x.to(DEVICE)

@functools.cache
def circuit(n): return qcnn(n)

DEVICE, AXIS, SETTINGS, SIZE, NET = torch.device("cpu"), Axis.X, Settings(), Size(4, 2), Net()
OPTIONS = OrderedDict(a=np.arange(3), b=[torch.ones(2), {"c", ("d", 1)}], c=np.sin, d=math.pi, e=RX, f=Statevector())

def build(n_features, n_classes, *, control=None, backend=None):
    if control in {"removed", "linear", "separable", "frozen"}:
        return [nn.functional.relu(torch.sin(torch.zeros(1, device=DEVICE))), AXIS, SETTINGS, SIZE, NET, OPTIONS]
    return Dressed(n_features, n_classes, circuit(4), z_each(4), control, backend)

print(fingerprint(functools.partial(build, backend=None)))
"""


def test_every_process_finds_the_same(tmp_path):
    file = tmp_path / "script.py"
    file.write_text(SCRIPT)
    found = []
    for seed in ("0", "1", "random"):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed}
        command = [sys.executable, "-W", "error", str(file)]
        found.append(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(set(found)) == 1 and len(found[0].strip()) == 64


# --- what cannot be read --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (threading.Lock(), "lock"),
        (memoryview(b"bytes"), "memoryview"),
        (np.random.default_rng(0), "Generator"),
        ((i for i in range(3)), "generator"),
        ({object(), closure}, "set"),
        (torch.ones(2, device="meta"), "Tensor"),
        (torch.eye(2).to_sparse(), "Tensor"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(value, kind):
    with pytest.raises(TypeError) as error:
        fingerprint(notebook(f"OPTIONS = dict(held=held)\n{BUILD}OPTIONS", held=value))
    assert str(error.value) == (
        f"got build: OPTIONS: held of type {kind}, expected what can be hashed by its content (numbers, strings, "
        "arrays, tensors, circuits, functions, classes, objects and containers of these), so that a changed model is "
        "trained again: make it inside the build function, or pass it as an argument with a plain value"
    )
