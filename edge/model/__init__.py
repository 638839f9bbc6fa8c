"""A model: its file, its contract, and the interpreter that answers."""
