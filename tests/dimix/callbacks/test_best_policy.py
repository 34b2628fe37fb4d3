"""Which networks are the best."""

from types import SimpleNamespace

import pytest

from dimix.callbacks import BestPolicy


def saved_at(best, scores, jitter=None):
    """Number of the evaluations after which networks were saved; the return is ten times the score."""
    saved = []
    run = SimpleNamespace(info=SimpleNamespace(has_win=True))
    for number, score in enumerate(scores):
        run.save_weights = lambda path, number=number: saved.append(number)
        moved = {} if jitter is None else {"eval/battle_won_jitter": jitter[number]}
        best.on_eval_end(run, {"eval/battle_won": score, "eval/ep_reward": 10 * score, **moved})
    return saved


@pytest.mark.parametrize(
    ("window", "scores", "saved"),
    [
        (1, [0.1, 0.5, 0.5, 0.4, 0.6], [0, 1, 4]),
        # Means of three: 0.4 (of 0.1, 0.9, 0.2), 0.5, 0.4, 0.6: the lucky 0.9 counts as a third of a window.
        (3, [0.1, 0.9, 0.2, 0.4, 0.6, 0.8], [0, 1, 2, 3, 5]),
        (3, [0.9, 0.6, 0.6, 0.6, 0.6], [0, 1, 2]),  # of an incomplete window the latest
    ],
)
def test_networks_of_the_best_mean_are_saved(window, scores, saved):
    assert saved_at(BestPolicy("best", window), scores) == saved


def test_games_from_moved_starts_count_as_much():
    assert saved_at(BestPolicy("best"), [0.9, 1.0, 0.8], jitter=[0.3, 0.1, 0.5]) == [0, 2]  # 0.6, 0.55, 0.65


@pytest.mark.parametrize("window", [1, 3])
def test_state_round_trip(window):
    scores = [0.1, 0.9, 0.2, 0.4, 0.3, 0.8, 0.7]
    for cut in range(len(scores)):
        first, second = BestPolicy("best", window), BestPolicy("best", window)
        before = saved_at(first, scores[:cut])
        second.load_state_dict(first.state_dict())
        after = [cut + number for number in saved_at(second, scores[cut:])]
        assert before + after == saved_at(BestPolicy("best", window), scores)


def test_a_state_from_before_there_were_windows():
    best = BestPolicy("best")
    best.load_state_dict({"best": [0.5, 5.0]})
    assert saved_at(best, [0.4, 0.5, 0.6]) == [2]
