"""Battles in the interfaces of Gymnasium, PettingZoo and SMAC."""
