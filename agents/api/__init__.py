"""Agents over REST: each view asks for access, calls one verb, and reports."""

from agents.api import agents, observations, resources, sharing

urlpatterns = [
    *agents.urlpatterns,
    *observations.urlpatterns,
    *resources.urlpatterns,
    *sharing.urlpatterns,
]
