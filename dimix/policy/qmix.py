"""QMIX: Monotonic Value Function Factorisation for Deep Multi-Agent Reinforcement Learning (Rashid et al. 2018)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from dimix.config.checks import lookup
from dimix.errors import BatchError, CheckpointError, ConfigError, TrainingError
from dimix.model import Packing, QMix
from dimix.policy import value_learning
from dimix.policy.base import Policy
from dimix.policy.exploration import Explorer, epsilon_greedy, greedy
from dimix.policy.optim import check_optimizer, make_optimizer, soft_update
from dimix.policy.running_moments import RunningMoments
from dimix.policy.schedule import Schedule
from dimix.registry import POLICY_REGISTRY
from dimix.replay.batch import EpisodeBatch, cut_steps


class Learned(NamedTuple):
    """What one step of the optimizer was made of."""

    steps: int  # that carried loss
    metrics: dict[str, float]  # means over them
    errors: tuple[Tensor, Tensor]  # (B, T) TD errors, and which steps count


@POLICY_REGISTRY.register("qmix")
class QMIXPolicy(Policy):
    """QMIX with the options of PyMARL2's fine-tuned recipe: Adam, TD(lambda), double Q, masks, exploration per agent.

    One update is `_forward_learn`. A variant overrides one of the small methods that it calls:

    =====================  ======================================================================================
    `_reward`              rewards as the targets see them
    `_agent_value`         an agent's value as the mixer sees it (what a dead agent counts)
    `_next_q`              value of each agent's next row (double Q, masks)
    `_mix`                 from agents' values to what is learned (team value; agents' own values for IQL)
    `_target`              targets (one-step, n-step, TD(lambda), Q(lambda))
    `_loss`                what is minimised
    `_loss_weight`         weight of each step's error (importance weights; WQMIX)
    =====================  ======================================================================================
    """

    config: ClassVar[dict[str, Any]] = dict(
        # (str) Registered name of the policy.
        type="qmix",
        # (bool) Compute on CUDA when device is "auto"; for networks of this size the CPU is usually faster.
        cuda=False,
        # (str) Device: "auto" follows the key cuda; "cpu", "cuda", "cuda:1", "mps".
        device="auto",
        # (bool) Only False: QMIX learns from a replay buffer.
        on_policy=False,
        # (bool) Prioritised replay: the update reports a priority per sample to the buffer.
        priority=False,
        # (bool) Correct the bias of prioritised replay with importance weights; needs priority=True.
        priority_IS_weight=False,
        # (dict) Network; the keys are those of the model's own config.
        model=dict(),
        learn=dict(
            # (int) Updates after each collection, >= 1.
            update_per_collect=2,
            # (int) Sampled units (episodes, or windows of collect.unroll_len) per update, >= 1.
            batch_size=32,
            # (float) Learning rate at the start, > 0.
            learning_rate=0.001,
            # (str) How the learning rate changes, one of "constant", "linear", "cosine", "exp", "step".
            lr_schedule="constant",
            # (float) Learning rate at the end of the schedule, >= 0.
            lr_end=0.0,
            # (int) Length of the learning rate's schedule in updates (of one stair for "step"), >= 1.
            lr_decay=100_000,
            # (float) What each stair of the schedule "step" multiplies the learning rate by, in (0, 1].
            lr_factor=0.5,
            # (str) Optimizer: any of torch.optim by name.
            optimizer="adam",
            # (dict) Further arguments of the optimizer, for example dict(weight_decay=1e-5).
            optimizer_kwargs=dict(),
            # (float) Gradient clipping: the largest norm of all gradients, or the largest value of one, > 0.
            clip_value=10.0,
            # (str) What clip_value limits, one of "norm", "value", "none".
            clip_type="norm",
            # (float) Soft target: share of the way to the online network per update; 1 copies, in [0, 1].
            target_update_theta=0.05,
            # (int) Hard target: copy the online network every so many updates instead; 0 leaves it to theta, >= 0.
            target_update_freq=0,
            # (int) Hard target: copy it every so many training episodes instead (PyMARL's habit: 200); 0: do not, >= 0.
            target_update_interval=0,
            # (float) Evaluation plays with averaged weights: their step per update, larger at first; 1: off, in [0, 1].
            average_theta=0.005,
            # (float) Discount of future reward per step, in [0, 1].
            discount_factor=0.99,
            # (int | None) Whole episodes are learned from in chunks of so many steps, each with a step of the optimizer
            # and gradients of its own (truncated backpropagation); None learns from a batch at once, >= 1.
            tbptt=None,
            # (bool) Double Q: the online network picks the next action, the target network values it.
            double_q=True,
            # (str) Targets, one of "td_lambda", "q_lambda", "n_step"; td_lambda=0 or n_step=1 is one-step Q-learning.
            target="td_lambda",
            # (float) Lambda of the targets "td_lambda" and "q_lambda", in [0, 1].
            td_lambda=0.8,
            # (int) Rewards summed by the target "n_step", >= 1.
            n_step=1,
            # (bool) A dead agent counts 0 in the mix and is not computed; False counts its no-op's value (PyMARL).
            mask_dead_agents=True,
            # (float) Factor on all rewards, > 0.
            reward_scale=1.0,
            # (bool) Rewards of a batch are brought to mean 0 and deviation 1 over its steps, then scaled (CleanMARL).
            reward_normalize=False,
            # (bool) The same with mean and deviation of all rewards sampled so far (EPyMARL's standardise_rewards).
            reward_standardise=False,
            # (float | None) Largest size of a reward, after reward_scale; None does not clip, > 0.
            reward_clip=None,
            # (str) A sample's priority: its TD errors' mean or maximum, or its return, one of "mean", "max", "return".
            priority_type="mean",
        ),
        collect=dict(
            # (int) Episodes gathered between two rounds of updates, >= 1.
            n_episode=8,
            # (int | None) Steps of a sampled window; None samples whole episodes, >= 1.
            unroll_len=None,
            # (int | None) Environments; checked against env.collector_env_num if given, >= 1.
            env_num=None,
        ),
        eval=dict(
            # (int | None) Environments; checked against env.evaluator_env_num if given, >= 1.
            env_num=None,
            evaluator=dict(
                # (int) Updates between two evaluations, >= 1.
                eval_freq=50,
            ),
        ),
        other=dict(
            eps=dict(
                # (str) How the chance of a random action falls, one of "linear", "exp", "cosine", "constant".
                type="linear",
                # (float) Chance of a random action at the start, per agent and step, in [0, 1].
                start=1.0,
                # (float) Chance of a random action at the end, in [0, 1].
                end=0.05,
                # (int) Length of the decay in env steps (for "exp" the time constant), >= 1.
                decay=50_000,
                # (float) Steps that a random action is held, on average; epsilon stays the share of random steps, >= 1.
                hold=1.0,
            ),
            replay_buffer=dict(
                # (int) Capacity in sampled units (episodes, or windows of collect.unroll_len), >= 1.
                replay_buffer_size=5000,
            ),
        ),
    )

    config_ignored: ClassVar[dict[str, str]] = {
        "learn.n_epochs": "updates after each collection are the key learn.update_per_collect"
    }

    _model: QMix

    def default_model(self) -> tuple[str, list[str]]:
        """See `Policy.default_model`."""
        return "qmix", ["dimix.model"]

    @property
    def model(self) -> QMix:
        """The network that acts and learns."""
        return self._model

    def init_hidden(self, num_envs: int) -> Tensor:
        """Hidden state of `num_envs` episodes at their start: (E, A, H) zeros."""
        return self._model.init_hidden(num_envs)

    @classmethod
    def check_config(cls, cfg: Mapping[str, Any], model_class: type, report: Callable[[str, str], None]) -> None:
        """See `Policy.check_config`."""
        learn = cfg["learn"]
        if cfg["on_policy"]:
            report("on_policy", "True. QMIX learns from a replay buffer; use False.")
        cls._check_priorities(cfg, report)
        cls._check_memory(cfg, report)
        freq, interval, theta = (learn[f"target_update_{name}"] for name in ("freq", "interval", "theta"))
        if freq and interval:
            report(
                "learn.target_update_interval",
                f"{interval} episodes, but policy.learn.target_update_freq = {freq} updates as well. Set one of them "
                "to 0.",
            )
        if not (freq or interval or theta):
            report(
                "learn.target_update_theta",
                "0, and so are target_update_freq and target_update_interval: the target network would never change. "
                "Set one, for example target_update_theta=0.05.",
            )
        if learn["n_step"] > 1 and learn["target"] != "n_step":
            report("learn.n_step", f"{learn['n_step']}, but policy.learn.target = '{learn['target']}'. Use 'n_step'.")
        if learn["reward_normalize"] and learn["reward_standardise"]:
            report("learn.reward_standardise", "True together with reward_normalize. Use one of the two.")
        try:
            check_optimizer(learn["optimizer"], learn["learning_rate"], learn["optimizer_kwargs"])
        except ConfigError as e:
            key, _, text = str(e).partition(": ")
            report(key.removeprefix("policy."), text)

    @classmethod
    def _check_priorities(cls, cfg: Mapping[str, Any], report: Callable[[str, str], None]) -> None:
        if cfg["priority"]:
            return
        if cfg["priority_IS_weight"]:
            report("priority_IS_weight", "True without priorities. Set policy.priority=True too, or this one to False.")
        if cfg["learn"]["priority_type"] == "return":
            report("learn.priority_type", "'return' without priorities. Set policy.priority=True too.")

    @classmethod
    def _check_memory(cls, cfg: Mapping[str, Any], report: Callable[[str, str], None]) -> None:
        length, unroll = cfg["learn"]["tbptt"], cfg["collect"]["unroll_len"]
        if length and unroll:
            report(
                "learn.tbptt",
                f"{length}, but windows are sampled (policy.collect.unroll_len = {unroll}), which gradients do not "
                "leave anyway. Use one of the two.",
            )
        if lookup(cfg, "model.lstm_type") == "mlp":
            for key, off in (("learn.tbptt", None), ("collect.burnin_len", 0)):
                if value := lookup(cfg, key):
                    report(key, f"{value}, but agents of lstm_type 'mlp' have no memory. Use {off}, or a GRU.")

    # ---- learning ------------------------------------------------------------------------------------------------

    def _init_learn(self) -> None:
        learn = self._cfg.learn
        self._gamma = float(learn.discount_factor)
        self._learning_rate = Schedule(
            learn.lr_schedule, learn.learning_rate, learn.lr_end, learn.lr_decay, learn.lr_factor
        )
        self._target_model = copy.deepcopy(self._model).requires_grad_(False)
        self._averaged_model = copy.deepcopy(self._model).requires_grad_(False)
        self._params = self._learn_params()
        self._optimizer = make_optimizer(learn.optimizer, self._params, learn.learning_rate, learn.optimizer_kwargs)
        self._train_iter = 0
        self._copied_at = 0  # training episodes played when the target network was copied
        self._reward_moments = RunningMoments()
        self._return_range = [float("inf"), float("-inf")]  # smallest and largest return of a sample

    def _learn_params(self) -> list[nn.Parameter]:
        return list(self._model.parameters())

    def _forward_learn(self, batch: EpisodeBatch) -> dict[str, Any]:
        """One update.

        Args:
            batch: see `EpisodeBatch`.

        Returns:
            Metrics by name (see `_monitor_vars_learn`); with prioritised replay also ``priority``, (B,) float array.

        Raises:
            BatchError: the hidden state is not of the model's size.
            TrainingError: loss or gradient is not finite; the weights are as they were.
        """
        batch = batch.to(self.device)
        if self._cfg.learn.reward_standardise:
            self._reward_moments.add(batch.reward[batch.filled])
        pieces = self._learn_at_once(batch) if self._cfg.learn.tbptt is None else self._learn_in_chunks(batch)
        done = list(pieces)  # each made a step of the optimizer
        self._train_iter += 1
        self._update_target()
        self._update_average()
        steps = sum(piece.steps for piece in done)
        metrics: dict[str, Any] = {
            name: sum(piece.metrics[name] * (piece.steps / steps) for piece in done) for name in done[0].metrics
        }
        metrics["learning_rate"] = self._optimizer.param_groups[0]["lr"]
        if self._cfg.priority:
            td_error, step_mask = (torch.cat(parts, 1) for parts in zip(*(p.errors for p in done), strict=True))
            metrics["priority"] = self._sample_priority(batch, td_error, step_mask)
        return metrics

    def _learn_at_once(self, batch: EpisodeBatch) -> Iterator[Learned]:
        """One step of the optimizer over the whole batch."""
        with_next = batch.filled & ~batch.terminated  # steps whose next row counts
        values = self._unroll(batch, self._computed_rows(batch, with_next))
        yield self._learn(batch, values, self._target_of(batch, values, with_next))

    def _learn_in_chunks(self, batch: EpisodeBatch) -> Iterator[Learned]:
        """Truncated backpropagation: a step of the optimizer per chunk of ``tbptt`` steps.

        Targets of all chunks are made first, so lambda returns reach across them. Hidden states are carried from chunk
        to chunk without gradient, as the weights of their time made them.
        """
        length, networks = self._cfg.learn.tbptt, self._networks()
        with_next = batch.filled & ~batch.terminated
        valid = self._computed_rows(batch, with_next)
        with torch.no_grad():
            before = self._unroll(batch, valid)
            target_q_tot = self._target_of(batch, before, with_next)
        learns = [any(p.requires_grad for p in network.parameters()) for network in networks]
        hidden = [self._start_state(network, batch) for network in networks]
        for start in range(0, batch.filled.shape[1], length):
            piece = cut_steps(batch, start, start + length)
            rows = valid[:, start : start + length + 1].clone()
            rows[:, -1] = False  # the row behind the chunk is the next one's first
            packing = self._model.packing(rows)
            packed = packing.pack(piece.obs.agent_state)
            values = [v[:, start : start + length + 1] for v in before]
            for i, network in enumerate(networks):
                if learns[i]:
                    values[i], after = self._row_values(network, packed, packing, hidden[i])
                    hidden[i] = after.detach()
            yield self._learn(piece, values, target_q_tot[:, start : start + length])

    def _learn(self, batch: EpisodeBatch, values: list[Tensor], target_q_tot: Tensor) -> Learned:
        """One step of the optimizer towards given targets (B, T); values as `_unroll` gives them."""
        step_mask = self._step_mask(batch)
        q_tot = self._taken_value(batch, self._model, values[0])
        td_error = q_tot - target_q_tot
        loss, parts = self._loss(batch, values, td_error, target_q_tot, step_mask)
        grads = self._step_optimizer(loss)
        with torch.no_grad():
            metrics = {
                "loss": loss.item(),
                "grads": grads,
                "q_tot": value_learning.masked_mean(q_tot, step_mask).item(),
                "target_q_tot": value_learning.masked_mean(target_q_tot, step_mask).item(),
                "td_error_abs": value_learning.masked_mean(td_error.abs(), step_mask).item(),
                **{name: value.item() for name, value in parts.items()},
            }
        return Learned(int(step_mask.sum()), metrics, (td_error.detach(), step_mask))

    @torch.no_grad()
    def _target_of(self, batch: EpisodeBatch, values: list[Tensor], with_next: Tensor) -> Tensor:
        """(B, T): targets; arguments as in `_next_value`."""
        return self._target(batch, self._next_value(batch, values, with_next), values[1])

    def _computed_rows(self, batch: EpisodeBatch, with_next: Tensor) -> Tensor:
        """(B, T+1, A) bool: rows whose Q-values something reads, of agents that count."""
        read = torch.zeros_like(batch.alive[..., 0])
        read[:, :-1] = batch.filled
        read[:, 1:] |= with_next
        rows = read.unsqueeze(-1)
        return rows & batch.alive if self._cfg.learn.mask_dead_agents else rows.expand_as(batch.alive)

    def _networks(self) -> list[QMix]:
        """Networks that an update unrolls: the one that acts, the one that targets are made with, a variant's own."""
        return [self._model, self._target_model]

    def _start_state(self, network: QMix, batch: EpisodeBatch) -> Tensor:
        """(B, A, H): hidden state that a network starts the batch's samples from."""
        return batch.hidden_state

    def _unroll(self, batch: EpisodeBatch, valid: Tensor) -> list[Tensor]:
        """Q-values of all rows, (B, T+1, A, N), by each of `_networks`; those of targets know no gradient.

        The first ``burnin`` rows of a sample only warm the hidden state, each network its own, without gradient; their
        Q-values read 0.
        """
        size = batch.hidden_state.shape[-1]
        if size != self._model.state_size:
            raise BatchError(
                f"batch field 'hidden_state': shape {tuple(batch.hidden_state.shape)}. Right is "
                f"H = {self._model.state_size}, the size of the model's state."
            )
        networks, first_step = self._networks(), None
        hidden = [self._start_state(network, batch) for network in networks]
        if batch.burnin.any():
            first_step = batch.burnin
            packing = self._model.packing(valid & ~self._behind(batch.burnin, valid.shape[1]).unsqueeze(2))
            rows = packing.pack(batch.obs.agent_state)
            with torch.no_grad():
                hidden = [n.unroll_packed(rows, packing, h)[1] for n, h in zip(networks, hidden, strict=True)]
        packing = self._model.packing(valid, first_step)
        rows = packing.pack(batch.obs.agent_state)
        return [self._row_values(n, rows, packing, h)[0] for n, h in zip(networks, hidden, strict=True)]

    def _row_values(self, network: QMix, rows: Tensor, packing: Packing, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """What one network says of all rows, Q-values (B, T+1, A, N), and its hidden state behind them (B, A, H)."""
        return network.unroll_packed(rows, packing, hidden)

    def _taken_value(self, batch: EpisodeBatch, network: QMix, q: Tensor) -> Tensor:
        """(B, T) team value of the actions taken, by a network that gave the Q-values q (B, T+1, A, N)."""
        action = nn.functional.pad(batch.action, (0, 0, 0, 1))  # cheaper than slicing q
        taken = self._agent_value(value_learning.chosen_q(q, action)[:, :-1], batch.alive[:, :-1])
        return self._mix(network, taken, batch.obs.global_state[:, :-1], batch.filled)

    def _next_value(self, batch: EpisodeBatch, values: list[Tensor], with_next: Tensor) -> Tensor:
        """(B, T) team value of the best actions in row t+1, computed where `with_next` (B, T) holds.

        Args:
            batch: see `EpisodeBatch`.
            values: what `_unroll` gave.
            with_next: steps whose next row counts.
        """
        q, target_q = values[0].detach(), values[1]
        next_q = self._next_q(q[:, 1:], target_q[:, 1:], batch.obs.action_mask[:, 1:])
        next_q = self._agent_value(next_q, batch.alive[:, 1:])
        return self._mix(self._networks()[1], next_q, batch.obs.global_state[:, 1:], with_next)

    def _step_mask(self, batch: EpisodeBatch) -> Tensor:
        """(B, T) bool: steps that carry loss."""
        return batch.filled & self._behind(batch.burnin, batch.filled.shape[1])

    @staticmethod
    def _behind(first_step: Tensor, steps: int) -> Tensor:
        """(B, T) bool: steps from each sample's first one on."""
        return torch.arange(steps, device=first_step.device) >= first_step.unsqueeze(1)

    def _reward(self, batch: EpisodeBatch) -> Tensor:
        """(B, T) float: rewards as the targets see them."""
        learn, reward = self._cfg.learn, batch.reward
        if learn.reward_normalize:
            real = reward[batch.filled]
            reward = (reward - real.mean()) / (real.std(correction=0) + 1e-5)  # deviation 0: all rewards alike
        if learn.reward_standardise:
            reward = (reward - self._reward_moments.mean) / (self._reward_moments.std + 1e-5)
        reward = reward * learn.reward_scale
        return reward if learn.reward_clip is None else reward.clamp(-learn.reward_clip, learn.reward_clip)

    def _agent_value(self, q: Tensor, alive: Tensor) -> Tensor:
        """(B, T, A) values as the mixer sees them: a dead agent's is 0 unless the config counts its no-op."""
        return torch.where(alive, q, 0.0) if self._cfg.learn.mask_dead_agents else q

    def _next_q(self, q: Tensor, target_q: Tensor, action_mask: Tensor) -> Tensor:
        """Value of each agent's best available action.

        Args:
            q: (B, T, A, N) online network.
            target_q: (B, T, A, N) target network.
            action_mask: (B, T, A, N) bool, of the same rows.

        Returns:
            (B, T, A) float: ``target_q`` at the argmax of ``q`` (double Q, van Hasselt et al. 2016), or its maximum.
        """
        if self._cfg.learn.double_q:
            return value_learning.chosen_q(target_q, value_learning.masked_argmax(q, action_mask))
        return value_learning.masked_max(target_q, action_mask)

    def _mix(self, model: QMix, q: Tensor, global_state: Tensor, used: Tensor) -> Tensor:
        """Team value of each step, computed where it is used.

        Args:
            model: online or target network.
            q: (B, T, A) agents' values.
            global_state: (B, T, S).
            used: (B, T) bool.

        Returns:
            (B, T) float, 0 where it is not used.
        """
        rows = used.flatten().nonzero().squeeze(1)
        q_tot = model.mix(q.flatten(0, 1).index_select(0, rows), global_state.flatten(0, 1).index_select(0, rows))
        return q_tot.new_zeros(used.numel()).index_copy(0, rows, q_tot).view(used.shape)

    def _target(self, batch: EpisodeBatch, next_q: Tensor, target_q: Tensor) -> Tensor:
        """What q_tot should be.

        Args:
            batch: for rewards, ends and padding.
            next_q: (B, T) value of row t+1 under the target network.
            target_q: (B, T+1, A, N) the target network's Q-values of all rows.

        Returns:
            (B, T) float.
        """
        learn, gamma = self._cfg.learn, self._gamma
        step = (self._reward(batch), batch.terminated, batch.filled)
        reward, terminated, filled = (self._per_step(x) for x in step)
        if learn.target == "n_step":
            return value_learning.n_step_targets(reward, terminated, filled, next_q, gamma, learn.n_step)
        if learn.target == "q_lambda":
            chosen = self._next_chosen(batch, target_q)
            return value_learning.q_lambda_targets(reward, terminated, filled, next_q, chosen, gamma, learn.td_lambda)
        return value_learning.td_lambda_targets(reward, terminated, filled, next_q, gamma, learn.td_lambda)

    def _per_step(self, x: Tensor) -> Tensor:
        """(B, T) of the team in a shape that broadcasts against what `_mix` returns."""
        return x

    def _next_chosen(self, batch: EpisodeBatch, target_q: Tensor) -> Tensor:
        """(B, T) team value of the actions taken in row t+1, under the target network; 0 where none was taken."""
        values = self._taken_value(batch, self._networks()[1], target_q)
        return torch.cat([values[:, 1:], torch.zeros_like(values[:, :1])], 1)

    def _loss(
        self, batch: EpisodeBatch, values: list[Tensor], td_error: Tensor, target_q_tot: Tensor, step_mask: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """What is minimised, () float, and its parts by name (metrics); a variant adds another network's loss here.

        Args:
            batch: see `EpisodeBatch`.
            values: what `_unroll` gave.
            td_error: (B, T) with gradient.
            target_q_tot: (B, T) without.
            step_mask: (B, T) bool, steps that carry loss.
        """
        return value_learning.masked_loss(td_error, step_mask, self._loss_weight(batch, td_error.detach())), {}

    def _loss_weight(self, batch: EpisodeBatch, td_error: Tensor) -> Tensor | None:
        """Weight of each step's loss, broadcastable to td_error (B, T); None for ones."""
        return self._per_step(batch.weight.unsqueeze(1)) if self._cfg.priority_IS_weight else None

    def _sample_priority(self, batch: EpisodeBatch, td_error: Tensor, mask: Tensor) -> np.ndarray:
        """(B,) float: priority of each sample, as the config makes it."""
        if self._cfg.learn.priority_type == "return":
            return self._return_priority(batch)
        return self._priority(td_error, mask)

    def _return_priority(self, batch: EpisodeBatch) -> np.ndarray:
        """(B,) float in [0, 1]: where each sample's return lies between the smallest and the largest so far."""
        returns = torch.where(batch.filled, batch.reward, 0.0).sum(1)
        low, high = self._return_range
        low, high = self._return_range = [min(low, returns.min().item()), max(high, returns.max().item())]
        return ((returns - low) / max(high - low, 1e-5)).cpu().numpy()

    def _priority(self, td_error: Tensor, mask: Tensor) -> np.ndarray:
        """(B,) float: how much each sample surprised."""
        error = torch.where(mask, td_error.abs(), 0.0)
        if self._cfg.learn.priority_type == "max":
            return error.amax(1).cpu().numpy()
        return (error.sum(1) / mask.sum(1).clamp(min=1)).cpu().numpy()

    def _step_optimizer(self, loss: Tensor) -> float:
        """Backward, clip, step; returns the gradients' norm before clipping."""
        learn = self._cfg.learn
        self._optimizer.zero_grad()
        loss.backward()
        clip = learn.clip_value if learn.clip_type == "norm" else float("inf")
        grads = nn.utils.clip_grad_norm_(self._params, clip).item()
        if not (torch.isfinite(loss) and np.isfinite(grads)):
            raise TrainingError(
                f"update {self._train_iter}: loss {loss.item()}, gradient norm {grads}. Both must be finite; "
                "the weights are those before this update."
            )
        if learn.clip_type == "value":
            nn.utils.clip_grad_value_(self._params, learn.clip_value)
        for group in self._optimizer.param_groups:
            group["lr"] = self._learning_rate(self._train_iter)
        self._optimizer.step()
        return grads

    def _update_average(self) -> None:
        """Greedy play flips with single updates where two actions are nearly worth the same; averaged weights do not.

        Polyak and Juditsky 1992, "Acceleration of Stochastic Approximation by Averaging". While few updates were made
        the average reaches back over a tenth of them at most, so that it does not lag behind what is learned.
        """
        theta = max(self._cfg.learn.average_theta, 9 / (9 + self._train_iter))
        soft_update(self._averaged_model, self._model, theta)

    @property
    def eval_model(self) -> QMix:
        """The network that evaluation plays with: the averaged weights, unless the config turns averaging off."""
        return self._averaged_model if self._cfg.learn.average_theta < 1 else self._model

    def _update_target(self) -> None:
        freq, interval = self._cfg.learn.target_update_freq, self._cfg.learn.target_update_interval
        if interval:
            if self.episode_count - self._copied_at >= interval:
                soft_update(self._target_model, self._model, 1.0)
                self._copied_at = self.episode_count
        elif freq == 0:
            soft_update(self._target_model, self._model, self._cfg.learn.target_update_theta)
        elif self._train_iter % freq == 0:
            soft_update(self._target_model, self._model, 1.0)

    def _monitor_vars_learn(self) -> list[str]:
        return ["loss", "grads", "learning_rate", "q_tot", "target_q_tot", "td_error_abs"]

    def _state_dict_learn(self) -> dict[str, Any]:
        return {
            "model": self._model.state_dict(),
            "target_model": self._target_model.state_dict(),
            "averaged_model": self._averaged_model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "train_iter": self._train_iter,
            "copied_at": self._copied_at,
            "reward_moments": self._reward_moments.state_dict(),
            "return_range": list(self._return_range),
        }

    def _load_state_dict_learn(self, state: dict[str, Any]) -> None:
        try:
            self._model.load_state_dict(state["model"])
            self._target_model.load_state_dict(state["target_model"])
            self._averaged_model.load_state_dict(state["averaged_model"])
            self._optimizer.load_state_dict(state["optimizer"])
            self._train_iter = int(state["train_iter"])
            self._copied_at = int(state.get("copied_at", 0))
            if "reward_moments" in state:  # not in files of earlier versions
                self._reward_moments.load_state_dict(state["reward_moments"])
                self._return_range = list(state["return_range"])
        except (KeyError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())  # torch writes several lines
            raise CheckpointError(f"checkpoint does not fit this policy and model: {reason}") from error

    # ---- acting --------------------------------------------------------------------------------------------------

    def _init_collect(self) -> None:
        self._explorer = Explorer(self._cfg.other.eps.hold, self._stream(0))

    def _forward_collect(
        self, obs: Mapping[str, np.ndarray], hidden_state: Tensor, epsilon: float | np.ndarray
    ) -> tuple[np.ndarray, Tensor]:
        q, hidden_state = self._act(self._model, obs, hidden_state)
        return self._explorer.choose(q, obs["action_mask"], epsilon), hidden_state

    def _begin_collect(self, env_ids: np.ndarray) -> None:
        self._explorer.begin(env_ids)

    def _state_dict_collect(self) -> dict[str, Any]:
        return self._explorer.state_dict()

    def _load_state_dict_collect(self, state: dict[str, Any]) -> None:
        self._explorer.load_state_dict(state)

    def _init_eval(self) -> None:
        self._eval_stream = self._stream(1)

    def _forward_eval(
        self, obs: Mapping[str, np.ndarray], hidden_state: Tensor, epsilon: float | np.ndarray = 0.0
    ) -> tuple[np.ndarray, Tensor]:
        q, hidden_state = self._act(self.eval_model, obs, hidden_state)
        self.eval_q = q
        if np.any(epsilon):
            return epsilon_greedy(q, obs["action_mask"], epsilon, self._eval_stream), hidden_state
        return greedy(q, obs["action_mask"]), hidden_state

    def _state_dict_eval(self) -> dict[str, Any]:
        return {"stream": self._eval_stream.bit_generator.state}

    def _load_state_dict_eval(self, state: dict[str, Any]) -> None:
        self._eval_stream.bit_generator.state = state["stream"]

    @torch.no_grad()
    def _act(self, model: QMix, obs: Mapping[str, np.ndarray], hidden_state: Tensor) -> tuple[np.ndarray, Tensor]:
        agent_state = torch.from_numpy(obs["agent_state"]).to(self.device)
        q, hidden_state = model.forward_step(agent_state, hidden_state.to(self.device))
        return q.cpu().numpy(), hidden_state
