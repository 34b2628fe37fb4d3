"""What the machine gives: cores, memory, processes, signals, compiled code, files written whole."""
