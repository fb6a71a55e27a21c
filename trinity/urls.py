"""All paths of Django's handler; streams and the live socket are in ``trinity.asgi``."""

from django.contrib import admin
from django.urls import include, path

from agents import api as agents_api
from agents import pages as agents_pages
from operations import api as operations_api
from operations import artifact_api
from operations import metrics as operations_metrics
from operations import pages as operations_pages
from trinity import identity_api, schema_api

handler400 = "trinity.api.bad_request"
handler403 = "trinity.api.forbidden"
handler500 = "trinity.api.server_error"

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include(identity_api)),
    path("", include(schema_api)),
    path("", include(agents_api)),
    path("", include(operations_api)),
    path("", include(artifact_api)),
    path("", include(operations_metrics)),
    path("", include(operations_pages)),
    path("", include(agents_pages)),
]
