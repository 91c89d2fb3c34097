"""
How the venue refuses: HTTP status, code and text, and which of them the core's reasons are.

The codes are those of the venue's public documentation; a code that ccxt does not know would reach
its caller as a bare error.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from messages import Cause, OrderRequest, ReasonCode
from state.instruments import Instrument

UNKNOWN_ERROR: Final = (-1000, "An unknown error occured while processing the request.")
DISCONNECTED: Final = (-1001, "Internal error; unable to process your request. Please try again.")
TOO_MANY_REQUESTS: Final = (-1003, "Too many requests; current limit is {} requests per minute.")
BANNED: Final = (-1003, "Way too many requests; IP banned until {}.")
UNEXPECTED_RESPONSE: Final = (
    -1006,
    "An unexpected response was received from the message bus. Execution status unknown.",
)
TIMEOUT: Final = (
    -1007,
    (
        "Timeout waiting for response from backend server. "
        "Send status unknown; execution status unknown."
    ),
)
OVERLOADED: Final = (
    -1008,
    "Server is currently overloaded with other requests. Please try again in a few minutes.",
)
TOO_MANY_ORDERS: Final = (-1015, "Too many new orders; current limit is {} orders per {}.")
OUTSIDE_WINDOW: Final = (-1021, "Timestamp for this request is outside of the recvWindow.")
AHEAD: Final = (-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
BAD_SIGNATURE: Final = (-1022, "Signature for this request is not valid.")
BAD_TIMES: Final = (-1023, "Start time is greater than end time.")
ILLEGAL: Final = (-1100, "Illegal characters found in parameter '{}'.")
MANDATORY: Final = (
    -1102,
    "Mandatory parameter '{}' was not sent, was empty/null, or malformed.",
)
NOT_REQUIRED: Final = (-1106, "Parameter '{}' sent when not required.")
PRECISION: Final = (-1111, "Precision is over the maximum defined for this asset.")
BAD_TIME_IN_FORCE: Final = (-1115, "Invalid timeInForce.")
BAD_TYPE: Final = (-1116, "Invalid orderType.")
BAD_SIDE: Final = (-1117, "Invalid side.")
BAD_INTERVAL: Final = (-1120, "Invalid interval.")
BAD_SYMBOL: Final = (-1121, "Invalid symbol.")
NO_LISTEN_KEY: Final = (-1125, "This listenKey does not exist.")
LONG_INTERVAL: Final = (-1127, "More than 7 days between startTime and endTime.")
BAD_COMBINATION: Final = (-1128, "Combination of optional parameters invalid.")
BAD_PARAMETER: Final = (-1130, "Data sent for parameter '{}' is not valid.")
BAD_WINDOW: Final = (-1131, "recvWindow must be less than 60000.")
REJECTED: Final = (-2010, "Order was rejected: {}.")
CANCEL_UNKNOWN: Final = (-2011, "Unknown order sent.")
NO_SUCH_ORDER: Final = (-2013, "Order does not exist.")
BAD_KEY_FORMAT: Final = (-2014, "API-key format invalid.")
BAD_KEY: Final = (-2015, "Invalid API-key, IP, or permissions for action.")
NO_MARGIN: Final = (-2019, "Margin is insufficient.")
WOULD_TRIGGER: Final = (-2021, "Order would immediately trigger.")
REDUCE_ONLY: Final = (-2022, "ReduceOnly Order is rejected.")
TOO_MANY_OPEN: Final = (-2025, "Reach max open order limit.")
LEVERAGE_NEEDS_MARGIN: Final = (
    -2028,
    "Leverage is smaller than permitted: insufficient margin balance.",
)
NO_PRICE: Final = (-4001, "Price less than 0.")
NO_QUANTITY: Final = (-4003, "Quantity less than or equal to zero.")
SMALL_QUANTITY: Final = (-4004, "Quantity less than min quantity.")
LARGE_QUANTITY: Final = (-4005, "Quantity greater than max quantity.")
NO_STOP_PRICE: Final = (-4006, "Stop price less than zero.")
OFF_TICK: Final = (-4014, "Price not increased by tick size.")
BAD_CLIENT_ID: Final = (-4015, "Client order id is not valid.")
PRICE_TOO_HIGH: Final = (-4016, "Price is higher than mark price multiplier cap.")
OFF_STEP: Final = (-4023, "Qty not increased by step size.")
PRICE_TOO_LOW: Final = (-4024, "Price is lower than mark price multiplier floor.")
BAD_LEVERAGE: Final = (-4028, "Leverage {} is not valid.")
SAME_MARGIN_TYPE: Final = (-4046, "No need to change margin type.")
MARGIN_TYPE_ORDERS: Final = (
    -4047,
    "Margin type cannot be changed if there exists open orders.",
)
MARGIN_TYPE_POSITION: Final = (-4048, "Margin type cannot be changed if there exists position.")
SAME_MODE: Final = (-4059, "No need to change position side.")
BAD_POSITION_SIDE: Final = (-4060, "Invalid position side.")
POSITION_SIDE: Final = (-4061, "Order's position side does not match user's setting.")
MODE_ORDERS: Final = (-4067, "Position side cannot be changed if there exists open orders.")
MODE_POSITION: Final = (-4068, "Position side cannot be changed if there exists position.")
DUPLICATE_ID: Final = (-4116, "ClientOrderId is duplicated.")
USE_ALGO: Final = (
    -4120,
    "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
)
FEW_NOTIONAL: Final = (
    -4164,
    "Order's notional must be no smaller than {} (unless you choose reduce only).",
)
POST_ONLY: Final = (
    -5022,
    "Due to the order could not be executed as maker, the Post Only order will be rejected.",
)
ONLY_LIMIT: Final = (-5025, "Only limit order is supported.")
NOTHING_AMENDED: Final = (-5027, "No need to modify the order.")
BAD_GOOD_TILL: Final = (
    -5040,
    (
        "The goodTillDate timestamp must be greater than the current time plus 600 seconds "
        "and smaller than 253402300799000."
    ),
)

BUSY: Final = {
    code: (code, text)
    for code, text in (UNKNOWN_ERROR, DISCONNECTED, UNEXPECTED_RESPONSE, TIMEOUT, OVERLOADED)
}
"""What the venue says of itself when it fails, by code."""


class Refused(Exception):
    """A request that is answered with a code; ``seen`` is what of it goes to the truth log."""

    def __init__(
        self,
        what: tuple[int, str],
        *words: object,
        status: int = 400,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Refuse by one of this module's pairs; ``words`` fill its text."""
        code, text = what
        super().__init__(code)
        self.code = code
        self.message = text.format(*words) if words else text
        self.status = status
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, object]:
        """Return what is answered."""
        return {"code": self.code, "msg": self.message}


