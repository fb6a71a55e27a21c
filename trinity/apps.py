from django.apps import AppConfig


class TrinityConfig(AppConfig):
    name = "trinity"
    verbose_name = "Identity and audit"

    def ready(self) -> None:
        from trinity import checks  # noqa: F401, PLC0415  # registers itself on import
