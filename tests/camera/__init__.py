"""Tests of edge/camera/."""
