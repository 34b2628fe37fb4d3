"""``python -m dimix`` is the ``dimix`` command."""

from dimix.cli import main

if __name__ == "__main__":
    main()
