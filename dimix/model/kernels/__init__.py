"""Compiled forms of what networks spend their time in; torch's own form of each stands beside its caller."""
