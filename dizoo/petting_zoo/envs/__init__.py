"""PettingZoo behind dimix's contract."""
