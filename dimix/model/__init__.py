"""Networks: agents, mixers and what is built of them."""

from dimix.model.agent import AgentNetwork
from dimix.model.mixer import Mixer
from dimix.model.packing import Packing
from dimix.model.qmix import QMix

__all__ = ["AgentNetwork", "Mixer", "Packing", "QMix"]
