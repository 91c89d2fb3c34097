"""What the venues answer at their least, for a capture server: markets, time, and orders."""

from __future__ import annotations

from typing import Any

from capture_venue import Reply, Sent

NOW = 1_700_000_000_000


def binance_market() -> dict[str, Any]:
    """Return one perpetual, a tenth by a thousandth."""
    return {
        "symbol": "BTCUSDT", "pair": "BTCUSDT", "contractType": "PERPETUAL", "status": "TRADING",
        "baseAsset": "BTC", "quoteAsset": "USDT", "marginAsset": "USDT", "pricePrecision": 2,
        "quantityPrecision": 3,
        "orderTypes": ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT",
                       "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.1", "tickSize": "0.10"},
            {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
            {"filterType": "MARKET_LOT_SIZE", "maxQty": "120", "stepSize": "0.001"},
            {"filterType": "MIN_NOTIONAL", "notional": "5"},
        ],
    }  # fmt: skip


def binance_order(sent: Sent, **given: object) -> dict[str, Any]:
    """Return the venue's own word of an order that was just asked for."""
    fields = sent.fields
    return {
        "orderId": 4711, "symbol": "BTCUSDT", "status": "NEW",
        "clientOrderId": fields.get("newClientOrderId") or fields.get("origClientOrderId"),
        "price": fields.get("price", "0"), "avgPrice": "0", "origQty": fields.get("quantity", "1"),
        "executedQty": "0", "cumQuote": "0", "timeInForce": "GTC", "type": "LIMIT",
        "side": fields.get("side", "BUY"), "positionSide": fields.get("positionSide", "BOTH"),
        "reduceOnly": False, "updateTime": NOW, "time": NOW, **given,
    }  # fmt: skip


def binanceusdm(sent: Sent) -> Reply | dict[str, Any] | list[Any] | None:
    """Answer what Binance's futures are asked at the start, and orders."""
    match sent.method, sent.path:
        case "GET", "/fapi/v1/exchangeInfo":
            return {"symbols": [binance_market()], "rateLimits": [], "assets": []}
        case "GET", "/fapi/v1/time":
            return {"serverTime": NOW}
        case "GET", "/fapi/v1/positionSide/dual":
            return {"dualSidePosition": False}
        case (("POST" | "GET"), "/fapi/v1/order"):
            return binance_order(sent)
        case "DELETE", "/fapi/v1/order":
            return binance_order(sent, status="CANCELED")
        case "POST", "/fapi/v1/algoOrder":
            fields = sent.fields
            return {
                "algoId": 815, "clientAlgoId": fields["clientAlgoId"], "algoType": "CONDITIONAL",
                "orderType": fields["type"], "symbol": "BTCUSDT", "side": fields["side"],
                "algoStatus": "NEW", "quantity": fields.get("quantity", "1"),
                "createTime": NOW, "updateTime": NOW,
            }  # fmt: skip
    return None


def hedged(sent: Sent) -> dict[str, Any] | None:
    """Answer as an account that keeps long and short apart."""
    if sent.path == "/fapi/v1/positionSide/dual":
        return {"dualSidePosition": True}
    return None


def okx(sent: Sent) -> dict[str, Any] | None:
    """Answer what OKX is asked: a swap whose contract is a hundredth of a coin."""
    match sent.path:
        case "/api/v5/public/instruments":
            swap = {
                "instType": "SWAP", "instId": "BTC-USDT-SWAP", "uly": "BTC-USDT", "category": "1",
                "baseCcy": "", "quoteCcy": "", "settleCcy": "USDT", "ctVal": "0.01", "ctMult": "1",
                "ctValCcy": "BTC", "optType": "", "stk": "", "listTime": "1", "expTime": "",
                "lever": "100", "tickSz": "0.1", "lotSz": "1", "minSz": "1", "ctType": "linear",
                "alias": "", "state": "live", "maxLmtSz": "1000000", "maxMktSz": "10000",
            }  # fmt: skip
            found = [swap] if sent.fields.get("instType") == "SWAP" else []
            return {"code": "0", "data": found, "msg": ""}
        case "/api/v5/public/time":
            return {"code": "0", "data": [{"ts": str(NOW)}], "msg": ""}
        case "/api/v5/account/config":
            return {"code": "0", "data": [{"posMode": "net_mode"}], "msg": ""}
        case "/api/v5/trade/batch-orders" | "/api/v5/trade/order" if sent.method == "POST":
            done = {"clOrdId": "x", "ordId": "312269865356374016", "sCode": "0", "sMsg": ""}
            return {"code": "0", "data": [done], "msg": ""}
        case "/api/v5/trade/cancel-order":
            return {"code": "0", "data": [{"ordId": "1", "clOrdId": "x", "sCode": "0"}], "msg": ""}
    return None


