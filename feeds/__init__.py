"""Sources of market data: the contract, replayed files and synthetic markets."""
