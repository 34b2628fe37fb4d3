"""From config files to one checked, complete config."""

from dimix.config.compile import CompiledConfig, compile_all, compile_config

__all__ = ["CompiledConfig", "compile_all", "compile_config"]
