"""Final states by PennyLane and Qiskit themselves: circuits written gate by gate in their words, no bridge of ours."""

import numpy as np

# Our name -> name of the PennyLane operation, of the method of Qiskit's QuantumCircuit.
NAMES = {
    "I": ("Identity", "id"),
    "X": ("PauliX", "x"),
    "Y": ("PauliY", "y"),
    "Z": ("PauliZ", "z"),
    "H": ("Hadamard", "h"),
    "S": ("S", "s"),
    "Sdg": ("adjoint S", "sdg"),
    "T": ("T", "t"),
    "Tdg": ("adjoint T", "tdg"),
    "SX": ("SX", "sx"),
    "SXdg": ("adjoint SX", "sxdg"),
    "CX": ("CNOT", "cx"),
    "CY": ("CY", "cy"),
    "CZ": ("CZ", "cz"),
    "CH": ("CH", "ch"),
    "SWAP": ("SWAP", "swap"),
    "ISWAP": ("ISWAP", "iswap"),
    "CCX": ("Toffoli", "ccx"),
    "CCZ": ("CCZ", "ccz"),
    "CSWAP": ("CSWAP", "cswap"),
    "RX": ("RX", "rx"),
    "RY": ("RY", "ry"),
    "RZ": ("RZ", "rz"),
    "P": ("PhaseShift", "p"),
    "CRX": ("CRX", "crx"),
    "CRY": ("CRY", "cry"),
    "CRZ": ("CRZ", "crz"),
    "CP": ("ControlledPhaseShift", "cp"),
    "RXX": ("IsingXX", "rxx"),
    "RYY": ("IsingYY", "ryy"),
    "RZZ": ("IsingZZ", "rzz"),
    "RZX": ("PauliRot ZX", "rzx"),
}


def pennylane_state(circuit, x, w):
    """Final state by PennyLane's default.qubit, complex128 (2**n_qubits,)."""
    import pennylane as qp

    with qp.queuing.AnnotatedQueue() as queue:
        for op in circuit.ops:
            _to_pennylane(qp, op, [float(a.evaluate(x, w)) for a in op.angles])
        qp.state()
    device = qp.device("default.qubit", wires=circuit.n_qubits)
    return np.asarray(qp.execute([qp.tape.QuantumScript.from_queue(queue)], device)[0])


def _to_pennylane(qp, op, angles):
    if op.gate.name == "unitary":
        return qp.QubitUnitary(np.array(op.gate.entries).reshape(2 ** len(op.qubits), -1), op.qubits)
    if op.gate.name == "amplitudes":
        return qp.StatePrep(np.array(angles), op.qubits, normalize=True)
    name, word = f"PauliRot {op.gate.generator[0][1]}" if op.gate.name == "PauliRot" else NAMES[op.gate.name][0], None
    if " " in name:
        name, word = name.split(" ")
    if name == "adjoint":
        return qp.adjoint(getattr(qp, word)(op.qubits))
    return getattr(qp, name)(*angles, *([word] if word else []), wires=op.qubits)


def qiskit_state(circuit, x, w):
    """Final state by Qiskit's quantum_info, complex128 (2**n_qubits,), its bit order reversed to ours."""
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import Statevector

    theirs = QuantumCircuit(circuit.n_qubits)
    for op in circuit.ops:
        _to_qiskit(theirs, op, [float(a.evaluate(x, w)) for a in op.angles])
    return Statevector(theirs).reverse_qargs().data


def _to_qiskit(theirs, op, angles):
    from qiskit.quantum_info import Pauli

    last_first = op.qubits[::-1]
    if op.gate.name == "unitary":
        return theirs.unitary(np.array(op.gate.entries).reshape(2 ** len(op.qubits), -1), last_first)
    if op.gate.name == "amplitudes":
        return theirs.prepare_state(np.array(angles) / np.linalg.norm(angles), last_first)
    if op.gate.name == "PauliRot":
        word = Pauli(op.gate.generator[0][1]).to_matrix()
        rotation = np.cos(angles[0] / 2) * np.eye(len(word)) - 1j * np.sin(angles[0] / 2) * word
        return theirs.unitary(rotation, last_first)
    return getattr(theirs, NAMES[op.gate.name][1])(*angles, *op.qubits)
