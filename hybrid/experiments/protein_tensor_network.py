"""Quantum tensor networks for proteins: membrane against cytoplasm (Kundu et al., arXiv:2403.06890).

Rows that the paper lacks: entanglers off, which leaves the first letter alone; angles frozen; the same tree of
probabilities instead of qubits; a GRU and a convolution of as many parameters; and linear models that count letters
or pairs. Tasks that it lacks: sequences made so that letters alone, or pairs alone, say nothing or everything. Of the
paper summaries are known to us: its data, lengths and training are not. Its convolutional network is a tree here,
without disentanglers. A classifier on embeddings of ESM2, which the paper compares with, needs a network that was
trained on all proteins known; it is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from hybrid.claims import Claim, sentences
from hybrid.experiment import Experiment, Results, Row
from hybrid.models.classifiers import rows
from hybrid.models.proteins import letters, networks
from qml.init import uniform_

MADE, PROTEINS = tuple(letters.MADE), tuple(letters.PROTEINS)
ORDERED = MADE[1:]
ABLATED = (*ORDERED, PROTEINS[0])

TREE, PATH = "tree, hierarchical", "path, hierarchical"
TREE_UNIFORM, PATH_UNIFORM = "tree, uniform", "path, uniform"
POST_SELECTED, WIDE = f"{TREE}, post-selected", f"{TREE}, 2 qubits a bond"
SIM9, IQP = f"{TREE}, Sim-9", f"{TREE}, IQP"
OFF, FROZEN = "tree, entanglers off", "tree, angles frozen"
BITS, STATES = "tree of bits, not qubits", "tree of 4 states, not qubits"
GRU, CNN = "GRU, as many parameters as the tree", "convolution, as many parameters as the tree"
LARGE_GRU, LARGE_CNN = "GRU, as many as the path", "convolution, as many as the path"
LETTERS, PAIRS, ALL = "logistic regression on letters", "… on pairs of letters", "… on the whole protein's letters"
MAJORITY = "majority class"

#: Optimiser, sizes and lengths are ours. Of proteins the first residues are read: 128 make a path of 1,079 angles,
#: where the paper has "about 800".
_TRAINING: dict[str, Any] = {"lr": 0.03, "batch_size": 32, "balanced": True}


def _level(seeds: int, epochs: int, n: int, length: int, proteins: int) -> dict[str, Any]:
    """Return a level: samples to train on, and letters that are read, of what is made and of proteins."""
    training = {**_TRAINING, "epochs": epochs}
    made = {task: {**training, "length": length, "n_train": n, "n_test": 1000} for task in MADE}
    return {"seeds": seeds, **made, **{task: {**training, "length": proteins} for task in PROTEINS}}


LEVELS = {
    "quick": _level(2, 20, 400, 32, 64),
    "default": _level(5, 30, 500, 64, 128),
    "full": _level(10, 100, 1000, 128, 512),
}


def experiment() -> Experiment:
    """Return the experiment."""
    return Experiment(
        name="protein-tensor-network",
        title="Quantum tensor networks for protein classification (Kundu et al. 2024)",
        arxiv="arXiv:2403.06890",
        claim=(
            "Path and convolutional quantum tensor networks, with about 800 parameters, tell proteins of the cell "
            "membrane from those of the cytoplasm almost as well as a classifier on embeddings of ESM2, of 8 million."
        ),
        metric="balanced test accuracy",
        lower_is_better=False,
        tasks=(*MADE, *PROTEINS),
        needs_data=PROTEINS,
        rows=tuple(_rows()),
        levels=LEVELS,
        published={
            PATH: {"deeploc": "0.94, other data"},
            "embeddings of ESM2, classified": {"deeploc": "0.98, other data"},
        },
        claims=(
            Claim("a path with a box per position reads proteins best", PATH, TREE, tasks=PROTEINS),
            Claim("networks read the order of letters", PATH, LETTERS, tasks=ORDERED),
            Claim("proteins take more than counting their letters", PATH, LETTERS, tasks=PROTEINS),
            Claim("networks need no more parameters than a GRU", PATH, LARGE_GRU, 0.05),
            Claim("networks need no more parameters than a convolution", PATH, LARGE_CNN, 0.05),
            Claim("a tree with a box per level needs no more parameters than a GRU", TREE, GRU, 0.05),
            Claim("qubits are better than bits in the same tree", TREE, BITS, tasks=ORDERED),
            Claim("boxes of Sim-14 are better than those of IQP", TREE, IQP, tasks=ORDERED),
            Claim("discarding is as good as post-selecting, which costs shots", TREE, POST_SELECTED, 0.05, ORDERED),
        ),
        verdict=verdict,
        data=letters.DATA,
        files=letters.files,
        check=letters.check,
        least=0.0,
        most=1.0,
    )


def verdict(results: Results) -> list[str]:
    """Say how near the proteins of both parts are to each other, and what is left of the claims."""
    return [_related(results, task) for task in results.tasks if task in PROTEINS] + sentences(results)


def _rows() -> Iterator[Row]:
    trained = partial(rows.trained, load=letters.load)
    network = partial(trained, build=networks.build)
    hierarchical = partial(network, layout="tree", sharing="hierarchical")
    yield Row(TREE_UNIFORM, "quantum", partial(network, layout="tree"))
    yield Row(TREE, "quantum", hierarchical)
    yield Row(PATH_UNIFORM, "quantum", partial(network, layout="path"))
    yield Row(PATH, "quantum", partial(network, layout="path", sharing="hierarchical"))
    yield Row(POST_SELECTED, "quantum", partial(hierarchical, reduce="postselect"), tasks=ABLATED)
    # Of small angles Sim-9 merges to the same state whatever the letters, and is not trained away from it.
    yield Row(SIM9, "quantum", partial(hierarchical, box="sim9", init=uniform_), tasks=ORDERED)
    yield Row(IQP, "quantum", partial(hierarchical, box="iqp"), tasks=ORDERED)
    yield Row(WIDE, "quantum", partial(hierarchical, n_qubits=2), tasks=ABLATED)
    yield Row(OFF, "control", partial(hierarchical, box=networks.separable))
    yield Row(FROZEN, "control", partial(hierarchical, frozen=True))
    yield Row(BITS, "classical", partial(trained, build=networks.markov, n_states=2))
    yield Row(STATES, "classical", partial(trained, build=networks.markov, n_states=4))
    for name, build, layout in (
        (GRU, networks.gru, "tree"), (LARGE_GRU, networks.gru, "path"),
        (CNN, networks.cnn, "tree"), (LARGE_CNN, networks.cnn, "path"),
    ):  # fmt: skip
        yield Row(name, "classical", partial(trained, build=build, layout=layout))
    logistic = partial(rows.logistic, load=letters.load)
    yield Row(LETTERS, "trivial", partial(logistic, prepare=letters.counts), seeded=False)
    yield Row(PAIRS, "trivial", partial(logistic, prepare=letters.pairs), seeded=False)
    yield Row(ALL, "trivial", partial(rows.logistic, load=letters.whole), seeded=False, tasks=PROTEINS)
    yield Row(MAJORITY, "trivial", networks.majority, seeded=False)


def _related(results: Results, task: str) -> str:
    found, n = letters.related(task, results.plan.data)
    return (
        f"On {task} {found} of {n} test proteins share more than a tenth of their words of 5 letters with a protein of "
        "the train part."
    )
