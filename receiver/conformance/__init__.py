"""The conformance kit: test vectors of transfers, a sender that tests recipients, and a recipient that tests senders."""
