"""
The way to a virtual venue: an exchange in a process of its own, over HTTP on loopback.

``wire`` is what is said, ``calls`` one call and what is certain after it, ``stream`` the order of
the news, ``broker`` the broker's contract. Only ``wire`` and ``stream`` do without aiohttp: who
does not trade there does not load it.
"""
