"""
A virtual exchange: the matching engine in a process of its own, with a log of what is true.

Theory of operation. ``venue`` is the exchange without a wire: orders, cancels and market in, facts
out, one after the other. ``log`` makes the facts durable *before* any answer or news leaves the
process; a venue that starts again does again what the log says was done to it, and knows
everything it knew. ``server`` is the wire: it serves one venue over HTTP (the dialect of
``brokers.virtual.wire``), and misbehaves between the venue and the wire as ``faults`` says, never
in the venue. ``truth`` reads the log back and compares it with what a session believes.
"""
