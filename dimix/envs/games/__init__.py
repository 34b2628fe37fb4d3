"""Run games that play one at a time as one batch, in this process or in several."""
