"""
The matching engine: a venue without clock, network or chance.

Theory of operation. Orders come in by ``submit`` and are accepted or rejected there and then.
Everything else comes about by data: a bar (or quote, or trade) is one stretch of the market,
and ``Matcher.match`` lets the live orders of its symbol meet it, in three steps.

1. *Who is there.* An order whose end has come expires. One that is still on its way (latency)
   does not take part. Without latency an order takes part in the next bar, whatever the spacing.
2. *Whose turn.* What happens at the open (market orders, stops that the open jumped over), then
   stops, then limits and targets; by time of arrival within each. So where one bar could fill
   both a stop and a limit, the stop is taken, even if the open alone would fill the limit.
3. *At what price, and how much.* ``triggers`` finds the price that the market allows:

   ==================  =========================  ======================================  =====
   order               executes                   at                                      slips
   ==================  =========================  ======================================  =====
   market              next open                  the open                                yes
   stop, trailing      high >= stop (buy)         the stop, or the open past it           yes
   take profit         low <= stop (buy)          the stop, or the open past it           yes
   limit               low < limit (buy)          its limit, or the open past it          no
   stop limit, take    as its stop, then as its   where it woke if that is better than    no
   profit limit        limit                      its limit; else as a limit: on the
                                                  rest of the bar if it woke at the open,
                                                  on the close alone if it woke within
   ==================  =========================  ======================================  =====

   Sells are the mirror image. A trailing stop stands where it stood at the bar's open (which
   counts: an open is the first thing known of a bar) and follows the bar's extreme afterwards.
   ``fills`` then cuts the quantity to the share of volume, and moves the price by slippage.

A limit order takes (taker fee) when the first open that it meets is at or past its limit, and
makes (maker fee) ever after; all that slips takes. Post-only is the same line: at or past it
would take. IOC and FOK are decided at the first price that the order meets, after its trigger
if it has one. Latency delays orders, not cancels. There is no liquidation: a perpetual's losses
are shown in its equity, and what to do about them is risk's business.

Quotes and trades are stretches of one price: a buy sees the ask, a sell the bid. There a limit
that arrives may take at its very price, and one that rests fills at its own price only. Once
they drive a symbol, its bars are not matched: they would tell the same past twice.
"""

from brokers.matching.account import Account, FundingPayment, VenueBalance, VenuePosition
from brokers.matching.config import EngineConfig
from brokers.matching.engine import MatchingEngine
from brokers.matching.orders import OpenOrder

__all__ = [
    "Account",
    "EngineConfig",
    "FundingPayment",
    "MatchingEngine",
    "OpenOrder",
    "VenueBalance",
    "VenuePosition",
]
