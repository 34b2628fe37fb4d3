"""Loss and gradients of one update, dimix against PyMARL2's learners, on the same recorded battles and weights.

    git clone https://github.com/hijkzzz/pymarl2
    python benchmark/peers/compare_pymarl2.py --pymarl2 pymarl2 [--learner qmix] [--map MMM] [--episodes 32] [--double]

Learners: ``qmix`` and ``qatten`` (their `NQLearner`), ``ow`` and ``cw`` (WQMIX, their `MAXQLearner`; it sums
w (q_tot - y)^2 and half the central network's squared error, so half of its loss and gradients is compared with dimix
under ``central_loss_weight=0.5``), ``qplex`` (their copy of QPLEX's learner), and ``qplex_original``, for which the
folder is ``pymarl-master`` of a clone of wjh720/QPLEX (one-step targets; half of its loss, without 1/2, is compared).

Battles are played with random actions on the battle engine and passed to PyMARL2 in its own layout; its classes are
imported from the given folder, unmodified. It counts a dead agent's no-op in the mix, so dimix does the same here
(``mask_dead_agents=False``), in plain and in fused form. Exits with 1 if a relative difference exceeds the tolerance.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from easydict import EasyDict
from torch import Tensor

from benchmark.markdown import table
from dimix.config.checks import DERIVED
from dimix.config.schema import class_schema, defaults
from dimix.envs.agent_input import AgentInput
from dimix.model import CentralMixer, Mixer, QattenMixer, QMix, QPlexMixer, WQMix
from dimix.model.mixers.heads import Heads
from dimix.policy import QMIXPolicy, WQMIXPolicy
from dimix.replay.batch import EpisodeBatch, batch_fields, make_batch
from dimix.replay.buffer import ReplayBuffer
from dimix.worker.collector import Collector
from dizoo.smac.envs.smac_env import SMACEnv

Gradients = dict[str, Tensor]
GAMMA, LAMBDA, ALPHA = 0.99, 0.6, 0.1
#: Keys of our model, where the learner's mixer is not QMIX's.
MIXERS: dict[str, dict[str, Any]] = {
    "qatten": dict(mixer="qatten"),
    "qplex": dict(mixer="qplex"),
    "qplex_original": dict(mixer="qplex", advantage_layers=1),
}


def make_policy(sizes: dict[str, Any], dtype: torch.dtype, fused: bool, learner: str = "qmix") -> QMIXPolicy:
    """Create a policy with PyMARL2's fine-tuned recipe, and a target network that differs from the online one."""
    weighted = learner in ("ow", "cw")
    policy_class, model_class = (WQMIXPolicy, WQMix) if weighted else (QMIXPolicy, QMix)
    cfg = EasyDict(defaults(class_schema(policy_class)))
    cfg.learn.update(mask_dead_agents=False, clip_type="none", discount_factor=GAMMA, average_theta=1)
    if weighted:
        cfg.learn.update(wqmix_ow=learner == "ow", alpha=ALPHA, central_loss_weight=0.5)
    cfg.model = EasyDict(defaults(class_schema(model_class)))
    cfg.learn.td_lambda = 0.0 if learner == "qplex_original" else LAMBDA
    cfg.model.update(sizes, fused=fused, **MIXERS.get(learner, {}))
    torch.manual_seed(0)
    policy = policy_class(cfg, seed=0)
    with torch.no_grad():
        for p in policy._target_model.parameters():
            p.add_(0.2 * torch.randn_like(p) * p.abs().mean())
    for network in (policy.model, policy._target_model, policy._averaged_model):
        network.to(dtype)
    return policy


def record(map_name: str, episodes: int) -> tuple[EpisodeBatch, dict[str, Any]]:
    """Play whole battles at random; returns them and the model's sizes."""
    cfg = EasyDict(defaults(class_schema(SMACEnv)))
    cfg.map_name = map_name
    env = SMACEnv.create(cfg, "collect", min(episodes, 32), 0)
    info = env.info
    agent_input = AgentInput(info.obs_shape, info.action_shape, info.agent_num)
    sizes = dict(
        agent_num=info.agent_num,
        obs_shape=agent_input.size,
        global_obs_shape=info.global_obs_shape,
        action_shape=info.action_shape,
        state_entities=DERIVED["policy.model.state_entities"](cfg, info),
    )
    policy = make_policy(sizes, torch.float32, True)
    buffer = ReplayBuffer(2 * episodes, info, agent_input)
    Collector(env, policy.collect_mode, buffer, agent_input).collect(episodes, 1.0)
    fields = batch_fields(buffer.sample(episodes))
    fields["hidden_state"] = torch.zeros(episodes, info.agent_num, policy.model.state_size)
    return make_batch(fields), sizes


