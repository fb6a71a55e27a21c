"""The memory, CPU and disk limits that may be asked for, and what they come to."""

from agents.errors import InvalidLimit

MEMORY_CHOICES = ("1g", "2g", "4g", "8g", "16g", "32g", "64g")
CPU_CHOICES = ("1", "2", "4", "8", "16")
DISK_CHOICES = ("1g", "2g", "5g", "10g", "20g", "50g", "100g")


def check_memory(text: str) -> str:
    if text not in MEMORY_CHOICES:
        choices = ", ".join(MEMORY_CHOICES)
        raise InvalidLimit(f"Invalid memory value. Must be one of: {choices}")
    return text


def check_cpu(text: str) -> str:
    if text not in CPU_CHOICES:
        raise InvalidLimit(f"Invalid CPU value. Must be one of: {', '.join(CPU_CHOICES)}")
    return text


def memory_bytes(text: str) -> int:
    return int(text.removesuffix("g")) * 1024**3


def memory_text(count: int) -> str:
    """The form in which limits are asked for; mebibytes for what is no whole number of them."""
    return f"{count // 1024**2}m" if count % 1024**3 else f"{count // 1024**3}g"


def check_disk(text: str) -> str:
    if text not in DISK_CHOICES:
        raise InvalidLimit(f"Invalid disk value. Must be one of: {', '.join(DISK_CHOICES)}")
    return text


def disk_bytes(text: str) -> int:
    return int(text[:-1]) * {"m": 1024**2, "g": 1024**3}[text[-1]]


def cpus(text: str) -> float:
    return float(text)
