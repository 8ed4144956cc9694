"""Drawings of circuits, by Qiskit's own drawer."""

from __future__ import annotations

from typing import Any

from circuits import Circuit


def draw(circuit_or_layer: Any, output: str = "mpl", **options: Any) -> Any:
    """Return a drawing of a circuit or of a layer's circuit.

    Parameters
    ----------
    circuit_or_layer : Circuit, or a module with an attribute ``circuit`` such as QuantumLayer
    output : {"mpl", "text"}
        A matplotlib figure, or text that prints.
    **options
        Passed to ``QuantumCircuit.draw`` of Qiskit, for example ``fold=-1``, ``style="bw"`` or ``scale=0.7``.

    Returns
    -------
    matplotlib.figure.Figure or qiskit.visualization.circuit.text.TextDrawing

    Raises
    ------
    TypeError
        If there is no circuit to draw.
    ValueError
        If ``output`` is another.
    ModuleNotFoundError
        If Qiskit is not installed, naming the extra.
    """
    if output not in ("mpl", "text"):
        raise ValueError(f"got output={output!r}, expected 'mpl' or 'text'")
    circuit = getattr(circuit_or_layer, "circuit", circuit_or_layer)
    if not isinstance(circuit, Circuit):
        raise TypeError(f"got {type(circuit).__name__} to draw, expected a Circuit or a QuantumLayer")
    from backends import to_qiskit  # Qiskit is loaded only where something is drawn

    drawing = to_qiskit(circuit, opaque=True).draw(output, **options)
    if output == "mpl":
        _close_if_inline(drawing)
    return drawing


def _close_if_inline(figure: Any) -> None:
    """Close a figure that a notebook shows by itself as the value of its cell, or it would be shown twice."""
    import matplotlib
    from matplotlib import pyplot

    if "inline" in matplotlib.get_backend():
        pyplot.close(figure)
