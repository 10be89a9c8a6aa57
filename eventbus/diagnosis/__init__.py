"""Finds what is misconfigured or going wrong: facts are gathered once, and each check looks at them."""

from eventbus.diagnosis.diagnose import CHECKS, diagnose
from eventbus.diagnosis.facts import Facts, OfAnotherBus, gather
from eventbus.diagnosis.finding import Finding, Severity

__all__ = ["CHECKS", "Facts", "Finding", "OfAnotherBus", "Severity", "diagnose", "gather"]
