"""Tests of edge/doctor/."""
