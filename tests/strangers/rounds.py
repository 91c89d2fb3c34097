"""A strategy for a whole process: it buys, leaves an order at rest, takes it back, and sells."""

from __future__ import annotations

from decimal import Decimal

from messages import Bar, ExecutionPolicy, OrderType, PositionSide, Side
from strategies.contract import Intents, Strategy, StrategyParams
from strategies.desk import Desk


class Params(StrategyParams):
    """
    ``quantity`` in coins; with ``keeps`` what was bought is kept, and the order left there.

    ``near`` has it bought by a limit.
    """

    quantity: Decimal = Decimal("0.5")
    book: str = "both"
    far: Decimal = Decimal(46_000)
    keeps: bool = False
    near: Decimal | None = None


class Rounds(Strategy):
    """Bar by bar: buy, rest, cancel, sell."""

    Params = Params
    params: Params

    def __init__(self, desk: Desk, params: Params) -> None:
        super().__init__(desk, params)
        self.bars = 0

    def on_bar(self, bar: Bar) -> Intents:
        self.bars += 1
        book, quantity = PositionSide(self.params.book), self.params.quantity
        match self.bars:
            case 2:
                near = self.params.near
                buys = ExecutionPolicy()
                if near is not None:
                    buys = ExecutionPolicy(OrderType.LIMIT, limit_price=near)
                return [
                    self.desk.open(bar.symbol, Side.BUY, quantity, position_side=book, policy=buys)
                ]
            case 5:
                policy = ExecutionPolicy(OrderType.LIMIT, limit_price=self.params.far)
                return [
                    self.desk.open(
                        bar.symbol, Side.BUY, quantity, position_side=book, policy=policy
                    )
                ]
            case 10 if not self.params.keeps:
                return [self.desk.cancel(bar.symbol)]
            case 14 if not self.params.keeps:
                return [self.desk.close(bar.symbol, position_side=book)]
        return None

    def snapshot(self) -> dict[str, int]:
        return {"bars": self.bars}

    def restore(self, state: dict[str, int]) -> None:
        self.bars = state["bars"]
