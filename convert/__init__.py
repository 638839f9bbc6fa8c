"""From a trained Keras model to verified TFLite model files: ``python -m convert``."""
