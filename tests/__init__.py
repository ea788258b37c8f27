"""The specification of CRM Mail, as tests, by app."""
