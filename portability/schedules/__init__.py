"""Schedules: copies that a person has asked for in advance, every two months for a year."""
