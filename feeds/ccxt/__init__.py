"""Market data of any venue that ccxt knows; the library is loaded when a venue is opened."""