class PeerBatch(dict[str, Tensor]):
    """PyMARL's episode batch: T + 1 rows of every field."""

    def __init__(self, batch: EpisodeBatch, dtype: torch.dtype) -> None:
        def with_last_row(x: Tensor) -> Tensor:
            return torch.cat([x, torch.zeros_like(x[:, :1])], 1)

        # Row 0, and the row after each step.
        next_row = torch.cat([torch.ones_like(batch.filled[:, :1]), batch.filled], 1)
        super().__init__(
            obs=batch.obs.agent_state.to(dtype),
            state=batch.obs.global_state.to(dtype),
            avail_actions=batch.obs.action_mask.int(),
            actions=with_last_row(batch.action).unsqueeze(-1),
            actions_onehot=F.one_hot(with_last_row(batch.action), batch.obs.action_mask.shape[-1]).to(dtype),
            reward=with_last_row(batch.reward).unsqueeze(-1).to(dtype),
            terminated=with_last_row(batch.terminated).unsqueeze(-1).to(torch.uint8),
            filled=next_row.unsqueeze(-1).long(),
        )
        self.batch_size, self.max_seq_length = next_row.shape
        self.device = batch.reward.device


def peer_gradients(
    folder: Path, policy: QMIXPolicy, batch: PeerBatch, sizes: dict[str, Any], learner_name: str
) -> tuple[float, Gradients]:
    """Run one update of PyMARL2's learner from the policy's weights; returns loss and gradients by dimix's names."""
    sys.path.insert(0, str(folder / "src"))
    # Imported by its modules only for printing; the real ones require StarCraft II and a plotting library.
    for module, attribute in {"envs.matrix_game": "print_matrix_status", "matplotlib.pyplot": "xcorr"}.items():
        stand_in = ModuleType(module)
        setattr(stand_in, attribute, None)
        sys.modules.update({module.split(".")[0]: stand_in, module: stand_in})
    make_controller, make_learner = peer_classes(learner_name)
    qplex, weighted = isinstance(policy.model.mixer, QPlexMixer), isinstance(policy.model, WQMix)
    args = SimpleNamespace(
        n_agents=sizes["agent_num"], n_actions=sizes["action_shape"], state_shape=sizes["global_obs_shape"],
        agent="rnn" if learner_name == "qplex_original" else "n_rnn", agent_output_type="q",
        action_selector="epsilon_greedy", rnn_hidden_dim=64,
        obs_last_action=False, obs_agent_id=False,  # they are in the observation already
        epsilon_start=1.0, epsilon_finish=0.05, epsilon_anneal_time=1, test_greedy=True,
        mixer={"qplex": "dmaq", "qplex_original": "dmaq", "qatten": "qatten"}.get(learner_name, "qmix"),
        mixing_embed_dim=32, hypernet_embed=64, use_cuda=False, learner_log_interval=1,
        optimizer="adam", lr=1e-3, gamma=GAMMA, td_lambda=LAMBDA, grad_norm_clip=1e30,
        target_update_interval=10**9, env="sc2",
        double_q=True, hypernet_layers=2, w=ALPHA, hysteretic_qmix=learner_name == "ow", qmix_loss=1, central_loss=1,
        central_mixer="ff", central_mac="basic_central_mac", central_agent="central_rnn", central_action_embed=1,
        central_mixing_embed_dim=256,
        adv_hypernet_layers=MIXERS.get(learner_name, {}).get("advantage_layers", 2), adv_hypernet_embed=64,
        num_kernel=4, is_minus_one=True, weighted_head=True, optim_alpha=0.99, optim_eps=1e-5,
        n_query_embedding_layer1=64, n_query_embedding_layer2=32, n_key_embedding_layer1=32, n_head_embedding_layer1=64,
        n_head_embedding_layer2=4, n_attention_head=4, n_constrant_value=32, type="weighted",
        agent_own_state_size=sizes["state_entities"][0]["size"],
    )  # fmt: skip
    logged: dict[str, float] = {}
    logger = SimpleNamespace(log_stat=lambda name, value, step: logged.update({name: value}))
    scheme = {"obs": {"vshape": sizes["obs_shape"]}}
    mac = make_controller(scheme, None, args)
    learner = make_learner(mac, scheme, logger, args)
    dtype = batch["obs"].dtype
    nets: list[tuple[Any, Any, QMix]] = [
        (mac.agent, learner.mixer, policy.model),
        (learner.target_mac.agent, learner.target_mixer, policy._target_model),
    ]
    if isinstance(policy.model, WQMix) and isinstance(policy._target_model, WQMix):
        nets += [
            (learner.central_mac.agent, learner.central_mixer, policy.model.central),
            (learner.target_central_mac.agent, learner.target_central_mixer, policy._target_model.central),
        ]
    for agent, mixer, model in nets:
        for theirs, ours in matching(agent.to(dtype), mixer.to(dtype), model):
            theirs.data.copy_(ours.data)
    with mock.patch.object(Tensor, "cuda", lambda tensor: tensor):  # QPLEX's learners move their one-hots there
        learner.train(batch, t_env=0, episode_num=0)
    twin = copy.deepcopy(policy.model)  # receives their gradients under our names
    for p in twin.parameters():
        p.grad = torch.full_like(p, torch.nan)  # a parameter without a partner shows
    twins = [(mac.agent, learner.mixer, twin)]
    if isinstance(twin, WQMix):
        twins.append((learner.central_mac.agent, learner.central_mixer, twin.central))
    for agent, mixer, model in twins:
        for theirs, ours in matching(agent, mixer, model, gradient=True):
            ours.copy_(theirs.grad)
    loss = float(logged["loss" if weighted or qplex else "loss_td"])
    share = 0.5 if weighted or learner_name == "qplex_original" else 1.0
    return share * loss, {name: share * p.grad for name, p in twin.named_parameters() if p.grad is not None}


