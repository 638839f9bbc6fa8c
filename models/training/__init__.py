"""Train the default weights and describe them; not part of the installed package."""
