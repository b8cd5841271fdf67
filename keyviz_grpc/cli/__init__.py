"""The commands, and what all commands share: option types, logging, signals and exit statuses."""