def peer_classes(learner: str) -> tuple[Any, Any]:
    """Their controller and learner, from the folder in front of the module path."""
    if learner.startswith("qplex"):
        from learners.dmaq_qatten_learner import DMAQ_qattenLearner as Learner  # type: ignore[import-not-found]
    elif learner in ("ow", "cw"):
        from learners.max_q_learner import MAXQLearner as Learner  # type: ignore[import-not-found]
    else:
        from learners.nq_learner import NQLearner as Learner  # type: ignore[import-not-found]
    if learner == "qplex_original":
        from controllers.basic_controller import BasicMAC as Controller  # type: ignore[import-not-found]
    else:
        from controllers.n_controller import NMAC as Controller  # type: ignore[import-not-found]
    return Controller, Learner


def matching(agent: Any, mixer: Any, model: QMix, gradient: bool = False) -> list[tuple[Any, Tensor]]:
    """Pair their parameters with ours (or our gradients); the mixer's first layers are slices of one matrix."""

    def ours(parameter: Tensor) -> Tensor:
        data = parameter.grad if gradient else parameter.data
        assert data is not None
        return data

    def layer(theirs: Any, weight: Tensor, bias: Tensor, rows: slice | int = slice(None)) -> list[tuple[Any, Tensor]]:
        return [(theirs.weight, ours(weight)[rows]), (theirs.bias, ours(bias)[rows])]

    def heads(networks: Iterable[Any], own: Heads) -> Iterator[tuple[Any, Tensor]]:
        for k, network in enumerate(networks):
            first, *later = [part for part in network.modules() if isinstance(part, torch.nn.Linear)]
            yield from layer(first, own.first.weight, own.first.bias, slice(k * own.size, (k + 1) * own.size))
            for theirs, each in zip(later, own.later, strict=True):
                yield from layer(theirs, each.weight, each.bias, k)

    cell, mine, encoder = model.agent.memory.cell, model.mixer, model.agent.encoder[0]
    assert isinstance(cell, torch.nn.GRU) and isinstance(encoder, torch.nn.Linear)
    pairs = layer(agent.fc1, encoder.weight, encoder.bias) + layer(
        agent.fc2, model.agent.head.weight, model.agent.head.bias
    )
    pairs += [
        (getattr(agent.rnn, n), ours(getattr(cell, n + "_l0")))
        for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    ]
    if isinstance(mine, CentralMixer):
        for theirs, own in zip(
            [*mixer.net[::2], *mixer.V[::2]], [*mine.hidden, mine.out, mine.value_hidden, mine.value], strict=True
        ):
            pairs += layer(theirs, own.weight, own.bias)
        return pairs
    if isinstance(mine, QPlexMixer):
        attention, together = mixer.si_weight, ((mixer.hyper_w_final, mine.weight), (mixer.V, mine.bias))
        lists = [(attention.key_extractors, mine.key), (attention.agents_extractors, mine.agents)]
        lists += [(attention.action_extractors, mine.actions), *(([network], own) for network, own in together)]
        return pairs + [pair for networks, own in lists for pair in heads(networks, own)]
    if isinstance(mine, QattenMixer):
        keys = ours(mine.key.weight).chunk(len(mixer.key_embedding_layers))  # without a bias, which has no effect
        pairs += [(theirs.weight, own) for theirs, own in zip(mixer.key_embedding_layers, keys, strict=True)]
        lists = [(mixer.query_embedding_layers, mine.query), ([mixer.head_embedding_layer], mine.weight)]
        lists += [([mixer.constrant_value_layer], mine.value)]
        return pairs + [pair for networks, own in lists for pair in heads(networks, own)]
    assert isinstance(mine, Mixer)
    if hasattr(mixer, "hyper_w_1"):  # the mixer of MAXQLearner; NQLearner's uses other names
        hyper_w1, hyper_w2, hyper_b1, value_net = mixer.hyper_w_1, mixer.hyper_w_final, mixer.hyper_b_1, mixer.V
    else:
        hyper_w1, hyper_w2, hyper_b1, value_net = mixer.hyper_w1, mixer.hyper_w2, mixer.hyper_b1[0], mixer.hyper_b2
    first = mine.state_layer
    w1, w2, value, b1 = torch.arange(sum(mine.split)).split(mine.split)
    pairs += layer(hyper_w1[2], mine.w1.weight, mine.w1.bias) + layer(hyper_w2[2], mine.w2.weight, mine.w2.bias)
    pairs += layer(value_net[2], mine.value.weight, mine.value.bias)
    for theirs, rows in [(hyper_w1[0], w1), (hyper_w2[0], w2), (value_net[0], value), (hyper_b1, b1)]:
        pairs += layer(theirs, first.weight, first.bias, slice(int(rows[0]), int(rows[-1]) + 1))
    return pairs


