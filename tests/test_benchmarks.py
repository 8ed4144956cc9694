"""The benchmarks: what is measured is right, and a contestant that is wrong, or fails, is found out. No clock."""

import io
import json
import os
from argparse import Namespace
from importlib import import_module
from pathlib import Path

import dense
import numpy as np
import pytest
import torch

from benchmarks import (
    cliffs,
    first,
    gpu,
    hardware,
    memory,
    peak,
    report,
    roofline,
    sequences,
    speed,
    threads,
    timing,
    worker,
)
from benchmarks.__main__ import main, parser
from benchmarks.adapters import _hardware
from benchmarks.contestants import HARDWARE, OURS, PEERS, Contestant, Process, WorkerError
from benchmarks.workloads import (
    COUNTED,
    LAYER,
    TIMED,
    WORKLOADS,
    Workload,
    from_json,
    hardware_efficient,
    qcnn,
    reupload,
)

ROOT = Path(__file__).parents[1]
SMALL = (reupload(3, 2, 2), hardware_efficient(4, 2, 3), qcnn(4, 2))
PINS = ROOT / "benchmarks/peers"
EVERYONE = {OURS, *PEERS, *sequences.CONTESTANTS, *(who for each in HARDWARE.values() for who in each)}
FIXED = {"CNOT": "CX", "H": "H"}  # our names in those of the oracle
TINY = Workload("tiny", 2, [("RX", (0,), ("x", 0)), ("CNOT", (0, 1), None)], 2, (0, 1), 1)


def small(name, batch=TINY.batch):
    """A workload of TINY's size that tells the fake peer what to do."""
    return Workload(name, TINY.n_qubits, TINY.gates, TINY.n_weights, TINY.readout, batch)


