"""hybrid/models/classifiers/local_unitaries.py: against exponentials of Pauli sums, and in modules that it changes."""

import dense
import numpy as np
import pytest
import torch
from scipy.linalg import expm
from tolerances import close

from hybrid.models.classifiers import creep_in, hamiltonian
from hybrid.models.classifiers.local_unitaries import LocalUnitaries, localised
from hybrid.units import count_parameters
from qml import HamiltonianReuploading, SpecialUnitary

DIGITS = {"channels": [8, 4], "n_layers": 5}


def local_sum(angles):
    """Σ_q Σ_p θ_qp P_p, from Kronecker products."""
    n = len(angles)
    words = [["I"] * q + [p] + ["I"] * (n - q - 1) for q in range(n) for p in "XYZ"]
    return sum(angle * dense.word(letters) for angle, letters in zip(angles.ravel(), words, strict=True))


def test_they_are_exponentials_of_words_of_one_qubit():
    torch.manual_seed(0)
    found = LocalUnitaries(3, 2).double()
    angles = found.unitaries.angles.detach().numpy()
    expected = [expm(1j * local_sum(each)) for each in angles]
    assert angles.shape == (2, 3, 3) and close(found().detach(), np.array(expected))


def test_all_unitaries_of_a_model_are_replaced_and_counted():
    torch.manual_seed(0)
    model = localised(torch.nn.Sequential(SpecialUnitary(2, 4), HamiltonianReuploading(3, 5)))
    assert model[0]().shape == (4, 4, 4) and model[1](torch.rand(6, 8, 8)).shape == (6, 8)
    assert count_parameters(model) == {"quantum": 4 * 6 + 5 * 2 * 6 + 5, "classical": 0, "frozen": 0}


def test_level_0_is_matched_to_level_2():
    counts = [
        sum(count_parameters(model).values())
        for shape in ((1, 8, 8), (1, 14, 14), (3, 16, 16))
        for model in (creep_in.build(shape, 10, DIGITS, None, level=2), creep_in.matched(shape, 10, DIGITS, None))
    ]
    assert counts[:2] == [1897, 80 + 8 * (73 + 160) + 10]
    assert all(abs(a - b) < 0.15 * a for a, b in zip(counts[::2], counts[1::2], strict=True))


@pytest.mark.parametrize("level", [1, 2])
def test_controls_of_the_creep_in_network(level):
    models = {}
    for control in (None, "separable", "frozen"):
        torch.manual_seed(0)
        models[control] = creep_in.build((1, 8, 8), 10, DIGITS, None, level, control=control)
    counts = {control: count_parameters(model) for control, model in models.items()}
    assert counts["frozen"]["frozen"] == counts[None]["quantum"] and not counts["frozen"]["quantum"]
    assert counts["separable"]["quantum"] == (8 + 32) * 6 + (level - 1) * 5 * 12
    images = torch.rand(3, 1, 8, 8)
    assert torch.equal(models["frozen"](images), models[None](images))
    assert models["separable"](images).shape == (3, 10)


def test_a_control_of_another_name():
    with pytest.raises(ValueError, match="got control='removed', expected 'separable', 'frozen' or None"):
        creep_in.build((1, 8, 8), 10, DIGITS, None, 1, control="removed")


def test_rivals_of_hamiltonian_embedding():
    settings = {"n_layers": 15, "whole": False}
    rivals = [
        hamiltonian.build((8, 9), 8, settings, None, separable=True),
        hamiltonian.dense((8, 8), 8, settings, None),
    ]
    counts = [count_parameters(model) for model in rivals]
    assert counts == [
        {"quantum": 15 * 2 * 6 + 15, "classical": 0, "frozen": 0},
        {"quantum": 0, "classical": 6 * (64 + 8 + 1) + 8, "frozen": 0},  # 465 of the embedding
    ]
