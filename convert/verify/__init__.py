"""The proof that a file answers as Keras does."""
