"""Sequences of letters with two classes, proteins among them, and networks that read them letter by letter.

Networks are built alike: ``build((length,), 2, settings, backend, **options)``, with the settings of the experiment's
level for the task, and take letters, int64 (N, length).
"""
