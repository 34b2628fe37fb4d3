"""The names that code written for DI-engine imports from ``ding.utils``: registries, and seeding of all packages."""

from dimix.machine.seeds import set_pkg_seed
from dimix.registry import ENV_REGISTRY, MODEL_REGISTRY, POLICY_REGISTRY

__all__ = ["ENV_REGISTRY", "MODEL_REGISTRY", "POLICY_REGISTRY", "set_pkg_seed"]
