"""Hybrid models, classical baselines, training, comparison and the command line: the top floor.

Nothing is imported here, so that ``qml --help`` answers at once; import what you need from its own file::

    from hybrid.data import load, split
    from hybrid.training import classifier
    from hybrid.compare import compare
    from hybrid.attacks import pgd, robust_accuracy
"""
