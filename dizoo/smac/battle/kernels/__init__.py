"""The compiled code: one file per phase of a tick, and the driver that runs them over all battles."""
