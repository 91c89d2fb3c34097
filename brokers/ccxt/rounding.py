"""
An order on the venue's grid, within the venue's limits, and never worse than asked.

Pure, exact, and ours: ccxt rounds a price to the nearest tick, which may be beyond the caller's
limit, and does not look at most limits. A quantity goes down; a limit buys lower and sells higher;
a stop or a target never triggers earlier than asked. Quantities are base units here, and contracts
only in what goes out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from brokers.ccxt.band import PriceBand, band_of, outside
from brokers.ccxt.columns import Capabilities
from messages import Cause, OrderRequest, OrderType, ReasonCode, Side
from state.money import EXACT, FINEST_STEP, plain

ONE = Decimal(1)
TARGETS = frozenset({OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT})
AT_MARKET = frozenset(
    {OrderType.MARKET, OrderType.STOP, OrderType.TAKE_PROFIT, OrderType.TRAILING_STOP}
)
"""Types that are market orders when their time has come."""
WAITING = TARGETS | {OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP}


@dataclass(frozen=True, slots=True)
class MarketRules:
    """
    One market's rules as its venue gives them; ``None``: no such rule.

    ``amount_step``, ``amount_min`` and ``amount_max`` are in the venue's own unit, which is
    ``contract_size`` base units.
    """

    symbol: str
    market_id: str
    is_contract: bool
    base: str
    quote: str
    settle: str
    contract_size: Decimal
    price_tick: Decimal | None
    amount_step: Decimal | None
    amount_min: Decimal | None
    amount_max: Decimal | None
    market_amount_max: Decimal | None
    cost_min: Decimal | None
    cost_max: Decimal | None
    price_digits: int | None
    band: PriceBand | None = None

    def to_base(self, amount: Decimal) -> Decimal:
        """Return base units of an amount in the venue's unit."""
        return EXACT.multiply(amount, self.contract_size)


@dataclass(frozen=True, slots=True)
class Fitted:
    """
    What goes out: ``amount`` in the venue's unit, ``quantity`` the same in base units.

    ``quantity`` is at most what was asked for.
    """

    amount: Decimal
    quantity: Decimal
    price: Decimal | None
    stop_price: Decimal | None


def rules_of(market: Mapping[str, Any], row: Capabilities) -> MarketRules:
    """Return the rules of a ccxt market whose numbers are strings."""
    precision, limits = market["precision"], market["limits"]
    is_contract = bool(market.get("contract"))
    size = number(market.get("contractSize")) if is_contract and row.amounts_in_contracts else None

    def limit(name: str, side: str) -> Decimal | None:
        return positive((limits.get(name) or {}).get(side))

    return MarketRules(
        market["symbol"],
        str(market["id"]),
        is_contract,
        market["base"],
        market["quote"],
        market.get("settle") or market["quote"],
        size or ONE,
        positive(precision.get("price")),
        positive(precision.get("amount")),
        limit("amount", "min"),
        limit("amount", "max"),
        limit("market", "max"),
        limit("cost", "min"),
        limit("cost", "max"),
        row.price_digits,
        band_of(market, row.price_band),
    )


def limits_of(rules: MarketRules) -> list[tuple[str, Decimal | None]]:
    """Return the venue's rules by the names of an instrument file, in base units."""

    def base(amount: Decimal | None) -> Decimal | None:
        return None if amount is None else rules.to_base(amount)

    return [
        ("price_tick", rules.price_tick),
        ("lot_step", base(rules.amount_step)),
        ("min_quantity", base(rules.amount_min)),
        ("max_quantity", base(rules.amount_max)),
        ("min_notional", rules.cost_min),
    ]


class Least(NamedTuple):
    """The least that a venue takes as an order, in base units and in money; ``None``: no rule."""

    quantity: Decimal | None
    notional: Decimal | None


def least_of(rules: MarketRules) -> Least:
    """Return the least order: not below the venue's minimum, and at least one step."""
    step, least = rules.amount_step, rules.amount_min
    if step is not None:
        steps = EXACT.divide_int(least or step, step)
        on_step = EXACT.multiply(steps, step)
        least = on_step if least is None or on_step >= least else EXACT.add(on_step, step)
    return Least(None if least is None else rules.to_base(least), rules.cost_min)


def differences(before: MarketRules, after: MarketRules) -> str:
    """Return in words what of a market's rules is another than before."""
    told = [
        f"{name} {_word(old)} -> {_word(new)}"
        for (name, old), (_, new) in zip(limits_of(before), limits_of(after), strict=True)
        if old != new
    ]
    return ", ".join(told) or "limits that an instrument file does not have"


def _word(value: Decimal | None) -> str:
    return "none" if value is None else plain(EXACT.normalize(value))


def number(value: object) -> Decimal | None:
    """
    Return an exact number that ccxt gave as text, or ``None`` for none.

    Raises ``TypeError`` for a float: what a venue wrote is not known any more.
    """
    if value is None or value == "":
        return None
    if isinstance(value, float):
        raise TypeError(f"found the float {value!r}, expected a number as it is written")
    found = Decimal(str(value))
    return found if found.is_finite() else None


def positive(value: object) -> Decimal | None:
    """Return a limit of a venue; some write zero for none."""
    found = number(value)
    return found or None


