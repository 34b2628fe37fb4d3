"""PettingZoo's parallel environments: MPE, SISL and others."""
