"""Reservoir computing via quantum recurrent networks (Chen et al., arXiv:2211.02612), frozen against trained.

Rows that the paper lacks: readouts by ridge regression, tuned reservoirs, an echo state network of equal state size,
entanglers off, classical networks of as many parameters, autoregression by least squares, persistence. Tasks that it
lacks: measured and chaotic series, and long series with a running state, where its windows restart from zeros.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from hybrid.claims import Claim, sentences
from hybrid.experiment import Experiment, Outcome, Results, Row
from hybrid.models.forecasters import recurrent, reservoirs, rows, verdicts

#: Of each quantum cell: the classical network of its kind.
KINDS = {"QRNN": "RNN", "QLSTM": "LSTM", "QGRU": "GRU"}

#: Parameters of each quantum network, the linear layer included.
SIZES = {"QRNN": 28, "QLSTM": 149, "QGRU": 76}

HIDDEN = 5  # units of the paper's classical reservoirs

_PAPER_TASKS = rows.WINDOW_TASKS[:4]


def experiment() -> Experiment:
    """Return the experiment."""
    return Experiment(
        name="qrnn-reservoir",
        title="Reservoir Computing via Quantum Recurrent Neural Networks (Chen, Fry, Deshmukh et al. 2022)",
        arxiv="arXiv:2211.02612",
        claim=(
            "Quantum recurrent networks with frozen random weights, whose last, linear layer alone is trained, reach "
            "results comparable to fully trained ones, and learn in fewer epochs than classical ones in most cases."
        ),
        metric="test NRMSE",
        lower_is_better=True,
        tasks=rows.WINDOW_TASKS + rows.LONG_TASKS,
        rows=tuple(_rows()),
        levels=rows.LEVELS,
        claims=tuple(_claims()),
        verdict=verdict,
        data=rows.DATA,
        files=rows.files,
        check=rows.check,
        packages=("reservoirpy",),
    )


def verdict(results: Results) -> list[str]:
    """Say what is left of the claims, which row is the best where, and who needs fewer epochs."""
    pairs = [(f"{kind}, frozen, by gradient", f"{other}, frozen, by gradient") for kind, other in KINDS.items()]
    return [*verdicts.plainly(results), *sentences(results), *verdicts.epochs(results, pairs)]


def _rows() -> Iterator[Row]:
    for kind in KINDS:
        yield from _quantum(kind)
    ising = partial(rows.tuned, make=rows.ising, grid=reservoirs.ISING_GRID, scales=reservoirs.ISING_INPUTS)
    yield Row("Ising reservoir, 20 states, tuned", "quantum", ising)
    for kind in KINDS:
        yield from _controls(kind)
    for kind, other in KINDS.items():
        yield from _classical(kind, other)
    for units in (3, 4, 20):
        yield Row(f"ESN, {units} units, tuned", "classical", partial(rows.echo, units=units))
    yield Row("AR(4)", "trivial", rows.linear, seeded=False, tasks=rows.WINDOW_TASKS)
    yield Row("AR(p), p by BIC", "trivial", rows.linear, seeded=False, tasks=rows.LONG_TASKS)
    yield Row("persistence", "trivial", rows.persistence, seeded=False)


def _quantum(kind: str) -> Iterator[Row]:
    frozen = partial(rows.cell, kind=kind)
    yield Row(f"{kind}, trained", "quantum", partial(rows.quantum, build=recurrent.quantum, kind=kind))
    yield Row(f"{kind}, frozen, by gradient", "quantum", partial(rows.by_gradient, make=frozen))
    yield Row(f"{kind}, frozen, by ridge", "quantum", partial(rows.by_ridge, make=frozen))
    yield Row(f"{kind}, frozen, tuned", "quantum", _tuned(kind, True))


def _controls(kind: str) -> Iterator[Row]:
    separable = partial(rows.quantum, build=recurrent.quantum, kind=kind, entangled=False)
    yield Row(f"{kind}, entanglers off, trained", "control", separable)
    yield Row(f"{kind}, entanglers off, frozen, tuned", "control", _tuned(kind, False))


def _tuned(kind: str, entangled: bool) -> partial[Outcome]:
    make = partial(rows.cell, kind=kind, entangled=entangled)
    return partial(rows.tuned, make=make, grid=reservoirs.CELL_GRID, scales=reservoirs.CELL_INPUTS)


def _classical(kind: str, other: str) -> Iterator[Row]:
    trained = partial(rows.classical, build=recurrent.classical, kind=other, n_parameters=SIZES[kind])
    frozen = partial(rows.frozen_classical, kind=other, hidden_size=HIDDEN)
    yield Row(f"{other} of as many parameters, trained", "classical", trained)
    yield Row(f"{other}, frozen, by gradient", "classical", partial(rows.by_gradient, make=frozen))
    yield Row(f"{other}, frozen, by ridge", "classical", partial(rows.by_ridge, make=frozen))


def _claims() -> Iterator[Claim]:
    for kind, other in KINDS.items():
        frozen = f"{kind}, frozen, by gradient"
        comparable = f"the frozen {kind} is comparable to the trained one"
        yield Claim(comparable, frozen, f"{kind}, trained", within=0.1, tasks=_PAPER_TASKS)
        than = f"the frozen {kind} is better than the frozen {other}"
        yield Claim(than, frozen, f"{other}, frozen, by gradient", tasks=_PAPER_TASKS)
