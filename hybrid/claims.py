"""What is left of a paper's claim, and what its quantum layers contribute: paired tests, never words written before.

All gains are differences of scores, seed by seed, turned so that positive is better; a row that does not depend on the
seed is a constant, against which the others are tested. Where an experiment says ``per="patient"``, they are patient by
patient. The p-values of all claims are corrected together by Holm's method, and so are those of each quantum row
against all controls and classical rows, on all tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hybrid import statistics
from hybrid.statistics import LEVEL, Interval

if TYPE_CHECKING:
    from hybrid.experiment import Results

OUTCOMES = ("reproduced", "reproduced in direction", "not reproduced")


@dataclass(frozen=True)
class Claim:
    """One row is better than another, or at least comparable.

    Parameters
    ----------
    text
        The claim in words: "the frozen QRNN is comparable to the trained one".
    row, other
        Names of the rows.
    within
        How much worse than the other still counts, as a share of the other's score: 0.1 for a "comparable" that
        means at most 10 % worse; 0 for "better".
    tasks
        The tasks it is about; None for all.
    of
        The figure it is about, by its name in ``extra``; None for the score.
    """

    text: str
    row: str
    other: str
    within: float = 0.0
    tasks: tuple[str, ...] | None = None
    of: str | None = None


@dataclass(frozen=True)
class Contrast:
    """How much better a row is than another on one task; `p_holm` is NaN where there is no test.

    It is about the score, or another figure, which `of` names.
    """

    task: str
    row: str
    other: str
    gain: Interval
    p_holm: float
    of: str | None = None

    @property
    def better(self) -> bool:
        """Whether the row is significantly better."""
        return self.p_holm < LEVEL and self.gain.mean > 0

    @property
    def worse(self) -> bool:
        """Whether the row is significantly worse."""
        return self.p_holm < LEVEL and self.gain.mean < 0

    @property
    def outcome(self) -> str:
        """What the contrast says of a claim: one of :data:`OUTCOMES`."""
        return OUTCOMES[0] if self.better else OUTCOMES[1] if self.gain.mean > 0 else OUTCOMES[2]


def contrasts(results: Results, pairs: Iterable[tuple[str, str, str, float, str | None]]) -> list[Contrast]:
    """Test pairs of rows, corrected together.

    Parameters
    ----------
    results
        What :func:`hybrid.experiment.run` returns.
    pairs
        ``(task, row, other, within, of)`` each, the last two as for :class:`Claim`.
    """
    pairs = list(pairs)
    gains = [_gains(results, *pair) for pair in pairs]
    p = statistics.holm([statistics.paired_p(gain) for gain in gains]) if gains else []
    return [
        Contrast(task, row, other, statistics.interval(gain), corrected, of)
        for (task, row, other, _, of), gain, corrected in zip(pairs, gains, p, strict=True)
    ]


def of_claims(results: Results) -> dict[Claim, list[Contrast]]:
    """Test all claims of an experiment, corrected together, on the tasks that were run and have both rows."""
    pairs = [
        (claim, task)
        for claim in results.experiment.claims
        for task in results.tasks
        if (claim.tasks is None or task in claim.tasks)
        and results.of(task, claim.row)
        and results.of(task, claim.other)
    ]
    found = contrasts(results, [(task, claim.row, claim.other, claim.within, claim.of) for claim, task in pairs])
    return {
        claim: [contrast for (about, _), contrast in zip(pairs, found, strict=True) if about is claim]
        for claim in results.experiment.claims
    }


def against_the_rest(results: Results, row: str) -> list[Contrast]:
    """Test a quantum row against all controls and classical rows, on all tasks, corrected together."""
    return contrasts(
        results,
        [
            (task, row, other.name, 0.0, None)
            for task in results.tasks
            if results.of(task, row)
            for other in results.rows(task)
            if other.kind != "quantum"
        ],
    )


def sentences(results: Results) -> list[str]:
    """Say what is left of every claim, and what the quantum layer of every quantum row contributes."""
    found = [_claim(results, claim, contrasts) for claim, contrasts in of_claims(results).items() if contrasts]
    return found + [
        _contribution(results, row.name, contrasts)
        for row in results.experiment.rows
        if row.kind == "quantum" and (contrasts := against_the_rest(results, row.name))
    ]


def _gains(results: Results, task: str, row: str, other: str, within: float, of: str | None) -> np.ndarray:
    mine, others = results.scores(task, row, of), results.scores(task, other, of)
    if results.experiment.lower_is_better:
        return others * (1 + within) - mine
    return mine - others * (1 - within)


def _claim(results: Results, claim: Claim, found: list[Contrast]) -> str:
    margin = f"; up to {100 * claim.within:g} % worse counts" if claim.within else ""
    said = _grouped(found, OUTCOMES, lambda contrast: contrast.outcome, lambda contrast: _numbers(results, contrast))
    return f"“{claim.text}” ({claim.row} against {claim.other}{margin}): {said}."


def _contribution(results: Results, row: str, found: list[Contrast]) -> str:
    """Say it from the best control or classical row on each task, and from all of them where the quantum row wins."""
    by_task = [[c for c in found if c.task == task] for task in dict.fromkeys(c.task for c in found)]
    wins = {contrasts[0].task for contrasts in by_task if all(contrast.better for contrast in contrasts)}
    best = [min(contrasts, key=lambda contrast: contrast.gain.mean) for contrasts in by_task]
    states = (
        "an advantage over every control and classical row",
        f"no advantage that these {results.experiment.per or 'seed'}s can show",
        "no advantage, as a control or classical row is significantly better,",
    )

    def state(contrast: Contrast) -> str:
        return states[0] if contrast.task in wins else states[2] if contrast.worse else states[1]

    said = _grouped(best, states, state, lambda contrast: f"{contrast.other}: {_numbers(results, contrast, True)}")
    return f"The quantum layer of {row} contributes {said}; in brackets the best control or classical row."


def _grouped(
    found: list[Contrast], states: Iterable[str], state: Callable[[Contrast], str], said: Callable[[Contrast], str]
) -> str:
    groups = [(name, [contrast for contrast in found if state(contrast) == name]) for name in states]
    return "; ".join(
        f"{name} on {', '.join(f'{contrast.task} ({said(contrast)})' for contrast in group)}"
        for name, group in groups
        if group
    )


def _numbers(results: Results, contrast: Contrast, turned: bool = False) -> str:
    names = (contrast.other, contrast.row) if turned else (contrast.row, contrast.other)
    one, other = (score(results.scores(contrast.task, name, contrast.of).mean()) for name in names)
    p = statistics.p_value(contrast.p_holm)
    return f"{one} against {other}, {p if p == 'no test' else f'Holm-corrected {p}'}"


def score(value: float) -> str:
    """Write a score with three significant digits, as ``0.0123``."""
    return f"{value:.3g}" if 1e-4 <= abs(value) < 1e4 or not value else f"{value:.2e}"
