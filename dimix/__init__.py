"""dimix: QMIX-family agents for cooperative multi-agent micromanagement."""

__version__ = "0.1.0"
