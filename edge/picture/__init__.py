"""Bytes to pixels: what a file is, what its header says, and the decoded picture."""
