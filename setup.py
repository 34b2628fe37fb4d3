"""Package metadata; versions that are known to work together stand in constraints.txt."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "([^"]+)"', (HERE / "dimix" / "__init__.py").read_text("utf-8"))
assert VERSION is not None, "dimix/__init__.py does not set __version__"

# Names of extras are letters and digits only: a separator is rewritten when the package is built, and pip before 23.3
# then finds no such extra, installs nothing and returns 0.
PETTING_ZOO = ["pettingzoo>=1.24", "gymnasium>=0.29"]
ENVS = {
    "gym": ["gymnasium>=0.29", "moviepy>=1.0.3"],  # moviepy: for Gymnasium's RecordVideo
    "pettingzoo": PETTING_ZOO,
    "petting_zoo": PETTING_ZOO,  # as it was called; newer pips find it
    "mpe": ["mpe2>=1.0", "gymnasium>=0.29"],
    # What pursuit needs; pettingzoo[sisl] adds Box2D and pymunk for environments with continuous actions.
    "sisl": ["pettingzoo>=1.24", "gymnasium>=0.29", "pygame-ce>=2.3", "scipy>=1.7"],
    "lbf": ["lbforaging>=2.0", "gymnasium>=0.29"],
    "smax": ["jaxmarl>=0.2; python_version >= '3.11'", "jaxmarl>=0.1; python_version < '3.11'"],
    # On no registry. smaclite asks for Rtree 1.0.0, which needs an upgrade by hand from Python 3.11 on.
    "smaclite": ["smaclite @ git+https://github.com/uoe-agents/smaclite.git"],
    "smac": ["smac @ git+https://github.com/oxwhirl/smac.git"],
    "smacv2": ["smacv2 @ git+https://github.com/oxwhirl/smacv2.git"],
}
# What constraints.txt pins and the tests play; an older jaxmarl is not among it.
TESTED_ENVS = sorted(
    {need for name in ("gym", "pettingzoo", "mpe", "sisl", "lbf", "smax") for need in ENVS[name]} - {ENVS["smax"][1]}
)
CURVES = ["tensorboard>=2.14"]
REPLAY = ["pillow>=10.0", "imageio[ffmpeg]>=2.31"]
PLOT = ["matplotlib>=3.7"]
# rliable's bootstrap comes from arch 7, which pandas 3 breaks.
BENCHMARK = ["rliable>=1.2", "pandas>=2.2,<3", *PLOT]
TUNE = ["optuna>=3.6", *PLOT]
RAY = ["ray>=2.9"]  # 70 MB: not part of the tests' own tools either
WANDB = ["wandb>=0.17"]  # 60 MB and two dozen packages: not part of the tests' own tools
TOOLS = ["pytest>=7.4", "pytest-xdist>=3.7", "hypothesis>=6.90", "ruff>=0.6", "mypy>=1.11", "selenium>=4.20"]
TOOLS += ["setuptools>=70.1"]  # the first that builds a wheel by itself
# Exported networks are played by onnxruntime, whose newest releases have no build for Python 3.10.
ONNX = ["onnx>=1.17", "onnxruntime>=1.20", "onnxscript>=0.2", "torch>=2.6"]
# The site and notebooks, whose newest releases have no build for Python 3.10 either.
DOCS = ["mkdocs-material>=9.6", "mkdocstrings[python]>=0.27"]
NOTEBOOKS = ["nbclient>=0.10", "ipykernel>=6.29"]
NEWER = [f"{name}; python_version >= '3.11'" for name in (*ONNX, *DOCS, *NOTEBOOKS)]
DEV = [*TOOLS, *NEWER, *REPLAY, *BENCHMARK, *TUNE, *TESTED_ENVS]

setup(
    name="dimix",
    version=VERSION.group(1),
    description="QMIX-family agents for cooperative multi-agent micromanagement, with a compiled SMAC-style simulator",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["dimix", "dimix.*", "dizoo", "dizoo.*"]),
    package_data={
        "dimix": ["py.typed"],
        "dimix.report": ["page.*"],
        "dizoo.smac.battle.maps": ["data/*.json", "data/traces/*.npz"],
        "dizoo.smac.replay": ["page.*", "*.js"],
        "dizoo.teams": ["*.json", "*.pth.tar"],
    },
    include_package_data=False,
    install_requires=[
        "torch>=2.1",
        "numpy>=1.26",
        "numba>=0.59",
        "DI-treetensor>=0.4.1",
        "easydict>=1.10",
        "click>=8.1",
        "tensorboardX>=2.6",
        "filelock>=3.12",
        "psutil>=5.9",
    ],
    extras_require={
        **ENVS,
        "curves": CURVES,
        "replay": REPLAY,
        "plot": PLOT,
        "benchmark": BENCHMARK,
        "tune": TUNE,
        "ray": RAY,
        "wandb": WANDB,
        "onnx": ONNX,
        "docs": DOCS,
        "dev": DEV,
        "all": sorted({*CURVES, *DEV}),
    },
    entry_points={
        "console_scripts": ["dimix = dimix.cli:main"],
        "dimix.envs": [
            "smac = dizoo.smac.envs.smac_env",
            "matrix_game = dizoo.matrix_game.envs.matrix_game_env",
            "petting_zoo = dizoo.petting_zoo.envs.petting_zoo_env",
            "lbf = dizoo.lbf.envs.lbf_env",
            "smax = dizoo.smax.envs.smax_env",
        ],
        "gymnasium.envs": ["__root__ = dizoo.smac.envs.registration:register_envs"],
    },
    classifiers=[
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
