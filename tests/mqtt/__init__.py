"""Tests of what a camera tells its fleet's broker."""
