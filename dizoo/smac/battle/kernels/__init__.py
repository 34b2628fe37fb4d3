"""The compiled code: one phase of a tick a file, and the driver that runs them over all battles."""
