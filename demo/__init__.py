"""Made-up platform data and the embedded stack, to try everything on one machine."""
