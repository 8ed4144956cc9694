"""The libraries measured, one file each; a file is imported only where its library is installed.

``prepare(workload, x, w, device)`` takes float32 arrays and returns a step; each call of the step differentiates the
loss ``sum of outputs squared`` and returns (outputs, gradient of the weights, gradient of the inputs), finished.
``threads()`` says how many threads the library uses. Each is driven in the fastest way found for it: most read the
qubits out of the final state, which is several times faster than their own expectation values.
"""
