"""SMAC: the compiled battle engine, its drop-in environments and the training configs of the 23 maps."""
