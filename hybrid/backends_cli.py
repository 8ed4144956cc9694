"""The commands ``qml backends`` and ``qml plan``: where circuits can run, and what it costs."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid import options
from hybrid.data_cli import loaded
from hybrid.stop import Stop, wrong_input

if TYPE_CHECKING:
    from backends.planning import Cost

# Name on the command line -> what it needs (a module and its extra), and what it is.
_KNOWN = {
    "statevector": (None, "", "the exact simulator"),
    "aer": ("qiskit_aer", "aer", "Qiskit Aer: exact, with noise, with shots"),
    "pennylane": ("pennylane", "pennylane", "PennyLane's devices"),
    "qiskit": ("qiskit", "qiskit", "Qiskit's exact estimator"),
    "ibm": ("qiskit_ibm_runtime", "ibm", "IBM's devices and fake devices"),
    "cut": ("qiskit_addon_cutting", "cutting", "wide circuits cut, as in cut:5:aer"),
    "zne": (None, "", "noise extrapolated: zne:aer:noise=manila"),
}


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("backends")(list_backends)
    app.command("plan")(plan)


def list_backends(
    devices: Annotated[bool, typer.Option("--devices", help="Ask IBM for the devices of the saved account.")] = False,
) -> None:
    """List where circuits can run, and why others cannot be used."""
    for name, (module, extra, what) in _KNOWN.items():
        missing = module is not None and importlib.util.find_spec(module) is None
        state = f"not installed: pip install 'hybridqml[{extra}]'" if missing else "available"
        print(f"{name:<12} {what:<42} {state}")
        if name == "ibm" and not missing:
            _print_ibm(devices)


def _print_ibm(devices: bool) -> None:
    from backends import ibm_devices

    with wrong_input():
        names = ", ".join(sorted(ibm_devices.fakes()))
        print(f"  fake devices, as in ibm:manila: {names}")
        for account in ibm_devices.accounts():
            print(f"  account {account.name} ({account.channel}): 'qml backends --devices' lists its devices")
        if not ibm_devices.accounts():
            print("  no saved account: QiskitRuntimeService.save_account(token=..., instance=...) saves one, once")
        if devices:
            for line in ibm_devices.described(ibm_devices.connect()):
                print(f"  {line}")


def plan(
    data: options.Data,
    backend: Annotated[str, typer.Option(help="The device, as in ibm:ibm_torino,shots=4096 or ibm:manila.")],
    models: options.Models = "all",
    seeds: options.Seeds = 3,
    epochs: options.Epochs = 20,
    batch_size: options.BatchSize = 32,
    lr: options.LearningRate = 0.01,
    n_train: options.NTrain = None,
    test_size: options.TestSize = 0.2,
    out: options.Out = None,
    price_per_second: Annotated[
        float | None, typer.Option(help="Price of a second of QPU time.", show_default="none")
    ] = None,
) -> None:
    """Say what 'qml compare' with the same options costs on a device; nothing is sent."""
    with wrong_input():
        from hybrid import compare, costs

        dataset = loaded(data)
        planned = compare.plan(
            dataset,
            options.chosen(models),
            seeds=seeds,
            epochs=epochs,
            lr=lr,
            batch_size=batch_size,
            test_size=test_size,
            n_train=n_train,
            backend=backend,
            out=out or Path("runs") / dataset.name,
        )
        found = costs.comparison(planned)
    _print_costs({" ".join(row): cost for row, cost in found.items()}, price_per_second)
    print(f"{compare.n_finished(planned)} of {len(planned.units)} trainings are finished and cost nothing more.")
    _print_budget(backend, sum(cost.seconds for cost in found.values()))


def _print_costs(costs: dict[str, Cost], price_per_second: float | None) -> None:
    from rich.console import Console
    from rich.table import Table

    from backends.planning import NOTHING

    table = Table(box=None, pad_edge=False)
    names = ["model", "circuits", "rows", "shots", "jobs", "QPU s (est.)"] + ["price"] * (price_per_second is not None)
    for name in names:
        table.add_column(name, justify="left" if name == "model" else "right")
    for name, cost in {**costs, "total": sum(costs.values(), start=NOTHING)}.items():
        counts = [f"{number:,}" for number in (cost.circuits, cost.rows, cost.shots, cost.jobs)]
        price = [] if price_per_second is None else [f"{price_per_second * cost.seconds:,.2f}"]
        table.add_row(name, *counts, f"{cost.seconds:,.1f}", *price)
    width = None if sys.stdout.isatty() else 1000  # a program that reads it wants whole lines
    Console(markup=False, highlight=False, width=width).print(table)


def _print_budget(spec: str, seconds: float) -> None:
    import backends
    from backends.planning import innermost

    made = innermost(backends.get(spec))
    if made.budget_seconds is None:
        return
    left = made.budget_seconds - made.spent()
    print(f"Budget: {made.budget_seconds:,.1f} s, of which {left:,.1f} s are left.")
    if seconds > left:
        raise Stop(
            f"The budget is not enough: {seconds:,.1f} s are needed; fewer shots, samples or epochs need less.", 1
        )
