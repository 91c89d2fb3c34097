"""
The way to Alpaca: US shares, through alpaca-py.

alpaca-py says what is asked and how: its client's methods, its request models, its streams' words.
It does not say it on its own connections: those block the event loop, send an order again by
themselves (three times, after a 429 or a 504), and read numbers as floats. So ``transport`` is one
asynchronous way that sends once and keeps numbers as they are written, ``loaded`` puts alpaca-py's
clients on it, and ``exchange`` is what comes of both, in ccxt's words. From there on everything is
the one broker of real venues (``brokers.ccxt``): its lanes, its allow-list of refusals, its doubts,
its stream, its survey. What is Alpaca's own is its row of that table, and ``wording`` and
``errors`` here.
"""
