"""Battles with the interfaces of Gymnasium, PettingZoo and SMAC."""
