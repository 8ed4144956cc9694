import copy
import itertools

import dense
import numpy as np
import pytest
import torch
from scipy.linalg import expm
from tolerances import close
from torch import nn

from qml import SpecialUnitary
from qml.special_unitary import pauli_sum, squared_moduli, symmetric_part


def words(n_qubits):
    return ["".join(letters) for letters in itertools.product("IXYZ", repeat=n_qubits)][1:]


def by_hand(coefficients, n_qubits):
    return sum(c * dense.word(word) for c, word in zip(coefficients, words(n_qubits), strict=True))


def draw(*shape):
    return np.random.default_rng(0).normal(size=shape)


def made(*sizes, **options):
    torch.manual_seed(0)
    return SpecialUnitary(*sizes, dtype=torch.float64, **options)


def distance(matrices):
    """How far matrices are from unitary: the largest entry of |U† U - 1|."""
    return (matrices.mH @ matrices - torch.eye(matrices.shape[-1])).abs().max().item()


@pytest.mark.parametrize("n_qubits", [1, 2, 3])
def test_a_pauli_sum_is_that_of_the_words_in_order(n_qubits):
    coefficients = draw(4**n_qubits - 1) + 1j * draw(4**n_qubits - 1)[::-1]
    assert close(pauli_sum(torch.tensor(coefficients)), by_hand(coefficients, n_qubits))
    assert close(pauli_sum(torch.tensor(coefficients.real)), by_hand(coefficients.real, n_qubits))


@pytest.mark.parametrize("batch", [(3,), (2, 3), (0,)], ids=str)
def test_pauli_sums_of_any_leading_dimensions(batch):
    coefficients = torch.tensor(draw(*batch, 15))
    each = [by_hand(row, 2) for row in coefficients.reshape(-1, 15).numpy()]
    assert close(pauli_sum(coefficients), np.array(each, complex).reshape(*batch, 4, 4))


def test_precision_is_kept():
    assert pauli_sum(torch.zeros(3)).dtype == torch.complex64
    assert pauli_sum(torch.zeros(3, dtype=torch.float64)).dtype == torch.complex128


@pytest.mark.parametrize("size", [0, 1, 4, 14, 31])
def test_wrong_numbers_of_coefficients(size):
    with pytest.raises(
        ValueError, match=rf"got {size} coefficients, expected 4\*\*n - 1, one per Pauli word but the id"
    ):
        pauli_sum(torch.zeros(size))


@pytest.mark.parametrize("n_qubits", [1, 2, 3])
def test_the_matrix_is_the_exponential(n_qubits):
    module = made(n_qubits)
    wanted = expm(1j * by_hand(module.angles.detach().numpy(), n_qubits))
    assert close(module(), wanted) and abs(np.linalg.det(wanted) - 1) < 1e-10


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 2e-3)])
def test_matrices_are_unitary_up_to_many_qubits(dtype, tolerance):
    assert SpecialUnitary(6, 2, dtype=dtype)().shape == (2, 64, 64)
    assert distance(SpecialUnitary(6, 2, dtype=dtype)().to(torch.complex128)) < tolerance


def trained(module, steps):
    optimizer = torch.optim.Adam(module.parameters(), 5e-4)
    for _ in range(steps):
        optimizer.zero_grad()
        module()[0, 0].abs().neg().backward()
        optimizer.step()
    return module().detach()


def test_training_keeps_real_angles_unitary_and_not_complex_ones():
    """The published layers hold complex angles, and one step of their optimiser makes them non-unitary."""
    before, published = made(2), made(2, unitary=False)
    assert close(published(), before(), 1e-12) and distance(published()) < 1e-12
    assert distance(trained(before, 20)) < 1e-12
    assert distance(trained(published, 1)) > 1e-3
    assert distance(trained(published, 20)) > 1e-2


def test_complex_angles_train_as_complex_parameters_of_torch_do():
    ours = made(2, unitary=False)
    theirs = nn.Parameter(torch.complex(*ours.angles.detach()))
    optimizer = torch.optim.Adam([theirs], 5e-4)
    for _ in range(5):
        optimizer.zero_grad()
        torch.matrix_exp(1j * pauli_sum(theirs))[0, 0].abs().neg().backward()
        optimizer.step()
    trained(ours, 5)
    assert close(torch.complex(*ours.angles), theirs, 1e-12)


@pytest.mark.parametrize("unitary", [True, False])
def test_gradcheck(unitary):
    module = made(2, 2, unitary=unitary)
    angles = (module.angles + 0.1).detach().requires_grad_()

    def function(angles):
        return torch.func.functional_call(module, {"angles": angles}, ())

    assert torch.autograd.gradcheck(function, angles)


def test_angles_are_standard_normal_and_drawn_from_torch_s_generator():
    many = made(4, 40)
    assert many.angles.shape == (40, 255) and abs(many.angles.mean()) < 0.03 and abs(many.angles.std() - 1) < 0.03
    assert torch.equal(made(2).angles, made(2).angles)
    imaginary = made(2, 5, unitary=False).angles
    assert imaginary.shape == (2, 5, 15) and imaginary[1].abs().max() == 0 < imaginary[0].abs().min()
    assert close(made(2, init=nn.init.zeros_)(), np.eye(4))


def test_reset_parameters_draws_again():
    module = made(2, unitary=False)
    trained(module, 1)
    before = module.angles.detach().clone()
    module.reset_parameters()
    assert not torch.equal(module.angles[0], before[0]) and module.angles[1].abs().max() == 0


def test_dtype_device_and_copies():
    module = made(2, unitary=False)
    assert module.float()().dtype == torch.complex64 and module.double()().dtype == torch.complex128
    assert SpecialUnitary(2, device="meta").angles.is_meta
    assert torch.equal(copy.deepcopy(module)(), module())
    other = SpecialUnitary(2, unitary=False, dtype=torch.float64)
    other.load_state_dict(module.state_dict())
    assert torch.equal(other(), module())


def test_printed():
    assert repr(SpecialUnitary(2, 3)) == "SpecialUnitary(2, 3)"
    assert repr(SpecialUnitary(1, unitary=False)) == "SpecialUnitary(1, unitary=False)"


@pytest.mark.parametrize("n_qubits", [0, 1.5, None])
def test_wrong_numbers_of_qubits(n_qubits):
    with pytest.raises(ValueError, match=f"got n_qubits={n_qubits}, expected an integer of at least 1"):
        SpecialUnitary(n_qubits)


def test_too_many_qubits():
    with pytest.raises(ValueError, match="got n_qubits=8, expected 1 to 7: use a circuit of smaller gates"):
        SpecialUnitary(8)


def test_squared_moduli_have_a_gradient_at_zero():
    state = torch.zeros(2, dtype=torch.complex128, requires_grad=True)
    squared_moduli(state).sum().backward()
    assert state.grad.abs().max() == 0
    found = squared_moduli(torch.tensor([3 + 4j, 1j]))
    assert found.tolist() == [25.0, 1.0]


def test_symmetric_part():
    assert symmetric_part(torch.tensor([[[1.0, 2.0], [4.0, 3.0]]])).tolist() == [[[1.0, 3.0], [3.0, 3.0]]]
