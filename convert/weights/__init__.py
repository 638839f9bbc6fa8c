"""Weights: from wherever they are to checked arrays."""