_PLAIN: Final = {
    ReasonCode.INSTRUMENT_UNKNOWN: BAD_SYMBOL,
    ReasonCode.POSITION_SIDE_MISMATCH: POSITION_SIDE,
    ReasonCode.QUANTITY_NOT_POSITIVE: NO_QUANTITY,
    ReasonCode.QUANTITY_BELOW_MIN: SMALL_QUANTITY,
    ReasonCode.QUANTITY_ABOVE_MAX: LARGE_QUANTITY,
    ReasonCode.VENUE_INSUFFICIENT_FUNDS: NO_MARGIN,
    ReasonCode.VENUE_REDUCE_ONLY: REDUCE_ONLY,
    ReasonCode.POST_ONLY_WOULD_TAKE: POST_ONLY,
    ReasonCode.ORDER_EXPIRED: BAD_GOOD_TILL,
    ReasonCode.UNKNOWN_ORDER: NO_SUCH_ORDER,
}


def refused_for(cause: Cause, request: OrderRequest, rules: Instrument) -> Refused:
    """Return how the venue words the core's refusal of an order."""
    plain = _PLAIN.get(cause.code)
    if plain is not None:
        return Refused(plain)
    detail = cause.detail
    if cause.code is ReasonCode.NOTIONAL_BELOW_MIN:
        return Refused(FEW_NOTIONAL, rules.min_notional)
    if cause.code is ReasonCode.PRICE_NOT_POSITIVE:
        return Refused(NO_STOP_PRICE if detail.startswith("stop_price") else NO_PRICE)
    if cause.code is ReasonCode.PRICE_MISSING:
        return Refused(MANDATORY, "price")
    if detail.startswith("quantity=") and "lot_step" in detail:
        return Refused(_off_grid(request.quantity, rules.lot_step, OFF_STEP))
    if "price_tick" in detail:
        price = request.stop_price if detail.startswith("stop_price") else request.price
        return Refused(_off_grid(price, rules.price_tick, OFF_TICK))
    return Refused(REJECTED, detail or cause.code.value)


def _off_grid(
    found: Decimal | None, step: Decimal | None, otherwise: tuple[int, str]
) -> tuple[int, str]:
    """Tell a number with too many decimals from one that is only between two steps."""
    if found is None or step is None:
        return otherwise
    return PRECISION if decimals(found) > decimals(step) else otherwise


def decimals(number: Decimal) -> int:
    """Return how many decimals a number has, trailing zeros left out."""
    exponent = number.normalize().as_tuple().exponent
    assert isinstance(exponent, int), "a finite number"
    return max(0, -exponent)