def fake(behaviour="right", **options):
    paths = os.pathsep.join([str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    return Process("fake_peer", PYTHONPATH=paths, FAKE_PEER=behaviour, **options)


# --- what is measured


@pytest.mark.parametrize(
    ("workload", "gates", "million"),
    list(zip(WORKLOADS, (24, 74, 48, 64, 40), (2.9, 70, 365, 1946, 2433), strict=True)),
)
def test_counts_of_the_workloads(workload, gates, million):
    assert workload.fused_gates == gates
    assert workload.flops / 1e6 == pytest.approx(million, rel=0.02)


def test_runs_of_gates_fuse_until_an_entangler_on_their_qubit():
    gates = [("RX", (0,), None), ("RY", (0,), None), ("RZ", (2,), None), ("CNOT", (0, 1), None), ("RX", (0,), None)]
    workload = Workload("", 3, [*gates, ("RY", (2,), None), ("RX", (1,), None)], 0, (0,), 1)
    assert workload.fused_gates == 4


def test_workload_survives_json():
    for workload in (*WORKLOADS, LAYER):
        assert from_json(json.loads(json.dumps(vars(workload)))) == workload


def z(workload, x, w):
    """<Z> of every read-out qubit for one sample, by whole-space matrices."""
    psi = np.eye(2**workload.n_qubits)[0]
    for name, qubits, slot in workload.gates:
        matrix = dense.ROTATION[name]({"x": x, "w": w}[slot[0]][slot[1]]) if slot else dense.FIXED[FIXED[name]]
        psi = dense.embed(matrix, qubits, workload.n_qubits) @ psi
    joint = (abs(psi) ** 2).reshape((2,) * workload.n_qubits)
    halves = [np.moveaxis(joint, q, 0).reshape(2, -1).sum(1) for q in workload.readout]
    return np.array([h[0] - h[1] for h in halves])


def loss(workload, x, w):
    return sum((z(workload, row, w) ** 2).sum() for row in x)


def slope(function, point, step=1e-5):
    """Central differences, one entry at a time."""
    out = np.zeros(point.shape)
    for index in np.ndindex(point.shape):
        shift = np.zeros(point.shape)
        shift[index] = step
        out[index] = (function(point + shift) - function(point - shift)) / (2 * step)
    return out


@pytest.mark.parametrize("adapter", ["quantum_layer", "pennylane_default", "pennylane_lightning"])
@pytest.mark.parametrize("workload", SMALL, ids=lambda w: w.name)
def test_step_agrees_with_dense_matrices(adapter, workload):
    if adapter != "quantum_layer":
        pytest.importorskip("pennylane")
    module = pytest.importorskip(f"benchmarks.adapters.{adapter}")
    x, w = workload.data(1)
    y, gw, gx = (np.asarray(a) for a in module.prepare(workload, x, w)())
    assert module.threads() >= 1
    np.testing.assert_allclose(y, [z(workload, row, w) for row in x], atol=2e-6)
    np.testing.assert_allclose(gw, slope(lambda w: loss(workload, x, w), w), atol=2e-5)
    np.testing.assert_allclose(gx, slope(lambda x: loss(workload, x, w), x), atol=2e-5)


def test_z_of_states_of_torch_peers():
    from benchmarks.adapters._torch import z_of_states

    psi = torch.randn(2, 2, 2, 2, dtype=torch.complex128, generator=torch.Generator().manual_seed(3))
    expected = [
        [(abs(s.movedim(q, 0)) ** 2 * torch.tensor([1.0, -1.0]).view(2, 1, 1)).sum() for q in (2, 0)] for s in psi
    ]
    torch.testing.assert_close(z_of_states(psi, (2, 0)), torch.tensor(expected, dtype=torch.float64))


# --- worker and processes


def test_worker_measures_and_keeps_noise_out_of_its_answers():
    with fake() as process:
        prepared = process.prepare(TINY, np.array([[0.5, 2.0]]), np.array([3.0, 4.0]))
        measured = process.call("measure", seconds=0)
    assert prepared["results"] == {
        "outputs": [[1.5, 8.0]],
        "weight gradients": [3.0, 4.0],
        "input gradients": [[0.5, 2.0]],
    }
    assert prepared["threads"] == 3
    assert prepared["first_ms"] > 0
    assert len(measured["times_ms"]) == 1


@pytest.mark.parametrize(
    ("name", "patience", "message"),
    [
        ("raises", 60, "ValueError: no such gate"),
        ("dies", 60, "out of luck"),
        ("hangs", 0.5, "killed, after 0.5 s without an answer"),
    ],
)
def test_failure_of_a_worker_is_told_and_survived(name, patience, message):
    with fake(patience=patience) as process:
        with pytest.raises(WorkerError, match=message):
            process.prepare(small(name), *TINY.data())
        process.patience = 60
        assert process.prepare(TINY, *TINY.data())["threads"] == 3


def test_worker_that_cannot_start_says_why():
    with Process("benchmarks.adapters.absent") as process, pytest.raises(WorkerError, match="No module named"):
        process.call("measure", seconds=0)


def test_worker_answers_line_by_line():
    class Adapter:
        def prepare(self, workload, x, w, device):
            return lambda: (torch.tensor(x), w, torch.tensor(x))

        def threads(self):
            return 1

    arguments = {"workload": vars(TINY), "x": [[1.0, 2.0]], "w": [0.5, 0.25]}
    requests = [{"call": "prepare", "arguments": arguments}, {"call": "absent", "arguments": {}}]
    worker.serve(worker.Worker(Adapter()), map(json.dumps, requests), replies := io.StringIO())
    done, failed = map(json.loads, replies.getvalue().splitlines())
    assert done["result"]["results"]["outputs"] == [[1.0, 2.0]]
    assert failed["error"].startswith("AttributeError")


# --- agreement

RIGHT = {"outputs": [[0.5, -1.0]], "weight gradients": [2.0], "input gradients": [[0.0, 1.0]]}


def test_agreement_gives_the_largest_difference():
    near = {**RIGHT, "weight gradients": [2.0002]}
    assert speed.agree({"a": RIGHT, "b": near}) == {"a": 0.0, "b": pytest.approx(1e-4)}


@pytest.mark.parametrize(
    "wrong", [[[0.5, -1.01]], [[0.5, float("nan")]], [[0.5], [-1.0]]], ids=["value", "nan", "shape"]
)
def test_disagreement_is_an_error(wrong):
    with pytest.raises(RuntimeError, match=r"got outputs of a and b that differ by .*, expected at most 1e-03: one of"):
        speed.agree({"a": RIGHT, "b": {**RIGHT, "outputs": wrong}})


def test_race_takes_turns_and_names_failures():
    who = [Contestant(name, "", "") for name in (OURS.name, "b", "slow")]
    with fake() as a, fake() as b:
        runs = {who[0]: a, who[1]: b, Contestant("slow", "", "", largest=1): b}
        row = speed.race(TINY, runs, rounds=2, seconds=0)
    assert [row["cells"][name]["repeats"] for name in (OURS.name, "b")] == [2, 2]
    assert row["cells"]["slow"] == {"failed": "left out: a step takes it many seconds"}


def test_race_stops_at_a_wrong_contestant():
    with fake() as right, fake("wrong") as wrong, pytest.raises(RuntimeError, match="input gradients of a and b"):
        speed.race(TINY, {Contestant("a", "", ""): right, Contestant("b", "", ""): wrong}, rounds=1, seconds=0)


def test_race_without_ours_still_has_a_table():
    with fake() as a:
        row = speed.race(small("raises"), {OURS: a}, rounds=1, seconds=0)
    assert row["cells"][OURS.name] == {"failed": "ValueError: no such gate"}
    assert speed.table([row]).splitlines()[-1] == f"| {OURS.name} | – |"


def test_failure_in_a_turn_is_told():
    with fake() as right, fake("tires") as tired:
        runs = {Contestant("a", "", ""): right, Contestant("b", "", ""): tired}
        row = speed.race(TINY, runs, rounds=2, seconds=0)
    assert row["cells"]["a"]["repeats"] == 2
    assert row["cells"]["b"]["failed"] == "RuntimeError: tired"


def test_turns_alternate():
    order = []
    measures = {name: lambda seconds, name=name: order.append((name, seconds)) or [1.0] for name in "ab"}
    assert timing.in_turn(measures, rounds=2, seconds=3.0, pause=0) == {"a": [1.0, 1.0], "b": [1.0, 1.0]}
    assert order == [("a", 1.5), ("b", 1.5)] * 2


@pytest.mark.parametrize("times", [[5.0], [1.0, 2.0], [3.0, 1.0, 2.0, 10.0]])
def test_summary_against_numpy(times):
    found = timing.summary(times)
    assert [found[key] for key in ("q1_ms", "median_ms", "q3_ms")] == pytest.approx(np.percentile(times, [25, 50, 75]))
    assert found["repeats"] == len(times)


# --- tables and files


def cell(median, **more):
    return {"q1_ms": median, "median_ms": median, "q3_ms": 2 * median, "first_ms": 1500, "cores": 1.5, "error": 0.0,
            "threads": 2, **more}  # fmt: skip


def test_speed_table_has_ratios_and_reasons():
    cells = {OURS.name: cell(2.0), "b": cell(5.0), "c": {"failed": "too slow"}}
    data = {
        "rows": [{"workload": "w", "cells": cells}],
        "absent": ["d"],
        "versions": {OURS.name: "ours 1", "b": "b 2", "c": "c 3"},
    }
    lines = speed.table(data["rows"]).splitlines()
    assert lines[0] == "|  | w |"
    assert lines[2:] == [f"| {OURS.name} | **2** (2 to 4) 1× |", "| b | **5** (5 to 10) 2.5× |", "| c | – |"]
    assert speed.first_calls(data["rows"]).splitlines()[3] == "| b | 1.50 |"
    assert speed.versions(data).splitlines()[3] == "| b | b 2 | 2 | 1.5 | 0e+00 |"
    remarks = speed.remarks(data)
    assert "Not installed: d" in remarks
    assert "c on w: too slow." in remarks
    assert "qiskit-machine-learning is left out" in remarks


def test_speed_is_measured_and_written(tmp_path):
    options = Namespace(rounds=1, seconds=0, workloads=[LAYER.name], out=tmp_path / "new")
    absent = Contestant("Absent", "absent", "no-such-package")
    text = speed.run(options, contestants=(OURS, absent))
    data = json.loads((options.out / "speed.json").read_text())
    assert (options.out / "speed.md").read_text() == text
    assert f"| {OURS.name} |" in text
    assert "Not installed: Absent" in text
    assert data["rows"][0]["cells"][OURS.name]["median_ms"] > 0
    assert data["environment"]["torch"] == torch.__version__


def test_files_are_written_whole_or_not_at_all(tmp_path):
    report.save(tmp_path, "a", {"old": 1}, "old")
    with pytest.raises(TypeError):
        report.save(tmp_path, "a", {"new": object()}, "new")
    assert json.loads((tmp_path / "a.json").read_text()) == {"old": 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.md"]


@pytest.mark.parametrize(
    ("value", "text"), [(0.12345, "0.123"), (12.34, "12.3"), (999.6, "1e+03"), (12345.6, "12,346")]
)
def test_milliseconds(value, text):
    assert report.milliseconds(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.0345, "0.035"), (2.54, "2.5"), (28.4, "28"), (1234.5, "1,234")])
def test_ratio(value, text):
    assert report.ratio(value) == text


def test_command_line_refuses_unknown_workloads(capsys):
    with pytest.raises(SystemExit):
        parser().parse_args(["speed", "--workloads", "absent"])
    assert "invalid choice: 'absent'" in capsys.readouterr().err


# --- peers


def test_every_peer_is_pinned_in_its_environment():
    environments = {who.environment for who in EVERYONE if who.environment}
    assert environments == {path.stem for path in PINS.glob("*.txt")}
    for who in EVERYONE - {who for who in EVERYONE if who.package == OURS.package}:
        pins = (PINS / f"{who.environment}.txt") if who.environment else ROOT / "constraints.txt"
        lines = pins.read_text().splitlines()
        assert any(line.startswith(f"{who.package}==") for line in lines), who
        assert "torch==2.13.0" in lines


def test_every_contestant_has_an_adapter():
    adapters = {path.stem for path in (ROOT / "benchmarks/adapters").glob("*.py")} - {"__init__", "_torch", "_hardware"}
    assert {who.adapter for who in EVERYONE} == adapters


def test_version_of_what_is_not_there_is_empty():
    assert Contestant("", "", "no-such-package").version == ""
    assert Contestant("", "", "torch", "no-such-environment").version == ""
    assert Contestant("", "", "torch").version == torch.__version__


# --- hardware


def near(batch, sigmas):
    """Outputs and gradients that differ from those of zeros by so many standard errors."""
    outputs, gradients = np.sqrt(2 / _hardware.SHOTS), np.sqrt(1 / (_hardware.SHOTS * batch))
    return {"outputs": [[sigmas * outputs] * 2] * batch, "weight gradients": [sigmas * gradients] * 3}


def test_workloads_of_hardware_have_24_weights():
    assert [(w.n_qubits, w.n_weights, w.batch) for w in (COUNTED, TIMED)] == [(4, 24, 32), (4, 24, 8)]


@pytest.mark.parametrize(
    ("machine", "first"),
    [
        ("aer", {"circuits": 10, "pubs": 2, "jobs": 2, "transpiles": 1}),
        ("fake", {"circuits": 10, "pubs": 1, "jobs": 1, "transpiles": 1}),
        ("lightning", {"circuits": 10, "pubs": 10, "jobs": 2, "transpiles": 0}),
    ],
)
def test_step_with_shots_is_counted_and_right(machine, first, tmp_path):
    """Two samples of two rotations with weights: two rows, and four shifted ones for each."""
    pytest.importorskip({"lightning": "pennylane_lightning"}.get(machine, "qiskit_ibm_runtime"))
    workload = hardware_efficient(1, 1, 2)
    x, w = workload.data(1)
    with Process(HARDWARE[machine][0].module, XDG_CACHE_HOME=str(tmp_path)) as process:
        found = process.prepare(workload, x, w, machine)["results"]
        assert process.call("counts") == first
        process.call("measure", seconds=0)
        assert process.call("counts") == {**first, "transpiles": 0}
    signs = np.random.default_rng(_hardware.SEED).choice([-1, 1], (2, 1))

    def mean(w):
        return sum(s * z(workload, row, w) for s, row in zip(signs, x, strict=True)).item() / 2

    np.testing.assert_allclose(found["outputs"], [z(workload, row, w) for row in x], atol=0.25)  # noise, and shots
    np.testing.assert_allclose(found["weight gradients"], slope(mean, w), atol=0.2)


def test_counts_of_what_is_handed_in():
    class Machine:
        def run(self, circuits, parameter_binds=None):
            return len(circuits)

    _hardware.counts()
    _hardware.watch(Machine, "run", _hardware.experiments)
    _hardware.watch(Machine, "run", _hardware.handed_in)
    assert Machine().run(["a", "b"], [{"p": [1, 2, 3], "q": [0, 0, 0]}, {}]) == 2
    assert _hardware.counts() == {"circuits": 4, "pubs": 2, "jobs": 1, "transpiles": 0}
    Machine().run(["a", "b", "c"])
    assert _hardware.counts() == {"circuits": 3, "pubs": 3, "jobs": 1, "transpiles": 0}
    assert _hardware.counts() == dict.fromkeys(_hardware.COUNTS, 0)


def test_step_with_shots_has_the_gradient_of_the_signed_mean():
    w = torch.tensor([0.5, -2.0], requires_grad=True)
    x = np.arange(6.0).reshape(3, 2)
    y, gradients = _hardware.differentiated(lambda x: x * w, small("s", batch=3), x, w)()
    signs = np.random.default_rng(_hardware.SEED).choice([-1, 1], (3, 2))
    np.testing.assert_allclose(y, x * [0.5, -2.0])
    np.testing.assert_allclose(gradients, (signs * x).sum(0) / 6, rtol=1e-6)


def test_agreement_within_shots():
    assert hardware.agree({"a": near(4, 0), "b": near(4, 1.2)}, 4) == {"a": 0.0, "b": pytest.approx(1.2)}
    assert hardware.agree({}, 4) == {}


@pytest.mark.parametrize("what", ["outputs", "weight gradients"])
@pytest.mark.parametrize("wrong", [near(4, 1.6), near(4, float("nan")), {"outputs": [0.0], "weight gradients": [0.0]}])
def test_disagreement_beyond_shots_is_an_error(what, wrong):
    theirs = {**near(4, 0), what: wrong[what]}
    with pytest.raises(RuntimeError, match=rf"got {what} of a and b that differ by .* standard errors, expected at "):
        hardware.agree({"a": near(4, 0), "b": theirs}, 4)


def test_hardware_is_measured_and_written(tmp_path, monkeypatch):
    monkeypatch.setattr(Contestant, "module", "fake_peer")
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests"))
    for name in ("COUNTED", "TIMED"):
        monkeypatch.setattr(hardware, name, TINY)
    options = Namespace(rounds=1, seconds=0, out=tmp_path)
    absent = Contestant("Absent", "absent", "no-such-package")
    text = hardware.run(options, {"aer": (OURS, Contestant("peer", "", "torch"), absent)})
    rows = json.loads((tmp_path / "hardware.json").read_text())["rows"]
    assert (tmp_path / "hardware.md").read_text() == text
    assert [row["name"] for row in rows] == [OURS.name, "peer"]
    assert [row["later"]["repeats"] for row in rows] == [1, 1]
    assert rows[1]["first"]["counts"] == rows[1]["later"]["counts"]
    assert rows[1]["first"]["counts"] == {"circuits": 2, "pubs": 1, "jobs": 1, "transpiles": 0}
    assert "Not installed: Absent" in text
    assert f"- peer: torch {torch.__version__}" in text


def test_hardware_names_failures():
    with fake() as right, fake("tires") as tired:
        cells = hardware.race(TINY, {"a": right, "b": tired}, "aer", Namespace(rounds=2, seconds=0))
    assert cells["a"]["repeats"] == 2
    assert cells["b"]["failed"] == "RuntimeError: tired"
    with fake() as process:
        assert hardware.begin(small("raises"), {"a": process}, "aer") == {"a": {"failed": "ValueError: no such gate"}}


def test_hardware_tables():
    counts = {"circuits": 1568, "pubs": 1, "jobs": 1, "transpiles": 1}
    ours = {"seconds": 2.0, "counts": counts, "distance": 0.0, **cell(500)}
    theirs = {"seconds": 30.0, "counts": {**counts, "pubs": 6148}, "distance": 1.04, **cell(5000)}
    rows = [
        {"machine": "aer", "name": OURS.name, "first": ours, "later": ours},
        {"machine": "aer", "name": "peer", "first": theirs, "later": theirs},
        {"machine": "aer", "name": "slow", "first": theirs, "later": {"failed": "too slow"}},
    ]
    machine = hardware.MACHINES["aer"]
    assert hardware.first_table(rows).splitlines()[2:4] == [
        f"| {machine} | {OURS.name} | 2 | 1,568 | 1 | 1 | 1 | 1 | 0.00 |",
        f"| {machine} | peer | 30 | 1,568 | 6,148 | 1 | 1 | 6,148 | 1.04 |",
    ]
    assert hardware.later_table(rows).splitlines()[3:] == [
        f"| {machine} | peer | **5** (5 to 10) | 1,568 | 6,148 | 1 | 1 | 10× |",
        f"| {machine} | slow | – | – | – | – | – | – |",
    ]
    assert f"slow on {machine}: too slow." in hardware.remarks({"rows": rows, "absent": [], "versions": {}})


def test_command_line_measures_training_steps_if_nothing_is_said(monkeypatch, capsys):
    asked = []
    for module in (speed, sequences, hardware):
        monkeypatch.setattr(module, "run", lambda options, name=module.__name__: asked.append((name, options.seconds)))
    monkeypatch.setattr("sys.argv", ["benchmarks"])
    main()
    assert asked == [("benchmarks.speed", 1.5), ("benchmarks.sequences", 6.0), ("benchmarks.hardware", 6.0)]


# --- sequences


@pytest.mark.parametrize("who", sequences.CONTESTANTS, ids=lambda who: who.name)
def test_step_of_a_sequence_agrees_with_dense_matrices(who):
    if who.package == "pennylane":
        pytest.importorskip("pennylane")
    workload = sequences.qrnn(3, 1, 2)
    x, w = workload.data(1)
    assert x.shape == (sequences.STEPS, 2, 1)
    x = x[:4]

    def unrolled(x, w):
        h, outputs = np.zeros((2, 2)), []
        for step in x:
            v = np.concatenate([step, h], -1)
            angles = np.concatenate([np.arctan(v), np.arctan(v**2)], -1)
            outputs.append(h := np.tanh([z(workload, row, w) for row in angles]))
        return np.array(outputs)

    y, gw, gx = (np.asarray(a) for a in import_module(who.module).prepare(workload, x, w)())
    np.testing.assert_allclose(y, unrolled(x, w), atol=2e-6)
    np.testing.assert_allclose(gw, slope(lambda w: (unrolled(x, w) ** 2).sum(), w), atol=2e-5)
    np.testing.assert_allclose(gx, slope(lambda x: (unrolled(x, w) ** 2).sum(), x), atol=2e-5)


def test_table_of_sequences_is_written(monkeypatch, tmp_path):
    times = {"QRNN": 2.0, "peer": 60.0}
    cells = {name: dict.fromkeys(("median_ms", "q1_ms", "q3_ms"), ms) for name, ms in times.items()}
    measured = {"versions": {}, "absent": [], "rows": [{"workload": "tiny", "cells": cells}]}
    monkeypatch.setattr(speed, "compare", lambda *_: measured)
    text = sequences.run(Namespace(out=tmp_path))
    assert "| QRNN | **2** (2 to 2) 1× |" in text and "| peer | **60** (60 to 60) 30× |" in text
    assert (tmp_path / "sequences.md").read_text() == text


# --- machine and memory


def test_bound_is_the_longer_time():
    peaks = {"flops": 100.0, "bytes": 10.0}
    assert roofline.bound(200, 10, peaks) == 2.0
    assert roofline.bound(200, 30, peaks) == 3.0


def test_kernels_of_the_machine_compute_what_they_say():
    pytest.importorskip("numba")
    multiply_add, triad = roofline.kernels()
    a = np.arange(40, dtype=np.float32)
    expected = a.astype(float)
    for _ in range(2 * roofline.CHAIN):
        expected = expected * 0.5 + 0.25
    multiply_add(a, np.float32(0.5), np.float32(0.25), 2)
    np.testing.assert_allclose(a, expected, rtol=1e-6)
    b, c = np.arange(6, dtype=np.float32), np.ones(6, np.float32)
    triad(a[:6], b, c, np.float32(3))
    np.testing.assert_array_equal(a[:6], b + 3)


def test_numbers_of_threads():
    assert [threads.counts(n) for n in (1, 2, 6, 8)] == [[1], [1, 2], [1, 2, 4, 6], [1, 2, 4, 8]]


def test_figures_of_a_step():
    workload, peaks = WORKLOADS[0], {"flops": 1e9, "bytes": 1e9}
    compute = threads.figures(workload, 10.0, peaks, cache=10**9)
    done = 128 * (54 * (2 + 4 + 8 + 21 * 16) + 15 * 16)  # turns, the first ones on what is not 0, and a readout
    assert compute["mflop_done"] == pytest.approx(done / 1e6)
    assert compute["gflops"] == compute["of_roofline"] == pytest.approx(done / 1e7)
    assert compute["ns_per_gate_and_amplitude"] == pytest.approx(1e7 / (24 * 16 * 128))
    slow = threads.figures(workload, 10.0, {"flops": 1e12, "bytes": 1e7}, cache=1)
    assert slow["of_roofline"] == pytest.approx(48 * 16 * 128 / 1e7 / 0.01)


def test_threads_table():
    row = {"threads": {n: {**cell(ms), **threads.figures(WORKLOADS[0], ms, {"flops": 1e11, "bytes": 1e10}, 10**9)}
                       for n, ms in (("1", 8.0), ("2", 5.0))}}  # fmt: skip
    lines = threads.table(WORKLOADS[:1], [row]).splitlines()
    assert lines[2] == "| reupload4x6_b128 | 24 | 2.9 | 2.4 | 1 | 8 | 8 to 16 | 1.00× | 162.760 | 0.3 | 0 % |"
    assert lines[3] == "|  |  |  |  | 2 | 5 | 5 to 10 | 1.60× | 101.725 | 0.5 | 0 % |"


@pytest.mark.skipif(not os.access(peak.CLEAR, os.W_OK), reason="the system does not reset peaks")
def test_growth_is_the_peak_of_a_step():
    size = 2**27
    assert peak.growth(lambda: np.ones(size, np.uint8).sum()) == pytest.approx(size, rel=0.1)
    assert peak.growth(lambda: None) < size / 10


def test_memory_cases_and_table():
    assert memory.cases(16) == [(16, 2, 1), (16, 2, 2), (16, 2, 4), (16, 2, 8), (16, 8, 1), (16, 32, 1)]
    row = {"n_qubits": 16, "n_layers": 2, "batch": 4, "first": 10**7, "step": 3 * 4 * 2**16 * 8}
    assert memory.table([row]).splitlines()[-1] == "| 16 | 2 | 4 | 10.0 | 6.3 | 3.00 |"


def test_each_workload_is_the_first_of_a_process_once():
    orders = first.rotations(WORKLOADS)
    assert [order[0] for order in orders] == list(WORKLOADS)
    assert all(set(w.name for w in order) == {w.name for w in WORKLOADS} for order in orders)


def test_first_calls_of_fresh_and_warm_processes():
    processes = [
        {"a": {"first_ms": 9, "later_ms": 1}, "b": {"first_ms": 4, "later_ms": 2}},
        {"b": {"first_ms": 8, "later_ms": 2}, "a": {"first_ms": 3, "later_ms": 1}},
    ]
    assert first.row("a", processes) == {"workload": "a", "warm_ms": 3, "fresh_ms": 9, "later_ms": 1}
    assert first.table([first.row("b", processes)]).splitlines()[-1] == "| b | 4 | 8 | 2 |"


def test_no_gpu_is_one_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as ended:
        gpu.run(Namespace())
    assert ended.value.code == (
        "got no CUDA device, expected one: run it on a machine with a GPU and a CUDA build of torch"
    )


# --- cliffs

CASES = [*cliffs.gate_cases(), *cliffs.other_cases()]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_step_of_every_cliff_case_runs(case):
    n = max(4, case.least)
    gx, gw = cliffs.step(case, n, 3)()
    gradients = [g for g in (gx, gw) if g is not None and g.numel()]
    assert gradients and all(g.isfinite().all() for g in gradients)


def test_gates_of_all_cliff_cases_are_counted_alike():
    counts = {len(case.circuit(4).ops) for case in cliffs.gate_cases()}
    assert counts == {4 + cliffs.LAYERS * (3 + 4)}
    assert len({case.name for case in CASES}) == len(CASES)


def test_ising_energy_of_cliffs():
    matrix = dense.observable_matrix(cliffs.ising(2), 2)
    np.testing.assert_allclose(matrix, dense.word("ZZ") + dense.word("XI") + dense.word("IX"))


def test_cliffs_are_flagged():
    columns = [
        {cliffs.BASE: {"us_per_op": 2.0}, "two": {"us_per_op": 4.0}, "slow": {"us_per_op": 8.0}},
        {cliffs.BASE: {"us_per_op": 1.0}},
    ]
    bases = {cliffs.BASE: cliffs.BASE, "two": cliffs.BASE, "slow": "two"}
    lines = cliffs.table(columns, bases, [(2, 33), (4, 7)]).splitlines()
    assert lines[0] == "| qubits × batch | 2 × 33 | 4 × 7 |"
    assert lines[3:] == [f"| {cliffs.BASE} | 1.0 | 1.0 |", "| two | 2.0 | – |", "| slow | 2.0 | – |"]
    found = f"Above 3× somewhere: nothing.\n\nAbove 3× {cliffs.BASE} somewhere: slow.\n"
    assert cliffs.cliffs(columns, bases) == found
    columns[0]["slow"]["us_per_op"] = 14.0
    assert "| slow | **3.5** | – |" in cliffs.table(columns, bases, [(2, 33), (4, 7)])
    assert cliffs.cliffs(columns, bases).startswith("Above 3× somewhere: slow.\n")


def test_a_gate_is_measured_against_a_rotation_of_as_many_qubits():
    bases = {case.name: case.base for case in CASES}
    assert bases["CRX(x)"] == bases["unitary on 2"] == "RXX(w)" and bases["CCX"] == "PauliRot XYZ(w)"
    assert bases["all probabilities"] == cliffs.BASE and set(bases.values()) <= set(bases)
