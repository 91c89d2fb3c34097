"""
The way to a real venue: any exchange that ccxt knows, by what its row of the table allows.

``capabilities`` is the table, ``identity`` the client order ids, ``rounding`` the venue's grid,
``errors`` what is certain after a call, ``redaction`` what must not be said, ``lanes`` whose turn
it is: all pure. ``client`` is ccxt itself, ``wording`` an order in its words, ``stream`` and
``translate`` what the venue says in ours, ``ledger`` what is known of each order, ``jobs`` the
requests under way, ``survey`` the account, ``inspecting`` and ``rights`` what a preflight asks,
``broker`` the broker's contract. Only ``client`` loads ccxt, and only when a venue is opened: it
costs half a second and a hundred megabytes.
"""
