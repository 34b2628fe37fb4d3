"""``python -m dizoo.smac.search``: see `dizoo.smac.search.search`."""

import sys

from dizoo.smac.search.search import main

sys.exit(main())
