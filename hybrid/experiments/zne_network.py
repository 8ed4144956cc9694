"""Zero-noise extrapolation with neural networks (Bhattacharjee, Sarkar, Das and Sarkar, arXiv:2403.07025).

Rows that the paper lacks: fits of known form. Tasks that it lacks: the Ising chain, shots, and an eigensolver trained
under noise. Of the paper its abstract is known to us: qubits, strengths of noise and the network's size are our choice.
No row counts as quantum: the circuit is the same in all of them, and they differ in what is fitted to its values.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from backends.extrapolation import exponential, linear, quadratic, richardson
from backends.zne_network import network
from hybrid.claims import Claim, sentences
from hybrid.experiment import Experiment, Results, Row
from hybrid.models.mitigation import rows

NETWORK, NOTHING, LINE, CURVE = "ensemble of 5 networks", "no mitigation", "linear", "exponential"

_MEASURED: dict[str, Any] = {
    "strengths": [0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1],
    "shots": 4096,
    "device": "manila",
    "factors": [1, 3, 5, 7],
}
LEVELS: dict[str, dict[str, Any]] = {
    "quick": {"seeds": 5, "steps": 30, **_MEASURED},
    "default": {"seeds": 10, "steps": 200, **_MEASURED},
    "full": {"seeds": 20, "steps": 200, **_MEASURED},
}


def experiment() -> Experiment:
    """Return the experiment."""
    return Experiment(
        name="zne-network",
        title="Zero Noise Extrapolation with Neural Networks (Bhattacharjee et al. 2024)",
        arxiv="arXiv:2403.07025",
        claim=(
            "A feed-forward network that is fitted to the expectation values at several error probabilities predicts "
            "the noise-free one."
        ),
        metric="absolute error of the energy",
        lower_is_better=True,
        tasks=tuple(rows.TASKS),
        rows=tuple(_rows()),
        levels=LEVELS,
        claims=(
            Claim("the networks are nearer to the noise-free value than no mitigation", NETWORK, NOTHING),
            Claim("the networks are nearer than a straight line", NETWORK, LINE),
            Claim("the networks are nearer than an exponential, which the paper does not claim", NETWORK, CURVE),
        ),
        verdict=verdict,
        check=rows.check,
        packages=("qiskit", "qiskit-aer", "qiskit-ibm-runtime"),
        least=0.0,
    )


def verdict(results: Results) -> list[str]:
    """Say what is left of the claims, which row is the best where, and what the networks' error bars are worth."""
    return [*sentences(results), _best(results), _covered(results)]


def _rows() -> Iterator[Row]:
    fit = rows.extrapolated
    yield Row(NETWORK, "classical", partial(fit, fit=network, n_parameters=5 * 321, seeded=True))
    yield Row(LINE, "classical", partial(fit, fit=linear, n_parameters=2))
    yield Row("quadratic", "classical", partial(fit, fit=quadratic, n_parameters=3))
    yield Row(CURVE, "classical", partial(fit, fit=exponential, n_parameters=2))
    powers = partial(fit, fit=rows.survival, n_parameters=2)
    yield Row("a (1 − p)^k", "classical", powers, tasks=tuple(rows.STRENGTHS))
    yield Row("Richardson, 4 weakest", "classical", partial(fit, fit=richardson, n_parameters=4, n_points=4))
    yield Row(NOTHING, "trivial", rows.unmitigated)


def _best(results: Results) -> str:
    best = {task: min(results.rows(task), key=partial(_mean, results, task)).name for task in results.tasks}
    where = {row: [task for task in best if best[task] == row] for row in dict.fromkeys(best.values())}
    said = "; ".join(f"{row} on {', '.join(tasks)}" for row, tasks in where.items())
    return f"Lowest mean error: {said}. The networks have it on {len(where.get(NETWORK, []))} of {len(best)} tasks."


def _mean(results: Results, task: str, row: Row) -> float:
    return float(results.scores(task, row.name).mean())


def _covered(results: Results) -> str:
    found = [record for task in results.tasks for record in results.of(task, NETWORK)]
    reached = sum(record["score"] <= 2 * record["extra"]["stderr"] for record in found)
    return (
        f"Two standard deviations of the ensemble reach the noise-free value in {reached} of {len(found)} runs. Seeds "
        "differ in the first weights of the eigensolver and of the networks, and in the shots."
    )
