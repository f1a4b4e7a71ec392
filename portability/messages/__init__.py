"""Messages to people and programs: the outbox, letters, mail and webhooks."""
