"""QMIX: Monotonic Value Function Factorisation for Deep Multi-Agent Reinforcement Learning (Rashid et al. 2018)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from dimix.config.checks import lookup
from dimix.config.compile import model_options
from dimix.errors import BatchError, CheckpointError, ConfigError
from dimix.model import QMix
from dimix.policy import value_learning
from dimix.policy.acting import ValuePolicy
from dimix.policy.optim import GradientStep, check_optimizer, make_optimizer
from dimix.policy.priority import SamplePriority
from dimix.policy.rewards import Rewards
from dimix.policy.schedule import Schedule
from dimix.policy.target_network import TargetUpdate, follower, update_average
from dimix.policy.unroll import Outputs, since, unroll, unroll_chunks
from dimix.registry import POLICY_REGISTRY
from dimix.replay.batch import EpisodeBatch

#: Methods that variants overrode up to 0.1, and what replaces them.
_FORMER_HOOKS = {
    **dict.fromkeys(("_mix", "_agent_value"), "_team_value"),
    **dict.fromkeys(("_next_q", "_next_value"), "_target"),
    "_row_values": "_team_value",
    "_model_options": "default_model, or the model's own config",
}


class Learned(NamedTuple):
    """Result of one step of the optimizer."""

    metrics: dict[str, float]  # means over the steps in the mask
    td_error: Tensor  # (B, T), or (B, T, A) without a mixer
    mask: Tensor  # bool of that shape, True where the error counts


@POLICY_REGISTRY.register("qmix")
class QMIXPolicy(ValuePolicy):
    """QMIX with the options of PyMARL2's fine-tuned recipe: Adam, TD(lambda), double Q, masks, exploration per agent.

    One update is `_forward_learn`: targets, loss, step. Networks go by name: ``"online"``, ``"target"``, and any that
    a variant adds. A variant overrides one of these:

    ================  ===========================================================================================
    `_networks`       the networks of an update, by name
    `_start_state`    a network's hidden state at the start of the samples
    `_team_value`     the team's value of joint actions
    `_reward`         rewards as used in the targets
    `_target`         targets (one-step, n-step, TD(lambda), Q(lambda))
    `_loss`           the loss, and its parts
    `_loss_weight`    weight of each step's error (importance weights)
    ================  ===========================================================================================

    Rewards, target network and priorities are objects made in `_init_learn` (`Rewards`, `TargetUpdate`,
    `SamplePriority`). Shapes are given for a team's value, (B, T); without a mixer they are (B, T, A).
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
            # (float) Factor on the learning rate at each stair of the schedule "step", in (0, 1].
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
            # (int) Hard target: updates between two copies of the online network; 0 uses theta instead, >= 0.
            target_update_freq=0,
            # (int) Hard target: training episodes between two copies (PyMARL: 200); 0 turns this off, >= 0.
            target_update_interval=0,
            # (float) Evaluation plays with averaged weights: their step per update, larger at first; 1: off, in [0, 1].
            average_theta=0.005,
            # (float) Discount of future reward per step, in [0, 1].
            discount_factor=0.99,
            # (int | None) Truncated backpropagation: steps of a chunk of whole episodes, each chunk with a step of the
            # optimizer; None learns from the whole batch at once, >= 1.
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
            # (bool) Normalise rewards to mean 0 and deviation 1 over the steps of a batch, before scaling (CleanMARL).
            reward_normalize=False,
            # (bool) The same with mean and deviation of all rewards sampled so far (EPyMARL's standardise_rewards).
            reward_standardise=False,
            # (float | None) Largest magnitude of a reward, after reward_scale; None does not clip, > 0.
            reward_clip=None,
            # (str) A sample's priority: its TD errors' mean or maximum, or its return, one of "mean", "max", "return".
            priority_type="mean",
        ),
        collect=dict(
            # (int) Episodes collected between two rounds of updates, >= 1.
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
                # (float) Mean length of a random action in steps; epsilon stays the share of random steps, >= 1.
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
    sums_gradients = True
    #: Why the policy only works with its own mixer; empty if any will do.
    fixed_mixer: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        """Refuse overrides of methods that are no longer called.

        Raises:
            ConfigError: names the method and its replacement.
        """
        super().__init_subclass__()
        for name in _FORMER_HOOKS.keys() & vars(cls).keys():
            where = f"policy {cls.__module__}.{cls.__name__}"
            raise ConfigError(f"{where}: nothing calls its method '{name}' any more. Override {_FORMER_HOOKS[name]}.")

    def default_model(self) -> tuple[str, list[str]]:
        return "qmix", ["dimix.model"]

    @property
    def eval_model(self) -> QMix:
        """The network used in evaluation: the averaged weights, unless averaging is off."""
        return self._averaged_model if self._cfg.learn.average_theta < 1 else self._model

    @classmethod
    def check_config(cls, cfg: Mapping[str, Any], model_class: type, report: Callable[[str, str], None]) -> None:
        learn = cfg["learn"]
        cls._check_collection(cfg, report)
        SamplePriority.check_config(cfg, report)
        cls._check_memory(cfg, report)
        cls._check_mixer(cfg, report)
        TargetUpdate.check_config(learn, report)
        if learn["n_step"] > 1 and learn["target"] != "n_step":
            report("learn.n_step", f"{learn['n_step']}, but policy.learn.target = '{learn['target']}'. Use 'n_step'.")
        Rewards.check_config(learn, report)
        try:
            check_optimizer(learn["optimizer"], learn["learning_rate"], learn["optimizer_kwargs"])
        except ConfigError as e:
            key, _, text = str(e).partition(": ")
            report(key.removeprefix("policy."), text)

    @classmethod
    def _check_collection(cls, cfg: Mapping[str, Any], report: Callable[[str, str], None]) -> None:
        if cfg["on_policy"]:
            report("on_policy", "True. QMIX learns from a replay buffer; use False.")

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

    @classmethod
    def _check_mixer(cls, cfg: Mapping[str, Any], report: Callable[[str, str], None]) -> None:
        mixer = model_options(cfg["model"], cls).get("mixer")
        if cls.fixed_mixer and mixer != model_options({}, cls)["mixer"]:
            report("model.mixer", f"{cfg['model']['mixer']!r}. {cls.fixed_mixer}; use False, or policy 'qmix'.")
        elif mixer == "none" and cfg["learn"]["mask_dead_agents"]:
            why = "An independent learner's return goes on after its death"
            report("learn.mask_dead_agents", f"True. {why}; use False.")

    # ---- learning ------------------------------------------------------------------------------------------------

    def _init_learn(self) -> None:
        learn = self._cfg.learn
        self._target_model, self._averaged_model = follower(self._model), follower(self._model)
        self._update_target = TargetUpdate(
            learn.target_update_theta, learn.target_update_freq, learn.target_update_interval
        )
        self._rewards = Rewards(
            *(learn.reward_scale, learn.reward_normalize, learn.reward_standardise, learn.reward_clip), self._ranks
        )
        self._priority = SamplePriority(learn.priority_type, self._ranks)
        self._optimizer = make_optimizer(
            learn.optimizer, self._model.parameters(), learn.learning_rate, learn.optimizer_kwargs
        )
        rate = Schedule(learn.lr_schedule, learn.learning_rate, learn.lr_end, learn.lr_decay, learn.lr_factor)
        self._descend = GradientStep(self._optimizer, rate, learn.clip_type, learn.clip_value, self._ranks)
        self._train_iter = 0

    def _forward_learn(self, batch: EpisodeBatch) -> dict[str, Any]:
        """One update.

        Returns:
            Metrics by name (see `_monitor_vars_learn`); with prioritised replay also ``priority``, a (B,) float array.

        Raises:
            BatchError: the hidden state does not have the model's size.
            TrainingError: loss or gradient is not finite; the weights are unchanged.
        """
        batch = batch.to(self.device, non_blocking=True)  # the update ends with its metrics, long after the copy
        self._rewards.see(batch)
        to_make = self._steps_to_make(batch)
        steps = [self._step(*piece) for piece in self._pieces(batch)]
        for _ in range(to_make - len(steps)):
            self._descend(None, self._train_iter)
        self._train_iter += 1
        self._update_target(self._target_model, self._model, self._train_iter, self.episode_count)
        update_average(self._averaged_model, self._model, self._cfg.learn.average_theta, self._train_iter)
        return self._metrics(batch, steps)

    def _steps_to_make(self, batch: EpisodeBatch) -> int:
        """Steps of the optimizer in this update: as many as the rank with the longest episode has chunks."""
        length = self._cfg.learn.tbptt
        return 1 if length is None else int(self._ranks.largest(math.ceil(batch.filled.shape[1] / length)))

    def _pieces(self, batch: EpisodeBatch) -> Iterator[tuple[EpisodeBatch, Outputs, Tensor]]:
        """Batch, network outputs and targets (B, T) for each step of the optimizer.

        Without ``tbptt`` there is one step, for the whole batch. With it there is one per chunk; the targets are still
        computed over the whole batch, before the first step.
        """
        networks, valid, length = self._networks(), self._computed_rows(batch), self._cfg.learn.tbptt
        start = {name: self._start_state(name, batch) for name in networks}
        with torch.set_grad_enabled(length is None):
            values = unroll(networks, batch, valid, start)
        target_q_tot = self._target(batch, values)
        if length is None:
            yield batch, values, target_q_tot
            return
        for steps, chunk, chunk_values in unroll_chunks(networks, batch, valid, start, values, length):
            yield chunk, chunk_values, target_q_tot[:, steps]

    def _step(self, batch: EpisodeBatch, values: Outputs, target_q_tot: Tensor) -> Learned:
        """One step of the optimizer towards the targets (B, T)."""
        q_tot = self._taken_value("online", values, batch)[:, :-1]
        td_error = q_tot - target_q_tot
        mask = _per_step(self._step_mask(batch), td_error).expand_as(td_error)
        loss, parts = self._loss(batch, values, td_error, target_q_tot, mask)
        grads = self._descend(loss, self._train_iter, mask)
        with torch.no_grad():
            means = {"q_tot": q_tot, "target_q_tot": target_q_tot, "td_error_abs": td_error.abs()}
            means = {name: value_learning.masked_mean(x, mask) for name, x in means.items()}
        named = {"loss": loss, **means, **parts}
        # One wait for a device, not one each.
        numbers = torch.stack([x.detach().to(loss).reshape(()) for x in named.values()]).tolist()
        metrics = {"grads": grads, **dict(zip(named, numbers, strict=True))}
        return Learned(metrics, td_error.detach(), mask)

    def _computed_rows(self, batch: EpisodeBatch) -> Tensor:
        """(B, T+1, A) bool: rows whose Q-values are needed."""
        read = F.pad(batch.filled, (0, 1)) | _next_rows(batch)
        return read.unsqueeze(-1) & self._counts(batch)

    def _counts(self, batch: EpisodeBatch) -> Tensor:
        """(B, T+1, A) bool: agents that count in the team's value."""
        return batch.alive if self._cfg.learn.mask_dead_agents else torch.ones_like(batch.alive)

    def _networks(self) -> dict[str, QMix]:
        """Networks by name: ``"online"`` acts and learns, ``"target"`` (or without one it) values the next step."""
        return {"online": self._model, "target": self._target_model}

    def _start_state(self, name: str, batch: EpisodeBatch) -> Tensor:
        """(B, A, H): a network's hidden state at the start of the samples."""
        size = batch.hidden_state.shape[-1]
        if size != self._model.state_size:
            raise BatchError(
                f"batch field 'hidden_state': shape {tuple(batch.hidden_state.shape)}. Right is "
                f"H = {self._model.state_size}, the size of the model's state."
            )
        return batch.hidden_state

    def _team_value(self, name: str, values: Outputs, batch: EpisodeBatch, action: Tensor, used: Tensor) -> Tensor:
        """The team's value of joint actions.

        Args:
            name: the network that computes it.
            values: outputs of the networks for the batch.
            batch: see `EpisodeBatch`.
            action: (B, T+1, A) int64.
            used: (B, T+1) bool, rows to compute.

        Returns:
            (B, T+1) float, 0 in the other rows.
        """
        network, (q, features), counts = self._networks()[name], values[name], self._counts(batch)
        rows = used.flatten().nonzero().squeeze(1)

        def of_rows(x: Tensor) -> Tensor:
            return x.flatten(0, 1).index_select(0, rows)

        reads, more = network.mixer_reads, dict[str, Tensor]()
        if "action" in reads:
            more["action"] = of_rows(action)
        if "best" in reads:
            best = value_learning.masked_max(q, batch.obs.action_mask)
            more["best"] = of_rows(torch.where(counts, best, 0.0))
        if "features" in reads:
            more["features"] = of_rows(features)
        chosen = torch.where(counts, value_learning.chosen_q(q, action), 0.0)
        q_tot = network.mix(of_rows(chosen), of_rows(batch.obs.global_state), **more)
        every = q_tot.new_zeros(used.numel(), *q_tot.shape[1:]).index_copy(0, rows, q_tot)
        return every.view(*used.shape, *q_tot.shape[1:])

    def _taken_value(self, name: str, values: Outputs, batch: EpisodeBatch) -> Tensor:
        """(B, T+1): the team's value of the actions taken, computed by a network; 0 in rows without an action."""
        action, used = F.pad(batch.action, (0, 0, 0, 1)), F.pad(batch.filled, (0, 1))  # cheaper than slicing q
        return self._team_value(name, values, batch, action, used)

    def _step_mask(self, batch: EpisodeBatch) -> Tensor:
        """(B, T) bool: steps that carry loss."""
        return batch.filled & since(batch.burnin, batch.filled.shape[1])

    def _reward(self, batch: EpisodeBatch) -> Tensor:
        """(B, T) float: rewards as used in the targets."""
        return self._rewards(batch)

    @torch.no_grad()
    def _target(self, batch: EpisodeBatch, values: Outputs) -> Tensor:
        """(B, T) float: targets for the values of the actions taken.

        The target network values the next actions. They are greedy in the online network with double Q (van Hasselt et
        al. 2016), in the target network without.
        """
        learn, gamma = self._cfg.learn, self._cfg.learn.discount_factor
        valuer = "target" if "target" in values else "online"
        chooser = values["online" if learn.double_q else valuer].q
        best = value_learning.masked_argmax(chooser, batch.obs.action_mask)
        next_q = self._team_value(valuer, values, batch, best, _next_rows(batch))[:, 1:]
        reward, terminated, filled = (
            _per_step(x, next_q) for x in (self._reward(batch), batch.terminated, batch.filled)
        )
        if learn.target == "n_step":
            return value_learning.n_step_targets(reward, terminated, filled, next_q, gamma, learn.n_step)
        if learn.target == "q_lambda":
            taken = self._taken_value(valuer, values, batch)[:, 1:]
            return value_learning.q_lambda_targets(reward, terminated, filled, next_q, taken, gamma, learn.td_lambda)
        return value_learning.td_lambda_targets(reward, terminated, filled, next_q, gamma, learn.td_lambda)

    def _loss(
        self, batch: EpisodeBatch, values: Outputs, td_error: Tensor, target_q_tot: Tensor, step_mask: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss to minimise, () float, and further metrics by name, () each.

        Args:
            batch: see `EpisodeBatch`.
            values: outputs of the networks for it.
            td_error: (B, T), with gradient.
            target_q_tot: (B, T), without gradient.
            step_mask: (B, T) bool, True where the error counts.
        """
        return value_learning.masked_loss(td_error, step_mask, self._loss_weight(batch, td_error.detach())), {}

    def _loss_weight(self, batch: EpisodeBatch, td_error: Tensor) -> Tensor | None:
        """Weight of each step's loss, broadcastable to td_error (B, T); None for ones."""
        return _per_step(batch.weight.unsqueeze(1), td_error) if self._cfg.priority_IS_weight else None

    def _metrics(self, batch: EpisodeBatch, steps: list[Learned]) -> dict[str, Any]:
        """Metrics of the update: means over the steps of the optimizer, by how many errors counted in each."""
        counts = [int(step.mask.sum()) for step in steps]
        metrics: dict[str, Any] = {
            name: sum(step.metrics[name] * (n / sum(counts)) for step, n in zip(steps, counts, strict=True))
            for name in steps[0].metrics
        }
        metrics["learning_rate"] = self._optimizer.param_groups[0]["lr"]
        if self._cfg.priority:
            td_error = torch.cat([step.td_error for step in steps], 1)
            metrics["priority"] = self._priority(batch, td_error, torch.cat([step.mask for step in steps], 1))
        return metrics

    def _monitor_vars_learn(self) -> list[str]:
        return ["loss", "grads", "learning_rate", "q_tot", "target_q_tot", "td_error_abs"]

    def _state_dict_learn(self) -> dict[str, Any]:
        return {
            "model": self._model.state_dict(),
            "target_model": self._target_model.state_dict(),
            "averaged_model": self._averaged_model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "train_iter": self._train_iter,
            "copied_at": self._update_target.copied_at,
            "reward_moments": self._rewards.moments.state_dict(),
            "return_range": list(self._priority.return_range),
        }

    def _load_state_dict_learn(self, state: dict[str, Any]) -> None:
        try:
            self._model.load_state_dict(state["model"])
            self._target_model.load_state_dict(state["target_model"])
            self._averaged_model.load_state_dict(state["averaged_model"])
            self._optimizer.load_state_dict(state["optimizer"])
            self._train_iter = int(state["train_iter"])
            self._update_target.copied_at = int(state.get("copied_at", 0))
            if "reward_moments" in state:  # not in files of earlier versions
                self._rewards.moments.load_state_dict(state["reward_moments"])
                self._priority.return_range = list(state["return_range"])
        except (KeyError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())  # torch writes several lines
            raise CheckpointError(f"checkpoint does not fit this policy and model: {reason}") from error


def _next_rows(batch: EpisodeBatch) -> Tensor:
    """(B, T+1) bool: rows that follow a step which did not end the game."""
    return F.pad(batch.filled & ~batch.terminated, (1, 0))


def _per_step(x: Tensor, values: Tensor) -> Tensor:
    """(B, T) in a shape that broadcasts against values (B, T), or (B, T, A) without a mixer."""
    return x if values.dim() == 2 else x.unsqueeze(-1)
