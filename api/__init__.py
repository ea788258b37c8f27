"""The REST interface: one module a resource group, thin over named domain functions."""