def fitted(
    request: OrderRequest, rules: MarketRules, mark: Decimal | None = None
) -> Fitted | Cause:
    """Return what of ``request`` goes out with the market at ``mark``, or why nothing may."""
    # Divided as whole steps: a quotient may have no last digit.
    step = rules.amount_step or FINEST_STEP
    amount = EXACT.multiply(EXACT.divide_int(request.quantity, rules.to_base(step)), step)
    buys = request.side is Side.BUY
    price = on_grid(request.price, rules, upwards=not buys)
    is_target = request.order_type in TARGETS
    stop = on_grid(request.stop_price, rules, upwards=buys is not is_target)
    if request.reduce_only:
        # Refused, a stop would protect nothing of a position that is too large for one order.
        amount = most_in_one(
            request.order_type, rules, amount, price if price is not None else stop
        )
    quantity = rules.to_base(amount)
    if cause := _beyond(request, rules, amount, quantity, price if price is not None else stop):
        return cause
    if cause := outside(request, price, mark, rules.band):
        return cause
    return Fitted(amount, quantity, price, stop)


def most_in_one(
    order_type: OrderType, rules: MarketRules, amount: Decimal, price: Decimal | None = None
) -> Decimal:
    """Return how much of ``amount`` goes in one order: a larger position ends in several."""
    step = rules.amount_step or FINEST_STEP
    told = [each for each in _mosts(order_type, rules) if each is not None]
    if rules.cost_max is not None and price is not None and price > 0:
        one = EXACT.multiply(rules.to_base(step), price)
        told.append(EXACT.multiply(EXACT.divide_int(rules.cost_max, one), step))
    most = min(told, default=amount)
    return amount if amount <= most else EXACT.multiply(EXACT.divide_int(most, step), step)


def _mosts(order_type: OrderType, rules: MarketRules) -> tuple[Decimal | None, ...]:
    """Return the most that the venue takes of an order of this type, by each of its rules."""
    at_market = order_type in AT_MARKET
    return (rules.amount_max, rules.market_amount_max if at_market else None)


def left_out(request: OrderRequest, rules: MarketRules, fit: Fitted) -> str:
    """Return in words what no single stop protects: of one that was cut, or of an opening."""
    asked, most = f"{request.symbol}: quantity={plain(request.quantity)}", rules.market_amount_max
    if request.reduce_only:
        if request.order_type not in WAITING or not _is_cut(request, rules, fit):
            return ""
        return (
            f"{asked} sent={_word(fit.quantity)}: the venue takes no more in one "
            f"{request.order_type.value}, and this one leaves the rest of the position alone"
        )
    if most is None or fit.amount <= most:
        return ""
    return f"{asked} max={plain(rules.to_base(most))}: no single stop at market leaves all of it"


def _is_cut(request: OrderRequest, rules: MarketRules, fit: Fitted) -> bool:
    step = rules.to_base(rules.amount_step or FINEST_STEP)
    return EXACT.subtract(request.quantity, fit.quantity) >= step


def _beyond(
    request: OrderRequest,
    rules: MarketRules,
    amount: Decimal,
    quantity: Decimal,
    price: Decimal | None,
) -> Cause | None:
    asked = f"quantity={plain(request.quantity)}"
    if amount <= 0:
        step = rules.amount_step or rules.amount_min or ONE
        detail = f"{asked} step={plain(rules.to_base(step))}"
        return Cause(ReasonCode.QUANTITY_NOT_POSITIVE, detail)
    if rules.amount_min is not None and amount < rules.amount_min:
        return Cause(
            ReasonCode.QUANTITY_BELOW_MIN, f"{asked} min={plain(rules.to_base(rules.amount_min))}"
        )
    for most in _mosts(request.order_type, rules):
        if most is not None and amount > most:
            return Cause(ReasonCode.QUANTITY_ABOVE_MAX, f"{asked} max={plain(rules.to_base(most))}")
    if price is not None and price <= 0:
        return Cause(ReasonCode.PRICE_NOT_POSITIVE, f"price={plain(price)}")
    worth = price if price is not None else request.decision_price
    if worth is None:
        return None
    cost = EXACT.multiply(quantity, worth)
    # A venue lets what only reduces be small, or says so itself.
    if rules.cost_min is not None and cost < rules.cost_min and not request.reduce_only:
        detail = f"notional={plain(cost)} min={plain(rules.cost_min)}"
        return Cause(ReasonCode.NOTIONAL_BELOW_MIN, detail)
    if rules.cost_max is not None and price is not None and cost > rules.cost_max:
        detail = f"notional={plain(cost)} max={plain(rules.cost_max)}"
        return Cause(ReasonCode.QUANTITY_ABOVE_MAX, detail)
    return None


def on_grid(price: Decimal | None, rules: MarketRules, *, upwards: bool) -> Decimal | None:
    """Return a price as the venue takes it: no lower than asked for, or no higher."""
    if price is None:
        return None
    on_tick = _on_step(price, rules.price_tick, upwards=upwards)
    if rules.price_digits is None:
        return on_tick
    # A whole number may have as many digits as it likes there.
    finest = min(0, on_tick.adjusted() - rules.price_digits + 1)
    step = Decimal(1).scaleb(finest)
    return _on_step(on_tick, step, upwards=upwards)


def _on_step(value: Decimal, step: Decimal | None, *, upwards: bool) -> Decimal:
    if step is None or not EXACT.remainder(value, step):
        return value
    below = EXACT.multiply(EXACT.divide_int(value, step), step)
    if value < 0:
        below = EXACT.subtract(below, step)
    return EXACT.add(below, step) if upwards else below
