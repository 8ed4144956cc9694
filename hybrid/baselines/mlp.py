r"""Multilayer perceptron with one hidden layer: ``softmax(W2 relu(W1 x + b1) + b2)``.

With h hidden units it has h (n_features + n_classes + 1) + n_classes parameters; h is chosen to come closest to a
given number, so that a hybrid model can be compared with a classical one of its own size.
"""

from __future__ import annotations

from torch import nn


def build(n_features: int, n_classes: int, *, n_parameters: int = 1000) -> nn.Module:
    """Build a one-hidden-layer network with as many parameters as asked, to within half a hidden unit.

    Parameters
    ----------
    n_features
        Width of the input.
    n_classes
        Width of the output (logits).
    n_parameters
        Number of trainable parameters to come closest to; at least one hidden unit is kept.

    Returns
    -------
    nn.Module
        Maps float32 ``(*, n_features)`` to logits ``(*, n_classes)``.
    """
    width = max(1, round((n_parameters - n_classes) / (n_features + n_classes + 1)))
    return nn.Sequential(nn.Linear(n_features, width), nn.ReLU(), nn.Linear(width, n_classes))
