"""Networks: agents, mixers and the models built from them."""

from dimix.model.agent import AgentNetwork
from dimix.model.mixers.central import CentralMixer
from dimix.model.mixers.monotonic import Mixer
from dimix.model.mixers.none import NoMixer
from dimix.model.mixers.qatten import QattenMixer
from dimix.model.mixers.qplex import QPlexMixer
from dimix.model.mixers.set import SetMixer
from dimix.model.mixers.sum import SumMixer
from dimix.model.packing import Packing
from dimix.model.qmix import QMix, Values
from dimix.model.qtran import QTran
from dimix.model.spec import AgentSpec
from dimix.model.state_encoder import StateEncoder
from dimix.model.wqmix import WQMix

__all__ = [
    "AgentNetwork", "AgentSpec", "CentralMixer", "Mixer", "NoMixer", "Packing", "QMix", "QPlexMixer", "QTran",
    "QattenMixer", "SetMixer", "StateEncoder", "SumMixer", "Values", "WQMix",
]  # fmt: skip
