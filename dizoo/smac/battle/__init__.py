"""The compiled battle engine: SMAC's 23 maps, batched, from numpy and numba alone."""
