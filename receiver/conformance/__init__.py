"""The conformance kit: test vectors, a sender that tests recipients, and a recipient that tests senders."""
