"""Yahoo Finance's market data through yfinance: history, and new bars by asking for them."""
