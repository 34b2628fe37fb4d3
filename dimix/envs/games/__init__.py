"""Games that play one at a time, run as one batch, in this process or in several."""
