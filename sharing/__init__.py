"""Who may see what: the policies, the rule, the one way to a message, the audit log."""
