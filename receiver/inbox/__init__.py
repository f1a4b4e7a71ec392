"""The receiving service: fetches what senders offer, keeps it in quarantine, and imports what an officer accepts."""
