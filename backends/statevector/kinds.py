"""Numbers of the kinds of operations in a table: rotations by their letters, gates that do not turn, readouts."""

GENERAL, FLIP_X, REAL_Y, PHASE_Z, ACROSS, PHASES, SIGN, CONTROLLED, DENSE, WORD, DIAGONAL, Z_WORDS = range(12)
