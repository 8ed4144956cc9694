"""The floors and their one direction, what an import costs, and that the settings in pyproject.toml are in force."""

import ast
import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FLOORS = ["circuits", "backends", "qml", "hybrid"]
VENDORS = {"pennylane", "qiskit", "qiskit_addon_cutting", "qiskit_aer", "qiskit_ibm_runtime"}
BRIDGES = re.compile(r"backends/((pennylane|qiskit|ibm|aer)_\w+|aer|cut|noise|ibm)\.py")
LINT_IMPORTS = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def run(*arguments, cwd=ROOT, **options):
    return subprocess.run([sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, **options)


def python(code, cwd=ROOT):
    done = run("-c", code, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def sources():
    return [path for floor in FLOORS for path in sorted((ROOT / floor).rglob("*.py"))]


def imported(path):
    """Top-level names that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.partition(".")[0]


def requirements():
    extras = PROJECT["optional-dependencies"].values()
    parsed = [Requirement(line) for line in sum(extras, PROJECT["dependencies"])]
    return [requirement for requirement in parsed if requirement.name != PROJECT["name"]]


# --- direction


def test_import_contracts_hold():
    done = run("-c", LINT_IMPORTS, "--no-cache")
    assert done.returncode == 0, done.stdout
    assert "3 kept, 0 broken" in done.stdout


@pytest.mark.parametrize(
    ("floor", "line", "contract"),
    [
        ("circuits", "import backends", "A floor imports only from floors below"),
        ("backends", "def lazily():\n    from qml import layer", "A floor imports only from floors below"),
        ("qml", "import hybrid", "A floor imports only from floors below"),
        ("circuits", "import torch", "circuits knows neither torch nor any quantum library"),
        ("circuits", "def lazily():\n    import qiskit", "circuits knows neither torch nor any quantum library"),
        ("qml", "import pennylane as qp", "qml and hybrid reach the quantum libraries only through backends"),
        (
            "hybrid",
            "from qiskit_aer import primitives",
            "qml and hybrid reach the quantum libraries only through backends",
        ),
    ],
)
def test_import_contracts_catch_a_wrong_import(tmp_path, floor, line, contract):
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    for name in FLOORS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / "qml" / "layer.py").touch()
    (tmp_path / floor / "planted.py").write_text(line + "\n")
    done = run("-c", LINT_IMPORTS, "--no-cache", cwd=tmp_path)
    assert done.returncode == 1, done.stdout
    assert f"{contract} BROKEN" in done.stdout
    assert f"{floor}.planted" in done.stdout


def test_only_bridge_files_import_quantum_libraries():
    importing = {path.relative_to(ROOT).as_posix() for path in sources() if VENDORS & set(imported(path))}
    assert [name for name in sorted(importing) if not BRIDGES.fullmatch(name)] == []


@pytest.mark.parametrize("floor", FLOORS)
def test_floor_imports_without_the_floors_above(floor):
    above = FLOORS[FLOORS.index(floor) + 1 :]
    python(f"import sys; sys.modules.update(dict.fromkeys({above})); import {floor}")


# --- what an import costs


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("circuits", {"torch", "matplotlib", *VENDORS}),
        ("backends", {"matplotlib", *VENDORS}),
        ("qml", {"matplotlib", *VENDORS}),
        ("hybrid", {"torch", "sklearn", "matplotlib", *VENDORS}),
        ("hybrid.cli", {"torch", "sklearn", "matplotlib", *VENDORS}),
    ],
)
def test_import_leaves_heavy_libraries_alone(module, absent):
    loaded = python(f"import sys, {module}; print(*sys.modules)").split()
    assert absent & {name.partition(".")[0] for name in loaded} == set()


def test_import_qml_takes_little_longer_than_torch():
    code = "import sys, torch; before = set(sys.modules); import qml; print(*(set(sys.modules) - before))"
    added = {name.partition(".")[0] for name in python(code).split()}
    assert {"circuits", "backends", "qml"} <= added
    assert added - set(FLOORS) <= sys.stdlib_module_names, "nothing more of other libraries is loaded"


# --- without an extra

NOT_INSTALLED = f"""
import sys
class NotInstalled:
    def find_spec(name, path, target=None):
        if name in {VENDORS | {"autoray"}}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, NotInstalled)
"""


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("from_pennylane", "pennylane"),
        ("to_pennylane", "pennylane"),
        ("PennyLane", "pennylane"),
        ("from_qiskit", "qiskit"),
        ("to_qiskit", "qiskit"),
        ("QiskitEstimator", "qiskit"),
        ("Aer", "aer"),
        ("IBM", "ibm"),
        ("Cut", "cutting"),
    ],
)
def test_missing_library_is_reported_with_its_extra(name, extra):
    done = run("-c", f"{NOT_INSTALLED}\nimport backends\nbackends.{name}")
    expected = rf"ModuleNotFoundError: backends\.{name} needs \w+: pip install 'hybridqml\[{extra}\]'"
    assert re.fullmatch(expected, done.stderr.splitlines()[-1])


# --- the project's own packages and dependencies


@pytest.mark.parametrize("floor", FLOORS)
def test_package_comes_from_this_project(floor):
    assert Path(importlib.util.find_spec(floor).origin).parent == ROOT / floor


def test_installed_packages_come_from_this_project(tmp_path):
    try:
        importlib.metadata.distribution(PROJECT["name"])
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{PROJECT['name']} is not installed here: pip install -e .")
    printed = python(f"import {', '.join(FLOORS)}; print({'.__file__, '.join(FLOORS)}.__file__)", cwd=tmp_path)
    assert [Path(file).parent for file in printed.split()] == [ROOT / floor for floor in FLOORS]


def test_imported_libraries_are_declared():
    names = {name for path in sources() for name in imported(path)} - set(sys.stdlib_module_names) - set(FLOORS)
    distributions = importlib.metadata.packages_distributions()
    needed = {canonicalize_name(distributions.get(name, [name])[0]) for name in names}
    assert needed - {canonicalize_name(requirement.name) for requirement in requirements()} == set()


def test_every_requirement_is_pinned_within_its_bound():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pins = {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}
    wanted = requirements()
    assert [str(requirement) for requirement in wanted if canonicalize_name(requirement.name) not in pins] == []
    wrong = [str(need) for need in wanted if not need.specifier.contains(pins[canonicalize_name(need.name)])]
    assert wrong == []


# --- the settings are in force


def ruff(code, file):
    return run(
        "-m", "ruff", "check", "--no-cache", "--output-format", "concise", "--stdin-filename", file, "-", input=code
    )


def test_ruff_wants_docstrings_of_public_names_in_the_floors_alone():
    code = '"""A module."""\n\n\ndef public():\n    return 1\n\n\ndef _private():\n    return 1\n'
    assert re.findall(r":(\d+):\d+: (D\d+)", ruff(code, "qml/example.py").stdout) == [("4", "D103")]
    assert ruff(code, "tests/example.py").returncode == 0


def test_ruff_allows_lines_of_120():
    assert ruff("# " + "x" * 118 + "\n", "tests/example.py").returncode == 0
    assert "E501" in ruff("# " + "x" * 119 + "\n", "tests/example.py").stdout


def test_ruff_reads_its_rules_here():
    bad = "import os, sys\nfrom typing import List\n\nassert {1: 2}.get(1, None)\nx = lambda: [*range(3)] + [4]\n"
    found = set(re.findall(r": ([A-Z]+)\d+", ruff(bad, "tests/example.py").stdout))
    assert {"E", "F", "I", "UP", "SIM", "RUF"} <= found


def test_mypy_wants_types_and_lets_untyped_libraries_be(tmp_path):
    planted = tmp_path / "planted.py"
    planted.write_text("import scipy.stats\nimport pylatexenc\n\n\ndef double(x):\n    return 2 * x\n")
    done = run("-m", "mypy", "--cache-dir", os.devnull, str(planted))
    assert re.findall(r"py:(\d+): error: .*\[([a-z-]+)\]", done.stdout) == [
        ("2", "import-untyped"),
        ("5", "no-untyped-def"),
    ]


def test_pytest_turns_warnings_into_errors(pytestconfig):
    with pytest.raises(UserWarning, match="planted"):
        warnings.warn("planted", stacklevel=1)
    assert pytestconfig.rootpath == ROOT
    assert pytestconfig.getini("testpaths") == ["tests"]


def test_pytest_refuses_unknown_markers(tmp_path):
    planted = tmp_path / "test_planted.py"
    planted.write_text("import pytest\n\n\n@pytest.mark.planted\ndef test():\n    import dense\n")
    command = ["-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), "-p", "no:cacheprovider"]
    done = run(*command, str(planted))
    assert "'planted' not found in `markers` configuration option" in done.stdout
    planted.write_text("def test():\n    import dense\n")
    assert run(*command, str(planted)).returncode == 0
