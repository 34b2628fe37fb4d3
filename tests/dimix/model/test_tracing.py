"""Traced, exported, compiled and transformed models: torch's tools see torch's operations, and the numbers stay."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from dimix.model import QMix
from dimix.model.kernels.fusible import fusible

ENVS, STEPS, AGENTS, OBS, ACTIONS = 5, 6, 3, 24, 9
#: Two columns, three enemies of four features, two allies of three, one's own column, the first of which names them.
ENTITIES = [
    dict(column=2, count=3, size=4, action=6, last_action=21, named_by=[20]),
    dict(column=14, count=2, size=3, action=None, last_action=None),
]
KINDS = {
    "flat": {},
    "two layers": dict(rnn_layers=2, hidden_size_list=[6, 8], dueling=True, layer_norm=True),
    "lstm": dict(lstm_type="lstm"),
    "no memory": dict(lstm_type="mlp"),
    "equivariant": dict(equivariant=True, entities=ENTITIES, entity_embed_dim=5),
    "hypernet": dict(equivariant=True, entities=ENTITIES, entity_net="hypernet", entity_heads=2, entity_embed_dim=5),
    "everybody's": dict(equivariant=True, entities=[{**ENTITIES[0], "named_by": []}, ENTITIES[1]]),
    "groups": dict(parameter_sharing="none"),
    "layers of groups": dict(parameter_sharing="groups", agent_groups=[[0, 2], [1]], rnn_layers=2, layer_norm=True),
    "lstm groups": dict(parameter_sharing="none", lstm_type="lstm"),
}

of_every_kind = pytest.mark.parametrize("options", KINDS.values(), ids=KINDS.keys())


def make(options):
    torch.manual_seed(0)
    return QMix(AGENTS, OBS, 7, ACTIONS, **{"hidden_size_list": [8], **options})


def seen(envs=ENVS, steps=STEPS):
    """(T, E, A, O) random observations in which some entities are not there."""
    torch.manual_seed(1)
    x = torch.randn(steps, envs, AGENTS, OBS)
    for kind in ENTITIES:
        columns = slice(kind["column"], kind["column"] + kind["count"] * kind["size"])
        there = torch.rand(*x.shape[:3], kind["count"]) < 0.6
        x[..., columns] *= there.repeat_interleave(kind["size"], -1)
    return x


@torch.no_grad()
def play(step, model, x):
    """Q-values (T, E, A, N) of an episode, the hidden state carried, and the last one."""
    hidden, values = model.init_hidden(x.shape[1]), []
    for obs in x:
        q, hidden = step(obs, hidden)
        values.append(q)
    return torch.stack(values), hidden


def assert_plays_alike(step, model, x=None):
    x = seen() if x is None else x
    for ours, theirs in zip(play(step, model, x), play(model.forward_step, model, x), strict=True):
        torch.testing.assert_close(ours, theirs, atol=5e-6, rtol=0)


def example(model, envs=2):
    return seen(envs)[0], model.init_hidden(envs)


@of_every_kind
@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.filterwarnings("error::torch.jit.TracerWarning")  # of a size that would stay as it was in the example
def test_a_trace_plays_alike_in_any_number_of_games(options, gradients):
    model = make(options)
    with torch.set_grad_enabled(gradients):
        assert_plays_alike(torch.jit.trace(model, example(model)), model)


@of_every_kind
@pytest.mark.parametrize("gradients", [True, False])
def test_an_export_plays_alike_in_any_number_of_games(options, gradients):
    model, games = make(options), torch.export.Dim("games", min=2)
    with torch.set_grad_enabled(gradients):
        exported = torch.export.export(model, example(model), dynamic_shapes=({0: games}, {0: games}))
    assert_plays_alike(exported.module(), model)


@of_every_kind
def test_a_compiled_model_plays_alike(options):
    model = make(options)
    torch.compiler.reset()
    assert_plays_alike(torch.compile(model, backend="aot_eager"), model)


@of_every_kind
@pytest.mark.parametrize("dynamo", [True, False])
def test_onnx_plays_alike(options, dynamo, tmp_path):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    model, path = make(options).eval(), tmp_path / "team.onnx"
    torch.onnx.export(
        model, example(model, ENVS), path, dynamo=dynamo, input_names=["obs", "hidden"], output_names=["q", "new"]
    )
    session = runtime.InferenceSession(path)
    names = [each.name for each in session.get_inputs()]  # without a memory nothing reads the state

    def step(*given):
        inputs = {name: t.numpy() for name, t in zip(["obs", "hidden"], given, strict=True) if name in names}
        return [torch.from_numpy(out) for out in session.run(["q", "new"], inputs)]

    assert_plays_alike(step, model)


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"lstm"}))  # torch's lstm_cell has no vmap
def test_vmap_and_functional_gradients(kind):
    model = make(KINDS[kind])
    x, hidden = example(model, 4)
    with torch.no_grad():
        q, _ = torch.vmap(model.forward_step)(x.unflatten(0, (2, 2)), hidden.unflatten(0, (2, 2)))
        torch.testing.assert_close(q.flatten(0, 1), model.forward_step(x, hidden)[0], atol=5e-6, rtol=0)

    def total(parameters):
        return torch.func.functional_call(model, parameters, (x, hidden))[0].square().sum()

    parameters = dict(model.agent.named_parameters(prefix="agent"))
    gradients = torch.func.grad(total)(parameters)
    total(parameters).backward()
    for name, parameter in parameters.items():
        torch.testing.assert_close(gradients[name], parameter.grad, atol=1e-5, rtol=1e-5)


def test_functional_gradients_of_whole_sequences():
    model, x = make(KINDS["groups"]), seen(2).transpose(0, 1)  # torch.nn.GRU itself has none

    def total(parameters):
        return torch.func.functional_call(Unrolled(model), parameters, (x,)).square().sum()

    parameters = dict(model.agent.named_parameters(prefix="model.agent"))
    gradients = torch.func.grad(total)(parameters)
    total(parameters).backward()
    for name, parameter in parameters.items():
        torch.testing.assert_close(gradients[name], parameter.grad, atol=1e-4, rtol=1e-4)


class Unrolled(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model.unroll(x)[0]


def test_what_a_kernel_can_read():
    x = torch.zeros(2)
    assert fusible(x)
    assert not fusible(x.double()) and not fusible(x.to("meta"))
    with FakeTensorMode() as fake:
        assert not fusible(fake.from_tensor(x))
    asked = []
    torch.jit.trace(lambda x: (asked.append(fusible(x)), x + 1)[1], x, check_trace=False)
    torch.vmap(lambda x: (asked.append(fusible(x)), x)[1])(x)
    assert asked == [False, False]
