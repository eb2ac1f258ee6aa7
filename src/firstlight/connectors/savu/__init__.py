"""Savu: what its runs leave behind."""
