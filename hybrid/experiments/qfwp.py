"""Learning to program variational circuits with fast weights (Chen, arXiv:2402.17760): QFWP against the QLSTM.

Rows that the paper lacks: entanglers off, the programmer frozen, the circuit replaced by a linear layer, classical
networks of as many parameters, an echo state network, autoregression by least squares, persistence. Tasks that it
lacks: measured and chaotic series, and long series with a running state, along which the angles keep growing.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from hybrid.claims import Claim, sentences
from hybrid.experiment import Experiment, Results, Row
from hybrid.models.forecasters import fast_weights, recurrent, rows, verdicts

#: Parameters of the two networks.
SIZES = {"QFWP": 111, "QLSTM": 149}

_PAPER_TASKS = rows.WINDOW_TASKS[:4]


def experiment() -> Experiment:
    """Return the experiment."""
    return Experiment(
        name="qfwp",
        title="Learning to Program Variational Quantum Circuits with Fast Weights (Chen 2024)",
        arxiv="arXiv:2402.17760",
        claim=(
            "Quantum fast weights learn what came before without a quantum recurrent network, and on time series they "
            "perform comparably to models with a quantum long short-term memory (QLSTM), or better."
        ),
        metric="test NRMSE",
        lower_is_better=True,
        tasks=rows.WINDOW_TASKS + rows.LONG_TASKS,
        rows=tuple(_rows()),
        levels=rows.LEVELS,
        claims=(
            Claim("QFWP is comparable to the QLSTM", "QFWP", "QLSTM", within=0.1, tasks=_PAPER_TASKS),
            Claim("QFWP is better than the QLSTM", "QFWP", "QLSTM", tasks=_PAPER_TASKS),
        ),
        verdict=verdict,
        data=rows.DATA,
        files=rows.files,
        check=rows.check,
        packages=("reservoirpy",),
    )


def verdict(results: Results) -> list[str]:
    """Say which row is the best where, and what is left of the claims."""
    return [*verdicts.plainly(results), *_cost(results), *sentences(results)]


def _rows() -> Iterator[Row]:
    qfwp = partial(rows.quantum, build=fast_weights.build)
    qlstm = partial(rows.quantum, build=recurrent.quantum, kind="QLSTM")
    yield Row("QFWP", "quantum", qfwp)
    yield Row("QLSTM", "quantum", qlstm)
    yield Row("QFWP, entanglers off", "control", partial(qfwp, control="separable"))
    yield Row("QFWP, programmer frozen", "control", partial(qfwp, control="frozen"))
    yield Row("QFWP, linear layer for the circuit", "control", partial(qfwp, control="linear"))
    yield Row("QLSTM, entanglers off", "control", partial(qlstm, entangled=False))
    yield Row("QLSTM, frozen", "control", partial(rows.by_gradient, make=partial(rows.cell, kind="QLSTM")))
    for quantum, size in SIZES.items():
        for kind in ("RNN", "LSTM", "GRU"):
            trained = partial(rows.classical, build=recurrent.classical, kind=kind, n_parameters=size)
            yield Row(f"{kind} of as many parameters as {quantum}", "classical", trained)
    yield Row("ESN, 4 units, tuned", "classical", partial(rows.echo, units=4))
    yield Row("AR(4)", "trivial", rows.linear, seeded=False, tasks=rows.WINDOW_TASKS)
    yield Row("AR(p), p by BIC", "trivial", rows.linear, seeded=False, tasks=rows.LONG_TASKS)
    yield Row("persistence", "trivial", rows.persistence, seeded=False)


def _cost(results: Results) -> list[str]:
    """Say how much longer the QLSTM trains, on the machine at hand."""
    pairs = [[_seconds(results, name, row) for row in ("QLSTM", "QFWP")] for name in results.tasks]
    ratios = [qlstm / qfwp for qlstm, qfwp in pairs]
    return [f"Training the QLSTM takes {min(ratios):.2g} to {max(ratios):.2g} times as long as training the QFWP."]


def _seconds(results: Results, name: str, row: str) -> float:
    return sum(record["seconds"]["training"] for record in results.of(name, row))
