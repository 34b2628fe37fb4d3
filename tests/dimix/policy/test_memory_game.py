"""A cue that is seen once and asked for three steps later: agents with a memory learn it, those without cannot."""

import pytest

from dimix.check.games import greedy_return


@pytest.mark.parametrize("lstm_type", ["gru", "lstm", "mlp"])
@pytest.mark.parametrize("seed", range(2))
def test_only_agents_with_a_memory_answer_both_cues(lstm_type, seed):
    earned, metrics = greedy_return("cue", "qmix", 500, seed=seed, lstm_type=lstm_type)
    if lstm_type == "mlp":
        assert earned == 0.5
        assert metrics["td_error_abs"] > 0.05
    else:
        assert earned == 1.0
        assert metrics["td_error_abs"] < 0.01
