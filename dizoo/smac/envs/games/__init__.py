"""Battles played one at a time by other simulators."""
