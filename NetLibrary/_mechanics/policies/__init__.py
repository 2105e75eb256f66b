"""The truth table of NetworkPolicies: which pod may reach which at which port, and whether the network keeps to it."""
