"""Parts of an update by themselves: when a target network follows, averaged weights, priorities."""

import torch
from torch import nn

from dimix.policy.priority import SamplePriority
from dimix.policy.target_network import TargetUpdate, follower, update_average


def networks(target=0.0, online=1.0):
    nets = [nn.Linear(1, 1, bias=False) for _ in range(2)]
    for net, value in zip(nets, (target, online), strict=True):
        nn.init.constant_(net.weight, value)
    return nets


def test_a_share_of_the_way_each_update():
    target, online = networks()
    follow = TargetUpdate(theta=0.25)
    values = []
    for update in (1, 2):
        follow(target, online, update, 0)
        values.append(target.weight.item())
    assert values == [0.25, 0.4375]  # 0.25 + 0.25 * 0.75


def test_copies_every_so_many_updates():
    target, online = networks()
    follow, values = TargetUpdate(theta=0.25, freq=3), []
    for update in range(1, 5):
        follow(target, online, update, 0)
        values.append(target.weight.item())
        online.weight.data += 1
    assert values == [0, 0, 3, 3]


def test_copies_once_so_many_episodes_were_played_since_the_last_copy():
    target, online = networks()
    follow, values = TargetUpdate(theta=0.25, interval=20), []
    for update, episodes in enumerate([8, 24, 40, 44], 1):
        follow(target, online, update, episodes)
        values.append(target.weight.item())
        online.weight.data += 1
    assert values == [0, 2, 2, 4] and follow.copied_at == 44


def test_an_average_of_few_updates_reaches_back_over_a_tenth():
    average, online = networks()
    update_average(average, online, theta=0.25, updates=1)
    assert abs(average.weight.item() - 0.9) < 1e-6
    update_average(average, networks(online=1.9)[1], theta=0.25, updates=100)
    assert abs(average.weight.item() - 1.15) < 1e-6  # 0.9 + 0.25 * 1.0


def test_a_follower_knows_no_gradient_and_shares_nothing():
    _, online = networks()
    copied = follower(online)
    online.weight.data += 1
    assert copied.weight.item() == 1 and not copied.weight.requires_grad and online.weight.requires_grad


def test_priorities_by_hand(rng, make_random_batch):
    batch = make_random_batch(rng, [2, 1], ["terminated", "cut"])
    error, mask = torch.tensor([[1.0, -3.0], [2.0, 99.0]]), torch.tensor([[True, True], [True, False]])
    assert SamplePriority("mean")(batch, error, mask).tolist() == [2, 2]
    assert SamplePriority("max")(batch, error, mask).tolist() == [3, 2]
    per_agent = torch.stack([error, 3 * error], -1), mask.unsqueeze(-1).expand(2, 2, 2)
    assert SamplePriority("mean")(batch, *per_agent).tolist() == [4, 4]
    batch.reward = torch.tensor([[1.0, 3.0], [-1.0, 99.0]])
    returns = SamplePriority("return")
    assert returns(batch, error, mask).tolist() == [1, 0] and returns.return_range == [-1, 4]
