"""Amounts of memory as Kubernetes writes them."""

import re
from decimal import Decimal

from tonnage.errors import ConfigError

MIB = 2**20

_FACTORS = {
    "": Decimal(1),
    # Kubernetes allows thousandths of a byte, and writes them after some arithmetic on quantities.
    "m": Decimal("0.001"),
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate(("k", "M", "G", "T", "P"), start=1)},
    **{
        suffix: Decimal(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi"), start=1)
    },
}

_QUANTITY = re.compile(r"(\d{1,18}(?:\.\d{1,9})?)(?:[eE](\d{1,2}))?([A-Za-z]*)", re.ASCII)


def read_quantity(text: str) -> int:
    """Bytes of a quantity such as `512Mi`, `1.5Gi`, `500M` or `536870912`, rounded down.

    Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/

    Raises:
        ConfigError: it is not a quantity, or less than a byte.
    """
    found = _QUANTITY.fullmatch(text.strip())
    if found is None or found[3] not in _FACTORS or (found[2] and found[3]):
        raise ConfigError(
            "this is not an amount of memory",
            hint="Write it as Kubernetes does: 512Mi, 2Gi, 500M, or a number of bytes.",
            given=repr(text),
        )
    size = int(Decimal(found[1]) * Decimal(10) ** int(found[2] or 0) * _FACTORS[found[3]])
    if size < 1:
        raise ConfigError("an amount of memory is at least one byte", given=repr(text))
    return size


def whole_mib(size: int) -> int:
    """The least whole number of MiB that holds `size` bytes."""
    return -(-size // MIB)


def in_mib(size: int) -> str:
    """Bytes as Kubernetes reads them, rounded up to whole MiB."""
    return f"{whole_mib(size)}Mi"
