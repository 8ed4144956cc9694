"""``python -m benchmarks``: measure, check that all agree, write benchmarks/results/speed.{json,md}."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from rich.progress import track
from torch import Tensor

from benchmarks.contestants import Result, Step, installed
from benchmarks.workloads import WORKLOADS, Workload

RESULTS = Path(__file__).parent / "results"
TOLERANCE = 2e-4  # float32, relative to the largest entry


def measure(step: Step, x: Tensor, w: Tensor, seconds: float) -> tuple[dict[str, float], Result]:
    """Return first call and median of as many repeats as fit, in milliseconds, and the result of the step."""
    start = time.perf_counter()
    result = step(x, w)
    first, times = time.perf_counter() - start, []
    while sum(times) < seconds or len(times) < 3:
        start = time.perf_counter()
        step(x, w)
        times.append(time.perf_counter() - start)
    return {"first_ms": 1e3 * first, "median_ms": 1e3 * statistics.median(times), "repeats": len(times)}, result


def agree(results: dict[str, Result]) -> None:
    """Raise RuntimeError if outputs or gradients of two contestants differ."""
    (reference_name, reference), *others = results.items()
    for name, result in others:
        for what, ours, theirs in zip(
            ("outputs", "weight gradients", "input gradients"), reference, result, strict=True
        ):
            error = float((ours - theirs).abs().max() / theirs.abs().max())
            if error > TOLERANCE:
                raise RuntimeError(f"{what} of {reference_name} and {name} differ by {error:.1e}")


def run(workload: Workload, adapters: dict[str, Callable[[Workload], Step]], seconds: float) -> dict:
    """Return the times of every contestant on one workload, after checking that they agree."""
    x, w = (torch.as_tensor(a, dtype=torch.float32) for a in workload.data())
    measured = {name: measure(adapter(workload), x, w, seconds) for name, adapter in adapters.items()}
    agree({name: result for name, (_, result) in measured.items()})
    return {"workload": workload.name, "times": {name: times for name, (times, _) in measured.items()}}


def environment() -> dict[str, str]:
    """Return what the figures depend on."""
    packages = ("torch", "numpy", "pennylane", "pennylane_lightning")
    cpu = next((line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")), platform.machine())
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": cpu,
        "cores": str(os.cpu_count()),
        "torch_threads": str(torch.get_num_threads()),
        "python": platform.python_version(),
        **{name: _version(name) for name in packages},
    }


def table(rows: list[dict], facts: dict[str, str]) -> str:
    """Return the results as Markdown: milliseconds per step, and how many times slower than ours."""
    names = list(rows[0]["times"])
    lines = ["| workload | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for row in rows:
        base = row["times"][names[0]]["median_ms"]
        cells = [f"{t['median_ms']:.2f} ms ({t['median_ms'] / base:.1f}×)" for t in row["times"].values()]
        lines.append(f"| {row['workload']} | " + " | ".join(cells) + " |")
    notes = (
        "Median of one training step, forward and backward with gradients of weights and inputs, float32, all in one "
    )
    return f"{notes}run.\n\n" + "\n".join(lines) + "\n\n" + "\n".join(f"- {k}: {v}" for k, v in facts.items()) + "\n"


def write(path: Path, text: str) -> None:
    """Write a file so that it is never seen half-written."""
    part = path.with_suffix(path.suffix + ".part")
    part.write_text(text)
    part.replace(path)


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="time spent on each contestant and workload")
    parser.add_argument("--workloads", nargs="*", default=[w.name for w in WORKLOADS], help="which ones to run")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args()
    chosen = [w for w in WORKLOADS if w.name in options.workloads]
    if len(chosen) < len(set(options.workloads)):
        parser.error(f"got {options.workloads}, expected names among {', '.join(w.name for w in WORKLOADS)}")
    adapters = installed()
    rows = [run(workload, adapters, options.seconds) for workload in track(chosen, "measuring", transient=True)]
    facts = environment()
    options.out.mkdir(parents=True, exist_ok=True)
    write(options.out / "speed.json", json.dumps({"environment": facts, "rows": rows}, indent=1))
    write(options.out / "speed.md", table(rows, facts))
    print(table(rows, facts))


if __name__ == "__main__":
    main()
