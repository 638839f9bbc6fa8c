"""Bringing the package to a device: see INSTALL.md."""
