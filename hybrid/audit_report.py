"""Report an audit: Markdown, a self-contained HTML page and plots, as a comparison is reported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid import pages, report

if TYPE_CHECKING:
    from hybrid.auditing import Audit


def write(audit: Audit, out: Path) -> list[Path]:
    """Write ``report.md``, ``report.html`` and the plots as PNG files into a folder.

    Parameters
    ----------
    audit
        What :func:`hybrid.audit` returns.
    out
        The folder; it is made if it is not there.

    Returns
    -------
    list of Path
        The files; each is written whole or not at all.
    """
    plots = {
        "accuracy.png": report.accuracy_plot(audit.comparison),
        "differences.png": report.differences_plot(audit.comparison),
    }
    out.mkdir(parents=True, exist_ok=True)
    return pages.write(out, "audit", plots, _content(audit))


_LEGEND = (
    "Test accuracy: mean over the seeds and 95 % interval (± half its width, or [low, high] where it ends at 0 or "
    "100 %). Learning rate: the one chosen, or those chosen for the seeds. Seconds: training of one seed on one core "
    "with that rate, mean over the seeds."
)
_CONTROLS = (
    "Removed: nothing stands in the place of the quantum layers; where the widths differ, a fixed random projection. "
    "Linear: a linear layer and tanh. Separable: no entangling gates; where a circuit reads some of its qubits only, "
    "the others are read out too, through a linear layer. Frozen: the random weights of the circuits are not trained. "
    "Surrogate: Fourier or random features, fitted to the trained circuits, in their place; the rest is not trained "
    "again, so a good surrogate says that the trained circuits can be computed classically."
)
_TERMS = (
    "All rows are trained with the same learning rates on the same samples, with the same splits, scaling (by the "
    "samples to train on), schedule and order of the data, seed by seed. The learning rate that counts is chosen for "
    "each row and seed on a validation part of the train part; nothing is chosen with the test part."
)
_TESTS = (
    "Tests are paired by seed and two-sided; their p-values are corrected together by Holm's method, the intervals of "
    "differences are not: each stands for itself. The quantum layers are said to help only if the model is "
    "significantly better than without them and than with linear layers in their place. An interval from "
    "−100 to +100 points covers every possible difference: there the data say nothing."
)


def _content(audit: Audit) -> dict[str, Any]:
    comparison, header = audit.comparison, report.HEADER
    return {
        "title": f"Does the quantum part help? {comparison.records[0]['data']}",
        "verdict": audit.verdict.sentence,
        "header": (*header[:-1], "learning rate", header[-1]),
        "rows": [
            {"cells": (*cells[:-1], _rates(audit, variant), cells[-1]), "hybrid": variant == "hybrid"}
            for (_, variant), cells in zip(comparison.rows, report.row_cells(comparison), strict=True)
        ],
        "legend": _LEGEND,
        "contrasts": report.contrast_cells(audit.verdict),
        "reading": (_CONTROLS, _TERMS, report.scope(comparison), _TESTS),
        "settings": _settings(audit),
    }


def _rates(audit: Audit, variant: str) -> str:
    return ", ".join(f"{rate:g}" for rate in sorted(set(audit.learning_rates.get(variant, ())))) or "–"


def _settings(audit: Audit) -> dict[str, str]:
    first, unit = audit.comparison.records[0], audit.comparison.units[0]
    divided = "another split for each seed" if audit.comparison.resampled else "the official test part"
    return {
        "data": f"{first['data']}, {first['n_train']} training and {first['n_test']} test samples ({divided})",
        "fingerprint of the data": unit.data,
        "seeds": ", ".join(map(str, dict.fromkeys(each.seed for each in audit.comparison.units))),
        "epochs": str(unit.epochs),
        "optimiser": f"Adam, batches of {unit.batch_size}, learning rates {', '.join(f'{r:g}' for r in audit.tried)}",
        "R² of the surrogate": "; ".join(", ".join(f"{value:.3f}" for value in seed) for seed in audit.r2),
        "backend": unit.backend,
        **{name: pages.distinct(audit.comparison.records, name) for name in first["versions"]},
    }
