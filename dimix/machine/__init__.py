"""The machine: cores, memory, processes, signals, compiled code, and files written atomically."""
