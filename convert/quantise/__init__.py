"""From weights to TFLite graphs in all variants."""
