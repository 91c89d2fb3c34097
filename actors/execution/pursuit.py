"""
One intent and the orders that its policy permits, one at a time.

Theory of operation. An intent whose policy permits more than one order is *pursued*: a first order
is made of it by Risk's approval, and whenever that ends, or has rested for too long, the policy
says whether another follows. At most one of them is live at any moment. The next is asked for only
when the last has ended and its final fills are known, and Risk decides about it anew. This module
decides and does nothing: each method returns what is to be done.

    ASKED -> WORKING -> (CANCELLING) -> ASKED ... -> OVER
                     -> WAITING (before a retry) -> ASKED

Nothing here invents anything: the side, the book, the rest of the quantity and the validity are the
intent's; a price is the intent's limit, the mark within its ``Reprice``, or none where its
``MarketFallback`` permits that.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from typing import Any, Final, NamedTuple, cast

import msgspec

from messages import (
    Cause,
    ExecutionPolicy,
    FallbackOn,
    FollowUp,
    FollowUpReason,
    Intent,
    IntentEnded,
    Maker,
    OpenFollowUp,
    OpenIntent,
    OrderEvent,
    OrderType,
    PartialFill,
    ReasonCode,
    ReduceFollowUp,
    ReduceIntent,
    Side,
)
from state.money import BASIS_POINT, ZERO

NO_MARKET_CURE: Final = frozenset(
    {
        ReasonCode.VENUE_INSUFFICIENT_FUNDS,
        ReasonCode.VENUE_REDUCE_ONLY,
        ReasonCode.VENUE_RATE_LIMITED,
        ReasonCode.DUPLICATE_CLIENT_ORDER_ID,
        ReasonCode.INSTRUMENT_UNKNOWN,
        ReasonCode.POSITION_SIDE_MISMATCH,
        ReasonCode.QUANTITY_NOT_POSITIVE,
        ReasonCode.QUANTITY_BELOW_MIN,
        ReasonCode.QUANTITY_ABOVE_MAX,
        ReasonCode.ANSWER_LOST,
    }
)
"""Refusals that a market order would meet as well: no reason to send one."""

REFUSED: Final = frozenset({OrderEvent.REJECTED, OrderEvent.PROVEN_ABSENT})
"""Ends of orders that the venue never had."""

NOT_AT_ONCE: Final = frozenset({ReasonCode.IOC_REMAINDER, ReasonCode.FOK_UNFILLABLE})
"""Ends of orders that had no time to wait: their time was over at once."""


class Stage(Enum):
    """Where a pursuit is."""

    ASKED = "asked"  # an order is on its way through Risk and the journal
    WORKING = "working"  # it is at the venue
    CANCELLING = "cancelling"  # its cancel is on its way
    WAITING = "waiting"  # nothing is live; a retry is due later
    OVER = "over"


class _Kept(msgspec.Struct):
    """What a pursuit is across restarts of the process."""

    intent: OpenIntent | ReduceIntent
    quantity: Decimal
    filled: Decimal
    order_id: str
    stage: Stage
    price: Decimal | None
    orders: int
    retries: int
    reprices: int
    fallbacks: int
    deadline: int | None
    reprice_at: int | None
    retry_at: int | None
    why: FollowUpReason | None


class CancelOrder(NamedTuple):
    """Cancel the live order for this cause."""

    order_id: str
    cause: Cause


class WakeAt(NamedTuple):
    """Look again at this time."""

    at: int


Move = CancelOrder | WakeAt | FollowUp | IntentEnded


class Pursuit:
    """The orders of one intent; see the module's theory of operation. Times are int ms UTC."""

    __slots__ = (
        "_deadline",
        "_fallbacks",
        "_orders",
        "_price",
        "_reprice_at",
        "_reprices",
        "_retries",
        "_retry_at",
        "_why",
        "filled",
        "intent",
        "order_id",
        "quantity",
        "stage",
    )

    def __init__(self, intent: Intent, quantity: Decimal) -> None:
        """Pursue ``intent``, of which Risk has approved ``quantity``: its first order is made."""
        assert intent.policy.pursues, "one order that lives by itself needs nobody"
        self.intent = intent
        self.quantity = quantity
        self.filled = ZERO
        self.order_id: str = intent.intent_id
        self.stage = Stage.ASKED
        self._price = intent.policy.limit_price
        self._orders = 1
        self._retries = 0
        self._reprices = 0
        self._fallbacks = 0
        self._deadline: int | None = None
        self._reprice_at: int | None = None
        self._retry_at: int | None = None
        self._why: FollowUpReason | None = None

    def __repr__(self) -> str:
        """Show where it stands."""
        return (
            f"<Pursuit {self.intent.intent_id} {self.stage.value} "
            f"{self.filled}/{self.quantity} orders={self._orders}>"
        )

    def snapshot(self) -> dict[str, Any]:
        """Return where it stands, JSON-ready."""
        kept = _Kept(
            self.intent,  # type: ignore[arg-type]  # the two are all the intents there are
            self.quantity,
            self.filled,
            self.order_id,
            self.stage,
            self._price,
            self._orders,
            self._retries,
            self._reprices,
            self._fallbacks,
            self._deadline,
            self._reprice_at,
            self._retry_at,
            self._why,
        )
        return cast("dict[str, Any]", msgspec.to_builtins(kept))

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Pursuit:
        """Return the pursuit that ``snapshot`` described."""
        kept = msgspec.convert(state, _Kept)
        pursuit = cls(kept.intent, kept.quantity)
        pursuit.filled = kept.filled
        pursuit.order_id = kept.order_id
        pursuit.stage = kept.stage
        pursuit._price = kept.price
        pursuit._orders = kept.orders
        pursuit._retries = kept.retries
        pursuit._reprices = kept.reprices
        pursuit._fallbacks = kept.fallbacks
        pursuit._deadline = kept.deadline
        pursuit._reprice_at = kept.reprice_at
        pursuit._retry_at = kept.retry_at
        pursuit._why = kept.why
        return pursuit

    @property
    def rest(self) -> Decimal:
        """Return the quantity that is still to be filled."""
        return self.quantity - self.filled

    @property
    def may_go_on(self) -> bool:
        """Return whether another order may follow the one that there is."""
        stopped = self.stage is Stage.CANCELLING and self._why is None
        if stopped or self.stage is Stage.OVER:
            return False
        policy = self.intent.policy
        falls_back = policy.fallback is not None and not self._fallbacks
        prefers = policy.maker is Maker.PREFER
        return falls_back or prefers or policy.reprice is not None or policy.retry is not None

    # -- what happens to its orders

    def taken_up(self, order_id: str) -> None:
        """Go on with a further order that Risk has approved."""
        self.order_id = order_id
        self.stage = Stage.ASKED

    def makes_room(self) -> None:
        """Wait until its order, which has made room for another, is put back or given up."""
        self.stage = Stage.ASKED

    def sent(self, now: int) -> list[Move]:
        """Start the clocks of an order that has just left; one at market needs none."""
        self.stage = Stage.WORKING
        if self._fallbacks:
            return []
        policy = self.intent.policy
        if self._orders == 1 and self._deadline is None and policy.timeout_ms is not None:
            self._deadline = now + policy.timeout_ms
        may = policy.reprice is not None and self._reprices < policy.reprice.times
        self._reprice_at = now + policy.reprice.every_ms if policy.reprice and may else None
        return self._wake()

    def filled_by(self, quantity: Decimal, at: int, *, whole: bool) -> list[Move]:
        """Count a fill; the order it belongs to is filled ``whole``, or goes on."""
        self.filled += quantity
        if self.stage is Stage.OVER:
            return []
        return [self._over(at, None)] if whole else []

    def ended(
        self, event: OrderEvent, cause: Cause | None, now: int, mark: Decimal | None
    ) -> tuple[FollowUpReason | None, list[Move]]:
        """
        Decide after the end of its order with its final fills: what follows, and the moves.

        ``event`` is how it ended unfilled; ``mark`` is the newest price, where there is one.
        """
        if self.stage is Stage.OVER:
            return None, []
        cancelling = self.stage is Stage.CANCELLING
        ours = cancelling and event not in REFUSED
        if self.rest <= ZERO:
            return None, [self._over(now, None)]
        if cancelling and self._why is None:
            return None, [self._over(now, cause)]  # stopped: a refusal opens nothing any more
        if ours:
            return self._after_our_cancel(cause, now, mark)
        return self._after_its_end(event, cause, now)

    def _after_our_cancel(
        self, cause: Cause | None, now: int, mark: Decimal | None
    ) -> tuple[FollowUpReason | None, list[Move]]:
        why, self._why = self._why, None
        if why is FollowUpReason.FALLBACK_TIMEOUT:
            return self._fall_back(why, cause, now)
        if why is FollowUpReason.REPRICE:
            price = self._new_price(mark)
            if price is None:
                return None, [self._over(now, cause)]
            self._reprices += 1
            self._price = price
            return why, [self._follow(why, now)]
        return None, [self._over(now, cause)]

    def _after_its_end(
        self, event: OrderEvent, cause: Cause | None, now: int
    ) -> tuple[FollowUpReason | None, list[Move]]:
        policy = self.intent.policy
        code = None if cause is None else cause.code
        if code is ReasonCode.POST_ONLY_WOULD_TAKE and policy.maker is Maker.PREFER:
            return FollowUpReason.TAKE, [self._follow(FollowUpReason.TAKE, now)]
        retry = policy.retry
        if retry is not None and code in retry.codes and self._retries < retry.times:
            delay_ms = retry.delay_ms * retry.factor ** min(self._retries, 32)
            self._retries += 1
            self.stage = Stage.WAITING
            self._reprice_at = None  # of the order that has ended: it would be due for ever
            self._retry_at = now + min(delay_ms, retry.delay_ms_max)
            return FollowUpReason.RETRY, self._wake()
        if code in NOT_AT_ONCE:
            return self._fall_back(FollowUpReason.FALLBACK_TIMEOUT, cause, now)
        refused = event in REFUSED or code is ReasonCode.POST_ONLY_WOULD_TAKE
        if refused and code not in NO_MARKET_CURE:
            return self._fall_back(FollowUpReason.FALLBACK_REJECT, cause, now)
        return None, [self._over(now, cause)]

    def _fall_back(
        self, why: FollowUpReason, cause: Cause | None, now: int
    ) -> tuple[FollowUpReason | None, list[Move]]:
        policy = self.intent.policy
        on = FallbackOn.REJECT if why is FollowUpReason.FALLBACK_REJECT else FallbackOn.TIMEOUT
        enough = self.filled > ZERO and policy.partial is PartialFill.ACCEPT
        permitted = policy.fallback is not None and on in policy.fallback.on
        if not permitted or enough or self._fallbacks:
            return None, [self._over(now, cause)]
        self._fallbacks += 1
        self._deadline = None  # a market order needs none, and this one's has passed
        return why, [self._follow(why, now)]

    def denied(self, causes: tuple[Cause, ...], now: int) -> list[Move]:
        """End because Risk refused the next order, for the first of ``causes``."""
        if self.stage is Stage.OVER:
            return []
        return [self._over(now, causes[0] if causes else None)]

    def stop(self, cause: Cause, now: int) -> list[Move]:
        """Let nothing follow any more; whoever calls cancels the live order, if there is one."""
        if self.stage in (Stage.WAITING, Stage.ASKED):
            self._forget_retry()
            return [self._over(now, cause)]
        self._why = None
        if self.stage is Stage.WORKING:
            self.stage = Stage.CANCELLING
        return []

    # -- time

    def restarted(self, now: int) -> list[Move]:
        """Return when to look again; what a cancel is followed by may be another thing by now."""
        if self.stage in (Stage.WORKING, Stage.WAITING):
            return self._wake()
        return self.woken(now, None)

    def woken(self, now: int, mark: Decimal | None) -> list[Move]:
        """Do what is due at ``now``."""
        late = self._deadline is not None and now >= self._deadline
        if self.stage is Stage.WAITING:
            if late:
                return self._too_late(now)
            if self._retry_at is not None and now >= self._retry_at:
                self._retry_at = None
                return [self._follow(FollowUpReason.RETRY, now)]
            return self._wake()
        if self.stage is Stage.CANCELLING:
            if late and self._why is FollowUpReason.REPRICE:
                self._why = FollowUpReason.FALLBACK_TIMEOUT
            return []
        if self.stage is not Stage.WORKING:
            return []
        if late:
            return self._cancel(FollowUpReason.FALLBACK_TIMEOUT, ReasonCode.TIMED_OUT)
        if self._reprice_at is not None and now >= self._reprice_at:
            return self._reprice(now, mark)
        return self._wake()

    def _too_late(self, now: int) -> list[Move]:
        self._forget_retry()
        timed_out = Cause(ReasonCode.TIMED_OUT, f"timeout_ms={self.intent.policy.timeout_ms}")
        _, moves = self._fall_back(FollowUpReason.FALLBACK_TIMEOUT, timed_out, now)
        return moves

    def _forget_retry(self) -> None:
        """Let a retry that waits for its time not be made, nor counted."""
        if self._retry_at is not None:
            self._retry_at = None
            self._retries -= 1

    def _reprice(self, now: int, mark: Decimal | None) -> list[Move]:
        policy = self.intent.policy.reprice
        assert policy is not None, "only a policy that permits it sets the time for it"
        price = self._new_price(mark)
        if price is None or price == self._price:
            self._reprice_at = now + policy.every_ms
            return self._wake()
        self._reprice_at = None
        return self._cancel(FollowUpReason.REPRICE, ReasonCode.REPRICED)

    def _new_price(self, mark: Decimal | None) -> Decimal | None:
        """Return the mark with its offset, or the worst price where that would be beyond it."""
        policy = self.intent.policy.reprice
        if policy is None or mark is None:
            return None
        buying = self.intent.side is Side.BUY
        away = mark * policy.offset_bps * BASIS_POINT
        price = mark - away if buying else mark + away
        worst = policy.worst_price
        return min(price, worst) if buying else max(price, worst)

    # -- moves

    def _cancel(self, why: FollowUpReason, code: ReasonCode) -> list[Move]:
        self.stage = Stage.CANCELLING
        self._why = why
        policy = self.intent.policy
        detail = f"timeout_ms={policy.timeout_ms}" if code is ReasonCode.TIMED_OUT else ""
        return [CancelOrder(self.order_id, Cause(code, detail)), *self._wake()]

    def _follow(self, why: FollowUpReason, now: int) -> FollowUp:
        self.stage = Stage.ASKED
        self._orders += 1
        intent = self.intent
        kind = OpenFollowUp if isinstance(intent, OpenIntent) else ReduceFollowUp
        return kind(
            intent_id=f"{intent.intent_id}-{self._orders}",
            strategy=intent.strategy,
            symbol=intent.symbol,
            side=intent.side,
            quantity=self.rest,
            created_at=now,
            position_side=intent.position_side,
            policy=self._next_policy(why),
            valid_until=intent.valid_until,
            decision_price=intent.decision_price,
            tag=intent.tag,
            planned_stop=intent.planned_stop,
            planned_target=intent.planned_target,
            action=intent.action,
            plan_id=intent.plan_id,
            replaces=intent.replaces,
            root_id=intent.intent_id,
            because=why,
        )

    def _next_policy(self, why: FollowUpReason) -> ExecutionPolicy:
        """Return how the next order may be executed: it is one order, and permits nothing more."""
        policy = self.intent.policy
        if self._fallbacks:  # tried again where it was refused, it is at market all the same
            assert policy.fallback is not None, "only a policy that permits it falls back"
            bound = policy.fallback.slippage_bps_max
            return ExecutionPolicy(
                OrderType.MARKET,
                slippage_bps_max=policy.slippage_bps_max if bound is None else bound,
            )
        maker = policy.maker
        if maker is Maker.PREFER:
            maker = Maker.ANY if why is FollowUpReason.TAKE else Maker.ONLY
        return ExecutionPolicy(
            policy.order_type,
            policy.time_in_force,
            maker,
            self._price,
            policy.stop_price,
            policy.trail_bps,
            policy.expire_at,
            slippage_bps_max=policy.slippage_bps_max,
        )

    def _over(self, now: int, cause: Cause | None) -> IntentEnded:
        self.stage = Stage.OVER
        intent = self.intent
        return IntentEnded(
            intent.intent_id,
            intent.strategy,
            intent.symbol,
            now,
            self.quantity,
            self.filled,
            self._orders,
            self._retries,
            self._reprices,
            self._fallbacks,
            cause,
        )

    def _wake(self) -> list[Move]:
        due = [at for at in (self._deadline, self._reprice_at, self._retry_at) if at is not None]
        return [WakeAt(min(due))] if due else []
