"""Tests of convert/ and of the training."""
