"""What went wrong, in lists that stay short."""

from __future__ import annotations

from messages import (
    AccountAdopted,
    ActorFailed,
    ActorRestarting,
    ActorStarted,
    DeadLetter,
    Escalated,
    FeedGap,
    Reconciled,
    StrategyQuarantined,
)
from state.projections.limits import DEAD_LETTER_KINDS_MAX, INCIDENTS_MAX
from state.projections.summary import (
    ActorResult,
    DeadLetterCount,
    GapCount,
    Incident,
)

OTHER = "(others)"


class _Life:
    """Counts of one actor."""

    __slots__ = ("failures", "restarts", "starts")

    def __init__(self) -> None:
        self.starts = self.failures = self.restarts = 0


class IncidentTally:
    """Keep incidents, the first ones, and counts of all; every list is bounded."""

    def __init__(self) -> None:
        self.incidents: list[Incident] = []
        self.incidents_total = 0
        self.dead_letters_total = 0
        self.reconciliations = 0
        self.reconciliations_different = 0
        self._actors: dict[str, _Life] = {}
        self._dead_letters: dict[tuple[str, str, str], DeadLetterCount] = {}
        self._gaps: dict[str, GapCount] = {}
        self._gaps_told = False

    # -- actors

    def on_start(self, started: ActorStarted) -> None:
        """Count an incarnation."""
        self._life(started.actor).starts += 1

    def on_failure(self, failed: ActorFailed) -> None:
        """Note a failed handler."""
        self._life(failed.actor).failures += 1
        text = f"{failed.place}: {failed.error}" if failed.place else failed.error
        if failed.message_type:
            text += f" (on {failed.message_type})"
        self._note(failed.at, "failed", failed.actor, text)

    def on_restart(self, restarting: ActorRestarting) -> None:
        """Note a restart."""
        self._life(restarting.actor).restarts += 1
        text = f"incarnation {restarting.incarnation} after {restarting.delay_s} s"
        self._note(restarting.at, "restarted", restarting.actor, text)

    def on_quarantine(self, quarantined: StrategyQuarantined) -> None:
        """Note a strategy that was stopped for good."""
        text = f"strategy {quarantined.strategy}: {quarantined.reason}"
        self._note(quarantined.at, "quarantined", quarantined.actor, text)

    def on_escalation(self, escalated: Escalated) -> None:
        """Note a rung of the supervisor's ladder."""
        text = f"{escalated.rung}: {escalated.reason}"
        self._note(escalated.at, "escalated", escalated.actor, text)

    def on_reconciliation(self, reconciled: Reconciled) -> None:
        """Count a comparison with the venue; note what differed."""
        self.reconciliations += 1
        if reconciled.differences:
            self.reconciliations_different += 1
            text = f"{reconciled.occasion}: {'; '.join(reconciled.differences)}"
            self._note(reconciled.at, "differed", reconciled.actor, text)

    def on_adoption(self, adopted: AccountAdopted) -> None:
        """Note what was taken into the books though no order of ours made it."""
        self._note(adopted.at, "adopted", adopted.actor, adopted.adoption.reason)

    def on_dead_letter(self, letter: DeadLetter) -> None:
        """Count a message that nobody handled."""
        self.dead_letters_total += 1
        key = (letter.actor, letter.message_type, letter.reason)
        if key not in self._dead_letters and len(self._dead_letters) >= DEAD_LETTER_KINDS_MAX:
            key = (OTHER, OTHER, OTHER)
        known = self._dead_letters.get(key)
        if known is None:
            count, first_at, first_detail = 0, letter.at, letter.detail
        else:
            count, first_at, first_detail = known.count, known.first_at, known.first_detail
        self._dead_letters[key] = DeadLetterCount(*key, count + 1, first_at, first_detail)

    def on_session_start(self) -> None:
        """Take the next gaps for all there are: each end tells of its whole feed."""
        self._gaps_told = False

    def on_gap(self, gap: FeedGap) -> None:
        """Count missing bars."""
        if not self._gaps_told:
            self._gaps_told = True
            self._gaps.clear()
        known = self._gaps.get(gap.symbol)
        if known is None:
            known = GapCount(gap.symbol, 0, 0, 0, gap.after)
        longer = gap.gaps == 1 and gap.missing > known.longest
        self._gaps[gap.symbol] = GapCount(
            gap.symbol,
            known.gaps + gap.gaps,
            known.missing + gap.missing,
            gap.missing if longer else known.longest,
            gap.after if longer else known.longest_after,
        )

    # -- results

    def actors(self) -> tuple[ActorResult, ...]:
        """Return the life of every actor, sorted by name."""
        return tuple(
            ActorResult(actor, life.starts, life.failures, life.restarts)
            for actor, life in sorted(self._actors.items())
        )

    def dead_letters(self) -> tuple[DeadLetterCount, ...]:
        """Return the kinds of dead letters, in order of first appearance."""
        return tuple(self._dead_letters.values())

    def gaps(self) -> tuple[GapCount, ...]:
        """Return the gaps of every symbol that has any, sorted."""
        return tuple(gap for _, gap in sorted(self._gaps.items()))

    def _life(self, actor: str) -> _Life:
        life = self._actors.get(actor)
        if life is None:
            life = self._actors[actor] = _Life()
        return life

    def _note(self, at: int, kind: str, actor: str, text: str) -> None:
        self.incidents_total += 1
        if len(self.incidents) < INCIDENTS_MAX:
            self.incidents.append(Incident(at, kind, actor, text))
