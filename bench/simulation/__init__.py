"""A simulated deployment: a year of requests by events, under the rules that order claims and set deadlines."""
