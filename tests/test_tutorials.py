"""The tutorials run from top to bottom with shrunk settings: no cell warns, each draws, none is stored with outputs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
for library in ("ipykernel", "pennylane", "qiskit_aer", "qiskit_ibm_runtime", "reservoirpy"):
    pytest.importorskip(library)

FOLDER = Path(__file__).parent.parent / "tutorials"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))

# What stands in for the settings of each notebook, so that it runs in seconds.
SHRUNK = {
    "1_first_hybrid_model": {
        "n_epochs = 15": "n_epochs = 2",
        "max_epochs=15": "max_epochs=1",
        "cv=5": "cv=2",
    },
    "2_your_own_circuit": {
        "n_steps = 100": "n_steps = 2",
        "torch.linspace(-2, 2, 120": "torch.linspace(-2, 2, 12",
    },
    "3_does_the_quantum_part_help": {
        "seeds=3, epochs=20": "seeds=2, epochs=1, jobs=1",
        "seeds=3, epochs=40": "seeds=2, epochs=1, jobs=1",
        '"--epochs", "40"': '"--epochs", "1", "--seeds", "2", "--jobs", "1"',
        "for seed in range(3)": "for seed in range(1)",
    },
    "4_aer_noise_and_shots": {
        "n_repeats = 100": "n_repeats = 3",
        "n_steps = 30": "n_steps = 2",
        "sweep[::3]": "sweep[::30]",
    },
    "5_ibm_hardware": {
        "shots = 512": "shots = 32",
        "shots=512": "shots=32",
        "budget_seconds=60": "budget_seconds=4",
        "n_steps = 8": "n_steps = 4",
    },
    "6_quantum_recurrent_networks": {
        "n_epochs = 40": "n_epochs = 2",
        "range(3)": "range(1)",
    },
    "11_noise_extrapolation_and_cutting": {
        "n_runs = 8": "n_runs = 1",
        "n_points = 6": "n_points = 2",
        "n_repeats, n_shots = 60, 7000": "n_repeats, n_shots = 3, 700",
    },
    "7_reservoirs": {
        "n_steps = 1500": "n_steps = 300",
        "n_values = 1000": "n_values = 200",
        "n_measured = 600": "n_measured = 200",
    },
    "8_circuits_on_images": {
        "n_train=300": "n_train=60",
        "n_epochs, seeds = 20, range(5)": "n_epochs, seeds = 1, range(2)",
        "n_draws = 20": "n_draws = 2",
        '"quick", tasks': '"quick", seeds=1, tasks',
    },
    "10_audit_your_own_hybrid": {
        '"seeds": 4, "epochs": 20, "show": False': '"seeds": 2, "epochs": 1, "show": False, "jobs": 1',
    },
    "9_attacking_and_hardening": {
        "n_epochs = 15": "n_epochs = 1",
        "n_attacked = 50": "n_attacked = 4",
    },
    "12_diagnose_before_the_qpu": {
        "n_steps = 150": "n_steps = 2",
        "widths = (2, 4, 6, 8)": "widths = (2, 3, 4)",
        "n_repeats, shots = 100, 1000": "n_repeats, shots = 3, 100",
    },
    "13_a_quantum_policy": {
        "n_steps = 20_480": "n_steps = 1024",
        "seeds = range(2)": "seeds = range(1)",
        "n_played = 5": "n_played = 1",
    },
}

# Libraries that one notebook alone needs.
NEEDED = {
    "11_noise_extrapolation_and_cutting": "qiskit_addon_cutting",
    "13_a_quantum_policy": "stable_baselines3",
}

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture
def execute(tmp_path, monkeypatch):
    """Return a function that executes a notebook in a temporary folder, where any warning is an error."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.delenv("MPLBACKEND", raising=False)

    def run(notebook):
        # Not by PYTHONWARNINGS: the kernel itself warns, of its event loop, where Python is newer.
        notebook.cells.insert(0, nbformat.v4.new_code_cell("import warnings; warnings.simplefilter('error')"))
        limits = dict.fromkeys(("timeout", "startup_timeout", "iopub_timeout"), 600)  # seconds, for slow machines
        resources = {"metadata": {"path": str(tmp_path)}}
        return nbclient.NotebookClient(notebook, kernel_name="python3", resources=resources, **limits).execute()

    return run


def shrunk(path):
    notebook = nbformat.read(path, as_version=4)
    for old, new in SHRUNK[path.stem].items():
        found = [cell for cell in code(notebook) if old in cell.source]
        assert found, f"{path.name} no longer has {old!r}: bring SHRUNK up to date"
        for cell in found:
            cell.source = cell.source.replace(old, new)
    return notebook


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def text(notebook):
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def stderr(notebook):
    streams = [output for cell in code(notebook) for output in cell.outputs if output.output_type == "stream"]
    return "".join(output.text for output in streams if output.name == "stderr")


def n_figures(notebook):
    return sum("image/png" in output.get("data", {}) for cell in code(notebook) for output in cell.outputs)


def test_every_notebook_has_shrunk_settings():
    assert {path.stem for path in NOTEBOOKS} == set(SHRUNK)


@each_notebook
def test_notebook_runs(path, execute):
    if path.stem in NEEDED:
        pytest.importorskip(NEEDED[path.stem])
    executed = execute(shrunk(path))
    assert stderr(executed) == ""
    assert n_figures(executed) > 0


def test_a_warning_stops_a_notebook_and_stderr_is_seen(execute):
    lines = ["import sys", "print('seen', file=sys.stderr)", "warnings.warn('heard')"]
    notebook = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, lines)))
    with pytest.raises(nbclient.exceptions.CellExecutionError, match=r"UserWarning.*heard"):
        execute(notebook)
    assert stderr(notebook) == "seen\n"
    assert n_figures(notebook) == 0


@each_notebook
def test_notebook_is_stored_clean(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    assert [cell.id for cell in code(notebook) if cell.outputs or cell.execution_count is not None] == []
    absolute = re.compile(r"""["'\s](/\w+/|~/|[A-Z]:\\)""")
    assert [cell.id for cell in notebook.cells if absolute.search(cell.source)] == []


@each_notebook
def test_notebook_says_what_it_teaches_and_where_it_leads(path):
    notebook = nbformat.read(path, as_version=4)
    assert "**You will learn**" in notebook.cells[0].source and "**Time**" in notebook.cells[0].source
    assert "## Where to go next" in notebook.cells[-1].source
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text(notebook)):
        assert (FOLDER / target).exists(), target
