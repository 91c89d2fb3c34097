"""What a key may do, by the venues' own words; the readers are pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from brokers.ccxt.columns import RightsCall


@dataclass(frozen=True, slots=True)
class Rights:
    """Whether a key may place orders, and whether it may take money away."""

    trade: bool
    withdraw: bool


async def rights_of(exchange: Any, call: RightsCall) -> Rights:
    """Ask ``exchange``, which is ccxt's object, and return what the key may do."""
    match call:
        case RightsCall.BINANCE:
            told = await exchange.sapiGetAccountApiRestrictions()
            return binance_rights(told, futures=exchange.id != "binance")
        case RightsCall.BYBIT:
            return bybit_rights(await exchange.privateGetV5UserQueryApi())
        case RightsCall.OKX:
            return okx_rights(await exchange.privateGetAccountConfig())
        case RightsCall.UNKNOWN:
            raise AssertionError("nobody asks where nothing is told")


def binance_rights(told: Mapping[str, Any], *, futures: bool) -> Rights:
    """Read ``GET /sapi/v1/account/apiRestrictions``: trading is a right of each kind of market."""
    trades = told["enableFutures" if futures else "enableSpotAndMarginTrading"]
    return Rights(trades is True, told["enableWithdrawals"] is not False)


def bybit_rights(told: Mapping[str, Any]) -> Rights:
    """Read ``GET /v5/user/query-api``: ``readOnly`` is 0 or 1, the rights are lists by kind."""
    result = told["result"]
    kinds: Mapping[str, Any] = result["permissions"]
    trades = any(kinds.get(kind) for kind in ("ContractTrade", "Spot"))
    return Rights(trades and str(result["readOnly"]) == "0", "Withdraw" in kinds.get("Wallet", ()))


def okx_rights(told: Mapping[str, Any]) -> Rights:
    """Read ``GET /api/v5/account/config``: ``perm`` is like ``read_only,trade,withdraw``."""
    perm = {word.strip() for word in str(told["data"][0]["perm"]).split(",")}
    return Rights("trade" in perm, "withdraw" in perm)
