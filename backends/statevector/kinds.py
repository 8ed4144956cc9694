"""Numbers of the kinds of operations in a table, and of the ways in which a tile lies in memory."""

#: Rotations by their letters, gates that do not turn, readouts.
GENERAL, FLIP_X, REAL_Y, PHASE_Z, ACROSS, PHASES, SIGN, CONTROLLED, DENSE, WORD, DIAGONAL, Z_WORDS = range(12)

#: The lanes of a local index are neighbours in memory, in order; as many local indices are; neither; or whole registers
#: are kept, which only the tile itself can read.
NEIGHBOURS, SQUARES, SCATTERED, LINES = range(4)
