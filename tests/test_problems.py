import numpy as np
import pytest
from dense import expectation, probabilities
from problems import PROBLEMS

from circuits import Probabilities


def by_matrices(problem, x, w):
    if isinstance(problem.readout, Probabilities):
        return probabilities(problem.circuit, x, w, problem.readout.qubits)
    return expectation(problem.circuit, x, w, problem.readout)


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
def test_answer_is_what_matrices_give(problem):
    for seed in range(3):
        x, w = problem.sample(seed)
        answer = problem.answer(x, w)
        assert answer.shape == (len(problem.readout),)
        assert np.allclose(answer, by_matrices(problem, x, w), rtol=0, atol=1e-12)


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
def test_answer_of_a_batch_is_the_batch_of_answers(problem):
    x, w = problem.sample(0, 2, 3)
    answer = problem.answer(x, w)
    assert answer.shape == (2, 3, len(problem.readout))
    assert np.array_equal(answer[1, 2], problem.answer(x[1, 2], w))


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
def test_answer_takes_a_batch_of_weights(problem):
    x, _ = problem.sample(0, 2)
    w = np.random.default_rng(1).normal(size=(2, problem.circuit.n_weights))
    assert np.allclose(problem.answer(x, w)[1], problem.answer(x[1], w[1]), rtol=0, atol=1e-15)


def test_the_names_differ():
    assert len({problem.name for problem in PROBLEMS}) == len(PROBLEMS)
