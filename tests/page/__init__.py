"""Tests of edge/page/."""
