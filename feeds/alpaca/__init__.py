"""
Market data of US shares from Alpaca, through alpaca-py's requests and streams.

``reach`` is how it is reached, ``sessions`` when the exchange trades, ``line`` the connections,
``venue`` what a live feed asks. alpaca-py is loaded when a venue is opened.
"""
