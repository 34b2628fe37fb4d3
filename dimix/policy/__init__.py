"""Policies: how a network acts and how it learns."""

from dimix.policy.base_policy import ActMode, LearnMode, Policy
from dimix.policy.qmix import QMIXPolicy

__all__ = ["ActMode", "LearnMode", "Policy", "QMIXPolicy"]
