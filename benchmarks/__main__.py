"""``python -m benchmarks [WHAT]``: measure, and write tables with their environment to benchmarks/results.

Without WHAT: speed, sequences and hardware.

speed     a training step of ours and of the installed peers (make bench-peers installs them)
sequences a training step of a quantum recurrent network
hardware  a training step with shots, timed and counted, on Aer with noise, a fake device and lightning
threads   ours on 1, 2, 4, … cores, against what the machine can do
first     ours: the first call of a new circuit
memory    ours: peak memory of a step
cliffs    ours: every kind of circuit against the simplest one
gpu       a training step of ours and of the peers on a CUDA device
"""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from benchmarks.workloads import LAYER, WORKLOADS

#: What can be measured, and the seconds spent on each contestant and workload (on each circuit) if not given.
SECONDS = {
    "speed": 1.5, "sequences": 6.0, "hardware": 6.0, "threads": 1.5, "first": 1.5, "memory": 0.0, "cliffs": 0.3,
    "gpu": 1.5,
}  # fmt: skip
DEFAULT = ("speed", "sequences", "hardware")
RESULTS = Path(__file__).parent / "results"


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    names = [w.name for w in (*WORKLOADS, LAYER)]
    result = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    result.add_argument("what", nargs="?", choices=SECONDS)
    result.add_argument("--seconds", type=float, help="time for each contestant and workload, or each circuit")
    result.add_argument("--rounds", type=int, default=3, help="turns in which that time is spent")
    result.add_argument("--workloads", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    result.add_argument("--largest", type=int, default=22, help="qubits of the widest circuit of memory and cliffs")
    result.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    return result


def main() -> None:
    """Run one benchmark from the command line."""
    options = parser().parse_args()
    for what in [options.what] if options.what else DEFAULT:
        seconds = SECONDS[what] if options.seconds is None else options.seconds
        print(import_module(f"benchmarks.{what}").run(argparse.Namespace(**vars(options) | {"seconds": seconds})))


if __name__ == "__main__":
    main()
