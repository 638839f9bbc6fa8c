"""The package's answers on emulated Raspberry Pi processors: ``python -m tests.pi``."""
