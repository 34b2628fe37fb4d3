"""dimix: QMIX-family agents for cooperative multi-agent micromanagement."""

from dimix.machine.moved import keep_old_names

__version__ = "0.1.0"

keep_old_names()
