"""The processes of a benchmark: nodes, gateway, floor. Each says one JSON line when ready and answers one a command."""
