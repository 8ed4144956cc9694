"""Multinomial logistic regression, ``p(k|x) ∝ exp(w_k·x + b_k)`` with an L2 penalty: the trivial baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression


def build(n_features: int, n_classes: int, **options: Any) -> LogisticRegression:
    """Build scikit-learn's logistic regression, with iterations enough to converge on scaled features.

    Parameters
    ----------
    n_features, n_classes
        Taken for the sake of one signature for all models; scikit-learn reads them from the data.
    **options
        Passed on to :class:`sklearn.linear_model.LogisticRegression`.

    Returns
    -------
    LogisticRegression
        Not fitted; multinomial, L2 penalty with C = 1.
    """
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(**{"max_iter": 10_000, **options})