def okx_hedged(sent: Sent) -> dict[str, Any] | None:
    """Answer as an OKX account that keeps long and short apart."""
    if sent.path == "/api/v5/account/config":
        return {"code": "0", "data": [{"posMode": "long_short_mode"}], "msg": ""}
    return None


def bybit(sent: Sent) -> dict[str, Any] | None:
    """Answer what Bybit is asked: one linear perpetual."""
    ok = {"retCode": 0, "retMsg": "OK", "time": NOW}
    match sent.path:
        case "/v5/market/instruments-info":
            linear = {
                "symbol": "BTCUSDT", "contractType": "LinearPerpetual", "status": "Trading",
                "baseCoin": "BTC", "quoteCoin": "USDT", "settleCoin": "USDT", "launchTime": "1",
                "deliveryTime": "0", "priceScale": "2",
                "leverageFilter": {"minLeverage": "1", "maxLeverage": "100", "leverageStep": "1"},
                "priceFilter": {"minPrice": "0.1", "maxPrice": "1999999", "tickSize": "0.10"},
                "lotSizeFilter": {"maxOrderQty": "1190", "minOrderQty": "0.001", "qtyStep": "0.001",
                                  "maxMktOrderQty": "500", "minNotionalValue": "5"},
            }  # fmt: skip
            found = [linear] if sent.fields.get("category") == "linear" else []
            return {**ok, "result": {"list": found, "nextPageCursor": ""}}
        case "/v5/market/time":
            return {**ok, "result": {"timeSecond": str(NOW // 1000), "timeNano": f"{NOW}000000"}}
        case "/v5/user/query-api":
            return {**ok, "result": {"unified": 0, "uta": 1}}
        case "/v5/account/info":
            return {**ok, "result": {"marginMode": "REGULAR_MARGIN", "unifiedMarginStatus": 4}}
        case "/v5/position/switch-mode":
            return {**ok, "result": {}}
        case "/v5/order/create" | "/v5/order/cancel":
            return {**ok, "result": {"orderId": "b-1", "orderLinkId": "x"}}
        case "/v5/order/realtime" | "/v5/order/history":
            return {**ok, "result": {"list": [], "category": "linear"}}
    return None


def kraken(sent: Sent) -> dict[str, Any] | None:
    """Answer what Kraken is asked: one spot pair."""
    match sent.path:
        case "/0/public/AssetPairs":
            pair = {
                "altname": "XBTUSD", "wsname": "XBT/USD", "base": "XXBT", "quote": "ZUSD",
                "pair_decimals": 1, "lot_decimals": 8, "ordermin": "0.0001", "costmin": "0.5",
                "tick_size": "0.1", "status": "online", "leverage_buy": [], "leverage_sell": [],
                "fees": [[0, "0.4"]], "fees_maker": [[0, "0.25"]],
            }  # fmt: skip
            return {"error": [], "result": {"XXBTZUSD": pair}}
        case "/0/public/Assets":
            asset = {"aclass": "currency", "altname": "XBT", "decimals": 10, "display_decimals": 5}
            return {"error": [], "result": {"XXBT": asset, "ZUSD": {**asset, "altname": "USD"}}}
        case "/0/public/Time":
            return {"error": [], "result": {"unixtime": NOW // 1000, "rfc1123": ""}}
        case "/0/private/AddOrder":
            return {
                "error": [],
                "result": {"descr": {"order": "buy 0.5 XBTUSD @ limit 50000"}, "txid": ["OABC-1"]},
            }
        case "/0/private/CancelOrder":
            return {"error": [], "result": {"count": 1}}
        case "/0/private/OpenOrders" | "/0/private/ClosedOrders":
            return {"error": [], "result": {"open": {}, "closed": {}}}
    return None


def hyperliquid(sent: Sent) -> dict[str, Any] | list[Any] | None:
    """Answer what Hyperliquid is asked: one perpetual."""
    match sent.path, sent.fields.get("type"):
        case "/info", "metaAndAssetCtxs":
            universe = {"name": "BTC", "szDecimals": 5, "maxLeverage": 50}
            context = {"markPx": "50000.0", "midPx": "50000.0", "oraclePx": "50000.0",
                       "dayNtlVlm": "1", "funding": "0", "openInterest": "1", "prevDayPx": "1",
                       "premium": "0"}  # fmt: skip
            return [{"universe": [universe]}, [context]]
        case "/info", "spotMeta" | "spotMetaAndAssetCtxs" | "meta":
            return [{"tokens": [], "universe": []}, []]
        case "/info", "exchangeStatus":
            return {"time": NOW, "specialStatuses": None}
        case "/exchange", _:
            kind = sent.fields["action"]["type"]
            data: list[Any] = [{"resting": {"oid": 77}}] if kind == "order" else ["success"]
            return {"status": "ok", "response": {"type": kind, "data": {"statuses": data}}}
        case "/info", _:
            return {"status": "unknownOid"}
    return None
