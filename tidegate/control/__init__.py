"""
The control plane: how a running daemon is told what to do, and says what it does.

``server`` answers on a Unix socket and on loopback HTTP, in a thread and an event loop of its own,
so that it answers while the session is stuck; ``client`` is the other end. Nothing is imported
here: the client must start fast, the server needs aiohttp.
"""
