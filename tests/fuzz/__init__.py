"""Hostile input by the thousand: mutated files, each handed to the code that reads it.

    python -m tests.fuzz pictures --count 20000       # one target
    python -m tests.fuzz                              # all of them, until interrupted

Each target has a corpus (``corpus/TARGET``, and the project's own models), mutators, and a check
that says what may happen: the file is refused with an error of ours, or accepted and what came of
it is sound.  Cases run in child processes limited in memory and time, so that a death by signal
and a hang are findings like any other.  A case depends only on target, seed and number.

A new target is one entry of ``targets.TARGETS``.
"""
