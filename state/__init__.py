"""What must survive and must add up: journal, orders, ledger, projections."""
