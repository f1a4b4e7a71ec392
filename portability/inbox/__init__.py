"""The inbox: transfers that other providers offer to this deployment, from the offer to an officer's decision."""
