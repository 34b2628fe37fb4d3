"""Moved: `dizoo.smac.search`. The engine itself imports nothing above it; this name is for commands typed before."""

from dizoo.smac.search.search import main

if __name__ == "__main__":
    raise SystemExit(main())
