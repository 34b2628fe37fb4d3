"""Battles played one at a time by other people's simulators."""