def main() -> int:
    """Print the table; returns 1 if a difference exceeds the tolerance."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pymarl2", type=Path, required=True, help="a clone of hijkzzz/pymarl2")
    parser.add_argument("--learner", choices=["qmix", "ow", "cw", *MIXERS], default="qmix")
    parser.add_argument("--map", default="MMM")
    parser.add_argument("--episodes", type=int, default=32)
    parser.add_argument("--double", action="store_true", help="both sides in float64 (plain form only)")
    parser.add_argument("--tolerance", type=float, default=1e-5)
    args = parser.parse_args()
    if not (args.pymarl2 / "src" / "learners" / "q_learner.py").is_file():
        parser.error(f"--pymarl2 {args.pymarl2}: no src/learners/q_learner.py in it. Give a clone of hijkzzz/pymarl2.")
    torch.set_num_threads(1)
    dtype = torch.float64 if args.double else torch.float32
    batch, sizes = record(args.map, args.episodes)
    floats = {k: v.to(dtype) if v.is_floating_point() else v for k, v in batch_fields(batch).items()}
    batch = make_batch(floats)
    print(f"{args.learner} on {args.map}: {args.episodes} episodes, {int(batch.filled.sum())} steps, {dtype}")
    runs: dict[str, tuple[float, Gradients]] = {}
    for name, fused in [("plain", False)] if args.double else [("plain", False), ("fused", True)]:
        policy = make_policy(sizes, dtype, fused, args.learner)
        if "pymarl2" not in runs:
            runs["pymarl2"] = peer_gradients(args.pymarl2, policy, PeerBatch(batch, dtype), sizes, args.learner)
        loss = policy.learn_mode.forward(batch)["loss"]
        runs[name] = loss, {n: p.grad for n, p in policy.model.named_parameters() if p.grad is not None}
    return report(runs, args.tolerance)


def report(runs: dict[str, tuple[float, Gradients]], tolerance: float) -> int:
    """Print relative differences of the loss and, in the Euclidean norm, of each parameter's gradient."""
    loss, grads = runs.pop("pymarl2")
    worst = {name: abs(ours / loss - 1) for name, (ours, _) in runs.items()}
    lines = [["loss", f"{loss:.9g}", *(f"{d:.1e}" for d in worst.values())]]
    for parameter, grad in grads.items():
        far = {n: float((g[parameter] - grad).norm() / grad.norm()) for n, (_, g) in runs.items()}
        worst = {n: max(worst[n], d) for n, d in far.items()}
        lines.append([parameter, f"{float(grad.norm()):.4g}", *(f"{d:.1e}" for d in far.values())])
    print(table(("quantity", "PyMARL2", *runs), lines))
    good = all(d < tolerance for d in worst.values())  # NaN is not below it
    print(f"largest relative difference {max(worst.values()):.1e}: {'below' if good else 'NOT below'} {tolerance:g}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
