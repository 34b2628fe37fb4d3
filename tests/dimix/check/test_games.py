"""Games with known answers: what each policy learns, and what it cannot, with whatever weights it begins."""

import pytest

from dimix.check.games import CUE, KNOWN, MONOTONIC, ROWS, TWO, Known

#: Besides those of ``dimix -m check``.
MORE = [
    Known("IQL, two steps", "agents alone settle for the safe one", TWO, "iql", 7.0, 600),
    Known("VDN, rows", "a sum cannot hold it", ROWS, "vdn", 0.0, 300),
    *(
        Known(
            f"{name} without weights, rows",
            "fails as QMIX",
            ROWS,
            "wqmix",
            None,
            400,
            dict(wqmix_ow=ow, alpha=1.0),
            least_loss=MONOTONIC,
        )
        for name, ow in (("OW-QMIX", True), ("CW-QMIX", False))
    ),
]
EVERY = {known.name: known for known in (*KNOWN, *MORE)}


#: Half the variance of the payoffs of `ROWS`: the loss of the best constant.
CONSTANT = 0.5 * (64 + 4 * 144 - (8 - 4 * 12) ** 2 / 9) / 9

#: Least mean error of `CUE` without the cue: half a point where the agents agree, in half the games, one step of four.
NO_CUE = 0.5 * 0.5 / 4


# Seeds 0 to 19 use at most these shares of a limit: OW and CW 0.02, QTRAN 0.01, GRU and LSTM 0.13. The errors that have
# to stay above one are bounded from below by what such agents can know (0.77 of it with every seed).
@pytest.mark.parametrize("name", EVERY)
def test_known_answers(name, training_seed, margin):
    known = EVERY[name]
    earned, metrics = known.train(training_seed)
    if known.expected is None:  # 0 from most first weights, 8 from a few
        assert earned in (0.0, 8.0) and metrics["loss"] > 0.999 * known.least_loss
    else:
        assert earned == known.expected
    if known.game == ROWS and known.expected == 8.0:  # the joint value holds the table: nine tenths of its variance
        loss = metrics["central_loss" if known.policy == "wqmix" else "td_loss"]
        margin.below(loss, 0.1 * CONSTANT * known.learn.get("reward_scale", 1.0) ** 2)
    elif known.game == ROWS and known.policy in ("qmix", "vdn"):  # they cannot even fit it
        margin.above(metrics["td_error_abs"], 2.0)
    elif known.game == CUE and known.expected == 1.0:
        margin.below(metrics["td_error_abs"], 0.7 * NO_CUE)
    elif known.game == CUE:
        margin.above(metrics["td_error_abs"], 0.8 * NO_CUE)
