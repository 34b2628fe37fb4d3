"""What dimix can do, measured: ``python -m benchmark -h`` from a clone."""
