"""The pages for people and staff: `/me`, `/staff` and the landing page of a link."""
