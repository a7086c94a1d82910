"""Selectors written without a look at the checks: correct ones that must pass, defective ones that must not."""
