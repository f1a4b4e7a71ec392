"""The nouns and rules of the engine; it imports no other package of this repository."""
