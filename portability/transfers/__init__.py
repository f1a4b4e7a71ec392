"""Transfers of exports to other providers: recipients, authorisations, transfers and receipts."""
