"""Environment families for dimix: one package each, with their ready-made training configs."""
