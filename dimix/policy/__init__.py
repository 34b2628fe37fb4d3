"""Policies: how a network acts and how it learns."""

from dimix.policy.base import ActMode, LearnMode, Policy
from dimix.policy.iql import IQLPolicy
from dimix.policy.pqn import PQNPolicy
from dimix.policy.qmix import QMIXPolicy
from dimix.policy.qplex import QPLEXPolicy
from dimix.policy.qtran import QTRANPolicy
from dimix.policy.vdn import VDNPolicy
from dimix.policy.wqmix import WQMIXPolicy

__all__ = [
    "ActMode", "IQLPolicy", "LearnMode", "PQNPolicy", "Policy", "QMIXPolicy", "QPLEXPolicy", "QTRANPolicy", "VDNPolicy",
    "WQMIXPolicy",
]  # fmt: skip
