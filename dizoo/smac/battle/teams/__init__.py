"""Scripted teams, and the view of a battle that they act on."""
