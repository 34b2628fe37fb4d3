"""The rule profiles: how the battles of SMAClite and of StarCraft II's SMAC and SMACv2 differ, as data and switches.

Unit stats are data too (``data/units.json`` has a table for SMAClite and one for StarCraft II). All profiles run the
same phases, with 8 ticks a step and 16 ticks a second.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dizoo.smac.battle.errors import BattleError

TICKS_PER_STEP = 8
TICKS_PER_SECOND = 16
SIGHT_RANGE = 9.0
TARGET_RANGE = 6.0
MOVE_DISTANCE = 2.0

OPPONENTS = ("attack_move", "chase", "near")
"""How enemies choose targets; see `Profile`."""

MOST_LOOKS = 360
"""Largest `Profile.num_fov_actions`."""


@dataclass(frozen=True)
class Profile:
    """Switches and numbers of one rule set.

    Attributes:
        name: ``"smaclite"``, ``"smac"`` or ``"smacv2"``.
        data: ``"smaclite"`` or ``"smac"``: the unit table and the terrain grids.
        sort_agents: allied indices by (type, x, y) of the start as in SMAC, else in placement order.
        own_enemy_slots: enemies use the map's separate type slots, if any (SMAC's 2s3z, 3s5z, 3s5z_vs_3s6z).
        healer_flags_show_healers: a healer's target flags in the observation count healers among the allies (SMAClite);
            else the flags equal the action mask (SMAC).
        swap_move_bounds: the bounds test of the move mask swaps width and height (SMAClite).
        last_action_survives_reset: the last actions in the state survive a reset (SMAClite).
        cooldown_from_table: the state divides the cooldown, in ticks, by ``UnitType.max_cooldown_in_state`` (SMAC);
            else by the unit's own cooldown.
        end_on_healers_only: the battle also ends when a side has only healers left (SMAC).
        win_needs_living_ally: no win when both sides are wiped out in the same step (SMAC).
        hits_dead_targets: an ally keeps attacking a target that died until its next command (SMAClite).
        heals_dead_targets: a heal on a unit that died in this step raises its hp: revival and ghosts (SMAClite).
        wall_offset_on_both_axes: obstacle lines add one number to both coordinates (SMAClite); else RVO2's formula.
        own_ranges: agents see and target as far as their type's ``sight`` and ``target_range`` say (SMACv2); else
            `SIGHT_RANGE` and `TARGET_RANGE`.
        own_position: observations include the agent's position, in map sizes from the bottom left (SMACv2).
        stays_inside: no unit leaves the map (SMACv2, whose map has no walls).
        opponent: ``"attack_move"``: enemies walk to the attack point and fight what they meet; ``"chase"``: each goes
            for the nearest ally, wherever that is, until it is dead (SMACv2's map); ``"near"``: the same, but it turns
            to the nearest anew unless its target is in weapon range or attacks it. Several: each battle draws one of
            them; one that is named twice is drawn twice as often.
        prob_obs_enemy: probability that an agent may ever see an enemy that another agent saw first, drawn once
            (SMACv2's extended partial observability); 1: every agent sees whatever is in sight.
        action_mask: agents may name only targets in range; else any that lives, and an order out of range is not sent:
            the old one goes on (as SMACv2 sets it beside ``prob_obs_enemy``).
        num_fov_actions: how many directions an agent may look in, evenly spaced; it sees and may name only what is in
            the cone of 360 degrees / num_fov_actions around its own (SMACv2's conic field of view, which has 12); 0:
            agents see all around.
        reward_net: reward the change of the enemies' hp and shields over the step, so that regeneration counts against
            it (SMAC); else the damage dealt (SMAClite).
        reward_own_death: an enemy that dies by its own explosion pays ``reward_death_value`` too (SMAC).
        zero_if_negative: with ``reward_only_positive``, a step in which enemies regain more than they lose pays 0
            (SMACv2); else the absolute value (SMAC).
        reward_only_positive: own losses do not count; else they do, times ``reward_negative_scale``.
        reward_death_value: reward for an enemy's death, before scaling.
        reward_negative_scale: weight of own losses when ``reward_only_positive`` is False.
        reward_win: reward at a win, before scaling.
        reward_defeat: reward at a defeat, before scaling.
        reward_scale: divide by (max_reward / reward_scale_rate).
        reward_scale_rate: total reward of a win without regeneration.
    """

    name: str
    data: str
    sort_agents: bool
    own_enemy_slots: bool
    healer_flags_show_healers: bool
    swap_move_bounds: bool
    last_action_survives_reset: bool
    cooldown_from_table: bool
    end_on_healers_only: bool
    win_needs_living_ally: bool
    hits_dead_targets: bool
    heals_dead_targets: bool
    wall_offset_on_both_axes: bool
    reward_net: bool
    reward_own_death: bool
    own_ranges: bool = False
    own_position: bool = False
    stays_inside: bool = False
    opponent: str | tuple[str, ...] = "attack_move"
    zero_if_negative: bool = False
    prob_obs_enemy: float = 1.0
    action_mask: bool = True
    num_fov_actions: int = 0
    reward_only_positive: bool = True
    reward_death_value: float = 10.0
    reward_negative_scale: float = 0.5
    reward_win: float = 200.0
    reward_defeat: float = 0.0
    reward_scale: bool = True
    reward_scale_rate: float = 20.0

    @property
    def opponents(self) -> tuple[str, ...]:
        """What a battle's opponent is drawn from."""
        return (self.opponent,) if isinstance(self.opponent, str) else self.opponent


SMACLITE = Profile(
    name="smaclite",
    data="smaclite",
    sort_agents=False,
    own_enemy_slots=False,
    healer_flags_show_healers=True,
    swap_move_bounds=True,
    last_action_survives_reset=True,
    cooldown_from_table=False,
    end_on_healers_only=False,
    win_needs_living_ally=False,
    hits_dead_targets=True,
    heals_dead_targets=True,
    wall_offset_on_both_axes=True,
    reward_net=False,
    reward_own_death=False,
)

SMAC = Profile(
    name="smac",
    data="smac",
    sort_agents=True,
    own_enemy_slots=True,
    healer_flags_show_healers=False,
    swap_move_bounds=False,
    last_action_survives_reset=False,
    cooldown_from_table=True,
    end_on_healers_only=True,
    win_needs_living_ally=True,
    hits_dead_targets=False,
    heals_dead_targets=False,
    wall_offset_on_both_axes=False,
    reward_net=True,
    reward_own_death=True,
)

SMACV2 = replace(
    SMAC,
    name="smacv2",
    own_ranges=True,
    own_position=True,
    stays_inside=True,
    opponent="chase",
    zero_if_negative=True,
)

PROFILES = {p.name: p for p in (SMACLITE, SMAC, SMACV2)}


def get_profile(rules: str | Profile) -> Profile:
    """Return the profile of a name; a ``Profile`` (such as one changed by ``dataclasses.replace``) is returned as is.

    Raises:
        BattleError: no such profile.
    """
    if isinstance(rules, Profile):
        return rules
    if rules not in PROFILES:
        raise BattleError(f"rules: found {rules!r}. Known profiles: {', '.join(map(repr, PROFILES))}.")
    return PROFILES[rules]
