"""Agents over REST: each view asks for access, calls one verb, and reports."""

from agents.api import agents, observations

urlpatterns = [*agents.urlpatterns, *observations.urlpatterns]
