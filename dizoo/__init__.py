"""Environment families for dimix, one package each, with ready-made training configs."""
