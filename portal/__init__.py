"""The browser screens: one module an area, thin over named domain functions."""
