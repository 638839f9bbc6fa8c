"""Measures this machine: how fast each variant of a model is, step by step, and which to use."""
