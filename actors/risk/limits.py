"""The limits that Risk enforces; ``None`` means that there is no such limit."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class RiskLimits:
    """Limits in the account's currency, over quantity times mark."""

    max_order_notional: Decimal | None = None
    max_position_notional: Decimal | None = None
    max_gross_exposure: Decimal | None = None

    def __post_init__(self) -> None:
        """Refuse limits that are zero or negative."""
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} is {value}, expected a positive amount")
