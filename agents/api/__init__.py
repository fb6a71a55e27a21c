"""Agents over REST: each view asks for access, calls one verb, and reports."""

from agents.api import (
    activities,
    agents,
    autonomy,
    environment,
    files,
    git,
    metrics,
    observations,
    resources,
    sharing,
    templates,
    tokens,
    trail,
)

urlpatterns = [
    *agents.urlpatterns,
    *environment.urlpatterns,
    *files.urlpatterns,
    *git.urlpatterns,
    *observations.urlpatterns,
    *resources.urlpatterns,
    *sharing.urlpatterns,
    *tokens.urlpatterns,
    *trail.urlpatterns,
    *activities.urlpatterns,
    *autonomy.urlpatterns,
    *metrics.urlpatterns,
    *templates.urlpatterns,
]
