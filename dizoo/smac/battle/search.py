"""Moved: `dizoo.smac.search`. The engine imports nothing above it; this module keeps old commands working."""

from dizoo.smac.search.search import main

if __name__ == "__main__":
    raise SystemExit(main())
