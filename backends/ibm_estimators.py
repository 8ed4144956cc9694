"""Both generations of IBM's Estimator behind one set of options."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal

from qiskit.providers import BackendV2

from backends.ibm_devices import is_real

#: Widest device whose local simulation by the client-side Estimator, which measures all wires, is quick.
NARROW = 7

_FACTORS = (1.0, 3.0, 5.0)
_SEQUENCES = ("XX", "XpXm", "XY4")
_EXTRAPOLATORS = (
    "linear",
    "exponential",
    "double_exponential",
    "fallback",
    *(f"polynomial_degree_{k}" for k in range(1, 8)),
)


@dataclass(frozen=True)
class Options:
    """How a device measures; see :class:`backends.IBM`."""

    shots: int = 4096
    resilience_level: int = 0
    zne: bool | Sequence[float] = False
    extrapolator: str | Sequence[str] | None = None
    twirling: bool | None = None
    dynamical_decoupling: bool | str = False
    estimator: Literal["auto", "client", "legacy"] = "auto"

    def __post_init__(self) -> None:
        _check(self)

    @property
    def noise_factors(self) -> tuple[float, ...]:
        """Factors by which gates are repeated: a circuit runs once for each."""
        if isinstance(self.zne, bool):
            return _FACTORS if self.zne or self.resilience_level == 2 else (1.0,)
        return tuple(map(float, self.zne))

    @property
    def mitigates(self) -> bool:
        """Whether anything is asked that a plain local simulation would leave out."""
        asked = self.resilience_level, self.extrapolator, self.twirling, self.dynamical_decoupling
        return any(asked) or self.noise_factors != (1.0,)

    def generation(self, device: BackendV2) -> str:
        """Return which Estimator runs on the device, ``"client"`` or ``"legacy"``.

        Raises
        ------
        ValueError
            If the device is simulated here and its simulation would leave out what is asked.
        """
        legacy = self.estimator == "legacy"
        if self.estimator == "auto" and not is_real(device):
            legacy = device.num_qubits > NARROW
        if legacy and self.mitigates and not is_real(device):
            raise ValueError(
                f"got error mitigation on {device.name}, expected none: the simulation of its {device.num_qubits} "
                f"qubits leaves it out; use a fake device of at most {NARROW} qubits with estimator='auto'"
            )
        return "legacy" if legacy else "client"

    def as_dict(self) -> dict[str, Any]:
        """Return the options as plain data, to tell one measurement from another."""
        return asdict(self) | {"zne": list(self.noise_factors)}


def estimator(
    options: Options, mode: Any, device: BackendV2, seed: int, tags: Sequence[str], limit: float | None
) -> Any:
    """Return an Estimator on a device, a session or a batch.

    Parameters
    ----------
    options : Options
    mode : BackendV2, Session or Batch
    device : BackendV2
    seed : int
        Of the simulation of a fake device, at least 1: 0 counts as none.
    tags : sequence of str
        Of the job, on IBM's service.
    limit : float, optional
        Seconds of QPU time after which the service stops the job.
    """
    generation = options.generation(device)
    made = _legacy(mode) if generation == "legacy" else _client(mode)
    made.options.default_shots = options.shots
    if is_real(device):
        made.options.environment.job_tags = list(tags)
        if limit is not None:
            made.options.max_execution_time = max(1, math.ceil(limit))
    else:
        made.options.simulator.seed_simulator = seed
    if generation == "client" or is_real(device):
        _mitigate(made.options, options)
    return made


def _mitigate(target: Any, options: Options) -> None:
    target.resilience_level = options.resilience_level
    if options.noise_factors != (1.0,):
        target.resilience.zne_mitigation = True
        target.resilience.zne.noise_factors = options.noise_factors
    if options.extrapolator is not None:
        target.resilience.zne.extrapolator = options.extrapolator
    if options.twirling is not None:
        target.twirling.enable_gates = target.twirling.enable_measure = options.twirling
    if options.dynamical_decoupling:
        target.dynamical_decoupling.enable = True
    if isinstance(options.dynamical_decoupling, str):
        target.dynamical_decoupling.sequence_type = options.dynamical_decoupling


def _client(mode: Any) -> Any:
    from qiskit_ibm_runtime.executor_estimator import Estimator

    return Estimator(mode=mode)


def _legacy(mode: Any) -> Any:
    from qiskit_ibm_runtime.estimator import EstimatorV2

    with _quiet():
        return EstimatorV2(mode=mode)


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # chosen where it is the better one, or asked for
        yield


def _check(options: Options) -> None:
    checks = {
        "shots": (_is_whole(options.shots) and options.shots >= 1, "a positive integer"),
        "resilience_level": (
            _is_whole(options.resilience_level) and options.resilience_level in (0, 1, 2),
            "0, 1 or 2",
        ),
        "zne": (_is_zne(options.zne), "True, False or noise factors >= 1 such as (1, 3, 5)"),
        "extrapolator": (_is_extrapolator(options.extrapolator), f"one or some of {', '.join(_EXTRAPOLATORS)}"),
        "twirling": (options.twirling in (None, True, False), "True, False or None"),
        "dynamical_decoupling": (
            isinstance(options.dynamical_decoupling, bool) or options.dynamical_decoupling in _SEQUENCES,
            f"True, False or one of {', '.join(_SEQUENCES)}",
        ),
        "estimator": (options.estimator in ("auto", "client", "legacy"), "'auto', 'client' or 'legacy'"),
    }
    for name, (right, expected) in checks.items():
        if not right:
            raise ValueError(f"got {name}={getattr(options, name)!r}, expected {expected}")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_zne(value: Any) -> bool:
    if isinstance(value, bool):
        return True
    numbers = isinstance(value, list | tuple) and all(isinstance(f, int | float) and f >= 1 for f in value)
    return numbers and len(value) >= 2


def _is_extrapolator(value: Any) -> bool:
    names = [value] if isinstance(value, str) else value
    return names is None or (isinstance(names, list | tuple) and bool(names) and set(names) <= set(_EXTRAPOLATORS))
