"""``python -m dizoo.teams [NAME]...`` trains teams of the zoo again."""

import sys

from dizoo.teams.make import main

if __name__ == "__main__":
    sys.exit(main())
