"""Live market data of any venue that can be asked for candles; adapters say how it is asked."""
