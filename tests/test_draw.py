import re
import subprocess
import sys

import numpy as np
import pytest

from circuits import CCX, CRX, CX, RX, RZ, RZZ, Circuit, H, PauliRot, amplitudes, inputs, unitary, weights

pytest.importorskip("qiskit")

import matplotlib
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

import qml
from qml.draw import draw

X, W = inputs(4), weights(4)
CIRCUIT = Circuit(
    3,
    [H(0), RX(np.pi * X[0], 1), RZZ((np.pi - X[0]) * X[1], 0, 1), CX(1, 2), CRX(np.sin(W[0]), 2, 0), CCX(0, 1, 2)],
    n_inputs=4,
    n_weights=4,
)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_text_shows_gates_and_angles():
    text = str(draw(CIRCUIT, "text", fold=-1))
    parts = ("┤ H ├", "Rx(π*x[0])", "ZZ(-x[0]*x[1] + π*x[1])", "Rx(sin(w[0]))", "q_2")
    assert [part for part in parts if part not in text] == []


def test_a_layer_is_drawn_as_its_circuit():
    layer = qml.QuantumLayer(CIRCUIT)
    assert str(draw(layer, "text")) == str(draw(CIRCUIT, "text"))


def test_a_figure_is_the_default(tmp_path):
    figure = draw(CIRCUIT)
    assert isinstance(figure, Figure)
    figure.savefig(tmp_path / "circuit.png")
    image = plt.imread(tmp_path / "circuit.png")
    assert min(image.shape[:2]) > 100 and image[..., :3].std() > 0.1  # something is drawn


def test_options_reach_the_drawer():
    text = str(draw(CIRCUIT, "text", reverse_bits=True))
    assert text.index("q_2") < text.index("q_0")
    small, large = (draw(CIRCUIT, scale=scale).get_size_inches()[0] for scale in (0.5, 1.0))
    assert small < large


def test_start_states_are_drawn_as_a_box():
    text = str(draw(Circuit(2, [amplitudes(X, 0, 1), H(0)], 4), "text"))
    assert "amplitudes" in text and "┤ H ├" in text


def test_pauli_words_are_drawn_in_this_project_s_order():
    text = str(draw(Circuit(3, [PauliRot(W[0], "XYZ", 0, 1, 2)], 0, 1), "text"))
    assert "R_XYZ(w[0])" in text


def test_tanh_is_drawn_by_name_however_often_it_occurs():
    circuit = Circuit(1, [RX(2 * np.tanh(X[0] + 1), 0), RZ(np.tanh(X[0] + 1), 0), RZ(np.tanh(W[0]), 0)], 1, 1)
    text = str(draw(circuit, "text"))
    assert "Rx(2*tanh(1 + x[0]))" in text and "Rz(tanh(1 + x[0]))" in text and "Rz(tanh(w[0]))" in text


def test_a_unitary_is_drawn():
    assert "Unitary" in str(draw(Circuit(1, [unitary([[0, 1], [1, 0]], 0)]), "text"))


def test_drawing_leaves_the_settings_of_matplotlib_alone():
    before = dict(matplotlib.rcParams)
    draw(CIRCUIT)
    assert dict(matplotlib.rcParams) == before


def test_a_notebook_shows_the_figure_once():
    """Inline figures are closed, so that a notebook shows the returned one only."""
    code = """
import matplotlib
matplotlib.use("module://matplotlib_inline.backend_inline")
import matplotlib.pyplot as plt
from circuits import Circuit, H
from qml.draw import draw
draw(Circuit(1, [H(0)]))
print(plt.get_fignums())
"""
    pytest.importorskip("matplotlib_inline")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_other_outputs_are_refused():
    with pytest.raises(ValueError, match="got output='latex', expected 'mpl' or 'text'"):
        draw(CIRCUIT, "latex")


def test_something_without_a_circuit_is_refused():
    with pytest.raises(TypeError, match="got str to draw, expected a Circuit or a QuantumLayer"):
        draw("H 0", "text")


def test_without_qiskit_the_extra_is_named():
    code = """
import sys
sys.modules["qiskit"] = None
from circuits import Circuit
from qml.draw import draw
try:
    draw(Circuit(1, []), "text")
except ModuleNotFoundError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert re.search(r"needs qiskit.*: pip install 'hybridqml\[qiskit\]'", done.stdout)


def test_importing_the_drawing_loads_no_library():
    code = "import sys, qml.draw; print(sorted({'qiskit', 'matplotlib', 'pennylane'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
