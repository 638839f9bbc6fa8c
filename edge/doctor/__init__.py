"""Finds what keeps pictures from being analysed on a machine, and how to mend it."""
