"""Ways to a venue: the contract, the matching engine and the brokers built on it."""
