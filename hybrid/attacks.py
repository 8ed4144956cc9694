r"""Attacks on classifiers, in pixel space: FGSM and PGD with restarts, in the norms L∞ and L2; and robust accuracy.

    x ← Π(x + α g),   g = sign ∇ₓ loss(x, y)  in L∞,   g = ∇ₓ loss / ‖∇ₓ loss‖₂  in L2,

with Π the projection onto the ball of radius eps around the sample, cut to the bounds of pixels. One step of α = eps is
FGSM (Goodfellow et al., arXiv:1412.6572), many from several starts are PGD (Madry et al., arXiv:1706.06083).

Attack the pixels themselves, and put what scales them into the model (:class:`Normalised`): bounds of 0 and 1 on
standardised values would cut most of an image away and call that an attack.

These are a few lines of torch and not a library's, because a gradient here may be a job on a device: only that of the
inputs is asked for, the random numbers are torch's, which checkpoints keep, and the module stays as it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from circuits.checks import whole

NORMS = ("inf", "2")


class Normalised(nn.Module):
    """A classifier of pixels: (x - mean) / std, then a classifier of what is scaled so.

    Parameters
    ----------
    module : nn.Module
        Takes the scaled values.
    mean, std : array_like
        What the train part alone says, one number, or in a shape that goes with the samples', such as ``(3, 1, 1)``.

    Raises
    ------
    ValueError
        If a number is not finite, or `std` not positive.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, module: nn.Module, mean: Any, std: Any) -> None:
        super().__init__()
        self.module = module
        for name, value, least in (("mean", mean, -math.inf), ("std", std, 0.0)):
            numbers = torch.as_tensor(value, dtype=torch.get_default_dtype())
            if not (torch.isfinite(numbers) & (numbers > least)).all():
                positive = "positive " if name == "std" else ""
                raise ValueError(
                    f"got {name} from {numbers.min():g} to {numbers.max():g}, expected finite {positive}numbers: "
                    "take them from the train part, with 1 as the std of a constant feature"
                )
            self.register_buffer(name, numbers)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of samples in pixels."""
        return self.module((x - self.mean) / self.std)


@dataclass(frozen=True)
class Attack:
    """Raise the loss of samples by steps along its gradient, inside a ball; see :func:`fgsm` and :func:`pgd`.

    Parameters
    ----------
    eps
        Radius of the ball, in pixels.
    norm
        ``"inf"`` or ``"2"``.
    n_steps
        Steps, each of 2.5 eps / n_steps, but never more than eps.
    restarts
        Further runs from random points of the ball; the first begins at the sample itself. The strongest one counts.
    bounds
        Least and greatest value of a pixel; None where there are none.

    Raises
    ------
    ValueError
        If a setting is not one of these.
    """

    eps: float
    norm: str = "inf"
    n_steps: int = 20
    restarts: int = 0
    bounds: tuple[float, float] | None = (0.0, 1.0)

    def __post_init__(self) -> None:
        if not isinstance(self.eps, Real) or not 0 <= self.eps < math.inf:
            raise ValueError(f"got eps={self.eps!r}, expected a radius from 0: eps=0.1")
        if self.norm not in NORMS:
            raise ValueError(f"got norm={self.norm!r}, expected one of {', '.join(map(repr, NORMS))}: norm='inf'")
        for name, least in (("n_steps", 1), ("restarts", 0)):
            whole(name, getattr(self, name), least)
        if self.bounds is not None and not self.bounds[0] < self.bounds[1]:
            raise ValueError(f"got bounds={self.bounds}, expected the smaller one first: bounds=(0.0, 1.0)")

    def __call__(
        self, classifier: Any, X: Any, y: Any, *, mask: Any = None, seed: int | None = 0, batch_size: int = 256
    ) -> Any:
        """Return adversarial samples, as a tensor or a NumPy array, as the samples are.

        Parameters
        ----------
        classifier
            A torch module that gives logits, or whatever :func:`as_module` turns into one. It is attacked in evaluation
            mode, and is as it was at the end.
        X
            Samples in pixels, ``(n, …)``.
        y
            True classes, ``(n,)``.
        mask
            Which pixels may change, in a shape that goes with that of the samples; all if None.
        seed
            Of the random points; None takes torch's own generator.
        batch_size
            Samples to attack at once.

        Raises
        ------
        ValueError
            If the samples are not within the bounds, a class or a mask does not fit, or the logits do not depend on the
            samples.
        TypeError
            If the classifier cannot be attacked.
        """
        module = as_module(classifier)
        x, labels = _tensors(module, X, y)
        self._check_pixels(x)
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        parts = zip(x.split(batch_size), labels.split(batch_size), _mask(mask, x).split(batch_size), strict=True)
        with _held(module):
            found = torch.cat([self._strongest(module, *part, generator) for part in parts])
        return found if isinstance(X, Tensor) else found.cpu().numpy()

    def _check_pixels(self, x: Tensor) -> None:
        if self.bounds is None or not x.numel():
            return
        low, high = self.bounds
        if not (low - 1e-6 <= x.min() and x.max() <= high + 1e-6):
            raise ValueError(
                f"got samples from {x.min():.3g} to {x.max():.3g}, expected pixels from {low:g} to {high:g}: attack "
                "the pixels themselves and put the scaling into the model, Normalised(model, mean, std), or give the "
                "bounds of your data"
            )

    def _strongest(self, module: nn.Module, x: Tensor, y: Tensor, mask: Tensor, generator: Any) -> Tensor:
        best = self._climb(module, x, x, y, mask)
        if self.restarts:
            height = _margin(module, best, y)
        for _ in range(self.restarts):
            start = self._inside(x, mask * self._noise(x, generator))
            found = self._climb(module, start, x, y, mask)
            other = _margin(module, found, y)
            best = torch.where(_column(other > height, x), found, best)
            height = torch.maximum(height, other)
        return best

    def _climb(self, module: nn.Module, start: Tensor, x: Tensor, y: Tensor, mask: Tensor) -> Tensor:
        step, found = self.eps * min(2.5 / self.n_steps, 1.0), start
        for _ in range(self.n_steps if self.eps else 0):
            found = self._inside(x, found - x + step * self._direction(mask * _slope(module, found, y)))
        return found

    def _direction(self, slope: Tensor) -> Tensor:
        return slope.sign() if self.norm == "inf" else _scaled(slope, 1 / _length(slope))

    def _inside(self, x: Tensor, change: Tensor) -> Tensor:
        """Project onto the ball, then cut to the bounds, which only makes a change smaller."""
        if self.norm == "inf":
            change = change.clamp(-self.eps, self.eps)
        else:
            change = _scaled(change, self.eps / _length(change).clamp_min(self.eps))
        return x + change if self.bounds is None else (x + change).clamp(*self.bounds)

    def _noise(self, x: Tensor, generator: Any) -> Tensor:
        """Draw points uniformly in the ball."""
        if self.norm == "inf":
            return self.eps * (2 * torch.rand(x.shape, generator=generator).to(x) - 1)
        towards = torch.randn(x.shape, generator=generator).to(x)
        radius = self.eps * torch.rand(len(x), generator=generator).to(x.device) ** (1 / max(1, x[:1].numel()))
        return _scaled(towards, radius / _length(towards))


def fgsm(eps: float, norm: str = "inf", bounds: tuple[float, float] | None = (0.0, 1.0)) -> Attack:
    """Return the fast gradient (sign) method: one step to the edge of the ball."""
    return Attack(eps, norm, n_steps=1, bounds=bounds)


def pgd(
    eps: float,
    norm: str = "inf",
    n_steps: int = 20,
    restarts: int = 1,
    bounds: tuple[float, float] | None = (0.0, 1.0),
) -> Attack:
    """Return projected gradient descent, which climbs the loss from the sample and from random points near it."""
    return Attack(eps, norm, n_steps, restarts, bounds)


@dataclass(frozen=True)
class Robustness:
    """Robust accuracy as a function of the radius.

    Parameters
    ----------
    eps
        Radii, from 0.
    accuracy
        Share of the samples that stay correct in the whole ball, as far as the attack can tell: an upper bound.
    constant
        The class that is predicted for every clean sample, though they are of several: then the curve is the share of
        that class, and says nothing about robustness. Else None.
    """

    eps: tuple[float, ...]
    accuracy: tuple[float, ...]
    constant: int | None

    @property
    def mean(self) -> float:
        """Mean robust accuracy over the radii above 0."""
        return float(np.mean(self.accuracy[1:]))


def robust_accuracy(
    classifier: Any,
    X: Any,
    y: Any,
    eps: Sequence[float],
    attack: Callable[..., Attack] = pgd,
    *,
    mask: Any = None,
    seed: int = 0,
    batch_size: int = 256,
    **settings: Any,
) -> Robustness:
    """Attack at growing radii; what was fooled once is fooled by every larger ball too, which holds the smaller one.

    Parameters
    ----------
    classifier, X, y, mask, seed, batch_size
        As for :class:`Attack`, called.
    eps
        Radii; 0 is added.
    attack
        :func:`fgsm`, :func:`pgd` or another function from a radius to an attack.
    **settings
        Of the attack, as ``norm="2"`` or ``restarts=5``.

    Returns
    -------
    Robustness
        Its accuracy at 0 is that of the clean samples, and never rises.

    Raises
    ------
    ValueError
        If no radius above 0 or no sample is given; and as :class:`Attack`.
    """
    radii = sorted({float(each) for each in eps} - {0.0})
    attacks = [attack(radius, **settings) for radius in radii]
    if not radii or not len(X):
        raise ValueError(
            f"got {len(radii)} radii above 0 and {len(X)} samples, expected one or more of each: eps=[0.1]"
        )
    module = as_module(classifier)
    x, labels = _tensors(module, X, y)
    allowed, predicted = _mask(mask, x), _predict(module, x, labels, batch_size)
    standing, accuracy = predicted == labels, [float((predicted == labels).double().mean())]
    for each in attacks:
        some = standing.nonzero()[:, 0]
        if len(some):
            found = each(module, x[some], labels[some], mask=allowed[some], seed=seed, batch_size=batch_size)
            standing[some] = _predict(module, found, labels[some], batch_size) == labels[some]
        accuracy.append(float(standing.double().mean()))
    constant = len(predicted.unique()) == 1 < len(labels.unique())
    return Robustness((0.0, *radii), tuple(accuracy), int(predicted[0]) if constant else None)


def as_module(classifier: Any) -> nn.Module:
    """Return a classifier as a torch module from samples to logits.

    Parameters
    ----------
    classifier
        A torch module; a fitted skorch net; a fitted linear classifier of scikit-learn, such as
        ``LogisticRegression``; or a scikit-learn ``Pipeline`` of a ``StandardScaler`` and one of these. Classes must be
        numbered from 0.

    Raises
    ------
    TypeError
        If it is none of these.
    ValueError
        If its classes are not numbered from 0.
    """
    if isinstance(classifier, nn.Module):
        return classifier
    if isinstance(module := getattr(classifier, "module_", None), nn.Module):
        return module
    if hasattr(classifier, "coef_") and hasattr(classifier, "classes_"):
        return _linear(classifier)
    if hasattr(classifier, "steps"):
        scalers = [scaler for _, scaler in classifier.steps[:-1]]
        if len(scalers) == 1 and hasattr(scalers[0], "mean_") and hasattr(scalers[0], "scale_"):
            return Normalised(as_module(classifier.steps[-1][1]), scalers[0].mean_, scalers[0].scale_)
    raise TypeError(
        f"got a classifier of type {type(classifier).__name__}, expected a torch module that gives logits, a fitted "
        "skorch net, a fitted linear classifier of scikit-learn or a pipeline of StandardScaler and one of these: "
        "write it as a torch module, or fit it first"
    )


def _linear(classifier: Any) -> nn.Linear:
    """Return a linear classifier of scikit-learn; of two classes, it gives one number, the logit of the second."""
    if list(classifier.classes_) != list(range(len(classifier.classes_))):
        raise ValueError(
            f"got a classifier of the classes {', '.join(map(str, classifier.classes_))}, expected 0, 1, …: "
            "number them with np.unique(y, return_inverse=True)[1] and fit it again"
        )
    weight, bias = np.atleast_2d(classifier.coef_), np.atleast_1d(classifier.intercept_)
    if len(weight) == 1:
        weight, bias = np.concatenate([0 * weight, weight]), np.concatenate([0 * bias, bias])
    layer = nn.Linear(weight.shape[1], len(weight))
    with torch.no_grad():
        layer.weight.copy_(torch.as_tensor(weight))
        layer.bias.copy_(torch.as_tensor(bias))
    return layer


def _logits(module: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    logits: Tensor = module(x)
    if logits.dim() != 2 or len(logits) != len(x):
        raise ValueError(
            f"got an output of shape {tuple(logits.shape)} for {len(x)} samples, expected logits of shape "
            "(n, n_classes): give the module a last layer as wide as there are classes, two at least"
        )
    if len(y) and not 0 <= int(y.min()) <= int(y.max()) < logits.shape[1]:
        raise ValueError(
            f"got classes from {y.min()} to {y.max()} for a classifier with {logits.shape[1]} logits, expected 0 to "
            f"{logits.shape[1] - 1}: number them as in training"
        )
    return logits


def _slope(module: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Return the gradient of every sample's own loss; in double, where a confident softmax does not round to 1."""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        loss = cross_entropy(_logits(module, x, y).double(), y, reduction="sum")
    if not loss.requires_grad:
        raise ValueError(
            "got a classifier whose logits do not depend on the samples through torch, expected gradients: "
            "leave detach, no_grad and NumPy out of its forward pass"
        )
    return torch.autograd.grad(loss, x)[0]


