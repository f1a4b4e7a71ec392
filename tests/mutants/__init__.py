"""Mutation testing: small changes of the rules that a test must notice."""
