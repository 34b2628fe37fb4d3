"""Global states that are images: the encoder's arithmetic, and every model that reads a state."""

import pytest
import torch
import torch.nn.functional as F

from dimix.model import QMix, QTran, StateEncoder, WQMix

SIZES = dict(agent_num=3, obs_shape=5, action_shape=4, hidden_size_list=[8])
IMAGE = dict(channels=[3, 4], kernel_size=[3, 2], stride=[2, 1], embed_dim=6)


def test_equals_the_formula():
    torch.manual_seed(0)
    encoder = StateEncoder([2, 7, 9], **IMAGE)
    state = torch.randn(2, 5, 2 * 7 * 9)
    out = encoder(state)
    assert out.shape == (2, 5, 6) and encoder(state[:, :0]).shape == (2, 0, 6)
    for b in range(2):
        for t in range(5):
            x = state[b, t].view(1, 2, 7, 9)  # channel by channel, row by row
            x = F.conv2d(x, encoder.convolutions[0].weight, encoder.convolutions[0].bias, stride=2).clamp(min=0)
            x = F.conv2d(x, encoder.convolutions[1].weight, encoder.convolutions[1].bias).clamp(min=0)
            assert x.shape == (1, 4, 2, 3)  # (7-3)/2+1 = 3, then 2; (9-3)/2+1 = 4, then 3
            torch.testing.assert_close(out[b, t], (encoder.out.weight @ x.flatten() + encoder.out.bias).clamp(min=0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(kernel_size=[3]), "2 channels, 1 kernel_size, 2 stride. Right is one of each per convolution"),
        (dict(kernel_size=[3, 4]), r"convolution 2 \(channels 4, kernel_size 4, stride 1\) reads 3 x 4 cells of the"),
        (dict(stride=[0, 1]), r"convolution 1 \(channels 3, kernel_size 3, stride 0\) reads 7 x 9 cells"),
        (dict(channels=[], kernel_size=[], stride=[]), "at least one"),
    ],
)
def test_wrong_sizes(options, message):
    with pytest.raises(ValueError, match=message):
        StateEncoder([2, 7, 9], **{**IMAGE, **options})


@pytest.mark.parametrize("shape", [[7, 9], [2, 7, 0], [], [2.0, 7, 9]])
def test_shapes_that_are_neither_flat_nor_an_image(shape):
    with pytest.raises(ValueError, match=r"Right is a positive number, or \[channels, height, width\] for an image."):
        QMix(**SIZES, global_obs_shape=shape)


@pytest.mark.parametrize("cls", [QMix, WQMix, QTran])
def test_every_team_value_reads_the_image_through_its_own_encoder(cls):
    torch.manual_seed(0)
    model = cls(**SIZES, global_obs_shape=[2, 7, 9], state_encoder=IMAGE)
    encoders = [m for m in model.modules() if isinstance(m, StateEncoder)]
    assert len(encoders) == (2 if cls is WQMix else 1) and model.global_obs_shape == 126
    q, state = torch.randn(4, 3), torch.randn(4, 126)
    values = [model.mix(q, state)] if cls is not QTran else []
    if cls is WQMix:
        values.append(model.central.mix(q, state))
    if cls is QTran:
        features, action, counts = torch.randn(4, 3, 8), torch.zeros(4, 3, dtype=torch.int64), torch.ones(4, 3)
        joint = model.joint_q(features, action, counts.bool(), state)
        others = model.counterfactual_q(features, action, counts.bool(), state)
        torch.testing.assert_close(others[:, :, 0], joint[:, None].expand(-1, 3))
        values += [joint, model.state_value(state)]
    sum(v.square().sum() for v in values).backward()
    for encoder in encoders:
        assert all(p.grad.abs().sum() > 0 for p in encoder.parameters())


def test_nothing_is_built_where_no_state_is_read():
    model = QMix(**SIZES, global_obs_shape=[2, 7, 9], mixer=False)
    assert not any(isinstance(m, StateEncoder) for m in model.modules())


def test_a_flat_state_needs_no_encoder_and_a_subclass_keeps_its_own_defaults():
    class Small(QMix):
        config = dict(state_encoder=dict(channels=(4, 8, 8)))

    def reported(cls, **encoder):
        found = []
        usual = {**QMix.config, **SIZES, "global_obs_shape": 7}
        cls.check_config({**usual, "state_encoder": {**usual["state_encoder"], **encoder}}, lambda *p: found.append(p))
        return found

    assert reported(QMix) == [] and reported(Small, channels=[4, 8, 8]) == []
    (problem,) = reported(Small)
    assert problem == (
        "state_encoder", "{'channels': [32, 64, 64]}, but the global state is flat (7 floats). Leave it out."
    )  # fmt: skip
