"""``python -m dizoo.smac.battle.maps``: see `dizoo.smac.battle.maps.command`."""

import sys

from dizoo.smac.battle.maps.command import main

try:
    sys.exit(main())
except BrokenPipeError:  # `... | head` closed the pipe
    sys.exit(0)
