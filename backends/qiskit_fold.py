"""Noise made stronger: the entangling gates of a circuit repeated, so that their errors come more often."""

from __future__ import annotations

from typing import Any

from qiskit.circuit import Gate, QuantumCircuit


def folded(circuit: QuantumCircuit, factor: int) -> QuantumCircuit:
    """Return the circuit with ``G (G† G)^k`` for every gate G on two or more qubits, 2k + 1 = factor.

    Its unitary is the same, its parameters and its layout too. It must not be optimised any more; a barrier stands
    between the copies, so that nobody cancels them.

    Parameters
    ----------
    circuit : QuantumCircuit
        In the gates that will run.
    factor : int
        Odd, >= 1.

    Raises
    ------
    ValueError
        If the inverse of a gate is another gate, which may have no errors or not be there at all.
    """
    if factor == 1:
        return circuit
    result = circuit.copy_empty_like()
    for instruction in circuit.data:
        result.append(instruction)
        if isinstance(instruction.operation, Gate) and len(instruction.qubits) > 1:
            for gate in (_inverse(instruction), instruction) * (factor // 2):
                result.barrier(instruction.qubits)
                result.append(gate)
    return result


def _inverse(instruction: Any) -> Any:
    name, inverse = instruction.operation.name, instruction.operation.inverse()
    if inverse.name != name:
        raise ValueError(
            f"got the gate {name!r} to fold, whose inverse is {inverse.name!r}, expected a gate that undoes itself or "
            "turns back, such as cx, cz, ecr or rzz: use a device or a noise model of those"
        )
    return instruction.replace(operation=inverse)
