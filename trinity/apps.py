from django.apps import AppConfig


class TrinityConfig(AppConfig):
    name = "trinity"
    verbose_name = "Identity and audit"

    def ready(self) -> None:
        # They register themselves on import.
        from trinity import checks, sign_ins  # noqa: F401, PLC0415