def _margin(module: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Return by how much the best wrong logit exceeds the right one: above 0 the sample fools the classifier."""
    with torch.no_grad():
        logits = _logits(module, x, y)
    right = y[:, None]
    return logits.scatter(1, right, -math.inf).amax(1) - logits.gather(1, right)[:, 0]


def _predict(module: nn.Module, x: Tensor, y: Tensor, batch_size: int) -> Tensor:
    with _held(module), torch.no_grad():
        parts = zip(x.split(batch_size), y.split(batch_size), strict=True)
        return torch.cat([_logits(module, *part).argmax(1) for part in parts])


def _tensors(module: nn.Module, X: Any, y: Any) -> tuple[Tensor, Tensor]:
    """Bring samples and classes where the module is, and check that they belong together."""
    some = next((value for value in module.parameters() if value.is_floating_point()), torch.empty(0))
    x, labels = _own(X).detach().to(some), _own(y).to(some.device, torch.long)
    if labels.shape != x.shape[:1]:
        raise ValueError(
            f"got classes of shape {tuple(labels.shape)} for samples of shape {tuple(x.shape)}, expected one class for "
            "each sample: y of shape (n,)"
        )
    return x, labels


def _own(values: Any) -> Tensor:
    return values if isinstance(values, Tensor) else torch.as_tensor(np.array(values))


def _mask(mask: Any, x: Tensor) -> Tensor:
    allowed = torch.ones((), dtype=torch.bool) if mask is None else _own(mask)
    if allowed.dtype != torch.bool:
        raise ValueError(f"got a mask of {allowed.dtype}, expected truth values: mask=X > 0.05")
    try:
        return allowed.to(x.device).expand(x.shape)
    except RuntimeError as error:
        raise ValueError(
            f"got a mask of shape {tuple(allowed.shape)} for samples of shape {tuple(x.shape)}, expected one value for "
            "each pixel: mask=X > 0.05"
        ) from error


def _length(x: Tensor) -> Tensor:
    """Return the L2 length of every sample, above 0; in double, where the square of a small gradient is not 0."""
    return x.reshape(len(x), -1).double().norm(dim=1).clamp_min(1e-300)


def _scaled(x: Tensor, factors: Tensor) -> Tensor:
    return (x.double() * _column(factors, x)).to(x.dtype)


def _column(values: Tensor, x: Tensor) -> Tensor:
    """Give one value per sample the number of dimensions of the samples."""
    return values.reshape(-1, *[1] * (x.dim() - 1))


@contextmanager
def _held(module: nn.Module) -> Iterator[None]:
    """Evaluate a module without a gradient of its weights, and put it back as it was."""
    modes = [(part, part.training) for part in module.modules()]
    free = [weight for weight in module.parameters() if weight.requires_grad]
    try:
        module.eval().requires_grad_(False)
        yield
    finally:
        for part, mode in modes:
            part.training = mode
        for weight in free:
            weight.requires_grad_(True)
