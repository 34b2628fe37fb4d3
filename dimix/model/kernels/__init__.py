"""Compiled forms of the most expensive computations; the callers keep torch's form as well."""
