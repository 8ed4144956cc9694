"""What a quantum layer can learn, and at what price in shots: every diagnostic in one table, with what to change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from qml.checks import whole
from qml.diagnostics import draws
from qml.diagnostics.draws import Array
from qml.diagnostics.expressibility import Expressibility, expressibility
from qml.diagnostics.fisher import Fisher, fisher
from qml.diagnostics.fourier import Reach, fourier_reach
from qml.diagnostics.gradient_variance import Plateau, Template, barren_plateau, gradient_variance
from qml.diagnostics.meyer_wallach import meyer_wallach
from qml.diagnostics.shot_noise import ShotNoise, shot_noise
from qml.layer import QuantumLayer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from rich.table import Table

N_STATES, N_SAMPLES, SHOTS = 500, 128, 1024

NO_GRADIENT = "See which weights reach a readout, in the line of Fisher rank, and let init draw them."

HEADER = "diagnostic", "found", "what to change"


class Line(NamedTuple):
    """One diagnostic in words: its name, what was found, and what to change."""

    name: str
    found: str
    change: str


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What :func:`diagnose` has found: ``print`` shows a table, ``figure()`` draws it, attributes have the numbers.

    Attributes
    ----------
    n_qubits, n_weights : int
        Of the layer.
    variance : float
        Mean variance of the gradient over first weights and samples.
    plateau : Plateau or None
        The same, wider and deeper; None without a template.
    expressibility : Expressibility
    entanglement : ndarray, shape (n_states,)
        Meyer and Wallach's measure at random weights.
    reach : tuple of Reach, or None
        Frequencies of every feature; None where angles are not affine in the features, or there are none.
    fisher : Fisher
    noise : ShotNoise
    """

    n_qubits: int
    n_weights: int
    variance: float
    plateau: Plateau | None
    expressibility: Expressibility
    entanglement: Array
    reach: tuple[Reach, ...] | None
    fisher: Fisher
    noise: ShotNoise

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """Every diagnostic in words."""
        return tuple(_lines(self))

    @property
    def table(self) -> Table:
        """The lines as a table of rich."""
        from rich.table import Table

        shown = Table(title="diagnosis", show_lines=True)
        for column in HEADER:
            shown.add_column(column)
        for line in self.lines:
            shown.add_row(*line)
        return shown

    def markdown(self) -> str:
        """Return the lines as a table in Markdown."""
        rows = [HEADER, ("---",) * len(HEADER), *self.lines]
        return "\n".join("| " + " | ".join(row) + " |" for row in rows)

    def figure(self) -> Figure:
        """Return a figure with one panel for each diagnostic."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(11, 6), dpi=120, layout="constrained")
        draw = _draw_variance, _draw_fidelities, _draw_entanglement, _draw_reach, _draw_fisher, _draw_noise
        for axes, panel in zip(figure.subplots(2, 3).flat, draw, strict=True):
            panel(axes, self)
            axes.grid(alpha=0.3)
        return figure

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(width=110, color_system=None, force_jupyter=False)
        with console.capture() as captured:
            console.print(self.table, highlight=False, markup=False)
        return captured.get()

    def _repr_markdown_(self) -> str:
        return self.markdown()


def diagnose(
    layer: QuantumLayer,
    data: Any = None,
    *,
    template: Template | None = None,
    widths: Sequence[int] = (2, 4, 6, 8),
    depths: Sequence[int] = (1, 4, 16),
    shots: int | None = None,
    seed: int = 0,
) -> Diagnosis:
    """Diagnose a quantum layer: trainability, expressibility, entanglement, frequencies, dead weights, shot noise.

    All is simulated exactly, in double precision; nothing is submitted, and the layer stays as it is. What counts as
    too little or too much in the column "what to change" are rules of thumb of this project, not of the papers.

    Parameters
    ----------
    layer : QuantumLayer
        Its circuit, observables and ``init`` are looked at, its backend only for the number of shots.
    data : Tensor or array, shape (n, n_inputs), or a pair of features and targets, optional
        Features as the layer gets them, not needed where it takes none; with targets, classes (whole numbers, (n,)) or
        numbers ((n,) or (n, n_targets)), the frequencies of the targets are looked for too.
    template : callable, optional
        ``template(n_qubits, n_layers)`` returns the layer wider or deeper, as a QuantumLayer or a Circuit: a barren
        plateau cannot be seen on one size.
    widths, depths : sequence of int
        Sizes to build; at least three widths for a slope with an interval.
    shots : int, optional
        That are planned, per circuit and basis; the backend's, or 1024, if not given.
    seed : int
        Of weights and samples.

    Returns
    -------
    Diagnosis

    Raises
    ------
    TypeError
        If ``layer`` is no quantum layer, or the template builds none.
    ValueError
        If data are missing, empty, not finite or of another width, no weight is trained, or a number is out of range.

    Examples
    --------
    >>> print(diagnose(layer, (X, y), template=lambda n, depth: qml.QuantumLayer(strongly_entangling(n, depth))))
    """
    x, y = _checked(layer, data)
    planned = whole("shots", shots if shots is not None else getattr(layer.backend, "shots", None) or SHOTS, 1)
    sizes = [tuple(whole(name, n, 1) for n in found) for name, found in (("widths", widths), ("depths", depths))]
    if template is not None and (len(set(sizes[0])) < 2 or not sizes[1]):
        raise ValueError(f"got widths={widths} and depths={depths}, expected two widths and a depth at least")
    circuit, rows = layer.circuit, x if layer.in_features else None
    states = draws.states(
        circuit, draws.samples(circuit, rows, N_STATES, seed), draws.weights(circuit, N_STATES, seed + 1)
    )
    return Diagnosis(
        n_qubits=circuit.n_qubits,
        n_weights=circuit.n_weights,
        variance=gradient_variance(layer, rows, seed=seed),
        plateau=None if template is None else barren_plateau(template, *sizes, seed=seed),
        expressibility=expressibility(circuit, rows, seed=seed),
        entanglement=meyer_wallach(states).numpy(),
        reach=None if rows is None else fourier_reach(layer, x, y, seed),
        fisher=fisher(circuit, layer.observables, x[:N_SAMPLES], seed),
        noise=shot_noise(layer, rows, planned, seed),
    )


# --- what is given ---------------------------------------------------------------------------------------------------


def _checked(layer: Any, data: Any) -> tuple[Tensor, Array | None]:
    """Return features, float64 (n, n_inputs), and targets, (n, n_targets), classes as zeros and ones."""
    if not isinstance(layer, QuantumLayer):
        raise TypeError(
            f"got {type(layer).__name__} to diagnose, expected a QuantumLayer: give the one in the model, as model[1], "
            "and the features that reach it"
        )
    if not layer.circuit.n_weights:
        raise ValueError("got a circuit without weights, expected some: there is nothing to train")
    features, targets = data if isinstance(data, tuple) and len(data) == 2 else (data, None)
    return _features(features, layer.circuit.n_inputs), None if targets is None else _targets(targets, len(features))


def _features(features: Any, n_inputs: int) -> Tensor:
    if features is None and not n_inputs:
        return torch.zeros(1, 0, dtype=torch.float64)
    if features is None:
        raise ValueError(f"got no data, expected features of shape (n, {n_inputs}): diagnose(layer, X)")
    found = torch.as_tensor(features).detach().cpu().double()
    if found.ndim != 2 or found.shape[1] != n_inputs or not len(found):
        raise ValueError(
            f"got features of shape {tuple(found.shape)}, expected (n, {n_inputs}), n > 0: those that reach the layer"
        )
    if not found.isfinite().all():
        raise ValueError("got NaN or infinite features, expected finite numbers: fill or drop them")
    return found


def _targets(targets: Any, n: int) -> Array:
    found = torch.as_tensor(targets).detach().cpu()
    if found.ndim not in (1, 2) or len(found) != n or not found.isfinite().all():
        raise ValueError(
            f"got targets of shape {tuple(found.shape)} for {n} samples, expected finite ones, (n,) or (n, n_targets)"
        )
    if not found.is_floating_point() and found.ndim == 1:
        return (found[:, None] == found.unique()).double().numpy()
    return found.double().reshape(n, -1).numpy()


# --- in words --------------------------------------------------------------------------------------------------------


def _lines(d: Diagnosis) -> Iterator[Line]:
    yield Line("gradient variance", f"{d.variance:.2g}, gradients of about {np.sqrt(d.variance):.2g}", _of_variance(d))
    yield Line("barren plateau", *_of_plateau(d))
    e = d.expressibility
    yield Line("expressibility", f"KL {e.kl:.2g} from Haar-random states ({e.chance:.1g} by chance)", _of_states(e))
    yield Line("entanglement", *_of_entanglement(d))
    yield Line("Fourier reach", *_of_reach(d.reach))
    yield Line("Fisher rank", *_of_fisher(d))
    yield Line("gradient signal to noise", *_of_noise(d.noise))


def _of_variance(d: Diagnosis) -> str:
    if len(d.fisher.dead) == d.n_weights:
        return "No weight moves any readout: read out the qubits that the weights act on."
    if not d.variance:
        return "First weights and samples are all alike, so gradients are: give an init that draws weights."
    if d.variance < 1e-4:
        return "Too small to train by shots: fewer layers, readouts of few qubits, or init=qml.init.normal_."
    return "Nothing."


def _of_plateau(d: Diagnosis) -> tuple[str, str]:
    if d.plateau is None:
        return "not measured", "Give template=lambda n_qubits, n_layers: … that builds the layer wider and deeper."
    slope, depth = d.plateau.slopes[-1], d.plateau.depths[-1]
    if np.isnan(slope.value):
        return f"no gradient that varies at some width, {depth} layers", NO_GRADIENT
    factor, low, high = (2**each for each in slope)
    interval = "" if np.isnan(low) else f" (95 % interval {low:.2g} to {high:.2g})"
    found = f"variance × {factor:.2g} per qubit{interval}, {depth} layers"
    if factor < 0.8 and not high >= 1:
        return found, (
            f"Gradients vanish with width; ten qubits more need {factor**-10:.1g} times the shots: "
            "readouts of few qubits, fewer layers, or init=qml.init.normal_."
        )
    return found, "Nothing, on these widths."


def _of_states(e: Expressibility) -> str:
    if e.kl > 0.5:
        return "It reaches a small part of the states: rotations about a second axis, or more layers, if data need it."
    if e.haar[0] > 0.9:
        return "Nothing; it tells little on so many qubits, as nearly all pairs of random states are in one bin."
    if e.kl < 3 * e.chance:
        return "As even as random states: further layers add no states, and make gradients smaller."
    return "Nothing."


def _of_entanglement(d: Diagnosis) -> tuple[str, str]:
    if d.n_qubits == 1:
        return "none: one qubit", "Nothing."
    mean, haar = d.entanglement.mean(), (2**d.n_qubits - 2) / (2**d.n_qubits + 1)
    found = f"Meyer-Wallach Q {mean:.2g} (random states {haar:.2g})"
    if mean < 0.1:
        return found, "Hardly any: compare with circuit.separable(), which needs no two-qubit gates."
    if mean > 0.95 * haar:
        return found, "As much as random states have: fewer entanglers or layers would do."
    return found, "Nothing; compare with circuit.separable() all the same."


def _of_reach(reach: tuple[Reach, ...] | None) -> tuple[str, str]:
    if reach is None:
        return "no Fourier series", "None: angles are not affine in the features, or there are no features."
    idle = [i for i, each in enumerate(reach) if not len(each.frequencies)]
    if idle:
        return f"no frequency of x{idle}", f"The output does not depend on x{idle}: encode them, or leave them out."
    tops = [each.frequencies[-1] for each in reach]
    found = f"frequencies up to {min(tops):.3g} to {max(tops):.3g}" if min(tops) < max(tops) else f"up to {tops[0]:.3g}"
    missed = {i: each.needed[~each.reached] for i, each in enumerate(reach) if not each.reached.all()}
    if missed:
        return f"{found}; targets have {_frequencies(missed)} too", _of_missed(reach, missed)
    narrow = [i for i, each in enumerate(reach) if each.frequencies[-1] * each.span < np.pi / 2]
    if narrow:
        return f"{found}; x{narrow} turns less than a quarter", "The layer is almost linear in it: scale it up."
    wide = [i for i, each in enumerate(reach) if each.frequencies[0] * each.span > 2 * np.pi * (1 + 1e-9)]
    if wide:
        return f"{found}; x{wide} turns more than once", "Samples a turn apart look the same: scale it down."
    return found, "Nothing." if any(len(each.needed) for each in reach) else "Nothing; targets say what is needed."


def _frequencies(missed: dict[int, Array]) -> str:
    return ", ".join(f"{', '.join(f'{w:.3g}' for w in some[:3])} in x[{i}]" for i, some in missed.items())


def _of_missed(reach: tuple[Reach, ...], missed: dict[int, Array]) -> str:
    factor = max(some.max() / reach[i].frequencies[-1] for i, some in missed.items())
    least = max((some.max() - reach[i].resolution) / reach[i].frequencies[-1] for i, some in missed.items())
    if factor > 1:
        times = f"{factor:.2g}, or upload them {int(np.ceil(least * (1 - 1e-9)))} times as often"
        return f"Multiply features by up to {times}, or train scales."
    return "Frequencies in between are missing: upload features again, or train scales."


def _of_fisher(d: Diagnosis) -> tuple[str, str]:
    f = d.fisher
    dead = f"; dead: {', '.join(f'w[{j}]' for j in f.dead[:8])}{' …' * (len(f.dead) > 8)}" if f.dead else ""
    found = f"{f.rank} of {d.n_weights} weights{dead}"
    redundant = d.n_weights - len(f.dead) - f.rank
    if f.rank == f.n_rows < d.n_weights - len(f.dead):
        return found, f"No more than {f.n_rows} readouts of samples were given: more samples may show a higher rank."
    change = [f"Remove {len(f.dead)} dead weights, or read out what they reach."] * bool(f.dead)
    change += [f"{redundant} more can go: others do what they do."] * (redundant > 0)
    return found, " ".join(change) or "Nothing."


def _of_noise(noise: ShotNoise) -> tuple[str, str]:
    live = noise.ratio[~np.isnan(noise.ratio)]
    if not len(live):
        return "no gradient", NO_GRADIENT
    median = float(np.median(live))
    found = f"{median:.2g} at {noise.shots:,} shots, one sample ({np.mean(live < 1):.0%} of the weights below 1)"
    if median < 1:
        return found, f"{int(np.ceil(noise.shots / median**2)):,} shots for 1, or larger batches, which average noise."
    return found, f"Nothing; {max(1, int(np.ceil(noise.shots / median**2))):,} shots would give 1."


# --- drawn -----------------------------------------------------------------------------------------------------------


def _draw_variance(axes: Axes, d: Diagnosis) -> None:
    axes.semilogy([d.n_qubits], [max(d.variance, 1e-300)], "k*", label="this layer")
    if d.plateau is not None:
        for depth, variances in zip(d.plateau.depths, d.plateau.variances, strict=True):
            axes.semilogy(d.plateau.widths, variances, "o-", label=f"depth {depth}")
    axes.set(xlabel="qubits", ylabel="variance of the gradient", title="gradient variance")
    axes.legend(frameon=False, fontsize="small")


def _draw_fidelities(axes: Axes, d: Diagnosis) -> None:
    e = d.expressibility
    axes.stairs(e.found, e.edges, fill=True, alpha=0.5, label="this circuit")
    axes.stairs(e.haar, e.edges, color="black", label="random states")
    axes.set(xlabel="fidelity of two states", ylabel="share of pairs", title="expressibility")
    axes.legend(frameon=False, fontsize="small")


def _draw_entanglement(axes: Axes, d: Diagnosis) -> None:
    axes.hist(d.entanglement, bins=30, range=(0, 1), alpha=0.5)
    axes.axvline((2**d.n_qubits - 2) / (2**d.n_qubits + 1), color="black", label="random states, mean")
    axes.set(xlabel="Meyer-Wallach Q", ylabel="states", title="entanglement")
    axes.legend(frameon=False, fontsize="small")


def _draw_reach(axes: Axes, d: Diagnosis) -> None:
    for i, each in enumerate(d.reach or ()):
        axes.plot(each.frequencies, each.amplitudes, "o-", markersize=3, color=f"C{i % 10}")
        axes.plot(each.needed, np.sqrt(each.shares), "x", color=f"C{i % 10}")
    axes.set(
        xlabel="frequency (dots: circuit, crosses: targets)", ylabel="amplitude", title="Fourier reach, by feature"
    )


def _draw_fisher(axes: Axes, d: Diagnosis) -> None:
    axes.semilogy(range(1, d.n_weights + 1), d.fisher.eigenvalues.clip(1e-18), "o-", markersize=3)
    axes.axvline(d.fisher.rank + 0.5, color="black", label=f"rank {d.fisher.rank}")
    axes.set(xlabel="direction of the weights", ylabel="eigenvalue", title="Fisher matrix")
    axes.legend(frameon=False, fontsize="small")


def _draw_noise(axes: Axes, d: Diagnosis) -> None:
    axes.bar(range(d.n_weights), np.nan_to_num(d.noise.ratio))
    axes.axhline(1, color="black")
    axes.set(xlabel="weight", ylabel=f"signal to noise, {d.noise.shots:,} shots", title="gradients by shots")
