"""The names that DI-engine code imports from ``ding.utils``: the registries and ``set_pkg_seed``."""

from dimix.machine.seeds import set_pkg_seed
from dimix.registry import ENV_REGISTRY, MODEL_REGISTRY, POLICY_REGISTRY

__all__ = ["ENV_REGISTRY", "MODEL_REGISTRY", "POLICY_REGISTRY", "set_pkg_seed"]
<<<<<<< HEAD
=======


def set_pkg_seed(seed: int, use_cuda: bool = True) -> None:
    """Seed the global random streams of Python, numpy and torch. A training run does this itself.

    Args:
        seed: whole number >= 0; numpy uses its lowest 32 bits.
        use_cuda: also seed torch's streams on CUDA devices, if there are any.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)
    if use_cuda:
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)
>>>>>>> w-lang1
